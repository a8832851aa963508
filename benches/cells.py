"""The latency of cells: oxilab against ipykernel and evcxr, with bare rustc as the floor.

    cargo xtask bench cells [--peers] [--runs N] [--only PART] [--strict]

Every timed cell differs from all before it in a number, so that no cache answers it. Times are from
request to idle as a front end sees them, medians of at least ten runs. The table goes to
`benches/results/cells.md`; `--strict` makes a missed bar an error.
"""

import argparse
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import nbformat
from kernels import EVCXR_DEPS, ROOT, Kernel, evcxr
from report import Report

FRAME = """\
let frame = df!(
    "k" => (0..100_000i64).map(|i| i % 10).collect::<Vec<_>>(),
    "v" => (0..100_000i64).collect::<Vec<_>>()
)?;"""
GROUP_BY = 'frame.clone().lazy().group_by([col("k")]).agg([col("v").sum().alias("{}")]).collect()?'
LOOP = """\
    let mut state = seed;
    let mut total = 0.0f64;
    for step in 0..200_000_000u64 {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(step | 1);
        total += (state >> 40) as f64;
    }
"""
TIMED = "let (start, seed) = (std::time::Instant::now(), {}u64);\n"
SHOWN = 'println!("{}", start.elapsed().as_secs_f64());\n'
LOOP_IN_CELL = "{{\n" + TIMED + LOOP.replace("{", "{{").replace("}", "}}") + "std::hint::black_box(total);\n"
FUNCTION = "fn tight(seed: u64) -> f64 {\n" + LOOP + "    total\n}"
CALL = "{{\n" + TIMED + "std::hint::black_box(tight(seed));\n"


def fresh():
    """A number that no earlier run has used."""
    return random.randrange(10**6, 10**9)


def median(measure, runs):
    return statistics.median(measure() for _ in range(runs))


def rustc_floor(runs):
    """Seconds of the real rustc (not the rustup proxy) on an empty cdylib."""
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, check=True, text=True)
    rustc = pathlib.Path(sysroot.stdout.strip(), "bin/rustc")
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "empty.rs")
        source.write_text("", encoding="utf-8")
        command = [rustc, "--crate-type", "cdylib", "-C", "opt-level=0", "-o", source.with_suffix(".so")]

        def once():
            start = time.perf_counter()
            subprocess.run([*command, source], check=True)
            return time.perf_counter() - start

        once()
        return median(once, runs)


def small_cells(kernel, runs, python=False):
    """Medians of `1 + n`, of a `let`, and the compiles of the latter."""
    kernel.must("1 + 1")
    binding = "x = [1, 2, {}]" if python else "let x = vec![1, 2, {}];"
    compiles = []

    def let():
        cell = kernel.must(binding.format(fresh()))
        compiles.append(cell.oxilab.get("compiles"))
        return cell.seconds

    plus = median(lambda: kernel.must(f"1 + {fresh()}").seconds, runs)
    return plus, median(let, runs), compiles


def group_by(kernel, runs):
    kernel.must(FRAME)
    kernel.must(GROUP_BY.format("warm"))
    return median(lambda: kernel.must(GROUP_BY.format(f"s{fresh()}")).seconds, runs)


def start_to_result(name):
    start = time.perf_counter()
    with Kernel(name) as kernel:
        kernel.must(f"1 + {fresh()}")
        return time.perf_counter() - start


def long_notebook(kernel, runs):
    """The same probe after 2 cells and after 200 (100 functions, 100 variables)."""

    def grow(first, last):
        for i in range(first, last):
            kernel.must(f"fn f{i}(x: i64) -> i64 {{ x.wrapping_mul({fresh()}) }}")
            kernel.must(f"let v{i} = f{i}({fresh()});")

    def probe():
        return kernel.must(f"let probe = f0({fresh()}) ^ v0;").seconds

    grow(0, 1)
    probe()
    early = median(probe, runs)
    grow(1, 100)
    return early, median(probe, runs)


def release_loop(runs):
    """Seconds of the loop in a program built as `--release` builds it."""
    main = "fn main() {\n" + LOOP_IN_CELL.format(1)[1:] + SHOWN + "}\n"
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "tight.rs")
        source.write_text(main, encoding="utf-8")
        program = source.with_suffix("")
        flags = ["-C", "opt-level=3", "-C", "target-cpu=native", "--edition", "2024"]
        subprocess.run(["rustc", *flags, "-o", program, source], check=True)

        def once():
            shown = subprocess.run([program], capture_output=True, check=True, text=True)
            return float(shown.stdout)

        return median(once, runs)


def loops(kernel, runs):
    """Seconds of the same loop in a cell, and in a function of an earlier cell."""
    kernel.must(FUNCTION)
    in_cell = median(lambda: float(kernel.must(LOOP_IN_CELL.format(fresh()) + SHOWN + "}").text), runs)
    in_function = median(lambda: float(kernel.must(CALL.format(fresh()) + SHOWN + "}").text), runs)
    return in_cell, in_function


