//! What a model was asked and answered: [`Ledger`].
//!
//! An answer is noted before it is sent, which is quick. To keep it (in the window for drift, in the capture,
//! for labels to come) takes as long as a prediction, and waits until it is sent. Whoever looks keeps first
//! what was noted, so nothing is ever behind.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use oxilab_model::Task;
use oxilab_serve::{Performance, Predictions};
use polars::prelude::DataFrame;
use serde_json::Value;

use super::labels::{Fit, Labels};
use super::metrics::Metrics;
use super::watch::{Capture, Captured, Watch};
use super::writer::Writer;
use crate::args::Args;
use crate::locks::locked;

/// A batch with its answers.
pub(crate) struct Answered {
    pub(crate) input: DataFrame,
    pub(crate) said: Predictions,
    /// Its requests: id, rows, predictions.
    pub(crate) parts: Vec<(String, usize, Predictions)>,
}

pub(crate) struct Ledger {
    model: String,
    metrics: Arc<Mutex<Metrics>>,
    /// What is not kept yet, oldest first.
    noted: Mutex<Vec<Answered>>,
    watch: Mutex<Watch>,
    labels: Mutex<Labels>,
    /// Where requests are captured, until the server stops.
    writer: Mutex<Option<Writer>>,
}

impl Ledger {
    /// `label` begins the names of the files of captured requests.
    ///
    /// # Errors
    /// If the folder for them cannot be made, or their thread not be started.
    pub(crate) fn new(
        model: &str,
        label: &str,
        metrics: &Arc<Mutex<Metrics>>,
        args: &Args,
    ) -> Result<Self> {
        let (mut capture, mut writer) = (None, None);
        if let Some(folder) = &args.capture {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
            let prefix = folder.join(format!("{label}-{}", millis()));
            let (rules, salt) = (args.redact.clone(), args.salt.clone());
            capture = Some(Capture::new(prefix, args.capture_sample, rules, salt));
            let started = Writer::start(model, Arc::clone(metrics));
            writer = Some(started.context("cannot start a thread")?);
        }
        Ok(Self {
            model: model.to_owned(),
            metrics: Arc::clone(metrics),
            noted: Mutex::default(),
            watch: Mutex::new(Watch::new(args.window, capture)),
            labels: Mutex::new(Labels::new(args.window)),
            writer: Mutex::new(writer),
        })
    }

    /// Takes note of a batch. It is to be [kept](Ledger::keep) when its answers are sent.
    pub(crate) fn note(&self, answered: Answered) {
        locked(&self.noted).push(answered);
    }

    /// Keeps what was noted.
    pub(crate) fn keep(&self) {
        let full: Vec<Captured> = {
            // Held while the rest is done: whoever comes meanwhile finds nothing noted, and waits here.
            let mut watch = locked(&self.watch);
            let noted = std::mem::take(&mut *locked(&self.noted));
            noted.iter().filter_map(|answered| self.keep_one(&mut watch, answered)).collect()
        };
        for rows in full {
            self.write(rows);
        }
    }

    fn keep_one(&self, watch: &mut Watch, answered: &Answered) -> Option<Captured> {
        {
            let mut labels = locked(&self.labels);
            for (id, _, said) in &answered.parts {
                labels.said(id, said);
            }
        }
        let ids: Vec<&str> = answered
            .parts
            .iter()
            .flat_map(|(id, rows, _)| std::iter::repeat_n(id.as_str(), *rows))
            .collect();
        watch.note(&answered.input, &answered.said, &ids).unwrap_or_else(|error| {
            tracing::error!(model = %self.model, %error, "cannot keep a request");
            None
        })
    }

    /// Has captured rows written, which nobody waits for.
    fn write(&self, rows: Captured) {
        let taken = locked(&self.writer).as_ref().is_some_and(|writer| writer.write(rows));
        if !taken {
            locked(&self.metrics).capture_failed();
            tracing::error!(model = %self.model, "captured requests are lost: the disk is too slow");
        }
    }

    /// Has the captured rows written that no file holds yet.
    pub(crate) fn flush(&self) {
        self.keep();
        let rest = locked(&self.watch).flush();
        if let Some(rows) = rest {
            self.write(rows);
        }
    }

    /// Writes the captured rows that no file holds yet, and waits for it. Nothing is captured from then on.
    pub(crate) fn finish(&self) {
        self.keep();
        let rest = locked(&self.watch).flush();
        let writer = locked(&self.writer).take();
        if let Some(writer) = writer {
            writer.finish(rest);
        }
    }

    /// Forgets window and labels: another version answers from now on.
    pub(crate) fn clear(&self) {
        self.keep();
        locked(&self.watch).window.clear();
        locked(&self.labels).clear();
    }

    /// How many rows came so far, and the latest of them.
    pub(crate) fn window(&self) -> (u64, Vec<Arc<DataFrame>>) {
        self.keep();
        let watch = locked(&self.watch);
        (watch.rows(), watch.window.frames())
    }

    /// Whether labels are those of an earlier request.
    pub(crate) fn fit(&self, task: Task, id: &str, labels: &[Value]) -> Fit {
        self.keep();
        locked(&self.labels).fit(task, id, labels)
    }

    /// Takes labels that [fit](Ledger::fit); how many were new.
    pub(crate) fn label(&self, id: &str, labels: &[Value]) -> usize {
        self.keep();
        locked(&self.labels).label(id, labels)
    }

    /// The figure of the latest labelled rows, and how many labels came so far.
    pub(crate) fn performance(&self, task: Task) -> (Option<Performance>, u64) {
        let labels = locked(&self.labels);
        (labels.performance(task), labels.taken())
    }
}

/// Since 1970: tells the files of this run from those of others.
fn millis() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use oxilab_serve::Predictor;
    use polars::prelude::Column;
    use serde_json::json;

    use super::*;
    use crate::testing::MODEL;

    fn answered(predictor: &Predictor, id: &str, rows: usize) -> Answered {
        let names = predictor.schema().names();
        let columns = names.into_iter().map(|name| Column::new(name.into(), vec![1.0; rows]));
        let input = DataFrame::new(rows, columns.collect()).expect("a frame");
        let said = predictor.predict(&input).expect("an answer");
        Answered { input, parts: vec![(id.to_owned(), rows, said.clone())], said }
    }

    #[test]
    fn whoever_looks_finds_what_was_only_noted() {
        let args = Args::parse_from(["oxilab-server", MODEL]);
        let ledger = Ledger::new("m", "m", &Arc::default(), &args).expect("a ledger");
        let predictor = Predictor::open(MODEL).expect("a model");
        ledger.note(answered(&predictor, "one", 1));
        assert_eq!(ledger.fit(Task::Binary, "one", &[json!("1")]), Fit::Fits);
        let unfit = ledger.fit(Task::Regression, "one", &[json!("many")]);
        assert!(matches!(unfit, Fit::Unfit(_)), "numbers are predicted: {unfit:?}");
        assert_eq!(ledger.label("one", &[json!(1)]), 1);
        assert_eq!(ledger.fit(Task::Binary, "one", &[json!(1)]), Fit::Unknown, "it is taken once");
        ledger.note(answered(&predictor, "two", 2));
        let (rows, frames) = ledger.window();
        assert_eq!((rows, frames.iter().map(|frame| frame.height()).sum()), (3, 3));
        ledger.note(answered(&predictor, "three", 1));
        ledger.clear();
        assert_eq!(ledger.label("three", &[json!(1)]), 0, "another version answers");
        assert!(ledger.window().1.is_empty());
    }
}
