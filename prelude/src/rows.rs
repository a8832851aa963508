//! Rows of a struct to a frame and back, by way of serde.
//!
//! [`to_frame`] turns a slice of serialisable values into a `DataFrame`, one column per field;
//! [`from_frame`] turns the rows of a frame into values. Integers and floats keep their width,
//! `Option` is null, lists and nested structs become polars' own. serde writes dates as text, so a
//! column whose every value is an ISO date (`2024-05-01`) or an ISO date and time becomes a `Date` or
//! a `Datetime`, and goes back as that text, which both `chrono` types and `String` accept.

mod dates;
mod read;
mod write;

use polars::prelude::{AnyValue, Column, DataFrame, PlSmallStr, PolarsError, Series};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// Why rows and frame could not be turned into each other.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RowsError {
    /// A value cannot be written as a row.
    #[error("cannot write row {row} as columns: {reason}")]
    Write {
        /// The row, from 0.
        row: usize,
        /// What serde said.
        reason: String,
    },
    /// A row does not fit the type.
    #[error("row {row} is no `{target}`: {reason}")]
    Read {
        /// The row, from 0.
        row: usize,
        /// The type that was asked for.
        target: &'static str,
        /// What did not fit, with the column's name.
        reason: String,
    },
    /// The values of a column have no type in common, or polars refused the frame.
    #[error("cannot build column `{column}`: {source}")]
    Column {
        /// The column; empty for the frame as a whole.
        column: String,
        /// The cause.
        source: PolarsError,
    },
}

/// A frame with one row per value and one column per field.
///
/// A value that is no struct or map becomes a column `value`; tuples become `column_0`, `column_1`, ….
///
/// ```
/// use oxilab::prelude::*;
///
/// #[derive(Serialize, Deserialize)]
/// struct City { name: String, people: Option<u32> }
///
/// let cities = [
///     City { name: "Bonn".into(), people: Some(330_000) },
///     City { name: "Atlantis".into(), people: None },
/// ];
/// let frame = to_frame(&cities)?;
/// assert_eq!(frame.shape(), (2, 2));
/// assert_eq!(frame.column("people")?.dtype(), &DataType::UInt32);
/// assert_eq!(frame.column("people")?.null_count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When a value cannot be serialised, or the values of a field have no type in common.
pub fn to_frame<T: Serialize>(rows: &[T]) -> Result<DataFrame, RowsError> {
    let mut names: Vec<String> = Vec::new();
    let mut columns: Vec<Vec<AnyValue<'static>>> = Vec::new();
    for (row, value) in rows.iter().enumerate() {
        let cell = value
            .serialize(write::CellWriter)
            .map_err(|error| RowsError::Write { row, reason: error.to_string() })?;
        for (position, (name, value)) in cell.into_fields().into_iter().enumerate() {
            // Rows of one type name their fields in the same order: look there first.
            let index = if names.get(position) == Some(&name) {
                position
            } else if let Some(index) = names.iter().position(|known| *known == name) {
                index
            } else {
                names.push(name);
                columns.push(vec![AnyValue::Null; row]);
                names.len() - 1
            };
            columns[index].push(value);
        }
        for column in &mut columns {
            column.resize(row + 1, AnyValue::Null);
        }
    }
    let columns = names.into_iter().zip(&columns).map(|(name, values)| {
        let series = Series::from_any_values(PlSmallStr::from_str(&name), values, false)
            .map_err(|source| RowsError::Column { column: name, source })?;
        Ok(Column::from(dates::with_dates(series)))
    });
    DataFrame::new(rows.len(), columns.collect::<Result<_, RowsError>>()?)
        .map_err(|source| RowsError::Column { column: String::new(), source })
}

