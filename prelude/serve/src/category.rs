//! The values of a column as categories that can be counted: [`categories`].
//!
//! A reference has times where requests have texts, and JSON spells one moment in several ways. Those that
//! a model reads as one are one category.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _};
use polars::prelude::{Column, DataType, PolarsResult, TimeUnit, TimeZone};

use crate::error::{Result, While};

/// A value, or that there is none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Category {
    Missing,
    /// Microseconds since 1970, of times of the day nanoseconds since midnight.
    Moment(i64),
    Text(String),
}

/// The values of a column that is compared with one of type `reference`.
pub(crate) fn categories(column: &Column, reference: &DataType) -> Result<Vec<Category>> {
    const DOING: &str = "reading categories";
    if is_clock(reference) && is_clock(column.dtype()) {
        let values = moments(column).doing(DOING)?;
        let values = values.i64().doing(DOING)?;
        let one = |value: Option<i64>| value.map_or(Category::Missing, Category::Moment);
        return Ok(values.iter().map(one).collect());
    }
    let text = column.cast(&DataType::String).doing(DOING)?;
    let text = text.str().doing(DOING)?;
    let one = |value: Option<&str>| match value {
        None => Category::Missing,
        Some(text) => match moment(text, reference) {
            Some(moment) => Category::Moment(moment),
            None => Category::Text(text.to_owned()),
        },
    };
    Ok(text.iter().map(one).collect())
}

fn is_clock(dtype: &DataType) -> bool {
    matches!(dtype, DataType::Date | DataType::Datetime(..) | DataType::Time)
}

/// The numbers of a column of dates or times, in the units of [`Category::Moment`].
fn moments(column: &Column) -> PolarsResult<Column> {
    let zone = match column.dtype() {
        DataType::Time => return column.cast(&DataType::Int64),
        DataType::Datetime(_, zone) => zone.clone(),
        _ => None,
    };
    column.cast(&DataType::Datetime(TimeUnit::Microseconds, zone))?.cast(&DataType::Int64)
}

/// What a text of a request means in a column of this type; `None` if it is no time, or the column has none.
fn moment(text: &str, dtype: &DataType) -> Option<i64> {
    // Without an offset it is the zone's own clock, which only UTC's always is.
    let plain = |zone: Option<&TimeZone>| zone.is_none_or(|zone| *zone == TimeZone::UTC);
    match dtype {
        DataType::Time => {
            let time: NaiveTime = text.parse().ok()?;
            let seconds = i64::from(time.num_seconds_from_midnight());
            Some(seconds * 1_000_000_000 + i64::from(time.nanosecond()))
        }
        DataType::Datetime(_, zone) if !plain(zone.as_ref()) => instant(text),
        DataType::Date | DataType::Datetime(..) => {
            instant(text).or_else(|| clock(text)).or_else(|| midnight(text))
        }
        _ => None,
    }
}

fn instant(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros())
}

fn clock(text: &str) -> Option<i64> {
    let time: NaiveDateTime = text.replacen(' ', "T", 1).parse().ok()?;
    Some(time.and_utc().timestamp_micros())
}

fn midnight(text: &str) -> Option<i64> {
    let day: NaiveDate = text.parse().ok()?;
    Some(day.and_time(NaiveTime::MIN).and_utc().timestamp_micros())
}
