"""Learners against Python's on the same data with the same parameters, in one run.

`cargo xtask bench model [--rows N] [--runs N] [--only TASK]` calls this. oxilab runs as users run it: cells
of a real kernel. Both sides have two threads, take turns, and get frames that are already in memory; what
is timed is the verb. Bars, as shares of Python's time: LightGBM 1.15, forests, neighbours and tuning 1,
k-means, logistic regression and PCA 1.5, one row 1/20. Quality must be within one standard error.
"""

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
from dataclasses import dataclass, field

from kernels import ROOT, Kernel
from model_files import TEST_SHARE, adult, blobs, builtin
from report import machine, today

RESULT = ROOT / "benches/results/model.md"
THREADS = "2"
ENVIRONMENT = {"RAYON_NUM_THREADS": THREADS, "OMP_NUM_THREADS": THREADS, "POLARS_MAX_THREADS": THREADS}

ITEMS = """\
fn parts(path: &str) -> anyhow::Result<(DataFrame, DataFrame)> {
    let all = data::read(path)?;
    let rows = 0..all.height();
    let test: Vec<bool> = rows.map(|row| row % TEST_SHARE == 0).collect();
    let train: Vec<bool> = test.iter().map(|test| !test).collect();
    let part = |mask: &[bool]| all.filter(&BooleanChunked::from_slice("mask".into(), mask));
    Ok((part(&train)?, part(&test)?))
}

fn told(seconds: f64, quality: f64) {
    println!("{}", json!({ "seconds": seconds, "quality": quality }));
}

fn one_row(model: &model::FittedModel, test: &DataFrame) -> anyhow::Result<f64> {
    let mut seconds = Vec::new();
    for row in 0..50 {
        let row = test.slice(row, 1);
        let started = std::time::Instant::now();
        let _ = model.predict_proba(&row)?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[25])
}
""".replace("TEST_SHARE", str(TEST_SHARE))


def fit(learner, target, metric):
    """Fits between the clock's two looks, then evaluates."""
    return f"""\
let fitted = {learner}.fit(&train, "{target}")?;
let seconds = started.elapsed().as_secs_f64();
told(seconds, fitted.evaluate(&test)?.get("{metric}").unwrap());
"""


def neighbours(target):
    return f"""\
let fitted = model::KNeighbors::new().fit(&train, "{target}")?;
let predicted = fitted.predict(&test)?;
let seconds = started.elapsed().as_secs_f64();
let same = predicted.str()?.equal(test.column("{target}")?.str()?).sum().unwrap_or(0);
told(seconds, f64::from(same) / test.height() as f64);
"""


def row(learner):
    """A category that only the test rows have is passed over, as `handle_unknown="ignore"` does."""
    return f"""\
let fitted = {learner}.fit(&train, "income")?.with_unseen_as_missing(true);
told(one_row(&fitted, &test)?, fitted.evaluate(&test)?.get("roc_auc").unwrap());
"""


KMEANS = """\
let fitted = model::KMeans::new().with_n_init(3).fit(&train.drop("y")?)?;
told(started.elapsed().as_secs_f64(), fitted.metrics()["inertia"]);
"""
PCA = """\
let fitted = model::Pca::new().with_n_components(5).fit(&train.drop("y")?)?;
let seconds = started.elapsed().as_secs_f64();
let share: f64 = fitted.metrics().iter().filter(|(name, _)| name.starts_with("explained")).map(|(_, v)| v).sum();
told(seconds, share);
"""
TUNE = """\
let wine = train.vstack(&test)?;
let space = model::Space::new().int("trees", 10, 60).int("depth", 1, 8).int("leaf", 1, 20);
let started = std::time::Instant::now();
let study = model::tune(&space, 100, |trial| {
    let learner = model::RandomForest::new()
        .with_n_estimators(trial.usize("trees")?)
        .with_max_depth(Some(trial.usize("depth")?))
        .with_min_samples_leaf(trial.usize("leaf")?);
    Ok(model::cross_validate(&learner, &wine, "target", 5)?.mean("accuracy"))
})?;
told(started.elapsed().as_secs_f64(), study.best_value().unwrap());
"""


@dataclass
class Task:
    """A task: its data, its cell, its bar, and how far apart two qualities may be."""

    name: str
    data: str
    cell: str
    # Of Python's time; none for what is only reported.
    bar: float | None
    # "share" has a standard error over the test rows, "loss" may be 2 % higher, "same" equals to 1e-6.
    quality: str = "share"
    ours: list = field(default_factory=list)
    theirs: list = field(default_factory=list)

    def median(self, side, what):
        return statistics.median(line[what] for line in side)

    def ratio(self):
        return self.median(self.ours, "seconds") / self.median(self.theirs, "seconds")

    def equal(self, rows):
        a, b = self.median(self.ours, "quality"), self.median(self.theirs, "quality")
        if self.quality == "share":
            return a >= b - math.sqrt(max(b * (1 - b), 1e-9) / rows)
        return a <= b * 1.02 if self.quality == "loss" else abs(a - b) < 1e-6


