//! Whether data still look as they did: [`drift`], [`DriftReport`].
//!
//! Of numbers two things may drift, and are tested apart: the values that are there, and how many are not.
//! Among categories a missing value is one of them, and a time is the same however it is spelt. References
//! need not hold more for it than their rows.

use std::collections::BTreeMap;

use oxilab_display::Render;
use oxilab_display::table::{Heading, Table};
use oxilab_runtime::MimeBundle;
use polars::prelude::{Column, DataFrame, DataType, df};
use serde::{Deserialize, Serialize};

use crate::category::{Category, categories};
use crate::error::{Result, ServeError, While};
use crate::stats::{chi_squared, holm, kolmogorov_smirnov, psi, psi_of_counts, wasserstein};

/// How [`drift`] decides.
///
/// ```
/// use polars::prelude::*;
/// let before = df!("age" => (0..500).map(f64::from).collect::<Vec<_>>())?;
/// let after = df!("age" => (300..800).map(f64::from).collect::<Vec<_>>())?;
/// let report = oxilab_serve::Drift::new().with_alpha(0.01).compare(&before, &after)?;
/// assert!(report.drifted());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Drift {
    alpha: f64,
    psi: f64,
    bins: usize,
    minimum: usize,
}

impl Default for Drift {
    fn default() -> Self {
        Self { alpha: 0.05, psi: 0.1, bins: 10, minimum: 50 }
    }
}

impl Drift {
    /// Level 0.05 after Holm's correction, PSI of at least 0.1, 10 bins, at least 50 rows. The shares of
    /// missing values of a numeric column are a test of their own (where there are any), with a PSI of
    /// their own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The level that corrected p-values must be below (0.05).
    #[must_use]
    pub fn with_alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// The PSI that a column must reach as well (0.1), so that many rows alone make no drift.
    #[must_use]
    pub fn with_psi(mut self, psi: f64) -> Self {
        self.psi = psi;
        self
    }

    /// Bins of the PSI of numbers (10).
    #[must_use]
    pub fn with_bins(mut self, bins: usize) -> Self {
        self.bins = bins.max(2);
        self
    }

    /// Rows below which nothing is called drift (50).
    #[must_use]
    pub fn with_minimum(mut self, rows: usize) -> Self {
        self.minimum = rows;
        self
    }

    /// Compares all columns that both frames have, in the order of the reference.
    ///
    /// # Errors
    /// If the frames have no column in common.
    pub fn compare(&self, reference: &DataFrame, current: &DataFrame) -> Result<DriftReport> {
        let mut columns = Vec::new();
        for column in reference.columns() {
            if let Ok(other) = current.column(column.name()) {
                columns.push(self.column(column, other)?);
            }
        }
        if columns.is_empty() {
            return Err(ServeError::field("reference", "no column is in both frames"));
        }
        // All tests of all columns are corrected together.
        let values = columns.iter().map(|c| c.p_value);
        let missing = columns.iter().map(|c| c.missing_p);
        let p: Vec<f64> = values.chain(missing).map(|p| p.unwrap_or(f64::NAN)).collect();
        let p = holm(&p);
        let (values, missing) = p.split_at(columns.len());
        let enough = reference.height().min(current.height()) >= self.minimum;
        for ((column, p), missing_p) in columns.iter_mut().zip(values).zip(missing) {
            let moved = |p: f64, psi: Option<f64>| {
                enough && p < self.alpha && psi.is_some_and(|psi| psi >= self.psi)
            };
            (column.p_adjusted, column.missing_p) = (finite(*p), finite(*missing_p));
            column.drifted = moved(*p, column.psi) || moved(*missing_p, column.missing_psi);
        }
        let (reference_rows, rows) = (reference.height(), current.height());
        Ok(DriftReport { reference_rows, rows, minimum: self.minimum, columns })
    }