/// The rows of a frame as values. Fields are found by column name; columns without a field are
/// passed over, `Option` fields take nulls.
///
/// ```
/// use oxilab::prelude::*;
///
/// #[derive(Deserialize, Debug, PartialEq)]
/// struct Point { x: f64, label: Option<String> }
///
/// let frame = df!("x" => [1.5, 2.0], "label" => [Some("a"), None], "other" => [1, 2])?;
/// let points: Vec<Point> = from_frame(&frame)?;
/// assert_eq!(points[0], Point { x: 1.5, label: Some("a".into()) });
/// assert_eq!(points[1].label, None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When a column is missing, is null where the field takes no null, or has another type than the
/// field; the message names row and column.
pub fn from_frame<T: DeserializeOwned>(frame: &DataFrame) -> Result<Vec<T>, RowsError> {
    (0..frame.height())
        .map(|row| {
            T::deserialize(read::RowReader { frame, row }).map_err(|error| RowsError::Read {
                row,
                target: std::any::type_name::<T>(),
                reason: error.to_string(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
    use polars::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Size {
        Small,
        Large,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Inner {
        a: i32,
        b: Option<bool>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        id: u64,
        small: i8,
        single: f32,
        double: Option<f64>,
        name: String,
        letter: char,
        good: bool,
        size: Size,
        day: Option<NaiveDate>,
        at: NaiveDateTime,
        instant: DateTime<Utc>,
        list: Vec<i64>,
        inner: Inner,
    }

    fn rows() -> Vec<Row> {
        let day = NaiveDate::from_ymd_opt(2024, 5, 1).expect("a day");
        let at = day.and_hms_micro_opt(12, 30, 1, 250_000).expect("a time");
        let first = Row {
            id: u64::MAX,
            small: -3,
            single: 0.1,
            double: Some(f64::MAX),
            name: "Ünïcode \"x\"".into(),
            letter: 'ß',
            good: true,
            size: Size::Small,
            day: Some(day),
            at,
            instant: at.and_utc(),
            list: vec![1, 2],
            inner: Inner { a: 1, b: None },
        };
        let second = Row {
            id: 0,
            double: None,
            size: Size::Large,
            day: None,
            list: vec![],
            inner: Inner { a: 2, b: Some(false) },
            ..first.clone()
        };
        vec![first, second]
    }

    #[test]
    fn rows_come_back_as_they_went() {
        let frame = to_frame(&rows()).expect("frame");
        assert_eq!(frame.shape(), (2, 13));
        let types: Vec<_> = frame.columns().iter().map(|column| column.dtype().clone()).collect();
        assert_eq!(
            types[..4],
            [DataType::UInt64, DataType::Int8, DataType::Float32, DataType::Float64]
        );
        assert_eq!(types[8], DataType::Date);
        assert_eq!(types[9], DataType::Datetime(TimeUnit::Microseconds, None));
        assert!(matches!(&types[10], DataType::Datetime(_, Some(_))), "{:?}", types[10]);
        assert_eq!(types[11], DataType::List(Box::new(DataType::Int64)));
        assert_eq!(from_frame::<Row>(&frame).expect("rows"), rows());
    }

    #[test]
    fn nulls_are_refused_where_the_field_is_no_option() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only read")]
        struct Strict {
            x: i64,
        }
        let frame = df!("x" => [Some(1i64), None]).expect("frame");
        let message = from_frame::<Strict>(&frame).expect_err("null").to_string();
        assert!(message.contains("row 1") && message.contains("column `x`"), "{message}");
        assert!(message.contains("Strict"), "{message}");
        let other = df!("y" => [1]).expect("frame");
        let message = from_frame::<Strict>(&other).expect_err("missing").to_string();
        assert!(message.contains("missing field `x`"), "{message}");
    }

    #[test]
    fn maps_tuples_and_scalars_have_columns_too() {
        let maps = [BTreeMap::from([("a", 1)]), BTreeMap::from([("a", 2), ("b", 3)])];
        let frame = to_frame(&maps).expect("frame");
        assert_eq!(frame.column("b").expect("b").null_count(), 1);
        let back: Vec<BTreeMap<String, Option<i32>>> = from_frame(&frame).expect("maps");
        assert_eq!(back[0]["b"], None);
        let frame = to_frame(&[(1, "x"), (2, "y")]).expect("frame");
        assert_eq!(from_frame::<(i32, String)>(&frame).expect("tuples")[1], (2, "y".into()));
        let frame = to_frame(&[1.5, 2.5]).expect("frame");
        assert_eq!(frame.column("value").expect("value").dtype(), &DataType::Float64);
        assert_eq!(from_frame::<f64>(&frame).expect("numbers"), [1.5, 2.5]);
        assert_eq!(to_frame::<Row>(&[]).expect("frame").shape(), (0, 0));
    }

    #[test]
    fn text_that_only_looks_like_a_date_stays_text() {
        let frame = to_frame(&["2024-05-01", "2024-13-01"]).expect("frame");
        assert_eq!(frame.column("value").expect("value").dtype(), &DataType::String);
    }

    #[test]
    fn integers_widen_into_float_fields() {
        let frame = df!("value" => [1, 2]).expect("frame");
        assert_eq!(from_frame::<f64>(&frame).expect("numbers"), [1.0, 2.0]);
        let frame = df!("value" => [300]).expect("frame");
        assert!(from_frame::<u8>(&frame).expect_err("too large").to_string().contains("300"));
    }
}
