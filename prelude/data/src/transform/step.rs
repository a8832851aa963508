//! What a step is, before and after fitting.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::{bin, custom, dates, encode, impute, pca, poly, quantile, scale, target, text};
use crate::error::Result;

/// Something that learns from a frame how to transform frames.
pub trait Step: Send + Sync {
    /// Learns.
    ///
    /// # Errors
    /// When the columns do not serve.
    fn fit(&self, train: &DataFrame) -> Result<Fitted>;

    /// Learns, and transforms the rows learnt from.
    ///
    /// # Errors
    /// As [`fit`](Self::fit).
    fn fit_transform(&self, train: &DataFrame) -> Result<(Fitted, DataFrame)> {
        let fitted = self.fit(train)?;
        let transformed = fitted.transform(train)?;
        Ok((fitted, transformed))
    }

    /// A column that only fitting needs.
    fn target(&self) -> Option<&str> {
        None
    }

    /// The step's name, as in code.
    fn name(&self) -> &str {
        let path = std::any::type_name::<Self>();
        path.rsplit("::").next().unwrap_or(path)
    }
}

/// What a step learnt. The list of steps: a new one is a file, a line here and one in `transform`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "step")]
#[non_exhaustive]
pub enum Fitted {
    /// Fill values.
    Imputer(impute::Fitted),
    /// Centre and scale.
    Scaler(scale::Fitted),
    /// Quantiles.
    Quantile(quantile::Fitted),
    /// Edges.
    Binner(bin::Fitted),
    /// Categories as columns.
    OneHot(encode::FittedOneHot),
    /// Categories as numbers.
    Ordinal(encode::FittedOrdinal),
    /// Target means.
    Target(target::Fitted),
    /// Hashed words.
    Hashing(text::HashingVectorizer),
    /// Weighed words.
    Tfidf(text::FittedTfidf),
    /// Parts of dates.
    DateParts(dates::Fitted),
    /// Products.
    Polynomial(poly::Fitted),
    /// Components.
    Pca(pca::Fitted),
    /// A function.
    Custom(custom::Custom),
}

impl Fitted {
    /// Transforms rows by what was learnt.
    ///
    /// # Errors
    /// When the frame lacks a column or holds values the step refuses.
    pub fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        match self {
            Self::Imputer(step) => step.transform(df),
            Self::Scaler(step) => step.transform(df),
            Self::Quantile(step) => step.transform(df),
            Self::Binner(step) => step.transform(df),
            Self::OneHot(step) => step.transform(df),
            Self::Ordinal(step) => step.transform(df),
            Self::Target(step) => step.transform(df),
            Self::Hashing(step) => step.transform(df),
            Self::Tfidf(step) => step.transform(df),
            Self::DateParts(step) => step.transform(df),
            Self::Polynomial(step) => step.transform(df),
            Self::Pca(step) => step.transform(df),
            Self::Custom(step) => step.transform(df),
        }
    }

    /// The step and its columns in a line.
    #[must_use]
    pub fn describe(&self) -> String {
        let list = |columns: &[String]| columns.join(", ");
        match self {
            Self::Imputer(step) => format!("Imputer({})", step.names().join(", ")),
            Self::Scaler(step) => format!("{}({})", step.kind, step.names().join(", ")),
            Self::Quantile(step) => format!("QuantileTransformer({})", step.names().join(", ")),
            Self::Binner(step) => format!("Binner({})", step.names().join(", ")),
            Self::OneHot(step) => format!("OneHotEncoder({})", step.names().join(", ")),
            Self::Ordinal(step) => format!("OrdinalEncoder({})", step.names().join(", ")),
            Self::Target(step) => format!("TargetEncoder({})", step.names().join(", ")),
            Self::Hashing(step) => format!("HashingVectorizer({})", step.column()),
            Self::Tfidf(step) => format!("TfidfVectorizer({})", step.column()),
            Self::DateParts(step) => format!("DateParts({})", list(step.columns())),
            Self::Polynomial(step) => format!("PolynomialFeatures({})", list(step.columns())),
            Self::Pca(step) => format!("Pca({} → {})", list(step.columns()), step.size()),
            Self::Custom(step) => format!("Custom({})", step.name()),
        }
    }
}

/// Replaces columns of the same name and appends new ones.
pub(super) fn put(df: &DataFrame, columns: impl IntoIterator<Item = Column>) -> Result<DataFrame> {
    let mut df = df.clone();
    for column in columns {
        df.with_column(column)?;
    }
    Ok(df)
}

/// The column as numbers with a function applied to each value that is there and no NaN; NaN becomes
/// null.
pub(super) fn map_numbers(
    df: &DataFrame,
    name: &str,
    doing: &str,
    f: impl Fn(f64) -> f64,
) -> Result<Column> {
    let values = crate::columns::floats(crate::columns::column(df, name)?, doing)?;
    let mapped: Float64Chunked =
        values.iter().map(|value| value.filter(|v| !v.is_nan()).map(&f)).collect();
    Ok(mapped.with_name(name.into()).into_series().into_column())
}

/// Values of a training column that are there and no NaN; an error if there are none.
pub(super) fn present(df: &DataFrame, name: &str, doing: &str) -> Result<Vec<f64>> {
    let values = crate::columns::floats(crate::columns::column(df, name)?, doing)?;
    let values: Vec<f64> = values.iter().flatten().filter(|value| !value.is_nan()).collect();
    if let Some(value) = values.iter().find(|value| value.is_infinite()) {
        return Err(crate::DataError::invalid(
            doing,
            format!("column {name:?} holds {value}; replace infinite values first"),
        ));
    }
    if values.is_empty() {
        return Err(crate::DataError::invalid(
            doing,
            format!("column {name:?} has no values to learn from"),
        ));
    }
    Ok(values)
}
