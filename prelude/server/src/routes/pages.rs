//! Pages for people and tools: health, metrics, the monitor, `OpenAPI`, a page to try models on.

use std::fmt::Write;

use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse, Json, Response};
use oxilab_serve::{Monitor, Signature};
use serde_json::{Map, Value, json};

use super::{Shared, aside};
use crate::app::App;
use crate::llm::Model;

pub(super) async fn health(State(app): Shared) -> Response {
    // Who asks whether the server lives means the front; the model process is named beside it.
    let own = std::process::id();
    let front = std::env::var(crate::front::FRONT).ok().and_then(|pid| pid.parse().ok());
    let pid: u32 = front.unwrap_or(own);
    Json(json!({"status": "ok", "name": app.name, "pid": pid, "worker": own})).into_response()
}

pub(super) async fn metrics(State(app): Shared) -> Result<Response, Response> {
    let text = aside(move || app.metrics()).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

pub(super) async fn monitor(State(app): Shared) -> Result<Response, Response> {
    Ok(Json(aside(move || app.monitor()).await?).into_response())
}

pub(super) async fn monitor_page(State(app): Shared) -> Result<Response, Response> {
    Ok(Html(aside(move || monitor_html(&app.monitor())).await?).into_response())
}

pub(super) async fn openapi(State(app): Shared) -> Response {
    Json(document(&app)).into_response()
}

pub(super) async fn docs(State(app): Shared) -> Response {
    Html(try_it(&app)).into_response()
}

/// The `OpenAPI` 3.1 document, made from the signatures of the models.
fn document(app: &App) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    schemas.insert(
        "Problem".to_owned(),
        json!({"type": "object", "required": ["error", "message"], "properties": {
            "error": {"type": "string"}, "message": {"type": "string"}, "field": {"type": "string"}
        }}),
    );
    let slots = app.slots();
    for slot in slots.iter().filter(|slot| slot.label == slot.name) {
        let predictor = slot.current();
        let signature = Signature::new(predictor.schema());
        let row = format!("{}Row", slot.name);
        let reference = json!({"$ref": format!("#/components/schemas/{row}")});
        schemas.insert(row, signature.row_schema());
        let most = app.args.row_limit;
        let many =
            |one: &Value| json!({"type": "array", "minItems": 1, "maxItems": most, "items": one});
        let rows = many(&reference);
        let mut forms = vec![reference.clone(), rows.clone()];
        forms.extend(signature.list_schema().into_iter().flat_map(|list| [many(&list), list]));
        let features = json!({"anyOf": forms});
        forms.push(json!({
            "type": "object", "required": ["features"], "properties": {"features": features}
        }));
        let body = json!({"anyOf": forms});
        let example = signature.example();
        let answer = json!({"type": "object"});
        let typed = operation(&format!("predict_{}", slot.name), &body, &example, &answer);
        paths.insert(format!("/predict/{}", slot.name), json!({"post": typed}));
        let records = json!({"type": "object", "required": ["dataframe_records"],
            "properties": {"dataframe_records": rows}});
        let example = json!({"dataframe_records": [example]});
        let answer = json!({"type": "object", "required": ["predictions"],
            "properties": {"predictions": {"type": "array"}}});
        let mlflow = operation(&format!("invocations_{}", slot.name), &records, &example, &answer);
        paths.insert(format!("/invocations/{}", slot.name), json!({"post": mlflow}));
    }
    let plain = [
        ("/health", "health", "application/json", "It lives."),
        ("/metrics", "metrics", "text/plain", "Prometheus' text format."),
        ("/monitor.json", "monitor", "application/json", "Requests, latency and drift."),
    ];
    for (path, id, kind, text) in plain {
        let content = json!({kind: {"schema": {"type": if path == "/metrics" { "string" } else { "object" }}}});
        let get = json!({"operationId": id, "responses": {
            "200": {"description": text, "content": content},
            "401": problem_response("An API key is needed."),
            "429": problem_response("Too many requests a second."),
        }});
        paths.insert(path.to_owned(), json!({"get": get}));
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {"title": app.name, "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"schemas": schemas},
    });
    if !app.args.api_key_hash.is_empty() {
        document["components"]["securitySchemes"] =
            json!({"key": {"type": "http", "scheme": "bearer"}});
        document["security"] = json!([{"key": []}]);
    }
    document
}

