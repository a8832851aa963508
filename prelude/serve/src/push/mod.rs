//! Models to other machines: [`push`] to an oxilab server, [`kserve`] for Kubernetes.

mod kserve;
mod yaml;

use std::time::Duration;

use oxilab_display::Render;
use oxilab_runtime::MimeBundle;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::error::{Result, ServeError};
use crate::http::exchange;
use crate::locate::{address, default_name, locate};
use crate::predictor::Predictor;
use crate::reference::reference_path;
use crate::secret::api_key;

pub use kserve::kserve;

/// A model may be large, and the other side loads it before it answers.
const PATIENCE: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_secs(10);

/// A model to send, and where to.
///
/// ```no_run
/// let sent = oxilab_serve::Push::new("churn@prod", "https://models.example:8443")
///     .with_key("secret")
///     .send()?;
/// println!("{} answers now", sent.version);
/// # Ok::<(), oxilab_serve::ServeError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "`send` sends it"]
pub struct Push {
    model: String,
    url: String,
    name: Option<String>,
    key: Option<String>,
}

impl Push {
    /// `model` is a file, `NAME@alias` or `models:/NAME/VERSION`; `url` the address of a server that was
    /// started with `--accept FOLDER`. The API key is `OXILAB_API_KEY` of the environment.
    pub fn new(model: impl Into<String>, url: impl Into<String>) -> Self {
        Self { model: model.into(), url: url.into(), name: None, key: api_key() }
    }

    /// Another name at the other side.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The API key.
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// What [`Push::send`] would send, and what it would replace; nothing is sent.
    ///
    /// # Errors
    /// If the model cannot be found or loaded. A server that cannot be reached is no error here: the
    /// answer says so.
    pub fn dry_run(&self) -> Result<Pushed> {
        let parcel = self.parcel()?;
        let url = format!("{}/admin/models/{}", self.base(), parcel.name);
        let there = match exchange(&url, None, self.key.as_deref(), &[], SHORT) {
            Ok((200, text)) => {
                let value: Value = serde_json::from_str(&text).unwrap_or_default();
                let version = value["versions"][0].as_str().map(str::to_owned);
                let takes = value["accepts"].as_bool().unwrap_or(false);
                match (takes, version) {
                    (false, _) => "the server takes no models (--accept)".to_owned(),
                    (true, Some(version)) => format!("replaces version {version}"),
                    (true, None) => "new there".to_owned(),
                }
            }
            Ok((status, text)) => format!("the server answers {status}: {}", text.trim()),
            Err(error) => error.to_string(),
        };
        Ok(parcel.report(self.base(), there, true))
    }

    /// Sends it. The other side checks the sum, loads the model, lets it predict, and only then lets it
    /// answer.
    ///
    /// # Errors
    /// If the model cannot be found or loaded, the server cannot be reached, or refuses it; the old
    /// model there answers on.
    pub fn send(&self) -> Result<Pushed> {
        let parcel = self.parcel()?;
        let url = format!("{}/admin/models/{}", self.base(), parcel.name);
        let size = parcel.model_bytes.to_string();
        let headers =
            [("x-oxilab-sha256", parcel.sha256.as_str()), ("x-oxilab-model-bytes", size.as_str())];
        let body = Some(parcel.bytes.clone());
        let (status, text) = exchange(&url, body, self.key.as_deref(), &headers, PATIENCE)?;
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        if status != 200 {
            let message = value["message"].as_str().map_or(text.clone(), str::to_owned);
            return Err(ServeError::Status { url, status, message });
        }
        let version = value["version"].as_str().unwrap_or(&parcel.version).to_owned();
        let new = value["new"].as_bool().unwrap_or(false);
        let there = if new { "new there" } else { "took the place of the one before" };
        let mut report = parcel.report(self.base(), there.to_owned(), false);
        report.version = version;
        Ok(report)
    }

    fn base(&self) -> &str {
        self.url.trim_end_matches('/')
    }

    fn parcel(&self) -> Result<Parcel> {
        let uri = address(&self.model);
        let name = self.name.clone().unwrap_or_else(|| default_name(&uri));
        crate::state::check_name(&name)?;
        Parcel::read(&uri, name)
    }
}

/// Sends a model to a server; see [`Push`].
///
/// # Errors
/// As [`Push::send`].
pub fn push(model: &str, url: &str) -> Result<Pushed> {
    Push::new(model, url).send()
}

/// A model's files, read and known to load.
pub(crate) struct Parcel {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The model, then its reference if it has one.
    pub(crate) bytes: Vec<u8>,
    pub(crate) model_bytes: usize,
    pub(crate) sha256: String,
    pub(crate) rows: Option<usize>,
}

impl Parcel {
    pub(crate) fn read(uri: &str, name: String) -> Result<Self> {
        let place = locate(uri)?;
        // What does not load here will not load there.
        let predictor = Predictor::open_at(&place)?;
        let read = |path: &std::path::Path| {
            std::fs::read(path).map_err(ServeError::io("reading the model from", path))
        };
        let mut bytes = read(&place.path)?;
        let model_bytes = bytes.len();
        let rows = predictor.reference().map(polars::prelude::DataFrame::height);
        if rows.is_some() {
            bytes.extend(read(&reference_path(&place.path))?);
        }
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let version = predictor.version().to_owned();
        Ok(Self { name, version, bytes, model_bytes, sha256, rows })
    }

    fn report(&self, url: &str, there: String, dry: bool) -> Pushed {
        Pushed {
            name: self.name.clone(),
            version: self.version.clone(),
            url: url.to_owned(),
            bytes: self.bytes.len(),
            sha256: self.sha256.clone(),
            reference_rows: self.rows,
            there,
            dry,
        }
    }
}

/// What was sent, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The model's name at the other side.
    pub name: String,
    /// The version: when sent, as the other side calls it.
    pub version: String,
    /// The server.
    pub url: String,
    /// Bytes of model and reference.
    pub bytes: usize,
    /// SHA-256 of these bytes.
    pub sha256: String,
    /// Rows of the reference that goes with it.
    pub reference_rows: Option<usize>,
    /// What it meets at the other side.
    pub there: String,
    /// Whether nothing was sent.
    pub dry: bool,
}

impl Render for Pushed {
    fn render(&self) -> MimeBundle {
        let verb = if self.dry { "would send" } else { "sent" };
        let reference = match self.reference_rows {
            Some(rows) => format!(", with {rows} reference rows"),
            None => ", without a reference".to_owned(),
        };
        MimeBundle::text(format!(
            "{verb} {} version {} to {}: {} bytes{reference}, sha256 {}…; {}",
            self.name,
            self.version,
            self.url,
            self.bytes,
            &self.sha256[..16.min(self.sha256.len())],
            self.there
        ))
    }
}
