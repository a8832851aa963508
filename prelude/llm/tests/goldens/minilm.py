"""Writes minilm.json: sentence vectors of all-MiniLM-L6-v2 by sentence-transformers.

    python3 -m venv venv && venv/bin/pip install sentence-transformers
    venv/bin/python prelude/llm/tests/goldens/minilm.py MODEL_FOLDER

The same is computed with numpy alone and must agree: BERT as its paper has it (post-norm, erf GELU), mean
pooling over the tokens, length one.
"""

import json
import math
import pathlib
import sys

import numpy as np
from safetensors.numpy import load_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer

TEXTS = [
    "A cat sleeps on the sofa.",
    "A kitten naps on the couch.",
    "The stock market fell on Monday.",
    "Größe, naïve café, 東京 and 🦀",
    "one two three " * 200,
]
MAX_LENGTH = 256
HEADS = 12

erf = np.vectorize(math.erf)


def embed(weights, ids):
    def linear(x, name):
        return x @ weights[name + ".weight"].T + weights[name + ".bias"]

    def norm(x, name):
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        scaled = (x - mean) / np.sqrt(variance + 1e-12)
        return scaled * weights[name + ".weight"] + weights[name + ".bias"]

    at = "embeddings."
    x = weights[at + "word_embeddings.weight"][ids]
    x = x + weights[at + "position_embeddings.weight"][: len(ids)]
    x = norm(x + weights[at + "token_type_embeddings.weight"][0], at + "LayerNorm")
    for layer in range(6):
        at = f"encoder.layer.{layer}."
        heads = lambda name: linear(x, at + "attention.self." + name).reshape(
            len(ids), HEADS, -1
        ).transpose(1, 0, 2)
        q, k, v = heads("query"), heads("key"), heads("value")
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (scores / scores.sum(-1, keepdims=True)) @ v
        mixed = mixed.transpose(1, 0, 2).reshape(len(ids), -1)
        x = norm(x + linear(mixed, at + "attention.output.dense"), at + "attention.output.LayerNorm")
        inner = linear(x, at + "intermediate.dense")
        inner = 0.5 * inner * (1 + erf(inner / math.sqrt(2)))
        x = norm(x + linear(inner, at + "output.dense"), at + "output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def main():
    folder = pathlib.Path(sys.argv[1])
    weights = {k: v.astype(np.float64) for k, v in load_file(folder / "model.safetensors").items() if v.dtype.kind == "f"}
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_LENGTH)
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    assert model.max_seq_length == MAX_LENGTH
    rows = []
    for text, vector in zip(TEXTS, model.encode(TEXTS, batch_size=1)):
        apart = float(np.abs(vector - embed(weights, tokenizer.encode(text).ids)).max())
        print(f"{apart:.1e} between sentence-transformers and numpy: {text[:40]}")
        assert apart < 1e-5
        rows.append({"text": text, "vector": [round(x, 7) for x in vector.tolist()]})
    path = pathlib.Path(__file__).parent / "minilm.json"
    path.write_text(json.dumps(rows, ensure_ascii=False) + "\n")


main()
