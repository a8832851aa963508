"""What the Python tests share: where things are, and kernels that are ended for certain."""

import pathlib
from contextlib import contextmanager

import psutil
import pytest
from jupyter_client.manager import start_new_kernel

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
KERNEL = "oxilab"


@contextmanager
def kernel(cwd=NOTEBOOKS, name=KERNEL):
    """A running kernel: `(manager, client)`."""
    manager, client = start_new_kernel(kernel_name=name, cwd=str(cwd), startup_timeout=60)
    try:
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def processes(manager):
    """The kernel's process and its children, the kernel first."""
    kernel_process = psutil.Process(manager.provisioner.process.pid)
    return [kernel_process, *kernel_process.children(recursive=True)]


def run(client, code, timeout=60):
    """Executes one cell; returns the reply's content and what went to iopub."""
    outputs = []
    reply = client.execute_interactive(code, timeout=timeout, output_hook=outputs.append)
    return reply["content"], outputs


@pytest.fixture
def rust():
    """A fresh kernel for one test."""
    with kernel() as pair:
        yield pair
