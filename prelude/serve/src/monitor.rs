//! A look at a running server: [`monitor`], [`monitor_with_key`].

use oxilab_display::Render;
use oxilab_display::table::{Heading, Table};
use oxilab_runtime::MimeBundle;
use serde::{Deserialize, Serialize};

use crate::dashboard;
use crate::drift::DriftReport;
use crate::error::{Result, ServeError};
use crate::http::{PATIENCE, send};
use crate::performance::Performance;
use crate::secret::api_key;
use crate::state;

/// One model of a [`Monitor`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelStatus {
    /// Its name.
    pub model: String,
    /// The version that answers now.
    pub version: String,
    /// Requests since the start.
    pub requests: u64,
    /// Requests that failed, of clients and of the server.
    pub errors: u64,
    /// Rows that were predicted.
    pub rows: u64,
    /// Times that a new version was taken.
    pub swaps: u64,
    /// Times that a new version could not be loaded and the old one went on.
    #[serde(default)]
    pub reload_failures: u64,
    /// Why the version that answers may not be the one that the model's address means: the registry is out,
    /// or what it has cannot be loaded.
    #[serde(default)]
    pub behind: Option<String>,
    /// Half of the answers were faster, in milliseconds; of the latest 1,000.
    pub p50_ms: Option<f64>,
    /// Of 100 answers 99 were faster, in milliseconds.
    pub p99_ms: Option<f64>,
    /// Requests, and the slowest answer in milliseconds, second by second of the last two minutes.
    #[serde(default)]
    pub history: Vec<(u32, f64)>,
    /// Drift of the window; `None` without a reference or without requests.
    pub drift: Option<DriftReport>,
    /// How well predictions agreed with the labels that came for them; `None` without labels.
    #[serde(default)]
    pub performance: Option<Performance>,
    /// Labels that came so far.
    #[serde(default)]
    pub labels: u64,
    /// The same as `performance` for the reference rows.
    #[serde(default)]
    pub usual: Option<Performance>,
    /// What it made, of a language model; its `rows` are texts, made or made vectors of, and no drift of it
    /// is measured.
    #[serde(default)]
    pub language: Option<Generated>,
}

/// What a language model made since the start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// Tokens of answers.
    pub tokens: u64,
    /// Seconds that it took for them.
    pub seconds: f64,
}

impl Generated {
    /// Tokens in a second; `None` where none were made.
    ///
    /// ```
    /// use oxilab_serve::Generated;
    /// assert_eq!(Generated { tokens: 30, seconds: 1.5 }.tokens_per_second(), Some(20.0));
    /// assert_eq!(Generated { tokens: 0, seconds: 0.0 }.tokens_per_second(), None);
    /// ```
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    pub fn tokens_per_second(self) -> Option<f64> {
        (self.tokens > 0 && self.seconds > 0.0).then(|| self.tokens as f64 / self.seconds)
    }
}

/// What a server says about itself; the JSON of `/monitor.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Monitor {
    /// The server's name.
    pub name: String,
    /// Seconds since its start.
    pub uptime: f64,
    /// Its models.
    pub models: Vec<ModelStatus>,
}

impl Monitor {
    /// The drift of a model, if it was measured.
    #[must_use]
    pub fn drift(&self, model: &str) -> Option<&DriftReport> {
        self.models.iter().find(|status| status.model == model)?.drift.as_ref()
    }

    /// The dashboard that a cell shows.
    #[must_use]
    pub fn to_html(&self) -> String {
        let bundle = self.render();
        bundle.data.get("text/html").and_then(|html| html.as_str()).unwrap_or_default().to_owned()
    }

    /// The version of a model that answers now.
    #[must_use]
    pub fn version(&self, model: &str) -> Option<&str> {
        self.models.iter().find(|s| s.model == model).map(|s| s.version.as_str())
    }
}

/// Asks a server of this user, by name, or any by its address (`http://…`). The API key, if it wants one, is
/// `OXILAB_API_KEY` of the environment.
///
/// # Errors
/// If no such server runs or answers, or it wants another key.
pub fn monitor(name: &str) -> Result<Monitor> {
    ask(name, api_key().as_deref())
}

/// As [`monitor`] with an API key.
///
/// # Errors
/// As [`monitor`].
pub fn monitor_with_key(name: &str, key: &str) -> Result<Monitor> {
    ask(name, Some(key))
}

fn ask(name: &str, key: Option<&str>) -> Result<Monitor> {
    let url = if name.starts_with("http://") || name.starts_with("https://") {
        name.trim_end_matches('/').to_owned()
    } else {
        let Some(state) = state::find(&state::folder()?, name)? else {
            return Err(ServeError::server(
                name,
                "it does not run; `serve::list()` shows what does",
            ));
        };
        state.url
    };
    let url = format!("{url}/monitor.json");
    let text = send(&url, None, key, PATIENCE).map_err(|error| match error {
        ServeError::Status { url, status: 401, message } => {
            let message = format!(
                "{message}; set OXILAB_API_KEY (in a notebook `%env OXILAB_API_KEY=KEY`), or say it: \
                 `serve::monitor_with_key(name, key)`"
            );
            ServeError::Status { url, status: 401, message }
        }
        other => other,
    })?;
    serde_json::from_str(&text).map_err(|error| ServeError::Http {
        url,
        problem: format!("the answer is not that of oxilab-server ({error})"),
    })
}

impl Render for Monitor {
    fn render(&self) -> MimeBundle {
        let names = [
            "model",
            "version",
            "requests",
            "errors",
            "rows",
            "swaps",
            "p50 ms",
            "p99 ms",
            "performance",
            "tokens/s",
        ];
        let mut table = Table::new(names.map(Heading::new).to_vec());
        table.title = format!("server {}, up for {:.0} s", self.name, self.uptime);
        let number = |value: Option<f64>| value.map(|value| format!("{value:.2}"));
        for status in &self.models {
            table.push(vec![
                Some(status.model.clone()),
                Some(status.version.clone()),
                Some(status.requests.to_string()),
                Some(status.errors.to_string()),
                Some(status.rows.to_string()),
                Some(status.swaps.to_string()),
                number(status.p50_ms),
                number(status.p99_ms),
                status.performance.as_ref().map(|p| format!("{} {:.3}", p.metric, p.value)),
                status
                    .language
                    .and_then(Generated::tokens_per_second)
                    .map(|speed| format!("{speed:.1}")),
            ]);
        }
        let mut text = table.to_text();
        for status in &self.models {
            if let Some(why) = &status.behind {
                text.push_str(&format!("\n{}: {why}", status.model));
            }
            if let Some(drift) = &status.drift {
                let bundle = drift.render();
                text.push_str(&format!("\n{}: {}", status.model, bundle.plain()));
            }
        }
        MimeBundle::text(text).with_html(dashboard::html(self))
    }
}
