//! Dates that serde carries as ISO text.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use polars::prelude::{
    AnyValue, DataType, Int32Chunked, Int64Chunked, IntoSeries, NewChunkedArray, Series, TimeUnit,
    TimeZone,
};

const DATE: &str = "%Y-%m-%d";
const DATE_TIME: &str = "%Y-%m-%dT%H:%M:%S%.f";

/// A text column of nothing but ISO dates, or of nothing but ISO dates and times, as a date column;
/// any other column as it is.
pub(super) fn with_dates(series: Series) -> Series {
    let Ok(texts) = series.str() else { return series };
    let Some(first) = texts.iter().flatten().next() else { return series };
    let dates = if day(first).is_some() {
        texts
            .iter()
            .map(|text| text.map(day).map_or(Some(None), |day| day.map(Some)))
            .collect::<Option<Vec<_>>>()
            .and_then(|days| {
                let days = Int32Chunked::from_iter_options(series.name().clone(), days.into_iter());
                days.into_series().cast(&DataType::Date).ok()
            })
    } else {
        let zone = instant(first).is_some();
        let read = if zone { instant } else { moment };
        texts
            .iter()
            .map(|text| text.map(read).map_or(Some(None), |at| at.map(Some)))
            .collect::<Option<Vec<_>>>()
            .and_then(|times| {
                let times =
                    Int64Chunked::from_iter_options(series.name().clone(), times.into_iter());
                let zone = if zone { Some(TimeZone::UTC) } else { None };
                times.into_series().cast(&DataType::Datetime(TimeUnit::Microseconds, zone)).ok()
            })
    };
    dates.unwrap_or(series)
}

/// Days since 1970 of an ISO date.
fn day(text: &str) -> Option<i32> {
    if text.len() != "2024-05-01".len() {
        return None;
    }
    let date = NaiveDate::parse_from_str(text, DATE).ok()?;
    i32::try_from((date - NaiveDate::default()).num_days()).ok()
}

/// Microseconds since 1970 of an ISO date and time without an offset.
fn moment(text: &str) -> Option<i64> {
    let time = NaiveDateTime::parse_from_str(text, DATE_TIME).ok()?;
    Some(time.and_utc().timestamp_micros())
}

/// Microseconds since 1970 of an ISO date and time with an offset.
fn instant(text: &str) -> Option<i64> {
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.timestamp_micros())
}

/// Dates, times and instants as the ISO text that serde and chrono expect; `None` for other values.
pub(super) fn text_of(value: &AnyValue<'_>) -> Option<String> {
    match value {
        AnyValue::Date(days) => {
            let date = NaiveDate::default() + TimeDelta::days(i64::from(*days));
            Some(date.format(DATE).to_string())
        }
        AnyValue::Datetime(time, unit, zone) => timestamp(*time, *unit, zone.is_some()),
        AnyValue::DatetimeOwned(time, unit, zone) => timestamp(*time, *unit, zone.is_some()),
        AnyValue::Time(nanos) => {
            let seconds = u32::try_from(nanos / 1_000_000_000).ok()?;
            let rest = u32::try_from(nanos % 1_000_000_000).ok()?;
            let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, rest)?;
            Some(time.format("%H:%M:%S%.f").to_string())
        }
        _ => None,
    }
}

fn timestamp(time: i64, unit: TimeUnit, zone: bool) -> Option<String> {
    let time = match unit {
        TimeUnit::Nanoseconds => DateTime::from_timestamp_nanos(time),
        TimeUnit::Microseconds => DateTime::from_timestamp_micros(time)?,
        TimeUnit::Milliseconds => DateTime::from_timestamp_millis(time)?,
    };
    let text = time.format(DATE_TIME).to_string();
    Some(if zone { format!("{text}Z") } else { text })
}
