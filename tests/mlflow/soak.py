"""The long fault test of tracking, not part of CI: an MLflow server killed at random points while a run logs.

    PYTHON tests/mlflow/soak.py --program target/release/examples/log --kills 50

`cargo build --release -p oxilab-track --example log` makes the program. Records lost and records that
are there twice are counted with MLflow's own client; both must be 0.
"""

import argparse
import os
import pathlib
import random
import subprocess
import tempfile
import time

from mlflow.tracking import MlflowClient
from test_track import Server


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--metrics", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="soak-track-"))
    server = Server(folder).start()
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": server.uri,
        "OXILAB_JOURNAL": str(folder / "track.sqlite"),
        "OXILAB_TRACK_PATIENCE": "60",
    }
    kills = runs = 0
    while kills < options.kills:
        program = subprocess.Popen(
            [options.program, str(options.metrics), "2000"], env=environment, cwd=folder
        )
        runs += 1
        while program.poll() is None:
            time.sleep(chance.uniform(0.05, 4))
            if kills < options.kills:
                server.kill()
                kills += 1
                time.sleep(chance.uniform(0, 1))
                server.start()
    # A run without metrics waits for what the others have left.
    subprocess.run([options.program, "0"], env=environment, cwd=folder, check=True)
    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("bench")
    found = [run for run in client.search_runs([experiment.experiment_id]) if run.data.metrics]
    lost = doubled = 0
    for run in found:
        steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")]
        lost += options.metrics - len(set(steps))
        doubled += len(steps) - len(set(steps))
    server.kill()
    print(f"{kills} kills, {runs} runs of {options.metrics} metrics: lost {lost}, twice {doubled}, runs found {len(found)}")
    raise SystemExit(0 if (lost, doubled, len(found)) == (0, 0, runs) else 1)


if __name__ == "__main__":
    main()
