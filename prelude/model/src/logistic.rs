//! Logistic regression, binary and multinomial: [`LogisticRegression`].

use rayon::prelude::*;

use crate::encode::Encoding;
use crate::error::{Result, require};
use crate::lbfgs::minimise;
use crate::learner::{ClassWeight, Learned, Learner, Problem, config, estimator};
use crate::linalg::{BLOCK, dot, weighted_mean};
use crate::linear::spread;
use crate::matrix::{Matrix, float};
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};
use crate::target::{Goal, Target};
use crate::weights::SampleWeight;

config! {
    /// Logistic regression with an L2 penalty: `C · Σ log-loss + ‖w‖² / 2`, the intercept not
    /// penalised, as in scikit-learn; softmax over the classes if there are more than two. Missing
    /// numbers are filled with the mean, categories one-hot, all standardised unless switched off.
    ///
    /// ```
    /// use polars::prelude::*;
    /// let train = df!("x" => [1.0, 2.0, 3.0, 4.0], "y" => ["no", "no", "yes", "yes"])?;
    /// let model = oxilab_model::LogisticRegression::new().with_c(10.0).fit(&train, "y")?;
    /// assert_eq!(model.predict(&df!("x" => [0.0, 9.0])?)?.str()?.get(1), Some("yes"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    LogisticRegression {
        /// The inverse of the penalty's strength (1): smaller is more regular.
        with_c c: f64 = 1.0;
        /// Iterations of L-BFGS at most (1000).
        with_max_iter max_iter: usize = 1000;
        /// Stop when no part of the mean gradient is larger (1e-6).
        with_tol tol: f64 = 1e-6;
        /// How much the rows of each class count (all the same).
        with_class_weight class_weight: ClassWeight = ClassWeight::Equal;
        /// Whether features get mean zero and variance one first (yes).
        with_standardize standardize: bool = true;
        /// The column that says how much each row counts (none); see [`SampleWeight`].
        with_sample_weight sample_weight: SampleWeight as impl Into<SampleWeight> = SampleWeight::default();
    }
}

impl Learner for LogisticRegression {
    const NAME: &'static str = "LogisticRegression";

    fn goal(&self) -> Goal {
        Goal::Classification
    }

    fn encoding(&self) -> Encoding {
        Encoding::Dense { standardize: self.standardize }
    }

    fn class_weight(&self) -> ClassWeight {
        self.class_weight.clone()
    }

    fn sample_weight(&self) -> Option<&str> {
        self.sample_weight.column()
    }

    fn check(&self) -> Result<()> {
        require(self.c > 0.0, Self::NAME, "c", self.c, "above 0")
    }

    fn learn(&self, problem: &Problem<'_>) -> Result<Learned> {
        let empty = (Vec::new(), 0);
        let (codes, count) = match &problem.y {
            Target::Classes(codes, count) => (codes, *count),
            Target::Values(_) => (&empty.0, empty.1),
        };
        let outputs = if count == 2 { 1 } else { count };
        let rows = problem.x.rows();
        let weights = problem.weights.clone().unwrap_or_else(|| vec![1.0; rows]);
        let loss = Loss {
            x: &problem.x.to_row_major(),
            codes,
            weights: &weights,
            features: problem.x.cols(),
            outputs,
            penalty: 1.0 / (self.c * weights.iter().sum::<f64>()),
            total: weights.iter().sum(),
        };
        let start = vec![0.0; outputs * (problem.x.cols() + 1)];
        let found = minimise(start, self.max_iter, self.tol, |w, g| loss.value_and_gradient(w, g))?;
        let means: Vec<f64> =
            (0..problem.x.cols()).map(|col| weighted_mean(problem.x.col(col), None)).collect();
        let predictor = LogisticPredictor {
            outputs,
            coefficients: found.point,
            spread: spread(&problem.x, &means),
        };
        let mut learned = Learned::new(predictor);
        learned.metrics.insert("iterations".to_owned(), float(found.iterations));
        Ok(learned)
    }
}

estimator!(LogisticRegression);

/// The mean penalised log-loss of a weight vector: for each output intercept then coefficients.
struct Loss<'a> {
    /// Row after row.
    x: &'a [f64],
    codes: &'a [u32],
    weights: &'a [f64],
    features: usize,
    /// 1 for two classes, else the number of classes.
    outputs: usize,
    penalty: f64,
    total: f64,
}

