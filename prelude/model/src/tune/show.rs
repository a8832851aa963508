//! How a study shows itself: its best trials, its history, the importance of its parameters, all
//! trials in parallel coordinates.

use oxilab_display::Render;
use oxilab_display::table::{Heading, Table};
use oxilab_model_format::Task;
use oxilab_plot::Chart;
use oxilab_plot::model::ParallelAxis;
use oxilab_runtime::MimeBundle;
use polars::prelude::*;

use super::space::Value;
use super::study::{Direction, Record, State, Study};
use crate::error::{ModelError, Result, While};
use crate::evaluate::figure;
use crate::matrix::float;
use crate::show::table_and_chart;
use crate::tree::RandomForest;

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
            let of = |trial: &Record| {
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
                let numbers: Vec<Option<f64>> =
                    values.iter().map(|v| v.as_ref().and_then(Value::number)).collect();
                Column::new(name.as_str().into(), numbers)
            };
            columns.push(column);
        }
        DataFrame::new(rows, columns).doing("making the frame of trials")
    }
}

impl Render for Study {
    fn render(&self) -> MimeBundle {
        let mut ranked: Vec<&Record> =
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
        table_and_chart(&table, self.history_chart())
    }
}

impl Study {
    fn history_chart(&self) -> oxilab_plot::Result<Chart> {
        let mut best = f64::NAN;
        let (values, bests): (Vec<f64>, Vec<f64>) = self
            .trials
            .iter()
            .map(|trial| {
                let value = trial.value.unwrap_or(f64::NAN);
                let better = match self.direction {
                    Direction::Maximize => value > best,
                    Direction::Minimize => value < best,
                };
                if trial.is_complete() && (better || best.is_nan()) {
                    best = value;
                }
                (value, best)
            })
            .unzip();
        oxilab_plot::model::history(&values, &bests)
    }

    /// The value of every trial, pruned ones included, and the best so far.
    ///
    /// # Errors
    /// If no trial has a value yet.
    pub fn plot_history(&self) -> Result<Chart> {
        Ok(self.history_chart()?)
    }

    /// How much each parameter decides the value, highest first, in columns `parameter` and
    /// `importance` (sums to 1): the importance of a random forest that predicts the values of complete
    /// trials from their parameters.
    ///
    /// # Errors
    /// If fewer than two complete trials have different values.
    pub fn importance(&self) -> Result<DataFrame> {
        let complete: Vec<bool> = self.trials.iter().map(Record::is_complete).collect();
        let mask = BooleanChunked::from_slice("complete".into(), &complete);
        let kept = self.to_frame()?.filter(&mask).doing("choosing complete trials")?;
        let kept = kept.drop_many(["number", "state", "seconds"]);
        let differ =
            kept.column("value").and_then(polars::prelude::Column::n_unique).unwrap_or(0) > 1;
        if !differ {
            return Err(ModelError::data(
                format!("study `{}` has no two complete trials with different values", self.name),
                "run more trials first",
            ));
        }
        let forest = RandomForest::new().with_task(Some(Task::Regression));
        let found = forest.fit(&kept, "value")?.importance()?;
        found
            .lazy()
            .rename(["feature"], ["parameter"], true)
            .collect()
            .doing("naming the parameters")
    }

    /// [`Study::importance`] as bars.
    ///
    /// # Errors
    /// As [`Study::importance`].
    pub fn plot_importance(&self) -> Result<Chart> {
        let found = self.importance()?;
        let doing = "reading the importance";
        let names: Vec<&str> =
            found.column("parameter").doing(doing)?.str().doing(doing)?.iter().flatten().collect();
        let values: Vec<f64> =
            found.column("importance").doing(doing)?.f64().doing(doing)?.iter().flatten().collect();
        let chart = oxilab_plot::model::ranking(&names, &values, "importance")?;
        Ok(chart.with_title("Importance of the parameters"))
    }

    /// A line per trial across one axis per parameter and one for the value, the best in front.
    ///
    /// # Errors
    /// If no trial has a value yet.
    pub fn plot_parallel(&self) -> Result<Chart> {
        let trials: Vec<&Record> =
            self.trials.iter().filter(|trial| trial.value.is_some()).collect();
        let values: Vec<f64> = trials.iter().filter_map(|trial| trial.value).collect();
        let sign = if self.direction == Direction::Maximize { 1.0 } else { -1.0 };
        let scores: Vec<f64> = values.iter().map(|value| sign * value).collect();
        let mut axes = Vec::new();
        for (place, (name, _)) in
            trials.first().map_or(&[][..], |trial| &trial.params).iter().enumerate()
        {
            let params: Vec<&Value> =
                trials.iter().filter_map(|trial| Some(&trial.params.get(place)?.1)).collect();
            axes.push(axis(name, &params));
        }
        let values: Vec<Value> = values.into_iter().map(Value::Float).collect();
        axes.push(axis("value", &values.iter().collect::<Vec<_>>()));
        Ok(oxilab_plot::model::parallel(&axes, &scores)?)
    }
}

/// One axis: numbers as they are, on a logarithmic one if they span orders of magnitude; texts by name.
fn axis(name: &str, values: &[&Value]) -> ParallelAxis {
    let mut texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    let numbers: Option<Vec<f64>> = values.iter().map(|value| value.number()).collect();
    let Some(numbers) = numbers else {
        let own = texts.clone();
        texts.sort_unstable();
        texts.dedup();
        let place = |text: &String| float(texts.binary_search(text).unwrap_or(0));
        let places = own.iter().map(place).collect();
        let ends = (texts.first().cloned(), texts.last().cloned());
        let ends = (ends.0.unwrap_or_default(), ends.1.unwrap_or_default());
        return ParallelAxis { name: name.to_owned(), values: places, ends };
    };
    let (low, high) = numbers
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), n| (low.min(*n), high.max(*n)));
    let wide = low > 0.0 && high / low > 100.0;
    ParallelAxis {
        name: if wide { format!("{name} (log)") } else { name.to_owned() },
        values: numbers.iter().map(|n| if wide { n.ln() } else { *n }).collect(),
        ends: (short(low), short(high)),
    }
}

/// A number at the end of an axis.
fn short(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e6 {
        format!("{value}")
    } else {
        format!("{value:.3e}")
    }
}
