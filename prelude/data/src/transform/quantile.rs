//! The quantile transformer: each value becomes its place among the training values.

use polars::prelude::*;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF as _, Normal};

use super::select::Select;
use super::step::{self, Step};
use crate::error::{DataError, Result};
use crate::stats;

const DOING: &str = "QuantileTransformer";
/// Quantiles kept, as scikit-learn's default.
const QUANTILES: usize = 1000;

/// Spreads values evenly from 0 to 1, or as a normal distribution.
#[derive(Clone, Debug)]
pub struct QuantileTransformer {
    select: Select,
    normal: bool,
}

impl QuantileTransformer {
    /// Evenly from 0 to 1.
    pub fn new(columns: impl Into<Select>) -> Self {
        Self { select: columns.into(), normal: false }
    }

    /// As a standard normal distribution, cut at ±5.2.
    #[must_use]
    pub fn with_normal(mut self) -> Self {
        self.normal = true;
        self
    }
}

/// Quantiles by column.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fitted {
    normal: bool,
    columns: Vec<(String, Vec<f64>)>,
}

impl Step for QuantileTransformer {
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        let columns = self.select.resolve(train)?.into_iter().map(|name| {
            let mut values = step::present(train, &name, DOING)?;
            let count = QUANTILES.min(values.len());
            let places = references(count);
            let mut quantiles = stats::quantiles(&mut values, &places);
            // Rounding must not make them fall.
            for index in 1..quantiles.len() {
                quantiles[index] = quantiles[index].max(quantiles[index - 1]);
            }
            Ok((name, quantiles))
        });
        Ok(step::Fitted::Quantile(Fitted {
            normal: self.normal,
            columns: columns.collect::<Result<_>>()?,
        }))
    }
}

/// `count` places from 0 to 1.
fn references(count: usize) -> Vec<f64> {
    let last = stats::float(count.saturating_sub(1).max(1));
    (0..count).map(|index| stats::float(index) / last).collect()
}

impl Fitted {
    pub(super) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[expect(clippy::float_cmp, reason = "the very first and last quantile map to the ends")]
    pub(super) fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        let normal = Normal::standard();
        let spread = self.columns.iter().map(|(name, quantiles)| {
            if quantiles.is_empty() {
                return Err(DataError::invalid(DOING, format!("column {name:?} has no quantiles")));
            }
            let references = references(quantiles.len());
            let negated: Vec<f64> = quantiles.iter().rev().map(|q| -q).collect();
            let reversed: Vec<f64> = references.iter().rev().map(|r| -r).collect();
            step::map_numbers(df, name, DOING, |value| {
                // Interpolation from both sides, so that a run of equal quantiles maps to its middle.
                let up = interpolate(value, quantiles, &references);
                let down = -interpolate(-value, &negated, &reversed);
                let even = if value == quantiles[0] {
                    0.0
                } else if value == quantiles[quantiles.len() - 1] {
                    1.0
                } else {
                    f64::midpoint(up, down)
                };
                if self.normal { normal_place(&normal, even) } else { even }
            })
        });
        step::put(df, spread.collect::<Result<Vec<_>>>()?)
    }
}

/// The normal value at a place, cut 1e-7 from the ends as in scikit-learn.
fn normal_place(normal: &Normal, even: f64) -> f64 {
    let (low, high) = (1e-7 - f64::EPSILON, 1.0 - (1e-7 - f64::EPSILON));
    let value = normal.inverse_cdf(even.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON / 2.0));
    value.clamp(normal.inverse_cdf(low), normal.inverse_cdf(high))
}

/// As `numpy.interp`: among equal `x` the last one counts.
fn interpolate(at: f64, x: &[f64], y: &[f64]) -> f64 {
    let place = x.partition_point(|x| *x <= at);
    if place == 0 {
        return y[0];
    }
    let left = place - 1;
    if left + 1 == x.len() {
        return y[left];
    }
    y[left] + (y[left + 1] - y[left]) / (x[left + 1] - x[left]) * (at - x[left])
}