    fn column(&self, reference: &Column, current: &Column) -> Result<ColumnDrift> {
        let name = reference.name().to_string();
        let holes = |column: &Column| -> Result<(Vec<f64>, u64)> {
            let values = numbers(column)?;
            let missing = column.len() - values.len();
            Ok((values, missing as u64))
        };
        if reference.dtype().is_numeric() && reads_as_numbers(current.dtype()) {
            let ((a, missing_before), (b, missing)) = (holes(reference)?, holes(current)?);
            let (statistic, p) = kolmogorov_smirnov(&a, &b);
            let before = [missing_before, a.len() as u64];
            let now = [missing, b.len() as u64];
            let any = missing_before + missing > 0;
            return Ok(ColumnDrift {
                column: name,
                test: "ks".to_owned(),
                statistic: finite(statistic),
                p_value: finite(p),
                p_adjusted: None,
                psi: finite(psi(&a, &b, self.bins)),
                wasserstein: finite(wasserstein(&a, &b)),
                missing: share(missing, current.len()),
                missing_before: share(missing_before, reference.len()),
                missing_p: any.then(|| chi_squared(&before, &now).1).and_then(finite),
                missing_psi: any.then(|| psi_of_counts(&before, &now)).and_then(finite),
                drifted: false,
            });
        }
        let (a, b) = counts(reference, current)?;
        let (statistic, p) = chi_squared(&a, &b);
        Ok(ColumnDrift {
            column: name,
            test: "chi2".to_owned(),
            statistic: finite(statistic),
            p_value: finite(p),
            p_adjusted: None,
            psi: finite(psi_of_counts(&a, &b)),
            wasserstein: None,
            missing: share(current.null_count() as u64, current.len()),
            missing_before: share(reference.null_count() as u64, reference.len()),
            missing_p: None,
            missing_psi: None,
            drifted: false,
        })
    }
}

/// Compares a frame with a reference at the defaults of [`Drift`].
///
/// # Errors
/// As [`Drift::compare`].
pub fn drift(reference: &DataFrame, current: &DataFrame) -> Result<DriftReport> {
    Drift::new().compare(reference, current)
}

/// One column of a [`DriftReport`]. Figures that are not defined are `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnDrift {
    /// Its name.
    pub column: String,
    /// `ks` (Kolmogorov-Smirnov) for numbers, `chi2` for categories.
    pub test: String,
    /// The test's statistic.
    pub statistic: Option<f64>,
    /// Its p-value.
    pub p_value: Option<f64>,
    /// The p-value after Holm's correction for all columns.
    pub p_adjusted: Option<f64>,
    /// Population stability index.
    pub psi: Option<f64>,
    /// Wasserstein distance in the column's unit; numbers only.
    pub wasserstein: Option<f64>,
    /// The share of missing values, from 0 to 1. In a column of numbers what is not finite is missing.
    #[serde(default)]
    pub missing: Option<f64>,
    /// The same in the reference.
    #[serde(default)]
    pub missing_before: Option<f64>,
    /// The p-value, corrected along with all others, that the shares are one (chi-squared); for numbers of
    /// which some are missing. Among categories missing is one of them.
    #[serde(default)]
    pub missing_p: Option<f64>,
    /// Population stability index of the two shares, where there is a `missing_p`.
    #[serde(default)]
    pub missing_psi: Option<f64>,
    /// Whether it is called drift, of the values or of the share that is missing.
    pub drifted: bool,
}

impl ColumnDrift {
    /// The shares of missing values where there are any: `40 % (was 0 %)`.
    pub(crate) fn missing_text(&self) -> Option<String> {
        let (now, before) = (self.missing?, self.missing_before?);
        let any = now > 0.0 || before > 0.0;
        any.then(|| format!("{:.0} % (was {:.0} %)", now * 100.0, before * 100.0))
    }
}

/// What [`drift`] found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DriftReport {
    /// Rows of the reference.
    pub reference_rows: usize,
    /// Rows that were compared with it.
    pub rows: usize,
    /// Rows that were needed to call anything drift.
    pub minimum: usize,
    /// Column by column.
    pub columns: Vec<ColumnDrift>,
}

