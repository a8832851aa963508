"""Language models against llama.cpp and PEFT, both sides in one run: `cargo xtask bench llm`.

    python llm.py --measure PROGRAM --with-llama PROGRAM --model MODEL.gguf --folder SCRATCH [--rounds N] [--only speed|train]

Rounds alternate between the sides, so that a slow minute of the machine meets both.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

from report import machine, today

HERE = pathlib.Path(__file__).parent
STEPS = "5"
WITH_LLAMA = "oxilab with llama.cpp"
SPEEDS = ["oxilab", WITH_LLAMA, "llama.cpp"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--measure", required=True)
    parser.add_argument("--with-llama", required=True, help="the same program, built with llama.cpp")
    parser.add_argument("--model", required=True)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["speed", "train"])
    options = parser.parse_args()
    dense = pathlib.Path(options.folder) / "smollm2-f32"
    ours = lambda *arguments: once([options.measure, *arguments])
    peer = lambda *arguments: once([sys.executable, "-P", str(HERE / "llm_peers.py"), *arguments])
    if not (dense / "tokenizer_config.json").is_file():
        ours("save", options.model, str(dense))
    sides = {}
    if options.only != "train":
        sides |= {
            "oxilab": lambda: ours("speed", options.model),
            WITH_LLAMA: lambda: once([options.with_llama, "speed", options.model, "llama-cpp"]),
            "llama.cpp": lambda: peer("speed", options.model),
        }
    if options.only != "speed":
        sides |= {
            "QLoRA": lambda: ours("train", options.model, STEPS),
            "LoRA": lambda: ours("train", str(dense), STEPS),
            "PEFT": lambda: peer("train", str(dense), STEPS),
        }
    runs = {name: [] for name in sides}
    for number in range(options.rounds):
        # Training is slow and even: once is enough for all but the first round's shape.
        for name, side in sides.items():
            if number == 0 or name in SPEEDS:
                runs[name].append(side())
                figures = {k: v for k, v in runs[name][-1].items() if k not in ("losses", "system")}
                print(name, figures, flush=True)
    path = HERE / "results" / "llm.md"
    path.write_text(markdown(runs, options.rounds), encoding="utf-8")
    print(f"written to {path}")


def once(command):
    threads = dict(RAYON_NUM_THREADS="2", CANDLE_NUM_THREADS="2", OMP_NUM_THREADS="2")
    done = subprocess.run(
        command,
        env={**os.environ, **threads, "TOKENIZERS_PARALLELISM": "false"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return json.loads(lines[-1])


def markdown(runs, rounds):
    middle = lambda side, key: statistics.median(run[key] for run in runs[side])
    megabytes = lambda side: middle(side, "peak") / 1e6
    rows = []

    def row(name, unit, ours, other, peer, ratio, bar, holds):
        verdict = "held" if holds else "**missed**"
        shown = lambda value: f"{value:.0f}" if value >= 100 else f"{value:.3g}"
        rows.append(f"| {name} | {shown(ours)} {unit} | {shown(other)} {unit} | {peer} | {ratio:.2f} × | {bar} | {verdict} |")

    if "oxilab" in runs:
        for side, engine, bars in (("oxilab", "candle", (0.5, 0.6)), (WITH_LLAMA, "llama.cpp", (0.9, 0.9))):
            tasks = ("reading a prompt of 256 tokens", "prompt"), ("generating 64 tokens", "generation")
            for (task, key), bar in zip(tasks, bars):
                ours, other = middle(side, key), middle("llama.cpp", key)
                name = f"{task}, by {engine}"
                row(name, "tokens/s", ours, other, "llama.cpp", ours / other, f"≥ {bar} ×", ours >= bar * other)
    if "PEFT" in runs:
        for side in ("LoRA", "QLoRA"):
            ours, other = middle(side, "step"), middle("PEFT", "step")
            row(f"a {side} step", "s", ours, other, "PEFT's LoRA, f32", ours / other, "≤ 2 ×", ours <= 2 * other)
        for peer, name in (("LoRA", "oxilab's LoRA, f32"), ("PEFT", "PEFT's LoRA, f32")):
            ours, other = megabytes("QLoRA"), megabytes(peer)
            row("peak memory of QLoRA", "MB", ours, other, name, ours / other, "≤ 0.6 ×", ours <= 0.6 * other)
    table = "\n".join(rows)
    system = runs["llama.cpp"][0]["system"].strip(" |\n") if "llama.cpp" in runs else "not run"
    return f"""# Language models

`cargo xtask bench llm`, {today()}, {machine()}. SmolLM2-135M Q4_1, two threads on either side; speeds are medians of {rounds} alternating rounds of three runs, training steps medians of {int(STEPS) - 1} after one to warm up, 1 × 256 tokens, rank 8 on all seven layers, gradient checkpointing on both sides.

| | oxilab | peer | | ratio | bar | |
|---|---|---|---|---|---|---|
{table}

The peer's llama.cpp is the wheel of `xllamacpp`: {system}. oxilab's is built for this machine. PEFT's memory has Python's and PyTorch's libraries in it.
"""


main()
