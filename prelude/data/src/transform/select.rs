//! Which columns a step works on.

use polars::prelude::*;
use regex::Regex;

use crate::columns;
use crate::error::{DataError, Result};

/// A choice of columns, made when the step is fitted.
///
/// Names convert by themselves: `StandardScaler::new(["a", "b"])`, `StandardScaler::new("a")`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Select {
    /// By name, in this order.
    Names(Vec<String>),
    /// All columns of numbers.
    Numeric,
    /// All columns of text, categories and truth values.
    Classes,
    /// All columns of dates and times.
    Times,
    /// All columns.
    All,
    /// Names that match a regular expression.
    Matching(String),
    /// Another choice less some names.
    Except(Box<Select>, Vec<String>),
}

impl Select {
    /// All columns of numbers.
    #[must_use]
    pub fn numeric() -> Self {
        Self::Numeric
    }

    /// All columns of text, categories and truth values.
    #[must_use]
    pub fn classes() -> Self {
        Self::Classes
    }

    /// Names that match a regular expression.
    #[must_use]
    pub fn matching(pattern: impl Into<String>) -> Self {
        Self::Matching(pattern.into())
    }

    /// Without these, for example the target.
    #[must_use]
    pub fn except<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self::Except(Box::new(self), names.into_iter().map(Into::into).collect())
    }

    /// The names of the chosen columns.
    ///
    /// # Errors
    /// When a name is not there, a pattern is wrong or nothing is chosen.
    pub fn resolve(&self, df: &DataFrame) -> Result<Vec<String>> {
        let names = self.names(df)?;
        if names.is_empty() {
            return Err(DataError::invalid(
                "choosing columns",
                format!("{self:?} chooses none of {}", df.width()),
            ));
        }
        Ok(names)
    }

    fn names(&self, df: &DataFrame) -> Result<Vec<String>> {
        let of = |test: &dyn Fn(&Column) -> bool| {
            df.columns()
                .iter()
                .filter(|c| test(c))
                .map(|c| c.name().to_string())
                .collect::<Vec<_>>()
        };
        Ok(match self {
            Self::Names(names) => {
                for name in names {
                    columns::column(df, name)?;
                }
                names.clone()
            }
            Self::Numeric => of(&|column| columns::is_number(column.dtype())),
            Self::Classes => of(&|column| columns::is_class(column.dtype())),
            Self::Times => of(&|column| columns::is_time(column.dtype())),
            Self::All => of(&|_| true),
            Self::Matching(pattern) => {
                let regex = Regex::new(pattern)
                    .map_err(|e| DataError::invalid("choosing columns", e.to_string()))?;
                of(&|column| regex.is_match(column.name()))
            }
            Self::Except(inner, names) => {
                let mut chosen = inner.names(df)?;
                chosen.retain(|name| !names.contains(name));
                chosen
            }
        })
    }
}

impl From<&str> for Select {
    fn from(name: &str) -> Self {
        Self::Names(vec![name.to_owned()])
    }
}

impl From<String> for Select {
    fn from(name: String) -> Self {
        Self::Names(vec![name])
    }
}

impl<S: Into<String>, const N: usize> From<[S; N]> for Select {
    fn from(names: [S; N]) -> Self {
        Self::Names(names.into_iter().map(Into::into).collect())
    }
}

impl<S: Into<String>> From<Vec<S>> for Select {
    fn from(names: Vec<S>) -> Self {
        Self::Names(names.into_iter().map(Into::into).collect())
    }
}

impl<S: AsRef<str>> From<&[S]> for Select {
    fn from(names: &[S]) -> Self {
        Self::Names(names.iter().map(|name| name.as_ref().to_owned()).collect())
    }
}

impl<S: AsRef<str>> From<&Vec<S>> for Select {
    fn from(names: &Vec<S>) -> Self {
        names.as_slice().into()
    }
}
