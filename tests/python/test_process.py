"""The kernel as processes: what an idle one costs, and that a start is quick."""

import time

import psutil
from conftest import kernel, processes, run
from jupyter_client.manager import KernelManager

IDLE_MEGABYTES = 120
KERNEL_INFO_SECONDS = 0.3


def worker_of(manager):
    """The child that holds the user's values."""
    children = processes(manager)[1:]
    found = [child for child in children if "oxilab" in child.name()]
    assert found, f"no worker among {[child.name() for child in children]}"
    return found[0]


def libraries(process, part):
    """The distinct files that `process` has mapped and whose name contains `part`."""
    with open(f"/proc/{process.pid}/maps", encoding="utf-8") as maps:
        fields = [line.split(maxsplit=5) for line in maps]
    return {field[5].strip() for field in fields if len(field) == 6 and part in field[5]}


def test_idle_kernel_and_worker_stay_small(rust):
    manager, client = rust
    assert run(client, "1 + 1")[0]["status"] == "ok"
    assert libraries(worker_of(manager), "liboxilab"), "the prelude is not loaded"
    megabytes = {p.name(): p.memory_info().rss / 1e6 for p in processes(manager)}
    assert sum(megabytes.values()) <= IDLE_MEGABYTES, megabytes


def test_worker_has_one_standard_library(rust):
    manager, client = rust
    assert run(client, "1 + 1")[0]["status"] == "ok"
    found = libraries(worker_of(manager), "libstd-")
    assert len(found) == 1, found


def test_kernel_info_does_not_wait_for_the_prelude():
    times = []
    for _ in range(3):
        manager = KernelManager(kernel_name="oxilab")
        start = time.perf_counter()
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        try:
            client.kernel_info(reply=True, timeout=30)
            times.append(time.perf_counter() - start)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    assert min(times) <= KERNEL_INFO_SECONDS, times


def test_shutdown_leaves_no_process():
    with kernel() as (manager, client):
        assert run(client, "let kept = vec![1u8; 1000];")[0]["status"] == "ok"
        all_processes = processes(manager)
        client.shutdown(reply=True, timeout=10)
        gone, alive = psutil.wait_procs(all_processes, timeout=5)
        assert not alive, alive
