//! The rules, as data.

use serde::{Deserialize, Serialize};

/// A rule, how bad breaking it is, and how often it must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The rule.
    pub rule: Rule,
    /// How bad breaking it is.
    pub severity: Severity,
    /// The share of rows for which it must hold, 1 for all.
    pub mostly: f64,
}

/// How bad it is to break a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Severity {
    /// Fails the check.
    Error,
    /// Is shown.
    Warning,
}

/// One number of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Statistic {
    /// The mean.
    Mean,
    /// The median.
    Median,
    /// The standard deviation (divisor n − 1).
    Std,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The sum.
    Sum,
}

/// A rule; see the builders of [`Suite`](super::Suite) for what each means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "expect", rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields are named as the builders' arguments")]
#[non_exhaustive]
pub enum Rule {
    Columns { names: Vec<String> },
    Column { column: String },
    Rows { low: usize, high: usize },
    Dtype { column: String, dtype: String },
    NotNull { column: String },
    Null { column: String },
    Unique { columns: Vec<String> },
    Between { column: String, low: f64, high: f64 },
    During { column: String, from: String, to: String },
    DateFormat { column: String, format: String },
    AtLeast { column: String, other: String },
    Contains { column: String, values: Vec<String> },
    Quantile { column: String, quantile: f64, low: f64, high: f64 },
    OneOf { column: String, values: Vec<String> },
    NoneOf { column: String, values: Vec<String> },
    Matches { column: String, pattern: String },
    MatchesNot { column: String, pattern: String },
    Length { column: String, low: usize, high: usize },
    Increasing { column: String },
    Decreasing { column: String },
    Statistic { column: String, statistic: Statistic, low: f64, high: f64 },
    Distinct { column: String, low: usize, high: usize },
    Stable { column: String, reference: Vec<f64>, most: f64 },
    SameDistribution { column: String, reference: Vec<f64>, least: f64 },
    SameShares { column: String, reference: Vec<(String, f64)>, least: f64 },
    References { column: String, key: String, values: Vec<String> },
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Columns { names } => write!(f, "columns are {}", names.join(", ")),
            Self::Column { column } => write!(f, "there is a column {column:?}"),
            Self::Rows { low, high } => write!(f, "{low} to {high} rows"),
            Self::Dtype { column, dtype } => write!(f, "{column:?} is of type {dtype}"),
            Self::NotNull { column } => write!(f, "{column:?} is never missing"),
            Self::Null { column } => write!(f, "{column:?} is always missing"),
            Self::During { column, from, to } => {
                write!(f, "{column:?} is from {from} to {to}")
            }
            Self::DateFormat { column, format } => {
                write!(f, "{column:?} is a time written as {format}")
            }
            Self::AtLeast { column, other } => write!(f, "{column:?} is at least {other:?}"),
            Self::Contains { column, values } => {
                write!(f, "{column:?} has each of {}", some(values))
            }
            Self::Quantile { column, quantile, low, high } => {
                write!(f, "the {quantile} quantile of {column:?} is between {low} and {high}")
            }
            Self::Unique { columns } => match columns.as_slice() {
                [column] => write!(f, "{column:?} is unique"),
                columns => write!(f, "{} are unique together", columns.join(", ")),
            },
            Self::Between { column, low, high } => {
                write!(f, "{column:?} is between {low} and {high}")
            }
            Self::OneOf { column, values } => write!(f, "{column:?} is one of {}", some(values)),
            Self::NoneOf { column, values } => write!(f, "{column:?} is none of {}", some(values)),
            Self::Matches { column, pattern } => write!(f, "{column:?} matches {pattern}"),
            Self::MatchesNot { column, pattern } => {
                write!(f, "{column:?} does not match {pattern}")
            }
            Self::Length { column, low, high } => {
                write!(f, "{column:?} has {low} to {high} characters")
            }
            Self::Increasing { column } => write!(f, "{column:?} never falls"),
            Self::Decreasing { column } => write!(f, "{column:?} never rises"),
            Self::Statistic { column, statistic, low, high } => {
                let name = format!("{statistic:?}").to_lowercase();
                write!(f, "the {name} of {column:?} is between {low} and {high}")
            }
            Self::Distinct { column, low, high } => {
                write!(f, "{column:?} has {low} to {high} different values")
            }
            Self::Stable { column, most, .. } => {
                write!(f, "{column:?} is stable against {most} (population stability index)")
            }
            Self::SameDistribution { column, least, .. } => {
                write!(
                    f,
                    "{column:?} is distributed as its reference (Kolmogorov–Smirnov, p ≥ {least})"
                )
            }
            Self::SameShares { column, least, .. } => {
                write!(f, "{column:?} has its reference's shares (chi-squared, p ≥ {least})")
            }
            Self::References { column, key, .. } => {
                write!(f, "{column:?} is in the other frame's {key:?}")
            }
        }
    }
}

/// The first few of a set.
fn some(values: &[String]) -> String {
    let shown = values.iter().take(6).cloned().collect::<Vec<_>>().join(", ");
    if values.len() > 6 { format!("{shown}, … ({})", values.len()) } else { shown }
}
