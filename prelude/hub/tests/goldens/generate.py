"""Writes the PyTorch files of this folder and `expected.json`, what they hold.

    python3 -m venv venv && venv/bin/pip install torch numpy
    venv/bin/python prelude/hub/tests/goldens/generate.py
"""

import collections
import json
import os
import pathlib
import pickle
import zipfile

import torch

FOLDER = pathlib.Path(__file__).parent


def tensors():
    torch.manual_seed(0)
    base = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    return collections.OrderedDict(
        {
            "layer.weight": torch.randn(3, 4),
            "layer.bias": torch.nn.Parameter(torch.randn(3)),
            "transposed": base.t(),
            "shared": base[1:],
            "column": base[:, 2],
            "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
            "bfloat": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
            "double": torch.tensor([[0.1]], dtype=torch.float64),
            "long": torch.tensor([1, -2, 3]),
            "int": torch.tensor([7, -7], dtype=torch.int32),
            "byte": torch.tensor([0, 255], dtype=torch.uint8),
            "bool": torch.tensor([True, False]),
            "scalar": torch.tensor(3.5),
            "empty": torch.zeros(0, 3),
        }
    )


class Module(torch.nn.Linear):
    pass


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


def main():
    state = tensors()
    torch.save(state, FOLDER / "state.pt")
    torch.save(state, FOLDER / "legacy.bin", _use_new_zipfile_serialization=False)
    nested = {"epoch": 3, "state_dict": {"w": torch.ones(2)}, "optimizer": {"state": {0: {"m": torch.zeros(2)}}}}
    torch.save(nested, FOLDER / "nested.pt")
    torch.save(Module(2, 2), FOLDER / "module.pt")
    torch.save({"evil": Evil(), "w": torch.ones(1)}, FOLDER / "evil.pt")
    with zipfile.ZipFile(FOLDER / "compressed.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", pickle.dumps({"a": "b" * 1000}, 2))
    expected = {
        name: {"shape": list(t.shape), "dtype": str(t.dtype), "values": t.double().flatten().tolist()}
        for name, t in state.items()
    }
    (FOLDER / "expected.json").write_text(json.dumps(expected) + "\n")


main()
