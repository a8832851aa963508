"""The server with the clients that people use: MLflow's requests, tritonclient, openai, schemathesis."""

import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import jsonschema
import numpy as np
import openai
import pytest
import requests
import schemathesis
import tritonclient.http as triton
import yaml
from conftest import ROOT
from tritonclient.utils import InferenceServerException

MODEL = ROOT / "tests/data/virginica.lgb.txt"
# Numbers, some missing, a flag and categories (`the_model_of_the_python_tests` in prelude/server/tests/it).
PEOPLE = ROOT / "tests/data/people.oxm"
TINY = ROOT / "prelude/llm/tests/goldens/tiny/llama"
COLUMNS = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
ROWS = [[6.5, 3.0, 5.5, 2.0], [5.0, 3.4, 1.5, 0.2]]
# What Python's lightgbm says about them.
EXPECTED = [0.51861033, 0.24520802]
MODELS = pathlib.Path.home() / ".cache/oxilab/models"


def program():
    places = [
        os.environ.get("OXILAB_SERVER"),
        pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/oxilab-server",
        pathlib.Path.home() / ".local/share/oxilab/current/bin/oxilab-server",
    ]
    return next(str(place) for place in places if place and pathlib.Path(place).is_file())


class Server:
    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [program(), "--port", "0", *map(str, arguments)], stderr=subprocess.PIPE, text=True,
            # It is no server of the user's own.
            env={**os.environ, "RAYON_NUM_THREADS": "1", "OXILAB_SERVE_STATE": self.folder.name},
        )
        said = []
        for line in self.process.stderr:
            said.append(line)
            if found := re.search(r"listening on (http://(\S+))", line):
                self.url, self.address = found.groups()
                return
        pytest.fail("the server did not start:\n" + "".join(said))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        assert self.process.returncode == 0


@pytest.fixture(scope="module")
def iris():
    server = Server("--model", f"iris={MODEL}")
    yield server
    server.stop()


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": COLUMNS, "data": ROWS}},
        {"dataframe_records": [dict(zip(COLUMNS, row)) for row in ROWS]},
        {"instances": ROWS},
        {"inputs": {name: [row[at] for row in ROWS] for at, name in enumerate(COLUMNS)}},
    ],
)
def test_mlflow_requests(iris, body):
    answer = requests.post(f"{iris.url}/invocations", json=body, timeout=10)
    assert answer.json() == {"predictions": [1, 0]}
    csv = ",".join(COLUMNS) + "\n" + "\n".join(",".join(map(str, row)) for row in ROWS)
    answer = requests.post(f"{iris.url}/invocations", csv, headers={"Content-Type": "text/csv"}, timeout=10)
    assert answer.json() == {"predictions": [1, 0]}


def test_tensorflow_serving_answers_rows_and_columns(iris):
    predict = f"{iris.url}/v1/models/iris:predict"
    assert requests.post(predict, json={"instances": ROWS}, timeout=10).json() == {"predictions": [1, 0]}
    columns = {name: [row[at] for row in ROWS] for at, name in enumerate(COLUMNS)}
    assert requests.post(predict, json={"inputs": columns}, timeout=10).json() == {"outputs": [1, 0]}


def test_typed_requests_name_the_wrong_field(iris):
    answer = requests.post(f"{iris.url}/predict", json={"features": ROWS[0]}, timeout=10).json()
    assert answer["prediction"] == 1
    assert answer["probability"] == pytest.approx(EXPECTED[0], abs=1e-7)
    wrong = requests.post(f"{iris.url}/predict", json={"features": ["a", 1, 2, 3]}, timeout=10)
    assert (wrong.status_code, wrong.json()["field"]) == (422, "sepal_length")


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient(iris, binary):
    client = triton.InferenceServerClient(iris.address)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("iris")
    assert client.get_server_metadata()["name"] == "oxilab"
    assert [i["name"] for i in client.get_model_metadata("iris")["inputs"]] == COLUMNS
    assert client.get_model_repository_index()[0]["name"] == "iris"
    values = np.array(ROWS)
    inputs = []
    for at, name in enumerate(COLUMNS):
        tensor = triton.InferInput(name, [2], "FP64")
        tensor.set_data_from_numpy(values[:, at].copy(), binary_data=binary)
        inputs.append(tensor)
    answer = client.infer("iris", inputs, request_id="r1")
    assert answer.get_response()["id"] == "r1"
    assert answer.as_numpy("predict").tolist() == [1, 0]
    assert answer.as_numpy("predict_proba")[:, 1] == pytest.approx(EXPECTED, abs=1e-7)
    whole = triton.InferInput("x", [2, 4], "FP32")
    whole.set_data_from_numpy(values.astype(np.float32), binary_data=binary)
    assert client.infer("iris", [whole]).as_numpy("predict").tolist() == [1, 0]
    with pytest.raises(InferenceServerException, match="sepal_width"):
        client.infer("iris", inputs[:1])
    client.close()


