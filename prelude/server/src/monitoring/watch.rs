//! What was asked and answered lately: the window for drift and the capture to Parquet.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use oxilab_serve::{Predictions, Result};
use polars::prelude::{Column, DataFrame};

use super::redact::{Rule, redacted};

/// Captured rows that make a file.
const FILE_ROWS: usize = 10_000;

/// Captured rows and the file for them.
pub(crate) type Captured = (PathBuf, DataFrame);

/// Requests and predictions of one model.
#[derive(Debug)]
pub(crate) struct Watch {
    window: VecDeque<Arc<DataFrame>>,
    window_rows: usize,
    most: usize,
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
            window: VecDeque::new(),
            window_rows: 0,
            most,
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
        self.window_rows += frame.height();
        self.window.push_back(Arc::new(frame));
        while self.window.len() > 1
            && self.window.front().is_some_and(|f| self.window_rows - f.height() >= self.most)
        {
            self.window_rows -= self.window.pop_front().map_or(0, |frame| frame.height());
        }
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

    /// The latest rows as they came, for [`joined`]: requests wait while the watch is held, and joining
    /// thousands of them takes milliseconds.
    pub(crate) fn window(&self) -> Vec<Arc<DataFrame>> {
        self.window.iter().cloned().collect()
    }

    /// Forgets the window: another version answers from now on.
    pub(crate) fn clear(&mut self) {
        self.window.clear();
        self.window_rows = 0;
    }
}

/// Frames below each other. One whose columns differ begins anew.
pub(crate) fn joined<F: AsRef<DataFrame>>(
    frames: impl IntoIterator<Item = F>,
) -> Option<DataFrame> {
    let mut all: Option<DataFrame> = None;
    for frame in frames {
        let frame = frame.as_ref();
        let fits = all.as_mut().is_some_and(|all| all.vstack_mut(frame).is_ok());
        if !fits {
            all = Some(frame.clone());
        }
    }
    all
}
