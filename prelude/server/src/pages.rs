//! Pages for people and tools: [`openapi`], [`docs`], [`monitor`].

use std::fmt::Write;

use oxilab_serve::{Monitor, Signature};
use serde_json::{Map, Value, json};

use crate::app::App;

/// The `OpenAPI` 3.1 document, made from the signatures of the models.
pub(crate) fn openapi(app: &App) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    schemas.insert(
        "Problem".to_owned(),
        json!({"type": "object", "required": ["error", "message"], "properties": {
            "error": {"type": "string"}, "message": {"type": "string"}, "field": {"type": "string"}
        }}),
    );
    for slot in &app.slots {
        let predictor = slot.current();
        let signature = Signature::new(predictor.schema());
        let row = format!("{}Row", slot.name);
        let reference = json!({"$ref": format!("#/components/schemas/{row}")});
        schemas.insert(row, signature.row_schema());
        let rows = json!({"type": "array", "minItems": 1, "items": reference});
        let features = json!({"anyOf": [reference, rows]});
        let body = json!({"anyOf": [reference, {
            "type": "object", "required": ["features"], "properties": {"features": features}
        }]});
        let example = signature.example();
        let answer = json!({"type": "object"});
        let typed = operation(&format!("predict_{}", slot.name), &body, &example, &answer);
        paths.insert(format!("/predict/{}", slot.name), json!({"post": typed}));
        let records = json!({"type": "object", "required": ["dataframe_records"],
            "properties": {"dataframe_records": rows}, "additionalProperties": false});
        let example = json!({"dataframe_records": [example]});
        let answer = json!({"type": "object", "required": ["predictions"],
            "properties": {"predictions": {"type": "array"}}});
        let mlflow = operation(&format!("invocations_{}", slot.name), &records, &example, &answer);
        paths.insert(format!("/invocations/{}", slot.name), json!({"post": mlflow}));
    }
    let health =
        json!({"operationId": "health", "responses": {"200": {"description": "It lives."}}});
    paths.insert("/health".to_owned(), json!({"get": health}));
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {"title": app.args.name, "version": env!("CARGO_PKG_VERSION")},
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
        ("422", "A field does not fit; `field` names it."),
        ("503", "Too many requests are under way."),
    ];
    for (status, text) in problems {
        let schema = json!({"$ref": "#/components/schemas/Problem"});
        let content = json!({"application/json": {"schema": schema}});
        responses.insert(status.to_owned(), json!({"description": text, "content": content}));
    }
    let content = json!({"application/json": {"schema": body, "example": example}});
    json!({
        "operationId": id,
        "requestBody": {"required": true, "content": content},
        "responses": responses,
    })
}

/// A page to try the models on.
pub(crate) fn docs(app: &App) -> String {
    let mut forms = String::new();
    for slot in &app.slots {
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
    let script = "for (const form of document.forms) form.onsubmit = async (event) => { \
        event.preventDefault(); const headers = {'content-type': 'application/json'}; \
        const key = document.getElementById('key').value; \
        if (key) headers.authorization = 'Bearer ' + key; \
        const answer = await fetch(form.dataset.path, {method: 'POST', headers, \
        body: form.querySelector('textarea').value}); \
        form.querySelector('pre').textContent = answer.status + ' ' + await answer.text(); };";
    let name = escape(&app.args.name);
    page(
        &app.args.name,
        &format!(
            "<h1>{name}</h1><p><a href=\"/openapi.json\">openapi.json</a> · \
             <a href=\"/monitor\">monitor</a> · <a href=\"/metrics\">metrics</a> · \
             API key <input id=\"key\" type=\"password\"></p>{forms}<script>{script}</script>"
        ),
        "",
    )
}

/// The monitor as a page that renews itself.
pub(crate) fn monitor(monitor: &Monitor) -> String {
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
