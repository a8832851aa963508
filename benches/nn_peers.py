"""PyTorch's and sentence-transformers' side of `cargo xtask bench nn`: prints a line of JSON for each."""

import json
import statistics
import sys
import time

# transformers would take `kernels.py` beside this file for a package of that name.
sys.path.pop(0)

import torch
from torch import nn

WARM_UP = 10


def step(model, shape, batch, steps):
    torch.manual_seed(0)
    rows = batch * 8
    x, y = torch.rand(rows, *shape) * 2 - 1, torch.randint(10, (rows,))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    loss_of = nn.CrossEntropyLoss()
    times = []
    for _ in range(-(-steps // 8)):
        order = torch.randperm(rows)
        for start in range(0, rows, batch):
            begin = time.perf_counter()
            index = order[start : start + batch]
            loss = loss_of(model(x[index]), y[index])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
            times.append(time.perf_counter() - begin)
    return statistics.median(times[WARM_UP:])


def convolutions():
    def block(inputs, outputs):
        return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *block(1, 32), *block(32, 32), nn.MaxPool2d(2), *block(32, 64), *block(64, 64), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)
    )


def embedder(folder):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(folder, device="cpu", local_files_only=True)


def main():
    folder, path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(threads)

    def report(**row):
        print(json.dumps(row), flush=True)

    mlp = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))
    report(name="mlp", seconds=step(mlp, (784,), 128, 110))
    report(name="cnn", seconds=step(convolutions(), (1, 28, 28), 64, 30))
    texts = json.load(open(path, encoding="utf-8"))
    model = embedder(folder)
    model.encode(texts[:64], batch_size=32)
    begin = time.perf_counter()
    vectors = model.encode(texts, batch_size=32, show_progress_bar=False)
    report(name="embed", seconds=time.perf_counter() - begin)
    report(name="vector", values=vectors[0][:8].tolist())


main()
