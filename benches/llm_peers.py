"""The peers' side of `cargo xtask bench llm`: one figure a process, one line of JSON.

    python llm_peers.py speed MODEL.gguf      llama.cpp: prompt and generation, 256 and 64 tokens
    python llm_peers.py train FOLDER STEPS    PyTorch and PEFT: LoRA steps at 1 x 256 tokens, checkpointing
"""

import json
import statistics
import sys
import time

THREADS = 2


def peak():
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def speed(model):
    import urllib.request

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx = 1024
    params.n_parallel = 1
    params.cpuparams.n_threads = THREADS
    params.cpuparams_batch.n_threads = THREADS
    server = xllamacpp.Server(params)
    body = {
        "prompt": [(n * 31 + 7) % 49152 for n in range(256)],
        "n_predict": 64,
        "temperature": 0.0,
        "cache_prompt": False,
        "ignore_eos": True,
    }
    runs = []
    for _ in range(3):
        request = urllib.request.Request(
            server.listening_address + "/completion",
            json.dumps(body).encode(),
            {"content-type": "application/json"},
        )
        runs.append(json.load(urllib.request.urlopen(request))["timings"])
    assert all(run["prompt_n"] == 256 and run["predicted_n"] == 64 for run in runs), runs
    middle = lambda key: statistics.median(run[key] for run in runs)
    return {
        "prompt": middle("prompt_per_second"),
        "generation": middle("predicted_per_second"),
        "peak": peak(),
        "system": xllamacpp.get_system_info(),
    }


def train(folder, steps):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
    layers = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=layers)
    model = get_peft_model(model, config)
    model.config.use_cache = False
    model.train()
    optimizer = torch.optim.AdamW(
        (p for p in model.parameters() if p.requires_grad), lr=2e-4, weight_decay=0.0
    )
    text = "The lamp over the door of the Blue Lantern burns all night, and the cat sleeps. " * 30
    tokens = AutoTokenizer.from_pretrained(folder)("The" + text)["input_ids"][:256]
    batch = torch.tensor([tokens])
    assert batch.shape == (1, 256)
    times, losses = [], []
    for _ in range(int(steps)):
        started = time.perf_counter()
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - started)
        losses.append(float(loss.detach()))
    return {"step": statistics.median(times[1:]), "losses": losses, "peak": peak()}


if __name__ == "__main__":
    print(json.dumps({"speed": speed, "train": train}[sys.argv[1]](*sys.argv[2:])))
