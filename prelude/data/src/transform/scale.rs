//! Linear scalers: value → (value − centre) / scale.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::select::Select;
use super::step::{self, Step};
use crate::error::Result;
use crate::stats;

/// Mean 0 and (population) standard deviation 1, as scikit-learn's.
#[derive(Clone, Debug)]
pub struct StandardScaler(Select);

/// Minimum 0 and maximum 1.
#[derive(Clone, Debug)]
pub struct MinMaxScaler(Select);

/// Median 0 and interquartile range 1: outliers do not matter.
#[derive(Clone, Debug)]
pub struct RobustScaler(Select);

impl StandardScaler {
    /// For these columns.
    pub fn new(columns: impl Into<Select>) -> Self {
        Self(columns.into())
    }
}

impl MinMaxScaler {
    /// For these columns.
    pub fn new(columns: impl Into<Select>) -> Self {
        Self(columns.into())
    }
}

impl RobustScaler {
    /// For these columns.
    pub fn new(columns: impl Into<Select>) -> Self {
        Self(columns.into())
    }
}

/// Centre and scale by column.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fitted {
    pub(super) kind: String,
    columns: Vec<(String, f64, f64)>,
}

/// Learns centre and scale of each column.
fn fit(
    kind: &str,
    select: &Select,
    train: &DataFrame,
    learn: impl Fn(&mut [f64]) -> (f64, f64),
) -> Result<step::Fitted> {
    let columns = select.resolve(train)?.into_iter().map(|name| {
        let mut values = step::present(train, &name, kind)?;
        let (centre, scale) = learn(&mut values);
        // A constant column becomes 0, as in scikit-learn.
        let flat = scale.abs() < 10.0 * f64::EPSILON * centre.abs().max(f64::MIN_POSITIVE);
        Ok((name, centre, if flat || scale == 0.0 { 1.0 } else { scale }))
    });
    Ok(step::Fitted::Scaler(Fitted {
        kind: kind.to_owned(),
        columns: columns.collect::<Result<_>>()?,
    }))
}

impl Step for StandardScaler {
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        fit("StandardScaler", &self.0, train, |values| {
            let n = stats::float(values.len());
            let mean = values.iter().sum::<f64>() / n;
            (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt())
        })
    }
}

impl Step for MinMaxScaler {
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        fit("MinMaxScaler", &self.0, train, |values| {
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (low, high - low)
        })
    }
}

impl Step for RobustScaler {
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        fit("RobustScaler", &self.0, train, |values| {
            let q = stats::quantiles(values, &[0.25, 0.5, 0.75]);
            (q[1], q[2] - q[0])
        })
    }
}

impl Fitted {
    pub(super) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _, _)| name.as_str()).collect()
    }

    pub(super) fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        let scaled = self.columns.iter().map(|(name, centre, scale)| {
            step::map_numbers(df, name, &self.kind, |v| (v - centre) / scale)
        });
        step::put(df, scaled.collect::<Result<Vec<_>>>()?)
    }
}
