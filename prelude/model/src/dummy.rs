//! Baselines that look at no feature: [`Dummy`].

use serde::Serialize;

use crate::encode::Encoding;
use crate::error::{Result, require};
use crate::learner::{Learned, Learner, Problem, estimator};
use crate::linalg::weighted_mean;
use crate::matrix::Matrix;
use crate::predictor::{Output, Predictor, Reader, Sections, consistent};
use crate::target::{Goal, Target};
use crate::weights::SampleWeight;

/// Predicts the most frequent class with the classes' shares as probabilities, the mean of a numeric
/// target, or the value of one season ago. What any other model has to beat.
///
/// ```
/// use polars::prelude::*;
/// let train = df!("x" => [1, 2, 3], "y" => ["a", "b", "b"])?;
/// let model = oxilab_model::Dummy::new().fit(&train, "y")?;
/// assert_eq!(model.predict(&train)?.str()?.get(0), Some("b"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Serialize)]
pub struct Dummy {
    season: Option<usize>,
    sample_weight: SampleWeight,
}

impl Dummy {
    /// Most frequent class or mean.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For a series in order of time: row `i` of the frame to predict gets the value of the same place
    /// in the last season of `period` rows of the training frame.
    #[must_use]
    pub fn seasonal_naive(period: usize) -> Self {
        Self { season: Some(period), ..Self::default() }
    }

    /// The column that says how much each row counts (none); see [`SampleWeight`]. A season has none.
    #[must_use]
    pub fn with_sample_weight(mut self, sample_weight: impl Into<SampleWeight>) -> Self {
        self.sample_weight = sample_weight.into();
        self
    }
}

impl Learner for Dummy {
    const NAME: &'static str = "Dummy";

    fn goal(&self) -> Goal {
        if self.season.is_some() { Goal::Regression } else { Goal::Any(None) }
    }

    fn encoding(&self) -> Encoding {
        Encoding::Codes
    }

    fn sample_weight(&self) -> Option<&str> {
        self.sample_weight.column()
    }

    fn allows_constant_target(&self) -> bool {
        true
    }

    fn check(&self) -> Result<()> {
        const NAIVE: &str = "Dummy::seasonal_naive";
        require(self.season != Some(0), NAIVE, "period", 0, "1 or more")?;
        let weighted = self.sample_weight.column().filter(|_| self.season.is_some());
        require(weighted.is_none(), NAIVE, "sample_weight", weighted.unwrap_or_default(), "none")
    }

    fn learn(&self, problem: &Problem<'_>) -> Result<Learned> {
        let weights = problem.weights.as_deref();
        let predictor = match (&problem.y, self.season) {
            (Target::Classes(codes, count), _) => {
                let mut shares = vec![0.0; *count];
                for (row, code) in codes.iter().enumerate() {
                    shares[*code as usize] += weights.map_or(1.0, |weights| weights[row]);
                }
                let all: f64 = shares.iter().sum();
                for share in &mut shares {
                    *share /= all;
                }
                DummyPredictor { classes: true, values: shares }
            }
            (Target::Values(values), Some(period)) => {
                let rows = values.len();
                require(
                    period <= rows,
                    "Dummy::seasonal_naive",
                    "period",
                    period,
                    "at most the number of training rows",
                )?;
                DummyPredictor { classes: false, values: values[rows - period..].to_vec() }
            }
            (Target::Values(values), None) => {
                let mean = weighted_mean(values, weights);
                DummyPredictor { classes: false, values: vec![mean] }
            }
        };
        Ok(Learned::new(predictor))
    }
}

estimator!(Dummy);

/// The kind of a dummy's predictor.
pub(crate) const KIND: &str = "dummy";

/// Shares of the classes, or the season that repeats.
#[derive(Debug)]
pub(crate) struct DummyPredictor {
    classes: bool,
    values: Vec<f64>,
}

impl DummyPredictor {
    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        let (classes, values) = (from.size("classes", 0)? == 1, from.f64("values")?);
        consistent(!values.is_empty())?;
        Ok(Self { classes, values })
    }
}

impl Predictor for DummyPredictor {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        Ok(if self.classes {
            Output::Probabilities(self.values.repeat(x.rows()))
        } else {
            Output::Values(self.values.iter().copied().cycle().take(x.rows()).collect())
        })
    }

    fn write(&self, out: &mut Sections<'_>) {
        out.u32("classes", &[u32::from(self.classes)]);
        out.f64("values", &self.values);
    }
}
