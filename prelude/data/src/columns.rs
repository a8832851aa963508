//! Columns as plain vectors, and the few questions every module asks of a column.

use polars::prelude::*;

use crate::error::{DataError, Result, While};

/// The column of this name, or an error that lists the columns there are.
pub(crate) fn column<'a>(df: &'a DataFrame, name: &str) -> Result<&'a Column> {
    df.column(name).map_err(|_| {
        DataError::no_column(name, df.columns().iter().map(|column| column.name().as_str()))
    })
}

/// Whether values of this type are numbers to calculate with.
pub(crate) fn is_number(dtype: &DataType) -> bool {
    dtype.is_primitive_numeric() || matches!(dtype, DataType::Decimal(..))
}

/// Whether values of this type are classes: text, categories, truth values.
pub(crate) fn is_class(dtype: &DataType) -> bool {
    matches!(
        dtype,
        DataType::String | DataType::Boolean | DataType::Categorical(..) | DataType::Enum(..)
    )
}

/// Whether values of this type are points or spans of time.
pub(crate) fn is_time(dtype: &DataType) -> bool {
    matches!(
        dtype,
        DataType::Date | DataType::Datetime(..) | DataType::Duration(..) | DataType::Time
    )
}

/// The values as `f64`; null where missing. Truth values are 0 and 1, times their physical number.
pub(crate) fn floats(column: &Column, doing: &str) -> Result<Float64Chunked> {
    let dtype = column.dtype();
    if !(is_number(dtype) || is_time(dtype) || matches!(dtype, DataType::Boolean | DataType::Null))
    {
        return Err(DataError::WrongType {
            column: column.name().to_string(),
            found: dtype.to_string(),
            expected: "numbers".to_owned(),
            doing: doing.to_owned(),
        });
    }
    let series = column.as_materialized_series();
    let physical =
        if is_time(dtype) { series.to_physical_repr().into_owned() } else { series.clone() };
    let floats = physical.cast(&DataType::Float64).doing(doing)?;
    Ok(floats.f64().doing(doing)?.clone())
}

/// The values as `f64` with NaN for missing.
pub(crate) fn dense(column: &Column, doing: &str) -> Result<Vec<f64>> {
    Ok(floats(column, doing)?.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

/// The values as text; null where missing.
pub(crate) fn texts(column: &Column, doing: &str) -> Result<StringChunked> {
    let series = column.as_materialized_series().cast(&DataType::String).doing(doing)?;
    Ok(series.str().doing(doing)?.clone())
}

/// Numbers each distinct value (null is one of them) from 0 in order of appearance, and gives the
/// values as text.
pub(crate) fn codes(column: &Column, doing: &str) -> Result<(Vec<u32>, Vec<Option<String>>)> {
    let texts = texts(column, doing)?;
    let mut seen: PlHashMap<Option<&str>, u32> = PlHashMap::new();
    let mut names = Vec::new();
    let mut codes = Vec::with_capacity(texts.len());
    for value in texts.iter() {
        let code = *seen.entry(value).or_insert_with(|| {
            names.push(value.map(str::to_owned));
            u32::try_from(names.len() - 1).unwrap_or(u32::MAX)
        });
        codes.push(code);
    }
    Ok((codes, names))
}

/// The rows of these numbers, in this order.
pub(crate) fn rows(df: &DataFrame, indices: &[u32]) -> Result<DataFrame> {
    let indices =
        IdxCa::from_vec("".into(), indices.iter().map(|index| *index as IdxSize).collect());
    df.take(&indices).doing("taking rows")
}

/// The number of rows as the index type, or an error for frames beyond it.
pub(crate) fn height(df: &DataFrame, doing: &str) -> Result<u32> {
    u32::try_from(df.height()).map_err(|_| {
        DataError::invalid(doing, "frames beyond 4,294,967,295 rows are not supported")
    })
}
