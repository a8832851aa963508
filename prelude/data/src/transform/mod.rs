//! Transform: steps that learn from training rows alone and are then applied to any rows.
//!
//! ```
//! use oxilab_data::{Pipeline, OneHotEncoder, StandardScaler, train_test_split};
//! use polars::prelude::*;
//!
//! let df = oxilab_data::datasets::iris()?;
//! let (train, test) = train_test_split(&df, 0.2, 42)?;
//! let pipeline = Pipeline::new()
//!     .with(StandardScaler::new(["sepal_length", "petal_length"]))
//!     .with(OneHotEncoder::new(["species"]))
//!     .fit(&train)?;
//! let ready = pipeline.transform(&test)?;
//! assert_eq!(ready.width(), 4 + 3);
//! # Ok::<(), oxilab_data::DataError>(())
//! ```
//!
//! | step | as in scikit-learn | learns |
//! |---|---|---|
//! | [`Imputer`] | `SimpleImputer` | a fill value per column |
//! | [`StandardScaler`], [`MinMaxScaler`], [`RobustScaler`] | same | centre and scale |
//! | [`QuantileTransformer`] | same | quantiles |
//! | [`Binner`] | `KBinsDiscretizer` | edges |
//! | [`OneHotEncoder`], [`OrdinalEncoder`] | same | categories |
//! | [`TargetEncoder`] | same (cross-fitted) | target mean per category |
//! | [`HashingVectorizer`], [`TfidfVectorizer`] | same | nothing; words and their weights |
//! | [`DateParts`], [`PolynomialFeatures`] | –, same | nothing |
//! | [`Pca`] | `PCA` | components |
//! | [`Custom`] | `FunctionTransformer` | nothing |
//!
//! A fitted pipeline knows the schema it was fitted on and refuses frames that differ; it is saved
//! as JSON and named by the hash of its content. A learner as its last step: `oxilab_model::PipelineExt`.

mod bin;
mod conform;
mod custom;
mod dates;
mod encode;
mod fitted;
mod impute;
mod pca;
mod poly;
mod quantile;
mod scale;
mod select;
mod step;
mod target;
mod text;

pub use bin::Binner;
pub use custom::Custom;
pub use dates::DateParts;
pub use encode::{OneHotEncoder, OrdinalEncoder};
pub use fitted::FittedPipeline;
pub use impute::{Imputer, Strategy};
pub use pca::Pca;
pub use poly::PolynomialFeatures;
pub use quantile::QuantileTransformer;
pub use scale::{MinMaxScaler, RobustScaler, StandardScaler};
pub use select::Select;
pub use step::{Fitted, Step};
pub use target::TargetEncoder;
pub use text::{HashingVectorizer, TfidfVectorizer};

use std::fmt;
use std::sync::Arc;

use polars::prelude::*;

use crate::error::Result;

/// Steps to be fitted one after another.
#[derive(Clone, Default)]
pub struct Pipeline {
    steps: Vec<Arc<dyn Step>>,
    target: Option<String>,
}

impl Pipeline {
    /// Without steps.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a step.
    #[must_use]
    pub fn with(mut self, step: impl Step + 'static) -> Self {
        self.steps.push(Arc::new(step));
        self
    }

    /// Names the target: it passes through untouched, selectors such as [`Select::Numeric`] do not
    /// choose it, and frames to transform may lack it.
    #[must_use]
    pub fn with_target(mut self, column: impl Into<String>) -> Self {
        self.target = Some(column.into());
        self
    }

    /// The names of the steps, for example `StandardScaler`.
    #[must_use]
    pub fn step_names(&self) -> Vec<&str> {
        self.steps.iter().map(|step| step.name()).collect()
    }

    /// Learns from `train` alone.
    ///
    /// # Errors
    /// When a step cannot learn from its columns; the message names both.
    pub fn fit(&self, train: &DataFrame) -> Result<FittedPipeline> {
        Ok(self.fit_transform(train)?.0)
    }

    /// Learns from `train` and transforms it. Where a step is cross-fitted ([`TargetEncoder`]), a
    /// training row is transformed by what was learnt from the other rows.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    pub fn fit_transform(&self, train: &DataFrame) -> Result<(FittedPipeline, DataFrame)> {
        let mut df = train.clone();
        let mut steps = Vec::with_capacity(self.steps.len());
        let mut optional: Vec<String> = self.target.iter().cloned().collect();
        for step in &self.steps {
            oxilab_runtime::cancel::poll();
            // The target may be asked for by a step that says so; no other learns from it.
            let hidden = self.target.as_ref().filter(|_| step.target().is_none());
            let (fitted, transformed) = match hidden {
                Some(target) if df.column(target).is_ok() => {
                    let fitted = step.fit(&df.drop(target)?)?;
                    let transformed = fitted.transform(&df)?;
                    (fitted, transformed)
                }
                _ => step.fit_transform(&df)?,
            };
            optional.extend(step.target().map(str::to_owned));
            steps.push(fitted);
            df = transformed;
        }
        Ok((FittedPipeline::new(train, steps, &optional), df))
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipeline({})", self.step_names().join(", "))
    }
}
