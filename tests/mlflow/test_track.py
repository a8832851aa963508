"""Tracking against a real MLflow server: notebook 08 online, and on a journal that is sent later.

What MLflow's own Python client reads back from both is compared; models are loaded and served by
MLflow; the server is killed while a notebook logs.
"""

import json
import math
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import lightgbm
import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
NOTEBOOK = NOTEBOOKS / "08-track-and-register.ipynb"
SYSTEM = "system/"
# Written by a thread of its own, at whatever time.
LATE = {"git.diff"}
START = 180


def oxilab():
    found = shutil.which("oxilab") or ROOT / "target" / "release" / "oxilab"
    target = os.environ.get("CARGO_TARGET_DIR")
    beside = pathlib.Path(target) / "release" / "oxilab" if target else None
    return str(beside if beside and beside.exists() else found)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """An MLflow server with an SQLite backend that can be killed and started again."""

    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        command += ["--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        command += ["--artifacts-destination", str(self.folder / "artifacts")]
        log = open(self.folder / "server.log", "ab")
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        until = time.monotonic() + START
        while time.monotonic() < until:
            assert self.process.poll() is None, (self.folder / "server.log").read_text()[-2000:]
            try:
                with urllib.request.urlopen(self.uri + "/health", timeout=5):
                    return self
            except OSError:
                time.sleep(0.1)
        raise TimeoutError("the MLflow server did not start")

    def kill(self):
        """Ends the server and its workers at once, as a crash does."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


class Given:
    """A server that runs already: MLflow takes long to start while working on these tests."""

    def __init__(self, uri):
        self.uri = uri

    def kill(self):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    given = os.environ.get("OXILAB_TEST_MLFLOW")
    running = Given(given) if given else Server(tmp_path_factory.mktemp("mlflow")).start()
    yield running
    running.kill()


@pytest.fixture(scope="module")
def client(server):
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "3"
    mlflow.set_tracking_uri(server.uri)
    return MlflowClient(server.uri)


def run_oxilab(arguments, timeout=240, **environment):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [oxilab(), *arguments],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=environment.pop("CWD", NOTEBOOKS),
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def renamed(folder, project):
    """The notebook with another project, so that both runs fit on one server; its data beside it."""
    text = NOTEBOOK.read_text(encoding="utf-8").replace("fleet", project)
    path = folder / NOTEBOOK.name
    path.write_text(text, encoding="utf-8")
    (folder / "data").symlink_to(NOTEBOOKS / "data")
    return path


@pytest.fixture(scope="module")
def online(server, tmp_path_factory):
    """The notebook with the server; its journal beside it."""
    folder = tmp_path_factory.mktemp("online")
    run_oxilab(["run", str(renamed(folder, "online"))], MLFLOW_TRACKING_URI=server.uri)
    return "online"


@pytest.fixture(scope="module")
def offline(server, tmp_path_factory):
    """The notebook with a journal, which is sent afterwards, twice."""
    folder = tmp_path_factory.mktemp("offline")
    journal = str(folder / "track.sqlite")
    run_oxilab(["run", str(renamed(folder, "offline"))], OXILAB_JOURNAL=journal)
    first = run_oxilab(["track", "sync", server.uri, "--journal", journal])
    again = run_oxilab(["track", "sync", server.uri, "--journal", journal])
    assert "0 runs sent" not in first, first
    assert "0 runs sent: 0 parameters, 0 metrics, 0 tags, 0 artifacts" in again, again
    return "offline"


def number(value):
    return "nan" if math.isnan(value) else round(value, 12)


def artifacts(client, run, path=None):
    found = []
    for item in client.list_artifacts(run, path):
        found += artifacts(client, run, item.path) if item.is_dir else [item.path]
    return found


def told(client, project):
    """All that the client reads of a project, without what differs from run to run."""
    experiment = client.get_experiment_by_name(project)
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    ids = {run.info.run_id: run.info.run_name for run in runs}
    found = {}
    for run in runs:
        metrics = {}
        for key in run.data.metrics:
            if not key.startswith(SYSTEM):
                history = client.get_metric_history(run.info.run_id, key)
                metrics[key] = [(m.step, number(m.value)) for m in sorted(history, key=lambda m: (m.step, m.timestamp))]
        assert run.info.run_name not in found, "a run is there twice"
        parent = run.data.tags.get("mlflow.parentRunId")
        found[run.info.run_name] = {
            "status": run.info.status,
            "params": dict(run.data.params),
            "metrics": metrics,
            "parent": ids.get(parent, parent),
            "goal": {k: v for k, v in run.data.tags.items() if k.startswith(("oxilab.goal", "team"))},
            "data": [(i.dataset.digest, i.dataset.schema, i.dataset.profile) for i in run.inputs.dataset_inputs],
            "artifacts": sorted(set(artifacts(client, run.info.run_id)) - LATE),
        }
    return found


def test_both_ways_tell_the_same(client, online, offline):
    left, right = told(client, online), told(client, offline)
    assert sorted(left) == sorted(right)
    for name in left:
        assert left[name] == right[name], name


def test_what_was_logged_is_there(client, online):
    runs = told(client, online)
    sweep = runs["depth 4"]
    assert sweep["params"] == {"depth": "4"}
    expected = [(step, number(1 / math.sqrt(step))) for step in range(1, 51)]
    assert sweep["metrics"]["loss"] == expected
    assert sweep["artifacts"] == ["notes.md"]
    assert runs["odd"]["metrics"]["loss"] == [(0, "nan")]
    assert runs["odd"]["params"] == {"lr": "0.1"}
    cell = runs["gradient descent"]
    assert cell["status"] == "FINISHED"
    assert cell["params"] == {"rate": "0.2", "steps": "25"}
    assert len(cell["metrics"]["distance"]) == 25
    assert {"cell/source.rs", "cell/output.txt", "cell/outputs.json", "environment.json"} <= set(cell["artifacts"])
    fit = runs["LightGbm"]
    assert fit["params"]["n_estimators"] == "40"
    assert fit["goal"]["oxilab.goal.metric"] == "r2"
    assert json.loads(fit["data"][0][2])["num_rows"] == 298
    model = {"MLmodel", "model.lgb", "model.oxm", "model_card.md", "input_example.json"}
    assert {f"model/{name}" for name in model} <= set(fit["artifacts"])


def test_the_cells_own_record(client, online, tmp_path):
    experiment = client.get_experiment_by_name(online)
    [run] = client.search_runs([experiment.experiment_id], "attributes.run_name = 'gradient descent'")
    path = client.download_artifacts(run.info.run_id, "cell", str(tmp_path))
    cell = pathlib.Path(path)
    assert "track::params! { rate: 0.2" in (cell / "source.rs").read_text()
    assert "x is 1.0000" in (cell / "output.txt").read_text()
    tags = run.data.tags
    assert tags["oxilab.cell.exit"] == "ok" and tags["oxilab.cell.id"] == "cell-run"
    assert tags["mlflow.source.name"].endswith(NOTEBOOK.name)
    assert float(tags["oxilab.cell.seconds"]) >= 0


@pytest.mark.parametrize("project", ["online", "offline"])
def test_the_registry(client, online, offline, project):
    name = f"{project}-mpg"
    versions = {int(v.version): v for v in client.search_model_versions(f"name='{name}'")}
    assert sorted(versions) == [1, 2]
    champion = client.get_model_version_by_alias(name, "champion")
    assert int(champion.version) == 2
    assert champion.tags["reviewed"] == "yes"
    assert client.get_registered_model(name).description.startswith("Miles per gallon")
    run = client.get_run(champion.run_id)
    assert run.info.run_name == "boosted" and run.data.metrics["r2"] > 0.6


@pytest.mark.parametrize("project", ["online", "offline"])
def test_mlflow_loads_the_model(client, online, offline, project, tmp_path):
    model = mlflow.pyfunc.load_model(f"models:/{project}-mpg@champion")
    rows = pd.DataFrame(
        {
            "cylinders": [8, 4],
            "displacement": [307.0, 97.0],
            "weight_lbs": [3504, 2130],
            "acceleration": [12.0, 14.5],
        }
    )
    names = {column.name for column in model.metadata.signature.inputs}
    assert names == set(rows.columns)
    typed = rows.astype({c.name: c.type.to_pandas() for c in model.metadata.signature.inputs})
    predicted = model.predict(typed)
    assert 12 < predicted[0] < 22 < predicted[1] < 40
    with pytest.raises(Exception, match="cylinders"):
        model.predict(typed.drop(columns=["cylinders"]))
    native = mlflow.lightgbm.load_model(f"models:/{project}-mpg@champion")
    assert isinstance(native, lightgbm.Booster)
    assert native.predict(typed) == pytest.approx(predicted)
    example = model.input_example
    assert example is None or list(example.columns) == list(typed.columns)


def test_mlflow_serves_the_model(client, server, online):
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "--env-manager", "local", "--host", "127.0.0.1"]
    command += ["-m", f"models:/{online}-mpg@champion", "--port", str(port)]
    # MLflow starts its web server by name.
    path = f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": server.uri, "PATH": path}
    serving = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        row = {"cylinders": 8, "displacement": 307.0, "weight_lbs": 3504, "acceleration": 12.0}
        body = json.dumps({"dataframe_records": [row]}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
        )
        until = time.monotonic() + START
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    [predicted] = json.load(answer)["predictions"]
                    break
            except OSError:
                assert serving.poll() is None and time.monotonic() < until
                time.sleep(0.2)
        assert 12 < predicted < 22
    finally:
        if serving.poll() is None:
            os.killpg(serving.pid, signal.SIGTERM)
        serving.wait(20)


def cell(identifier, source):
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": identifier,
        "metadata": {},
        "outputs": [],
        "source": source,
    }


def notebook(path, *sources):
    cells = [cell(f"c{number}", source) for number, source in enumerate(sources)]
    kernelspec = {"display_name": "Rust (oxilab)", "language": "rust", "name": "oxilab"}
    text = {"cells": cells, "metadata": {"kernelspec": kernelspec}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(text), encoding="utf-8")
    return path


def test_a_server_that_is_killed_loses_nothing(tmp_path):
    """The long form, with fifty kills, is `soak.py`."""
    count = 2500
    server = Server(tmp_path).start()
    source = f"""%experiment killed
let run = track::start_run("killed")?;
for step in 0..{count} {{
    run.log_metric("loss", step as f64, step)?;
    std::thread::sleep(Duration::from_millis(4));
}}
run.end()?;"""
    path = notebook(tmp_path / "killed.ipynb", source)
    journal = str(tmp_path / "track.sqlite")
    environment = {**os.environ, "MLFLOW_TRACKING_URI": server.uri, "OXILAB_JOURNAL": journal}
    running = subprocess.Popen([oxilab(), "run", str(path)], env=environment, cwd=tmp_path)
    try:
        client = MlflowClient(server.uri)
        until = time.monotonic() + START
        while client.get_experiment_by_name("killed") is None and time.monotonic() < until:
            time.sleep(0.1)
        for _ in range(2):
            time.sleep(1.5)
            server.kill()
            server.start()
        assert running.wait(START) == 0
        run_oxilab(["track", "sync", server.uri, "--journal", journal])
        experiment = client.get_experiment_by_name("killed")
        [run] = client.search_runs([experiment.experiment_id])
        steps = [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")]
        assert sorted(steps) == list(range(count))
        assert run.info.status == "FINISHED"
    finally:
        running.kill()
        running.wait()
        server.kill()


def test_cells_that_fail_are_failed_runs(client, server, tmp_path):
    """An error, a panic and a cell that ends its process: each is a run that says so."""
    sources = [
        "%experiment failing",
        '%%run errs\ntrack::log_metric("before", 1.0, 0)?;\nprintln!("token {}", "https://me:pa55word@host/x");\nbail!("no luck")',
        "%%run panics --tag kind=panic\nlet v: Vec<i32> = vec![];\nv[3]",
        "%%run crashes\nstd::process::abort();",
        "%%run parent\nprintln!(\"outer\");",
        '%%run does not compile\nlet x: i32 = "text";',
    ]
    path = notebook(tmp_path / "failing.ipynb", *sources)
    written = json.loads(path.read_text())
    for entry in written["cells"]:
        entry["metadata"] = {"tags": ["raises-exception"]}
    path.write_text(json.dumps(written))
    journal = str(tmp_path / "track.sqlite")
    run_oxilab(["run", str(path)], MLFLOW_TRACKING_URI=server.uri, OXILAB_JOURNAL=journal)
    run_oxilab(["track", "sync", server.uri, "--journal", journal])
    experiment = client.get_experiment_by_name("failing")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert set(runs) >= {"errs", "panics", "crashes"}
    assert "does not compile" not in runs, "what never ran is no run"
    for name in ("errs", "panics", "crashes"):
        assert runs[name].info.status == "FAILED", name
    assert "no luck" in runs["errs"].data.tags["oxilab.error"]
    assert runs["errs"].data.metrics["before"] == 1.0
    assert "index out of bounds" in runs["panics"].data.tags["oxilab.error"]
    assert runs["panics"].data.tags["kind"] == "panic"
    folder = client.download_artifacts(runs["errs"].info.run_id, "cell", str(tmp_path))
    told = "".join(path.read_text() for path in pathlib.Path(folder).iterdir())
    assert "pa55word" not in told and "token https://***@host/x" in told


def test_odd_names_arrive_as_they_are(client, server, tmp_path):
    """Slashes, quotes, emoji and long texts on a real server; what no server takes is said by the cell."""
    name = "odd / \"names\" 🦀 'x'"
    sources = [
        f'track::experiment({json.dumps(name, ensure_ascii=False)})?;',
        r"""let run = track::start_run(&"n".repeat(500))?;
run.log_metric("eval/größe", 1.5, 0)?;
run.log_param("a/b", "\"quoted\" 🦀 / x")?;
run.log_param("long", &"p".repeat(5000))?;
run.set_tag("long", &"t".repeat(5000))?;
run.log_text("kept", "from \"here\"/🦀.txt")?;""",
        r"""let long = "x".repeat(5000);
let refused = [
    track::experiment(&long).map(|_| ()),
    run.log_metric(&long, 1.0, 0),
    run.log_metric("../x", 1.0, 0),
    run.log_param("a\"b", "v"),
    run.set_tag("🦀", "v"),
    run.log_text("v", "../../outside"),
];
run.end()?;
for refused in &refused {
    println!("refused: {}", refused.as_ref().err().map_or("no".to_owned(), |e| e.to_string()));
}""",
    ]
    path, out = notebook(tmp_path / "odd.ipynb", *sources), tmp_path / "out.ipynb"
    journal = str(tmp_path / "track.sqlite")
    run_oxilab(["run", str(path), "--output", str(out)], MLFLOW_TRACKING_URI=server.uri, OXILAB_JOURNAL=journal)
    run_oxilab(["track", "sync", server.uri, "--journal", journal])
    experiment = client.get_experiment_by_name(name)
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "n" * 500 and run.info.status == "FINISHED"
    assert run.data.metrics["eval/größe"] == 1.5
    assert run.data.params == {"a/b": '"quoted" 🦀 / x', "long": "p" * 5000}
    assert run.data.tags["long"] == "t" * 5000
    assert 'from "here"/🦀.txt' in artifacts(client, run.info.run_id)
    outputs = json.loads(out.read_text())["cells"][-1]["outputs"]
    lines = "".join("".join(output.get("text", "")) for output in outputs).splitlines()
    assert len(lines) == 6 and not any("refused: no" in line for line in lines), lines
    assert all(len(line) < 400 for line in lines), lines


def test_a_notebook_starts_its_own_server(tmp_path):
    """`%track start` says how long it takes; what is logged then is on the server, which `%track stop` ends."""
    sources = [
        "%track start",
        'let run = track::start_run("own")?;\nrun.log_metric("loss", 0.5, 0)?;\nrun.end()?;\ntrack::uri()?',
        "%track ui",
        "%track stop",
        "track::uri()?",
    ]
    path = notebook(tmp_path / "own.ipynb", *sources)
    out = tmp_path / "out.ipynb"
    program = pathlib.Path(sys.executable).parent / "mlflow"
    arguments = ["run", str(path), "--output", str(out)]
    run_oxilab(arguments, OXILAB_MLFLOW=str(program), OXILAB_JOURNAL=str(tmp_path / "own.sqlite"), CWD=tmp_path)
    cells = json.loads(out.read_text())["cells"]

    def shown(at):
        parts = []
        for output in cells[at]["outputs"]:
            data = output.get("data", {"text/plain": output.get("text", "")})
            parts += ["".join(text) for text in data.values() if not isinstance(text, dict)]
        return "\n".join(parts)

    assert "MLflow's server answers after" in shown(0), shown(0)
    assert "MLflow at http://127.0.0.1:" in shown(0) and "<iframe" in shown(2)
    uri = shown(1)
    assert "http://127.0.0.1:" in uri and "journal:" in shown(4)
    port = int("".join(c for c in uri.split("127.0.0.1:")[1].split()[0] if c.isdigit()))
    with socket.socket() as free:
        assert free.connect_ex(("127.0.0.1", port)) != 0, "it ended"
    assert (tmp_path / ".oxilab" / "mlflow" / "mlflow.db").exists()