fn operation(id: &str, body: &Value, example: &Value, answer: &Value) -> Value {
    let mut responses = Map::new();
    let content = json!({"application/json": {"schema": answer}});
    responses.insert("200".to_owned(), json!({"description": "Predictions.", "content": content}));
    let problems = [
        ("400", "The body cannot be read."),
        ("401", "An API key is needed."),
        ("408", "The request took too long."),
        ("413", "The body is too large or has too many rows."),
        ("404", "There is no such model."),
        ("422", "A field does not fit; `field` names it."),
        ("429", "Too many requests a second."),
        ("503", "Too many requests are under way, or the models are being loaded."),
    ];
    for (status, text) in problems {
        responses.insert(status.to_owned(), problem_response(text));
    }
    let content = json!({"application/json": {"schema": body, "example": example}});
    json!({
        "operationId": id,
        "requestBody": {"required": true, "content": content},
        "responses": responses,
    })
}

fn problem_response(text: &str) -> Value {
    let schema = json!({"$ref": "#/components/schemas/Problem"});
    json!({"description": text, "content": {"application/json": {"schema": schema}}})
}

/// A page to try the models on.
fn try_it(app: &App) -> String {
    let mut forms = String::new();
    let slots = app.slots();
    for slot in slots.iter().filter(|slot| slot.label == slot.name) {
        let predictor = slot.current();
        let example = Signature::new(predictor.schema()).example();
        let example = serde_json::to_string_pretty(&example).unwrap_or_default();
        let (name, example) = (escape(&slot.name), escape(&example));
        // Writing to a string cannot fail.
        let _ = write!(
            forms,
            "<h2>{name}</h2><form data-path=\"/predict/{name}\"><textarea rows=\"14\" cols=\"60\">\
             {example}</textarea><br><button>POST /predict/{name}</button><pre></pre></form>"
        );
    }
    for slot in app.llms.iter().filter(|slot| matches!(slot.model, Model::Text(_))) {
        let question = json!({"model": slot.name, "max_tokens": 100, "temperature": 0,
            "messages": [{"role": "user", "content": "What is the capital of Italy?"}]});
        let question = escape(&serde_json::to_string_pretty(&question).unwrap_or_default());
        let _ = write!(
            forms,
            "<h2>{}</h2><form data-path=\"/v1/chat/completions\"><textarea rows=\"12\" cols=\"60\">\
             {question}</textarea><br><button>POST /v1/chat/completions</button><pre></pre></form>",
            escape(&slot.name)
        );
    }
    let script = "for (const form of document.forms) form.onsubmit = async (event) => { \
        event.preventDefault(); const headers = {'content-type': 'application/json'}; \
        const key = document.getElementById('key').value; \
        if (key) headers.authorization = 'Bearer ' + key; \
        const answer = await fetch(form.dataset.path, {method: 'POST', headers, \
        body: form.querySelector('textarea').value}); \
        form.querySelector('pre').textContent = answer.status + ' ' + await answer.text(); };";
    let name = escape(&app.name);
    page(
        &app.name,
        &format!(
            "<h1>{name}</h1><p><a href=\"/openapi.json\">openapi.json</a> · \
             <a href=\"/monitor\">monitor</a> · <a href=\"/metrics\">metrics</a> · \
             API key <input id=\"key\" type=\"password\"></p>{forms}<script>{script}</script>"
        ),
        "",
    )
}

/// The monitor as a page that renews itself.
fn monitor_html(monitor: &Monitor) -> String {
    page(&monitor.name, &monitor.to_html(), "<meta http-equiv=\"refresh\" content=\"5\">")
}

fn page(title: &str, body: &str, head: &str) -> String {
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>{head}\
         <style>body {{ font-family: sans-serif; margin: 2em }}</style></head><body>{body}</body></html>",
        escape(title)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
