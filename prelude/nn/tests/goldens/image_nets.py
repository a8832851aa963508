"""Writes image_nets.json: names and shapes of the tensors of ResNet-18, EfficientNet-B0 and a tiny ViT, and
what these nets make of a picture when every tensor is filled by the formula below, so that no weights
need to be kept.

    python3 -m venv venv && venv/bin/pip install torch torchvision transformers
    venv/bin/python prelude/nn/tests/goldens/image_nets.py

EfficientNet is TensorFlow's (as in candle-transformers and timm's `tf_` weights): padding as TensorFlow
pads, batch norm with an eps of 0.001.
"""

import json
import math
import pathlib

import numpy as np
import torch
import torchvision
from transformers import ViTConfig, ViTForImageClassification


def uniform(name, count):
    """`count` numbers in -0.5..0.5 from a name."""
    seed = 2166136261
    for byte in name.encode():
        seed = (seed ^ byte) * 16777619 & 0xFFFFFFFF
    h = (np.arange(count, dtype=np.uint64) * 2654435761 + seed) & 0xFFFFFFFF
    h ^= h >> 16
    h = h * 0x85EBCA6B & 0xFFFFFFFF
    h ^= h >> 13
    return ((h >> 8).astype(np.float64) / 2**24 - 0.5).astype(np.float32)


def fill(name, shape):
    u = uniform(name, math.prod(shape))
    if name.endswith("running_var"):
        u = 1 + u
    elif len(shape) >= 2:
        u = u * np.float32(math.sqrt(24 / math.prod(shape[1:])))
    elif name.endswith("weight"):
        u = 1 + np.float32(0.4) * u
    else:
        u = np.float32(0.4) * u
    return torch.from_numpy(u.astype(np.float32).reshape(shape))


def in_file(name):
    """The name of a tensor in files: transformers calls ViT's parts otherwise in memory."""
    for new, old in [
        ("vit.layers.", "vit.encoder.layer."),
        (".attention.q_proj", ".attention.attention.query"),
        (".attention.k_proj", ".attention.attention.key"),
        (".attention.v_proj", ".attention.attention.value"),
        (".attention.o_proj", ".attention.output.dense"),
        (".mlp.fc1", ".intermediate.dense"),
        (".mlp.fc2", ".output.dense"),
    ]:
        name = name.replace(new, old)
    return name


def filled(model):
    state = {k: fill(in_file(k), list(v.shape)) if v.is_floating_point() else v for k, v in model.state_dict().items()}
    model.load_state_dict(state)
    return [[in_file(k), list(v.shape)] for k, v in state.items() if v.is_floating_point()], model.eval()


def picture(size):
    return torch.from_numpy(uniform("picture", 3 * size * size).reshape(1, 3, size, size) * 2)


def same_padding(model):
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eps = 1e-3
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size[0] > 1:
            forward, k, s = module._conv_forward, module.kernel_size[0], module.stride[0]
            module.padding = (0, 0)

            def padded(x, weight, bias, forward=forward, k=k, s=s):
                total = [max((math.ceil(n / s) - 1) * s + k - n, 0) for n in x.shape[2:]]
                pads = [p for t in reversed(total) for p in (t // 2, t - t // 2)]
                return forward(torch.nn.functional.pad(x, pads), weight, bias)

            module._conv_forward = padded
    return model


def main():
    golden = {}
    with torch.no_grad():
        tensors, model = filled(torchvision.models.resnet18())
        logits = model(picture(64))
        model.fc = torch.nn.Identity()
        features = model(picture(64))
        golden["resnet18"] = {"tensors": tensors, "size": 64, "logits": logits[0, :8].tolist(), "features": features[0, :16].tolist()}

        tensors, model = filled(torchvision.models.efficientnet_b0())
        model = same_padding(model)
        model.classifier = torch.nn.Identity()
        golden["efficientnet_b0"] = {"tensors": tensors, "size": 64, "features": model(picture(64))[0, :16].tolist()}

        config = ViTConfig(
            hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, image_size=32, patch_size=8, num_labels=3
        )
        tensors, model = filled(ViTForImageClassification(config))
        features = model.vit(picture(32)).last_hidden_state[:, 0]
        golden["vit"] = {
            "tensors": tensors,
            "size": 32,
            "config": json.loads(config.to_json_string(use_diff=False)),
            "features": features[0, :16].tolist(),
        }
    (pathlib.Path(__file__).parent / "image_nets.json").write_text(json.dumps(golden) + "\n")
    for name, net in golden.items():
        print(name, net["features"][:4], [t[0] for t in net["tensors"]][:8])


main()
