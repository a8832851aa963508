"""Loads the GGUF files that oxilab wrote to FOLDER into llama.cpp and compares tokens and
log-probabilities. The merged model is kept in circle/ with what llama.cpp said, for `--test circle`:

    python3 -m venv venv && venv/bin/pip install xllamacpp
    OXILAB_CIRCLE=FOLDER cargo test --release -p oxilab-llm --test tiny -- --ignored write_what
    venv/bin/python prelude/llm/tests/goldens/gguf_circle.py FOLDER
"""

import importlib.metadata
import json
import pathlib
import shutil
import sys
import urllib.request

import xllamacpp

CIRCLE = pathlib.Path(__file__).parent / "circle"
MERGED = "merged-llama-0.gguf"


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
    if "said" in expected:
        # A model that was taught something says it.
        body = {"prompt": expected["tokens"], "n_predict": 12, "temperature": 0.0}
        said = post("/completion", body)["content"]
        print(f"{path.name}: {len(ids)} tokens equal, says {said!r}", flush=True)
        assert said == expected["said"], (said, expected["said"])
        return
    body = {"prompt": expected["tokens"], "n_predict": 1, "temperature": 0.0, "n_probs": 10}
    step = post("/completion", body)["completion_probabilities"][0]
    theirs = {top["id"]: top["logprob"] for top in step["top_logprobs"]}
    apart = max(abs(theirs.get(id, -99) - logprob) for id, logprob in expected["best"][:5])
    print(f"{path.name}: {len(ids)} tokens equal, log-probabilities {apart:.4f} apart", flush=True)
    # llama.cpp holds keys and values in 16 bits, and rounds activations as the quantised types do.
    assert apart < 0.15, path.name
    if path.name == MERGED:
        shutil.copy(path, CIRCLE / path.name)
        said = {
            "llama_cpp": f"xllamacpp {importlib.metadata.version('xllamacpp')}",
            "text": expected["text"],
            "ids": ids,
            "tokens": expected["tokens"],
            "best": [[top["id"], round(top["logprob"], 4)] for top in step["top_logprobs"]],
        }
        text = json.dumps(said, ensure_ascii=False, indent=1)
        (CIRCLE / path.name).with_suffix(".json").write_text(text + "\n")


for path in sorted(pathlib.Path(sys.argv[1]).glob("*.gguf")):
    check(path)
