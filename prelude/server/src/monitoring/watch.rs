//! What was asked and answered lately: the window for drift and the capture to Parquet.

use std::path::PathBuf;
use std::sync::Arc;

use oxilab_serve::{Predictions, Result, ServeError};
use polars::prelude::{Column, DataFrame};

use super::redact::{Rule, redacted};
use super::window::Window;

/// Captured rows that make a file.
const FILE_ROWS: usize = 10_000;

/// The file for captured rows, and these in frames below each other.
pub(crate) type Captured = (PathBuf, Vec<Arc<DataFrame>>);

/// Requests and predictions of one model.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) window: Window,
    capture: Option<Capture>,
    /// All rows so far.
    rows: u64,
}

impl Watch {
    /// `most` rows in the window; without a `capture` nothing is written.
    pub(crate) fn new(most: usize, capture: Option<Capture>) -> Self {
        Self { window: Window::new(most), capture, rows: 0 }
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
        let full = match &mut self.capture {
            Some(capture) => capture.note(&frame, ids)?,
            None => None,
        };
        self.window.push(frame);
        Ok(full)
    }

    /// The captured rows that no file holds yet, and the file for them.
    pub(crate) fn flush(&mut self) -> Option<Captured> {
        self.capture.as_mut()?.flush()
    }

    /// How many rows came so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }
}

/// What is written of requests.
#[derive(Debug)]
pub(crate) struct Capture {
    /// Rows that no file holds yet: few frames that grow, as in the window.
    pending: Window,
    prefix: PathBuf,
    files: u64,
    sample: f64,
    due: f64,
    rules: Vec<Rule>,
    salt: String,
}

impl Capture {
    /// `prefix` is the start of the names of files; `sample` the share of requests; `salt` is what values
    /// are hashed with.
    pub(crate) fn new(prefix: PathBuf, sample: f64, rules: Vec<Rule>, salt: String) -> Self {
        let pending = Window::new(usize::MAX);
        Self { pending, prefix, files: 0, sample, due: 0.0, rules, salt }
    }

    fn note(&mut self, frame: &DataFrame, ids: &[&str]) -> Result<Option<Captured>> {
        self.due += self.sample;
        if self.due < 1.0 {
            return Ok(None);
        }
        self.due -= 1.0;
        let mut kept = redacted(frame, &self.rules, &self.salt)?;
        let with_ids = kept.with_column(Column::new("request_id".into(), ids));
        with_ids
            .map_err(|source| ServeError::Polars { doing: "adding the requests' ids", source })?;
        // Another version may read other columns: a file has those of one.
        let of_others = if self.pending.fits(&kept) { None } else { self.flush() };
        self.pending.push(kept);
        Ok(of_others.or_else(|| (self.pending.rows() >= FILE_ROWS).then(|| self.flush()).flatten()))
    }

    fn flush(&mut self) -> Option<Captured> {
        if self.pending.rows() == 0 {
            return None;
        }
        let frames = self.pending.frames();
        self.pending.clear();
        let mut path = self.prefix.clone().into_os_string();
        path.push(format!("-{:06}.parquet", self.files));
        self.files += 1;
        Some((path.into(), frames))
    }
}
