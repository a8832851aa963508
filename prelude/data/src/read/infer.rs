//! What kind of value a field of text holds, and columns from text.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use polars::prelude::*;

/// The kind of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Missing,
    Number,
    Date,
    Text,
}

/// What stands for a missing value unless the user says otherwise.
pub(super) const MISSING: [&str; 6] = ["NA", "N/A", "n/a", "null", "NULL", "#N/A"];

pub(super) fn kind(field: &str) -> Kind {
    let field = field.trim();
    if field.is_empty() || MISSING.contains(&field) {
        return Kind::Missing;
    }
    let number = field.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))
        && (field.parse::<f64>().is_ok() || field.replacen(',', ".", 1).parse::<f64>().is_ok());
    if number {
        return Kind::Number;
    }
    let day = field.get(..10).unwrap_or(field);
    let formats = ["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%d-%m-%Y"];
    if formats.iter().any(|format| NaiveDate::parse_from_str(day, format).is_ok()) {
        return Kind::Date;
    }
    Kind::Text
}

/// A column of the narrowest type that holds all values: truth, integer, number, date, time, text.
pub(super) fn column(name: &str, values: &[Option<String>]) -> Column {
    fn all<T>(
        values: &[Option<String>],
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<Option<T>>> {
        values
            .iter()
            .map(|value| match value {
                None => Some(None),
                Some(text) => parse(text.trim()).map(Some),
            })
            .collect()
    }
    if values.iter().all(Option::is_none) {
        return Column::new(name.into(), values.iter().map(Option::as_deref).collect::<Vec<_>>());
    }
    let truth = |text: &str| match text {
        "true" | "TRUE" | "True" => Some(true),
        "false" | "FALSE" | "False" => Some(false),
        _ => None,
    };
    if let Some(values) = all(values, truth) {
        return Column::new(name.into(), values);
    }
    if let Some(values) = all(values, |text| text.parse::<i64>().ok()) {
        return Column::new(name.into(), values);
    }
    if let Some(values) = all(values, |text| text.parse::<f64>().ok()) {
        return Column::new(name.into(), values);
    }
    if let Some(days) = all(values, |text| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()) {
        return DateChunked::from_naive_date_options(name.into(), days).into_series().into_column();
    }
    if let Some(times) = all(values, datetime) {
        return DatetimeChunked::from_naive_datetime_options(
            name.into(),
            times,
            TimeUnit::Microseconds,
        )
        .into_series()
        .into_column();
    }
    Column::new(name.into(), values.iter().map(Option::as_deref).collect::<Vec<_>>())
}

/// A point in time as databases and spreadsheets write it; zoned times become UTC.
fn datetime(text: &str) -> Option<NaiveDateTime> {
    let formats = ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"];
    let zoned = ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z"];
    formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()).or_else(
        || {
            zoned.iter().find_map(|format| {
                DateTime::parse_from_str(text, format).ok().map(|time| time.naive_utc())
            })
        },
    )
}
