//! Requests to an MLflow server: addresses, credentials, errors.

use std::fs::File;
use std::io::Seek;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;
use ureq::http::Response;
use ureq::{Agent, Body};

use crate::{Result, TrackError};

/// How long a request may take to connect, and to answer.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_mins(1);
/// The longest answer that is read.
const LONGEST: u64 = 256 << 20;

/// A server's address and the connection to it. Credentials come from `MLFLOW_TRACKING_USERNAME` and
/// `MLFLOW_TRACKING_PASSWORD`, from `MLFLOW_TRACKING_TOKEN`, or from the address; they are never
/// printed.
pub(super) struct Http {
    agent: Agent,
    base: String,
    basic: Option<String>,
    /// Answers so far, and the file that is being sent: its position says how far it has got.
    answers: AtomicU64,
    sending: Mutex<Option<File>>,
}

impl Http {
    pub(super) fn new(uri: &str) -> Result<Self> {
        let (base, basic) = split_credentials(uri);
        let rest = base.strip_prefix("http://").or_else(|| base.strip_prefix("https://"));
        if rest.is_none_or(|host| host.is_empty() || host.contains(char::is_whitespace)) {
            return Err(TrackError::Uri { uri: base, reason: "it is no web address".to_owned() });
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(ANSWER))
            .build();
        let (answers, sending) = (AtomicU64::new(0), Mutex::new(None));
        Ok(Self { agent: config.new_agent(), base, basic, answers, sending })
    }

    /// The address without credentials.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// A number that changes while something gets through.
    pub(super) fn progress(&self) -> u64 {
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        let position = sending.as_ref().and_then(|mut file| file.stream_position().ok());
        self.answers.load(Ordering::Relaxed).wrapping_add(position.unwrap_or(0))
    }

    fn authorization(&self) -> Option<String> {
        let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        if let Some(user) = set("MLFLOW_TRACKING_USERNAME") {
            let password = set("MLFLOW_TRACKING_PASSWORD").unwrap_or_default();
            return Some(basic(&format!("{user}:{password}")));
        }
        if let Some(token) = set("MLFLOW_TRACKING_TOKEN") {
            return Some(format!("Bearer {token}"));
        }
        self.basic.as_deref().map(basic)
    }

    /// A GET of `api/2.0/mlflow/…` with query parameters.
    pub(super) fn get(&self, endpoint: &str, query: &[(&str, &str)]) -> Result<Value> {
        let mut request = self.agent.get(format!("{}/api/2.0/{endpoint}", self.base));
        for (key, value) in query {
            request = request.query(*key, *value);
        }
        if let Some(value) = self.authorization() {
            request = request.header("Authorization", value);
        }
        self.read(endpoint, request.call())
    }

    /// A POST of JSON.
    pub(super) fn post(&self, endpoint: &str, body: &Value) -> Result<Value> {
        self.send("POST", endpoint, body)
    }

    /// A PATCH of JSON.
    pub(super) fn patch(&self, endpoint: &str, body: &Value) -> Result<Value> {
        self.send("PATCH", endpoint, body)
    }

    /// A DELETE with JSON.
    pub(super) fn delete(&self, endpoint: &str, body: &Value) -> Result<Value> {
        self.send("DELETE", endpoint, body)
    }

