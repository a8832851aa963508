//! Small HTTP verbs for cells: [`post_json`], [`get_json`], [`get_text`].

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::error::{Result, ServeError};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Answers longer than this are refused.
const LONGEST: u64 = 256 << 20;

/// Sends JSON and reads the JSON that comes back.
///
/// # Errors
/// [`ServeError::Status`] with the server's message for 4xx and 5xx; [`ServeError::Http`] if there is
/// no server.
pub fn post_json(url: impl AsRef<str>, value: &Value) -> Result<Value> {
    send(url.as_ref(), Some(value), None, PATIENCE).and_then(|text| parse(url.as_ref(), &text))
}

/// As [`post_json`] with an API key, sent as `Authorization: Bearer`.
///
/// # Errors
/// As [`post_json`].
pub fn post_json_with_key(url: impl AsRef<str>, value: &Value, key: &str) -> Result<Value> {
    send(url.as_ref(), Some(value), Some(key), PATIENCE).and_then(|text| parse(url.as_ref(), &text))
}

/// As [`post_json`] under an id of your own, which labels can be sent for later (`/feedback`).
///
/// # Errors
/// As [`post_json`].
pub fn post_json_as(url: impl AsRef<str>, value: &Value, id: &str) -> Result<Value> {
    let url = url.as_ref();
    let body = Some(value.to_string().into_bytes());
    let (status, text) = exchange(url, body, None, &[("x-request-id", id)], PATIENCE)?;
    success(url, status, text).and_then(|text| parse(url, &text))
}

/// Reads JSON.
///
/// # Errors
/// As [`post_json`].
pub fn get_json(url: impl AsRef<str>) -> Result<Value> {
    send(url.as_ref(), None, None, PATIENCE).and_then(|text| parse(url.as_ref(), &text))
}

/// Reads text, for example `/metrics`.
///
/// # Errors
/// As [`post_json`].
pub fn get_text(url: impl AsRef<str>) -> Result<String> {
    send(url.as_ref(), None, None, PATIENCE)
}

fn parse(url: &str, text: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| ServeError::Http {
        url: url.to_owned(),
        problem: format!("the answer is not JSON ({error})"),
    })
}

/// Posts JSON and reads nothing but whether it was taken.
///
/// # Errors
/// As [`post_json`].
pub fn notify(url: &str, value: &Value, patience: Duration) -> Result<()> {
    send(url, Some(value), None, patience).map(drop)
}

pub(crate) fn send(
    url: &str,
    body: Option<&Value>,
    key: Option<&str>,
    patience: Duration,
) -> Result<String> {
    let (status, text) =
        exchange(url, body.map(|body| body.to_string().into_bytes()), key, &[], patience)?;
    success(url, status, text)
}

/// The text, unless the status is an error.
fn success(url: &str, status: u16, text: String) -> Result<String> {
    if status < 400 {
        return Ok(text);
    }
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let message = ["message", "error"].iter().find_map(|key| value.get(key)?.as_str());
    let message = message.map_or(text.clone(), str::to_owned);
    Err(ServeError::Status { url: url.to_owned(), status, message })
}

/// Status and text of an answer, whatever the status; without a body it is a GET. A certificate in the
/// file that `OXILAB_CA` names is trusted instead of those that browsers trust.
pub(crate) fn exchange(
    url: &str,
    body: Option<Vec<u8>>,
    key: Option<&str>,
    headers: &[(&str, &str)],
    patience: Duration,
) -> Result<(u16, String)> {
    let failed =
        |error: ureq::Error| ServeError::Http { url: url.to_owned(), problem: error.to_string() };
    let mut config =
        Agent::config_builder().timeout_global(Some(patience)).http_status_as_error(false);
    if let Some(path) = std::env::var_os("OXILAB_CA").filter(|_| url.starts_with("https:")) {
        let pem =
            std::fs::read(&path).map_err(ServeError::io("reading certificates from", &path))?;
        let certificate = Certificate::from_pem(&pem).map_err(failed)?;
        let roots = RootCerts::new_with_certs(&[certificate]);
        config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    }
    let agent: Agent = config.build().into();
    let bearer = key.map(|key| format!("Bearer {key}"));
    let extra = bearer.iter().map(|bearer| ("authorization", bearer.as_str()));
    let headers = headers.iter().copied().chain(extra);
    let mut response = match body {
        Some(body) => {
            let mut request = agent.post(url).content_type("application/json");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            request.send(&body).map_err(failed)?
        }
        None => {
            let mut request = agent.get(url);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            request.call().map_err(failed)?
        }
    };
    let status = response.status().as_u16();
    let text = response.body_mut().with_config().limit(LONGEST).read_to_string().map_err(failed)?;
    Ok((status, text))
}
