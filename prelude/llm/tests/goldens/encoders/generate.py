"""Writes tiny BERT, RoBERTa and DistilBERT classifiers with random weights, their tokenizers, and
`expected.json`: what transformers makes of some texts with them.

    python3 -m venv venv && venv/bin/pip install torch transformers
    venv/bin/python prelude/llm/tests/goldens/encoders/generate.py
"""

import json
import pathlib

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

FOLDER = pathlib.Path(__file__).parent
TEXTS = ["a good film", "a very bad film", "good", "the film was good and the end was very very good", "bad"]
CORPUS = TEXTS + ["the end was bad", "good and bad", "a film and an end"]


def word_piece():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=60, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"], show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    ids = [("[CLS]", tokenizer.token_to_id("[CLS]")), ("[SEP]", tokenizer.token_to_id("[SEP]"))]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair=None, special_tokens=ids)
    return tokenizer


def byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=290, special_tokens=special, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return tokenizer


def main():
    torch.manual_seed(0)
    labels = {"id2label": {0: "bad", 1: "good", 2: "neither"}, "label2id": {"bad": 0, "good": 1, "neither": 2}}
    words, bytes_ = word_piece(), byte_level()
    size = dict(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32, initializer_range=0.5)
    nets = {
        "bert": (BertForSequenceClassification(BertConfig(vocab_size=words.get_vocab_size(), max_position_embeddings=32, **size, **labels)), words),
        "roberta": (
            RobertaForSequenceClassification(
                RobertaConfig(vocab_size=bytes_.get_vocab_size(), max_position_embeddings=34, type_vocab_size=1, layer_norm_eps=1e-5, **size, **labels)
            ),
            bytes_,
        ),
        "distilbert": (
            DistilBertForSequenceClassification(
                DistilBertConfig(
                    vocab_size=words.get_vocab_size(), max_position_embeddings=32, dim=16, n_layers=2, n_heads=4, hidden_dim=32, initializer_range=0.5, **labels
                )
            ),
            words,
        ),
    }
    expected = {}
    for name, (model, tokenizer) in nets.items():
        model.eval()
        for parameter_name, parameter in model.named_parameters():
            # Biases and norms start at 0 and 1: moved, so that a forgotten one is noticed.
            if parameter.dim() == 1:
                parameter.data += 0.2 * torch.randn_like(parameter)
        folder = FOLDER / name
        model.save_pretrained(folder)
        tokenizer.save(str(folder / "tokenizer.json"))
        rows = []
        for text in TEXTS:
            ids = tokenizer.encode(text).ids
            with torch.no_grad():
                logits = model(torch.tensor([ids])).logits[0]
            rows.append({"text": text, "ids": ids, "logits": logits.tolist()})
        expected[name] = rows
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


main()
