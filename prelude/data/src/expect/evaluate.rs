//! Rules against frames.

use polars::prelude::*;
use regex::Regex;

use super::report::Outcome;
use super::rule::{Expectation, Rule, Statistic};
use crate::columns;
use crate::error::{DataError, Result};
use crate::html::number;
use crate::stats::{self, float};

/// Examples of failing rows kept.
const EXAMPLES: usize = 5;

/// What was seen: rows that fail, of how many looked at, or a fact about the whole.
pub(super) enum Seen {
    Rows { checked: usize, failing: Vec<(usize, String)>, count: usize },
    Whole { held: bool, observed: String },
}

pub(super) fn outcome(expectation: &Expectation, df: &DataFrame) -> Result<Outcome> {
    let seen = match see(&expectation.rule, df) {
        // A column that is not there breaks the rule; it is not an error of the suite.
        Err(DataError::NoColumn { column, .. }) => {
            Seen::Whole { held: false, observed: format!("there is no column {column:?}") }
        }
        Err(DataError::WrongType { column, found, .. }) => {
            Seen::Whole { held: false, observed: format!("column {column:?} is {found}") }
        }
        seen => seen?,
    };
    Ok(judge(expectation.rule.to_string(), expectation, seen))
}

/// Whether what was seen is good enough.
pub(super) fn judge(text: String, expectation: &Expectation, seen: Seen) -> Outcome {
    let severity = expectation.severity;
    match seen {
        Seen::Whole { held, observed } => Outcome {
            expectation: text,
            severity,
            passed: held,
            checked: 0,
            failing: 0,
            observed,
            examples: vec![],
        },
        Seen::Rows { checked, failing, count } => {
            let share = float(checked - count.min(checked)) / float(checked.max(1));
            let passed = count == 0 || (expectation.mostly < 1.0 && share >= expectation.mostly);
            let observed = if count == 0 {
                String::new()
            } else {
                format!(
                    "{count} of {checked} rows ({:.1} %) fail",
                    100.0 * float(count) / float(checked.max(1))
                )
            };
            Outcome {
                expectation: text,
                severity,
                passed,
                checked,
                failing: count,
                observed,
                examples: failing,
            }
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one arm per rule")]
fn see(rule: &Rule, df: &DataFrame) -> Result<Seen> {
    const DOING: &str = "checking";
    let whole = |held: bool, observed: String| Ok(Seen::Whole { held, observed });
    match rule {
        Rule::Columns { names } => {
            let own: Vec<&str> = df.get_column_names().iter().map(|name| name.as_str()).collect();
            whole(own == *names, format!("columns are {}", own.join(", ")))
        }
        Rule::Column { column } => whole(df.column(column).is_ok(), String::new()),
        Rule::Rows { low, high } => {
            whole((*low..=*high).contains(&df.height()), format!("{} rows", df.height()))
        }
        Rule::Dtype { column, dtype } => {
            let found = columns::column(df, column)?.dtype().to_string();
            whole(found == *dtype, format!("it is {found}"))
        }
        Rule::NotNull { column } => {
            let column = columns::column(df, column)?;
            let nan = if column.dtype().is_float() { Some(column.is_nan()?) } else { None };
            let null = column.is_null();
            let missing = |row: usize| {
                null.get(row) == Some(true)
                    || nan.as_ref().is_some_and(|nan| nan.get(row) == Some(true))
            };
            let failing =
                (0..df.height()).filter(|row| missing(*row)).map(|row| (row, "missing".to_owned()));
            Ok(gather(df.height(), failing))
        }
        Rule::Unique { columns: names } => {
            for name in names {
                columns::column(df, name)?;
            }
            let part = df.select(names.iter().map(String::as_str))?;
            let repeated = part.is_duplicated()?;
            let show = |row: usize| {
                let values = part
                    .columns()
                    .iter()
                    .map(|c| c.get(row).map(|v| v.to_string()).unwrap_or_default());
                values.collect::<Vec<_>>().join(", ")
            };
            // Missing values are not compared with each other.
            let known: Vec<BooleanChunked> =
                part.columns().iter().map(Column::is_not_null).collect();
            let failing = (0..df.height())
                .filter(|row| {
                    repeated.get(*row) == Some(true)
                        && known.iter().any(|known| known.get(*row) == Some(true))
                })
                .map(|row| (row, row));
            let Seen::Rows { checked, failing, count } =
                gather(df.height(), failing.map(|(row, _)| (row, String::new())))
            else {
                return whole(true, String::new());
            };
            let failing = failing.into_iter().map(|(row, _)| (row, show(row))).collect();
            Ok(Seen::Rows { checked, failing, count })
        }
        Rule::Between { column, low, high } => {
            numbers(df, column, |value| (*low..=*high).contains(&value))
        }
        Rule::OneOf { column, values } | Rule::References { column, values, .. } => {
            let known: PlHashSet<&str> = values.iter().map(String::as_str).collect();
            texts(df, column, |text| known.contains(text))
        }
        Rule::NoneOf { column, values } => {
            let known: PlHashSet<&str> = values.iter().map(String::as_str).collect();
            texts(df, column, |text| !known.contains(text))
        }
        Rule::Matches { column, pattern } => {
            let pattern = regex(pattern)?;
            texts(df, column, |text| pattern.is_match(text))
        }
        Rule::MatchesNot { column, pattern } => {
            let pattern = regex(pattern)?;
            texts(df, column, |text| !pattern.is_match(text))
        }
        Rule::Length { column, low, high } => {
            texts(df, column, |text| (*low..=*high).contains(&text.chars().count()))
        }
        Rule::Increasing { column } => ordered(df, column, |before, after| before <= after),
        Rule::Decreasing { column } => ordered(df, column, |before, after| before >= after),
        Rule::Statistic { column, statistic, low, high } => {
            let values = known_numbers(df, column)?;
            let found = statistic_of(*statistic, values);
            whole((*low..=*high).contains(&found), format!("it is {}", number(found)))
        }
        Rule::Distinct { column, low, high } => {
            let column = columns::column(df, column)?;
            let count = column.n_unique()? - usize::from(column.null_count() > 0);
            whole((*low..=*high).contains(&count), format!("{count} different values"))
        }
        Rule::Stable { column, reference, most } => {
            let index = stats::population_stability_index(reference, &known_numbers(df, column)?);
            whole(index < *most, format!("the index is {}", number(index)))
        }
        Rule::SameDistribution { column, reference, least } => {
            let (statistic, p) = stats::kolmogorov_smirnov(reference, &known_numbers(df, column)?);
            whole(p >= *least, format!("statistic {}, p {}", number(statistic), number(p)))
        }
        Rule::SameShares { column, reference, least } => {
            let (codes, names) = columns::codes(columns::column(df, column)?, DOING)?;
            let mut counts = vec![0.0; reference.len()];
            for code in codes {
                let Some(name) = &names[code as usize] else { continue };
                match reference.iter().position(|(class, _)| class == name) {
                    Some(place) => counts[place] += 1.0,
                    None => return whole(false, format!("class {name:?} is not in the reference")),
                }
            }
            let expected: Vec<f64> = reference.iter().map(|(_, count)| *count).collect();
            let (statistic, p) = stats::chi_squared(&counts, &expected);
            whole(p >= *least, format!("statistic {}, p {}", number(statistic), number(p)))
        }
    }
}

/// Counts failing rows and keeps the first few.
pub(super) fn gather(checked: usize, failing: impl Iterator<Item = (usize, String)>) -> Seen {
    let (mut kept, mut count) = (Vec::new(), 0);
    for row in failing {
        if kept.len() < EXAMPLES {
            kept.push(row);
        }
        count += 1;
    }
    Seen::Rows { checked, failing: kept, count }
}

/// Values that are there against a test of numbers; null is not looked at, NaN fails.
fn numbers(df: &DataFrame, column: &str, holds: impl Fn(f64) -> bool) -> Result<Seen> {
    let values = columns::floats(columns::column(df, column)?, "checking")?;
    let checked = values.len() - values.null_count();
    let rows = values.iter().enumerate().filter_map(|(row, value)| Some((row, value?)));
    // Shown only where kept: formatting every failing row would cost more than the test.
    let mut kept = Vec::new();
    let mut count = 0;
    for (row, value) in rows.filter(|(_, value)| !holds(*value)) {
        if kept.len() < EXAMPLES {
            kept.push((row, number(value)));
        }
        count += 1;
    }
    Ok(Seen::Rows { checked, failing: kept, count })
}

/// Values that are there against a test of text.
fn texts(df: &DataFrame, column: &str, holds: impl Fn(&str) -> bool) -> Result<Seen> {
    let values = columns::texts(columns::column(df, column)?, "checking")?;
    let checked = values.len() - values.null_count();
    let rows = values.iter().enumerate().filter_map(|(row, value)| Some((row, value?)));
    let mut kept = Vec::new();
    let mut count = 0;
    for (row, value) in rows.filter(|(_, value)| !holds(value)) {
        if kept.len() < EXAMPLES {
            kept.push((row, format!("{value:?}")));
        }
        count += 1;
    }
    Ok(Seen::Rows { checked, failing: kept, count })
}

/// Each value against the one before it, missing ones left out.
fn ordered(df: &DataFrame, column: &str, holds: impl Fn(f64, f64) -> bool) -> Result<Seen> {
    let values = columns::floats(columns::column(df, column)?, "checking")?;
    let known: Vec<(usize, f64)> =
        values.iter().enumerate().filter_map(|(row, value)| Some((row, value?))).collect();
    let pairs = known.windows(2).filter(|pair| !holds(pair[0].1, pair[1].1));
    let failing =
        pairs.map(|pair| (pair[1].0, format!("{} after {}", number(pair[1].1), number(pair[0].1))));
    Ok(gather(known.len(), failing))
}

fn known_numbers(df: &DataFrame, column: &str) -> Result<Vec<f64>> {
    let values = columns::floats(columns::column(df, column)?, "checking")?;
    Ok(values.iter().flatten().filter(|value| !value.is_nan()).collect())
}

fn statistic_of(statistic: Statistic, mut values: Vec<f64>) -> f64 {
    match statistic {
        Statistic::Mean => stats::moments(&values).mean,
        Statistic::Std => stats::moments(&values).std,
        Statistic::Median => stats::quantiles(&mut values, &[0.5])[0],
        Statistic::Min => stats::quantiles(&mut values, &[0.0])[0],
        Statistic::Max => stats::quantiles(&mut values, &[1.0])[0],
        Statistic::Sum => values.iter().sum(),
    }
}

fn regex(pattern: &str) -> Result<Regex> {
    Regex::new(pattern)
        .map_err(|e| DataError::invalid(format!("the pattern {pattern:?}"), e.to_string()))
}
