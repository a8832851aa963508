//! Explore: [`profile()`] says of every column what a look at the data should find.
//!
//! ```
//! use oxilab_data::{Profiler, profile};
//! let df = oxilab_data::datasets::iris()?;
//! let found = profile(&df)?;
//! assert_eq!(found.rows, 150);
//! assert_eq!(found.column("species").map(|c| c.distinct), Some(3));
//!
//! let found = Profiler::new().with_target("species").run(&df)?;
//! assert!(found.target.as_ref().is_some_and(|t| t.relations[0].strength > 0.9));
//! # Ok::<(), oxilab_data::DataError>(())
//! ```
//!
//! Moments, extremes, quantiles and Pearson's correlations are computed from all rows in bounded
//! memory. Beyond [`Profiler::with_sample`] rows (100,000), Spearman's correlations, Cramér's V, top
//! values, distinct counts and duplicates are estimated, and the report says so.

mod correlate;
mod report;
mod show;
mod summary;

use std::path::Path;

use polars::prelude::*;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use correlate::Correlations;
pub use summary::{ColumnProfile, Kind, Numbers, Texts};

use crate::columns;
use crate::error::{DataError, Result};
use crate::html;
use crate::rng::Rng;
use crate::stats;

/// What was found in a frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// How many rows.
    pub rows: usize,
    /// Size in memory in bytes.
    pub bytes: usize,
    /// The columns in their order.
    pub columns: Vec<ColumnProfile>,
    /// Rows equal to an earlier one.
    pub duplicate_rows: usize,
    /// How many rows the estimates come from, where they do not come from all.
    pub sampled: Option<usize>,
    /// How columns go together.
    pub correlations: Correlations,
    /// How columns go with the target, where one was named.
    pub target: Option<Target>,
    /// What deserves a look, worst first.
    pub alerts: Vec<Alert>,
}

/// How each column goes with the target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Target {
    /// The target.
    pub column: String,
    /// The other columns, strongest first.
    pub relations: Vec<Relation>,
}

/// How one column goes with the target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Relation {
    /// The column.
    pub column: String,
    /// `pearson`, `spearman`, `correlation ratio` or `Cramér's V`: the stronger that makes sense.
    pub measure: String,
    /// From 0 to 1, or from −1 to 1 for the first two.
    pub strength: f64,
}

/// Something that deserves a look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// `constant`, `missing`, `high cardinality`, `identifier`, `leak suspect`, `correlated`,
    /// `skewed`, `infinite`, `duplicates`, `mixed case`.
    pub kind: String,
    /// The column; empty for the frame.
    pub column: String,
    /// What was found.
    pub message: String,
}

/// Profiles a frame; [`Profiler`] names a target or another sample.
///
/// # Errors
/// When a column cannot be read as its type says.
pub fn profile(df: &DataFrame) -> Result<Profile> {
    Profiler::new().run(df)
}

/// How to profile.
#[derive(Clone, Debug)]
pub struct Profiler {
    target: Option<String>,
    sample: usize,
    seed: u64,
}

impl Default for Profiler {
    fn default() -> Self {
        Self::new()
    }
}

impl Profiler {
    /// Without target, estimates from 100,000 rows.
    #[must_use]
    pub fn new() -> Self {
        Self { target: None, sample: 100_000, seed: crate::split::DEFAULT_SEED }
    }

    /// Also relates every column to this one and looks for leaks.
    #[must_use]
    pub fn with_target(mut self, column: impl Into<String>) -> Self {
        self.target = Some(column.into());
        self
    }

    /// How many rows estimates may look at.
    #[must_use]
    pub fn with_sample(mut self, rows: usize) -> Self {
        self.sample = rows.max(2);
        self
    }

    /// Profiles.
    ///
    /// # Errors
    /// When the target is not there or a column cannot be read as its type says.
    pub fn run(&self, df: &DataFrame) -> Result<Profile> {
        if let Some(target) = &self.target {
            columns::column(df, target)?;
        }
        oxilab_runtime::cancel::poll();
        let sample = self.sample_of(df)?;
        let columns: Vec<ColumnProfile> = df
            .columns()
            .par_iter()
            .zip(sample.columns().par_iter())
            .map(|(column, sample)| summary::column(column, sample))
            .collect::<Result<_>>()?;
        oxilab_runtime::cancel::poll();
        let correlations = correlate::correlations(df, &sample, &columns)?;
        oxilab_runtime::cancel::poll();
        let duplicate_rows = duplicates(&sample)?;
        let sampled = (sample.height() < df.height()).then(|| sample.height());
        let target = match &self.target {
            Some(target) => Some(relations(&sample, target)?),
            None => None,
        };
        let mut profile = Profile {
            rows: df.height(),
            bytes: df.estimated_size(),
            columns,
            duplicate_rows,
            sampled,
            correlations,
            target,
            alerts: vec![],
        };
        profile.alerts = alerts(&profile);
        Ok(profile)
    }

    fn sample_of(&self, df: &DataFrame) -> Result<DataFrame> {
        if df.height() <= self.sample {
            return Ok(df.clone());
        }
        let rows = columns::height(df, "profiling")?;
        let mut rng = Rng::new(self.seed);
        let mut picks: Vec<u32> = (0..self.sample)
            .map(|_| u32::try_from(rng.below(rows as usize)).unwrap_or(0))
            .collect();
        picks.sort_unstable();
        picks.dedup();
        columns::rows(df, &picks)
    }
}

