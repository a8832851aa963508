"""Interrupts: how soon a cell ends beside ipykernel, what polls cost, how soon a widget answers.

    cargo xtask bench interrupt [--runs N]

The cost of polls is that of the same loop with polls (in a cell) and without (in a macro's body, which
gets none), alternately in one worker whose flag has been stored to by a real interrupt before. A loop of a cycle or
two costs more or less by where its code and its stack happen to lie (on Zen 4 one through the stack took
0.034 s with the poll and 0.055 s without), so every run lays both out anew and the median is over layouts. The
tables go to `benches/results/interrupt.md`.
"""

import argparse
import queue
import statistics
import time

from kernels import ROOT, Kernel
from report import machine, today

# What a cell is busy with: in Rust, in Python (None where it has no like).
BUSY = {
    "an endless loop": ("println!(\"go\");\nloop {}", "print('go')\nwhile True: pass"),
    "a sleep": (
        "println!(\"go\");\nstd::thread::sleep(Duration::from_secs(100));",
        "print('go')\nimport time; time.sleep(100)",
    ),
    "an await": (
        "println!(\"go\");\nstd::future::pending::<()>().await;",
        "print('go')\nimport asyncio; await asyncio.Event().wait()",
    ),
    "a function of an earlier cell": ("println!(\"go\");\nspin(u64::MAX)", "print('go')\nspin(10**18)"),
    "a channel, by take-over": (
        "let (_tx, rx) = std::sync::mpsc::channel::<u8>();\nprintln!(\"go\");\nrx.recv()?",
        None,
    ),
}
SETUP = (
    "fn spin(n: u64) -> u64 { let mut s = 0; while s < n { s = std::hint::black_box(s + 1); } s }",
    "def spin(n):\n    s = 0\n    while s < n: s += 1\n    return s",
)
# Loops that have a poll, but for the arithmetic ones: each iteration does as much as is written.
LOOPS = {
    "while over a table of 256 (no poll)": "let mut i = 0u64; while i < n { sum += table[(i & 255) as usize] ^ i; i += 1; }",
    "for with a call of an earlier cell's function": "for i in 0..n { sum = mixed(sum, i); }",
    "for with a call of one cycle": "for i in 0..n { sum = sum.wrapping_add(std::hint::black_box(i)); }",
    "for of a number's methods (no poll)": "for i in 0..n { sum += table[(i & 255) as usize].abs_diff(i).min(9); }",
    "while that counts, in vectors (no poll)": "let block = vec![1u64; 4096]; for _ in 0..n / 4096 { let mut i = 0; while i < block.len() { sum = sum.wrapping_add(block[i]); i += 1; } }",
    "while of two cursors, in vectors (no poll)": "let block = vec![1u64; 4096]; for _ in 0..n / 2048 { let (mut i, mut j) = (0, block.len()); while i < j { j -= 1; sum ^= block[i] ^ block[j]; i += 1; } }",
    "loop that counts, in vectors (no poll)": "let block = vec![1u64; 4096]; for _ in 0..n / 4096 { let mut i = 0; loop { if i == block.len() { break; } sum = sum.max(block[i] ^ i as u64); i += 1; } }",
    "while to a found end (no poll)": "let block = vec![1u64; 4096]; for _ in 0..n / 4096 { let mut i = 0; while i < block.len() && block[i] < 9 { sum = sum.wrapping_add(block[i]); i += 1; } }",
    "while that bisects (no poll)": "let block: Vec<u64> = (0..4096).collect(); for round in 0..n / 16 { let (mut low, mut high) = (0, block.len()); while low < high { let middle = (low + high) / 2; if block[middle] < round & 4095 { low = middle + 1 } else { high = middle } } sum ^= low as u64; }",
    "while that bisects for chosen keys (no poll)": "let block: Vec<u64> = (0..4096).collect(); for round in 0..n / 16 { let key = mixed(round, n) & 4095; let (mut low, mut high) = (0, block.len()); while low < high { let middle = (low + high) / 2; if block[middle] < key { low = middle + 1 } else { high = middle } } sum ^= low as u64; }",
    "while of Euclid": "for i in 1..n / 16 { let (mut a, mut b) = (i, mixed(i, n) & 1023); while b != 0 { (a, b) = (b, a % b); } sum += a; }",
    "while along a chain": "let next: Vec<u32> = (1..=4096).collect(); for _ in 0..n / 4096 { let mut at = 0; while at != 4096 { sum += at as u64; at = next[at as usize]; } }",
    "while let of a stack": "let mut v: Vec<u64> = Vec::with_capacity(4096); for round in 0..n / 4096 { v.extend(round..round + 4096); while let Some(x) = v.pop() { sum = sum.wrapping_add(x); } }",
    "while let of a queue": "let mut q = std::collections::VecDeque::new(); for round in 0..n / 4096 { q.extend(round..round + 4096); while let Some(x) = q.pop_front() { sum ^= x; } }",
    "while let down a tree": "let tree: Vec<(u64, Option<u32>, Option<u32>)> = (0..4095u32).map(|i| (mixed(i as u64, n), (2 * i + 1 < 4095).then_some(2 * i + 1), (2 * i + 2 < 4095).then_some(2 * i + 2))).collect(); for round in 0..n / 12 { let key = mixed(round, n); let mut at = Some(0u32); while let Some(node) = at { let (k, left, right) = tree[node as usize]; sum ^= k; at = if key < k { left } else { right }; } }",
    "while let along a list": "struct Node { key: u64, next: Option<Box<Node>> } let mut list: Option<Box<Node>> = None; for i in 0..1024u64 { list = Some(Box::new(Node { key: i, next: list })); } for _ in 0..n / 1024 { let mut at = list.as_deref(); while let Some(node) = at { sum = sum.wrapping_add(node.key); at = node.next.as_deref(); } }",
    "while of Collatz": "for i in 1..n / 100 { let mut x = i; while x != 1 { x = if x % 2 == 0 { x / 2 } else { 3 * x + 1 }; sum += 1; } }",
    "for over a sum of 64": "for i in 0..n / 64 { sum += table[(i & 3) as usize..64].iter().sum::<u64>(); }",
    "loop that hashes": "let mut i = 0u64; loop { if i == n { break; } sum = (sum ^ i).wrapping_mul(0x9E3779B97F4A7C15).rotate_left(5); i = i.wrapping_add(1); }",
    "for that pushes": "let mut v = Vec::new(); for i in 0..n { v.push(i); if v.len() == 4096 { sum += v.iter().sum::<u64>(); v.clear(); } }",
    "for over a slice that pushes": "let block = vec![1u64; 4096]; let mut v = Vec::new(); for _ in 0..n / 4096 { for x in &block { v.push(*x); } sum += v.iter().sum::<u64>(); v.clear(); }",
    "while that pushes": "let mut v = Vec::new(); let mut i = 0u64; while i < n { v.push(i); if v.len() == 4096 { sum += v.iter().sum::<u64>(); v.clear(); } i += 1; }",
    "loop that pushes until": "let mut v = Vec::new(); let mut i = 0u64; loop { if i == n { break; } v.push(i); if v.len() == 4096 { sum += v.iter().sum::<u64>(); v.clear(); } i += 1; }",
}
# A machine that others use as well needs many.
POLL_RUNS = 3
ITERATIONS = 100_000_000
# What the polls of a loop may cost.
POLL_BAR = 0.05


