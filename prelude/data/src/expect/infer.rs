//! A suite from a frame that is known to be good.

use polars::prelude::*;

use super::Suite;
use crate::columns;
use crate::error::Result;
use crate::profile::{Kind, profile};

/// Sets of more classes than this are not written down.
const CLASSES: usize = 30;

pub(super) fn suite(reference: &DataFrame) -> Result<Suite> {
    let found = profile(reference)?;
    let mut suite = Suite::new().columns(found.columns.iter().map(|column| column.name.clone()));
    for column in &found.columns {
        let name = column.name.as_str();
        suite = suite.dtype(name, column.dtype.as_str());
        if column.missing == 0 {
            suite = suite.not_null(name);
        }
        let own = columns::column(reference, name)?;
        if column.rows > 1
            && column.kind != Kind::Other
            && column.missing == 0
            && own.n_unique()? == column.rows
        {
            suite = suite.unique(name);
        }
        match (&column.numbers, column.kind) {
            (Some(numbers), Kind::Number) => {
                let (low, high) = (numbers.quantiles[0], numbers.quantiles[6]);
                let margin = 0.1 * (high - low);
                // What is never negative stays so.
                let low = if low >= 0.0 { (low - margin).max(0.0) } else { low - margin };
                suite = suite.between(name, low, high + margin).warn();
            }
            (_, Kind::Class) if column.distinct <= CLASSES && found.sampled.is_none() => {
                let (_, values) = columns::codes(own, "inferring expectations")?;
                let mut values: Vec<String> = values.into_iter().flatten().collect();
                values.sort();
                suite = suite.one_of(name, values);
            }
            _ => {}
        }
    }
    Ok(suite)
}