def tour_cells():
    notebook = nbformat.read(ROOT / "notebooks/00-tour.ipynb", as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def run_tour(env=None):
    with Kernel("oxilab", env=env) as kernel:
        return [kernel.must(source) for source in tour_cells()]


def measure_oxilab(report, runs, wanted):
    floor = rustc_floor(runs)
    report.floor = floor
    with Kernel("oxilab") as kernel:
        if wanted("small"):
            plus, let, compiles = small_cells(kernel, runs)
            report.add("small", "`1 + n`, all in scope", plus, 3.5 * floor, "3.5 × rustc")
            report.add("small", "`let x = vec![…];`", let, 3.5 * floor, "3.5 × rustc")
            counted = [count for count in compiles if count is not None]
            worst = max(counted, default=float("nan"))
            report.add("small", "compiles of that `let`", worst, 1, "1", unit="")
        if wanted("memory"):
            with Kernel("oxilab") as idle:
                idle.must("1 + 1")
                time.sleep(1)
                total = sum(idle.megabytes().values())
            report.add("memory", "kernel and worker, idle", total, 120, "120 MB", unit="MB")
        if wanted("groupby"):
            report.add("groupby", "polars group-by", group_by(kernel, runs), 0.6, "0.6 s")
        if wanted("loops"):
            release = release_loop(runs)
            in_cell, in_function = loops(kernel, runs)
            report.add("loops", "tight loop in a cell", in_cell, 1.5 * release, "1.5 × --release")
            name = "tight loop in an earlier function"
            report.add("loops", name, in_function, 1.5 * release, "1.5 × --release")
    if wanted("start"):
        ours = median(lambda: start_to_result("oxilab"), runs)
        theirs = median(lambda: start_to_result("python3"), runs)
        report.add("start", "start to first result", ours, 1.5 * theirs, "1.5 × ipykernel")
        report.peer("start to first result", "ipykernel", theirs)
    if wanted("long"):
        with Kernel("oxilab") as kernel:
            early, late = long_notebook(kernel, runs)
        report.add("long", "cell 200 (same probe after cell 2 = bar)", late, 1.3 * early, "1.3 × cell 2")
    if wanted("tour"):
        measure_tour(report)


def measure_tour(report):
    with tempfile.TemporaryDirectory() as cache:
        cold = run_tour({"OXILAB_CACHE_DIR": cache})
        warm = run_tour({"OXILAB_CACHE_DIR": cache})
    compiles = [cell.oxilab.get("compiles", 0) for cell in cold]
    compiled = [count for count in compiles if count]
    once = 100 * sum(count == 1 for count in compiled) / max(len(compiled), 1)
    report.add("tour", "tour, cells with more than one compile", 100 - once, 5, "5 %", unit="%")
    compile_ms = sum(cell.oxilab.get("compile_ms", float("nan")) for cell in warm)
    report.add("tour", "tour again, compile time", compile_ms / 1000, 0, "0")
    overhead = max(cell.oxilab.get("overhead_ms", float("nan")) for cell in warm)
    report.add("tour", "tour again, most overhead of a cell", overhead / 1000, 0.02, "20 ms")


def measure_peers(report, runs, with_evcxr, peers):
    with Kernel("python3") as kernel:
        plus, let, _ = small_cells(kernel, runs, python=True)
    report.peer("`1 + n`, all in scope", "ipykernel", plus)
    report.peer("`let x = vec![…];`", "ipykernel", let)
    if not with_evcxr:
        return
    start = evcxr(peers)
    with start() as kernel:
        plus, let, _ = small_cells(kernel, runs)
        report.peer("`1 + n`, all in scope", "evcxr, no crates", plus)
        report.peer("`let x = vec![…];`", "evcxr, no crates", let)
    with start() as kernel:
        print("evcxr builds its crates; the first time takes some 24 minutes", flush=True)
        kernel.must(EVCXR_DEPS, timeout=3600)
        kernel.must("use polars::prelude::*;", timeout=600)
        plus, let, _ = small_cells(kernel, runs)
        report.peer("`1 + n`, all in scope", "evcxr, same crates", plus)
        report.peer("`let x = vec![…];`", "evcxr, same crates", let)
        report.peer("polars group-by", "evcxr, same crates", group_by(kernel, runs), at_least=5)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--only", help="small, memory, groupby, loops, start, long or tour")
    parser.add_argument("--peers", action="store_true", help="evcxr_jupyter as well")
    parser.add_argument("--strict", action="store_true", help="a missed bar is an error")
    parser.add_argument("--peers-folder", default=str(pathlib.Path.home() / ".cache/oxilab/peers"))
    options = parser.parse_args()
    report = Report(options.runs)
    measure_oxilab(report, options.runs, lambda part: options.only in (None, part))
    if options.only is None:
        measure_peers(report, options.runs, options.peers, options.peers_folder)
    print(report.markdown())
    if options.only is None:
        report.write(ROOT / "benches/results/cells.md")
    if options.strict and report.missed():
        sys.exit(f"bars missed: {', '.join(report.missed())}")


if __name__ == "__main__":
    main()
