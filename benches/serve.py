"""Serving one LightGBM model: oxilab beside FastAPI + uvicorn and `mlflow models serve`, under `wrk`.

All answer single rows of the same model; each server runs alone while it is measured. Run by
`cargo xtask bench serve`; the figures go to benches/results/serve.md.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
LUA = """
wrk.method = "POST"
wrk.body = %r
wrk.headers["Content-Type"] = "application/json"
local failed = 0
function response(status) if status ~= 200 then failed = failed + 1; if failed == 1 then print("status", status) end end end
function done(summary, latency)
  io.write(string.format("FIGURES %%f %%f %%f %%d %%d\\n",
    summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def train(folder):
    """The model in the forms that each server reads."""
    import joblib
    import lightgbm
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    model = lightgbm.LGBMClassifier(n_estimators=100, verbose=-1, random_state=0)
    model.fit(data.data, data.target)
    joblib.dump(model, folder / "model.joblib")
    model.booster_.save_model(folder / "model.txt")
    saved = folder / "mlflow-model"
    shutil.rmtree(saved, ignore_errors=True)
    import mlflow

    mlflow.lightgbm.save_model(model, saved)
    rows = data.data[:1]
    return rows[0].tolist(), float(model.predict_proba(rows)[0].max())


class Server:
    """A server in a process group of its own, measured once it answers."""

    def __init__(self, name, command, path, body, env=None):
        self.name, self.command, self.path, self.body = name, command, path, body
        # It is no server of the user's own.
        self.env = {**os.environ, "OXILAB_SERVE_STATE": tempfile.mkdtemp(), **(env or {})}

    def __enter__(self):
        self.port = free_port()
        command = [part.replace("{port}", str(self.port)) for part in self.command]
        self.log = open(f"/tmp/oxilab-bench-serve-{self.port}.log", "wb")
        self.process = subprocess.Popen(
            command, env=self.env, stdout=self.log, stderr=self.log, start_new_session=True
        )
        begun = time.monotonic()
        while True:
            try:
                self.answer = self.ask()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() - begun > 120:
                    text = pathlib.Path(self.log.name).read_text(errors="replace")
                    raise SystemExit(f"{self.name} did not start:\n{text[-2000:]}") from None
                time.sleep(0.2)

    def __exit__(self, *_):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.log.close()
        os.unlink(self.log.name)

    def url(self):
        return f"http://127.0.0.1:{self.port}{self.path}"

    def ask(self):
        request = urllib.request.Request(
            self.url(), json.dumps(self.body).encode(), {"Content-Type": "application/json"}
        )
        return json.load(urllib.request.urlopen(request, timeout=10))

    def load(self, folder, connections, seconds):
        """Requests a second, p50 and p99 in milliseconds."""
        script = folder / "wrk.lua"
        script.write_text(LUA % json.dumps(self.body))
        out = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script), self.url()],
            capture_output=True, text=True, check=True,
        ).stdout
        rate, p50, p99, status, broken = map(float, re.search("FIGURES (.*)", out)[1].split())
        if status or broken:
            raise SystemExit(f"{self.name}: {status:.0f} answers with an error status, {broken:.0f} broken\n{out}")
        return rate, p50, p99


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True, help="the program oxilab-server")
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        raise SystemExit("wrk is missing: apt-get install wrk")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    row, expected = train(arguments.folder)
    python, folder = sys.executable, arguments.folder
    typed, records = {"features": row}, {"inputs": [row]}
    uvicorn = [python, "-m", "uvicorn", "serve_fastapi:app", "--app-dir", str(HERE), "--port", "{port}", "--log-level", "warning", "--no-access-log"]
    model = {"BENCH_MODEL": str(folder / "model.joblib")}
    ours = [arguments.server, "--model", f"m={folder / 'model.txt'}", "--port", "{port}"]
    servers = [
        Server("oxilab /predict", ours, "/predict", typed),
        Server("oxilab /invocations", ours, "/invocations", records),
        Server("FastAPI + uvicorn", uvicorn, "/predict", typed, model),
        Server("FastAPI + uvicorn, 2 workers", [*uvicorn, "--workers", "2"], "/predict", typed, model),
        Server(
            "mlflow models serve",
            [python, "-m", "mlflow", "models", "serve", "-m", str(folder / "mlflow-model"), "--env-manager", "local", "-p", "{port}"],
            "/invocations", records,
            {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{pathlib.Path(python).parent}:{os.environ['PATH']}"},
        ),
    ]
    figures = {}
    for server in servers:
        with server:
            said = server.answer.get("probability")
            if said is not None and abs(said - expected) > 1e-9:
                raise SystemExit(f"{server.name} says {said}, LightGBM says {expected}")
            for connections in arguments.connections:
                server.load(folder, connections, 1)
                runs = [server.load(folder, connections, arguments.seconds) for _ in range(arguments.runs)]
                figures[server.name, connections] = [statistics.median(values) for values in zip(*runs)]
                rate, p50, p99 = figures[server.name, connections]
                print(f"{server.name}, {connections} connections: {rate:,.0f}/s, p50 {p50:.2f} ms, p99 {p99:.2f} ms", flush=True)
    missed = write(figures, servers, arguments)
    sys.exit(1 if missed else 0)


def write(figures, servers, arguments):
    lines, missed = [], []
    for connections in arguments.connections:
        base = figures["FastAPI + uvicorn", connections]
        lines += [f"\n## {connections} connections\n", "| | requests/s | × FastAPI | p50 ms | p99 ms | × FastAPI's p99 |", "|---|---|---|---|---|---|"]
        for server in servers:
            rate, p50, p99 = figures[server.name, connections]
            lines.append(f"| {server.name} | {rate:,.0f} | {rate / base[0]:.1f} | {p50:.2f} | {p99:.2f} | {p99 / base[2]:.2f} |")
        rate, _, p99 = figures["oxilab /predict", connections]
        for text, holds in [("≥ 10 × FastAPI's requests/s", rate >= 10 * base[0]), ("≤ 0.2 × FastAPI's p99", p99 <= 0.2 * base[2])]:
            lines.append(f"\nBar {text}: {'holds' if holds else '**missed**'}.")
            if not holds:
                missed.append((connections, text))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    load = os.getloadavg()[0]
    head = (
        "# Serving\n\n"
        "Single rows of one LightGBM model (100 trees, 30 columns), `wrk` with one thread on the same machine. "
        f"Medians of {arguments.runs} runs of {arguments.seconds} s, behind one of 1 s. FastAPI is `benches/serve_fastapi.py`.\n\n"
        f"{datetime.date.today()}, commit {commit}, {os.cpu_count()} cores, {platform.machine()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, load average {load:.1f} (the servers' own included).\n"
    )
    path = HERE / "results" / "serve.md"
    path.write_text(head + "\n".join(lines) + "\n")
    print(f"written to {path}")
    return missed


if __name__ == "__main__":
    main()
