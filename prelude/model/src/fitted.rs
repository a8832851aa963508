//! A fitted model of any learner: [`FittedModel`].

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use oxilab_data::{Custom, FittedPipeline};
use oxilab_model_format::{Header, ModelFile, Schema, Section, Task};
use polars::prelude::*;

use crate::encode::{Encoder, Encoding, Unseen};
use crate::error::{ModelError, Result, While};
use crate::evaluate::{Evaluation, evaluate};
use crate::learner::Learned;
use crate::matrix::{Matrix, float};
use crate::piped;
use crate::predictor::{self, Output, Predictor, Reader, Sections, consistent, damaged};
use crate::series::Shape;
use crate::target::{Target, TargetReader};

/// A fitted model: predicts frames that have the columns of the training frame.
///
/// All learners give this one type, so that tracking, serving and plots need to know no other. Cloning
/// is cheap.
///
/// ```
/// use polars::prelude::*;
/// let train = df!("x" => [1.0, 2.0, 3.0, 4.0], "y" => [2.0, 4.0, 6.0, 8.0])?;
/// let model = oxilab_model::LinearRegression::new().fit(&train, "y")?;
/// let price = model.predict(&df!("x" => [5.0])?)?;
/// assert!((price.f64()?.get(0).unwrap() - 10.0).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct FittedModel {
    header: Header,
    /// What frames go through before the encoder sees them.
    pipeline: Option<Arc<FittedPipeline>>,
    encoder: Arc<Encoder>,
    reader: Option<Arc<TargetReader>>,
    predictor: Arc<dyn Predictor>,
    history: Arc<Vec<(String, Vec<f64>)>>,
    unseen: Unseen,
    threshold: f64,
}

impl FittedModel {
    pub(crate) fn assemble(
        header: Header,
        encoder: Encoder,
        reader: Option<TargetReader>,
        learned: Learned,
    ) -> Self {
        Self {
            header,
            pipeline: None,
            encoder: Arc::new(encoder),
            reader: reader.map(Arc::new),
            predictor: Arc::from(learned.predictor),
            history: Arc::new(learned.history),
            unseen: Unseen::Error,
            threshold: 0.5,
        }
    }

    /// The model of a pipeline and the learner behind it: it reads raw frames, and `header` says so.
    pub(crate) fn behind(mut self, pipeline: FittedPipeline, header: Header) -> Self {
        self.pipeline = Some(Arc::new(pipeline));
        self.header = header;
        self
    }

    /// What frames go through before the learner reads them, for a model that was fitted behind a
    /// [`Pipeline`](oxilab_data::Pipeline); see [`crate::PipelineExt`].
    #[must_use]
    pub fn pipeline(&self) -> Option<&FittedPipeline> {
        self.pipeline.as_deref()
    }

    /// Gives the function of a custom step of its pipeline, which a file does not hold; steps are
    /// matched by name.
    #[must_use]
    pub fn with_custom(mut self, custom: &Custom) -> Self {
        self.pipeline = self
            .pipeline
            .map(|pipeline| Arc::new(Arc::unwrap_or_clone(pipeline).with_custom(custom)));
        self
    }

    /// The learner's name, for example `RandomForest`.
    #[must_use]
    pub fn learner(&self) -> &str {
        &self.header.learner
    }

    /// What the model does.
    #[must_use]
    pub fn task(&self) -> Task {
        self.header.schema.task
    }

