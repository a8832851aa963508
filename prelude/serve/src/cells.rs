//! Values of a request to typed columns: [`Table`], [`Table::into_frame`].

use oxilab_model::schema::{Column as Field, ColumnKind, Schema};
use polars::prelude::{Column, DataFrame};
use serde_json::Value;

use crate::error::{Result, ServeError, While};

/// The values of a request, column by column.
#[derive(Debug, PartialEq)]
pub(crate) enum Table {
    /// Columns with names, in any order.
    Named(Vec<(String, Vec<Value>)>),
    /// Columns in the order of the signature.
    Positional(Vec<Vec<Value>>),
}

impl Table {
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Named(columns) => columns.first().map_or(0, |(_, values)| values.len()),
            Self::Positional(columns) => columns.first().map_or(0, Vec::len),
        }
    }

    /// The frame that the model reads: the columns of its signature, typed, in order. Columns that it
    /// does not know are passed over.
    pub(crate) fn into_frame(self, schema: &Schema) -> Result<DataFrame> {
        let rows = self.rows();
        let columns = match self {
            Self::Named(columns) => {
                let mut out = Vec::with_capacity(schema.columns.len());
                for field in &schema.columns {
                    let Some(at) = columns.iter().position(|(name, _)| *name == field.name) else {
                        let known = columns.iter().map(|(name, _)| name.as_str());
                        return Err(missing(&field.name, known));
                    };
                    out.push(column(field, &columns[at].1, rows)?);
                }
                out
            }
            Self::Positional(columns) => {
                if columns.len() != schema.columns.len() {
                    let field = schema.columns.get(columns.len()).map_or("data", |c| &c.name);
                    return Err(ServeError::field(
                        field,
                        format!(
                            "rows have {} values, the model reads {}: {}",
                            columns.len(),
                            schema.columns.len(),
                            names(schema.names().into_iter())
                        ),
                    ));
                }
                schema
                    .columns
                    .iter()
                    .zip(&columns)
                    .map(|(field, values)| column(field, values, rows))
                    .collect::<Result<_>>()?
            }
        };
        DataFrame::new(rows, columns).doing("making a frame of the request")
    }
}

/// A column that the model reads and the request lacks, which has those of `known`.
pub(crate) fn missing<'a>(field: &str, known: impl Iterator<Item = &'a str>) -> ServeError {
    ServeError::field(field, format!("it is missing; the request has {}", names(known)))
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 20;
    let all: Vec<&str> = names.collect();
    match all.len() {
        0 => "no other columns".to_owned(),
        n if n > SHOWN => format!("{} and {} more", all[..SHOWN].join(", "), n - SHOWN),
        _ => all.join(", "),
    }
}

fn column(field: &Field, values: &[Value], rows: usize) -> Result<Column> {
    if values.len() != rows {
        return Err(ServeError::field(
            &field.name,
            format!("it has {} values where other columns have {rows}", values.len()),
        ));
    }
    let name = field.name.as_str().into();
    let at = |row: usize, problem: String| {
        ServeError::field(&field.name, format!("row {row}: {problem}"))
    };
    if !field.nullable
        && let Some(row) = values.iter().position(Value::is_null)
    {
        return Err(at(row, "it is null, and the model was fitted without missing values".into()));
    }
    Ok(match field.kind {
        ColumnKind::Numeric => {
            let read = |(row, value): (usize, &Value)| match value {
                Value::Null => Ok(None),
                Value::Number(number) => Ok(number.as_f64()),
                other => Err(at(row, format!("expected a number, found {}", found(other)))),
            };
            let values: Vec<Option<f64>> =
                values.iter().enumerate().map(read).collect::<Result<_>>()?;
            // Without missing values there is no mask of them to make.
            match values.iter().copied().collect::<Option<Vec<f64>>>() {
                Some(whole) => Column::new(name, whole),
                None => Column::new(name, values),
            }
        }
        ColumnKind::Boolean => {
            let read = |(row, value): (usize, &Value)| match value {
                Value::Null => Ok(None),
                Value::Bool(value) => Ok(Some(*value)),
                Value::Number(n) if n.as_f64() == Some(0.0) => Ok(Some(false)),
                Value::Number(n) if n.as_f64() == Some(1.0) => Ok(Some(true)),
                other => Err(at(row, format!("expected true or false, found {}", found(other)))),
            };
            let values: Vec<Option<bool>> =
                values.iter().enumerate().map(read).collect::<Result<_>>()?;
            Column::new(name, values)
        }
        ColumnKind::Categorical => {
            let read = |(row, value): (usize, &Value)| match value {
                Value::Null => Ok(None),
                Value::String(text) => Ok(Some(text.clone())),
                Value::Number(number) => Ok(Some(number.to_string())),
                Value::Bool(value) => Ok(Some(value.to_string())),
                other => Err(at(row, format!("expected text, found {}", found(other)))),
            };
            let values: Vec<Option<String>> =
                values.iter().enumerate().map(read).collect::<Result<_>>()?;
            Column::new(name, values)
        }
    })
}

/// A value in an error message, short.
fn found(value: &Value) -> String {
    match value {
        Value::String(text) => {
            let short: String = text.chars().take(40).collect();
            format!("text {short:?}")
        }
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}
