//! Columns of equal values and another type: whole numbers as floats, dates as text.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _};
use polars::prelude::*;

/// The column in the type of this name where every value stays what it is; else as it was.
pub(super) fn column(column: &Column, dtype: &str) -> Column {
    let found = column.dtype();
    if found.to_string() == dtype {
        return column.clone();
    }
    parse(dtype).and_then(|wanted| cast(column, &wanted)).unwrap_or_else(|| column.clone())
}

fn cast(column: &Column, wanted: &DataType) -> Option<Column> {
    let found = column.dtype();
    let reversible = (found.is_primitive_numeric() && wanted.is_primitive_numeric())
        || (found.is_temporal() && wanted.is_temporal());
    if reversible {
        let cast = column.strict_cast(wanted).ok()?;
        return cast.strict_cast(found).ok()?.equals_missing(column).then_some(cast);
    }
    if found.is_string() && wanted.is_temporal() {
        return spelt(column, wanted);
    }
    let same_words = (found.is_string() && wanted.is_categorical())
        || (wanted.is_string() && (found.is_categorical() || found.is_enum()));
    if found.is_null() || same_words { column.strict_cast(wanted).ok() } else { None }
}

/// Times as JSON spells them: `2024-01-31`, `2024-01-31T12:00:00`, with `Z` or an offset, `12:00:00`.
fn spelt(column: &Column, wanted: &DataType) -> Option<Column> {
    let texts = column.str().ok()?;
    let each = |read: &dyn Fn(&str) -> Option<i64>| -> Option<Vec<Option<i64>>> {
        texts.iter().map(|text| text.map_or(Some(None), |text| read(text).map(Some))).collect()
    };
    let (values, first) = match wanted {
        DataType::Date => {
            let midnight = |text: &str| {
                let day: NaiveDate = text.parse().ok()?;
                Some(day.and_time(NaiveTime::MIN).and_utc().timestamp_millis())
            };
            (each(&midnight)?, DataType::Datetime(TimeUnit::Milliseconds, None))
        }
        DataType::Time => {
            let nanos = |text: &str| {
                let time: NaiveTime = text.parse().ok()?;
                let seconds = i64::from(time.num_seconds_from_midnight());
                Some(seconds * 1_000_000_000 + i64::from(time.nanosecond()))
            };
            (each(&nanos)?, DataType::Time)
        }
        DataType::Datetime(_, zone) => {
            // Without an offset it is the zone's own clock, which only UTC's always is.
            let plain = zone.as_ref().is_none_or(|zone| *zone == TimeZone::UTC);
            let micros = |text: &str| match DateTime::parse_from_rfc3339(text) {
                Ok(time) => Some(time.timestamp_micros()),
                Err(_) if !plain => None,
                Err(_) => {
                    let time: NaiveDateTime = text.replacen(' ', "T", 1).parse().ok()?;
                    Some(time.and_utc().timestamp_micros())
                }
            };
            (each(&micros)?, DataType::Datetime(TimeUnit::Microseconds, zone.clone()))
        }
        _ => return None,
    };
    Column::new(column.name().clone(), values).cast(&first).ok()?.cast(wanted).ok()
}

/// The type that shows itself as `name`; nested types, enums and durations are not needed.
fn parse(name: &str) -> Option<DataType> {
    Some(match name {
        "i8" => DataType::Int8,
        "i16" => DataType::Int16,
        "i32" => DataType::Int32,
        "i64" => DataType::Int64,
        "u8" => DataType::UInt8,
        "u16" => DataType::UInt16,
        "u32" => DataType::UInt32,
        "u64" => DataType::UInt64,
        "f32" => DataType::Float32,
        "f64" => DataType::Float64,
        "bool" => DataType::Boolean,
        "str" => DataType::String,
        "cat" => DataType::from_categories(Categories::global()),
        "date" => DataType::Date,
        "time" => DataType::Time,
        other => {
            let inner = other.strip_prefix("datetime[")?.strip_suffix(']')?;
            let (unit, zone) = match inner.split_once(", ") {
                Some((unit, zone)) => (unit, Some(zone)),
                None => (inner, None),
            };
            let units = [TimeUnit::Nanoseconds, TimeUnit::Microseconds, TimeUnit::Milliseconds];
            let unit = units.into_iter().find(|known| known.to_string() == unit)?;
            DataType::Datetime(unit, TimeZone::opt_try_new(zone).ok()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conformed(values: Column, dtype: &str) -> Column {
        column(&values, dtype)
    }

    #[test]
    fn values_that_stay_are_cast_and_others_left() {
        let whole = Column::new("x".into(), [Some(1.0), None, Some(-3.0)]);
        let out = conformed(whole, "i64");
        assert_eq!(out.i64().unwrap().iter().collect::<Vec<_>>(), [Some(1), None, Some(-3)]);
        let broken = Column::new("x".into(), [1.5]);
        assert_eq!(conformed(broken, "i64").dtype(), &DataType::Float64);
        let large = Column::new("x".into(), [(1_i64 << 53) + 1]);
        assert_eq!(conformed(large, "f64").dtype(), &DataType::Int64);
        let small = Column::new("x".into(), [300_i64]);
        assert_eq!(conformed(small, "u8").dtype(), &DataType::Int64);
        let text = Column::new("x".into(), ["3"]);
        assert_eq!(conformed(text, "f64").dtype(), &DataType::String);
        let empty = Column::full_null("x".into(), 2, &DataType::Null);
        assert_eq!(conformed(empty, "f64").dtype(), &DataType::Float64);
    }

    #[test]
    fn text_becomes_what_it_spells() {
        let text = Column::new("d".into(), [Some("2024-02-29"), None]);
        let out = conformed(text.clone(), "date");
        assert_eq!(out.dtype(), &DataType::Date);
        assert_eq!(out.null_count(), 1);
        assert_eq!(conformed(text.clone(), "cat").dtype().to_string(), "cat");
        let times = Column::new("t".into(), [Some("2024-02-29T12:00:00"), None]);
        for dtype in ["datetime[μs]", "datetime[ms, UTC]"] {
            assert_eq!(conformed(times.clone(), dtype).dtype().to_string(), dtype);
        }
        assert_eq!(conformed(times, "datetime[μs, Europe/Berlin]").dtype(), &DataType::String);
        let offset = Column::new("t".into(), ["2024-02-29T12:00:00+02:00"]);
        let out = conformed(offset, "datetime[ms, Europe/Berlin]");
        assert_eq!(out.to_physical_repr().i64().unwrap().get(0), Some(1_709_200_800_000));
        let clock = conformed(Column::new("c".into(), ["12:00:01"]), "time");
        assert_eq!(clock.to_physical_repr().i64().unwrap().get(0), Some(43_201_000_000_000));
        let nonsense = Column::new("d".into(), ["yesterday"]);
        assert_eq!(conformed(nonsense, "date").dtype(), &DataType::String);
        let day = conformed(text, "date");
        assert_eq!(conformed(day, "datetime[μs]").dtype().to_string(), "datetime[μs]");
    }
}
