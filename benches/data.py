"""Data verbs against Python polars and pandas on the same files, in one run.

`cargo xtask bench data [--megabytes N] [--runs N] [--wide ROWS]` calls this. oxilab runs as users run
it: cells of a real kernel. Every engine works in a fresh process each run, engines take turns, and
times are those of the verb, without starting or compiling. Bars: at most 1.25 times Python polars'
time and 1.2 times its memory, a third of pandas' time; the profile of a wide frame at most three times
`describe` with correlations.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from data_files import orders, users, wide
from kernels import ROOT, Kernel
from report import machine, today

TASKS = ["read", "group-by", "join", "profile", "validate"]
RESULT = ROOT / "benches/results/data.md"

ITEMS = """\
fn reset_peak() -> std::io::Result<()> {
    std::fs::write("/proc/self/clear_refs", "5")
}
fn told(task: &str, started: std::time::Instant, check: i64) {
    let seconds = started.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM: 0 kB");
    let peak: f64 = line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or(0.0);
    let peak = peak / 1000.0;
    println!("{}", json!({ "task": task, "seconds": seconds, "peak": peak, "check": check }));
}
"""

CELLS = {
    "read": "let df = data::read({orders:?})?;\nlet check = df.height() as i64;",
    "group-by": """\
let by_user = df.group_agg(["user"], [
    col("amount").sum(), col("price").mean(), col("score").max(), len().alias("n"),
])?;
let by_city = df.group_agg(["city", "returned"], [col("amount").median(), col("weight").std(1)])?;
let check = (by_user.height() + by_city.height()) as i64;
""",
    "join": """\
let joined = df.join(&table, ["user"], ["user"], JoinArgs::new(JoinType::Left), None)?;
let check = joined.column("age")?.i64()?.sum().unwrap_or(0);
""",
    "profile": "let found = data::profile(&df)?;\nlet check = found.rows as i64;",
    "validate": """\
let report = data::expect(&df)
    .not_null("id").unique("id").between("amount", 0.0, 400.0)
    .one_of("city", ["Oslo", "Rome", "Lima", "Cairo", "Osaka", "Quito", "Paris"])
    .matches("user", r"^u\\d{1,6}$").increasing("time")
    .row("price", col("price").lt_eq(col("amount") * lit(1.2))).run()?;
