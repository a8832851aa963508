//! Models of Python's `lightgbm`: [`LightGbm::from_native`] and [`LightGbm::load_native`].

use std::path::Path;

use oxilab_model_format::{Column, ColumnKind, Header, Schema, Task};
use polars::prelude::DataType;

use crate::encode::{Encoder, Encoding};
use crate::error::{ModelError, Result};
use crate::fitted::FittedModel;
use crate::learner::{Learned, libraries};
use crate::target::TargetReader;

use super::{LightGbm, LightGbmPredictor};

impl LightGbm {
    /// A model from LightGBM's text format (`Booster.save_model` and `model_to_string` in Python). Its
    /// columns are numbers named as the features; categories are their numbers; classes are `0`, `1`, ….
    ///
    /// # Errors
    /// If the text is not a LightGBM model, or of an objective that predicts neither classes nor
    /// numbers.
    pub fn from_native(text: &str) -> Result<FittedModel> {
        let line = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .unwrap_or_default()
        };
        if !text.starts_with("tree") || line("feature_names").is_empty() {
            return Err(ModelError::LightGbm {
                doing: "reading the model text",
                message: "this is not LightGBM's text format; pass what `Booster.save_model` wrote"
                    .to_owned(),
            });
        }
        let objective = line("objective").split(' ').next().unwrap_or_default();
        let classes: usize = line("num_class").parse().unwrap_or(1);
        let task = match objective {
            "binary" | "cross_entropy" => Task::Binary,
            "multiclass" | "multiclassova" => Task::Multiclass,
            _ => Task::Regression,
        };
        let count = match task {
            Task::Binary => 2,
            Task::Multiclass => classes,
            _ => 0,
        };
        let columns: Vec<Column> = line("feature_names")
            .split(' ')
            .map(|name| Column {
                name: name.to_owned(),
                dtype: "f64".to_owned(),
                kind: ColumnKind::Numeric,
                categories: Vec::new(),
                nullable: true,
            })
            .collect();
        let learned = Learned::new(LightGbmPredictor::new(text.to_owned(), task)?);
        let dtype = if count > 0 { DataType::Int64 } else { DataType::Float64 };
        let names: Vec<String> = (0..count).map(|class| class.to_string()).collect();
        let target = "target".to_owned();
        let reader = TargetReader { name: target.clone(), dtype, task, classes: names.clone() };
        let header = Header {
            learner: "LightGbm".to_owned(),
            kind: learned.predictor.kind().to_owned(),
            schema: Schema {
                task,
                columns: columns.clone(),
                target: Some(target),
                target_dtype: Some(reader.dtype.to_string()),
                classes: names,
            },
            params: serde_json::json!({ "objective": objective, "from": "native text" }),
            metrics: std::collections::BTreeMap::new(),
            libraries: libraries(),
            training_rows: 0,
            training_data: String::new(),
        };
        let encoder = Encoder {
            columns,
            encoding: Encoding::Codes,
            fill: Vec::new(),
            mean: Vec::new(),
            scale: Vec::new(),
        };
        Ok(FittedModel::assemble(header, encoder, Some(reader), learned))
    }

    /// As [`LightGbm::from_native`], from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or as [`LightGbm::from_native`].
    pub fn load_native(path: impl AsRef<Path>) -> Result<FittedModel> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|source| ModelError::Io {
            doing: "loading the LightGBM model from",
            path: path.to_owned(),
            source,
        })?;
        Self::from_native(&text)
    }
}