# A peer that has not answered a press by then is started again.
PATIENCE = 10


def interrupted(kernel, code, patience=60):
    """Seconds from the request to the reply, and of the next cell; `queue.Empty` without a reply."""
    client = kernel.client
    message = client.execute(code)
    while True:
        shown = client.get_iopub_msg(timeout=60)
        if shown["parent_header"].get("msg_id") == message and shown["msg_type"] == "stream":
            break
    time.sleep(0.1)
    start = time.perf_counter()
    kernel.manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=patience)
    took = time.perf_counter() - start
    assert reply["content"]["ename"] in ("KeyboardInterrupt", "CancelledError"), reply["content"]
    start = time.perf_counter()
    kernel.must("1 + 1")
    return took, time.perf_counter() - start


def latencies(runs):
    rows = []
    with Kernel("oxilab") as rust, Kernel("python3") as python:
        rust.must(SETUP[0])
        python.must(SETUP[1])
        for name, cells in BUSY.items():
            times, deaf = {"rust": [], "python": []}, 0
            few = runs if cells[1] else max(3, runs // 4)
            for _ in range(few):
                times["rust"].append(interrupted(rust, cells[0]))
                if cells[1]:
                    try:
                        times["python"].append(interrupted(python, cells[1], PATIENCE))
                    except queue.Empty:
                        deaf += 1
                        python.manager.restart_kernel(now=True)
                        python.client.wait_for_ready(timeout=60)
                        python.must(SETUP[1])
            rows.append((name, times["rust"], times["python"], deaf))
            print(name, quantiles([t for t, _ in times["rust"]]), flush=True)
    return rows


def quantiles(times):
    if not times:
        return "—"
    ordered = sorted(times)
    high = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return f"{1000 * statistics.median(ordered):.1f} / {1000 * high:.1f} ms"


def polls(runs):
    rows = []
    with Kernel("oxilab") as kernel:
        # The flag has been stored to: nothing may treat it as a constant.
        interrupted(kernel, BUSY["an endless loop"][0])
        # The kernel sees no loop in a macro's call, and would not optimise that cell.
        kernel.must("%opt 2")
        kernel.must("fn mixed(sum: u64, i: u64) -> u64 { (sum ^ i).wrapping_mul(0x9E3779B97F4A7C15).rotate_left(7) }")
        for name, loop in LOOPS.items():
            body = f"let n = std::hint::black_box({ITERATIONS}u64); let mut sum = 0u64;"
            body += " let table: Vec<u64> = (0..256u64).map(std::hint::black_box).collect();"
            print_it = 'println!("{}", start.elapsed().as_secs_f64());'
            with_polls, without = [], []
            for run in range(runs):
                layout = f"std::hint::black_box([{run}u8; {8 * run + 1}]);" * (run % 4 + 1)
                timed = f"{layout} let start = Instant::now(); {body} {loop} std::hint::black_box(sum);"
                macro = f"macro_rules! unpolled {{ () => {{{{ {timed} {print_it} }}}} }}\nunpolled!()"
                with_polls.append(float(kernel.must(f"{{ {timed} {print_it} }}").text))
                without.append(float(kernel.must(macro).text))
            # Of neighbours: the machine's pace changes from minute to minute.
            ratio = statistics.median(polled / plain for polled, plain in zip(with_polls, without))
            rows.append((name, statistics.median(with_polls), statistics.median(without), ratio))
            print(name, rows[-1], flush=True)
    return rows


def callbacks(runs):
    """Seconds from a slider's message to the update of what it shows."""
    times = []
    with Kernel("oxilab") as kernel:
        client = kernel.client
        message = client.execute('interact(("n", 0..=1000), |n: i32| html(format!("<b>{n}</b>")));')
        slider = None
        while True:
            shown = client.get_iopub_msg(timeout=60)
            content = shown["content"]
            if shown["msg_type"] == "comm_open" and content["data"]["state"]["_model_name"] == "IntSliderModel":
                slider = content["comm_id"]
            if shown["parent_header"].get("msg_id") == message and content.get("execution_state") == "idle":
                break
        for value in range(10 * runs):
            data = {"method": "update", "state": {"value": value}, "buffer_paths": []}
            moved = client.session.msg("comm_msg", {"comm_id": slider, "data": data})
            start = time.perf_counter()
            client.shell_channel.send(moved)
            while client.get_iopub_msg(timeout=60)["msg_type"] != "update_display_data":
                pass
            times.append(time.perf_counter() - start)
            while client.get_iopub_msg(timeout=60)["content"].get("execution_state") != "idle":
                pass
    return times


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10)
    runs = parser.parse_args().runs
    slider = callbacks(runs)
    costs = polls(POLL_RUNS * runs)
    ends = latencies(runs)
    lines = [
        "# Interrupts and widgets",
        "",
        f"`cargo xtask bench interrupt`, {today()}, {machine()}. 50th / 95th percentile of {runs} runs.",
        "",
        "| a cell is busy with | ends after | ipykernel | the next cell after | ipykernel |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, rust, python, deaf in ends:
        figures = [quantiles([pair[part] for pair in times]) for part in (0, 1) for times in (rust, python)]
        if deaf:
            figures[1] += f"; {deaf} of {runs} presses not answered within {PATIENCE} s"
        lines.append("| " + " | ".join([name, *figures]) + " |")
    lines += [
        "",
        f"Loops of {ITERATIONS:,} iterations, medians of {POLL_RUNS * runs} runs, alternately; the cost is the median of neighbours' ratios:",
        "",
        "| loop | with polls | without | cost | bar | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, polled, plain, ratio in costs:
        held = "held" if ratio <= 1 + POLL_BAR else "**missed**"
        figures = f"{1000 * polled:.0f} ms | {1000 * plain:.0f} ms | {100 * (ratio - 1):+.1f} %"
        lines.append(f"| {name} | {figures} | ≤ {100 * POLL_BAR:.0f} % | {held} |")
    lines += ["", f"From a slider's message to the update of what it shows: {quantiles(slider)}.", ""]
    path = ROOT / "benches/results/interrupt.md"
    path.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
