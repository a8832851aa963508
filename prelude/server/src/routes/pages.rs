//! Pages for people and tools: health, metrics, the monitor, a page to try models on.

use std::fmt::Write;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{Html, IntoResponse, Json, Response};
use oxilab_serve::{Monitor, Signature};
use serde_json::json;

use super::document::document;
use super::{Shared, aside};
use crate::app::App;
use crate::limits::presented;
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

/// With a key; a browser without one gets a page that asks for it.
pub(super) async fn monitor_page(
    State(app): Shared,
    headers: HeaderMap,
) -> Result<Response, Response> {
    if !app.args.api_key_hash.is_empty() && presented(&headers).is_none() {
        return Ok(Html(key_wanted(&app.name)).into_response());
    }
    Ok(Html(aside(move || monitor_html(&app.monitor())).await?).into_response())
}

pub(super) async fn openapi(State(app): Shared) -> Response {
    Json(document(&app)).into_response()
}

pub(super) async fn docs(State(app): Shared) -> Response {
    Html(try_it(&app)).into_response()
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
    for slot in app.llms.iter().filter(|slot| matches!(slot.model(), Model::Text(_))) {
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

/// A page that shows the monitor to who types the key. What it shows runs no scripts.
fn key_wanted(name: &str) -> String {
    let script = "const at = (id) => document.getElementById(id); let timer; \
        const show = async () => { const headers = {authorization: 'Bearer ' + at('key').value}; \
        const answer = await fetch('/monitor', {headers}); \
        at('said').textContent = answer.ok ? '' : answer.status + ' ' + await answer.text(); \
        if (answer.ok) at('seen').srcdoc = await answer.text(); }; \
        at('ask').onsubmit = (event) => { event.preventDefault(); clearInterval(timer); \
        timer = setInterval(show, 5000); show(); };";
    page(
        name,
        &format!(
            "<h1>{}</h1><form id=\"ask\">API key <input id=\"key\" type=\"password\"> \
             <button>show</button></form><p id=\"said\"></p><iframe id=\"seen\" title=\"monitor\" sandbox \
             style=\"border: 0; width: 100%; height: 85vh\"></iframe><script>{script}</script>",
            escape(name)
        ),
        "",
    )
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
