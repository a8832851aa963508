//! A step that is a function.

use std::fmt;
use std::sync::Arc;

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::step::{self, Step};
use crate::error::{DataError, Result};

/// Any error of a user's function will do.
type Outcome = Result<DataFrame, Box<dyn std::error::Error + Send + Sync>>;
type Function = Arc<dyn Fn(&DataFrame) -> Outcome + Send + Sync>;

/// A step that is a function of the frame and learns nothing.
///
/// ```
/// use oxilab_data::{Custom, DataFrameExt, Pipeline};
/// use polars::prelude::*;
/// let log = Custom::new("log", |df| Ok(df.with_columns([col("x").log(lit(10.0))])?));
/// let df = df!("x" => [100.0])?;
/// let out = Pipeline::new().with(log).fit(&df)?.transform(&df)?;
/// assert_eq!(out.column("x")?.f64()?.get(0), Some(2.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
pub struct Custom {
    name: String,
    #[serde(skip)]
    function: Option<Function>,
}

impl Custom {
    /// A step by its name, which a saved pipeline keeps, and its function.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        function: impl Fn(&DataFrame) -> Result<DataFrame, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self { name: name.into(), function: Some(Arc::new(function)) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        let doing = || format!("custom step {:?}", self.name);
        let Some(function) = &self.function else {
            return Err(DataError::invalid(
                doing(),
                "its function is not in the file; give it with FittedPipeline::with_custom",
            ));
        };
        function(df).map_err(|e| DataError::invalid(doing(), e.to_string()))
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Step for Custom {
    fn fit(&self, _: &DataFrame) -> Result<step::Fitted> {
        Ok(step::Fitted::Custom(self.clone()))
    }
}
