"""One stream of a language model: oxilab-server with llama.cpp under it beside llama.cpp's own server.

    python serve_llm.py --server PROGRAM --model MODEL.gguf [--runs N] [--tokens N]

Both answer the same requests of OpenAI's API (256 tokens of prompt, a streamed greedy completion), in turns,
and are timed by the same client: from the first piece to the last, so that neither reading the prompt nor
connecting counts. Run by `cargo xtask bench serve --llm`; the figures go to benches/results/serve_llm.md.
"""

import argparse
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).parent
THREADS = 2
BAR = 0.9
PROMPTS = 8


def peer(model):
    """llama.cpp's server, in the process that this script starts for it."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx = 1024
    params.n_parallel = 1
    params.cpuparams.n_threads = THREADS
    params.cpuparams_batch.n_threads = THREADS
    server = xllamacpp.Server(params)
    print(f"listening on {server.listening_address} ({xllamacpp.get_system_info().strip()})", flush=True)
    signal.pause()


class Server:
    """A server in a process group of its own, from the line that says where it listens."""

    def __init__(self, name, command, model):
        self.name, self.model = name, model
        threads = dict(RAYON_NUM_THREADS=str(THREADS), OMP_NUM_THREADS=str(THREADS))
        # It is no server of the user's own.
        threads["OXILAB_SERVE_STATE"] = tempfile.mkdtemp()
        self.process = subprocess.Popen(
            command, env={**os.environ, **threads}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )
        said = []
        for line in self.process.stdout:
            said.append(line)
            if found := re.search(r"listening on (http://\S+)(?: \((.*)\))?", line):
                self.url, self.system = found.groups()
                break
        else:
            raise SystemExit(f"{name} did not start:\n" + "".join(said)[-2000:])
        # What it says later is read by nobody, and must not stop it.
        threading.Thread(target=lambda: [None for _ in self.process.stdout], daemon=True).start()

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)

    def complete(self, number, tokens):
        """Tokens a second between the first and the last piece, milliseconds to the first, the text."""
        body = {
            # Another prompt each time: neither side may remember it.
            "model": self.model, "prompt": [(n * 31 + 7 + number * 1009) % 49152 for n in range(256)],
            "max_tokens": tokens, "temperature": 0, "stream": True, "stream_options": {"include_usage": True},
        }
        request = urllib.request.Request(
            f"{self.url}/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        begun = time.perf_counter()
        first = last = used = None
        text = ""
        with urllib.request.urlopen(request, timeout=600) as answer:
            for line in answer:
                if not line.startswith(b"data: {"):
                    continue
                chunk = json.loads(line[6:])
                used = (chunk.get("usage") or {}).get("completion_tokens", used)
                piece = "".join(choice.get("text") or "" for choice in chunk["choices"])
                if piece:
                    last = time.perf_counter()
                    first = first or last
                    text += piece
        if used is None or used < tokens // 2 or first == last:
            return None
        return (used - 1) / (last - first), (first - begun) * 1e3, text


def main():
    if sys.argv[1:2] == ["peer"]:
        return peer(sys.argv[2])
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True, help="oxilab-server with the feature llama-cpp")
    parser.add_argument("--model", required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=128)
    options = parser.parse_args()
    ours = [options.server, "--model", f"m={options.model}", "--port", "0", "--engine", "llama-cpp"]
    theirs = [sys.executable, "-P", str(pathlib.Path(__file__).resolve()), "peer", options.model]
    servers = []
    try:
        servers.append(Server("oxilab", ours, "m"))
        servers.append(Server("llama.cpp", theirs, "m"))
        figures, same = {server.name: [] for server in servers}, 0
        for server in servers:
            server.complete(PROMPTS * 1000, 16)
        counted = number = 0
        while counted < options.runs:
            number += 1
            if number > options.runs + PROMPTS:
                raise SystemExit("too many prompts whose answer ends at once; take others")
            both = [server.complete(number, options.tokens) for server in servers]
            if None in both:
                continue
            counted += 1
            same += both[0][2] == both[1][2]
            for server, figure in zip(servers, both):
                figures[server.name].append(figure[:2])
                print(f"{server.name}: {figure[0]:.1f} tokens/s, {figure[1]:.0f} ms to the first", flush=True)
    finally:
        for server in servers:
            server.stop()
    sys.exit(0 if write(figures, same, options, servers[1].system) else 1)


def write(figures, same, options, system):
    # Not at the top: the peer's process does not see this folder, in which `kernels.py` is another module.
    from report import machine, today

    middle = {name: [statistics.median(values) for values in zip(*runs)] for name, runs in figures.items()}
    ratios = [a[0] / b[0] for a, b in zip(figures["oxilab"], figures["llama.cpp"])]
    ratio = statistics.median(ratios)
    holds = ratio >= BAR
    lines = [f"| {name} | {rate:.1f} | {first:.0f} |" for name, (rate, first) in middle.items()]
    text = (
        "# A language model, one stream\n\n"
        f"`cargo xtask bench serve --llm`, {today()}, {machine()}. {pathlib.Path(options.model).name}, {THREADS} threads, "
        f"256 tokens of prompt, {options.tokens} of answer, greedy, streamed over `/v1/completions`; medians of "
        f"{options.runs} alternating requests, load average {os.getloadavg()[0]:.1f}.\n\n"
        "| | tokens/s | ms to the first piece |\n|---|---|---|\n" + "\n".join(lines) + "\n\n"
        f"Bar ≥ {BAR} × llama.cpp's server: {ratio:.2f} × (median of the pairs, {min(ratios):.2f} to {max(ratios):.2f}), "
        f"{'holds' if holds else '**missed**'}. {same} of {options.runs} answers are the same text on both sides.\n\n"
        f"llama.cpp's server is that of the wheel `xllamacpp` ({system}); oxilab's llama.cpp is built for this machine.\n"
    )
    path = HERE / "results" / "serve_llm.md"
    path.write_text(text, encoding="utf-8")
    print(f"written to {path}")
    return holds


if __name__ == "__main__":
    main()
