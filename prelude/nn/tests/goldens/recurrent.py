"""Writes recurrent.json: an LSTM and a GRU layer of PyTorch with random weights, what they make of a series,
and the gradients of the sum of its squares.

    python3 -m venv venv && venv/bin/pip install torch
    venv/bin/python prelude/nn/tests/goldens/recurrent.py
"""

import json
import pathlib

import torch

INPUTS, HIDDEN, ROWS, TIME = 3, 4, 2, 5


def flat(tensor):
    return [round(value, 6) for value in tensor.detach().flatten().tolist()]


written = {"torch": torch.__version__, "shape": [ROWS, TIME, INPUTS, HIDDEN]}
for name, kind in [("lstm", torch.nn.LSTM), ("gru", torch.nn.GRU)]:
    torch.manual_seed(3)
    layer = kind(INPUTS, HIDDEN, batch_first=True)
    for parameter in layer.parameters():
        # What is written is what is computed with.
        parameter.data = torch.round(parameter.data * 2e6) / 1e6
    x = torch.round(torch.randn(ROWS, TIME, INPUTS) * 1e6) / 1e6
    states, _ = layer(x)
    states.square().sum().backward()
    written[name] = {
        "input": flat(x),
        "states": flat(states),
        "weights": {key: flat(value) for key, value in layer.named_parameters()},
        "gradients": {key: flat(value.grad) for key, value in layer.named_parameters()},
    }
path = pathlib.Path(__file__).with_suffix(".json")
path.write_text(json.dumps(written) + "\n")
