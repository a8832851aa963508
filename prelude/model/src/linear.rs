//! Linear models of a number: [`LinearRegression`], [`Ridge`], [`Lasso`], [`ElasticNet`].
//!
//! Objectives are scikit-learn's, so that parameters mean the same: ridge minimises
//! `‖y − Xw‖² + α‖w‖²`, lasso and elastic net `‖y − Xw‖² / 2n + α·ρ‖w‖₁ + α(1 − ρ)‖w‖² / 2`.

use crate::encode::Encoding;
use crate::error::{Result, check_interrupt, require};
use crate::learner::{Learned, Learner, Problem, config, estimator};
use crate::linalg::{blocked_dot, centre, gram, solve_least_norm, solve_positive};
use crate::matrix::{Matrix, float};
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};
use crate::target::{Goal, Target};

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
    }
}

config! {
    /// Least squares with an L2 penalty.
    Ridge {
        /// The strength of the penalty (1).
        with_alpha alpha: f64 = 1.0;
        /// Whether features get mean zero and variance one first (yes).
        with_standardize standardize: bool = true;
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
    }
}

impl Learner for LinearRegression {
    const NAME: &'static str = "LinearRegression";

    fn goal(&self) -> Goal {
        Goal::Regression
    }

    fn encoding(&self) -> Encoding {
        Encoding::Dense { standardize: self.standardize }
    }

    fn learn(&self, problem: &Problem<'_>) -> Result<Learned> {
        solve(problem, 0.0)
    }
}

impl Learner for Ridge {
    const NAME: &'static str = "Ridge";

    fn goal(&self) -> Goal {
        Goal::Regression
    }

    fn encoding(&self) -> Encoding {
        Encoding::Dense { standardize: self.standardize }
    }

    fn check(&self) -> Result<()> {
        require(self.alpha >= 0.0, Self::NAME, "alpha", self.alpha, "0 or more")
    }

    fn learn(&self, problem: &Problem<'_>) -> Result<Learned> {
        solve(problem, self.alpha)
    }
}

impl Learner for Lasso {
    const NAME: &'static str = "Lasso";

    fn goal(&self) -> Goal {
        Goal::Regression
    }

    fn encoding(&self) -> Encoding {
        Encoding::Dense { standardize: self.standardize }
    }

    fn check(&self) -> Result<()> {
        require(self.alpha >= 0.0, Self::NAME, "alpha", self.alpha, "0 or more")
    }

    fn learn(&self, problem: &Problem<'_>) -> Result<Learned> {
        descend(problem, self.alpha, 0.0, self.max_iter, self.tol)
    }
}

impl Learner for ElasticNet {
    const NAME: &'static str = "ElasticNet";

    fn goal(&self) -> Goal {
        Goal::Regression
    }

    fn encoding(&self) -> Encoding {
        Encoding::Dense { standardize: self.standardize }
    }

    fn check(&self) -> Result<()> {
        require(self.alpha >= 0.0, Self::NAME, "alpha", self.alpha, "0 or more")?;
        let allowed = (0.0..=1.0).contains(&self.l1_ratio);
        require(allowed, Self::NAME, "l1_ratio", self.l1_ratio, "between 0 and 1")
    }

    fn learn(&self, problem: &Problem<'_>) -> Result<Learned> {
        let (l1, l2) = (self.alpha * self.l1_ratio, self.alpha * (1.0 - self.l1_ratio));
        descend(problem, l1, l2, self.max_iter, self.tol)
    }
}

estimator!(LinearRegression);
estimator!(Ridge);
estimator!(Lasso);
estimator!(ElasticNet);

fn centred(problem: &Problem<'_>) -> (Matrix, Vec<f64>, Vec<f64>, f64) {
    let empty = Vec::new();
    let y = match &problem.y {
        Target::Values(values) => values,
        Target::Classes(..) => &empty,
    };
    let (x, means) = centre(&problem.x, None);
    let y_mean = y.iter().sum::<f64>() / float(y.len().max(1));
    let y = y.iter().map(|value| value - y_mean).collect();
    (x, means, y, y_mean)
}

/// Least squares by the normal equations; with L2 penalty `alpha` on all but the intercept.
fn solve(problem: &Problem<'_>, alpha: f64) -> Result<Learned> {
    let (x, means, y, y_mean) = centred(problem);
    let p = x.cols();
    check_interrupt()?;
    let mut a = gram(&x);
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
        None => solve_least_norm(&a, &b, p),
    };
    Ok(Learned::new(LinearPredictor::new(&w, &means, y_mean, &problem.x)))
}

/// Coordinate descent (Friedman, Hastie and Tibshirani, 2010) on the Gram matrix.
fn descend(problem: &Problem<'_>, l1: f64, l2: f64, max_iter: usize, tol: f64) -> Result<Learned> {
    let (x, means, y, y_mean) = centred(problem);
    let (n, p) = (float(x.rows()), x.cols());
    let a = gram(&x);
    let mut w = vec![0.0; p];
    // What is left to explain, seen from each feature: xᵀ(y − Xw).
    let mut residual: Vec<f64> = (0..p).map(|col| blocked_dot(x.col(col), &y)).collect();
    for _ in 0..max_iter {
        check_interrupt()?;
        let (mut most_change, mut largest) = (0.0_f64, 0.0_f64);
        for j in 0..p {
            let diagonal = a[j * p + j];
            if diagonal <= 0.0 {
                continue;
            }
            let rho = residual[j] + diagonal * w[j];
            let soft = rho.signum() * (rho.abs() - n * l1).max(0.0);
            let new = soft / (diagonal + n * l2);
            let change = new - w[j];
            if change != 0.0 {
                for (r, g) in residual.iter_mut().zip(&a[j * p..(j + 1) * p]) {
                    *r -= g * change;
                }
                w[j] = new;
            }
            most_change = most_change.max(change.abs());
            largest = largest.max(new.abs());
        }
        if most_change <= tol * largest * 1e-2 {
            break;
        }
    }
    Ok(Learned::new(LinearPredictor::new(&w, &means, y_mean, &problem.x)))
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
