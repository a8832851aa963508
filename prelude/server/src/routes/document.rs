//! The `OpenAPI` 3.1 document, made from the signatures of the models: [`document`].
//!
//! Models and versions stand in the paths as they are now, so that every path can be tried as it is.

use std::sync::Arc;

use oxilab_serve::Signature;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::llm::Model;
use crate::slot::Slot;

/// What the server answers, as a document.
pub(super) fn document(app: &App) -> Value {
    let mut document = Document::default();
    document.schemas.insert("Problem".to_owned(), object(&["error", "message"], &json!({
        "error": {"type": "string"}, "message": {"type": "string"}, "field": {"type": "string"}
    })));
    let slots = app.slots();
    for (number, slot) in slots.iter().enumerate() {
        document.rows(app, slot, number);
    }
    for slot in slots.iter().filter(|slot| slot.label == slot.name) {
        document.status(&slot.name);
    }
    document.language(app);
    document.server();
    let mut value = json!({
        "openapi": "3.1.0",
        "info": {"title": app.name, "version": env!("CARGO_PKG_VERSION")},
        "paths": document.paths,
        "components": {"schemas": document.schemas},
    });
    if !app.args.api_key_hash.is_empty() {
        value["components"]["securitySchemes"] =
            json!({"key": {"type": "http", "scheme": "bearer"}});
        value["security"] = json!([{"key": []}]);
    }
    value
}

#[derive(Default)]
struct Document {
    paths: Map<String, Value>,
    schemas: Map<String, Value>,
}

/// A body and an example of it.
struct Asked<'a> {
    schema: &'a Value,
    example: &'a Value,
}

impl Document {
    fn get(&mut self, path: &str, what: &str, kind: &str, schema: &Value, statuses: &[u16]) {
        let get = operation(path, "get", what, kind, schema, statuses);
        self.paths.insert(path.to_owned(), json!({"get": get}));
    }

    fn post(
        &mut self,
        path: &str,
        what: &str,
        asked: &Asked<'_>,
        answer: &Value,
        statuses: &[u16],
    ) {
        let mut post = operation(path, "post", what, "application/json", answer, statuses);
        let content = json!({"schema": asked.schema, "example": asked.example});
        post["requestBody"] = json!({"required": true, "content": {"application/json": content}});
        self.paths.insert(path.to_owned(), json!({"post": post}));
    }

