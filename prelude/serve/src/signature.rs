//! What a model reads and answers, as JSON for clients: [`Signature`].

use oxilab_model::Task;
use oxilab_model::schema::{Column, ColumnKind, Schema};
use serde_json::{Map, Value, json};

/// A model's inputs and outputs in the words of several protocols.
#[derive(Clone, Copy, Debug)]
pub struct Signature<'a>(&'a Schema);

impl<'a> Signature<'a> {
    /// The signature of a model's schema.
    #[must_use]
    pub fn new(schema: &'a Schema) -> Self {
        Self(schema)
    }

    /// As `MLflow` writes it in `MLmodel`.
    #[must_use]
    pub fn mlflow(&self) -> Value {
        let inputs: Vec<Value> = self
            .0
            .columns
            .iter()
            .map(|column| {
                let kind = match column.kind {
                    ColumnKind::Numeric => "double",
                    ColumnKind::Boolean => "boolean",
                    ColumnKind::Categorical => "string",
                };
                json!({"name": column.name, "type": kind, "required": !column.nullable})
            })
            .collect();
        let output = match self.output_datatype() {
            "FP64" => "double",
            "INT64" => "long",
            "BOOL" => "boolean",
            _ => "string",
        };
        json!({"inputs": inputs, "outputs": [{"name": "prediction", "type": output}]})
    }

    /// Metadata of the Open Inference Protocol.
    #[must_use]
    pub fn v2(&self, name: &str, versions: &[String]) -> Value {
        let inputs: Vec<Value> = self
            .0
            .columns
            .iter()
            .map(|column| json!({"name": column.name, "datatype": datatype(column), "shape": [-1]}))
            .collect();
        let mut outputs =
            vec![json!({"name": "predict", "datatype": self.output_datatype(), "shape": [-1]})];
        if self.0.task.is_classification() {
            let shape = json!([-1, self.0.classes.len()]);
            outputs.push(json!({"name": "predict_proba", "datatype": "FP64", "shape": shape}));
        }
        json!({
            "name": name, "versions": versions, "platform": "oxilab",
            "inputs": inputs, "outputs": outputs,
        })
    }

    /// The Open Inference Protocol's type of the predictions.
    #[must_use]
    pub fn output_datatype(&self) -> &'static str {
        match (self.0.task, self.0.target_dtype.as_deref()) {
            (Task::Regression, _) => "FP64",
            (Task::Clustering, _) => "INT64",
            (Task::Anomaly, _) | (_, Some("bool")) => "BOOL",
            (_, Some("f32" | "f64")) => "FP64",
            (_, Some("i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64")) => "INT64",
            _ => "BYTES",
        }
    }

    /// The JSON schema of one row with named fields, for `OpenAPI`.
    #[must_use]
    pub fn row_schema(&self) -> Value {
        let mut properties = Map::new();
        for column in &self.0.columns {
            properties.insert(column.name.clone(), field_schema(column));
        }
        let required: Vec<&str> = self.0.names();
        json!({"type": "object", "properties": properties, "required": required})
    }

    /// The JSON schema of one row as a list of values in the order of the signature; `None` if the values
    /// are of several kinds, which a schema of a list cannot say exactly.
    #[must_use]
    pub fn list_schema(&self) -> Option<Value> {
        let mut kinds: Vec<Value> = self.0.columns.iter().map(field_schema).collect();
        let count = kinds.len();
        kinds.dedup();
        let [only] = kinds.as_slice() else { return None };
        Some(json!({"type": "array", "items": only, "minItems": count, "maxItems": count}))
    }

    /// A row that the model would take, for the try-it page: zeros, false, the first category.
    #[must_use]
    pub fn example(&self) -> Value {
        let pairs = self.0.columns.iter().map(|column| {
            let value = match column.kind {
                ColumnKind::Numeric => json!(0.0),
                ColumnKind::Boolean => json!(false),
                ColumnKind::Categorical => {
                    json!(column.categories.first().map_or_else(|| spelt(column), String::as_str))
                }
            };
            (column.name.clone(), value)
        });
        Value::Object(pairs.collect())
    }
}

fn datatype(column: &Column) -> &'static str {
    match column.kind {
        ColumnKind::Numeric => "FP64",
        ColumnKind::Boolean => "BOOL",
        ColumnKind::Categorical => "BYTES",
    }
}

fn field_schema(column: &Column) -> Value {
    let kind = match column.kind {
        ColumnKind::Numeric => "number",
        ColumnKind::Boolean => "boolean",
        ColumnKind::Categorical => "string",
    };
    let kind = if column.nullable { json!([kind, "null"]) } else { json!(kind) };
    let mut schema = json!({"type": kind});
    match column.kind {
        // Larger ones are no numbers of 64 bits.
        ColumnKind::Numeric => {
            schema["minimum"] = json!(f64::MIN);
            schema["maximum"] = json!(f64::MAX);
        }
        // 0 and 1 are read as well.
        ColumnKind::Boolean => {
            let mut values = vec![json!(false), json!(true), json!(0), json!(1)];
            values.extend(column.nullable.then_some(Value::Null));
            return json!({"enum": values});
        }
        ColumnKind::Categorical => {}
    }
    if let Some(format) = time_format(column) {
        schema["format"] = json!(format);
    }
    if column.kind == ColumnKind::Categorical && (1..=200).contains(&column.categories.len()) {
        let mut values: Vec<Value> = column.categories.iter().map(|c| json!(c)).collect();
        if column.nullable {
            values.push(Value::Null);
        }
        schema["enum"] = Value::Array(values);
    }
    schema
}

/// How a time is written in JSON, for columns that a pipeline reads.
fn time_format(column: &Column) -> Option<&'static str> {
    match column.dtype.as_str() {
        "date" => Some("date"),
        dtype if dtype.starts_with("datetime") => Some("date-time"),
        _ => None,
    }
}

/// An example of a text without a list of values.
fn spelt(column: &Column) -> &'static str {
    match time_format(column) {
        Some("date") => "2024-01-31",
        Some(_) => "2024-01-31T12:00:00Z",
        None => "text",
    }
}
