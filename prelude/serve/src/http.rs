//! Small HTTP verbs for cells: [`post_json`], [`get_json`], [`get_text`].

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

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

pub(crate) fn send(
    url: &str,
    body: Option<&Value>,
    key: Option<&str>,
    patience: Duration,
) -> Result<String> {
    let agent: Agent = Agent::config_builder()
        .timeout_global(Some(patience))
        .http_status_as_error(false)
        .build()
        .into();
    let failed =
        |error: ureq::Error| ServeError::Http { url: url.to_owned(), problem: error.to_string() };
    let bearer = key.map(|key| format!("Bearer {key}"));
    let mut response = match body {
        Some(body) => {
            let mut request = agent.post(url);
            if let Some(bearer) = &bearer {
                request = request.header("authorization", bearer);
            }
            request.send_json(body).map_err(failed)?
        }
        None => {
            let mut request = agent.get(url);
            if let Some(bearer) = &bearer {
                request = request.header("authorization", bearer);
            }
            request.call().map_err(failed)?
        }
    };
    let status = response.status().as_u16();
    let text = response.body_mut().with_config().limit(LONGEST).read_to_string().map_err(failed)?;
    if status < 400 {
        return Ok(text);
    }
    let value: Value = serde_json::from_str(&text).unwrap_or_default();
    let message = ["message", "error"].iter().find_map(|key| value.get(key)?.as_str());
    let message = message.map_or(text.clone(), str::to_owned);
    Err(ServeError::Status { url: url.to_owned(), status, message })
}
