//! The losses and metrics of a run, as a value that shows itself as a chart.

use std::collections::BTreeMap;

use oxilab_display::{MimeBundle, Render};
use polars::prelude::{DataFrame, NamedFrom as _, Series};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::Result;

/// Losses by step and metrics by epoch.
///
/// ```
/// use oxilab_nn::{EpochRecord, History};
/// let mut history = History::default();
/// for (epoch, loss) in [(1, 0.9), (2, 0.5)] {
///     let metrics = [("valid_loss".to_owned(), loss)].into();
///     history.push_epoch(EpochRecord { epoch, step: 10 * epoch, metrics });
/// }
/// assert_eq!((history.last("valid_loss"), history.metric("valid_loss")), (Some(0.5), vec![0.9, 0.5]));
/// assert_eq!(history.to_frame()?.shape(), (2, 2));
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    steps: Vec<StepRecord>,
    epochs: Vec<EpochRecord>,
}

/// One optimiser step.
///
/// ```
/// use oxilab_nn::{History, StepRecord};
/// let mut history = History::default();
/// history.push_step(StepRecord { step: 1, loss: 0.9, learning_rate: 1e-3, grad_norm: 2.0 });
/// assert_eq!(history.steps()[0].loss, 0.9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Steps so far, from 1.
    pub step: usize,
    /// Mean loss of the step's batches.
    pub loss: f64,
    /// The learning rate.
    pub learning_rate: f64,
    /// The gradient's norm before clipping.
    pub grad_norm: f64,
}

/// One epoch, or one evaluation.
///
/// ```
/// use oxilab_nn::{EpochRecord, History};
/// let mut history = History::default();
/// let metrics = [("valid_loss".to_owned(), 0.4)].into();
/// history.push_epoch(EpochRecord { epoch: 1, step: 12, metrics });
/// assert_eq!(history.last("valid_loss"), Some(0.4));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Steps so far.
    pub step: usize,
    /// Values by metric.
    pub metrics: BTreeMap<String, f64>,
}

impl History {
    /// Adds a step.
    pub fn push_step(&mut self, record: StepRecord) {
        self.steps.push(record);
    }

    /// Adds an epoch.
    pub fn push_epoch(&mut self, record: EpochRecord) {
        self.epochs.push(record);
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[StepRecord] {
        &self.steps
    }

    /// The epochs.
    #[must_use]
    pub fn epochs(&self) -> &[EpochRecord] {
        &self.epochs
    }

    /// Whether nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.epochs.is_empty()
    }

    /// The last value of a metric, for example `valid_loss`.
    #[must_use]
    pub fn last(&self, metric: &str) -> Option<f64> {
        self.epochs.iter().rev().find_map(|epoch| epoch.metrics.get(metric).copied())
    }

    /// The values of a metric by epoch.
    #[must_use]
    pub fn metric(&self, metric: &str) -> Vec<f64> {
        self.epochs.iter().filter_map(|epoch| epoch.metrics.get(metric).copied()).collect()
    }

    /// One row for each epoch, one column for each metric.
    ///
    /// # Errors
    /// When the frame cannot be built.
    pub fn to_frame(&self) -> Result<DataFrame> {
        let epoch: Vec<u64> = self.epochs.iter().map(|epoch| epoch.epoch as u64).collect();
        let mut columns = vec![Series::new("epoch".into(), epoch).into()];
        for name in self.names() {
            let values: Vec<Option<f64>> =
                self.epochs.iter().map(|epoch| epoch.metrics.get(&name).copied()).collect();
            columns.push(Series::new(name.as_str().into(), values).into());
        }
        Ok(DataFrame::new(self.epochs.len(), columns)?)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.epochs.iter().flat_map(|epoch| epoch.metrics.keys().cloned()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The losses as series of `(step, value)`: batch losses thinned to some hundred points, and the
    /// losses of the epochs.
    #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
    fn series(&self) -> Vec<(String, Vec<(f64, f64)>)> {
        let stride = self.steps.len().div_ceil(400).max(1);
        let batch: Vec<(f64, f64)> = self
            .steps
            .chunks(stride)
            .map(|part| {
                let mean = part.iter().map(|step| step.loss).sum::<f64>() / part.len() as f64;
                (part[part.len() - 1].step as f64, mean)
            })
            .collect();
        let mut series = vec![("batch loss".to_owned(), batch)];
        for name in self.names().into_iter().filter(|name| name.ends_with("loss")) {
            let points = self
                .epochs
                .iter()
                .filter_map(|epoch| Some((epoch.step as f64, *epoch.metrics.get(&name)?)))
                .collect();
            series.push((name, points));
        }
        series.retain(|(_, points)| !points.is_empty());
        series
    }

    /// The chart without the picture, for updates while training runs.
    #[must_use]
    pub fn live(&self) -> MimeBundle {
        let values: Vec<_> = self
            .series()
            .into_iter()
            .flat_map(|(name, points)| {
                points.into_iter().map(move |(x, y)| json!({"step": x, "loss": y, "series": name}))
            })
            .collect();
        let spec = json!({
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "width": 480, "height": 240,
            "data": {"values": values},
            "mark": {"type": "line", "point": values.len() < 60},
            "encoding": {
                "x": {"field": "step", "type": "quantitative"},
                "y": {"field": "loss", "type": "quantitative", "scale": {"zero": false}},
                "color": {"field": "series", "type": "nominal", "title": null},
                "strokeOpacity": {
                    "condition": {"test": "datum.series == 'batch loss'", "value": 0.4}, "value": 1
                },
            },
        });
        MimeBundle::text(self.summary()).with("application/vnd.vegalite.v5+json", spec)
    }

    fn summary(&self) -> String {
        let steps = self.steps.len();
        let mut text = format!("{steps} steps");
        if let Some(epoch) = self.epochs.last() {
            use std::fmt::Write as _;
            let _ = write!(text, ", {} epochs", epoch.epoch);
            for (name, value) in &epoch.metrics {
                let _ = write!(text, ", {name} {value:.4}");
            }
        }
        text
    }
}

impl Render for History {
    fn render(&self) -> MimeBundle {
        let bundle = self.live();
        // The chart is complete without the picture, which only serves front ends without Vega-Lite.
        match crate::chart::lines("step", "loss", &self.series()) {
            Ok(png) => bundle.with_png(&png),
            Err(_) => bundle,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_shows_text_chart_and_picture() -> Result<()> {
        let mut history = History::default();
        for step in 1..=5 {
            let loss = 1.0 / f64::from(u32::try_from(step).unwrap_or(1));
            history.push_step(StepRecord { step, loss, learning_rate: 0.1, grad_norm: 1.0 });
        }
        let metrics =
            BTreeMap::from([("valid_loss".to_owned(), 0.3), ("accuracy".to_owned(), 0.9)]);
        history.push_epoch(EpochRecord { epoch: 1, step: 5, metrics });
        let bundle = history.render();
        assert_eq!(bundle.plain(), "5 steps, 1 epochs, accuracy 0.9000, valid_loss 0.3000");
        let spec = &bundle.data["application/vnd.vegalite.v5+json"];
        assert_eq!(spec["data"]["values"].as_array().map(Vec::len), Some(6));
        assert!(bundle.data.contains_key("image/png"));
        assert_eq!(history.to_frame()?.shape(), (1, 3));
        Ok(())
    }
}