@pytest.fixture(scope="module")
def several():
    """A model of numbers, one with missing values, flags and categories, a language model."""
    server = Server("--model", f"iris={MODEL}", "--model", f"people={PEOPLE}", "--model", f"tiny={TINY}")
    yield server
    server.stop()


# What a JSON schema cannot say of these: that there are as many values as the shape says.
LOOSE = {"positive_data_acceptance", "negative_data_rejection"}


def test_openapi_holds_what_it_says(several):
    """schemathesis makes requests from the document, right ones and wrong ones. Right ones must be answered,
    wrong ones refused, and every answer must be one of those that the document has."""
    from hypothesis import HealthCheck, given, settings
    from schemathesis import GenerationMode
    from schemathesis.checks import CHECKS
    from schemathesis.config import SchemathesisConfig

    # Too many rows are refused as such.
    refusals = {"expected-statuses": [400, 404, 413, 422]}
    config = SchemathesisConfig.from_dict({"checks": {"negative_data_rejection": refusals}})
    schema = schemathesis.openapi.from_url(f"{several.url}/openapi.json", config=config)

    asked = {mode: {} for mode in GenerationMode}
    refused = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        text = operation.path.endswith(("/completions", "/embeddings"))
        # A tiny model says nothing sensible to right questions, and has no room for long ones.
        modes = ([] if text else [GenerationMode.POSITIVE]) + ([GenerationMode.NEGATIVE] if operation.body else [])
        loose = [CHECKS.get_one(name) for name in LOOSE] if operation.path.endswith("/infer") else []
        for mode in modes:
            asked[mode][operation.path] = 0

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
            def check(case):
                nonlocal refused
                answer = case.call_and_validate(excluded_checks=loose)
                asked[mode][case.path] += 1
                refused += answer.status_code in (400, 413, 422)

            check()
    right, wrong = asked[GenerationMode.POSITIVE], asked[GenerationMode.NEGATIVE]
    assert len(right) > 40 and len(wrong) > 20
    assert min(right.values()) >= 1 and min(wrong.values()) >= 5, asked
    assert refused > 10 * len(wrong), "most of the wrong ones were wrong by their body"
    for path in ["/predict/people", "/invocations/iris", "/v1/models/people:predict", "/predictions/iris"]:
        assert right[path] >= 10 and wrong[path] >= 5, path
    assert requests.get(f"{several.url}/health", timeout=10).json()["status"] == "ok"


def test_kserve_manifest_is_what_kubernetes_takes(tmp_path):
    subprocess.run([program(), "kserve", MODEL, "--folder", tmp_path, "--image", "r.example/iris:1"], check=True)
    manifest = yaml.safe_load((tmp_path / "inferenceservice.yaml").read_text())
    schema = json.loads((ROOT / "tests/data/inferenceservice.schema.json").read_text())
    jsonschema.validate(manifest, schema)
    container = manifest["spec"]["predictor"]["containers"][0]
    assert container["image"] == "r.example/iris:1"
    assert "COPY model /models" in (tmp_path / "Containerfile").read_text()
    manifest["spec"]["predictor"]["containers"][0]["ports"][0]["containerPort"] = "8080"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest, schema)


@pytest.fixture(scope="module")
def language():
    gguf = next((MODELS / "smollm2").glob("*.gguf"))
    server = Server("--model", f"smollm2={gguf}", "--model", f"minilm={MODELS / 'minilm'}")
    yield openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
    server.stop()


QUESTION = [{"role": "user", "content": "What is the capital of Italy?"}]


