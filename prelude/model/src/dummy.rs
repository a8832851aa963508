//! Baselines that look at no feature: [`Dummy`].

use serde::Serialize;

use crate::encode::Encoding;
use crate::error::{Result, require};
use crate::learner::{Learned, Learner, Problem, estimator};
use crate::matrix::{Matrix, float};
use crate::predictor::{Output, Predictor, Reader, Sections, consistent};
use crate::target::{Goal, Target};

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
        Self { season: Some(period) }
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

    fn allows_constant_target(&self) -> bool {
        true
    }

    fn check(&self) -> Result<()> {
        require(self.season != Some(0), "Dummy::seasonal_naive", "period", 0, "1 or more")
    }

    fn learn(&self, problem: &Problem<'_>) -> Result<Learned> {
        let predictor = match (&problem.y, self.season) {
            (Target::Classes(codes, count), _) => {
                let mut shares = vec![0.0; *count];
                for code in codes {
                    shares[*code as usize] += 1.0;
                }
                for share in &mut shares {
                    *share /= float(codes.len());
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
                let mean = values.iter().sum::<f64>() / float(values.len());
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
