"""Writes optimizers.json: what SGD, Adam, AdamW and RMSprop make of three values in ten steps on Σ c x⁴ / 4, the
rate halved behind the fifth.

The steps are the algorithms in the documentation of torch.optim, written down here in Python's own numbers,
so that the file can be made anywhere:

    python3 prelude/nn/tests/goldens/optimizers.py

Where PyTorch is installed, its optimisers are run beside them and have to give the same.
"""

import json
import math
import pathlib

START = [1.0, -0.5, 0.25]
COEFFICIENTS = [1.0, 2.0, 3.0]
RATES = [0.1] * 5 + [0.05] * 5


def sgd(decay=0.0, momentum=0.0, nesterov=False):
    buffer = None

    def step(number, x, g, rate):
        nonlocal buffer
        g = g + decay * x
        if momentum:
            buffer = g if number == 1 else momentum * buffer + g
            g = g + momentum * buffer if nesterov else buffer
        return x - rate * g

    return step


def adam(decay=0.0, betas=(0.9, 0.999), decoupled=False):
    first = second = 0.0

    def step(number, x, g, rate):
        nonlocal first, second
        if decoupled:
            x = x - rate * decay * x
        else:
            g = g + decay * x
        first = betas[0] * first + (1 - betas[0]) * g
        second = betas[1] * second + (1 - betas[1]) * g * g
        unbiased = first / (1 - betas[0] ** number), second / (1 - betas[1] ** number)
        return x - rate * unbiased[0] / (math.sqrt(unbiased[1]) + 1e-8)

    return step


def rmsprop(decay=0.0, momentum=0.0):
    square = buffer = 0.0

    def step(_number, x, g, rate):
        nonlocal square, buffer
        g = g + decay * x
        square = 0.99 * square + 0.01 * g * g
        g = g / (math.sqrt(square) + 1e-8)
        if momentum:
            buffer = momentum * buffer + g
            g = buffer
        return x - rate * g

    return step


# Our formulas, and the class and arguments of torch.optim that they stand for.
RUNS = {
    "sgd, decay": (sgd, {"decay": 0.1}, "SGD", {"weight_decay": 0.1}),
    "sgd, momentum": (sgd, {"momentum": 0.9}, "SGD", {"momentum": 0.9}),
    "sgd, momentum, decay": (sgd, {"momentum": 0.9, "decay": 0.1}, "SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    "sgd, nesterov, decay": (
        sgd,
        {"momentum": 0.9, "decay": 0.1, "nesterov": True},
        "SGD",
        {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
    ),
    "adam, decay": (adam, {"decay": 0.1}, "Adam", {"weight_decay": 0.1}),
    "adam, betas": (adam, {"betas": (0.8, 0.95)}, "Adam", {"betas": (0.8, 0.95)}),
    "adamw": (adam, {"decay": 0.1, "decoupled": True}, "AdamW", {"weight_decay": 0.1}),
    "rmsprop": (rmsprop, {}, "RMSprop", {}),
    "rmsprop, momentum": (rmsprop, {"momentum": 0.9}, "RMSprop", {"momentum": 0.9}),
    "rmsprop, momentum, decay": (
        rmsprop,
        {"momentum": 0.9, "decay": 0.1},
        "RMSprop",
        {"momentum": 0.9, "weight_decay": 0.1},
    ),
}


def ours(make, arguments):
    steps = [make(**arguments) for _ in START]
    values, walked = list(START), []
    for number, rate in enumerate(RATES, 1):
        values = [step(number, x, c * x**3, rate) for step, x, c in zip(steps, values, COEFFICIENTS)]
        walked.append(values)
    return walked


def theirs(torch, kind, arguments):
    x = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, kind)([x], lr=RATES[0], **arguments)
    walked = []
    for rate in RATES:
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        (torch.tensor(COEFFICIENTS, dtype=torch.float64) * x**4 / 4).sum().backward()
        optimizer.step()
        walked.append(x.tolist())
    return walked


def main():
    try:
        import torch
    except ImportError:
        torch = None
    runs = []
    for name, (make, arguments, kind, torchs) in RUNS.items():
        values = ours(make, arguments)
        if torch:
            for a, b in zip(values, theirs(torch, kind, torchs)):
                assert all(math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12) for x, y in zip(a, b)), (name, a, b)
        rounded = [[round(value, 9) for value in step] for step in values]
        runs.append({"name": name, "rates": RATES, "values": rounded})
    written = {
        "by": f"torch {torch.__version__}" if torch else "the documentation of torch.optim",
        "start": START,
        "coefficients": COEFFICIENTS,
        "runs": runs,
    }
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(written) + "\n")


main()
