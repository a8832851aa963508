"""`/metrics` as Prometheus' own parser reads it."""

import time

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families
from test_serve import MODEL, ROWS, TINY, Server


@pytest.fixture(scope="module")
def server():
    server = Server("--model", f"iris={MODEL}", "--model", f"tiny={TINY}")
    yield server
    server.stop()


def families(server):
    answer = requests.get(f"{server.url}/metrics", timeout=10)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = list(text_string_to_metric_families(answer.text))
    names = [family.name for family in found]
    assert len(names) == len(set(names)), "the samples of a family stand together"
    return {family.name: family for family in found}


def value(family, name=None, **labels):
    """The value of the sample with these labels, among others."""
    fits = [
        sample.value
        for sample in family.samples
        if sample.name == (name or sample.name) and labels.items() <= sample.labels.items()
    ]
    assert len(fits) == 1, (name, labels, family)
    return fits[0]


def test_what_prometheus_reads(server):
    before = families(server)
    assert before["oxilab_queue_length"].type == "gauge"
    assert value(before["oxilab_queue_length"]) == 0
    assert value(before["oxilab_requests_in_flight"]) == 0
    for _ in range(3):
        assert requests.post(f"{server.url}/predict/iris", json=ROWS[0], timeout=10).ok
    wrong = requests.post(f"{server.url}/predict/iris", json={"features": "x"}, timeout=10)
    assert wrong.status_code == 422
    text = {"model": "tiny", "prompt": "ab", "max_tokens": 6, "temperature": 0}
    assert requests.post(f"{server.url}/v1/completions", json=text, timeout=30).ok

    after = families(server)
    good = {"model": "iris", "route": "/predict", "status": "200"}
    assert after["oxilab_requests"].type == "counter"
    assert value(after["oxilab_requests"], "oxilab_requests_total", **good) == 3
    bad = {**good, "status": "422"}
    assert value(after["oxilab_errors"], "oxilab_errors_total", **bad) == 1
    times = after["oxilab_request_seconds"]
    assert times.type == "histogram"
    counts = [s.value for s in times.samples if s.name.endswith("_bucket") and s.labels["model"] == "iris"]
    assert counts == sorted(counts) and counts[-1] == 4
    assert value(times, "oxilab_request_seconds_count", model="iris") == 4
    assert value(times, "oxilab_request_seconds_sum", model="iris") > 0
    assert value(after["oxilab_tokens"], "oxilab_tokens_total", model="tiny") == 6
    assert value(after["oxilab_tokens_per_second"], model="tiny") > 0
    assert value(after["oxilab_model_behind"], model="iris") == 0
    assert value(after["oxilab_capture_failures"], "oxilab_capture_failures_total", model="iris") == 0
    assert after["oxilab_model_info"].samples[0].labels["version"]


def test_requests_under_way_are_counted(server):
    """A stream that nobody reads to its end is one, until its client is gone."""
    text = {"model": "tiny", "prompt": "ab", "max_tokens": 120, "n": 128, "logprobs": 5, "stream": True}
    answer = requests.post(f"{server.url}/v1/completions", json=text, timeout=30, stream=True)
    assert answer.ok
    assert value(families(server)["oxilab_requests_in_flight"]) == 1
    answer.close()
    for _ in range(200):
        if value(families(server)["oxilab_requests_in_flight"]) == 0:
            break
        time.sleep(0.05)
    assert value(families(server)["oxilab_requests_in_flight"]) == 0
