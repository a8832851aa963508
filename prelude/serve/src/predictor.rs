//! A model file that answers: [`Predictor`], [`Predictions`].

use std::path::Path;

use oxilab_model::schema::Schema;
use oxilab_model::{FittedModel, LightGbm};
use polars::prelude::{AnyValue, Column, DataFrame, Series};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::drift::{Drift, DriftReport};
use crate::error::{Result, ServeError, While};
use crate::locate::Located;
use crate::performance::Performance;
use crate::reference::load_reference;

/// A loaded model with its version and, if there is one, its reference.
#[derive(Clone)]
pub struct Predictor {
    model: FittedModel,
    version: String,
    reference: Option<DataFrame>,
    usual: Option<Performance>,
}

impl Predictor {
    /// Loads a model file, ours or LightGBM's text, and the reference beside it.
    ///
    /// # Errors
    /// If the file cannot be read or is no model, or the reference is damaged.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(ServeError::io("loading the model from", path))?;
        let model = match std::str::from_utf8(&bytes) {
            Ok(text) if text.starts_with("tree\n") => LightGbm::from_native(text)?,
            _ => FittedModel::from_bytes(&bytes)?,
        };
        let mut predictor = Self { model, version: digest(&bytes), reference: None, usual: None };
        if let Some(frame) = load_reference(path)? {
            predictor = predictor.with_reference(&frame)?;
        }
        Ok(predictor)
    }

    /// Loads what an address means (see [`locate`](crate::locate)); the version is the registry's,
    /// where it numbers the model.
    ///
    /// # Errors
    /// As [`Predictor::open`].
    pub fn open_at(place: &Located) -> Result<Self> {
        let mut predictor = Self::open(&place.path)?;
        if let Some(version) = &place.version {
            predictor.version.clone_from(version);
        }
        Ok(predictor)
    }

    /// A predictor of a model in memory.
    ///
    /// # Errors
    /// If the model cannot be written as bytes, which its version is made of.
    pub fn new(model: FittedModel) -> Result<Self> {
        let version = digest(&model.to_bytes()?);
        Ok(Self { model, version, reference: None, usual: None })
    }

    /// The same with a reference for drift; its predictions become a part of it.
    ///
    /// # Errors
    /// If the model cannot predict the frame.
    pub fn with_reference(mut self, frame: &DataFrame) -> Result<Self> {
        let names = self.schema().names();
        let input = frame.select(names).doing("selecting the columns of the reference")?;
        let predictions = self.predict(&input)?;
        self.usual = self.schema().target.clone().and_then(|target| {
            let labels = frame.column(&target).ok()?.as_materialized_series();
            Performance::of(self.model.task(), &predictions.json_values(), &json_column(labels))
        });
        self.reference = Some(predictions.captured(&input)?);
        Ok(self)
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &FittedModel {
        &self.model
    }

    /// What it reads and answers.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        self.model.schema()
    }

    /// The registry's number, or the first 12 hexadecimal digits of the file's SHA-256.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The reference rows with their predictions.
    #[must_use]
    pub fn reference(&self) -> Option<&DataFrame> {
        self.reference.as_ref()
    }

    /// How well it did on the reference rows, if these hold the target.
    #[must_use]
    pub fn usual(&self) -> Option<&Performance> {
        self.usual.as_ref()
    }

    /// Predicts a frame, for classifiers with probabilities.
    ///
    /// # Errors
    /// [`ServeError::Model`] naming the column that does not fit.
    pub fn predict(&self, df: &DataFrame) -> Result<Predictions> {
        let (values, probabilities) = self.model.predict_both(df)?;
        Ok(Predictions { values, probabilities })
    }

    /// Drift of a frame of inputs and predictions against the reference; `None` without one.
    ///
    /// # Errors
    /// As [`Drift::compare`].
    pub fn drift(&self, current: &DataFrame, how: Drift) -> Result<Option<DriftReport>> {
        self.reference.as_ref().map(|reference| how.compare(reference, current)).transpose()
    }
}

/// What a model said about a frame.
#[derive(Clone, Debug)]
pub struct Predictions {
    values: Series,
    probabilities: Option<DataFrame>,
}

impl Predictions {
    /// The predictions, one per row.
    #[must_use]
    pub fn values(&self) -> &Series {
        &self.values
    }

    /// The probability of every class; classifiers only.
    #[must_use]
    pub fn probabilities(&self) -> Option<&DataFrame> {
        self.probabilities.as_ref()
    }

