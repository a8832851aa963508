//! Small HTTP verbs for cells: [`post_json`], [`get_json`], [`get_text`].

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;
use ureq::config::ConfigBuilder;
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body};

use crate::error::{Result, ServeError};

/// How long an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

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
    let mut tls = TlsConfig::builder();
    if let Some(path) = std::env::var_os("OXILAB_CA").filter(|_| url.starts_with("https:")) {
        let pem =
            std::fs::read(&path).map_err(ServeError::io("reading certificates from", &path))?;
        let certificate = Certificate::from_pem(&pem).map_err(failed(url))?;
        tls = tls.root_certs(RootCerts::new_with_certs(&[certificate]));
    }
    let agent: Agent = config(tls.build(), patience).build().into();
    let bearer = key.map(|key| format!("Bearer {key}"));
    let extra = bearer.iter().map(|bearer| ("authorization", bearer.as_str()));
    let headers = headers.iter().copied().chain(extra);
    let mut response = match body {
        Some(body) => {
            let mut request = agent.post(url).content_type("application/json");
            for (name, value) in headers {
                request = request.header(name, value);
            }
            request.send(&body).map_err(failed(url))?
        }
        None => {
            let mut request = agent.get(url);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            request.call().map_err(failed(url))?
        }
    };
    answer(url, &mut response)
}

/// As [`exchange`] for a GET on this machine's loopback, whoever the certificate is for: servers are reached
/// there under an address that theirs need not name. Nothing secret may be sent, and nothing believed that
/// matters: the caller says what it expects to read. Elsewhere certificates are verified.
pub(crate) fn look(url: &str, patience: Duration) -> Result<(u16, String)> {
    if !is_loopback(url) {
        return exchange(url, None, None, &[], patience);
    }
    let config = config(TlsConfig::builder().disable_verification(true).build(), patience);
    // A redirect may lead elsewhere.
    let agent: Agent = config.max_redirects(0).build().into();
    answer(url, &mut agent.get(url).call().map_err(failed(url))?)
}

/// Whether an address names a loopback address by number, which no name server can point elsewhere.
fn is_loopback(url: &str) -> bool {
    let host = url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned));
    let host = host.unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.is_ok_and(|address| address.is_loopback())
}

fn config(tls: TlsConfig, patience: Duration) -> ConfigBuilder<AgentScope> {
    let config = Agent::config_builder().timeout_global(Some(patience));
    config.http_status_as_error(false).tls_config(tls)
}

fn answer(url: &str, response: &mut Response<Body>) -> Result<(u16, String)> {
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(LONGEST);
    Ok((status, body.read_to_string().map_err(failed(url))?))
}

fn failed(url: &str) -> impl Fn(ureq::Error) -> ServeError {
    move |error| ServeError::Http { url: url.to_owned(), problem: error.to_string() }
}
