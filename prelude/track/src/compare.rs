//! [`compare`]: runs side by side.

use oxilab_display::table::{Heading, Table};
use oxilab_display::{MimeBundle, Render};
use polars::prelude::DataFrame;

use crate::chart::{self, Series};
use crate::record::RunRecord;
use crate::runs::{find, frame, metrics, params};
use crate::session::session;
use crate::{Result, Tracker};

/// How many charts are drawn at most.
const CHARTS: usize = 8;

/// Runs side by side: one row per parameter and metric, one column per run, and a chart for each metric
/// that has steps. A run is its identifier, the beginning of it, or its name in the current experiment.
///
/// # Errors
/// If one of the runs does not exist, or the backend fails.
pub fn compare<S: AsRef<str>>(ids: &[S]) -> Result<Comparison> {
    let runs = ids.iter().map(|id| find(id.as_ref())).collect::<Result<_>>()?;
    Ok(Comparison::new(runs).with_charts(&*session()?.tracker()))
}

/// Runs side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The runs, in the order they were asked for.
    pub runs: Vec<RunRecord>,
    /// Metrics with more than one value, and their lines, one per run.
    charts: Vec<(String, Vec<Series>)>,
}

impl Comparison {
    /// Compares records.
    #[must_use]
    pub fn new(runs: Vec<RunRecord>) -> Self {
        Self { runs, charts: Vec::new() }
    }

    fn with_charts(mut self, tracker: &dyn Tracker) -> Self {
        let names: Vec<String> = metrics(&self.runs)
            .into_iter()
            .filter(|name| !name.starts_with("system/"))
            .take(CHARTS)
            .map(str::to_owned)
            .collect();
        for name in names {
            let mut lines = Vec::new();
            for run in self.runs.iter().filter(|run| run.metrics.contains_key(&name)) {
                #[expect(clippy::cast_precision_loss, reason = "places on a plot")]
                let points: Vec<(f64, f64)> = tracker
                    .history(&run.id, &name)
                    .unwrap_or_default()
                    .iter()
                    .map(|metric| (metric.step as f64, metric.value))
                    .collect();
                lines.push((run.name.clone(), points));
            }
            if lines.iter().any(|(_, points)| points.len() > 1) {
                self.charts.push((name, lines));
            }
        }
        self
    }

    /// As a frame, one row per run; see [`runs`].
    ///
    /// # Errors
    /// If the frame cannot be made.
    pub fn frame(&self) -> Result<DataFrame> {
        frame(&self.runs)
    }

    fn table(&self) -> Table {
        let mut headings = vec![Heading::new("")];
        headings.extend(self.runs.iter().map(|run| Heading::new(run.name.clone())));
        let mut table = Table::new(headings);
        let mut row = |label: String, value: &dyn Fn(&RunRecord) -> Option<String>| {
            let mut cells = vec![Some(label)];
            cells.extend(self.runs.iter().map(|run| Some(value(run).unwrap_or_default())));
            table.push(cells);
        };
        row("run".to_owned(), &|run| Some(run.id.chars().take(8).collect()));
        row("status".to_owned(), &|run| Some(run.status.as_str().to_lowercase()));
        for key in params(&self.runs) {
            row(format!("params.{key}"), &|run| run.params.get(key).cloned());
        }
        for key in metrics(&self.runs) {
            row(format!("metrics.{key}"), &|run| {
                run.metrics.get(key).map(|value| format!("{value:.6}"))
            });
        }
        table
    }
}

impl Render for Comparison {
    fn render(&self) -> MimeBundle {
        let table = self.table();
        if self.charts.is_empty() {
            return table.render();
        }
        let charts: String = self
            .charts
            .iter()
            .map(|(name, lines)| format!("<div>{}</div>", chart::lines(name, lines)))
            .collect();
        let html = format!(
            "{}<div style=\"display:flex;flex-wrap:wrap;gap:8px\">{charts}</div>",
            table.to_html()
        );
        MimeBundle::text(table.to_text()).with_html(html)
    }
}

impl Render for RunRecord {
    fn render(&self) -> MimeBundle {
        Comparison::new(vec![self.clone()]).render()
    }
}
