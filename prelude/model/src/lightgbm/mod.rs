//! Gradient boosting by LightGBM: [`LightGbm`].
//!
//! Training, early stopping and its history run here ([`train`]), iteration by iteration, so that
//! progress shows and an interrupt is heeded; the trees are LightGBM's own ([`library`]). Models are
//! kept as LightGBM's text, which Python's `lightgbm` reads and writes ([`native`]).

mod library;
mod nanoarrow;
mod native;
mod sound;
mod train;

use std::collections::BTreeMap;

use oxilab_model_format::Task;
use polars::prelude::DataFrame;

use crate::boost::{self, Frames, Plan, task_code, task_of};
use crate::encode::Encoding;
use crate::error::{ModelError, Result, require};
use crate::learner::{ClassWeight, Learned, Learner, Problem, config, estimator};
use crate::matrix::Matrix;
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};
use crate::target::Goal;
use crate::weights::SampleWeight;

use library::{Booster, Predict};

/// The library's name, in errors.
const LIBRARY: &str = "LightGBM";

/// The version of the bundled library.
pub(crate) const LIBRARY_VERSION: &str = "4.7.0";

config! {
    /// LightGBM (Ke et al., 2017): boosted trees for classes or numbers, as the target asks. Missing
    /// values and categories are handled natively.
    ///
    /// ```
    /// use polars::prelude::*;
    /// let x: Vec<f64> = (0..200).map(f64::from).collect();
    /// let y: Vec<bool> = x.iter().map(|x| *x > 99.5).collect();
    /// let df = df!("x" => x, "y" => y)?;
    /// let model = oxilab_model::LightGbm::new().with_n_estimators(20).fit(&df, "y")?;
    /// assert!(model.evaluate(&df)?.get("accuracy").unwrap() > 0.95);
    /// assert!(model.native()?.starts_with("tree"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    LightGbm {
        /// Iterations at most (100).
        with_n_estimators n_estimators: usize = 100;
        /// The share of each tree that counts (0.1).
        with_learning_rate learning_rate: f64 = 0.1;
        /// Leaves of a tree at most (31).
        with_num_leaves num_leaves: usize = 31;
        /// How many splits lie above a leaf at most (no limit).
        with_max_depth max_depth: Option<usize> as impl Into<Option<usize>> = None;
        /// Rows that every leaf must have (20).
        with_min_child_samples min_child_samples: usize = 20;
        /// Bins of a feature at most (255).
        with_max_bin max_bin: usize = 255;
        /// L1 penalty of the leaves (0).
        with_reg_alpha reg_alpha: f64 = 0.0;
        /// L2 penalty of the leaves (0).
        with_reg_lambda reg_lambda: f64 = 0.0;
        /// The share of rows that each tree sees (1).
        with_subsample subsample: f64 = 1.0;
        /// The share of features that each tree sees (1).
        with_colsample_bytree colsample_bytree: f64 = 1.0;
        /// LightGBM's name of the loss, if not that of the task: `regression_l1`, `poisson`, …
        with_objective objective: Option<String> = None;
        /// LightGBM's names of the metrics to watch, separated by commas, if not that of the loss.
        with_metric metric: Option<String> = None;
        /// Stop when the first metric on the first validation set has not improved for this many
        /// iterations, and keep the best. Needs [`LightGbm::with_validation`] or
        /// [`LightGbm::with_validation_fraction`].
        with_early_stopping early_stopping: Option<usize> as impl Into<Option<usize>> = None;
        /// Hold out this share of the training rows, at random, as validation set.
        with_validation_fraction validation_fraction: Option<f64> as impl Into<Option<f64>> = None;
        /// How much the rows of each class count (all the same).
        with_class_weight class_weight: ClassWeight = ClassWeight::Equal;
        /// The column that says how much each row counts (none); see [`SampleWeight`]. A frame to
        /// validate on that has it is weighted as well.
        with_sample_weight sample_weight: SampleWeight as impl Into<SampleWeight> = SampleWeight::default();
        /// For columns by name: 1 if the prediction must not fall as the column rises, −1 the reverse.
        with_monotone_constraints monotone_constraints: BTreeMap<String, i8> = BTreeMap::new();
        /// Further parameters by LightGBM's names.
        with_params params: BTreeMap<String, String> = BTreeMap::new();
        /// Threads (all cores; one for a training frame of 200 000 numbers or less). The model is the
        /// same with any number.
        with_num_threads num_threads: Option<usize> as impl Into<Option<usize>> = None;
        /// Classes or numbers, if the target's type should not decide.
        with_task task: Option<Task> as impl Into<Option<Task>> = None;
        /// The seed (0).
        with_seed seed: u64 = 0;
        /// Validation frames with the training frame's columns; see [`LightGbm::with_validation`].
        with_validations validations: Frames = Frames::default();
    }
}