TASKS = [
    Task("lightgbm", "adult", fit("model::LightGbm::new()", "income", "roc_auc"), 1.15),
    Task("xgboost", "adult", fit("model::XgBoost::new()", "income", "roc_auc"), None),
    Task("forest", "small", fit("model::RandomForest::new()", "income", "roc_auc"), 1.0),
    Task("extra-trees", "small", fit("model::ExtraTrees::new()", "income", "roc_auc"), 1.0),
    Task("knn", "blobs", neighbours("y"), 1.0),
    Task("knn-digits", "digits", neighbours("target"), 1.0),
    Task("kmeans", "numbers", KMEANS, 1.5, "loss"),
    Task("logistic", "numbers", fit("model::LogisticRegression::new()", "y", "roc_auc"), 1.5),
    Task("pca", "numbers", PCA, 1.5, "same"),
    Task("row-logistic", "tiny", row("model::LogisticRegression::new()"), 1 / 20),
    Task("row-forest", "tiny", row("model::RandomForest::new()"), 1 / 20),
    Task("tune", "wine", TUNE, 1.0),
]


def oxilab(kernel, task, path):
    """Data are read and told apart in a cell of their own; the clock starts in the next."""
    kernel.must(f"let (train, test) = parts({json.dumps(str(path))})?;", timeout=600)
    cell = "let started = std::time::Instant::now();\n" + task.cell
    return json.loads(kernel.must("{\n" + cell + "}", timeout=600).text.splitlines()[-1])


def peer(task, path):
    command = [sys.executable, str(ROOT / "benches/model_peers.py"), task.name, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    if done.returncode:
        raise SystemExit(f"{task.name} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def environment():
    import os

    return {**os.environ, **ENVIRONMENT, "OPENBLAS_NUM_THREADS": THREADS}


def shown(seconds):
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.3g} ms"


def table(tasks, rows):
    head = "| task | rows | oxilab | Python | ratio | bar | quality | Python's |"
    lines, missed = [head, "|" + "---|" * 8], []
    for task in tasks:
        ratio, equal = task.ratio(), task.equal(rows[task.data] // TEST_SHARE)
        holds = equal and (task.bar is None or ratio <= task.bar)
        missed += [task.name] * (not holds)
        bar = "–" if task.bar is None else f"{task.bar:.3g}"
        ratio = f"{ratio:.3g}" if holds else f"**{ratio:.3g}**"
        a, b = task.median(task.ours, "quality"), task.median(task.theirs, "quality")
        seconds = [shown(task.median(side, "seconds")) for side in (task.ours, task.theirs)]
        lines.append(
            f"| {task.name} | {rows[task.data]:,} | {seconds[0]} | {seconds[1]} | {ratio} | {bar} | {a:.5g} | {b:.5g} |"
        )
    return "\n".join(lines), missed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", help="a task")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    tasks = [task for task in TASKS if options.only in (None, task.name)]
    if not tasks:
        raise SystemExit(f"no task {options.only}; tasks are {', '.join(task.name for task in TASKS)}")
    small = max(options.rows // 20, 1000)
    files = {
        "adult": lambda: adult(options.folder, options.rows),
        "small": lambda: adult(options.folder, small),
        "tiny": lambda: adult(options.folder, small // 5),
        "numbers": lambda: blobs(options.folder, options.rows),
        "blobs": lambda: blobs(options.folder, small),
        "digits": lambda: builtin(options.folder, "digits"),
        "wine": lambda: builtin(options.folder, "wine"),
    }
    rows = {"adult": options.rows, "small": small, "tiny": small // 5, "numbers": options.rows, "blobs": small}
    rows |= {"digits": 1797, "wine": 178}
    with Kernel("oxilab", env=environment()) as kernel:
        kernel.must(ITEMS)
        for task in tasks:
            path = files[task.data]()
            for _ in range(options.runs):
                task.ours.append(oxilab(kernel, task, path))
                task.theirs.append(peer(task, path))
                print(f"{task.name}: {shown(task.ours[-1]['seconds'])}, Python {shown(task.theirs[-1]['seconds'])}", flush=True)
                # What takes long is not repeated.
                if task.ours[-1]["seconds"] + task.theirs[-1]["seconds"] > 10:
                    break
    text, missed = table(tasks, rows)
    print(text)
    if options.only is None:
        about = (
            "Medians of up to three runs, two threads on both sides, frames in memory. The ratio is oxilab's time "
            "over Python's (lightgbm, xgboost, scikit-learn, Optuna). Quality: area under the ROC curve; accuracy for "
            "neighbours and tuning; inertia for k-means; explained share for PCA."
        )
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(f"# Models\n\n`cargo xtask bench model`, {today()}, {machine()}.\n\n{about}\n\n{text}\n")
        print(f"written to {RESULT}")
    if missed:
        print("missed: " + ", ".join(missed))


if __name__ == "__main__":
    main()
