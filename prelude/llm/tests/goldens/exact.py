"""Writes exact.json: log-probabilities of SmolLM2-135M Q4_1 in plain f32, for the tokens of
llama_cpp.json: the weights dequantised, nothing rounded on the way.

    python3 -m venv venv && venv/bin/pip install torch transformers gguf accelerate
    venv/bin/python prelude/llm/tests/goldens/exact.py MODEL.gguf

llama.cpp and oxilab round activations to 8 bits before each product; this says how far each is from
the model itself. A line holds the best token, its log-probability, and that of llama.cpp's token.
"""

import json
import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

here = pathlib.Path(__file__).parent
path = pathlib.Path(sys.argv[1])
model = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
model.eval()
completions, apart, same, count = [], 0.0, 0, 0
for golden in json.loads((here / "llama_cpp.json").read_text())["completions"]:
    prompt = tokenizer(golden["prompt"], add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = model(torch.tensor([prompt + golden["tokens"]])).logits[0]
    scores = torch.log_softmax(logits, -1)[len(prompt) - 1 :]
    steps = []
    for at, token in enumerate(golden["tokens"]):
        best = int(scores[at].argmax())
        steps.append([best, round(float(scores[at][best]), 4), round(float(scores[at][token]), 4)])
        apart += abs(steps[-1][2] - golden["best"][at][0][1])
        same += best == token
        count += 1
    completions.append(steps)
lines = ",\n".join("  " + json.dumps(steps) for steps in completions)
(here / "exact.json").write_text(f'{{"completions": [\n{lines}\n]}}\n')
print(f"llama.cpp: {same} of {count} tokens, mean {apart / count:.4f} from f32")
