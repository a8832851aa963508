//! What was asked and answered lately: the window for drift and the capture to Parquet.

use std::path::PathBuf;
use std::sync::Arc;

use oxilab_serve::{Predictions, Result};
use polars::prelude::{Column, DataFrame};

use super::redact::{Rule, redacted};
use super::window::{Window, joined};

/// Captured rows that make a file.
const FILE_ROWS: usize = 10_000;

/// Captured rows and the file for them.
pub(crate) type Captured = (PathBuf, DataFrame);

/// Requests and predictions of one model.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) window: Window,
    pending: Vec<Arc<DataFrame>>,
    pending_rows: usize,
    prefix: Option<PathBuf>,
    files: u64,
    sample: f64,
    due: f64,
    rules: Vec<Rule>,
    /// All rows so far.
    rows: u64,
}

impl Watch {
    /// `prefix` is the start of the names of captured files; `None` captures nothing.
    pub(crate) fn new(most: usize, prefix: Option<PathBuf>, sample: f64, rules: Vec<Rule>) -> Self {
        Self {
            window: Window::new(most),
            pending: Vec::new(),
            pending_rows: 0,
            prefix,
            files: 0,
            sample,
            due: 0.0,
            rules,
            rows: 0,
        }
    }

    /// Takes note of answers, `ids` those of their requests by row; gives rows that are to be written.
    pub(crate) fn note(
        &mut self,
        input: &DataFrame,
        predictions: &Predictions,
        ids: &[&str],
    ) -> Result<Option<Captured>> {
        let frame = predictions.captured(input)?;
        self.rows += frame.height() as u64;
        if let Some(prefix) = &self.prefix {
            self.due += self.sample;
            if self.due >= 1.0 {
                self.due -= 1.0;
                let salt = prefix.display().to_string();
                let mut kept = redacted(&frame, &self.rules, &salt)?;
                let with_ids = kept.with_column(Column::new("request_id".into(), ids));
                with_ids.map_err(|source| oxilab_serve::ServeError::Polars {
                    doing: "adding the requests' ids",
                    source,
                })?;
                self.pending_rows += kept.height();
                self.pending.push(Arc::new(kept));
            }
        }
        self.window.push(frame);
        Ok(if self.pending_rows >= FILE_ROWS { self.flush() } else { None })
    }

    /// The captured rows that no file holds yet, and the file for them.
    pub(crate) fn flush(&mut self) -> Option<Captured> {
        let frame = joined(self.pending.drain(..))?;
        self.pending_rows = 0;
        let mut path = self.prefix.clone()?.into_os_string();
        path.push(format!("-{:06}.parquet", self.files));
        self.files += 1;
        Some((path.into(), frame))
    }

    /// How many rows came so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }
}
