//! How a study shows itself: its best trials, its history as a chart.

use oxilab_display::Render;
use oxilab_display::table::{Heading, Table};
use oxilab_runtime::MimeBundle;
use polars::prelude::*;

use super::space::Value;
use super::study::{Direction, State, Study};
use crate::error::{Result, While};
use crate::evaluate::figure;

impl Study {
    /// One row per trial: `number`, `state`, `value`, `seconds`, and a column per parameter.
    ///
    /// # Errors
    /// Only if polars refuses the frame.
    pub fn to_frame(&self) -> Result<DataFrame> {
        let rows = self.trials.len();
        let numbers: Vec<u64> = self.trials.iter().map(|trial| trial.number).collect();
        let states: Vec<String> =
            self.trials.iter().map(|trial| format!("{:?}", trial.state).to_lowercase()).collect();
        let values: Vec<Option<f64>> = self.trials.iter().map(|trial| trial.value).collect();
        let seconds: Vec<f64> = self.trials.iter().map(|trial| trial.seconds).collect();
        let mut columns = vec![
            Column::new("number".into(), numbers),
            Column::new("state".into(), states),
            Column::new("value".into(), values),
            Column::new("seconds".into(), seconds),
        ];
        let names = self.trials.first().map(|t| t.params.iter().map(|(n, _)| n.clone()).collect());
        let names: Vec<String> = names.unwrap_or_default();
        for name in names {
            let of = |trial: &super::Record| {
                trial
                    .params
                    .iter()
                    .find(|(other, _)| *other == name)
                    .map(|(_, value)| value.clone())
            };
            let values: Vec<Option<Value>> = self.trials.iter().map(of).collect();
            let text = values.iter().flatten().any(|value| matches!(value, Value::Text(_)));
            let column = if text {
                let texts: Vec<Option<String>> =
                    values.iter().map(|v| v.as_ref().map(ToString::to_string)).collect();
                Column::new(name.as_str().into(), texts)
            } else {
                #[expect(clippy::cast_precision_loss, reason = "parameters for people")]
                let number = |value: &Value| match value {
                    Value::Int(value) => *value as f64,
                    Value::Float(value) => *value,
                    Value::Text(_) => f64::NAN,
                };
                let numbers: Vec<Option<f64>> =
                    values.iter().map(|v| v.as_ref().map(number)).collect();
                Column::new(name.as_str().into(), numbers)
            };
            columns.push(column);
        }
        DataFrame::new(rows, columns).doing("making the frame of trials")
    }
}

impl Render for Study {
    fn render(&self) -> MimeBundle {
        let mut ranked: Vec<&super::Record> =
            self.trials.iter().filter(|trial| trial.state == State::Complete).collect();
        ranked.sort_by(|a, b| {
            let (a, b) = (a.value.unwrap_or(f64::NAN), b.value.unwrap_or(f64::NAN));
            if self.direction == Direction::Maximize { b.total_cmp(&a) } else { a.total_cmp(&b) }
        });
        let names: Vec<&str> = self
            .trials
            .first()
            .map(|trial| trial.params.iter().map(|(name, _)| name.as_str()).collect())
            .unwrap_or_default();
        let mut headings = vec![Heading::new("trial").numeric(), Heading::new("value").numeric()];
        headings.extend(names.iter().map(|name| Heading::new(*name)));
        let mut table = Table::new(headings);
        let count = |state| self.trials.iter().filter(|trial| trial.state == state).count();
        table.title = format!(
            "study {} · {} trials, {} pruned, {} failed · the best:",
            self.name,
            self.trials.len(),
            count(State::Pruned),
            count(State::Failed)
        );
        for trial in ranked.iter().take(10) {
            let mut row = vec![Some(trial.number.to_string()), trial.value.map(figure)];
            row.extend(trial.params.iter().map(|(_, value)| Some(value.to_string())));
            table.push(row);
        }
        let title = oxilab_display::table::escape(&table.title);
        let html = format!("<div><b>{title}</b></div>{}", table.to_html());
        MimeBundle::text(table.to_text())
            .with_html(html)
            .with("application/vnd.vegalite.v5+json", self.history_chart())
    }
}

impl Study {
    fn history_chart(&self) -> serde_json::Value {
        let mut best: Option<f64> = None;
        let mut points = Vec::new();
        for trial in &self.trials {
            let Some(value) = trial.value else { continue };
            if trial.state == State::Complete {
                let better = best.is_none_or(|best| match self.direction {
                    Direction::Maximize => value > best,
                    Direction::Minimize => value < best,
                });
                if better {
                    best = Some(value);
                }
            }
            let state = format!("{:?}", trial.state).to_lowercase();
            points.push(serde_json::json!(
                {"trial": trial.number, "value": value, "best": best, "state": state}));
        }
        let x = serde_json::json!({"field": "trial", "type": "quantitative"});
        let y = |field: &str| {
            serde_json::json!({"field": field, "type": "quantitative", "title": "value",
                "scale": {"zero": false}})
        };
        serde_json::json!({
            "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
            "width": 420, "height": 220, "data": {"values": points},
            "layer": [
                {"mark": {"type": "point", "opacity": 0.6}, "encoding": {"x": x, "y": y("value"),
                    "color": {"field": "state", "type": "nominal"}}},
                {"mark": {"type": "line", "interpolate": "step-after"},
                    "encoding": {"x": x, "y": y("best")}},
            ],
        })
    }
}
