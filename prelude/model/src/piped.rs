//! A learner as the last step of a pipeline: [`PipelineExt`], [`Piped`].
//!
//! What comes of a fit is a [`FittedModel`] as any other: its schema is that of the raw frame, and
//! frames go through the fitted pipeline before its encoder sees them. Its file holds both. There
//! the kind is `pipeline/KIND`, so that a reader that knows no pipelines refuses the file instead of
//! predicting from raw values.

use std::fmt;

use oxilab_data::{FittedPipeline, Pipeline};
use oxilab_model_format::{
    Column as SchemaColumn, ColumnKind, FormatError, Header, ModelFile, Schema, Section,
};
use polars::prelude::*;

use crate::encode;
use crate::error::{ModelError, Result, While};
use crate::fitted::FittedModel;
use crate::isolation::IsolationForest;
use crate::kmeans::KMeans;
use crate::learner::{Estimator, hash_frame, params_of};
use crate::observed;
use crate::pca::Pca;
use crate::predictor::damaged;
use crate::target::column_of;
use crate::weights;

/// Before the kind of the learner in a file.
const PREFIX: &str = "pipeline/";

/// More categories than this, or fewer than two rows for each, are not listed in the schema: it is
/// text, or an identifier.
const MOST_CATEGORIES: usize = 1000;

/// Puts a learner behind a pipeline: [`PipelineExt::then`].
pub trait PipelineExt {
    /// The pipeline with a learner as its last step, as scikit-learn's
    /// `make_pipeline(StandardScaler(), LogisticRegression())`.
    ///
    /// It is a learner like any other: in [`cross_validate`](crate::cross_validate) and in the
    /// objective of a [`Study`](crate::Study) the steps learn from the training rows of each fold
    /// alone.
    ///
    /// ```
    /// use oxilab_data::{Pipeline, Select, StandardScaler, train_test_split};
    /// use oxilab_model::{LogisticRegression, PipelineExt, cross_validate, load};
    ///
    /// let wine = oxilab_data::datasets::wine()?;
    /// let (train, test) = train_test_split(&wine, 0.25, 1)?;
    /// let steps = Pipeline::new().with(StandardScaler::new(Select::Numeric));
    /// let learner = steps.then(LogisticRegression::new());
    /// assert!(cross_validate(&learner, &train, "cultivar", 5)?.score() > 0.9);
    ///
    /// let model = learner.fit(&train, "cultivar")?;
    /// let folder = tempfile::tempdir()?;
    /// model.save(folder.path().join("wine.oxm"))?;
    /// let again = load(folder.path().join("wine.oxm"))?;
    /// // Raw rows go in: the file holds the scaler as well.
    /// assert!(again.predict(&test)?.equals(&model.predict(&test)?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`KMeans`], [`Pca`] and [`IsolationForest`] can stand there as well; their `fit` needs no target:
    ///
    /// ```
    /// use oxilab_data::{Imputer, Pipeline, Select};
    /// use oxilab_model::{KMeans, PipelineExt};
    ///
    /// let iris = oxilab_data::datasets::iris()?.drop("species")?;
    /// let steps = Pipeline::new().with(Imputer::new(Select::Numeric));
    /// let model = steps.then(KMeans::new().with_n_clusters(3)).fit(&iris)?;
    /// assert_eq!(model.predict(&iris)?.len(), 150);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    fn then<E: LastStep>(self, learner: E) -> Piped<E>;
}

impl PipelineExt for Pipeline {
    fn then<E: LastStep>(self, learner: E) -> Piped<E> {
        Piped::new(self, learner)
    }
}

/// What can stand at the end of a pipeline: every [`Estimator`], and the learners without a target that
/// make a model, [`KMeans`], [`Pca`] and [`IsolationForest`].
pub trait LastStep {
    /// The learner's name, as in code.
    fn step_name(&self) -> &str;
}

impl<E: Estimator> LastStep for E {
    fn step_name(&self) -> &str {
        self.name()
    }
}

/// A learner behind a pipeline; see [`PipelineExt::then`].
///
/// The target passes the steps untouched, and no step but those that name it
/// ([`TargetEncoder`](oxilab_data::TargetEncoder)) learns from it. Steps must keep the rows. Frames
/// to validate on that a boosted learner was given are raw frames too.
#[derive(Clone)]
pub struct Piped<E> {
    pipeline: Pipeline,
    learner: E,
    name: String,
}

impl<E: LastStep> Piped<E> {
    /// The steps of a pipeline, then a learner.
    #[must_use]
    pub fn new(pipeline: Pipeline, learner: E) -> Self {
        let mut parts = pipeline.step_names();
        parts.push(learner.step_name());
        let name = format!("Pipeline({})", parts.join(", "));
        Self { pipeline, learner, name }
    }
}

impl<E> Piped<E> {
    /// A learner's parameters, and the names of the steps as `pipeline`.
    fn params_with(&self, learner: &serde_json::Value) -> serde_json::Value {
        let mut params = learner.as_object().cloned().unwrap_or_default();
        params.insert("pipeline".to_owned(), self.pipeline.step_names().into());
        params.into()
    }

