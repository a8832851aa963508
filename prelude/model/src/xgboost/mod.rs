//! Gradient boosting by XGBoost: [`XgBoost`].
//!
//! XGBoost's library is loaded when it is first needed ([`library`]); behind it stand safe types
//! ([`booster`]). Parameters and the training loop are in [`train`]; models are kept as XGBoost's JSON,
//! which Python's `xgboost` reads and writes ([`native`]).

mod booster;
mod library;
mod native;
mod train;
mod ubjson;

use std::collections::BTreeMap;

use oxilab_model_format::Task;
use polars::prelude::DataFrame;

use crate::boost::{self, Frames, Plan, task_code, task_of};
use crate::encode::Encoding;
use crate::error::{Result, require};
use crate::learner::{ClassWeight, Learned, Learner, Problem, config, estimator};
use crate::matrix::Matrix;
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};
use crate::target::Goal;
use crate::weights::SampleWeight;

use booster::{Booster, Predict};

/// The library's name, in errors.
const LIBRARY: &str = "XGBoost";

config! {
    /// XGBoost (Chen and Guestrin, 2016): boosted trees for classes or numbers, as the target asks.
    /// Missing values and categories are handled natively.
    ///
    /// XGBoost's library `libxgboost.so` (2.0 or newer) is loaded at the first fit; `cargo xtask setup`
    /// puts it into the cache folder, `pip install xgboost-cpu` into an environment, and
    /// `OXILAB_XGBOOST` names any other place. `oxilab doctor` says whether it is found.
    ///
    /// ```
    /// use polars::prelude::*;
    /// let x: Vec<f64> = (0..200).map(f64::from).collect();
    /// let y: Vec<bool> = x.iter().map(|x| *x > 99.5).collect();
    /// let df = df!("x" => x, "y" => y)?;
    /// let model = oxilab_model::XgBoost::new().with_n_estimators(20).fit(&df, "y")?;
    /// assert!(model.evaluate(&df)?.get("accuracy").unwrap() > 0.95);
    /// assert!(model.native()?.starts_with('{'));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    XgBoost {
        /// Iterations at most (100).
        with_n_estimators n_estimators: usize = 100;
        /// The share of each tree that counts (0.3).
        with_learning_rate learning_rate: f64 = 0.3;
        /// How many splits lie above a leaf at most (6); 0 means no limit.
        with_max_depth max_depth: Option<usize> as impl Into<Option<usize>> = Some(6);
        /// The sum of second derivatives that every leaf must have (1): rows, for squared error.
        with_min_child_weight min_child_weight: f64 = 1.0;
        /// How much a split must lower the loss (0).
        with_gamma gamma: f64 = 0.0;
        /// Bins of a feature at most (256).
        with_max_bin max_bin: usize = 256;
        /// L1 penalty of the leaves (0).
        with_reg_alpha reg_alpha: f64 = 0.0;
        /// L2 penalty of the leaves (1).
        with_reg_lambda reg_lambda: f64 = 1.0;
        /// The share of rows that each tree sees (1).
        with_subsample subsample: f64 = 1.0;
        /// The share of features that each tree sees (1).
        with_colsample_bytree colsample_bytree: f64 = 1.0;
        /// XGBoost's name of the loss, if not that of the task: `reg:absoluteerror`, `count:poisson`, …
        with_objective objective: Option<String> = None;
        /// XGBoost's names of the metrics to watch, separated by commas, if not that of the loss.
        with_metric metric: Option<String> = None;
        /// Stop when the first metric on the first validation set has not improved for this many
        /// iterations, and keep the best. Needs [`XgBoost::with_validation`] or
        /// [`XgBoost::with_validation_fraction`].
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
        /// Further parameters by XGBoost's names; an unknown one is an error.
        with_params params: BTreeMap<String, String> = BTreeMap::new();
        /// Threads (all cores).
        with_num_threads num_threads: Option<usize> as impl Into<Option<usize>> = None;
        /// Classes or numbers, if the target's type should not decide.
        with_task task: Option<Task> as impl Into<Option<Task>> = None;
        /// The seed (0).
        with_seed seed: u64 = 0;
        /// Validation frames with the training frame's columns; see [`XgBoost::with_validation`].
        with_validations validations: Frames = Frames::default();
    }
}

impl XgBoost {
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

    /// Adds a parameter by XGBoost's name.
    #[must_use]
    pub fn with_param(mut self, name: impl Into<String>, value: impl std::fmt::Display) -> Self {
        self.params.insert(name.into(), value.to_string());
        self
    }
}

impl Learner for XgBoost {
    const NAME: &'static str = "XgBoost";
    const PARALLEL: bool = false;

    fn goal(&self) -> Goal {
        let numbers = |o: &String| ["reg:", "count:"].iter().any(|start| o.starts_with(start));
        let asked = self.objective.as_ref().is_some_and(numbers);
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
        require(self.max_bin > 1, name, "max_bin", self.max_bin, "2 or more")?;
        let share = |value: f64| value > 0.0 && value <= 1.0;
        require(share(self.subsample), name, "subsample", self.subsample, "above 0, up to 1")?;
        let columns = self.colsample_bytree;
        require(share(columns), name, "colsample_bytree", columns, "above 0, up to 1")
    }

    fn learn(&self, problem: &Problem<'_>) -> Result<Learned> {
        train::train(self, problem)
    }
}

estimator!(XgBoost);

/// XGBoost's model and its JSON.
#[derive(Debug)]
pub(crate) struct XgBoostPredictor {
    text: String,
    booster: Booster,
    task: Task,
    features: usize,
    /// The names that importance comes with, in the order of the features.
    names: Vec<String>,
}

impl XgBoostPredictor {
    /// From a model whose JSON is sound.
    fn new(text: String, task: Task, names: Vec<String>) -> Result<Self> {
        let booster = Booster::from_json(&text)?;
        let features = booster.features()?;
        consistent(names.len() == features)?;
        let predictor = Self { text, booster, task, features, names };
        // XGBoost sets itself up at the first prediction, which must not happen on two threads at once.
        let row = Matrix::new(1, features, vec![0.0; features]);
        let outputs = predictor.booster.predict(&row, Predict::Normal)?.len();
        consistent((task == Task::Multiclass) == (outputs > 1))?;
        Ok(predictor)
    }

    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        let text = from.text("text")?;
        let found = native::Description::of(&text)?;
        Self::new(text, task_of(from.size("task", 0)?), found.features)
    }
}

impl Predictor for XgBoostPredictor {
    fn kind(&self) -> &'static str {
        "xgboost"
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        expect_features(x, self.features)?;
        Ok(boost::output(self.task, self.booster.predict(x, Predict::Normal)?))
    }

    fn write(&self, out: &mut Sections<'_>) {
        out.u32("task", &[task_code(self.task)]);
        out.text("text", &self.text);
    }

    fn importance(&self) -> Option<Vec<f64>> {
        let gains = self.booster.gains().ok()?;
        Some(self.names.iter().map(|name| gains.get(name).copied().unwrap_or(0.0)).collect())
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
        Some(("xgboost", self.booster.version()))
    }
}
