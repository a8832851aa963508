//! What `%who`, previews and the frame grid say about values of polars and candle.

use std::any::Any;

use candle_core::{Tensor, Var};
use oxilab_display::{Render, frame, table::cut};
use oxilab_runtime::{Inspection, PageRequest};
use polars::prelude::{Column, DataFrame, DataType, LazyFrame, Series};
use serde_json::{Value, json};

use crate::order;

/// Characters of a preview's line.
const PREVIEW: usize = 80;
/// Characters of one cell in the frame grid.
const GRID_CELL: usize = 500;
/// Rows of one page of the frame grid.
const PAGE: usize = 10_000;

/// Describes the types of polars and candle; the runtime knows the plain ones.
pub(crate) fn inspector(value: &dyn Any) -> Option<Inspection<'_>> {
    if let Some(frame) = value.downcast_ref::<DataFrame>() {
        return Some(of_frame(frame));
    }
    if let Some(series) = value.downcast_ref::<Series>() {
        return Some(of_series(series).with_bundle(|| series.render()));
    }
    if let Some(column) = value.downcast_ref::<Column>() {
        return Some(of_series(column.as_materialized_series()).with_bundle(|| column.render()));
    }
    if let Some(lazy) = value.downcast_ref::<LazyFrame>() {
        return Some(
            Inspection::new("lazy query")
                .with_bundle(|| lazy.render())
                .with_columns(|| columns_of_query(lazy)),
        );
    }
    if let Some(frames) = value.downcast_ref::<Vec<DataFrame>>() {
        let bytes = frames.iter().map(DataFrame::estimated_size).sum::<usize>();
        return Some(
            Inspection::new("frames")
                .with_shape(format!("len {}", frames.len()))
                .with_bytes(bytes as u64)
                .with_bundle(|| frames.render()),
        );
    }
    let tensor =
        value.downcast_ref::<Tensor>().or_else(|| value.downcast_ref::<Var>().map(Var::as_tensor));
    tensor.map(of_tensor)
}

fn of_frame(frame: &DataFrame) -> Inspection<'_> {
    Inspection::new(line(&columns_line(frame)))
        .with_shape(format!("{} × {}", frame.height(), frame.width()))
        .with_bytes(frame.estimated_size() as u64)
        .with_bundle(|| frame.render())
        .with_columns(|| frame.columns().iter().map(|column| column.name().to_string()).collect())
        .with_page(|request| page(frame, request))
}

fn columns_line(frame: &DataFrame) -> String {
    let fields = frame.columns().iter().take(PREVIEW / 4);
    fields
        .map(|column| format!("{}: {}", column.name(), column.dtype()))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The columns of a query's result; none where the query is wrong or its files cannot be read.
fn columns_of_query(lazy: &LazyFrame) -> Vec<String> {
    let schema = lazy.clone().collect_schema();
    schema.map_or_else(
        |_| Vec::new(),
        |schema| schema.iter_names().map(ToString::to_string).collect(),
    )
}

fn of_series(series: &Series) -> Inspection<'_> {
    let head: Vec<_> = (0..series.len().min(PREVIEW / 4))
        .filter_map(|row| series.get(row).ok())
        .map(|value| value.to_string())
        .collect();
    Inspection::new(line(&format!("{}: [{}]", series.dtype(), head.join(", "))))
        .with_shape(format!("len {}", series.len()))
        .with_bytes(series.estimated_size() as u64)
}

fn of_tensor(tensor: &Tensor) -> Inspection<'_> {
    let bytes = tensor.elem_count() * tensor.dtype().size_in_bytes();
    let device = oxilab_display::tensor::device_name(tensor.device());
    Inspection::new(line(&format!("{} on {device}", tensor.dtype().as_str())))
        .with_shape(format!("{:?}", tensor.dims()))
        .with_bytes(bytes as u64)
        .with_bundle(|| tensor.render())
}

fn line(text: &str) -> String {
    cut(text, PREVIEW - 1)
}