    /// The predictions as JSON values.
    #[must_use]
    pub fn json_values(&self) -> Vec<Value> {
        json_column(&self.values)
    }

    /// The predictions of some of the rows.
    #[must_use]
    pub fn slice(&self, from: usize, rows: usize) -> Self {
        let offset = i64::try_from(from).unwrap_or(i64::MAX);
        Self {
            values: self.values.slice(offset, rows),
            probabilities: self.probabilities.as_ref().map(|frame| frame.slice(offset, rows)),
        }
    }

    /// Row after row, the probability of every class by name.
    #[must_use]
    pub fn json_probabilities(&self) -> Option<Vec<Value>> {
        let frame = self.probabilities.as_ref()?;
        let mut rows = vec![Map::new(); frame.height()];
        for column in frame.columns() {
            let values = column.as_materialized_series().iter();
            for (row, value) in rows.iter_mut().zip(values) {
                row.insert(column.name().to_string(), json_of(&value));
            }
        }
        Some(rows.into_iter().map(Value::Object).collect())
    }

    /// The answer of `/predict`: for a single row `prediction`, `probability` (of the predicted class)
    /// and `probabilities`, else lists `predictions` and `probabilities`.
    #[must_use]
    pub fn typed(&self, single: bool) -> Value {
        let values = self.json_values();
        let probabilities = self.json_probabilities();
        if !single {
            let mut answer = json!({"predictions": values});
            if let Some(probabilities) = probabilities {
                answer["probabilities"] = Value::Array(probabilities);
            }
            return answer;
        }
        let value = values.into_iter().next().unwrap_or(Value::Null);
        let mut answer = json!({"prediction": value});
        if let Some(row) = probabilities.and_then(|rows| rows.into_iter().next()) {
            let best = row.as_object().into_iter().flat_map(Map::values).filter_map(Value::as_f64);
            let name = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            answer["probability"] =
                row.get(&name).cloned().unwrap_or_else(|| json!(best.fold(0.0, f64::max)));
            answer["probabilities"] = row;
        }
        answer
    }

    /// `{"predictions": [...]}`, as `MLflow`'s clients read it, and `TensorFlow` Serving's that asked with
    /// `instances`.
    #[must_use]
    pub fn mlflow(&self) -> Value {
        json!({"predictions": self.json_values()})
    }

    /// `{"outputs": [...]}`, as `TensorFlow` Serving's clients read it that asked with `inputs`, column by
    /// column.
    ///
    /// ```
    /// # use oxilab_model::LinearRegression;
    /// # use oxilab_serve::Predictor;
    /// # use polars::prelude::df;
    /// let rows = df!("x" => [1.0, 2.0, 3.0], "y" => [2.0, 4.0, 6.0])?;
    /// let predictor = Predictor::new(LinearRegression::new().fit(&rows, "y")?)?;
    /// let answer = predictor.predict(&rows)?.columnar();
    /// assert_eq!(answer["outputs"].as_array().map(Vec::len), Some(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn columnar(&self) -> Value {
        json!({"outputs": self.json_values()})
    }

    /// The inputs with a column `prediction`, as they are captured.
    ///
    /// # Errors
    /// If the rows are not as many.
    pub fn captured(&self, input: &DataFrame) -> Result<DataFrame> {
        let mut columns: Vec<Column> = input.columns().to_vec();
        columns.retain(|column| column.name() != "prediction");
        columns.push(self.values.clone().with_name("prediction".into()).into());
        DataFrame::new(input.height(), columns).doing("joining inputs and predictions")
    }
}

/// The first 12 hexadecimal digits of the SHA-256 of a model's bytes.
fn digest(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..6])
}

/// A column as JSON values.
pub(crate) fn json_column(values: &Series) -> Vec<Value> {
    values.iter().map(|value| json_of(&value)).collect()
}

fn json_of(value: &AnyValue<'_>) -> Value {
    match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(value) => json!(value),
        AnyValue::String(text) => json!(text),
        AnyValue::StringOwned(text) => json!(text.as_str()),
        AnyValue::Float64(value) => json!(value),
        AnyValue::Float32(value) => json!(value),
        AnyValue::UInt64(value) => json!(value),
        other => match other.extract::<i64>() {
            Some(number) if other.dtype().is_integer() => json!(number),
            _ => json!(other.to_string()),
        },
    }
}
