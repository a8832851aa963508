//! Fitted models as ONNX: [`export`] turns a model's file into operators that ONNX Runtime, Triton, Spark,
//! browsers and others compute with.
//!
//! * **Inputs** are the columns of the training frame by name, a value for each row (a model of one column
//!   takes a matrix of one column): text as text, whole numbers that were never missing as `int64`, truth
//!   values as `bool`, all else as `double`, NaN where a value is missing. A text that was not in the
//!   training frame is missing; an empty one is missing as well, unless it was a category.
//! * **Outputs** are `prediction` and, for classifiers, `probabilities` (a column for each class); for
//!   anomalies `prediction` and `score`; for a PCA `components`.
//! * Linear models, naive Bayes, k-means and PCA are computed in `double`; nets in `float` as they were
//!   trained; trees decide in `double` and add up to a `float`, because ONNX's trees do.
//!
//! The operators are of opset 15 and of `ai.onnx.ml` 3.

mod ensemble;
mod error;
mod forest;
mod graph;
mod input;
mod isolation;
mod lightgbm;
mod linear;
mod net;
mod output;
mod parts;
mod plain;
mod wire;
mod xgboost;

use oxilab_model_format::ModelFile;

pub use error::{OnnxError, Result};

use graph::Graph;
use parts::Parts;

/// The bytes of an ONNX model that predicts as the model of a file does.
///
/// ```
/// use std::collections::BTreeMap;
/// use oxilab_model_format::{Column, ColumnKind, Header, ModelFile, Schema, Section, Task};
///
/// let column = Column { name: "x".into(), dtype: "f64".into(), kind: ColumnKind::Numeric,
///     categories: vec![], nullable: false };
/// let schema = Schema { task: Task::Regression, columns: vec![column], target: Some("y".into()),
///     target_dtype: Some("f64".into()), classes: vec![] };
/// let header = Header { learner: "LinearRegression".into(), kind: "linear".into(), schema,
///     params: serde_json::json!({}), metrics: BTreeMap::new(), libraries: BTreeMap::new(),
///     training_rows: 4, training_data: String::new() };
/// let mut file = ModelFile::new(header);
/// file.put("model/flags", Section::U32(vec![1, 0]));
/// file.put("encoder/fill", Section::F64(vec![0.0]));
/// file.put("encoder/mean", Section::F64(vec![]));
/// file.put("encoder/scale", Section::F64(vec![]));
/// file.put("predictor/coefficients", Section::F64(vec![1.0, 2.0]));
/// let model = oxilab_onnx::export(&file)?;
/// assert_eq!(&model[..2], [0x08, 0x08], "version 8 of ONNX's file");
/// # Ok::<(), oxilab_onnx::OnnxError>(())
/// ```
///
/// # Errors
/// [`OnnxError::Unsupported`] if ONNX's operators do not say what the model does: it stands behind a
/// pipeline, is a neighbours', calibrated or seasonal model, or has trees of an unusual kind.
/// [`OnnxError::Damaged`] if parts of the file are missing or contradict each other.
pub fn export(file: &ModelFile) -> Result<Vec<u8>> {
    let header = &file.header;
    let parts = Parts { file };
    let mut graph = Graph::default();
    match header.kind.as_str() {
        "linear" => linear::linear(&mut graph, &parts)?,
        "logistic" => linear::logistic(&mut graph, &parts)?,
        "forest" => forest::write(&mut graph, &parts)?,
        "lightgbm" => lightgbm::write(&mut graph, &parts)?,
        "xgboost" => xgboost::write(&mut graph, &parts)?,
        "isolation" => isolation::write(&mut graph, &parts)?,
        "net" => net::write(&mut graph, &parts)?,
        "bayes" => plain::bayes(&mut graph, &parts)?,
        "kmeans" => plain::kmeans(&mut graph, &parts)?,
        "pca" => plain::pca(&mut graph, &parts)?,
        kind if kind.starts_with("pipeline/") => {
            return Err(parts.unsupported("ONNX has no operators for the steps of its pipeline"));
        }
        kind => return Err(parts.unsupported(format!("models of the kind {kind} are not written"))),
    }
    let notes = [
        ("oxilab.learner", header.learner.clone()),
        ("oxilab.task", header.schema.task.to_string()),
        ("oxilab.classes", header.schema.classes.join("\n")),
    ];
    let bytes = graph.finish(&header.learner, &notes);
    if bytes.len() > graph::MOST {
        return Err(parts.unsupported("it would be larger than the 2 GB of an ONNX file"));
    }
    Ok(bytes)
}