    /// What a model of rows answers: under its name if it is the first of that, and under its version.
    fn rows(&mut self, app: &App, slot: &Arc<Slot>, number: usize) {
        const STATUSES: [u16; 8] = [400, 401, 404, 408, 413, 422, 429, 503];
        let predictor = slot.current();
        let signature = Signature::new(predictor.schema());
        let (name, version) = (&slot.name, predictor.version());
        let first = slot.label == slot.name;
        let row = if first { format!("{name}Row") } else { format!("{name}Row{number}") };
        let reference = json!({"$ref": format!("#/components/schemas/{row}")});
        self.schemas.insert(row, signature.row_schema());
        let most = app.args.row_limit;
        let many =
            |one: &Value| json!({"type": "array", "minItems": 1, "maxItems": most, "items": one});
        let (records, list) = (many(&reference), signature.list_schema());
        let lists = list.as_ref().map(many);
        let batch: Vec<Value> = std::iter::once(records.clone()).chain(lists).collect();
        let mut forms: Vec<Value> = std::iter::once(reference).chain(batch.clone()).collect();
        forms.extend(list);
        let batch = json!({"anyOf": batch});
        let example = signature.example();

        let features = json!({"features": {"anyOf": forms}});
        forms.push(object(&["features"], &features));
        let typed = json!({"anyOf": forms});
        let frame = object(&["dataframe_records"], &json!({"dataframe_records": records}));
        let instances = object(&["instances"], &json!({"instances": batch}));
        let predictions = object(&["predictions"], &json!({"predictions": {"type": "array"}}));
        let (list, any) = (json!({"type": "array"}), json!({"type": "object"}));
        let tensor_example = json!({"inputs": tensors(predictor.schema(), &example)});

        let one = Asked { schema: &typed, example: &example };
        let records = json!({"dataframe_records": [example]});
        let records = Asked { schema: &frame, example: &records };
        let instance = json!({"instances": [example]});
        let instances = Asked { schema: &instances, example: &instance };
        let plain = Asked { schema: &batch, example: &json!([example]) };
        let tensors = Asked { schema: &infer_request(), example: &tensor_example };
        let outputs = infer_response();
        let mut post = |path: &str, what: &str, asked: &Asked<'_>, answer: &Value| {
            self.post(path, what, asked, answer, &STATUSES);
        };
        let tensorflow = "TensorFlow Serving. Columns under `inputs` are answered with `outputs`.";
        if first {
            post(&format!("/predict/{name}"), "A row or a list of rows.", &one, &any);
            let what = "MLflow's scoring protocol, also CSV.";
            post(&format!("/invocations/{name}"), what, &records, &predictions);
            post(&format!("/v1/models/{name}:predict"), tensorflow, &instances, &predictions);
            post(&format!("/predictions/{name}"), "TorchServe.", &plain, &list);
            let what = "Open Inference Protocol.";
            post(&format!("/v2/models/{name}/infer"), what, &tensors, &outputs);
            let feedback = Asked { schema: &feedback(), example: &json!({"id": "a", "label": 1}) };
            let taken = object(
                &["taken", "unknown"],
                &json!({
                    "taken": {"type": "integer"}, "unknown": {"type": "array"}
                }),
            );
            let what =
                "Labels of earlier requests, by their x-request-id, of whichever version answered.";
            post(&format!("/feedback/{name}"), what, &feedback, &taken);
        }
        let what = "A row or a list of rows, by this version.";
        post(&format!("/predict/{name}/versions/{version}"), what, &one, &any);
        let path = format!("/v1/models/{name}/versions/{version}:predict");
        post(&path, tensorflow, &instances, &predictions);
        post(&format!("/predictions/{name}/{version}"), "TorchServe.", &plain, &list);
        let path = format!("/v2/models/{name}/versions/{version}");
        post(&format!("{path}/infer"), "Open Inference Protocol.", &tensors, &outputs);
        self.known(&path);
    }

    /// What the Open Inference Protocol says of a model or version at a path.
    fn known(&mut self, path: &str) {
        let any = json!({"type": "object"});
        self.get(path, "Metadata.", JSON, &metadata(), &OF_MODELS);
        self.get(&format!("{path}/ready"), "It answers.", JSON, &any, &OF_MODELS);
    }

    /// What is said of a model of rows.
    fn status(&mut self, name: &str) {
        let any = json!({"type": "object"});
        let states = json!({"model_version_status": {"type": "array"}});
        let states = object(&["model_version_status"], &states);
        let path = format!("/v2/models/{name}");
        self.known(&path);
        self.get(&format!("{path}/config"), "Triton's configuration.", JSON, &any, &OF_MODELS);
        self.get(&format!("/v1/models/{name}"), "Versions.", JSON, &states, &OF_MODELS);
    }

    /// `OpenAI`'s API.
    fn language(&mut self, app: &App) {
        const STATUSES: [u16; 9] = [400, 401, 404, 408, 413, 422, 429, 500, 503];
        let of = |text: bool| -> Vec<&str> {
            let is_text = |model| matches!(model, Model::Text(_));
            let all = app.llms.iter().filter(|slot| is_text(slot.model()) == text);
            all.map(|slot| slot.name.as_str()).collect()
        };
        let (texts, embedders) = (of(true), of(false));
        if app.llms.is_empty() {
            return;
        }
        let fault = object(&["message", "type"], &json!({"message": {"type": "string"}}));
        let fault = object(&["error"], &json!({"error": fault}));
        self.schemas.insert("Fault".to_owned(), fault);
        let listed = object(&["data"], &json!({"data": {"type": "array"}}));
        let card = object(&["id"], &json!({"id": {"type": "string"}}));
        self.get("/v1/models", "Language models.", JSON, &listed, &[401, 429, 503]);
        for slot in &app.llms {
            let path = format!("/v1/models/{}", slot.name);
            self.get(&path, "A language model.", JSON, &card, &OF_MODELS);
        }
        let choices = object(&["choices"], &json!({"choices": {"type": "array"}}));
        let mut post = |path: &str, what: &str, schema: &Value, example: &Value, answer: &Value| {
            self.post(path, what, &Asked { schema, example }, answer, &STATUSES);
            let responses = &mut self.paths[path]["post"]["responses"];
            for status in ["400", "404", "413", "422", "500", "503"] {
                let kind = &mut responses[status]["content"][JSON]["schema"];
                let fault = json!({"$ref": "#/components/schemas/Fault"});
                // While the models are away the front answers, which knows no protocol.
                *kind = if status == "503" { json!({"anyOf": [fault, kind]}) } else { fault };
            }
            if what.contains("stream") {
                responses["200"]["content"]["text/event-stream"] =
                    json!({"schema": {"type": "string"}});
            }
        };
        if let Some(first) = texts.first() {
            let example = json!({"model": first, "max_tokens": 50,
                "messages": [{"role": "user", "content": "What is the capital of Italy?"}]});
            let what = "OpenAI's chat; with `stream` as server-sent events.";
            post("/v1/chat/completions", what, &chat(&texts), &example, &choices);
            let example = json!({"model": first, "prompt": "The sea is", "max_tokens": 20});
            let what = "OpenAI's completions; with `stream` as server-sent events.";
            post("/v1/completions", what, &completions(&texts), &example, &choices);
        }
        if let Some(first) = embedders.first() {
            let example = json!({"model": first, "input": "a text"});
            let what = "Vectors of texts.";
            post("/v1/embeddings", what, &embeddings(&embedders), &example, &listed);
        }
    }

    /// What concerns all models.
    fn server(&mut self) {
        let any = json!({"type": "object"});
        let text = json!({"type": "string"});
        for (path, what, kind, schema) in [
            ("/ping", "It lives.", PLAIN, &text),
            ("/health", "It lives.", JSON, &any),
            ("/version", "The server's version.", PLAIN, &text),
            ("/v2/health/live", "It lives.", JSON, &any),
            ("/v2/health/ready", "Its models answer.", JSON, &any),
        ] {
            self.get(path, what, kind, schema, &[503]);
            // Who asks whether it lives needs no key.
            self.paths[path]["get"]["security"] = json!([]);
        }
        for (path, what, kind, schema) in [
            ("/v2", "What speaks here.", JSON, &any),
            ("/metrics", "Prometheus' text format.", PLAIN, &text),
            ("/monitor.json", "Requests, latency and drift.", JSON, &any),
        ] {
            self.get(path, what, kind, schema, &[401, 429, 503]);
        }
        let path = "/v2/repository/index";
        let list = json!({"type": "array"});
        let post = operation(path, "post", "All models.", JSON, &list, &[401, 408, 429, 503]);
        self.paths.insert(path.to_owned(), json!({"post": post}));
    }
}

