//! Gaussian naive Bayes: [`GaussianNb`].

use crate::encode::Encoding;
use crate::error::Result;
use crate::learner::{Learned, Learner, Problem, config, estimator};
use crate::logistic::log_sum_exp;
use crate::matrix::{Matrix, float};
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};
use crate::target::{Goal, Target};
use crate::weights::SampleWeight;

config! {
    /// Naive Bayes with a normal distribution per feature and class.
    ///
    /// ```
    /// use polars::prelude::*;
    /// let train = df!("x" => [1.0, 1.2, 5.0, 5.1], "y" => [false, false, true, true])?;
    /// let model = oxilab_model::GaussianNb::new().fit(&train, "y")?;
    /// assert_eq!(model.predict(&train)?.bool()?.get(3), Some(true));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    GaussianNb {
        /// This share of the largest variance is added to all (1e-9).
        with_var_smoothing var_smoothing: f64 = 1e-9;
        /// The column that says how much each row counts (none); see [`SampleWeight`].
        with_sample_weight sample_weight: SampleWeight as impl Into<SampleWeight> = SampleWeight::default();
    }
}

impl Learner for GaussianNb {
    const NAME: &'static str = "GaussianNb";

    fn goal(&self) -> Goal {
        Goal::Classification
    }

    fn encoding(&self) -> Encoding {
        Encoding::Dense { standardize: false }
    }

    fn sample_weight(&self) -> Option<&str> {
        self.sample_weight.column()
    }

    fn learn(&self, problem: &Problem<'_>) -> Result<Learned> {
        let (codes, count): (&[u32], usize) = match &problem.y {
            Target::Classes(codes, count) => (codes, *count),
            Target::Values(_) => (&[], 0),
        };
        let (x, features) = (&problem.x, problem.x.cols());
        let weights = problem.weights.as_deref();
        let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
        let mut rows = vec![0.0; count];
        for (row, code) in codes.iter().enumerate() {
            rows[*code as usize] += weight(row);
        }
        let all: f64 = rows.iter().sum();
        let (mut means, mut variances) = (vec![0.0; count * features], vec![0.0; count * features]);
        let mut largest = 0.0_f64;
        for feature in 0..features {
            let values = x.col(feature);
            let mean = values.iter().sum::<f64>() / float(values.len());
            let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
            largest = largest.max(variance / float(values.len()));
            for (row, (code, value)) in codes.iter().zip(values).enumerate() {
                let class = *code as usize;
                means[class * features + feature] += weight(row) * value / rows[class];
            }
            for (row, (code, value)) in codes.iter().zip(values).enumerate() {
                let class = *code as usize;
                let at = class * features + feature;
                let away = value - means[at];
                variances[at] += weight(row) * away * away / rows[class];
            }
        }
        let floor = (self.var_smoothing * largest).max(f64::MIN_POSITIVE);
        for variance in &mut variances {
            *variance += floor;
        }
        let priors = rows.iter().map(|n| (n / all).ln()).collect();
        Ok(Learned::new(BayesPredictor { features, priors, means, variances }))
    }
}

estimator!(GaussianNb);

/// Log priors, means and variances per class.
#[derive(Debug)]
pub(crate) struct BayesPredictor {
    features: usize,
    priors: Vec<f64>,
    means: Vec<f64>,
    variances: Vec<f64>,
}

impl BayesPredictor {
    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        let features = from.size("sizes", 0)?;
        let (priors, means, variances) =
            (from.f64("priors")?, from.f64("means")?, from.f64("variances")?);
        let size = priors.len().checked_mul(features);
        consistent(size == Some(means.len()) && means.len() == variances.len())?;
        Ok(Self { features, priors, means, variances })
    }
}

impl Predictor for BayesPredictor {
    fn kind(&self) -> &'static str {
        "bayes"
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        expect_features(x, self.features)?;
        let classes = self.priors.len();
        let mut out = self.priors.repeat(x.rows());
        for class in 0..classes {
            for feature in 0..self.features {
                let at = class * self.features + feature;
                let (mean, variance) = (self.means[at], self.variances[at]);
                let constant = -0.5 * (std::f64::consts::TAU * variance).ln();
                for (row, value) in x.col(feature).iter().enumerate() {
                    let d = value - mean;
                    out[row * classes + class] += constant - d * d / (2.0 * variance);
                }
            }
        }
        for p in out.chunks_exact_mut(classes.max(1)) {
            let log_sum = log_sum_exp(p);
            for p in p.iter_mut() {
                *p = (*p - log_sum).exp();
            }
        }
        Ok(Output::Probabilities(out))
    }

    fn write(&self, out: &mut Sections<'_>) {
        out.u32("sizes", &[u32::try_from(self.features).unwrap_or(u32::MAX)]);
        out.f64("priors", &self.priors);
        out.f64("means", &self.means);
        out.f64("variances", &self.variances);
    }
}
