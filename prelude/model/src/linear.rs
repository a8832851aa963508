//! Linear models of a number: [`LinearRegression`], [`Ridge`], [`Lasso`], [`ElasticNet`].
//!
//! Objectives are scikit-learn's, so that parameters mean the same: ridge minimises
//! `‖y − Xw‖² + α‖w‖²`, lasso and elastic net `‖y − Xw‖² / 2n + α·ρ‖w‖₁ + α(1 − ρ)‖w‖² / 2`. With
//! weights of rows `‖·‖²` is the weighted sum of squares and `n` the sum of the weights.

use crate::bar::Bar;
use crate::encode::Encoding;
use crate::error::{Result, check_interrupt, require};
use crate::learner::{Learned, Learner, Problem, config, estimator};
use crate::linalg::{
    blocked_dot, centre, gram, gram_of_rows, solve_least_norm, solve_positive, weighted_mean,
};
use crate::matrix::{Matrix, float};
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};
use crate::target::{Goal, Target};
use crate::weights::SampleWeight;

config! {
    /// Ordinary least squares. Missing numbers are filled with the mean, categories one-hot; where
    /// features depend on each other, the solution of least norm.
    ///
    /// ```
    /// use polars::prelude::*;
    /// let train = df!("x" => [0.0, 1.0, 2.0], "y" => [1.0, 3.0, 5.0])?;
    /// let model = oxilab_model::LinearRegression::new().fit(&train, "y")?;
    /// let table = model.coefficients()?;
    /// assert!((table.column("coefficient")?.f64()?.get(1).unwrap() - 2.0).abs() < 1e-12);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    LinearRegression {
        /// Whether features get mean zero and variance one first (no). It changes coefficients, not
        /// predictions.
        with_standardize standardize: bool = false;
        /// The column that says how much each row counts (none); see [`SampleWeight`].
        with_sample_weight sample_weight: SampleWeight as impl Into<SampleWeight> = SampleWeight::default();
    }
}

config! {
    /// Least squares with an L2 penalty.
    Ridge {
        /// The strength of the penalty (1).
        with_alpha alpha: f64 = 1.0;
        /// Whether features get mean zero and variance one first (yes).
        with_standardize standardize: bool = true;
        /// The column that says how much each row counts (none); see [`SampleWeight`].
        with_sample_weight sample_weight: SampleWeight as impl Into<SampleWeight> = SampleWeight::default();
    }
}

config! {
    /// Least squares with an L1 penalty: coefficients of useless features become zero.
    Lasso {
        /// The strength of the penalty (1).
        with_alpha alpha: f64 = 1.0;
        /// Rounds over all features at most (1000).
        with_max_iter max_iter: usize = 1000;
        /// Stop when no coefficient changes by more than this share of the largest (1e-4).
        with_tol tol: f64 = 1e-4;
        /// Whether features get mean zero and variance one first (yes).
        with_standardize standardize: bool = true;
        /// The column that says how much each row counts (none); see [`SampleWeight`].
        with_sample_weight sample_weight: SampleWeight as impl Into<SampleWeight> = SampleWeight::default();
    }
}

config! {
    /// Least squares with L1 and L2 penalties.
    ElasticNet {
        /// The strength of both penalties (1).
        with_alpha alpha: f64 = 1.0;
        /// The share of the L1 penalty, 0 to 1 (0.5).
        with_l1_ratio l1_ratio: f64 = 0.5;
        /// Rounds over all features at most (1000).
        with_max_iter max_iter: usize = 1000;
        /// Stop when no coefficient changes by more than this share of the largest (1e-4).
        with_tol tol: f64 = 1e-4;
        /// Whether features get mean zero and variance one first (yes).
        with_standardize standardize: bool = true;
        /// The column that says how much each row counts (none); see [`SampleWeight`].
        with_sample_weight sample_weight: SampleWeight as impl Into<SampleWeight> = SampleWeight::default();
    }
}

