//! Open Inference Protocol v2 (`KServe`, Triton) over JSON: requests to frames, answers to tensors.

use oxilab_model::schema::Schema;
use polars::prelude::DataFrame;
use serde_json::{Value, json};

use crate::body::frame;
use crate::cells::Table;
use crate::datatype;
use crate::error::{Result, ServeError};
use crate::predictor::Predictions;
use crate::signature::Signature;

/// Reads a request: one tensor per column, of shape `[n]` or `[n, 1]`, or one tensor of shape
/// `[n, columns]` in the order of the signature.
///
/// # Errors
/// [`ServeError::Field`] naming the tensor.
pub fn infer_request(value: &Value, schema: &Schema, limit: usize) -> Result<DataFrame> {
    let Some(inputs) = value.get("inputs").and_then(Value::as_array) else {
        return Err(ServeError::field("inputs", "it must be a list of tensors"));
    };
    let mut tensors = Vec::with_capacity(inputs.len());
    for (at, input) in inputs.iter().enumerate() {
        tensors.push(tensor(input, at)?);
    }
    if let [(_, columns, data)] = tensors.as_mut_slice()
        && (*columns > 1 || schema.columns.len() == 1)
    {
        let columns = *columns;
        let rows = data.len() / columns;
        let mut table: Vec<Vec<Value>> = Vec::new();
        table.resize_with(columns, || Vec::with_capacity(rows));
        for (at, value) in data.drain(..).enumerate() {
            table[at % columns].push(value);
        }
        return frame(Table::Positional(table), schema, limit);
    }
    if let Some((name, columns, _)) = tensors.iter().find(|(_, columns, _)| *columns != 1) {
        let problem =
            format!("its rows have {columns} values; of several tensors each is a column");
        return Err(ServeError::field(name, problem));
    }
    let named = tensors.into_iter().map(|(name, _, data)| (name, data)).collect();
    frame(Table::Named(named), schema, limit)
}

/// Name, values per row, values.
fn tensor(input: &Value, at: usize) -> Result<(String, usize, Vec<Value>)> {
    let name = match input.get("name").and_then(Value::as_str) {
        Some(name) => name.to_owned(),
        None => return Err(ServeError::field(format!("inputs[{at}].name"), "it must be text")),
    };
    let Some(data) = input.get("data").and_then(Value::as_array) else {
        return Err(ServeError::field(name, "`data` must be a list of values"));
    };
    let mut flat = Vec::with_capacity(data.len());
    flatten(data, &mut flat);
    if let Err(problem) = datatype::check(input.get("datatype"), &flat) {
        return Err(ServeError::field(name, problem));
    }
    let shape: Option<Vec<usize>> = input.get("shape").and_then(Value::as_array).map(|shape| {
        let sizes = shape.iter().map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok()));
        sizes.map(|n| n.unwrap_or(0)).collect()
    });
    let Some(shape) = shape.filter(|shape| matches!(shape.len(), 1 | 2)) else {
        return Err(ServeError::field(name, "`shape` must be [rows] or [rows, columns]"));
    };
    let columns = shape.get(1).copied().unwrap_or(1);
    if columns == 0 || shape[0].checked_mul(columns) != Some(flat.len()) || flat.is_empty() {
        let problem = format!("`shape` is {shape:?}, `data` has {} values", flat.len());
        return Err(ServeError::field(name, problem));
    }
    Ok((name, columns, flat))
}

fn flatten(values: &[Value], out: &mut Vec<Value>) {
    for value in values {
        match value {
            Value::Array(inner) => flatten(inner, out),
            other => out.push(other.clone()),
        }
    }
}

/// The answer to an inference request: tensors `predict` and, for classifiers, `predict_proba`.
#[must_use]
pub fn infer_response(
    predictions: &Predictions,
    schema: &Schema,
    name: &str,
    version: &str,
    id: Option<&Value>,
) -> Value {
    let values = predictions.json_values();
    let mut outputs = vec![json!({
        "name": "predict",
        "datatype": Signature::new(schema).output_datatype(),
        "shape": [values.len()],
        "data": values,
    })];
    if let Some(rows) = predictions.json_probabilities() {
        let shape = [rows.len(), schema.classes.len()];
        let data: Vec<Value> = rows
            .into_iter()
            .flat_map(|row| match row {
                Value::Object(row) => row.into_iter().map(|(_, value)| value).collect(),
                _ => Vec::new(),
            })
            .collect();
        outputs.push(json!({
            "name": "predict_proba", "datatype": "FP64", "shape": shape, "data": data,
        }));
    }
    let mut answer = json!({"model_name": name, "model_version": version, "outputs": outputs});
    if let Some(id) = id {
        answer["id"] = id.clone();
    }
    answer
}
