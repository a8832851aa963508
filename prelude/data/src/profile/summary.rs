//! One column: type, missing, distinct, quantiles, histogram, top values.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use crate::columns;
use crate::error::{DataError, Result};
use crate::stats::{self, float};

/// Bins of the histogram.
const BINS: usize = 20;
/// Top values kept.
const TOP: usize = 5;

/// What a column's values are to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// To calculate with.
    Number,
    /// One of some classes: text, categories, truth.
    Class,
    /// Points or spans of time.
    Time,
    /// Lists, structures and other.
    Other,
}

/// What was found in a column.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// Its type as polars names it.
    pub dtype: String,
    /// What its values are to a person.
    pub kind: Kind,
    /// How many rows.
    pub rows: usize,
    /// How many are null or NaN.
    pub missing: usize,
    /// How many different values; estimated beyond the sample.
    pub distinct: usize,
    /// Most frequent values and how often they are there, of the sample.
    pub top: Vec<(String, usize)>,
    /// For numbers and times.
    pub numbers: Option<Numbers>,
    /// For text.
    pub texts: Option<Texts>,
}

/// What was found in a column of numbers; times are in their physical unit.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Numbers {
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation (divisor n − 1).
    pub std: f64,
    /// Skewness.
    pub skewness: f64,
    /// Excess kurtosis.
    pub kurtosis: f64,
    /// Minimum, 5 %, 25 %, 50 %, 75 %, 95 % and maximum.
    pub quantiles: [f64; 7],
    /// How many are 0.
    pub zeros: usize,
    /// How many are below 0.
    pub negative: usize,
    /// How many are infinite; they are left out of the rest.
    pub infinite: usize,
    /// Counts in 20 bins of equal width from minimum to maximum.
    pub histogram: Vec<u64>,
}

/// What was found in a column of text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Texts {
    /// Characters of the shortest.
    pub shortest: usize,
    /// Characters of the longest.
    pub longest: usize,
    /// How many are empty or white space.
    pub blank: usize,
    /// How many different values of the sample become equal without case and outer spaces.
    pub mixed_case: usize,
}

/// Summarises a column; `sample` holds some of its rows.
pub(super) fn column(column: &Column, sample: &Column) -> Result<ColumnProfile> {
    if oxilab_runtime::cancel::requested() {
        return Err(DataError::Interrupted { doing: "profiling".to_owned() });
    }
    let dtype = column.dtype();
    let kind = if columns::is_class(dtype) {
        Kind::Class
    } else if columns::is_time(dtype) {
        Kind::Time
    } else if columns::is_number(dtype) {
        Kind::Number
    } else {
        Kind::Other
    };
    let mut missing = column.null_count();
    let numbers = match kind {
        Kind::Number | Kind::Time => {
            let floats = columns::floats(column, "profiling")?;
            let (numbers, nans) = numbers(&floats);
            missing += nans;
            numbers
        }
        Kind::Class | Kind::Other => None,
    };
    let whole = sample.len() == column.len();
    let (mut distinct, top, texts) =
        if kind == Kind::Other { (0, vec![], None) } else { values(sample)? };
    if !whole && kind != Kind::Other {
        distinct = column.approx_n_unique().map_or(distinct, |count| count as usize);
        distinct -= usize::from(distinct > 0 && missing > 0);
        // The estimate is off by some percent; there are no more values than rows that have one.
        distinct = distinct.min(column.len() - missing);
    }
    Ok(ColumnProfile {
        name: column.name().to_string(),
        dtype: dtype.to_string(),
        kind,
        rows: column.len(),
        missing,
        distinct,
        top,
        numbers,
        texts,
    })
}

/// Numbers and how many are NaN.
fn numbers(floats: &Float64Chunked) -> (Option<Numbers>, usize) {
    let mut values: Vec<f64> = Vec::with_capacity(floats.len());
    let (mut nans, mut infinite, mut zeros, mut negative) = (0, 0, 0, 0);
    for value in floats.iter().flatten() {
        if value.is_nan() {
            nans += 1;
        } else if value.is_infinite() {
            infinite += 1;
        } else {
            zeros += usize::from(value == 0.0);
            negative += usize::from(value < 0.0);
            values.push(value);
        }
    }
    if values.is_empty() {
        return (None, nans);
    }
    let moments = stats::moments(&values);
    let found = stats::quantiles(&mut values, &[0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0]);
    let mut quantiles = [0.0; 7];
    quantiles.copy_from_slice(&found);
    let histogram = histogram(&values, quantiles[0], quantiles[6]);
    let numbers = Numbers {
        mean: moments.mean,
        std: moments.std,
        skewness: moments.skewness,
        kurtosis: moments.kurtosis,
        quantiles,
        zeros,
        negative,
        infinite,
        histogram,
    };
    (Some(numbers), nans)
}

fn histogram(values: &[f64], low: f64, high: f64) -> Vec<u64> {
    let mut counts = vec![0; BINS];
    let scale = if high > low { float(BINS) / (high - low) } else { 0.0 };
    for value in values {
        counts[stats::floor((value - low) * scale).min(BINS - 1)] += 1;
    }
    counts
}

/// How many distinct values, the most frequent of them, and what there is to say of text.
type Values = (usize, Vec<(String, usize)>, Option<Texts>);

fn values(sample: &Column) -> Result<Values> {
    let (codes, names) = columns::codes(sample, "profiling")?;
    let mut counts = vec![0_usize; names.len()];
    for code in codes {
        counts[code as usize] += 1;
    }
    let mut known: Vec<(&String, usize)> = names
        .iter()
        .zip(counts)
        .filter_map(|(name, count)| Some((name.as_ref()?, count)))
        .collect();
    if matches!(sample.dtype(), DataType::Float32 | DataType::Float64) {
        known.retain(|(name, _)| name.as_str() != "NaN");
    }
    let distinct = known.len();
    let texts = (sample.dtype().is_string() && distinct > 0).then(|| {
        let lengths = || known.iter().map(|(name, _)| name.chars().count());
        let folded: PlHashSet<String> =
            known.iter().map(|(name, _)| name.trim().to_lowercase()).collect();
        Texts {
            shortest: lengths().min().unwrap_or(0),
            longest: lengths().max().unwrap_or(0),
            blank: known
                .iter()
                .filter(|(name, _)| name.trim().is_empty())
                .map(|(_, count)| count)
                .sum(),
            mixed_case: distinct - folded.len(),
        }
    });
    known.sort_by(|(a, x), (b, y)| y.cmp(x).then_with(|| a.cmp(b)));
    let top = known.into_iter().take(TOP).map(|(name, count)| (name.clone(), count)).collect();
    Ok((distinct, top, texts))
}
