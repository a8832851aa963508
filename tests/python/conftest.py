"""What the Python tests share: where things are, kernels that are ended for certain, and that nothing is
skipped."""

import pathlib
from contextlib import contextmanager

import psutil
import pytest
from jupyter_client.manager import start_new_kernel

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
KERNEL = "oxilab"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport():
    return failed_if_skipped((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report():
    return failed_if_skipped((yield))


def failed_if_skipped(report):
    """A test that is skipped shows nothing: jupyter_kernel_test skips what a kernel does not declare."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid} was skipped, and nothing may be: {reason}"
    return report


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
