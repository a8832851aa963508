//! Bodies of requests to frames: `MLflow`'s `/invocations`, CSV, plain JSON, Open Inference Protocol.
//!
//! Every reader takes the model's [`Schema`] and a limit of rows, and says which field is wrong.

use oxilab_model::schema::Schema;
use polars::prelude::DataFrame;
use serde_json::{Map, Value};

use crate::cells::Table;
use crate::error::{Result, ServeError};
use crate::{csv, records};

/// Reads JSON, from bytes that may be anything.
///
/// # Errors
/// [`ServeError::Body`] with the line and column.
pub fn json(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes).map_err(|error| ServeError::body(format!("not JSON: {error}")))
}

/// `MLflow`'s `/invocations`: `dataframe_split`, `dataframe_records`, `instances` or `inputs`.
///
/// # Errors
/// [`ServeError::Field`] naming the key or column; [`ServeError::TooManyRows`].
pub fn invocations(value: Value, schema: &Schema, limit: usize) -> Result<DataFrame> {
    const KEYS: [&str; 4] = ["dataframe_split", "dataframe_records", "instances", "inputs"];
    let Value::Object(mut object) = value else {
        return Err(ServeError::body(format!(
            "it must be an object with one of {}",
            KEYS.join(", ")
        )));
    };
    let mut present = KEYS.into_iter().filter(|key| object.contains_key(*key));
    let (Some(key), None) = (present.next(), present.next()) else {
        return Err(ServeError::body(format!("it must hold exactly one of {}", KEYS.join(", "))));
    };
    let value = object.remove(key).unwrap_or_default();
    let table = match key {
        "dataframe_split" => split(value, schema, limit)?,
        _ => table(value, key, schema, limit)?,
    };
    frame(table, schema, limit)
}

/// CSV with a header, as `MLflow` takes it.
///
/// # Errors
/// As [`invocations`].
pub fn csv(bytes: &[u8], schema: &Schema, limit: usize) -> Result<DataFrame> {
    frame(csv::table(bytes, schema, limit)?, schema, limit)
}

/// Plain JSON of `/predict`: `{"features": …}` with a list or named values, or these themselves; a list
/// of rows is a batch. The second part is whether it was a single row.
///
/// # Errors
/// As [`invocations`].
pub fn predict(value: Value, schema: &Schema, limit: usize) -> Result<(DataFrame, bool)> {
    let value = match value {
        Value::Object(mut object) => match object.remove("features") {
            Some(features) if schema.column("features").is_none() => features,
            Some(features) => {
                object.insert("features".to_owned(), features);
                Value::Object(object)
            }
            None => Value::Object(object),
        },
        Value::Array(_) => value,
        _ => {
            return Err(ServeError::body(
                "it must be an object ({\"features\": [...]} or named fields) or a list of rows",
            ));
        }
    };
    let single = match &value {
        Value::Object(_) => true,
        Value::Array(items) => !items.iter().any(|item| item.is_array() || item.is_object()),
        _ => return Err(ServeError::field("features", "it must be a list or an object")),
    };
    let value = if single { Value::Array(vec![value]) } else { value };
    let table = table(value, "features", schema, limit)?;
    Ok((frame(table, schema, limit)?, single))
}

/// `TensorFlow` Serving's `{"instances": …}` or `{"inputs": …}`, and `TorchServe`'s bare rows.
///
/// # Errors
/// As [`invocations`].
pub fn rows(value: Value, schema: &Schema, limit: usize) -> Result<DataFrame> {
    match value {
        Value::Object(ref object)
            if object.contains_key("instances") || object.contains_key("inputs") =>
        {
            invocations(value, schema, limit)
        }
        Value::Object(_) => {
            let one = Value::Array(vec![value]);
            frame(table(one, "body", schema, limit)?, schema, limit)
        }
        Value::Array(_) => frame(table(value, "body", schema, limit)?, schema, limit),
        _ => Err(ServeError::body("it must be an object or a list of rows")),
    }
}

pub(crate) fn frame(table: Table, schema: &Schema, limit: usize) -> Result<DataFrame> {
    few(table.rows(), limit)?;
    table.into_frame(schema)
}

