//! Models that other programs trained with LightGBM or XGBoost: [`model`] gives them a schema.

use std::collections::BTreeMap;
use std::path::Path;

use oxilab_model_format::{Column, ColumnKind, Header, Schema, Task};
use polars::prelude::DataType;

use crate::encode::{Encoder, Encoding};
use crate::error::{ModelError, Result};
use crate::fitted::FittedModel;
use crate::learner::{Learned, libraries};
use crate::target::TargetReader;

/// A model whose columns are numbers named as the library's features, and whose classes are `0`, `1`, ….
pub(crate) fn model(
    name: &str,
    features: Vec<String>,
    (task, classes): (Task, usize),
    objective: &str,
    learned: Learned,
) -> FittedModel {
    let column = |name| Column {
        name,
        dtype: "f64".to_owned(),
        kind: ColumnKind::Numeric,
        categories: Vec::new(),
        nullable: true,
    };
    let columns: Vec<Column> = features.into_iter().map(column).collect();
    let dtype = if classes > 0 { DataType::Int64 } else { DataType::Float64 };
    let names: Vec<String> = (0..classes).map(|class| class.to_string()).collect();
    let reader = TargetReader { name: "target".to_owned(), dtype, task, classes: names.clone() };
    let header = Header {
        learner: name.to_owned(),
        kind: learned.predictor.kind().to_owned(),
        schema: Schema {
            task,
            columns: columns.clone(),
            target: Some(reader.name.clone()),
            target_dtype: Some(reader.dtype.to_string()),
            classes: names,
        },
        params: serde_json::json!({ "objective": objective, "from": "a native model" }),
        metrics: BTreeMap::new(),
        libraries: libraries(learned.predictor.as_ref()),
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
    FittedModel::assemble(header, encoder, Some(reader), learned)
}

/// The bytes of a model file of another program.
pub(crate) fn read(library: &'static str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| ModelError::Io {
        doing: if library == "XGBoost" {
            "loading the XGBoost model from"
        } else {
            "loading the LightGBM model from"
        },
        path: path.to_owned(),
        source,
    })
}

/// Whether every path from node 0 of a tree ends, within the tree. `children` gives the nodes below
/// a node, `None` if it is not sound.
pub(crate) fn paths_end(nodes: usize, children: impl Fn(usize) -> Option<Vec<usize>>) -> bool {
    let mut seen = vec![false; nodes];
    let mut open = vec![0];
    while let Some(node) = open.pop() {
        if node >= nodes || std::mem::replace(&mut seen[node], true) {
            return false;
        }
        match children(node) {
            Some(below) => open.extend(below),
            None => return false,
        }
    }
    true
}