impl Profile {
    /// What was found in this column.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnProfile> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Writes the report as one HTML file without scripts.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save_html(&self, path: impl AsRef<Path>) -> Result<()> {
        let page = report::page(self);
        crate::read::write::replace(path.as_ref(), |file| {
            std::io::Write::write_all(file, page.as_bytes())
                .map_err(|e| DataError::io("writing", path.as_ref().to_string_lossy(), e))
        })
    }
}

fn duplicates(df: &DataFrame) -> Result<usize> {
    if df.width() == 0 || df.height() == 0 {
        return Ok(0);
    }
    let flat = |column: &&Column| !column.dtype().is_nested();
    let columns: Vec<Column> = df.columns().iter().filter(flat).cloned().collect();
    if columns.len() < df.width() {
        return Ok(0);
    }
    let unique = df.unique_stable(None, UniqueKeepStrategy::Any, None)?;
    Ok(df.height() - unique.height())
}

fn relations(df: &DataFrame, target: &str) -> Result<Target> {
    const DOING: &str = "relating columns to the target";
    let goal = columns::column(df, target)?;
    let classes = columns::is_class(goal.dtype());
    let (codes, _) = columns::codes(goal, DOING)?;
    let numbers = if classes { vec![] } else { columns::dense(goal, DOING)? };
    let mut relations = Vec::new();
    for column in df.columns().iter().filter(|column| column.name() != target) {
        oxilab_runtime::cancel::poll();
        let class = columns::is_class(column.dtype());
        let number = columns::is_number(column.dtype()) || columns::is_time(column.dtype());
        if !class && !number {
            continue;
        }
        let (measure, strength) = match (class, classes) {
            (true, true) => {
                ("Cramér's V", stats::cramers_v(&columns::codes(column, DOING)?.0, &codes))
            }
            (true, false) => (
                "correlation ratio",
                stats::correlation_ratio(&columns::codes(column, DOING)?.0, &numbers),
            ),
            (false, true) => (
                "correlation ratio",
                stats::correlation_ratio(&codes, &columns::dense(column, DOING)?),
            ),
            (false, false) => {
                let values = columns::dense(column, DOING)?;
                let (linear, ranked) =
                    (stats::pearson(&values, &numbers), stats::spearman(&values, &numbers));
                if ranked.abs() > linear.abs() { ("spearman", ranked) } else { ("pearson", linear) }
            }
        };
        if strength.is_finite() {
            relations.push(Relation {
                column: column.name().to_string(),
                measure: measure.to_owned(),
                strength,
            });
        }
    }
    relations.sort_by(|a, b| b.strength.abs().total_cmp(&a.strength.abs()));
    Ok(Target { column: target.to_owned(), relations })
}

fn alerts(profile: &Profile) -> Vec<Alert> {
    let mut alerts = Vec::new();
    let mut add = |kind: &str, column: &str, message: String| {
        alerts.push(Alert { kind: kind.to_owned(), column: column.to_owned(), message });
    };
    if let Some(target) = &profile.target {
        for relation in target.relations.iter().filter(|relation| relation.strength.abs() > 0.99) {
            let high = profile.column(&relation.column).is_some_and(|c| c.distinct * 2 > c.rows);
            // Cramér's V of an identifier is 1 by construction.
            if !(high && relation.measure == "Cramér's V") {
                add(
                    "leak suspect",
                    &relation.column,
                    format!(
                        "{} with {} is {:.4}",
                        relation.measure, target.column, relation.strength
                    ),
                );
            }
        }
    }
    if profile.duplicate_rows > 0 {
        add(
            "duplicates",
            "",
            format!(
                "{} rows repeat an earlier one",
                html::count(stats::float(profile.duplicate_rows))
            ),
        );
    }
    for column in &profile.columns {
        let present = column.rows - column.missing;
        let share = stats::float(column.missing) / stats::float(column.rows.max(1));
        if column.distinct <= 1 {
            add(
                "constant",
                &column.name,
                if present == 0 {
                    "no values at all".to_owned()
                } else {
                    "one value only".to_owned()
                },
            );
            continue;
        }
        if share > 0.05 {
            add("missing", &column.name, format!("{:.1} % missing", 100.0 * share));
        }
        if column.kind == Kind::Class && present > 20 && column.distinct == present {
            add("identifier", &column.name, "every value is different".to_owned());
        } else if column.kind == Kind::Class
            && column.distinct > 50
            && column.distinct * 10 > present
        {
            add("high cardinality", &column.name, format!("{} different values", column.distinct));
        }
        if let Some(numbers) = &column.numbers {
            if numbers.infinite > 0 {
                add("infinite", &column.name, format!("{} infinite values", numbers.infinite));
            }
            if numbers.skewness.abs() > 3.0 {
                add("skewed", &column.name, format!("skewness {:.1}", numbers.skewness));
            }
        }
        if column.texts.as_ref().is_some_and(|texts| texts.mixed_case > 0) {
            add(
                "mixed case",
                &column.name,
                "values that differ only in case or outer spaces".to_owned(),
            );
        }
    }
    for (a, b, strength) in profile.correlations.strongest(0.95) {
        add("correlated", &a, format!("pearson {strength:.3} with {b}"));
    }
    alerts
}