    /// Fits the steps to `train`, and `learn` makes a model of what they make of it. Weights of rows
    /// pass the steps untouched.
    fn fit_with(
        &self,
        train: &DataFrame,
        target: Option<&str>,
        weight: Option<&str>,
        params: serde_json::Value,
        learn: impl FnOnce(&FittedPipeline, &DataFrame) -> Result<FittedModel>,
    ) -> Result<FittedModel> {
        let (rows, _) = weights::split(train, weight, target)?;
        let mut pipeline = self.pipeline.clone();
        if let Some(target) = target {
            column_of(train, target)?;
            pipeline = pipeline.with_target(target);
        }
        let (pipeline, mut prepared) = pipeline.fit_transform(&rows)?;
        same_rows(train, &prepared)?;
        if let Some(weight) = weight {
            let weights = column_of(train, weight)?.clone();
            prepared.with_column(weights).doing("adding the weights")?;
        }
        let model = learn(&pipeline, &prepared)?;
        let raw = rows.columns().iter().filter(|column| Some(column.name().as_str()) != target);
        let learnt = model.header();
        let header = Header {
            learner: self.name.clone(),
            schema: Schema { columns: raw.map(describe).collect(), ..learnt.schema.clone() },
            params,
            training_data: hash_frame(train)?,
            ..learnt.clone()
        };
        Ok(model.behind(pipeline, header))
    }
}

impl<E: Estimator> Piped<E> {
    /// Fits the steps to `train`, and the learner to what they make of it.
    ///
    /// # Errors
    /// If a step or the learner cannot use a column or the target, or a step drops or adds rows.
    pub fn fit(&self, train: &DataFrame, target: &str) -> Result<FittedModel> {
        let weight = self.learner.sample_weight();
        let learn = |pipeline: &FittedPipeline, prepared: &DataFrame| {
            self.learner.fit_behind(pipeline, prepared, target)
        };
        let fit = || self.fit_with(train, Some(target), weight, self.params(), learn);
        observed::fit(&self.name, || self.params(), train, fit)
    }
}

/// Learners without a target at the end of a pipeline; `$weight` is the column of weights, if they take
/// one.
macro_rules! without_target {
    ($name:ident, $weight:expr) => {
        impl LastStep for $name {
            fn step_name(&self) -> &str {
                stringify!($name)
            }
        }

        impl Piped<$name> {
            /// Fits the steps to `df`, and the learner to what they make of it.
            ///
            /// # Errors
            /// If a step or the learner cannot use a column, or a step drops or adds rows.
            pub fn fit(&self, df: &DataFrame) -> Result<FittedModel> {
                let weight: fn(&$name) -> Option<&str> = $weight;
                let params = || self.params_with(&params_of(&self.learner));
                let learn = |_: &FittedPipeline, prepared: &DataFrame| self.learner.fit(prepared);
                let fit = || self.fit_with(df, None, weight(&self.learner), params(), learn);
                observed::fit(&self.name, params, df, fit)
            }
        }
    };
}

without_target!(KMeans, |learner| learner.weight_column());
without_target!(Pca, |_| None);
without_target!(IsolationForest, |_| None);

impl<E: Estimator> Estimator for Piped<E> {
    fn name(&self) -> &str {
        &self.name
    }

    /// The learner's, and the names of the steps as `pipeline`.
    fn params(&self) -> serde_json::Value {
        self.params_with(&self.learner.params())
    }

    fn fit(&self, train: &DataFrame, target: &str) -> Result<FittedModel> {
        self.fit(train, target)
    }

    fn parallel(&self) -> bool {
        self.learner.parallel()
    }

    fn sample_weight(&self) -> Option<&str> {
        self.learner.sample_weight()
    }
}

impl<E> fmt::Debug for Piped<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What a pipeline makes of a raw frame.
pub(crate) fn transform(pipeline: &FittedPipeline, df: &DataFrame) -> Result<DataFrame> {
    let prepared = pipeline.transform(&pipeline.conform(df)?)?;
    same_rows(df, &prepared)?;
    Ok(prepared)
}

fn same_rows(raw: &DataFrame, prepared: &DataFrame) -> Result<()> {
    if raw.height() == prepared.height() {
        return Ok(());
    }
    Err(ModelError::data(
        format!("the pipeline makes {} rows of {}", prepared.height(), raw.height()),
        "before a learner, steps must keep the rows: filter the frame before fitting",
    ))
}

/// A raw column for the schema. Times and free text, which only a step reads, count as text.
fn describe(column: &Column) -> SchemaColumn {
    let described = encode::describe(column).unwrap_or_else(|_| SchemaColumn {
        name: column.name().to_string(),
        dtype: column.dtype().to_string(),
        kind: ColumnKind::Categorical,
        categories: Vec::new(),
        nullable: column.null_count() > 0,
    });
    let count = described.categories.len();
    let listed = count <= MOST_CATEGORIES && 2 * count <= column.len();
    let categories = if listed { described.categories } else { Vec::new() };
    SchemaColumn { categories, ..described }
}

/// Puts a pipeline into a model's file, and the columns that the learner reads behind it.
pub(crate) fn write(
    pipeline: &FittedPipeline,
    columns: &[SchemaColumn],
    file: &mut ModelFile,
) -> Result<()> {
    file.header.kind.insert_str(0, PREFIX);
    file.put("pipeline", Section::Bytes(pipeline.to_json()?.into_bytes()));
    let columns = serde_json::to_vec(columns).map_err(FormatError::from)?;
    file.put("encoder/columns", Section::Bytes(columns));
    Ok(())
}

/// The learner's kind, the pipeline, and the columns behind it, if the file has a pipeline.
pub(crate) fn read(
    file: &ModelFile,
) -> Result<Option<(String, FittedPipeline, Vec<SchemaColumn>)>> {
    let Some(kind) = file.header.kind.strip_prefix(PREFIX) else { return Ok(None) };
    let text = std::str::from_utf8(file.bytes("pipeline")?)
        .map_err(|_| damaged("its pipeline is not UTF-8"))?;
    let pipeline = FittedPipeline::from_json(text)?;
    let columns = serde_json::from_slice(file.bytes("encoder/columns")?)
        .map_err(|error| damaged(format!("the columns behind its pipeline: {error}")))?;
    Ok(Some((kind.to_owned(), pipeline, columns)))
}
