//! Categories to columns or to numbers.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::select::Select;
use super::step::{self, Step};
use crate::columns;
use crate::error::{DataError, Result};

/// One column of 0 and 1 per category, named `column_category`; the original goes.
///
/// Categories that training rows did not have, and missing values, are 0 in all of them.
#[derive(Clone, Debug)]
pub struct OneHotEncoder {
    select: Select,
    drop_first: bool,
    most: usize,
    refuse: bool,
}

impl OneHotEncoder {
    /// Up to 100 categories per column.
    pub fn new(columns: impl Into<Select>) -> Self {
        Self { select: columns.into(), drop_first: false, most: 100, refuse: false }
    }

    /// Leaves out the first category, which the others imply: for linear models.
    #[must_use]
    pub fn with_drop_first(mut self) -> Self {
        self.drop_first = true;
        self
    }

    /// Accepts columns with more categories.
    #[must_use]
    pub fn with_max_categories(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// Makes a category that training rows did not have an error.
    #[must_use]
    pub fn with_unknown_as_error(mut self) -> Self {
        self.refuse = true;
        self
    }
}

/// Categories to the number of their place in alphabetical order, from 0; unknown ones to −1,
/// missing values stay missing.
#[derive(Clone, Debug)]
pub struct OrdinalEncoder {
    select: Select,
    order: Option<Vec<String>>,
}

impl OrdinalEncoder {
    /// In alphabetical order.
    pub fn new(columns: impl Into<Select>) -> Self {
        Self { select: columns.into(), order: None }
    }

    /// In this order, for example `["low", "middle", "high"]`.
    #[must_use]
    pub fn with_order<S: Into<String>>(mut self, order: impl IntoIterator<Item = S>) -> Self {
        self.order = Some(order.into_iter().map(Into::into).collect());
        self
    }
}

/// The distinct values of a column in alphabetical order (of numbers: ascending), without null.
pub(super) fn categories(df: &DataFrame, name: &str, doing: &str) -> Result<Vec<String>> {
    let column = columns::column(df, name)?;
    let (_, names) = columns::codes(column, doing)?;
    let mut names: Vec<String> = names.into_iter().flatten().collect();
    if columns::is_number(column.dtype()) {
        let value = |name: &String| name.parse::<f64>().unwrap_or(f64::NAN);
        names.sort_by(|a, b| value(a).total_cmp(&value(b)));
    } else {
        names.sort();
    }
    if names.is_empty() {
        return Err(DataError::invalid(
            doing,
            format!("column {name:?} has no values to learn from"),
        ));
    }
    Ok(names)
}

/// The place of a value among the categories.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Known(usize),
    Unknown,
    Missing,
}

/// The place of each value among the categories.
fn places(df: &DataFrame, name: &str, categories: &[String], doing: &str) -> Result<Vec<Place>> {
    let known: PlHashMap<&str, usize> =
        categories.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    let values = columns::texts(columns::column(df, name)?, doing)?;
    let place = |value: &str| known.get(value).map_or(Place::Unknown, |place| Place::Known(*place));
    Ok(values.iter().map(|value| value.map_or(Place::Missing, place)).collect())
}

/// Categories by column.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FittedOneHot {
    columns: Vec<(String, Vec<String>)>,
    drop_first: bool,
    refuse: bool,
}

impl Step for OneHotEncoder {
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        let columns = self.select.resolve(train)?.into_iter().map(|name| {
            let categories = categories(train, &name, "OneHotEncoder")?;
            if categories.len() > self.most {
                return Err(DataError::invalid(
                    "OneHotEncoder",
                    format!(
                        "column {name:?} has {} categories, more than {}; use TargetEncoder, \
                         HashingVectorizer or with_max_categories",
                        categories.len(),
                        self.most
                    ),
                ));
            }
            Ok((name, categories))
        });
        Ok(step::Fitted::OneHot(FittedOneHot {
            columns: columns.collect::<Result<_>>()?,
            drop_first: self.drop_first,
            refuse: self.refuse,
        }))
    }
}

impl FittedOneHot {
    pub(super) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(super) fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        let mut df = df.clone();
        for (name, categories) in &self.columns {
            let places = places(&df, name, categories, "OneHotEncoder")?;
            if self.refuse
                && let Some(row) = places.iter().position(|place| *place == Place::Unknown)
            {
                let value = columns::texts(columns::column(&df, name)?, "OneHotEncoder")?;
                return Err(DataError::invalid(
                    "OneHotEncoder",
                    format!(
                        "column {name:?}, row {row}: {:?} was not in the training rows",
                        value.get(row).unwrap_or_default()
                    ),
                ));
            }
            df = df.drop(name)?;
            for (index, category) in
                categories.iter().enumerate().skip(usize::from(self.drop_first))
            {
                let hot: Vec<u8> =
                    places.iter().map(|place| u8::from(*place == Place::Known(index))).collect();
                df.with_column(Column::new(format!("{name}_{category}").into(), hot))?;
            }
        }
        Ok(df)
    }
}

/// Categories in order by column.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FittedOrdinal {
    columns: Vec<(String, Vec<String>)>,
}

impl Step for OrdinalEncoder {
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        let columns = self.select.resolve(train)?.into_iter().map(|name| {
            let found = categories(train, &name, "OrdinalEncoder")?;
            let Some(order) = &self.order else { return Ok((name, found)) };
            if let Some(other) = found.iter().find(|value| !order.contains(value)) {
                return Err(DataError::invalid(
                    "OrdinalEncoder",
                    format!("column {name:?} holds {other:?}, which the given order lacks"),
                ));
            }
            Ok((name, order.clone()))
        });
        Ok(step::Fitted::Ordinal(FittedOrdinal { columns: columns.collect::<Result<_>>()? }))
    }
}

impl FittedOrdinal {
    pub(super) fn names(&self) -> Vec<&str> {
        self.columns.iter().map(|(name, _)| name.as_str()).collect()
    }

    pub(super) fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        let numbered = self.columns.iter().map(|(name, categories)| {
            let places = places(df, name, categories, "OrdinalEncoder")?;
            let number = |place: Place| match place {
                Place::Known(place) => Some(i32::try_from(place).unwrap_or(i32::MAX)),
                Place::Unknown => Some(-1),
                Place::Missing => None,
            };
            let values: Vec<Option<i32>> = places.into_iter().map(number).collect();
            Ok(Column::new(name.as_str().into(), values))
        });
        step::put(df, numbered.collect::<Result<Vec<_>>>()?)
    }
}