impl LightGbm {
    fn plan(&self) -> Plan<'_> {
        Plan {
            library: LIBRARY,
            iterations: self.n_estimators,
            early_stopping: self.early_stopping,
            validation_fraction: self.validation_fraction,
            validations: &self.validations,
            seed: self.seed,
        }
    }

    /// Adds a validation frame with the training frame's columns: its metrics are recorded per
    /// iteration, and early stopping watches the first one.
    #[must_use]
    pub fn with_validation(mut self, frame: &DataFrame) -> Self {
        self.validations.0.push(frame.clone());
        self
    }

    /// Adds a parameter by LightGBM's name.
    #[must_use]
    pub fn with_param(mut self, name: impl Into<String>, value: impl std::fmt::Display) -> Self {
        self.params.insert(name.into(), value.to_string());
        self
    }
}

impl Learner for LightGbm {
    const NAME: &'static str = "LightGbm";
    const PARALLEL: bool = false;

    fn goal(&self) -> Goal {
        let regression =
            ["regression", "poisson", "huber", "fair", "quantile", "mape", "gamma", "tweedie"];
        let asked =
            self.objective.as_deref().is_some_and(|o| regression.iter().any(|r| o.starts_with(r)));
        Goal::Any(if asked { Some(Task::Regression) } else { self.task })
    }

    fn encoding(&self) -> Encoding {
        Encoding::Codes
    }

    fn class_weight(&self) -> ClassWeight {
        self.class_weight.clone()
    }

    fn sample_weight(&self) -> Option<&str> {
        self.sample_weight.column()
    }

    fn check(&self) -> Result<()> {
        let name = Self::NAME;
        self.plan().check(name)?;
        require(self.learning_rate > 0.0, name, "learning_rate", self.learning_rate, "above 0")?;
        require(self.num_leaves > 1, name, "num_leaves", self.num_leaves, "2 or more")?;
        let share = |value: f64| value > 0.0 && value <= 1.0;
        require(share(self.subsample), name, "subsample", self.subsample, "above 0, up to 1")?;
        let columns = self.colsample_bytree;
        require(share(columns), name, "colsample_bytree", columns, "above 0, up to 1")
    }

    fn learn(&self, problem: &Problem<'_>) -> Result<Learned> {
        train::train(self, problem)
    }
}

estimator!(LightGbm);

/// LightGBM's model and its text.
#[derive(Debug)]
pub(crate) struct LightGbmPredictor {
    text: String,
    booster: Booster,
    task: Task,
    features: usize,
}

impl LightGbmPredictor {
    pub(crate) fn new(text: String, task: Task) -> Result<Self> {
        let booster = Booster::from_text(&text)?;
        let (features, outputs) = (booster.features()?, booster.outputs()?);
        consistent((task == Task::Multiclass) == (outputs > 1))?;
        Ok(Self { text, booster, task, features })
    }

    /// Of a text that came from outside.
    pub(crate) fn of_file(text: String, task: Task) -> Result<Self> {
        if !sound::is_sound(&text) {
            return Err(ModelError::Library {
                library: LIBRARY,
                doing: "reading the model text",
                message: "it is damaged: a tree leads out of itself; copy it again from where it \
                          was saved"
                    .to_owned(),
            });
        }
        Self::new(text, task)
    }

    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        Self::of_file(from.text("text")?, task_of(from.size("task", 0)?))
    }
}

impl Predictor for LightGbmPredictor {
    fn kind(&self) -> &'static str {
        "lightgbm"
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        expect_features(x, self.features)?;
        let values = self.booster.predict(x, Predict::Normal)?;
        Ok(boost::output(self.task, values))
    }

    fn write(&self, out: &mut Sections<'_>) {
        out.u32("task", &[task_code(self.task)]);
        out.text("text", &self.text);
    }

    fn importance(&self) -> Option<Vec<f64>> {
        self.booster.gains().ok()
    }

    fn contributions(&self, x: &Matrix) -> Option<Result<Vec<f64>>> {
        Some(
            expect_features(x, self.features)
                .and_then(|()| self.booster.predict(x, Predict::Contributions)),
        )
    }

    fn native(&self) -> Option<&str> {
        Some(&self.text)
    }

    fn library(&self) -> Option<(&'static str, String)> {
        Some(("lightgbm", LIBRARY_VERSION.to_owned()))
    }
}