def test_chat(language):
    assert {model.id for model in language.models.list()} == {"smollm2", "minilm"}
    assert language.models.retrieve("smollm2").id == "smollm2"
    whole = language.chat.completions.create(
        model="smollm2", messages=QUESTION, temperature=0, max_tokens=12, logprobs=True, top_logprobs=2
    )
    choice = whole.choices[0]
    assert choice.message.content
    assert whole.usage.completion_tokens == len(choice.logprobs.content)
    first = choice.logprobs.content[0]
    assert first.logprob <= 0 and first.top_logprobs[0].token == first.token
    assert len(first.top_logprobs) == 2
    stream = language.chat.completions.create(
        model="smollm2", messages=QUESTION, temperature=0, max_tokens=12, stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == choice.message.content
    assert chunks[-1].usage == whole.usage
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == choice.finish_reason
    same = language.chat.completions.create(model="smollm2", messages=QUESTION, seed=3, max_tokens=8)
    again = language.chat.completions.create(model="smollm2", messages=QUESTION, seed=3, max_tokens=8)
    assert same.choices[0].message.content == again.choices[0].message.content


def test_stop_and_json_schema(language):
    def ask(**more):
        said = language.chat.completions.create(
            model="smollm2", messages=QUESTION, temperature=0, max_tokens=12, **more
        )
        return said.choices[0]

    whole = ask().message.content
    last = whole.split()[-1]
    stopped = ask(stop=[last])
    assert stopped.message.content == whole[: whole.index(last)]
    assert stopped.finish_reason == "stop"
    schema = {"type": "object", "required": ["city", "big"], "additionalProperties": False,
              "properties": {"city": {"type": "string", "maxLength": 20}, "big": {"type": "boolean"}}}
    said = language.chat.completions.create(
        model="smollm2", messages=QUESTION, temperature=0, max_tokens=40,
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema}},
    )
    jsonschema.validate(json.loads(said.choices[0].message.content), schema)


def test_completions_and_embeddings(language):
    said = language.completions.create(
        model="smollm2", prompt="The sea is", max_tokens=5, temperature=0, logprobs=1, echo=True
    )
    assert said.choices[0].text.startswith("The sea is")
    assert said.choices[0].finish_reason == "length"
    told = said.choices[0].logprobs
    assert len(told.tokens) == said.usage.prompt_tokens + 5
    assert "".join(told.tokens) == said.choices[0].text
    assert told.token_logprobs[0] is None and max(told.token_logprobs[1:]) <= 0
    prompts = ["The sea is", "Rome is the capital of"]
    ask = dict(model="smollm2", max_tokens=5, temperature=0)
    alone = [language.completions.create(prompt=prompt, **ask) for prompt in prompts]
    both = language.completions.create(prompt=prompts, **ask)
    assert [(c.index, c.text) for c in both.choices] == [(at, one.choices[0].text) for at, one in enumerate(alone)]
    assert both.usage.prompt_tokens == sum(one.usage.prompt_tokens for one in alone)
    grown = ["", ""]
    for chunk in language.completions.create(prompt=prompts, stream=True, **ask):
        for choice in chunk.choices:
            grown[choice.index] += choice.text
    assert grown == [choice.text for choice in both.choices]
    tokens = language.completions.create(prompt=[[504, 1000], [504]], **ask)
    assert [choice.index for choice in tokens.choices] == [0, 1] and tokens.usage.prompt_tokens == 3
    with pytest.raises(openai.BadRequestError) as mixed:
        language.completions.create(prompt=["The sea is", 5], **ask)
    assert mixed.value.param == "prompt"
    texts = ["a cat on the sofa", "a kitten lies on a couch", "the stock market fell"]
    made = language.embeddings.create(model="minilm", input=texts)
    vectors = np.array([e.embedding for e in made.data])
    # As the model's own tokenizer counts, with what opens and closes each text.
    assert made.usage.prompt_tokens == made.usage.total_tokens == 21
    assert vectors.shape == (3, 384)
    near, far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert near > 0.5 > far
    plain = language.embeddings.create(model="minilm", input=texts[0], encoding_format="float")
    assert plain.data[0].embedding == pytest.approx(vectors[0].tolist(), abs=1e-5)


def test_openai_errors(language):
    with pytest.raises(openai.NotFoundError, match="not served here"):
        language.chat.completions.create(model="other", messages=QUESTION)
    with pytest.raises(openai.BadRequestError) as refused:
        language.chat.completions.create(model="smollm2", messages=QUESTION, temperature=9)
    assert refused.value.param == "temperature"
    with pytest.raises(openai.BadRequestError, match="no embeddings"):
        language.embeddings.create(model="smollm2", input="x")
    with pytest.raises(openai.BadRequestError) as long:
        language.completions.create(model="smollm2", prompt="word " * 20_000)
    assert long.value.code == "context_length_exceeded"
