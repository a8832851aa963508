"""100,000 metrics until they are on an MLflow server: oxilab's run beside MLflow's own Python client.

One server with an SQLite backend, one run each, in turns. The client's loop of `log_metric` is measured
on fewer and scaled: it sends one request for each. What arrived is counted on the server.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

RESULT = pathlib.Path(__file__).parent / "results" / "track.md"


class Server:
    def __init__(self, folder):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        self.uri = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
        command += ["--artifacts-destination", f"{folder}/artifacts"]
        log = open(folder / "server.log", "wb")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
        for _ in range(1800):
            try:
                urllib.request.urlopen(self.uri + "/health", timeout=5)
                return
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("the server did not start")

    def stop(self):
        os.killpg(self.process.pid, 15)
        self.process.wait(20)


def ours(program, uri, count, folder):
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "OXILAB_JOURNAL": str(folder / "track.sqlite")}
    environment["OXILAB_TRACK_PATIENCE"] = "120"
    done = subprocess.run(
        [program, str(count)], env=environment, capture_output=True, text=True, check=True, cwd=folder
    )
    return json.loads(done.stdout)


def autolog(program, uri, folder):
    """A training run with and without `%autolog`."""
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "OXILAB_JOURNAL": str(folder / "autolog.sqlite")}
    done = subprocess.run([program], env=environment, capture_output=True, text=True, check=True, cwd=folder)
    return json.loads(done.stdout.splitlines()[-1])


def loop(mlflow, count):
    with mlflow.start_run(run_name="log_metric") as run:
        start = time.perf_counter()
        for step in range(count):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        return run.info.run_id, time.perf_counter() - start


def asynchronous(mlflow, count):
    with mlflow.start_run(run_name="asynchronous") as run:
        start = time.perf_counter()
        for step in range(count):
            mlflow.log_metric("loss", 1 / (step + 1), step=step, synchronous=False)
        caller = time.perf_counter() - start
        mlflow.flush_async_logging()
        return run.info.run_id, time.perf_counter() - start, caller


def batches(client, experiment, count):
    """What an expert writes: `log_batch` by the thousand, which is the server's own limit."""
    from mlflow.entities import Metric

    run = client.create_run(experiment, run_name="log_batch")
    start = time.perf_counter()
    for first in range(0, count, 1000):
        now = int(time.time() * 1000)
        last = min(first + 1000, count)
        client.log_batch(run.info.run_id, [Metric("loss", 1 / (s + 1), now, s) for s in range(first, last)])
    return run.info.run_id, time.perf_counter() - start


def arrived(client, run):
    steps = [metric.step for metric in client.get_metric_history(run, "loss")]
    return len(steps), len(set(steps))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True, help="the example `log`")
    parser.add_argument("--autolog", help="the example `autolog`")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--loop", type=int, default=1_000, help="metrics of the client's loop, scaled")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="bench-track-"))
    server = Server(folder)
    os.environ["MLFLOW_TRACKING_URI"] = server.uri
    import mlflow
    from mlflow.tracking import MlflowClient

    try:
        mlflow.set_experiment("bench")
        client = MlflowClient()
        experiment = client.get_experiment_by_name("bench").experiment_id
        count = options.count
        seconds = {"oxilab": [], "asynchronous": [], "log_batch": [], "log_metric": []}
        callers = {"oxilab": [], "asynchronous": []}
        lost = doubled = 0
        for _ in range(options.runs):
            found = ours(options.program, server.uri, count, folder)
            seconds["oxilab"].append(found["seconds"])
            callers["oxilab"].append(found["caller_us"])
            run, took, caller = asynchronous(mlflow, count)
            seconds["asynchronous"].append(took)
            callers["asynchronous"].append(caller * 1e6 / count)
            all_, different = arrived(client, found["run"])
            lost += count - different
            doubled += all_ - different
            assert arrived(client, run)[1] == count, "the client's own metrics arrive"
            seconds["log_batch"].append(batches(client, experiment, count)[1])
            seconds["log_metric"].append(loop(mlflow, options.loop)[1] * count / options.loop)
            print({name: round(values[-1], 2) for name, values in seconds.items()}, flush=True)
        training = autolog(options.autolog, server.uri, folder) if options.autolog else None
        write(options, seconds, callers, lost, doubled, training, mlflow.__version__)
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def write(options, seconds, callers, lost, doubled, training, version):
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    caller = {name: statistics.median(values) for name, values in callers.items()}
    mine = middle["oxilab"]

    def row(name, value, bar, holds):
        return f"| {name} | {value} | {bar} | {'held' if holds else '**missed**'} |"

    against_loop, against_batches = middle["log_metric"] / mine, mine / middle["asynchronous"]
    lines = [
        "# Tracking, last result",
        "",
        f"{datetime.date.today()}, {os.cpu_count()} cores ({platform.machine()}), MLflow {version} with one "
        f"worker and SQLite, medians of {options.runs} runs of {options.count:,} metrics, `cargo xtask bench track`. "
        f"The client's loop was measured on {options.loop:,} metrics and scaled.",
        "",
        "| until all are on the server | seconds |",
        "|---|---|",
        f"| oxilab, `run.log_metric` | {mine:.2f} |",
        f"| MLflow's client, `log_metric(synchronous=False)` | {middle['asynchronous']:.2f} |",
        f"| MLflow's client, `log_batch` of 1,000 | {middle['log_batch']:.2f} |",
        f"| MLflow's client, a loop of `log_metric` | {middle['log_metric']:.0f} |",
        "",
        "| | measured | bar | |",
        "|---|---|---|---|",
        row("times as fast as the loop", f"{against_loop:.1f}", "≥ 5", against_loop >= 5),
        row("time against its asynchronous batches", f"{against_batches:.2f}", "≤ 1.1", against_batches <= 1.1),
        row("cost on the caller's thread", f"{caller['oxilab']:.2f} µs", "≤ 50 µs", caller["oxilab"] <= 50),
        row("lost", lost, "0", lost == 0),
        row("twice", doubled, "0", doubled == 0),
        "",
        f"MLflow's asynchronous `log_metric` costs its caller {caller['asynchronous']:.1f} µs.",
        "",
    ]
    if training:
        share = training["share"]
        at = lines.index(row("lost", lost, "0", lost == 0))
        lines.insert(at, row("a training run with `%autolog`", f"{share:+.1%}", "≤ 2 %", share <= 0.02))
        lines += [
            f"The training run: LightGBM, 200 trees on 200,000 rows, {training['off']:.2f} s without and "
            f"{training['on']:.2f} s with `%autolog` to the server, medians of {training['rounds']} in turns.",
            "",
        ]
    RESULT.write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
