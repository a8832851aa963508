"""Completion, inspection and interrupt as a person waits for them: oxilab beside ipykernel.

    cargo xtask bench assist [--runs N] [--strict]

Every action is asked often, warm, over real sockets; the table has the 50th and the 95th percentile
and goes to `benches/results/assist.md`. `--strict` makes a missed bar an error. Where the compiler
itself is asked for a type (the parameter of a closure), each request is one that no cache answers.
"""

import argparse
import random
import statistics
import sys
import time
from dataclasses import dataclass

from kernels import ROOT, Kernel
from report import machine, shown, today

# Completion, warm, with the whole prelude in scope.
COMPLETION_BAR = 0.150
# The next cell is taken this soon after an interrupt.
INTERRUPT_BAR = 1.0
SETUP = {
    "oxilab": """\
let numbers = vec![1i64, 2, 3];
let text = String::from("a");
let frame = df!("price" => [1.0, 2.0], "count" => [1i64, 2])?;
fn double(x: i64) -> i64 { x * 2 }""",
    "python3": """\
import collections
numbers = [1, 2, 3]
text = "a"
def double(x):
    \"\"\"Twice.\"\"\"
    return 2 * x""",
}


@dataclass
class Action:
    """One thing that a person does: what it is in each language, and what the answer must hold."""

    name: str
    kind: str
    rust: str
    python: str | None
    expected: str
    bar: float = COMPLETION_BAR


ACTIONS = [
    Action("complete a name", "complete", "numb", "numb", "numbers"),
    Action("complete a method of a vector", "complete", "numbers.pu", "numbers.ap", "p"),
    Action("complete a method behind a chain", "complete", "text.trim().to_up", "text.strip().up", "up"),
    Action("complete a path", "complete", "std::collections::Hash", "collections.Ord", ""),
    Action("complete in `use`", "complete", "use std::coll", "import coll", "collections"),
    Action("complete a method of a frame", "complete", "frame.", None, "height"),
    Action(
        "complete behind a lazy query",
        "complete",
        'frame.clone().lazy().filter(col("price").gt(lit(1))).gro',
        None,
        "group_by",
    ),
    Action("complete a column", "complete", 'frame.column("pr', None, "price"),
    Action("complete a name of the prelude", "complete", "train_te", None, "train_test_split"),
    Action("complete a magic", "complete", "%tim", "%tim", "time"),
    Action(
        "complete a closure's parameter (the compiler is asked)",
        "complete",
        "numbers.iter().map(|n{}| n{}.po",
        None,
        "pow",
    ),
    Action("inspect a method", "inspect", "numbers.push", "numbers.append", ""),
    Action("inspect a function", "inspect", "double", "double", "double"),
    Action("inspect a variable", "inspect", "numbers", "numbers", ""),
    Action("inspect a frame", "inspect", "frame", None, "price"),
]


def ask(kernel, action, code):
    """Seconds until the answer; an answer without what it must hold ends the bench."""
    client = kernel.client
    start = time.perf_counter()
    if action.kind == "complete":
        content = client.complete(code, len(code), reply=True, timeout=30)["content"]
        found = " ".join(content["matches"])
    else:
        content = client.inspect(code, len(code), reply=True, timeout=30)["content"]
        found = str(content["data"].get("text/plain", ""))
    seconds = time.perf_counter() - start
    if not found or action.expected not in found:
        raise SystemExit(f"{kernel.manager.kernel_name}: {action.name}: {code!r} gave {found[:200]!r}")
    return seconds


def measure(kernel, action, code, runs):
    def once():
        return ask(kernel, action, code.replace("{}", str(random.randrange(10**9))))

    for _ in range(3):
        once()
    return [once() for _ in range(runs)]


def wait_for_index(kernel, seconds=300):
    """The index of a fresh installation is made in the background."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        content = kernel.client.complete("frame.hei", 9, reply=True, timeout=30)["content"]
        if "height" in content["matches"]:
            return
        time.sleep(1)
    raise SystemExit("the completion index was not there in time: see `oxilab doctor`")


def interrupts(kernel, code, runs):
    """Seconds from the interrupt to the reply of the cell that it ends."""
    times = []
    for _ in range(runs):
        message = kernel.client.execute(code)
        time.sleep(0.7)
        start = time.perf_counter()
        kernel.manager.interrupt_kernel()
        while True:
            reply = kernel.client.get_shell_msg(timeout=30)
            if reply["parent_header"].get("msg_id") == message:
                break
        times.append(time.perf_counter() - start)
        assert reply["content"]["status"] == "error", reply["content"]
    return times


def percentiles(times):
    return statistics.median(times), statistics.quantiles(times, n=20, method="inclusive")[-1]


def measure_all(name, runs):
    """Action → times."""
    times = {}
    with Kernel(name) as kernel:
        kernel.must(SETUP[name])
        if name == "oxilab":
            wait_for_index(kernel)
        for action in ACTIONS:
            code = action.rust if name == "oxilab" else action.python
            if code is not None:
                # The compiler's answers take longer; a third of them tells enough.
                count = runs if action.bar else max(runs // 3, 5)
                times[action.name] = measure(kernel, action, code, count)
        loops = {"oxilab": "loop {}", "python3": "while True: pass"}
        sleeps = {
            "oxilab": "std::thread::sleep(std::time::Duration::from_secs(60));",
            "python3": "import time; time.sleep(60)",
        }
        few = max(runs // 5, 5)
        times["interrupt an endless loop"] = interrupts(kernel, loops[name], few)
        if name == "python3":
            times["interrupt a sleeping call"] = interrupts(kernel, sleeps[name], few)
        else:
            times["interrupt a sleeping call"] = interrupts(kernel, sleeps[name], few)
            kernel.must("assert_eq!(numbers.len(), 3);")
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    ours, theirs = (measure_all(name, options.runs) for name in ("oxilab", "python3"))
    bars = {action.name: action.bar for action in ACTIONS}
    lines = [
        "| | oxilab 50 % | oxilab 95 % | bar | holds | ipykernel 50 % | ipykernel 95 % |",
        "|:--|--:|--:|--:|:--|--:|--:|",
    ]
    missed = []
    for name, times in ours.items():
        middle, high = percentiles(times)
        bar = bars.get(name, INTERRUPT_BAR)
        holds = high <= bar
        if not holds:
            missed.append(name)
        peer = [shown(value, "s") for value in percentiles(theirs[name])] if name in theirs else ["—", "—"]
        words = "yes" if holds else "**no**"
        cells = [name, shown(middle, "s"), shown(high, "s"), shown(bar, "s"), words, *peer]
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    text = (
        f"# Completion, inspection, interrupt\n\n`cargo xtask bench assist`, {today()}, {machine()}.\n\n"
        f"{options.runs} requests of each kind over real sockets, warm; one process asks one kernel.\n\n"
        + "\n".join(lines)
        + "\n"
    )
    path = ROOT / "benches/results/assist.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    print(f"written to {path}")
    if missed:
        print("missed: " + ", ".join(missed))
        if options.strict:
            sys.exit(1)


if __name__ == "__main__":
    main()
