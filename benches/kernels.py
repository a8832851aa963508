"""Kernels under test: one way to start each and to time a cell, whoever the peer is."""

import json
import os
import pathlib
import subprocess
import time
from dataclasses import dataclass, field

import psutil
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

ROOT = pathlib.Path(__file__).resolve().parents[1]
# The same crates and features for evcxr as the prelude has where it matters to the cells timed.
EVCXR_DEPS = """\
:dep polars = { version = "0.55", features = ["lazy", "csv", "json", "parquet", "ipc", "sql", \
"strings", "temporal", "dtype-full", "fmt", "rows", "performant"] }
:dep candle-core = "0.11"
:dep candle-nn = "0.11"
:dep candle-transformers = "0.11"
:dep plotters = { version = "0.3.7", default-features = false, features = ["evcxr", \
"all_series", "all_elements", "svg_backend", "ab_glyph"] }"""


@dataclass
class Cell:
    """What one execution told: seconds from request to idle, the reply, text and results."""

    seconds: float
    status: str
    error: str
    oxilab: dict
    text: str = ""
    results: list = field(default_factory=list)


class Kernel:
    """A running kernel; use it in a `with`."""

    def __init__(self, name, kernel_dirs=None, env=None, cwd=ROOT / "notebooks"):
        specs = KernelSpecManager()
        if kernel_dirs:
            specs.kernel_dirs = [*kernel_dirs, *specs.kernel_dirs]
        self.manager = KernelManager(kernel_name=name, kernel_spec_manager=specs)
        self.env = {**os.environ, **(env or {})}
        # A peer builds where it always does.
        if env is not None:
            self.env.pop("CARGO_TARGET_DIR", None)
        self.cwd = str(cwd)

    def __enter__(self):
        self.manager.start_kernel(cwd=self.cwd, env=self.env)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)
        return self

    def __exit__(self, *_):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code, timeout=120):
        """Executes one cell and waits for both its reply and its idle."""
        cell = Cell(0.0, "", "", {})

        def take(message):
            content = message["content"]
            if message["msg_type"] == "stream":
                cell.text += content["text"]
            elif message["msg_type"] in ("execute_result", "display_data"):
                cell.results.append(content["data"])

        start = time.perf_counter()
        reply = self.client.execute_interactive(code, timeout=timeout, output_hook=take)
        cell.seconds = time.perf_counter() - start
        content = reply["content"]
        cell.status = content["status"]
        cell.error = f"{content.get('ename', '')}: {content.get('evalue', '')}"
        cell.oxilab = reply.get("metadata", {}).get("oxilab", {})
        return cell

    def must(self, code, timeout=120):
        """Like `run`; a failing cell ends the bench."""
        cell = self.run(code, timeout)
        if cell.status != "ok":
            raise SystemExit(f"{self.manager.kernel_name}: cell failed: {cell.error}\n{code}")
        return cell

    def megabytes(self):
        """Resident memory of the kernel and its children, by name."""
        top = psutil.Process(self.manager.provisioner.process.pid)
        return {p.name(): p.memory_info().rss / 1e6 for p in [top, *top.children(recursive=True)]}


def evcxr(peers):
    """A spec for `evcxr_jupyter` whose build folder is kept between runs."""
    folder = pathlib.Path(peers) / "kernels"
    spec = folder / "evcxr"
    spec.mkdir(parents=True, exist_ok=True)
    program = pathlib.Path(peers) / "bin/evcxr_jupyter"
    argv = [str(program), "--control_file", "{connection_file}"]
    text = json.dumps({"argv": argv, "display_name": "evcxr", "language": "rust"})
    (spec / "kernel.json").write_text(text, encoding="utf-8")
    build = pathlib.Path(peers) / "evcxr-build"
    build.mkdir(exist_ok=True)
    # Its cells link the shared standard library, which a plain toolchain does not put on the path.
    command = ["rustc", "--print", "target-libdir"]
    libraries = subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    env = {"EVCXR_TMPDIR": str(build), "LD_LIBRARY_PATH": libraries}
    return lambda: Kernel("evcxr", [str(folder)], env, cwd=peers)