    /// Input columns with their types and categories, target, task and classes.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.header.schema
    }

    /// The classes, sorted, as text; empty unless a classifier.
    #[must_use]
    pub fn classes(&self) -> &[String] {
        &self.header.schema.classes
    }

    /// The learner's parameters.
    #[must_use]
    pub fn params(&self) -> &serde_json::Value {
        &self.header.params
    }

    /// Numbers recorded with the model: best validation score, best iteration, and what
    /// [`FittedModel::with_metrics`] added.
    #[must_use]
    pub fn metrics(&self) -> &BTreeMap<String, f64> {
        &self.header.metrics
    }

    /// Everything that is saved but the numbers: schema, parameters, library versions, hash of the
    /// training frame.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Records metrics with the model, for example those of an [`Evaluation`]. Numbers that are not
    /// finite are left out.
    #[must_use]
    pub fn with_metrics<K: Into<String>>(
        mut self,
        metrics: impl IntoIterator<Item = (K, f64)>,
    ) -> Self {
        let finite = metrics.into_iter().filter(|(_, value)| value.is_finite());
        self.header.metrics.extend(finite.map(|(name, value)| (name.into(), value)));
        self
    }

    /// Treats categories that were not in the training frame as missing instead of as an error. Is
    /// saved with the model.
    #[must_use]
    pub fn with_unseen_as_missing(mut self, missing: bool) -> Self {
        self.unseen = if missing { Unseen::Missing } else { Unseen::Error };
        self
    }

    /// For two classes, predicts the second where its probability is at least `threshold` (0.5). Is
    /// saved with the model. See [`crate::best_threshold`].
    #[must_use]
    pub fn with_threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    /// The threshold of [`FittedModel::with_threshold`].
    #[must_use]
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Predicts a frame: classes in the target's type, numbers, cluster numbers, or for anomaly
    /// detection whether the row is one. The series is named `prediction`.
    ///
    /// # Errors
    /// If a column is missing, has another type, an infinite value or an unseen category.
    pub fn predict(&self, df: &DataFrame) -> Result<Series> {
        self.values(self.output(df)?)
    }

    /// The probability of every class, in a column named as the class.
    ///
    /// # Errors
    /// As [`FittedModel::predict`]; and if the model is no classifier.
    pub fn predict_proba(&self, df: &DataFrame) -> Result<DataFrame> {
        self.class_frame(&self.probabilities(df)?, df.height())
    }

    /// What [`FittedModel::predict`] and, for classifiers, [`FittedModel::predict_proba`] give, from one
    /// pass over the model.
    ///
    /// # Errors
    /// As [`FittedModel::predict`].
    pub fn predict_both(&self, df: &DataFrame) -> Result<(Series, Option<DataFrame>)> {
        match self.output(df)? {
            Output::Probabilities(p) => {
                let frame = self.class_frame(&p, df.height())?;
                Ok((self.values(Output::Probabilities(p))?, Some(frame)))
            }
            output => Ok((self.values(output)?, None)),
        }
    }

    fn values(&self, output: Output) -> Result<Series> {
        let name = PlSmallStr::from_static("prediction");
        match output {
            Output::Probabilities(p) => self.reader()?.classes_to_series(&self.decide(&p)),
            Output::Values(values) if self.task() == Task::Anomaly => {
                let anomalies: Vec<bool> = values.iter().map(|score| *score > 0.5).collect();
                Ok(Series::new(name, anomalies))
            }
            Output::Values(values) => Ok(Series::new(name, values)),
            Output::Labels(labels) => Ok(Series::new(name, labels)),
            Output::Columns(_) => Err(self.unsupported("predict", "use `transform`")),
        }
    }

    fn class_frame(&self, p: &[f64], rows: usize) -> Result<DataFrame> {
        let classes = self.classes();
        let columns = classes.iter().enumerate().map(|(class, name)| {
            let values: Vec<f64> = p.iter().skip(class).step_by(classes.len()).copied().collect();
            Column::new(name.as_str().into(), values)
        });
        DataFrame::new(rows, columns.collect()).doing("making the frame of probabilities")
    }

    /// A number per row: the anomaly score (about 0.5 for ordinary rows, towards 1 for anomalies), the
    /// predicted number, or for two classes the probability of the second.
    ///
    /// # Errors
    /// As [`FittedModel::predict`]; and for models without such a number.
    pub fn score(&self, df: &DataFrame) -> Result<Series> {
        let values = match self.output(df)? {
            Output::Values(values) => values,
            Output::Probabilities(p) if self.task() == Task::Binary => {
                p.iter().skip(1).step_by(2).copied().collect()
            }
            _ => {
                return Err(self.unsupported(
                    "score rows",
                    "use `predict` or `predict_proba`; its metrics are `evaluate(&df)?`",
                ));
            }
        };
        Ok(Series::new(PlSmallStr::from_static("score"), values))
    }

    /// New columns for a frame: the components of a [`crate::Pca`].
    ///
    /// # Errors
    /// As [`FittedModel::predict`]; and if the model makes no columns.
    pub fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        let Output::Columns(matrix) = self.output(df)? else {
            return Err(self.unsupported("transform", "use `predict`"));
        };
        let columns = (0..matrix.cols())
            .map(|col| Column::new(format!("pc{}", col + 1).into(), matrix.col(col)));
        DataFrame::new(matrix.rows(), columns.collect()).doing("making the frame of components")
    }

    /// All metrics of the model's task on a frame that holds the target.
    ///
    /// # Errors
    /// As [`FittedModel::predict`]; and if the target is missing or holds unknown classes.
    pub fn evaluate(&self, df: &DataFrame) -> Result<Evaluation> {
        evaluate(self, df)
    }

    /// Feature importance in the learner's own measure, highest first, in columns `feature` and
    /// `importance` (sums to 1): total gain for trees, absolute standardised coefficients for linear
    /// models. See [`crate::permutation_importance`] for a measure that fits all learners.
    ///
    /// # Errors
    /// If the learner has no such measure.
    pub fn importance(&self) -> Result<DataFrame> {
        let Some(importance) = self.predictor.importance() else {
            return Err(self.unsupported("rank features", "use `permutation_importance`"));
        };
        let total: f64 = importance.iter().sum();
        let mut pairs: Vec<(String, f64)> =
            self.encoder.feature_names().into_iter().zip(importance).collect();
        pairs.sort_by(|a, b| b.1.total_cmp(&a.1));
        let (names, values): (Vec<String>, Vec<f64>) =
            pairs.into_iter().map(|(n, v)| (n, if total > 0.0 { v / total } else { 0.0 })).unzip();
        df!("feature" => names, "importance" => values).doing("making the frame of importances")
    }

    /// Intercept and coefficients of a linear or logistic model, in columns `feature` and
    /// `coefficient` (one per class for several classes), in the units of the encoded features.
    ///
    /// # Errors
    /// If the learner has no coefficients.
    pub fn coefficients(&self) -> Result<DataFrame> {
        let details = self.predictor.details();
        if details.is_empty() {
            return Err(self.unsupported("show coefficients", "use `importance`"));
        }
        let mut names = vec!["intercept".to_owned()];
        names.extend(self.encoder.feature_names());
        let rows = names.len();
        let mut columns = vec![Column::new("feature".into(), names)];
        let (_, values) = &details[0];
        let outputs = values.len() / rows.max(1);
        for output in 0..outputs {
            let name = match self.classes() {
                classes if classes.len() > 2 && outputs == classes.len() => classes[output].clone(),
                _ => "coefficient".to_owned(),
            };
            columns.push(Column::new(name.into(), &values[output * rows..(output + 1) * rows]));
        }
        DataFrame::new(rows, columns).doing("making the frame of coefficients")
    }

    /// Metrics per iteration, in columns `iteration` and one per data set and metric; empty for
    /// learners that do not iterate.
    ///
    /// # Errors
    /// Only if polars refuses the frame.
    pub fn history(&self) -> Result<DataFrame> {
        let rows = self.history.first().map_or(0, |(_, values)| values.len());
        let iterations: Vec<u32> = (1..=u32::try_from(rows).unwrap_or(u32::MAX)).collect();
        let mut columns = vec![Column::new("iteration".into(), iterations)];
        columns.extend(self.history.iter().map(|(name, v)| Column::new(name.as_str().into(), v)));
        DataFrame::new(rows, columns).doing("making the frame of the history")
    }

    /// The history as it is kept: names and values.
    pub(crate) fn iterations(&self) -> &[(String, Vec<f64>)] {
        &self.history
    }

    /// The model in the format of the library that made it: for [`crate::LightGbm`], the text that
    /// Python's `lightgbm.Booster(model_str=…)` loads; for [`crate::XgBoost`], the JSON that Python's
    /// `xgboost.Booster().load_model(…)` loads.
    ///
    /// # Errors
    /// If the learner is our own.
    pub fn native(&self) -> Result<&str> {
        self.predictor.native().ok_or_else(|| {
            self.unsupported(
                "be written in a foreign format",
                "use `save`; LightGBM and XGBoost models can",
            )
        })
    }

    /// Writes the model to a file that [`load`] reads, aside and then renamed.
    ///
    /// # Errors
    /// If the file system refuses.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        Ok(self.to_file()?.save(path.as_ref())?)
    }

    /// Reads a model; same as [`load`].
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        load(path)
    }

    /// The bytes that [`FittedModel::save`] writes.
    ///
    /// # Errors
    /// If the header cannot be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(self.to_file()?.to_bytes()?)
    }

    /// Reads the bytes of a saved model.
    ///
    /// # Errors
    /// As [`load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_file(&ModelFile::from_bytes(bytes)?)
    }

    pub(crate) fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    pub(crate) fn predictor(&self) -> &Arc<dyn Predictor> {
        &self.predictor
    }

    pub(crate) fn encode(&self, df: &DataFrame) -> Result<Matrix> {
        let Some(pipeline) = &self.pipeline else { return self.encoder.encode(df, self.unseen) };
        // Rows to predict have no target: steps never see it, also where there is one.
        let target = self.schema().target.as_deref();
        let prepared = piped::transform(pipeline, &df.drop_many(target))?;
        self.encoder.encode(&prepared, self.unseen)
    }

    pub(crate) fn output(&self, df: &DataFrame) -> Result<Output> {
        self.predict_matrix(&self.encode(df)?)
    }

    pub(crate) fn predict_matrix(&self, x: &Matrix) -> Result<Output> {
        self.predictor.predict(x)
    }

    /// Probabilities, row after row.
    pub(crate) fn probabilities(&self, df: &DataFrame) -> Result<Vec<f64>> {
        match self.output(df)? {
            Output::Probabilities(p) => Ok(p),
            _ => Err(self.unsupported("give probabilities", "only classifiers do; use `predict`")),
        }
    }

    /// The chosen class of every row of probabilities.
    #[expect(clippy::float_cmp, reason = "0.5 is what a threshold is that nobody set")]
    pub(crate) fn decide(&self, probabilities: &[f64]) -> Vec<u32> {
        let count = self.classes().len().max(1);
        if count == 2 {
            return probabilities
                .chunks_exact(2)
                .map(|p| if self.threshold == 0.5 { p[1] > p[0] } else { p[1] >= self.threshold })
                .map(u32::from)
                .collect();
        }
        probabilities.chunks_exact(count).map(argmax).collect()
    }

    pub(crate) fn target(&self, df: &DataFrame) -> Result<Target> {
        self.reader()?.read(df)
    }

    pub(crate) fn with_predictor(&self, learner: String, predictor: impl Predictor) -> Self {
        let mut model = self.clone();
        model.header.learner = learner;
        predictor.kind().clone_into(&mut model.header.kind);
        model.predictor = Arc::new(predictor);
        model
    }

    pub(crate) fn unsupported(&self, verb: &'static str, hint: &str) -> ModelError {
        let model = format!("a {} model", self.learner());
        ModelError::Unsupported { model, verb, hint: hint.to_owned() }
    }

    pub(crate) fn reader(&self) -> Result<&TargetReader> {
        self.reader
            .as_deref()
            .ok_or_else(|| self.unsupported("use a target", "it was fitted without one"))
    }

    fn to_file(&self) -> Result<ModelFile> {
        let mut file = ModelFile::new(self.header.clone());
        if let Some(pipeline) = &self.pipeline {
            piped::write(pipeline, &self.encoder.columns, &mut file)?;
        }
        let unseen = u32::from(self.unseen == Unseen::Missing);
        let flags = match self.encoder.encoding {
            Encoding::Codes => vec![0, unseen],
            Encoding::Dense { standardize: false } => vec![1, unseen],
            Encoding::Dense { standardize: true } => vec![2, unseen],
            Encoding::Series { time } => {
                vec![3, unseen, u32::try_from(time).unwrap_or(u32::MAX)]
            }
        };
        file.put("model/flags", Section::U32(flags));
        file.put("model/threshold", Section::F64(vec![self.threshold]));
        file.put("encoder/fill", Section::F64(self.encoder.fill.clone()));
        file.put("encoder/mean", Section::F64(self.encoder.mean.clone()));
        file.put("encoder/scale", Section::F64(self.encoder.scale.clone()));
        let names: Vec<&str> = self.history.iter().map(|(name, _)| name.as_str()).collect();
        file.put("history", Section::Bytes(names.join("\n").into_bytes()));
        for (name, values) in self.history.iter() {
            file.put(format!("history/{name}"), Section::F64(values.clone()));
        }
        self.predictor.write(&mut Sections { file: &mut file, prefix: "predictor/".to_owned() });
        Ok(file)
    }

    fn from_file(file: &ModelFile) -> Result<Self> {
        let mut header = file.header.clone();
        let (pipeline, columns) = match piped::read(file)? {
            Some((kind, pipeline, columns)) => {
                header.kind = kind;
                (Some(Arc::new(pipeline)), columns)
            }
            None => (None, header.schema.columns.clone()),
        };
        let flags = file.u32("model/flags")?;
        let encoding = match flags.first() {
            Some(0) => Encoding::Codes,
            Some(1) => Encoding::Dense { standardize: false },
            Some(2) => Encoding::Dense { standardize: true },
            Some(3) => {
                let time = flags.get(2).map_or(0, |time| *time as usize);
                consistent(Shape::of(&columns, time).is_some())?;
                Encoding::Series { time }
            }
            _ => return Err(damaged("its encoding is unknown")),
        };
        let unseen = if flags.get(1) == Some(&1) { Unseen::Missing } else { Unseen::Error };
        let encoder = Encoder {
            columns,
            encoding,
            fill: file.f64("encoder/fill")?.to_vec(),
            mean: file.f64("encoder/mean")?.to_vec(),
            scale: file.f64("encoder/scale")?.to_vec(),
        };
        let features = encoder.features();
        let sized = |part: &[f64], size: usize| part.is_empty() || part.len() == size;
        consistent(sized(&encoder.fill, encoder.columns.len()))?;
        consistent(sized(&encoder.mean, features) && encoder.mean.len() == encoder.scale.len())?;
        let reader = header.schema.target.as_ref().map(|name| {
            let dtype = dtype_of(header.schema.target_dtype.as_deref().unwrap_or_default());
            let (task, classes) = (header.schema.task, header.schema.classes.clone());
            TargetReader { name: name.clone(), dtype, task, classes }
        });
        let mut history = Vec::new();
        let names = String::from_utf8_lossy(file.bytes("history")?).into_owned();
        for name in names.lines() {
            history.push((name.to_owned(), file.f64(&format!("history/{name}"))?.to_vec()));
        }
        let from = Reader { file, prefix: "predictor/".to_owned() };
        let predictor = predictor::read(&header.kind, &from)?;
        let threshold = file.f64("model/threshold")?.first().copied().unwrap_or(0.5);
        let learned = Learned { predictor, metrics: BTreeMap::new(), history };
        let model = Self::assemble(header, encoder, reader, learned);
        let model = Self { pipeline, unseen, threshold, ..model };
        model.rehearse(features)?;
        Ok(model)
    }

    /// Predicts one row of zeros, so that parts that do not fit together show at once.
    fn rehearse(&self, features: usize) -> Result<()> {
        let row = Matrix::new(1, features, vec![0.0; features]);
        let fits = match self.predict_matrix(&row)? {
            Output::Probabilities(p) => p.len() == self.classes().len(),
            Output::Values(values) => values.len() == 1,
            Output::Labels(labels) => labels.len() == 1,
            Output::Columns(matrix) => matrix.rows() == 1,
        };
        consistent(fits)
    }
}

/// Reads a model that [`FittedModel::save`] wrote.
///
/// # Errors
/// If the file is missing, damaged, or of another version of the format; never a wrong model.
pub fn load(path: impl AsRef<Path>) -> Result<FittedModel> {
    FittedModel::from_file(&ModelFile::load(path.as_ref())?)
}

/// The place of the largest value, the first of equals.
pub(crate) fn argmax(values: &[f64]) -> u32 {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    u32::try_from(best).unwrap_or(0)
}

/// The types that targets come back in; everything else comes back as text.
fn dtype_of(name: &str) -> DataType {
    match name {
        "bool" => DataType::Boolean,
        "i8" => DataType::Int8,
        "i16" => DataType::Int16,
        "i32" => DataType::Int32,
        "i64" => DataType::Int64,
        "u8" => DataType::UInt8,
        "u16" => DataType::UInt16,
        "u32" => DataType::UInt32,
        "u64" => DataType::UInt64,
        "f32" => DataType::Float32,
        "f64" => DataType::Float64,
        _ => DataType::String,
    }
}

/// The mean of some numbers; NaN if there are none.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / float(values.len())
}