impl DriftReport {
    /// Whether any column drifted.
    #[must_use]
    pub fn drifted(&self) -> bool {
        self.columns.iter().any(|column| column.drifted)
    }

    /// The names of the columns that drifted.
    #[must_use]
    pub fn drifted_columns(&self) -> Vec<&str> {
        self.columns.iter().filter(|c| c.drifted).map(|c| c.column.as_str()).collect()
    }

    /// The report as a frame, a row per column.
    ///
    /// # Errors
    /// Only if polars refuses the frame.
    pub fn to_frame(&self) -> Result<DataFrame> {
        let text = |of: fn(&ColumnDrift) -> &str| self.columns.iter().map(of).collect::<Vec<_>>();
        let number = |of: fn(&ColumnDrift) -> Option<f64>| {
            self.columns.iter().map(of).collect::<Vec<Option<f64>>>()
        };
        df!(
            "column" => text(|c| &c.column),
            "test" => text(|c| &c.test),
            "statistic" => number(|c| c.statistic),
            "p_adjusted" => number(|c| c.p_adjusted),
            "psi" => number(|c| c.psi),
            "wasserstein" => number(|c| c.wasserstein),
            "missing" => number(|c| c.missing),
            "missing_before" => number(|c| c.missing_before),
            "missing_p" => number(|c| c.missing_p),
            "drifted" => self.columns.iter().map(|c| c.drifted).collect::<Vec<bool>>(),
        )
        .doing("making the frame of drift")
    }
}

impl Render for DriftReport {
    fn render(&self) -> MimeBundle {
        let names =
            ["column", "test", "statistic", "p (Holm)", "PSI", "Wasserstein", "missing", "drift"];
        let mut table = Table::new(names.map(Heading::new).to_vec());
        let few = if self.rows < self.minimum {
            format!(", too few to judge (at least {})", self.minimum)
        } else {
            String::new()
        };
        table.title = format!(
            "{} of {} columns drifted; {} rows against {} of the reference{few}",
            self.drifted_columns().len(),
            self.columns.len(),
            self.rows,
            self.reference_rows,
        );
        for c in &self.columns {
            let number = |value: Option<f64>| value.map(|value| format!("{value:.4}"));
            table.push(vec![
                Some(c.column.clone()),
                Some(c.test.clone()),
                number(c.statistic),
                number(c.p_adjusted),
                number(c.psi),
                number(c.wasserstein),
                c.missing_text(),
                Some(if c.drifted { "yes" } else { "no" }.to_owned()),
            ]);
        }
        let title = oxilab_display::table::escape(&table.title);
        let html = format!("<div><b>{title}</b></div>{}", table.to_html());
        MimeBundle::text(table.to_text()).with_html(html)
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

#[expect(clippy::cast_precision_loss, reason = "counts of values")]
fn share(count: u64, of: usize) -> Option<f64> {
    (of > 0).then(|| count as f64 / of as f64)
}

/// A column without any value has no type.
fn reads_as_numbers(dtype: &DataType) -> bool {
    dtype.is_numeric() || dtype.is_bool() || dtype.is_null()
}

fn numbers(column: &Column) -> Result<Vec<f64>> {
    let cast = column.cast(&DataType::Float64).doing("reading numbers")?;
    let values = cast.f64().doing("reading numbers")?;
    Ok(values.iter().flatten().filter(|value| value.is_finite()).collect())
}

/// Counts per category, missing among them, in the same order for both.
fn counts(reference: &Column, current: &Column) -> Result<(Vec<u64>, Vec<u64>)> {
    let mut both: BTreeMap<Category, (u64, u64)> = BTreeMap::new();
    for (column, first) in [(reference, true), (current, false)] {
        for category in categories(column, reference.dtype())? {
            let pair = both.entry(category).or_default();
            *(if first { &mut pair.0 } else { &mut pair.1 }) += 1;
        }
    }
    Ok(both.into_values().unzip())
}
