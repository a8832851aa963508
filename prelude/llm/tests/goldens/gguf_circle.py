"""Loads the GGUF files that oxilab wrote to FOLDER into llama.cpp and compares tokens and
log-probabilities:

    python3 -m venv venv && venv/bin/pip install xllamacpp
    OXILAB_CIRCLE=FOLDER cargo test --release -p oxilab-llm --test tiny -- --ignored write_what
    venv/bin/python prelude/llm/tests/goldens/gguf_circle.py FOLDER
"""

import json
import pathlib
import sys
import urllib.request

import xllamacpp


def check(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx = 128
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)

    def post(where, body):
        request = urllib.request.Request(
            server.listening_address + where,
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        return json.load(urllib.request.urlopen(request))

    ids = post("/tokenize", {"content": expected["text"], "add_special": True})["tokens"]
    assert ids == expected["ids"], (path.name, ids, expected["ids"])
    body = {"prompt": expected["tokens"], "n_predict": 1, "temperature": 0.0, "n_probs": 10}
    step = post("/completion", body)["completion_probabilities"][0]
    theirs = {top["id"]: top["logprob"] for top in step["top_logprobs"]}
    apart = max(abs(theirs.get(id, -99) - logprob) for id, logprob in expected["best"][:5])
    print(f"{path.name}: {len(ids)} tokens equal, log-probabilities {apart:.4f} apart", flush=True)
    # llama.cpp holds keys and values in 16 bits, and rounds activations as the quantised types do.
    assert apart < 0.15, path.name


for path in sorted(pathlib.Path(sys.argv[1]).glob("*.gguf")):
    check(path)
