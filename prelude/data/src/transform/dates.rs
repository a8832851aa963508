//! Parts of dates and times as numbers.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::select::Select;
use super::step::{self, Step};
use crate::columns;
use crate::error::{DataError, Result, While};

/// Replaces dates by `_year`, `_month` (1–12), `_day` (1–31), `_weekday` (1 Monday – 7 Sunday) and
/// `_day_of_year` (1–366), and for points in time also `_hour` (0–23).
#[derive(Clone, Debug)]
pub struct DateParts {
    select: Select,
    keep: bool,
    cyclic: bool,
}

impl DateParts {
    /// The original columns go.
    pub fn new(columns: impl Into<Select>) -> Self {
        Self { select: columns.into(), keep: false, cyclic: false }
    }

    /// The original columns stay.
    #[must_use]
    pub fn with_original(mut self) -> Self {
        self.keep = true;
        self
    }

    /// Adds sine and cosine of the year's and week's circle, so that December is close to January.
    #[must_use]
    pub fn with_cycles(mut self) -> Self {
        self.cyclic = true;
        self
    }
}

/// Which columns.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fitted {
    columns: Vec<String>,
    keep: bool,
    cyclic: bool,
}

impl Step for DateParts {
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        let columns = self.select.resolve(train)?;
        for name in &columns {
            let column = columns::column(train, name)?;
            if !matches!(column.dtype(), DataType::Date | DataType::Datetime(..)) {
                return Err(DataError::WrongType {
                    column: name.clone(),
                    found: column.dtype().to_string(),
                    expected: "dates or points in time".to_owned(),
                    doing: "DateParts".to_owned(),
                });
            }
        }
        Ok(step::Fitted::DateParts(Fitted { columns, keep: self.keep, cyclic: self.cyclic }))
    }
}

impl Fitted {
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        let mut parts = Vec::new();
        for name in &self.columns {
            let column = columns::column(df, name)?;
            let date = || col(name.as_str()).dt();
            let part = |expression: Expr, suffix: &str| {
                expression.cast(DataType::Int32).alias(format!("{name}_{suffix}"))
            };
            parts.push(part(date().year(), "year"));
            parts.push(part(date().month(), "month"));
            parts.push(part(date().day(), "day"));
            parts.push(part(date().weekday(), "weekday"));
            parts.push(part(date().ordinal_day(), "day_of_year"));
            if matches!(column.dtype(), DataType::Datetime(..)) {
                parts.push(part(date().hour(), "hour"));
            }
            if self.cyclic {
                for (suffix, position, length) in
                    [("year", date().ordinal_day(), 365.25), ("week", date().weekday(), 7.0)]
                {
                    let angle =
                        position.cast(DataType::Float64) * lit(std::f64::consts::TAU / length);
                    parts.push(angle.clone().sin().alias(format!("{name}_{suffix}_sin")));
                    parts.push(angle.cos().alias(format!("{name}_{suffix}_cos")));
                }
            }
        }
        let out = df.clone().lazy().with_columns(parts).collect().doing("DateParts")?;
        Ok(if self.keep { out } else { out.drop_many(self.columns.iter().map(String::as_str)) })
    }
}
