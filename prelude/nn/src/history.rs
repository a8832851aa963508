//! The losses and metrics of a run, as a value that shows itself as a chart.

use std::collections::BTreeMap;

use oxilab_display::{MimeBundle, Render};
use polars::prelude::{self, DataFrame, NamedFrom as _};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::chart::{Panel, Series};
use crate::error::Result;

/// The series of the losses of single steps.
const BATCH: &str = "batch loss";

/// Losses by step and metrics by epoch; shows itself as a chart of both.
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
        let mut columns = vec![prelude::Series::new("epoch".into(), epoch).into()];
        for name in self.names() {
            let values: Vec<Option<f64>> =
                self.epochs.iter().map(|epoch| epoch.metrics.get(&name).copied()).collect();
            columns.push(prelude::Series::new(name.as_str().into(), values).into());
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

    /// The losses, and below them a panel for each metric that is none: their scales have nothing to do
    /// with each other. Batch losses are thinned to some hundred points.
    #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
    fn panels(&self) -> Vec<Panel> {
        let stride = self.steps.len().div_ceil(400).max(1);
        let batch: Vec<(f64, f64)> = self
            .steps
            .chunks(stride)
            .map(|part| {
                let mean = part.iter().map(|step| step.loss).sum::<f64>() / part.len() as f64;
                (part[part.len() - 1].step as f64, mean)
            })
            .collect();
        let mut losses = vec![(BATCH.to_owned(), batch)];
        let mut metrics: BTreeMap<String, Vec<Series>> = BTreeMap::new();
        for name in self.names() {
            let value = |epoch: &EpochRecord| Some((epoch.step as f64, *epoch.metrics.get(&name)?));
            let points = self.epochs.iter().filter_map(value).collect();
            if name.ends_with("loss") {
                losses.push((name, points));
            } else {
                // What training and validation rows give of one metric is compared in one panel.
                let metric = name.strip_prefix("train_").or_else(|| name.strip_prefix("valid_"));
                let metric = metric.unwrap_or(&name).to_owned();
                metrics.entry(metric).or_default().push((name, points));
            }
        }
        losses.retain(|(_, points)| !points.is_empty());
        let panels = metrics.into_iter().map(|(value, series)| Panel { value, series });
        let mut panels: Vec<Panel> = panels.collect();
        if panels.is_empty() || !losses.is_empty() {
            panels.insert(0, Panel { value: "loss".to_owned(), series: losses });
        }
        panels
    }

    /// The chart without the picture, for updates while training runs.
    #[must_use]
    pub fn live(&self) -> MimeBundle {
        let mut panels: Vec<_> = self.panels().iter().map(vega).collect();
        let mut spec = match panels.len() {
            1 => panels.remove(0),
            _ => json!({"vconcat": panels, "resolve": {"scale": {"color": "independent"}}}),
        };
        spec["$schema"] = json!("https://vega.github.io/schema/vega-lite/v5.json");
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

/// A panel in Vega-Lite.
fn vega(panel: &Panel) -> serde_json::Value {
    let Panel { value, series } = panel;
    let values: Vec<_> = series
        .iter()
        .flat_map(|(name, points)| {
            points.iter().map(move |(x, y)| json!({"step": x, "value": y, "series": name}))
        })
        .collect();
    // The losses of the batches are behind those of the epochs.
    let faint = json!({"test": format!("datum.series == '{BATCH}'"), "value": 0.4});
    json!({
        "width": 480, "height": if value == "loss" { 240 } else { 120 },
        "mark": {"type": "line", "point": values.len() < 60},
        "data": {"values": values},
        "encoding": {
            "x": {"field": "step", "type": "quantitative"},
            "y": {
                "field": "value", "title": value, "type": "quantitative",
                "scale": {"zero": false},
            },
            "color": {"field": "series", "type": "nominal", "title": null},
            "strokeOpacity": {"condition": faint, "value": 1},
        },
    })
}

impl Render for History {
    fn render(&self) -> MimeBundle {
        let bundle = self.live();
        // The chart is complete without the picture, which only serves front ends without Vega-Lite.
        match crate::chart::lines("step", &self.panels()) {
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
        let metrics = |value: f64| {
            let named = [("valid_loss", 0.3), ("valid_accuracy", value), ("valid_mae", 40.0)];
            BTreeMap::from(named.map(|(name, value)| (name.to_owned(), value)))
        };
        history.push_epoch(EpochRecord { epoch: 1, step: 3, metrics: metrics(0.7) });
        history.push_epoch(EpochRecord { epoch: 2, step: 5, metrics: metrics(0.9) });
        let bundle = history.render();
        let said = "5 steps, 2 epochs, valid_accuracy 0.9000, valid_loss 0.3000, valid_mae 40.0000";
        assert_eq!(bundle.plain(), said);
        let spec = &bundle.data["application/vnd.vegalite.v5+json"];
        let panels = spec["vconcat"].as_array().expect("panels");
        let values = |panel: &serde_json::Value| panel["data"]["values"].clone();
        assert_eq!(values(&panels[0]).as_array().map(Vec::len), Some(5 + 2));
        let accuracy = json!([
            {"step": 3.0, "value": 0.7, "series": "valid_accuracy"},
            {"step": 5.0, "value": 0.9, "series": "valid_accuracy"},
        ]);
        assert_eq!(values(&panels[1]), accuracy);
        assert_eq!(panels[1]["encoding"]["y"]["title"], "accuracy");
        assert_eq!(values(&panels[2])[0]["value"], 40.0);
        assert_eq!(history.to_frame()?.shape(), (2, 4));
        let picture = |bundle: &MimeBundle| bundle.data["image/png"].as_str().map(str::len);
        let whole = picture(&bundle).expect("a picture");
        // Without metrics the losses are the chart, and the picture has nothing below them.
        for epoch in &mut history.epochs {
            epoch.metrics.retain(|name, _| name == "valid_loss");
        }
        let losses = history.render();
        assert!(picture(&losses).expect("a picture") < whole);
        assert!(losses.data["application/vnd.vegalite.v5+json"]["vconcat"].is_null());
        Ok(())
    }

    #[test]
    fn what_training_and_validation_give_of_a_metric_is_one_panel() {
        let mut history = History::default();
        let names = ["train_accuracy", "valid_accuracy", "perplexity"];
        let metrics = names.map(|name| (name.to_owned(), 0.5)).into();
        history.push_epoch(EpochRecord { epoch: 1, step: 1, metrics });
        let panels = history.panels();
        let shown: Vec<(&str, usize)> =
            panels.iter().map(|panel| (panel.value.as_str(), panel.series.len())).collect();
        assert_eq!(shown, [("accuracy", 2), ("perplexity", 1)]);
    }
}