/// [`Learner`] for a linear model: how its parameters are checked, and how it learns.
macro_rules! linear_learner {
    ($name:ident, $check:expr, $learn:expr) => {
        impl Learner for $name {
            const NAME: &'static str = stringify!($name);

            fn goal(&self) -> Goal {
                Goal::Regression
            }

            fn encoding(&self) -> Encoding {
                Encoding::Dense { standardize: self.standardize }
            }

            fn sample_weight(&self) -> Option<&str> {
                self.sample_weight.column()
            }

            fn check(&self) -> Result<()> {
                let check: fn(&Self) -> Result<()> = $check;
                check(self)
            }

            fn learn(&self, problem: &Problem<'_>) -> Result<Learned> {
                let learn: fn(&Self, &Problem<'_>) -> Result<Learned> = $learn;
                learn(self, problem)
            }
        }

        estimator!($name);
    };
}

linear_learner!(LinearRegression, |_| Ok(()), |_, problem| solve(problem, 0.0));
linear_learner!(Ridge, |l| strength("Ridge", l.alpha), |l, problem| solve(problem, l.alpha));
linear_learner!(Lasso, |l| strength("Lasso", l.alpha), |l, problem| descend(
    problem, l.alpha, 0.0, l.max_iter, l.tol
));
linear_learner!(
    ElasticNet,
    |l| {
        strength("ElasticNet", l.alpha)?;
        let ok = (0.0..=1.0).contains(&l.l1_ratio);
        require(ok, "ElasticNet", "l1_ratio", l.l1_ratio, "between 0 and 1")
    },
    |l, problem| {
        let (l1, l2) = (l.alpha * l.l1_ratio, l.alpha * (1.0 - l.l1_ratio));
        descend(problem, l1, l2, l.max_iter, l.tol)
    }
);

fn strength(learner: &'static str, alpha: f64) -> Result<()> {
    require(alpha >= 0.0, learner, "alpha", alpha, "0 or more")
}

/// Features and target around their means. Weighted rows are scaled by the roots of their weights, so
/// that sums of squares are weighted sums.
struct Centred {
    x: Matrix,
    means: Vec<f64>,
    y: Vec<f64>,
    y_mean: f64,
    /// The sum of the weights.
    count: f64,
}

impl Centred {
    fn of(problem: &Problem<'_>) -> Self {
        let empty = Vec::new();
        let y = match &problem.y {
            Target::Values(values) => values,
            Target::Classes(..) => &empty,
        };
        let weights = problem.weights.as_deref();
        let (x, means) = centre(&problem.x, weights);
        let y_mean = weighted_mean(y, weights);
        let y = y.iter().map(|value| value - y_mean);
        let Some(weights) = weights else {
            return Self { x, means, y: y.collect(), y_mean, count: float(problem.x.rows()) };
        };
        let roots: Vec<f64> = weights.iter().map(|weight| weight.sqrt()).collect();
        let mut values = x.as_slice().to_vec();
        for column in values.chunks_exact_mut(roots.len().max(1)) {
            column.iter_mut().zip(&roots).for_each(|(value, root)| *value *= root);
        }
        Self {
            x: Matrix::new(x.rows(), x.cols(), values),
            means,
            y: y.zip(&roots).map(|(value, root)| value * root).collect(),
            y_mean,
            count: weights.iter().sum(),
        }
    }
}

/// Least squares by the normal equations; with L2 penalty `alpha` on all but the intercept.
fn solve(problem: &Problem<'_>, alpha: f64) -> Result<Learned> {
    let Centred { x, means, y, y_mean, .. } = Centred::of(problem);
    let p = x.cols();
    check_interrupt()?;
    if p > x.rows() {
        let w = solve_over_rows(&x, &y, alpha)?;
        return Ok(Learned::new(LinearPredictor::new(&w, &means, y_mean, &problem.x)));
    }
    let mut a = gram(&x)?;
    let b: Vec<f64> = (0..p).map(|col| blocked_dot(x.col(col), &y)).collect();
    (0..p).for_each(|i| a[i * p + i] += alpha);
    // Scaling to a unit diagonal keeps the digits of badly scaled features.
    let scale: Vec<f64> =
        (0..p).map(|i| a[i * p + i]).map(|d| if d > 0.0 { d.sqrt() } else { 1.0 }).collect();
    let scaled: Vec<f64> =
        (0..p * p).map(|place| a[place] / (scale[place / p] * scale[place % p])).collect();
    let b_scaled: Vec<f64> = b.iter().zip(&scale).map(|(b, s)| b / s).collect();
    let w: Vec<f64> = match solve_positive(&scaled, &b_scaled, p) {
        Some(w) => w.iter().zip(&scale).map(|(w, s)| w / s).collect(),
        None => solve_least_norm(&a, &b, p)?,
    };
    Ok(Learned::new(LinearPredictor::new(&w, &means, y_mean, &problem.x)))
}

/// The same coefficients where there are more features than rows: `Xᵀ (X Xᵀ + α)⁻¹ y`.
fn solve_over_rows(x: &Matrix, y: &[f64], alpha: f64) -> Result<Vec<f64>> {
    let n = x.rows();
    let mut k = gram_of_rows(x)?;
    (0..n).for_each(|i| k[i * n + i] += alpha);
    let dual = match solve_positive(&k, y, n) {
        Some(dual) => dual,
        None => solve_least_norm(&k, y, n)?,
    };
    Ok((0..x.cols()).map(|col| blocked_dot(x.col(col), &dual)).collect())
}

/// Features beyond this are not worth a Gram matrix.
const MOST_IN_GRAM: usize = 2000;

/// Coordinate descent (Friedman, Hastie and Tibshirani, 2010): on the Gram matrix, or on the residuals
/// where there are many features.
fn descend(problem: &Problem<'_>, l1: f64, l2: f64, max_iter: usize, tol: f64) -> Result<Learned> {
    let Centred { x, means, y, y_mean, count: n } = Centred::of(problem);
    let p = x.cols();
    let w = if p <= MOST_IN_GRAM {
        let a = gram(&x)?;
        // What is left to explain, seen from each feature: xᵀ(y − Xw).
        let mut left: Vec<f64> = (0..p).map(|col| blocked_dot(x.col(col), &y)).collect();
        let diagonal: Vec<f64> = (0..p).map(|j| a[j * p + j]).collect();
        let descent = Descent { diagonal, l1: n * l1, l2: n * l2, max_iter, tol };
        descent.run(
            &mut left,
            |left, j| left[j],
            |left, j, change| {
                left.iter_mut().zip(&a[j * p..(j + 1) * p]).for_each(|(r, g)| *r -= g * change);
            },
        )?
    } else {
        let mut left = y;
        let diagonal = (0..p).map(|j| blocked_dot(x.col(j), x.col(j))).collect();
        let descent = Descent { diagonal, l1: n * l1, l2: n * l2, max_iter, tol };
        descent.run(
            &mut left,
            |left, j| blocked_dot(x.col(j), left),
            |left, j, change| {
                left.iter_mut().zip(x.col(j)).for_each(|(r, v)| *r -= v * change);
            },
        )?
    };
    Ok(Learned::new(LinearPredictor::new(&w, &means, y_mean, &problem.x)))
}

/// Rounds over the coefficients.
struct Descent {
    /// Per feature `xᵀ x`.
    diagonal: Vec<f64>,
    l1: f64,
    l2: f64,
    max_iter: usize,
    tol: f64,
}

impl Descent {
    /// `gradient` gives `xⱼᵀ(y − Xw)` from what is kept in `left`, `change` keeps that up to date.
    fn run(
        &self,
        left: &mut [f64],
        gradient: impl Fn(&[f64], usize) -> f64,
        change: impl Fn(&mut [f64], usize, f64),
    ) -> Result<Vec<f64>> {
        let mut w = vec![0.0; self.diagonal.len()];
        let bar = Bar::new("coordinate descent", self.max_iter);
        for _ in 0..self.max_iter {
            check_interrupt()?;
            let (mut most_change, mut largest) = (0.0_f64, 0.0_f64);
            for (j, diagonal) in self.diagonal.iter().enumerate() {
                if *diagonal <= 0.0 {
                    continue;
                }
                let rho = gradient(left, j) + diagonal * w[j];
                let soft = rho.signum() * (rho.abs() - self.l1).max(0.0);
                let new = soft / (diagonal + self.l2);
                let step = new - w[j];
                if step != 0.0 {
                    change(left, j, step);
                    w[j] = new;
                }
                most_change = most_change.max(step.abs());
                largest = largest.max(new.abs());
            }
            bar.step();
            if most_change <= self.tol * largest * 1e-2 {
                break;
            }
        }
        Ok(w)
    }
}

/// `intercept + Σ wᵢ xᵢ`.
#[derive(Debug)]
pub(crate) struct LinearPredictor {
    /// Intercept, then one coefficient per feature.
    coefficients: Vec<f64>,
    /// The standard deviation of each feature, for importance.
    spread: Vec<f64>,
}

impl LinearPredictor {
    fn new(w: &[f64], means: &[f64], y_mean: f64, x: &Matrix) -> Self {
        let intercept = y_mean - w.iter().zip(means).map(|(w, m)| w * m).sum::<f64>();
        let mut coefficients = vec![intercept];
        coefficients.extend_from_slice(w);
        Self { coefficients, spread: spread(x, means) }
    }

    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        let (coefficients, spread) = (from.f64("coefficients")?, from.f64("spread")?);
        consistent(coefficients.len() == spread.len() + 1)?;
        Ok(Self { coefficients, spread })
    }
}

