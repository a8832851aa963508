"""Writes tiny/: random models of each architecture as transformers saves them, adapters as PEFT saves
them, and the logits that both compute.

    python3 -m venv venv && venv/bin/pip install torch transformers peft
    venv/bin/python prelude/llm/tests/goldens/tiny.py           # writes the goldens
    venv/bin/python prelude/llm/tests/goldens/tiny.py FOLDER    # loads what oxilab wrote to FOLDER

The second form closes the circle: `OXILAB_CIRCLE=FOLDER cargo test --release -p oxilab-llm --test tiny --
--ignored write_what` writes adapters and merged models there, with the logits that oxilab computes; PEFT
and transformers must agree. The adapters and one merged model are kept in circle/ with the logits that
PEFT and transformers computed, so that `--test circle` needs no Python.
"""

import json
import pathlib
import shutil
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent / "tiny"
CIRCLE = HERE.parent / "circle"
MERGED = "merged-llama-0"
TOKENS = [5, 77, 130, 9, 9, 201, 33, 64, 180, 2, 91, 140, 17, 250, 3, 111]
COMMON = dict(
    vocab_size=264,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    bos_token_id=256,
    eos_token_id=257,
    pad_token_id=257,
    initializer_range=0.3,
)
LLAMA3 = dict(
    rope_type="llama3",
    factor=4.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=32,
    rope_theta=10000.0,
)
MODELS = {
    "llama": dict(tie_word_embeddings=True),
    "llama3": dict(model_type="llama", tie_word_embeddings=False, rope_parameters=LLAMA3),
    "mistral": dict(sliding_window=6, tie_word_embeddings=False),
    "qwen2": dict(tie_word_embeddings=True),
    "qwen3": dict(head_dim=16, tie_word_embeddings=True),
    "phi3": dict(tie_word_embeddings=False),
    "gemma": dict(head_dim=16, tie_word_embeddings=True, hidden_activation="gelu_pytorch_tanh"),
}
ADAPTERS = {
    "llama-plain": dict(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"]),
    "llama-rank_stabilized": dict(
        r=2,
        lora_alpha=3,
        use_rslora=True,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    ),
    "qwen2-bias": dict(r=2, lora_alpha=4, bias="all", target_modules=["q_proj", "down_proj"]),
}


def logits(model):
    model.eval()
    with torch.no_grad():
        return model(torch.tensor([TOKENS])).logits[0].float().contiguous()


def tokenizer():
    """Every byte a token, two special ones and a few merges."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: number for number, letter in enumerate(letters)}
    vocab |= {"<s>": 256, "</s>": 257}
    merges = [("t", "h"), ("th", "e"), ("Ġ", "the"), ("i", "n"), ("Ġ", "a"), ("e", "r")]
    for left, right in merges:
        vocab[left + right] = len(vocab)
    made = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(["<s>", "</s>"])
    return made


def make(name, settings):
    torch.manual_seed(1)
    settings = COMMON | settings
    config = AutoConfig.for_model(settings.pop("model_type", name), **settings)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    for key, parameter in model.named_parameters():
        # Norms and biases are one and zero at the start, which hides mistakes.
        if "norm" in key or key.endswith("bias"):
            parameter.data += 0.3 * torch.randn_like(parameter)
    folder = HERE / name
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    tokenizer().save(str(folder / "tokenizer.json"))
    names = {"bos_token": "<s>", "eos_token": "</s>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(names) + "\n")
    save_file({"logits": logits(model)}, folder / "logits.golden")
    print(name, "worst logit", float(logits(model).abs().max()))
    return model


def adapters():
    for name, settings in ADAPTERS.items():
        torch.manual_seed(2)
        origin = name.split("-")[0]
        base = AutoModelForCausalLM.from_pretrained(HERE / origin, dtype=torch.float32)
        config = LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **settings)
        model = get_peft_model(base, config)
        for key, parameter in model.named_parameters():
            if key.endswith("bias") and parameter.requires_grad:
                parameter.data += 0.5 * torch.randn_like(parameter)
        folder = HERE / name
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        path = folder / "adapter_config.json"
        written = json.loads(path.read_text())
        written["base_model_name_or_path"] = origin
        path.write_text(json.dumps(written, indent=2) + "\n")
        save_file({"logits": logits(model)}, folder / "logits.golden")


def agree(what, ours, model):
    theirs = logits(model)
    apart = float((ours - theirs).abs().max())
    print(f"{what}: {apart:.2e}")
    assert apart < 1e-3, what
    return theirs


def keep(folder, files, theirs):
    kept = CIRCLE / folder.name
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    for file in files:
        shutil.copy(folder / file, kept / file)
    save_file({"logits": theirs}, kept / "theirs.golden")
    return kept


def circle(folder):
    for adapter in sorted(folder.glob("*/adapter_config.json")):
        origin = adapter.parent.name.split("-")[0]
        base = AutoModelForCausalLM.from_pretrained(HERE / origin, dtype=torch.float32)
        model = PeftModel.from_pretrained(base, adapter.parent)
        ours = load_file(adapter.parent / "logits.golden")["logits"]
        theirs = agree(adapter.parent.name, ours, model)
        files = ["adapter_config.json", "adapter_model.safetensors"]
        kept = keep(adapter.parent, files, theirs) / "adapter_config.json"
        written = json.loads(kept.read_text())
        written["base_model_name_or_path"] = origin
        kept.write_text(json.dumps(written, indent=2) + "\n")
    for config in sorted(folder.glob("*/config.json")):
        model = AutoModelForCausalLM.from_pretrained(config.parent, dtype=torch.float32)
        ours = load_file(config.parent / "logits.golden")["logits"]
        theirs = agree(config.parent.name, ours, model)
        if config.parent.name == MERGED:
            files = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
            keep(config.parent, files, theirs)


if len(sys.argv) > 1:
    circle(pathlib.Path(sys.argv[1]))
else:
    for name, settings in MODELS.items():
        make(name, settings)
    adapters()
