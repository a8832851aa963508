//! What a model file says about its model: [`Header`], [`Schema`], [`Column`], [`Task`].

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What a model does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Two classes.
    Binary,
    /// Three or more classes.
    Multiclass,
    /// A number.
    Regression,
    /// The cluster of a row; there is no target.
    Clustering,
    /// New columns from old ones (PCA); there is no target.
    Decomposition,
    /// Whether a row is unlike the others; there is no target.
    Anomaly,
}

impl Task {
    /// Whether the model has classes and probabilities.
    #[must_use]
    pub fn is_classification(self) -> bool {
        matches!(self, Self::Binary | Self::Multiclass)
    }

    /// Whether the model was fitted to a target.
    #[must_use]
    pub fn is_supervised(self) -> bool {
        self.is_classification() || self == Self::Regression
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binary => "binary classification",
            Self::Multiclass => "multiclass classification",
            Self::Regression => "regression",
            Self::Clustering => "clustering",
            Self::Decomposition => "decomposition",
            Self::Anomaly => "anomaly detection",
        })
    }
}

/// How a model reads a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// A number; missing allowed where `nullable`.
    Numeric,
    /// True or false.
    Boolean,
    /// One of `categories`.
    Categorical,
}

/// An input column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its polars type in the training frame, for example `f64`, `str`, `cat`.
    pub dtype: String,
    /// How the model reads it.
    pub kind: ColumnKind,
    /// The categories seen in training, sorted; empty unless categorical.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Whether it had missing values in training.
    #[serde(default)]
    pub nullable: bool,
}

/// Input and output of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// What it does.
    pub task: Task,
    /// The columns it reads, in the order of training.
    pub columns: Vec<Column>,
    /// The column it was fitted to, if any.
    pub target: Option<String>,
    /// The polars type of the target, for example `str`.
    pub target_dtype: Option<String>,
    /// The classes, sorted, as text; empty unless a classifier.
    #[serde(default)]
    pub classes: Vec<String>,
}

impl Schema {
    /// The names of the input columns.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|column| column.name.as_str()).collect()
    }

    /// The input column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

/// Everything about a model but its numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The learner, for example `RandomForest`.
    pub learner: String,
    /// Which reader its sections need, for example `forest`.
    pub kind: String,
    /// Input and output.
    pub schema: Schema,
    /// The learner's parameters.
    pub params: serde_json::Value,
    /// Numbers that were recorded with the model, for example a validation score.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// Versions of the libraries that made it.
    pub libraries: BTreeMap<String, String>,
    /// Rows of the training frame.
    pub training_rows: u64,
    /// SHA-256 of the training frame, in hexadecimal.
    pub training_data: String,
}