const JSON: &str = "application/json";
const PLAIN: &str = "text/plain";

/// What may be answered of a model instead.
const OF_MODELS: [u16; 5] = [401, 404, 408, 429, 503];

fn operation(
    path: &str,
    method: &str,
    what: &str,
    kind: &str,
    schema: &Value,
    statuses: &[u16],
) -> Value {
    let mut responses = Map::new();
    let content = json!({kind: {"schema": schema}});
    responses.insert("200".to_owned(), json!({"description": what, "content": content}));
    for status in statuses {
        let text = match status {
            400 => "The body cannot be read.",
            401 => "An API key is needed.",
            404 => "There is no such model or version.",
            408 => "The request took too long.",
            413 => "The body is too large or has too many rows.",
            422 => "A field does not fit; `field` names it.",
            429 => "Too many requests a second.",
            500 => "The model failed.",
            _ => "Too many requests are under way, or the models are being loaded.",
        };
        responses.insert(status.to_string(), described(text));
    }
    let fits = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let id: String = format!("{method}{path}").chars().map(fits).collect();
    json!({"operationId": id, "summary": what, "responses": responses})
}

fn described(text: &str) -> Value {
    let schema = json!({"$ref": "#/components/schemas/Problem"});
    json!({"description": text, "content": {JSON: {"schema": schema}}})
}

fn object(required: &[&str], properties: &Value) -> Value {
    json!({"type": "object", "required": required, "properties": properties})
}

fn metadata() -> Value {
    let list = json!({"type": "array"});
    object(
        &["name", "versions", "inputs", "outputs"],
        &json!({"name": {"type": "string"}, "versions": list, "inputs": list, "outputs": list}),
    )
}

/// Tensors. That `data` has as many values as `shape` says is beyond a schema.
fn infer_request() -> Value {
    let kinds = [
        "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16",
        "BF16", "FP32", "FP64", "BYTES",
    ];
    let shape = json!({"type": "array", "minItems": 1, "maxItems": 2,
        "items": {"type": "integer", "minimum": 1}});
    let tensor = json!({"name": {"type": "string"}, "datatype": {"enum": kinds}, "shape": shape,
        "data": {"type": "array", "minItems": 1}});
    let tensor = object(&["name", "shape", "data"], &tensor);
    let inputs = json!({"type": "array", "minItems": 1, "items": tensor});
    object(&["inputs"], &json!({"id": {"type": "string"}, "inputs": inputs}))
}

fn infer_response() -> Value {
    let text = json!({"type": "string"});
    object(
        &["model_name", "model_version", "outputs"],
        &json!({"model_name": text, "model_version": text, "outputs": {"type": "array"}}),
    )
}