let check = report.outcomes.iter().map(|outcome| outcome.failing as i64).sum::<i64>();
""",
}


def cell(task, **paths):
    """A task between clock and report; what it makes beside `df` goes when the cell ends."""
    code = CELLS[task]
    for name, path in paths.items():
        code = code.replace("{" + name + ":?}", json.dumps(str(path)))
    if task != "read":
        code = "{\n" + code + f'told("{task}", started, check);\n}}'
    else:
        code += f'\ntold("{task}", started, check);'
    return f"reset_peak()?;\nlet started = std::time::Instant::now();\n{code}\n"


def oxilab(orders_path, users_path):
    with Kernel("oxilab") as kernel:
        kernel.must(ITEMS)
        for task in TASKS:
            yield json.loads(kernel.must(cell(task, orders=orders_path), timeout=600).text)
            if task == "read":
                kernel.must(f"let table = data::read({json.dumps(str(users_path))})?;")


def oxilab_wide(path):
    with Kernel("oxilab") as kernel:
        kernel.must(ITEMS)
        kernel.must(f"let df = data::read({json.dumps(str(path))})?;", timeout=600)
        code = "let found = data::profile(&df)?;\ntold(\"wide\", started, found.rows as i64);"
        code = f"reset_peak()?;\nlet started = std::time::Instant::now();\n{code}\n"
        yield json.loads(kernel.must(code, timeout=600).text)


def peer(*arguments):
    command = [sys.executable, str(ROOT / "benches/data_peers.py"), *map(str, arguments)]
    lines = subprocess.run(command, capture_output=True, text=True, check=False)
    if lines.returncode:
        raise SystemExit(f"{arguments[0]} failed:\n{lines.stderr}")
    yield from map(json.loads, lines.stdout.splitlines())


def collect(results, engine, measured):
    for line in measured:
        print(f"{engine} {line['task']}: {line['seconds']:.2f} s, {line['peak']:.0f} MB", flush=True)
        results.setdefault(line["task"], {}).setdefault(engine, []).append(line)


def median(results, task, engine, what):
    lines = results.get(task, {}).get(engine)
    return statistics.median(line[what] for line in lines) if lines else None


def agree(results):
    """All engines found the same; the profile has nothing to compare."""
    for task, engines in results.items():
        found = {line["check"] for lines in engines.values() for line in lines}
        found.discard(None)
        if len(found) > 1 and task not in ("profile", "describe"):
            raise SystemExit(f"{task}: the engines found different results: {found}")


def table(results):
    head = "| task | oxilab | Python polars | ratio (bar 1.25) | pandas | ratio (bar 3) | memory | Python polars | ratio (bar 1.2) |"
    lines = [head, "|" + "---|" * 9]
    missed = []
    for task in TASKS:
        time = median(results, task, "oxilab", "seconds")
        polars = median(results, task, "polars", "seconds")
        pandas = median(results, task, "pandas", "seconds")
        peak, their_peak = median(results, task, "oxilab", "peak"), median(results, task, "polars", "peak")
        ratios = time / polars, pandas / time, peak / their_peak
        held = ratios[0] <= 1.25, ratios[1] >= 3, ratios[2] <= 1.2
        missed += [task] * (not all(held))
        shown = [f"{ratio:.2f} ×" if ok else f"**{ratio:.2f} ×**" for ratio, ok in zip(ratios, held)]
        lines.append(
            f"| {task} | {time:.2f} s | {polars:.2f} s | {shown[0]} | {pandas:.2f} s | {shown[1]} "
            f"| {peak:.0f} MB | {their_peak:.0f} MB | {shown[2]} |"
        )
    return "\n".join(lines), missed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--wide", type=int, default=10_000_000, help="rows; 0 leaves it out")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    files = orders(options.folder, options.megabytes), users(options.folder)
    results = {}
    for run in range(options.runs):
        collect(results, "oxilab", oxilab(*files))
        collect(results, "polars", peer("polars", *files))
        if run == 0:
            collect(results, "pandas", peer("pandas", *files))
    if options.wide:
        path = wide(options.folder, options.wide)
        for _ in range(min(options.runs, 2)):
            collect(results, "oxilab", oxilab_wide(path))
            collect(results, "polars", peer("wide", path))
    agree(results)
    text, missed = table(results)
    import pandas
    import polars

    size = files[0].stat().st_size / 1e6
    about = (
        f"# Data\n\n`cargo xtask bench data`, {today()}, {machine()}; Python polars {polars.__version__}, "
        f"pandas {pandas.__version__}. CSV of {size:.0f} MB, medians of {options.runs} runs (pandas: one), "
        "each in a fresh process; ratios in bold miss their bar.\n\n"
    )
    extra = describe(results, options)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(f"{about}{text}\n\n{extra}\n", encoding="utf-8")
    print(RESULT.read_text(encoding="utf-8"))
    if missed:
        print(f"missed: {', '.join(missed)}")


def describe(results, options):
    """The profile against `describe` and correlations alone."""
    lines = []
    own, theirs = median(results, "profile", "oxilab", "seconds"), median(results, "describe", "polars", "seconds")
    lines.append(
        "The profile is compared with the same statistics written in Python polars; against `describe` and "
        f"correlations alone ({theirs:.2f} s) it takes {own / theirs:.2f} ×."
    )
    if options.wide:
        own, theirs = (median(results, "wide", engine, "seconds") for engine in ("oxilab", "polars"))
        peaks = [median(results, "wide", engine, "peak") for engine in ("oxilab", "polars")]
        lines.append(
            f"{options.wide:,} rows × 20 columns: profile {own:.2f} s at {peaks[0]:.0f} MB, `describe` and "
            f"correlations in Python polars {theirs:.2f} s at {peaks[1]:.0f} MB: {own / theirs:.2f} × (bar 3)."
        )
    return "\n\n".join(lines)


if __name__ == "__main__":
    main()
