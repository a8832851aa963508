//! Binning: numbers to the number of their bin.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::select::Select;
use super::step::{self, Step};
use crate::columns;
use crate::error::{DataError, Result};
use crate::stats;

const DOING: &str = "Binner";

/// Replaces numbers by their bin, 0 first.
#[derive(Clone, Debug)]
pub struct Binner {
    select: Select,
    bins: usize,
    even: bool,
}

impl Binner {
    /// `bins` bins of equally many training values.
    pub fn new(columns: impl Into<Select>, bins: usize) -> Self {
        Self { select: columns.into(), bins, even: false }
    }

    /// Bins of equal width instead.
    #[must_use]
    pub fn with_even_width(mut self) -> Self {
        self.even = true;
        self
    }
}

/// Inner edges by column.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fitted {
    columns: Vec<(String, Vec<f64>)>,
}

impl Step for Binner {
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        if self.bins < 2 {
            return Err(DataError::invalid(DOING, format!("{} bins; give at least 2", self.bins)));
        }
        let places: Vec<f64> =
            (0..=self.bins).map(|bin| stats::float(bin) / stats::float(self.bins)).collect();
        let columns = self.select.resolve(train)?.into_iter().map(|name| {
            let mut values = step::present(train, &name, DOING)?;
            let mut edges = if self.even {
                let ends = stats::quantiles(&mut values, &[0.0, 1.0]);
                places.iter().map(|place| ends[0] + place * (ends[1] - ends[0])).collect()
            } else {
                stats::quantiles(&mut values, &places)
            };
            // Bins too narrow to hold anything are merged, as in scikit-learn.
            edges.dedup_by(|next, previous| *next - *previous <= 1e-8);
            let inner = if edges.len() > 2 { edges[1..edges.len() - 1].to_vec() } else { vec![] };
            Ok((name, inner))
        });
        Ok(step::Fitted::Binner(Fitted { columns: columns.collect::<Result<_>>()? }))
    }
}

impl Fitted {
    pub(super) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(super) fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        let binned = self.columns.iter().map(|(name, edges)| {
            let values = columns::floats(columns::column(df, name)?, DOING)?;
            let bin = |value: f64| {
                i32::try_from(edges.partition_point(|edge| *edge <= value)).unwrap_or(i32::MAX)
            };
            let bins: Int32Chunked =
                values.iter().map(|v| v.filter(|v| !v.is_nan()).map(bin)).collect();
            Ok(bins.with_name(name.as_str().into()).into_series().into_column())
        });
        step::put(df, binned.collect::<Result<Vec<_>>>()?)
    }
}