    fn send(&self, method: &str, endpoint: &str, body: &Value) -> Result<Value> {
        let mut request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}/api/2.0/{endpoint}", self.base))
            .header("Content-Type", "application/json");
        if let Some(value) = self.authorization() {
            request = request.header("Authorization", value);
        }
        let request = request.body(body.to_string()).map_err(|error| TrackError::Uri {
            uri: self.base.clone(),
            // A token with a line break is no header; what it is stays unsaid.
            reason: format!("the request cannot be made: {error}"),
        })?;
        self.read(endpoint, self.agent.run(request))
    }

    /// Sends a file, streamed.
    pub(super) fn put_file(&self, endpoint: &str, file: File) -> Result<()> {
        let mut request = self.agent.put(format!("{}/api/2.0/{endpoint}", self.base));
        if let Some(value) = self.authorization() {
            request = request.header("Authorization", value);
        }
        let request = request.header("Content-Type", "application/octet-stream");
        let place = |file: Option<File>| {
            *self.sending.lock().unwrap_or_else(PoisonError::into_inner) = file;
        };
        place(file.try_clone().ok());
        let answer = self.read(endpoint, request.send(file));
        place(None);
        answer.map(drop)
    }

    /// Receives a file, streamed.
    pub(super) fn get_file(&self, endpoint: &str, to: &mut File) -> Result<()> {
        let mut request = self.agent.get(format!("{}/api/2.0/{endpoint}", self.base));
        if let Some(value) = self.authorization() {
            request = request.header("Authorization", value);
        }
        let response = request.call().map_err(|error| self.unreachable(endpoint, &error))?;
        if !response.status().is_success() {
            return self.read(endpoint, Ok(response)).map(drop);
        }
        let mut body = response.into_body();
        std::io::copy(&mut body.as_reader(), to).map(drop).map_err(|error| {
            TrackError::Unreachable {
                uri: self.base.clone(),
                doing: endpoint.to_owned(),
                reason: error.to_string(),
            }
        })
    }

    fn unreachable(&self, endpoint: &str, error: &ureq::Error) -> TrackError {
        TrackError::Unreachable {
            uri: self.base.clone(),
            doing: endpoint.to_owned(),
            reason: error.to_string(),
        }
    }

    fn read(
        &self,
        endpoint: &str,
        answer: std::result::Result<Response<Body>, ureq::Error>,
    ) -> Result<Value> {
        let response = answer.map_err(|error| self.unreachable(endpoint, &error))?;
        self.answers.fetch_add(1, Ordering::Relaxed);
        let status = response.status().as_u16();
        let text = response
            .into_body()
            .into_with_config()
            .limit(LONGEST)
            .read_to_string()
            .map_err(|error| self.unreachable(endpoint, &error))?;
        let json: Option<Value> = serde_json::from_str(&text).ok();
        if (200..300).contains(&status) {
            return Ok(json.unwrap_or(Value::Null));
        }
        let field =
            |name: &str| json.as_ref().and_then(|json| json[name].as_str()).map(str::to_owned);
        let hint = match status {
            401 | 403 => {
                "; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or \
                 MLFLOW_TRACKING_TOKEN, to credentials that are valid"
            }
            404 if json.is_none() => {
                "; the server does not know this request: is it MLflow 2.0 or newer?"
            }
            _ => "",
        };
        Err(TrackError::Server {
            doing: endpoint.to_owned(),
            code: field("error_code").unwrap_or_else(|| status.to_string()),
            message: field("message")
                .unwrap_or_else(|| text.chars().take(200).collect())
                .chars()
                .take(600)
                .collect(),
            hint,
        })
    }
}

fn basic(pair: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// An address without `user:password@` and without a slash at its end, and `user:password`.
pub(crate) fn split_credentials(uri: &str) -> (String, Option<String>) {
    let uri = uri.trim().trim_end_matches('/');
    let Some((scheme, rest)) = uri.split_once("://") else { return (uri.to_owned(), None) };
    let host = rest.split('/').next().unwrap_or(rest);
    match host.rsplit_once('@') {
        Some((pair, _)) => {
            (format!("{scheme}://{}", &rest[pair.len() + 1..]), Some(pair.to_owned()))
        }
        None => (uri.to_owned(), None),
    }
}

/// Escapes a path for a URL; slashes stay.
pub(super) fn escape(path: &str) -> String {
    let mut out = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            use std::fmt::Write as _;
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_address() {
        let (base, pair) = split_credentials("https://me:s@cret@host:5000/base/");
        assert_eq!((base.as_str(), pair.as_deref()), ("https://host:5000/base", Some("me:s@cret")));
        assert_eq!(split_credentials("http://h/a@b").0, "http://h/a@b");
    }

    #[test]
    fn paths_are_escaped() {
        assert_eq!(escape("0/a b/ü?.txt"), "0/a%20b/%C3%BC%3F.txt");
    }
}
