"""Models in MLflow's layout, loaded by other tools: a model of every learner by ONNX Runtime, those of
LightGBM and XGBoost by their libraries, all of them by `mlflow.pyfunc`; language models and adapters by
transformers and PEFT, where those are installed.

`cargo build --release -p oxilab --example flavors` makes the program that fits and registers them.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import mlflow
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import xgboost

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = ROOT / "prelude/llm/tests/goldens/tiny"
# torch and its kin, which are too large for the environment of these tests.
PEERS = pathlib.Path.home() / ".cache/oxilab/peers/llm"
# ONNX's trees add up to 32 bits.
NEAR = dict(rel=2e-6, abs=2e-6)
# What ONNX has no operators for.
WITHOUT = {"neighbors", "pipeline"}
NATIVE = {"lightgbm", "lightgbm-two", "lightgbm-classes", "lightgbm-levels", "lightgbm-poisson"}
BOOSTED = {"xgboost", "xgboost-two", "xgboost-classes", "xgboost-poisson"}
LANGUAGE = {"language", "adapter"}


def target():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flavors")
    adapter = folder / "llama-plain"
    shutil.copytree(TINY / "llama-plain", adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(TINY / "llama")
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    program = target() / "examples/flavors"
    done = subprocess.run([program, folder, TINY / "llama", adapter], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return {model["name"]: model for model in json.loads(done.stdout)}


def feeds(model):
    """What ONNX Runtime is given: a value for each row, missing numbers as NaN, missing texts empty."""
    found = {}
    for column in model["columns"]:
        values = column["values"]
        if column["kind"] == "text":
            values = np.array(["" if value is None else value for value in values], dtype=object)
        elif column["kind"] == "float":
            values = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
        else:
            values = np.array(values, dtype=np.int64 if column["kind"] == "int" else np.bool_)
        found[column["name"]] = values.reshape(-1, 1) if len(model["columns"]) == 1 else values
    return found


def frame(model):
    loaded = mlflow.pyfunc.load_model(model["folder"])
    types = {column.name: column.type.to_pandas() for column in loaded.metadata.signature.inputs}
    columns = {column["name"]: column["values"] for column in model["columns"]}
    rows = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in columns.items()})
    for name, kind in types.items():
        if rows[name].notna().all() or kind == np.dtype("float64"):
            rows[name] = rows[name].astype(kind)
    return loaded, rows


def same(found, expected):
    if isinstance(expected[0], (str, bool)) or isinstance(expected[0], int):
        return list(found) == expected
    return found == pytest.approx(expected, **NEAR)


def test_every_learner_is_among_them(models):
    assert len(models) == 29, sorted(models)
    for name, model in models.items():
        flavors = mlflow.models.Model.load(model["folder"]).flavors
        assert "oxilab" in flavors, name
        assert ("onnx" in flavors) == (name not in WITHOUT | LANGUAGE), name
        assert ("lightgbm" in flavors) == (name in NATIVE), name
        assert ("xgboost" in flavors) == (name in BOOSTED), name
        assert ("transformers" in flavors) == (name in LANGUAGE), name


def test_onnx_runtime_predicts_the_same(models):
    for name, model in models.items():
        if name in WITHOUT | LANGUAGE:
            continue
        loaded = mlflow.onnx.load_model(model["folder"])
        onnx.checker.check_model(loaded, full_check=True)
        session = onnxruntime.InferenceSession(loaded.SerializeToString(), providers=["CPUExecutionProvider"])
        outputs = [output.name for output in session.get_outputs()]
        found = dict(zip(outputs, session.run(None, feeds(model))))
        for output in outputs:
            expected = np.array(model[output])
            if expected.dtype.kind == "f":
                apart = np.abs(found[output] - expected).max()
                assert found[output] == pytest.approx(expected, **NEAR), f"{name}: {output} is {apart} apart"
            else:
                assert found[output].tolist() == expected.tolist(), f"{name}: {output}"
        assert set(outputs) == set(model) - {"name", "folder", "columns"}, name


def test_onnx_takes_a_text_that_it_has_not_seen_for_missing(models):
    for name in ("logistic", "forest-two", "lightgbm-two", "net-classes"):
        model = models[name]
        session = onnxruntime.InferenceSession(pathlib.Path(model["folder"], "model.onnx").read_bytes())
        unseen, missing = feeds(model), feeds(model)
        unseen["kind"] = np.array(["yew"] * len(unseen["kind"]), dtype=object)
        missing["kind"] = np.array([""] * len(missing["kind"]), dtype=object)
        left, right = (session.run(["probabilities"], rows)[0] for rows in (unseen, missing))
        assert (left == right).all(), name
        assert (left != session.run(["probabilities"], feeds(model))[0]).any(), name


def test_pyfunc_predicts_the_same(models):
    for name in ("linear", "forest-classes", "lightgbm-levels", "xgboost-two", "net", "isolation", "pipeline"):
        loaded, rows = frame(models[name])
        assert same(loaded.predict(rows).tolist(), models[name]["prediction"]), name


def test_xgboost_loads_its_own(models):
    for name in BOOSTED:
        model = models[name]
        booster = mlflow.xgboost.load_model(model["folder"])
        assert isinstance(booster, xgboost.Booster)
        rows = {}
        for column in model["columns"]:
            values = column["values"]
            if column["kind"] == "text":
                known = sorted({value for value in values if value is not None})
                values = [np.nan if value is None else known.index(value) for value in values]
            rows[column["name"]] = np.array(values, dtype=np.float64)
        kinds = ["c" if column["kind"] == "text" else "q" for column in model["columns"]]
        matrix = xgboost.DMatrix(
            np.column_stack(list(rows.values())),
            feature_names=booster.feature_names,
            feature_types=kinds,
            enable_categorical=True,
        )
        expected = np.array(model.get("probabilities", model["prediction"]))
        found = booster.predict(matrix, validate_features=False)
        if name == "xgboost-two":
            expected = expected[:, 1]
        assert found == pytest.approx(expected, **NEAR), name


LOADS = """
import json, sys, torch, mlflow
from safetensors.torch import load_file
language, adapter, *goldens = sys.argv[1:]
tokens = torch.tensor([[5, 77, 130, 9, 9, 201, 33, 64, 180, 2, 91, 140, 17, 250, 3, 111]])
apart, kinds = [], []
for folder, golden in zip((language, adapter), goldens):
    parts = mlflow.transformers.load_model(folder, return_type="components")
    with torch.no_grad():
        logits = parts["model"](tokens).logits[0].float()
    apart.append((logits - load_file(golden)["logits"]).abs().max().item())
    kinds.append(type(parts["model"]).__name__)
said = mlflow.pyfunc.load_model(language).predict(["The sea is"])
print("\\n" + json.dumps({"apart": apart, "kinds": kinds, "said": said}))
"""


def test_transformers_and_peft_load_language_models(models):
    """With the torch of the peers' environment behind the packages of this one."""
    packages = next(PEERS.glob("lib/python3*/site-packages/torch"), None)
    if packages is None:
        pytest.skip(f"torch, transformers and peft are not in {PEERS}")
    program = f"import sys; sys.path.append({str(packages.parent)!r})\n{LOADS}"
    names = ["language", "adapter"]
    arguments = [models[name]["folder"] for name in names]
    arguments += [TINY / name / "logits.golden" for name in ("llama", "llama-plain")]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["kinds"] == ["LlamaForCausalLM", "PeftModelForCausalLM"]
    assert max(told["apart"]) < 1e-4, told
    assert len(told["said"]) == 1 and told["said"][0].startswith("The sea is"), told
