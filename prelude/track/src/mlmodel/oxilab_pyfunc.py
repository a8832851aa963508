"""Loads a model of oxilab into MLflow's `pyfunc`: predictions come from `oxilab-server`.

The server is a process of this machine's oxilab; it listens on the loopback, for this process alone,
and ends with it. `OXILAB_SERVER` names the program where it is not found by itself.
"""

import atexit
import ctypes
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

PROGRAM = "oxilab-server"
# Rows of one request, and bytes of one: wide tables are cut into more requests.
ROWS = 10_000
BYTES = 256 << 20
# Seconds that the server may take to load the model.
START = 120


def _load_pyfunc(path):
    """What `mlflow.pyfunc.load_model` calls with the path of the model's file."""
    return Model(path)


class Model:
    """A model that answers through a server of its own."""

    def __init__(self, path):
        self._path = os.path.abspath(path)
        self._folder = tempfile.TemporaryDirectory(prefix="oxilab-pyfunc-")
        self._process = None
        self._start()
        atexit.register(self.close)

    def predict(self, model_input, params=None):
        """One prediction per row of a pandas frame (or whatever makes one), as a numpy array."""
        import numpy as np

        return np.array(self._ask(model_input))

    def _ask(self, model_input):
        import pandas as pd

        frame = model_input if isinstance(model_input, pd.DataFrame) else pd.DataFrame(model_input)
        found = []
        for start in range(0, len(frame), ROWS):
            part = frame.iloc[start : start + ROWS].astype(object)
            # Not pandas' own JSON, which cuts numbers after 15 digits.
            rows = part.where(part.notna(), None).to_numpy().tolist()
            body = {"dataframe_split": {"columns": [str(name) for name in part.columns], "data": rows}}
            found.extend(self._post("/invocations", body)["predictions"])
        return found

    def _post(self, route, body):
        for attempt in (0, 1):
            if self._process is None or self._process.poll() is not None:
                self._start()
            request = urllib.request.Request(
                self._url + route,
                json.dumps(body, default=str).encode(),
                {"Content-Type": "application/json"},
            )
            try:
                with urllib.request.urlopen(request, timeout=600) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                text = error.read().decode(errors="replace")
                raise ValueError(f"oxilab refused the rows: {text}") from None
            except urllib.error.URLError:
                if attempt:
                    raise
        raise AssertionError("unreachable")

    def _start(self):
        state = os.path.join(self._folder.name, f"{secrets.token_hex(4)}.json")
        log = os.path.join(self._folder.name, "log")
        command = [_program(), "--name", "pyfunc", "--model", f"model={self._path}", "--port", "0"]
        command += ["--row-limit", str(ROWS), "--body-limit", str(BYTES), "--timeout", "600"]
        command += ["--state", state]
        with open(log, "wb") as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, preexec_fn=_end_with_parent
            )
        until = time.monotonic() + START
        while not os.path.exists(state):
            if self._process.poll() is not None or time.monotonic() > until:
                self.close()
                with open(log, encoding="utf-8", errors="replace") as file:
                    words = file.read().strip().splitlines()[-3:]
                raise RuntimeError("oxilab-server did not load the model: " + " | ".join(words))
            time.sleep(0.02)
        with open(state, encoding="utf-8") as file:
            self._url = json.load(file)["url"]

    def close(self):
        """Ends the server."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process = None


def _end_with_parent():
    # PR_SET_PDEATHSIG: a parent that is killed takes the server with it.
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _program():
    home = os.path.expanduser("~")
    target = os.environ.get("CARGO_TARGET_DIR")
    places = [
        os.environ.get("OXILAB_SERVER"),
        shutil.which(PROGRAM),
        os.path.join(home, ".local/share/oxilab/current/bin", PROGRAM),
        target and os.path.join(target, "release", PROGRAM),
        os.path.join(home, ".cache/oxilab/target/release", PROGRAM),
    ]
    for place in places:
        if place and os.access(place, os.X_OK):
            return place
    raise RuntimeError(
        "this model needs oxilab-server, which is not found: install oxilab, "
        "or set OXILAB_SERVER to the program"
    )