fn few(rows: usize, limit: usize) -> Result<()> {
    if rows > limit { Err(ServeError::TooManyRows { rows, limit }) } else { Ok(()) }
}

/// `{"columns": [...], "data": [[...], ...]}`.
fn split(value: Value, schema: &Schema, limit: usize) -> Result<Table> {
    const DATA: &str = "dataframe_split.data";
    let Value::Object(mut object) = value else {
        return Err(ServeError::field("dataframe_split", "it must be an object with `data`"));
    };
    let Some(data) = object.remove("data") else {
        return Err(ServeError::field(DATA, "it is missing"));
    };
    let no_lists = || Err(ServeError::field(DATA, "it must be a list of lists"));
    if data.get(0).is_some_and(Value::is_object) {
        return no_lists();
    }
    let Table::Positional(columns) = table(data, DATA, schema, limit)? else { return no_lists() };
    let names = match object.remove("columns") {
        None | Some(Value::Null) => return Ok(Table::Positional(columns)),
        Some(Value::Array(names)) => names,
        Some(_) => return Err(ServeError::field("dataframe_split.columns", "it must be a list")),
    };
    if names.len() != columns.len() && columns.first().is_some_and(|column| !column.is_empty()) {
        let problem = format!("{} names for rows of {} values", names.len(), columns.len());
        return Err(ServeError::field("dataframe_split.columns", problem));
    }
    let mut columns = columns;
    columns.resize(names.len(), Vec::new());
    let name = |name: Value| match name {
        Value::String(name) => name,
        other => other.to_string(),
    };
    Ok(Table::Named(names.into_iter().map(name).zip(columns).collect()))
}

/// A list of rows (objects, lists or single values), or an object of columns. Rows are counted before there
/// is anything made of them.
fn table(value: Value, key: &str, schema: &Schema, limit: usize) -> Result<Table> {
    let items = match value {
        Value::Object(columns) => return columns_of(columns),
        Value::Array(items) => items,
        _ => return Err(ServeError::field(key, "it must be a list of rows")),
    };
    few(items.len(), limit)?;
    match items.first() {
        Some(Value::Object(_)) => records::table(items, key, schema),
        Some(Value::Array(first)) => {
            let width = first.len();
            lists(items, width, key)
        }
        Some(_) => Ok(Table::Positional(vec![items])),
        None => Err(ServeError::field(key, "it has no rows")),
    }
}

/// Rows without names, all as wide as the first. That is known before there is room made for columns.
fn lists(items: Vec<Value>, width: usize, key: &str) -> Result<Table> {
    for (row, item) in items.iter().enumerate() {
        let problem = match item {
            Value::Array(values) if values.len() == width => continue,
            Value::Array(values) => {
                format!("row {row} has {} values, row 0 has {width}", values.len())
            }
            _ => format!("row {row} is not a list as row 0 is"),
        };
        return Err(ServeError::field(key, problem));
    }
    let mut columns: Vec<Vec<Value>> = Vec::new();
    columns.resize_with(width, || Vec::with_capacity(items.len()));
    for item in items {
        let Value::Array(values) = item else { continue };
        for (column, value) in columns.iter_mut().zip(values) {
            column.push(value);
        }
    }
    Ok(Table::Positional(columns))
}

fn columns_of(columns: Map<String, Value>) -> Result<Table> {
    let mut out: Vec<(String, Vec<Value>)> = Vec::with_capacity(columns.len());
    for (name, values) in columns {
        let values = match values {
            Value::Array(values) => values.into_iter().map(flat).collect(),
            other => vec![other],
        };
        if let Some((first, others)) = out.first()
            && others.len() != values.len()
        {
            let problem =
                format!("it has {} values where `{first}` has {}", values.len(), others.len());
            return Err(ServeError::field(name, problem));
        }
        out.push((name, values));
    }
    Ok(Table::Named(out))
}

/// `[x]` as `x`: tensors of shape (n, 1).
fn flat(value: Value) -> Value {
    match value {
        Value::Array(mut items) if items.len() == 1 => items.remove(0),
        other => other,
    }
}
