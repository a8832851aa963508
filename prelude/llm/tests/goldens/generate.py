"""Writes llama_cpp.json: greedy tokens of SmolLM2-135M-Instruct Q4_1 by llama.cpp.

    python3 -m venv venv && venv/bin/pip install xllamacpp
    venv/bin/python prelude/llm/tests/goldens/generate.py MODEL.gguf

For every generated token the two best log-probabilities are kept: where they are closer than the
rounding of the quantised dot products, either token is right.
"""

import json
import pathlib
import sys
import urllib.request

import xllamacpp

PROMPTS = [
    ("raw", "The capital of France is"),
    ("raw", "def fibonacci(n):\n"),
    ("raw", "Once upon a time, there was a little"),
    ("chat", "What is the capital of Italy? Answer in one sentence."),
    ("chat", "List three colours of the rainbow."),
    ("chat", "Write a haiku about the sea."),
]
TEXTS = [
    "Hello, world!",
    "  two spaces and\n\nlines\t\ttabs  ",
    "I'm sure they've paid 12345.67 € for 3 naïve cafés — don't you?",
    "日本語のテキスト and emoji 🦀🚀",
    "fn main() { println!(\"{}\", 0x1F); }",
    "<|im_start|>user\nhi<|im_end|>\n",
    "",
]
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
LENGTH = 32


def chat(text):
    return (
        f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n{text}<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def main():
    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.n_ctx = 1024
    params.n_parallel = 1
    params.cpuparams.n_threads = 2
    server = xllamacpp.Server(params)

    def post(path, body):
        request = urllib.request.Request(
            server.listening_address + path,
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        return json.load(urllib.request.urlopen(request))

    completions = []
    for kind, text in PROMPTS:
        prompt = chat(text) if kind == "chat" else text
        reply = post(
            "/completion",
            {
                "prompt": prompt,
                "n_predict": LENGTH,
                "temperature": 0.0,
                "top_k": 1,
                "return_tokens": True,
                "n_probs": 2,
                "cache_prompt": False,
                "seed": 0,
            },
        )
        best = [
            [[top["id"], round(top["logprob"], 4)] for top in step["top_logprobs"]]
            for step in reply["completion_probabilities"]
        ]
        tokens = [step["id"] for step in reply["completion_probabilities"]]
        completions.append(
            {"prompt": prompt, "tokens": tokens, "text": reply["content"], "best": best}
        )
    tokenized = [
        {
            "text": text,
            "tokens": post("/tokenize", {"content": text, "parse_special": True})["tokens"],
        }
        for text in TEXTS
    ]
    path = pathlib.Path(__file__).parent / "llama_cpp.json"
    made_by = f"llama.cpp through xllamacpp {xllamacpp.__version__}"
    path.write_text(
        json.dumps(
            {"made_by": made_by, "completions": completions, "tokenized": tokenized},
            ensure_ascii=False,
            indent=1,
        )
        + "\n"
    )


main()