impl Loss<'_> {
    fn value_and_gradient(&self, w: &[f64], gradient: &mut [f64]) -> f64 {
        let width = self.features + 1;
        let blocks: Vec<(f64, Vec<f64>)> = self
            .codes
            .par_chunks(BLOCK)
            .enumerate()
            .map(|(block, codes)| self.block(block * BLOCK, codes, w))
            .collect();
        gradient.fill(0.0);
        let mut value = 0.0;
        for (loss, part) in blocks {
            value += loss;
            gradient.iter_mut().zip(part).for_each(|(g, p)| *g += p);
        }
        value /= self.total;
        for g in gradient.iter_mut() {
            *g /= self.total;
        }
        for output in 0..self.outputs {
            for place in output * width + 1..(output + 1) * width {
                value += 0.5 * self.penalty * w[place] * w[place];
                gradient[place] += self.penalty * w[place];
            }
        }
        value
    }

    fn block(&self, start: usize, codes: &[u32], w: &[f64]) -> (f64, Vec<f64>) {
        let width = self.features + 1;
        let mut gradient = vec![0.0; w.len()];
        let mut scores = vec![0.0; self.outputs];
        let mut value = 0.0;
        for (offset, code) in codes.iter().enumerate() {
            let row = start + offset;
            let x = &self.x[row * self.features..(row + 1) * self.features];
            let weight = self.weights[row];
            for (score, w) in scores.iter_mut().zip(w.chunks_exact(width)) {
                *score = w[0] + dot(&w[1..], x);
            }
            if self.outputs == 1 {
                let z = if *code == 1 { scores[0] } else { -scores[0] };
                value += weight * softplus(-z);
                scores[0] = sigmoid(scores[0]) - f64::from(*code);
            } else {
                let log_sum = log_sum_exp(&scores);
                value += weight * (log_sum - scores[*code as usize]);
                for score in &mut scores {
                    *score = (*score - log_sum).exp();
                }
                scores[*code as usize] -= 1.0;
            }
            for (error, g) in scores.iter().zip(gradient.chunks_exact_mut(width)) {
                let factor = weight * error;
                g[0] += factor;
                g[1..].iter_mut().zip(x).for_each(|(g, x)| *g += factor * x);
            }
        }
        (value, gradient)
    }
}

pub(crate) fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 {
        1.0 / (1.0 + (-z).exp())
    } else {
        let e = z.exp();
        e / (1.0 + e)
    }
}

/// `ln(1 + eᶻ)` without overflow.
pub(crate) fn softplus(z: f64) -> f64 {
    if z > 0.0 { z + (-z).exp().ln_1p() } else { z.exp().ln_1p() }
}

pub(crate) fn log_sum_exp(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln()
}

/// A linear score per output, then sigmoid or softmax.
#[derive(Debug)]
pub(crate) struct LogisticPredictor {
    outputs: usize,
    /// Per output: intercept, then one coefficient per feature.
    coefficients: Vec<f64>,
    spread: Vec<f64>,
}

impl LogisticPredictor {
    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        let outputs = from.size("outputs", 0)?;
        let (coefficients, spread) = (from.f64("coefficients")?, from.f64("spread")?);
        consistent(outputs > 0 && coefficients.len() == outputs.saturating_mul(spread.len() + 1))?;
        Ok(Self { outputs, coefficients, spread })
    }
}

impl Predictor for LogisticPredictor {
    fn kind(&self) -> &'static str {
        "logistic"
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        expect_features(x, self.spread.len())?;
        let (rows, features) = (x.rows(), x.cols());
        let classes = self.outputs.max(2);
        let row_major = x.to_row_major();
        let mut out = vec![0.0; rows * classes];
        for (row, p) in out.chunks_exact_mut(classes).enumerate() {
            let x = &row_major[row * features..(row + 1) * features];
            for (p, w) in p.iter_mut().zip(self.coefficients.chunks_exact(features + 1)) {
                *p = w[0] + dot(&w[1..], x);
            }
            if self.outputs == 1 {
                p[1] = sigmoid(p[0]);
                p[0] = 1.0 - p[1];
            } else {
                let log_sum = log_sum_exp(p);
                for p in p.iter_mut() {
                    *p = (*p - log_sum).exp();
                }
            }
        }
        Ok(Output::Probabilities(out))
    }

    fn write(&self, out: &mut Sections<'_>) {
        out.u32("outputs", &[u32::try_from(self.outputs).unwrap_or(u32::MAX)]);
        out.f64("coefficients", &self.coefficients);
        out.f64("spread", &self.spread);
    }

    fn importance(&self) -> Option<Vec<f64>> {
        let width = self.spread.len() + 1;
        let mut out = vec![0.0; self.spread.len()];
        for w in self.coefficients.chunks_exact(width) {
            for (feature, out) in out.iter_mut().enumerate() {
                *out += (w[feature + 1] * self.spread[feature]).abs() / float(self.outputs);
            }
        }
        Some(out)
    }

    fn details(&self) -> Vec<(&'static str, Vec<f64>)> {
        vec![("coefficients", self.coefficients.clone())]
    }
}
