//! Rules against frames.

use polars::prelude::*;
use regex::Regex;

use super::report::Outcome;
use super::rule::{Expectation, Rule, Statistic};
use super::scan;
use crate::columns;
use crate::error::{DataError, Result};
use crate::html::number;
use crate::stats::{self, float};

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
        Rule::NotNull { column } => scan::missing(df, column, false),
        Rule::Null { column } => scan::missing(df, column, true),
        Rule::Unique { columns } => scan::repeated(df, columns),
        Rule::Between { column, low, high } => {
            scan::numbers(df, column, |value| (*low..=*high).contains(&value))
        }
        Rule::OneOf { column, values } | Rule::References { column, values, .. } => {
            let known: PlHashSet<&str> = values.iter().map(String::as_str).collect();
            scan::texts(df, column, |text| known.contains(text))
        }
        Rule::NoneOf { column, values } => {
            let known: PlHashSet<&str> = values.iter().map(String::as_str).collect();
            scan::texts(df, column, |text| !known.contains(text))
        }
        Rule::Matches { column, pattern } => {
            let pattern = regex(pattern)?;
            scan::texts(df, column, |text| pattern.is_match(text))
        }
        Rule::MatchesNot { column, pattern } => {
            let pattern = regex(pattern)?;
            scan::texts(df, column, |text| !pattern.is_match(text))
        }
        Rule::Length { column, low, high } => {
            scan::texts(df, column, |text| (*low..=*high).contains(&text.chars().count()))
        }
        Rule::Increasing { column } => scan::ordered(df, column, |before, after| before <= after),
        Rule::Decreasing { column } => scan::ordered(df, column, |before, after| before >= after),
        Rule::During { column, from, to } => {
            let dtype = columns::column(df, column)?.dtype().clone();
            let (from, to) = (moment(from, &dtype)?, moment(to, &dtype)?);
            let found = scan::numbers(df, column, |value| (from..=to).contains(&value))?;
            Ok(with_values(found, columns::column(df, column)?))
        }
        Rule::DateFormat { column, format } => {
            scan::texts(df, column, |text| parses(text.trim(), format))
        }
        Rule::AtLeast { column, other } => scan::pairs(df, (column, other), |a, b| a >= b),
        Rule::Contains { column, values } => {
            let (_, names) = columns::codes(columns::column(df, column)?, DOING)?;
            let known: PlHashSet<&str> = names.iter().flatten().map(String::as_str).collect();
            let missing: Vec<&str> =
                values.iter().map(String::as_str).filter(|value| !known.contains(value)).collect();
            whole(missing.is_empty(), format!("{} not there", missing.join(", ")))
        }
        Rule::Quantile { column, quantile, low, high } => {
            let mut values = known_numbers(df, column)?;
            let found = stats::quantiles(&mut values, &[*quantile])[0];
            whole((*low..=*high).contains(&found), format!("it is {}", number(found)))
        }
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

/// A day or time as text in the physical unit of a column of times.
fn moment(text: &str, dtype: &DataType) -> Result<f64> {
    let wrong = || {
        DataError::invalid(
            format!("the time {text:?}"),
            "write it as 2024-01-31 or 2024-01-31 12:30:00",
        )
    };
    let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"];
    let time = formats.iter().find_map(|f| chrono::NaiveDateTime::parse_from_str(text, f).ok());
    let time = time.or_else(|| day.and_then(|day| day.and_hms_opt(0, 0, 0))).ok_or_else(wrong)?;
    let micros = time.and_utc().timestamp_micros();
    #[expect(clippy::cast_precision_loss, reason = "compared with times that are f64 themselves")]
    let micros = micros as f64;
    Ok(match dtype {
        DataType::Date => micros / 86_400e6,
        DataType::Datetime(TimeUnit::Milliseconds, _) => micros / 1e3,
        DataType::Datetime(TimeUnit::Microseconds, _) => micros,
        DataType::Datetime(TimeUnit::Nanoseconds, _) => micros * 1e3,
        other => {
            return Err(DataError::WrongType {
                column: text.to_owned(),
                found: other.to_string(),
                expected: "dates or times".to_owned(),
                doing: "checking".to_owned(),
            });
        }
    })
}

/// The examples as the column shows them, not as physical numbers.
fn with_values(seen: Seen, column: &Column) -> Seen {
    match seen {
        Seen::Rows { checked, failing, count } => {
            let shown = |row: usize| column.get(row).map(|v| v.to_string()).unwrap_or_default();
            let failing = failing.into_iter().map(|(row, _)| (row, shown(row))).collect();
            Seen::Rows { checked, failing, count }
        }
        whole @ Seen::Whole { .. } => whole,
    }
}

/// Whether text is a day, a time or a time of day in this format.
fn parses(text: &str, format: &str) -> bool {
    chrono::NaiveDate::parse_from_str(text, format).is_ok()
        || chrono::NaiveDateTime::parse_from_str(text, format).is_ok()
        || chrono::NaiveTime::parse_from_str(text, format).is_ok()
}