/// A page of a frame as JSON: `{"columns", "dtypes", "rows", "height"}`. Numbers and truth values stay
/// what they are; everything else is the text that a table shows.
fn page(frame: &DataFrame, request: &PageRequest) -> Result<Value, String> {
    let length = request.length.min(PAGE);
    let sorted;
    let (source, first) = match &request.sort {
        None => (frame, request.offset),
        Some(column) => {
            let column = frame.column(column).map_err(|error| error.to_string())?;
            let rows = order::rows(column.as_materialized_series(), request.descending);
            let page = rows.slice(i64::try_from(request.offset).unwrap_or(i64::MAX), length);
            sorted = frame.take(&page).map_err(|error| error.to_string())?;
            (&sorted, 0)
        }
    };
    let first = first.min(source.height());
    let last = first.saturating_add(length).min(source.height());
    let rows: Vec<Vec<Value>> = (first..last)
        .map(|row| source.columns().iter().map(|column| grid_cell(column, row)).collect())
        .collect();
    Ok(json!({
        "columns": frame.columns().iter().map(|column| column.name().as_str()).collect::<Vec<_>>(),
        "dtypes": frame.columns().iter().map(|column| column.dtype().to_string()).collect::<Vec<_>>(),
        "rows": rows,
        "height": frame.height(),
    }))
}

fn grid_cell(column: &Column, row: usize) -> Value {
    let Ok(value) = column.get(row) else { return Value::Null };
    match column.dtype() {
        DataType::Boolean => match value {
            polars::prelude::AnyValue::Boolean(truth) => Value::Bool(truth),
            _ => Value::Null,
        },
        // JSON numbers of a browser are exact up to 2⁵³: wider integers go as text.
        dtype if dtype.is_primitive_numeric() => {
            let exact = |number: &i64| number.unsigned_abs() <= 1 << 53;
            if dtype.is_float() {
                value.extract::<f64>().map_or(Value::Null, |number| {
                    serde_json::Number::from_f64(number)
                        .map_or_else(|| Value::String(number.to_string()), Value::Number)
                })
            } else if let Some(number) = value.extract::<i64>().filter(exact) {
                Value::from(number)
            } else {
                frame::cell(&value, GRID_CELL).map_or(Value::Null, Value::String)
            }
        }
        _ => frame::cell(&value, GRID_CELL).map_or(Value::Null, Value::String),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use oxilab_runtime::inspect::inspect;
    use polars::prelude::*;

    use super::*;

    fn frame() -> DataFrame {
        df!(
            "n" => [Some(3i64), None, Some(1), Some(i64::MAX)],
            "x" => [0.5, f64::NAN, 2.0, -1.0],
            "s" => ["c", "a", "b", "d"],
            "t" => [true, false, true, false],
        )
        .expect("frame")
    }

    fn request(offset: usize, length: usize, sort: Option<&str>) -> PageRequest {
        PageRequest { offset, length, sort: sort.map(str::to_owned), descending: false }
    }

    #[test]
    fn a_page_holds_rows_types_and_height() {
        let answer = page(&frame(), &request(1, 2, None)).expect("page");
        assert_eq!(answer["columns"], json!(["n", "x", "s", "t"]));
        assert_eq!(answer["dtypes"], json!(["i64", "f64", "str", "bool"]));
        assert_eq!(answer["rows"], json!([[null, "NaN", "a", false], [1, 2.0, "b", true]]));
        assert_eq!(answer["height"], 4);
        let past = page(&frame(), &request(10, 5, None)).expect("page");
        assert_eq!(past["rows"], json!([]));
    }

    #[test]
    fn a_page_can_be_sorted_with_nulls_last_and_wide_integers_as_text() {
        let answer = page(&frame(), &request(0, 10, Some("n"))).expect("page");
        let first: Vec<_> = (0..4).map(|row| answer["rows"][row][0].clone()).collect();
        assert_eq!(first, [json!(1), json!(3), json!("9223372036854775807"), Value::Null]);
        assert!(
            page(&frame(), &request(0, 1, Some("nope"))).expect_err("refused").contains("nope")
        );
    }

    #[test]
    fn a_query_has_the_columns_of_its_result() {
        let lazy = frame().lazy();
        assert_eq!(columns_of_query(&lazy), ["n", "x", "s", "t"]);
        let query = lazy.clone().select([col("s"), (col("x") * lit(2)).alias("double")]);
        assert_eq!(columns_of_query(&query), ["s", "double"]);
        assert!(columns_of_query(&lazy.select([col("nowhere")])).is_empty());
    }

    #[test]
    fn frames_series_and_tensors_are_described() {
        crate::init();
        let frame = frame();
        assert!(inspect(&frame).is_some());
        assert!(inspect(&frame.column("n").expect("n").as_materialized_series().clone()).is_some());
        let tensor = Tensor::zeros((2, 3), candle_core::DType::F32, &Device::Cpu).expect("tensor");
        assert!(inspect(&tensor).is_some());
        assert!(inspector(&tensor).is_some() && inspector(&5i32).is_none());
    }
}