/// A row as tensors.
fn tensors(schema: &oxilab_model::schema::Schema, row: &Value) -> Vec<Value> {
    let metadata = Signature::new(schema).v2("", &[]);
    let inputs = metadata["inputs"].as_array().into_iter().flatten();
    inputs
        .map(|input| {
            let name = input["name"].as_str().unwrap_or_default();
            json!({"name": name, "datatype": input["datatype"], "shape": [1], "data": [row[name]]})
        })
        .collect()
}

fn feedback() -> Value {
    let (id, label) =
        (json!({"type": "string"}), json!({"type": ["string", "number", "boolean", "null"]}));
    let what = "One a row. A label that is null is waited for; others are taken once. If labels do not fit \
                their request, none of the body are taken.";
    let labels = json!({"type": "array", "items": label, "description": what});
    let one = object(&["id", "label"], &json!({"id": id, "label": label}));
    let many = object(&["id", "labels"], &json!({"id": id, "labels": labels}));
    let item = json!({"anyOf": [one, many]});
    let list = json!({"feedback": {"type": "array", "items": item}});
    json!({"anyOf": [one, many, object(&["feedback"], &list)]})
}

fn chat(models: &[&str]) -> Value {
    let part = object(
        &["type", "text"],
        &json!({
            "type": {"enum": ["text"]}, "text": {"type": "string"}
        }),
    );
    let content = json!({"anyOf": [{"type": "string"}, {"type": "array", "items": part}]});
    let roles = ["system", "developer", "user", "assistant"];
    let message =
        object(&["role", "content"], &json!({"role": {"enum": roles}, "content": content}));
    let mut properties = settings(models);
    properties.extend([
        ("messages".to_owned(), json!({"type": "array", "minItems": 1, "items": message})),
        ("max_completion_tokens".to_owned(), whole(1, None)),
        ("logprobs".to_owned(), json!({"type": ["boolean", "null"]})),
    ]);
    let mut top = whole(0, Some(20));
    top["description"] = json!("With `logprobs` true.");
    properties.insert("top_logprobs".to_owned(), top);
    object(&["model", "messages"], &Value::Object(properties))
}

fn completions(models: &[&str]) -> Value {
    let id = json!({"type": "integer", "minimum": 0, "maximum": u32::MAX});
    let some = |item: &Value| json!({"type": "array", "minItems": 1, "items": item});
    let text = json!({"type": "string"});
    let prompt = json!({"anyOf": [text, some(&text), some(&id), some(&some(&id))]});
    let mut properties = settings(models);
    properties.extend([
        ("prompt".to_owned(), prompt),
        ("logprobs".to_owned(), whole(0, Some(5))),
        ("echo".to_owned(), json!({"type": ["boolean", "null"]})),
    ]);
    object(&["model", "prompt"], &Value::Object(properties))
}

/// What both ways to ask for text have.
fn settings(models: &[&str]) -> Map<String, Value> {
    let stop = json!({"anyOf": [{"type": ["string", "null"]},
        {"type": "array", "maxItems": 4, "items": {"type": "string"}}]});
    let within =
        |highest: f64| json!({"type": ["number", "null"], "minimum": 0, "maximum": highest});
    let schema = object(&["schema"], &json!({"schema": {"type": "object"}}));
    let format = json!({"anyOf": [{"type": "null"},
        object(&["type"], &json!({"type": {"enum": ["text", "json_object"]}})),
        object(&["type", "json_schema"], &json!({
            "type": {"enum": ["json_schema"]}, "json_schema": schema}))]});
    let all = json!({
        "model": {"enum": models},
        "max_tokens": whole(1, None),
        "n": whole(1, Some(128)),
        "temperature": within(2.0),
        "top_p": within(1.0),
        "seed": whole(0, Some(u64::MAX)),
        "stop": stop,
        "stream": {"type": ["boolean", "null"]},
        "stream_options": {"description": "`{\"include_usage\": true}`"},
        "response_format": format,
        "presence_penalty": {"enum": [0, null]},
        "frequency_penalty": {"enum": [0, null]},
    });
    match all {
        Value::Object(all) => all,
        _ => Map::new(),
    }
}

fn whole(least: u64, most: Option<u64>) -> Value {
    let mut schema = json!({"type": ["integer", "null"], "minimum": least});
    if let Some(most) = most {
        schema["maximum"] = json!(most);
    }
    schema
}

fn embeddings(models: &[&str]) -> Value {
    let text = json!({"type": "string"});
    let texts = json!({"type": "array", "minItems": 1, "maxItems": 2048, "items": text});
    object(
        &["model", "input"],
        &json!({
            "model": {"enum": models},
            "input": {"anyOf": [text, texts]},
            "encoding_format": {"enum": ["float", "base64", null]},
            "dimensions": whole(1, None),
        }),
    )
}
