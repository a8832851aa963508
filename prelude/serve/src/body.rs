//! Bodies of requests to frames: `MLflow`'s `/invocations`, CSV, plain JSON, Open Inference Protocol.
//!
//! Every reader takes the model's [`Schema`] and a limit of rows, and says which field is wrong.

use std::io::Cursor;

use oxilab_model::schema::{ColumnKind, Schema};
use polars::prelude::{CsvReadOptions, DataFrame, SerReader};
use serde_json::{Map, Value};

use crate::cells::Table;
use crate::error::{Result, ServeError, While};

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
        "dataframe_split" => split(value, schema)?,
        _ => table(value, key, schema)?,
    };
    frame(table, schema, limit)
}

/// CSV with a header, as `MLflow` takes it.
///
/// # Errors
/// As [`invocations`].
pub fn csv(bytes: &[u8], schema: &Schema, limit: usize) -> Result<DataFrame> {
    std::str::from_utf8(bytes)
        .map_err(|error| ServeError::body(format!("it is not UTF-8: {error}")))?;
    let options = CsvReadOptions::default().with_has_header(true).with_infer_schema_length(Some(0));
    let text = options
        .into_reader_with_file_handle(Cursor::new(bytes))
        .finish()
        .map_err(|error| ServeError::body(format!("not CSV: {error}")))?;
    let mut columns = Vec::new();
    for column in text.columns() {
        let name = column.name().to_string();
        let kind = schema.column(&name).map_or(ColumnKind::Categorical, |field| field.kind);
        let cells = column.str().doing("reading CSV")?;
        columns.push((name, cells.iter().map(|cell| typed(cell, kind)).collect()));
    }
    frame(Table::Named(columns), schema, limit)
}

fn typed(cell: Option<&str>, kind: ColumnKind) -> Value {
    let Some(text) = cell.filter(|text| !text.is_empty()) else { return Value::Null };
    let read = match kind {
        ColumnKind::Numeric if text.eq_ignore_ascii_case("nan") => Some(Value::Null),
        ColumnKind::Numeric => text.trim().parse::<f64>().ok().map(Value::from),
        ColumnKind::Boolean => {
            text.trim().to_ascii_lowercase().parse::<bool>().ok().map(Value::from)
        }
        ColumnKind::Categorical => None,
    };
    read.unwrap_or_else(|| Value::String(text.to_owned()))
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
    Ok((frame(table(value, "features", schema)?, schema, limit)?, single))
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
        Value::Object(_) => frame(table(Value::Array(vec![value]), "body", schema)?, schema, limit),
        Value::Array(_) => frame(table(value, "body", schema)?, schema, limit),
        _ => Err(ServeError::body("it must be an object or a list of rows")),
    }
}

pub(crate) fn frame(table: Table, schema: &Schema, limit: usize) -> Result<DataFrame> {
    let rows = table.rows();
    if rows > limit {
        return Err(ServeError::TooManyRows { rows, limit });
    }
    table.into_frame(schema)
}

/// `{"columns": [...], "data": [[...], ...]}`.
fn split(value: Value, schema: &Schema) -> Result<Table> {
    let Value::Object(mut object) = value else {
        return Err(ServeError::field("dataframe_split", "it must be an object with `data`"));
    };
    let Some(data) = object.remove("data") else {
        return Err(ServeError::field("dataframe_split.data", "it is missing"));
    };
    let Table::Positional(columns) = table(data, "dataframe_split.data", schema)? else {
        return Err(ServeError::field("dataframe_split.data", "it must be a list of lists"));
    };
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

/// A list of rows (objects, lists or single values), or an object of columns.
fn table(value: Value, key: &str, schema: &Schema) -> Result<Table> {
    let items = match value {
        Value::Object(columns) => return columns_of(columns),
        Value::Array(items) => items,
        _ => return Err(ServeError::field(key, "it must be a list of rows")),
    };
    match items.first() {
        Some(Value::Object(_)) => records(items, key, schema),
        Some(Value::Array(first)) => {
            let mut columns = vec![Vec::with_capacity(items.len()); first.len()];
            for (row, item) in items.into_iter().enumerate() {
                let Value::Array(values) = item else {
                    return Err(ServeError::field(
                        key,
                        format!("row {row} is not a list as row 0 is"),
                    ));
                };
                if values.len() != columns.len() {
                    let problem = format!(
                        "row {row} has {} values, row 0 has {}",
                        values.len(),
                        columns.len()
                    );
                    return Err(ServeError::field(key, problem));
                }
                for (column, value) in columns.iter_mut().zip(values) {
                    column.push(value);
                }
            }
            Ok(Table::Positional(columns))
        }
        Some(_) => Ok(Table::Positional(vec![items])),
        None => Err(ServeError::field(key, "it has no rows")),
    }
}

/// Rows with names. What the model reads must be in every row; what it does not know may be anywhere.
fn records(items: Vec<Value>, key: &str, schema: &Schema) -> Result<Table> {
    let mut columns: Vec<(String, Vec<Value>)> = Vec::new();
    let missing = |name: &str, row: usize| match schema.column(name) {
        Some(_) => Err(ServeError::field(name, format!("row {row}: it is missing"))),
        None => Ok(()),
    };
    for (row, item) in items.into_iter().enumerate() {
        let Value::Object(record) = item else {
            return Err(ServeError::field(key, format!("row {row} is not an object as row 0 is")));
        };
        for (at, (name, value)) in record.into_iter().enumerate() {
            // Rows have their keys in the same order, nearly always.
            let place = match columns.get(at) {
                Some((known, _)) if *known == name => Some(at),
                _ => columns.iter().position(|(known, _)| *known == name),
            };
            let place = match place {
                Some(place) => place,
                None => {
                    if row > 0 {
                        missing(&name, 0)?;
                    }
                    columns.push((name, vec![Value::Null; row]));
                    columns.len() - 1
                }
            };
            columns[place].1.push(value);
        }
        for (name, values) in &mut columns {
            if values.len() == row {
                missing(name, row)?;
                values.push(Value::Null);
            }
        }
    }
    Ok(Table::Named(columns))
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
