"""Deep learning against PyTorch and sentence-transformers, in turns, into benches/results/nn.md.

    cargo xtask bench nn [--rounds N]

A perceptron 784-512-256-10 at batch 128, a convolutional net of four 3 × 3 layers with batch norm on 64
pictures of 28 × 28, both with cross entropy and AdamW, from the batch to the changed weights; and vectors
of 256 texts of 8 to 120 words by all-MiniLM-L6-v2. Two threads on both sides.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys

import report

BARS = {"mlp": 1.3, "cnn": 3.0, "embed": 1 / 0.7}
NAMES = {
    "mlp": "perceptron, training step",
    "cnn": "convolutional net, training step",
    "embed": "MiniLM, vectors of 256 texts",
}


def texts(path):
    """256 texts of ordinary words, always the same."""
    words = (pathlib.Path(__file__).parents[1] / "ARCHITECTURE.md").read_text(encoding="utf-8").split()[:2000]
    choice = random.Random(0)
    rows = [" ".join(choice.choice(words) for _ in range(choice.randint(8, 120))) for _ in range(256)]
    path.write_text(json.dumps(rows), encoding="utf-8")


def measured(command):
    run = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "RAYON_NUM_THREADS": "2"})
    return {row["name"]: row.get("seconds", row.get("values")) for row in map(json.loads, run.stdout.splitlines())}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--folder", required=True)
    options = parser.parse_args()
    folder = pathlib.Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "texts.json"
    texts(path)
    here = pathlib.Path(__file__).parent
    ours, theirs = [], []
    for number in range(options.rounds):
        theirs.append(measured([sys.executable, str(here / "nn_peers.py"), options.model, str(path), "2"]))
        ours.append(measured([options.measure, options.model, str(path)]))
        print(f"round {number + 1}: oxilab {ours[-1]}\n         peers {theirs[-1]}", flush=True)
    apart = max(abs(a - b) for a, b in zip(ours[0]["vector"], theirs[0]["vector"]))
    assert apart < 1e-4, f"the vectors differ by {apart}"
    lines = ["| | oxilab | peer | ratio of times | bar | |", "|---|---|---|---|---|---|"]
    missed = []
    for name, bar in BARS.items():
        us, them = (statistics.median(row[name] for row in rows) for rows in (ours, theirs))
        held = us / them <= bar
        missed += [] if held else [name]
        lines.append(
            f"| {NAMES[name]} | {1000 * us:.2f} ms | {1000 * them:.2f} ms | {us / them:.2f} | ≤ {bar:.2f} | {'held' if held else '**missed**'} |"
        )
    text = (
        f"# Deep learning\n\n`cargo xtask bench nn`, {report.today()}, {report.machine()}; medians of {options.rounds} rounds in turns, 2 threads, load average {os.getloadavg()[1]:.0f}.\n\n"
        + "\n".join(lines)
        + f"\n\nThe peers are PyTorch for the steps and sentence-transformers for the vectors, whose throughput is {1 / (statistics.median(r['embed'] for r in ours) / statistics.median(r['embed'] for r in theirs)):.2f} × theirs; the first vectors differ by {apart:.1e} at most.\n"
    )
    target = here / "results" / "nn.md"
    target.write_text(text, encoding="utf-8")
    print(text)


main()