/// The standard deviation of every feature.
pub(crate) fn spread(x: &Matrix, means: &[f64]) -> Vec<f64> {
    means
        .iter()
        .enumerate()
        .map(|(col, mean)| {
            let squares: f64 = x.col(col).iter().map(|v| (v - mean) * (v - mean)).sum();
            (squares / float(x.rows())).sqrt()
        })
        .collect()
}

impl Predictor for LinearPredictor {
    fn kind(&self) -> &'static str {
        "linear"
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        expect_features(x, self.spread.len())?;
        let mut out = vec![self.coefficients[0]; x.rows()];
        for (col, w) in self.coefficients[1..].iter().enumerate() {
            out.iter_mut().zip(x.col(col)).for_each(|(out, value)| *out += w * value);
        }
        Ok(Output::Values(out))
    }

    fn write(&self, out: &mut Sections<'_>) {
        out.f64("coefficients", &self.coefficients);
        out.f64("spread", &self.spread);
    }

    fn importance(&self) -> Option<Vec<f64>> {
        Some(self.coefficients[1..].iter().zip(&self.spread).map(|(w, s)| (w * s).abs()).collect())
    }

    fn details(&self) -> Vec<(&'static str, Vec<f64>)> {
        vec![("coefficients", self.coefficients.clone())]
    }
}
