//! Fill values for what is missing.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::select::Select;
use super::step::{self, Step};
use crate::columns;
use crate::error::{DataError, Result, While};
use crate::stats;

const DOING: &str = "Imputer";

/// What fills the gaps.
#[derive(Clone, Debug, PartialEq)]
pub enum Strategy {
    /// The mean; numbers only.
    Mean,
    /// The median; numbers only.
    Median,
    /// The most frequent value, the smallest of equals.
    MostFrequent,
    /// This number.
    Number(f64),
    /// This text.
    Text(String),
}

/// Fills null and NaN with something learnt from the training rows.
#[derive(Clone, Debug)]
pub struct Imputer {
    select: Select,
    strategy: Option<Strategy>,
}

impl Imputer {
    /// Numbers get the median, text the most frequent value.
    pub fn new(columns: impl Into<Select>) -> Self {
        Self { select: columns.into(), strategy: None }
    }

    /// The same for all columns.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = Some(strategy);
        self
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Fill {
    Number(f64),
    Text(String),
}

/// Fill values by column.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fitted {
    columns: Vec<(String, Fill)>,
}

impl Step for Imputer {
    #[expect(clippy::float_cmp, reason = "only equal values are the same")]
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        let columns = self.select.resolve(train)?.into_iter().map(|name| {
            let column = columns::column(train, &name)?;
            let number = columns::is_number(column.dtype());
            let standard = if number { Strategy::Median } else { Strategy::MostFrequent };
            let fill = match self.strategy.clone().unwrap_or(standard) {
                Strategy::Number(value) if number => Fill::Number(value),
                Strategy::Text(value) if !number => Fill::Text(value),
                Strategy::Mean if number => {
                    Fill::Number(stats::moments(&step::present(train, &name, DOING)?).mean)
                }
                Strategy::Median if number => Fill::Number(
                    stats::quantiles(&mut step::present(train, &name, DOING)?, &[0.5])[0],
                ),
                Strategy::MostFrequent if number => {
                    let mut values = step::present(train, &name, DOING)?;
                    values.sort_unstable_by(f64::total_cmp);
                    let runs = values.chunk_by(|a, b| a == b);
                    // The first of equally long runs.
                    let most = runs.rev().max_by_key(|run| run.len()).and_then(<[f64]>::first);
                    Fill::Number(most.copied().unwrap_or(0.0))
                }
                Strategy::MostFrequent => Fill::Text(most_frequent(column)?),
                other => {
                    return Err(DataError::WrongType {
                        column: name,
                        found: column.dtype().to_string(),
                        expected: if number { "text" } else { "numbers" }.to_owned(),
                        doing: format!("Imputer with {other:?}"),
                    });
                }
            };
            Ok((name, fill))
        });
        Ok(step::Fitted::Imputer(Fitted { columns: columns.collect::<Result<_>>()? }))
    }
}

fn most_frequent(column: &Column) -> Result<String> {
    let (codes, names) = columns::codes(column, DOING)?;
    let mut counts = vec![0_usize; names.len()];
    for code in codes {
        counts[code as usize] += 1;
    }
    let known = names.into_iter().zip(counts).filter_map(|(name, count)| Some((name?, count)));
    known.max_by(|(a, x), (b, y)| x.cmp(y).then_with(|| b.cmp(a))).map(|(name, _)| name).ok_or_else(
        || {
            DataError::invalid(
                DOING,
                format!("column {:?} has no values to learn from", column.name()),
            )
        },
    )
}

impl Fitted {
    pub(super) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(super) fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        let filled = self.columns.iter().map(|(name, fill)| {
            let column = columns::column(df, name)?;
            match fill {
                Fill::Number(fill) => {
                    let values = columns::floats(column, DOING)?;
                    let values: Float64Chunked = values
                        .iter()
                        .map(|v| Some(v.filter(|v| !v.is_nan()).unwrap_or(*fill)))
                        .collect();
                    let series = values.with_name(name.as_str().into()).into_series();
                    // Integers stay integers where the fill value is one.
                    let whole = column.dtype().is_integer() && fill.fract() == 0.0;
                    let series =
                        if whole { series.cast(column.dtype()).doing(DOING)? } else { series };
                    Ok(series.into_column())
                }
                Fill::Text(fill) => {
                    let values = columns::texts(column, DOING)?;
                    let values: StringChunked =
                        values.iter().map(|v| Some(v.unwrap_or(fill))).collect();
                    let series = values.with_name(name.as_str().into()).into_series();
                    Ok(series.cast(column.dtype()).doing(DOING)?.into_column())
                }
            }
        });
        step::put(df, filled.collect::<Result<Vec<_>>>()?)
    }
}
