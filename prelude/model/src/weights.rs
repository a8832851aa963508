//! How much each row counts: [`SampleWeight`].
//!
//! The weights are a column of the training frame, so that they go with their rows through splits,
//! folds and filters. The column is no input: it is taken out before pipeline and encoder see the
//! frame, and a model does not ask for it.

use std::borrow::Cow;

use polars::prelude::*;
use serde::Serialize;

use crate::encode::numbers;
use crate::error::{ModelError, Result};
use crate::target::{Target, column_of};

/// The column of the training frame that says how much each row counts, if any: `"w"`, or `None`.
///
/// Weights are numbers of 0 or more. A row of weight 2 counts as two rows, one of weight 0 as none;
/// only what a learner counts in rows (leaves of a tree, bins, nearest rows, the mean and variance that
/// features are standardised with) stays as it is.
///
/// ```
/// use polars::prelude::*;
/// let train = df!("x" => [0.0, 1.0, 1.0], "y" => [0.0, 2.0, 5.0], "w" => [1.0, 3.0, 0.0])?;
/// let model = oxilab_model::LinearRegression::new().with_sample_weight("w").fit(&train, "y")?;
/// let at_two = model.predict(&df!("x" => [2.0])?)?;
/// assert!((at_two.f64()?.get(0).unwrap() - 4.0).abs() < 1e-9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct SampleWeight(Option<String>);

impl SampleWeight {
    /// The column's name.
    #[must_use]
    pub fn column(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl From<&str> for SampleWeight {
    fn from(column: &str) -> Self {
        Self(Some(column.to_owned()))
    }
}

impl From<String> for SampleWeight {
    fn from(column: String) -> Self {
        Self(Some(column))
    }
}

impl From<Option<&str>> for SampleWeight {
    fn from(column: Option<&str>) -> Self {
        Self(column.map(str::to_owned))
    }
}

/// A training frame without its column of weights, and the weights.
pub(crate) fn split<'a>(
    train: &'a DataFrame,
    column: Option<&str>,
    target: Option<&str>,
) -> Result<(Cow<'a, DataFrame>, Option<Vec<f64>>)> {
    let Some(name) = column else { return Ok((Cow::Borrowed(train), None)) };
    if Some(name) == target {
        return Err(ModelError::column(
            name,
            "it is the target and cannot be the weights as well",
            "name another column in `with_sample_weight`",
        ));
    }
    let weights = read(column_of(train, name)?)?;
    if !weights.is_empty() && weights.iter().all(|weight| *weight == 0.0) {
        return Err(ModelError::column(
            name,
            "all weights are 0",
            "nothing is left to learn from; check how they were made",
        ));
    }
    Ok((Cow::Owned(train.drop_many([name])), Some(weights)))
}

/// The weights of a frame to validate on: none where it has no such column.
pub(crate) fn of(df: &DataFrame, column: Option<&str>) -> Result<Option<Vec<f64>>> {
    let found = column.and_then(|name| df.column(name).ok());
    found.map(read).transpose()
}

fn read(column: &Column) -> Result<Vec<f64>> {
    let name = column.name().as_str();
    let dtype = column.dtype();
    if !dtype.is_numeric() {
        return Err(ModelError::column(
            name,
            format!("its type is {dtype}, weights are numbers"),
            "cast it, or name another column in `with_sample_weight`",
        ));
    }
    let weights = numbers(column)?;
    let wrong = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0));
    match wrong {
        None => Ok(weights.into_owned()),
        Some(row) => {
            let value = weights[row];
            let problem = if value.is_nan() { "missing".to_owned() } else { value.to_string() };
            Err(ModelError::column(
                name,
                format!("row {row} is {problem}, weights are finite and 0 or more"),
                "fill it, or filter such rows",
            ))
        }
    }
}

/// Refuses classes of which no row counts.
pub(crate) fn check_classes(
    weights: &[f64],
    y: &Target,
    target: &str,
    classes: &[String],
) -> Result<()> {
    let Target::Classes(codes, count) = y else { return Ok(()) };
    let mut sums = vec![0.0; *count];
    for (code, weight) in codes.iter().zip(weights) {
        sums[*code as usize] += weight;
    }
    match sums.iter().position(|sum| *sum <= 0.0) {
        None => Ok(()),
        Some(class) => Err(ModelError::target(
            target,
            format!("all rows of class `{}` have weight 0", classes[class]),
            "filter them, or give them weights",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_column_is_taken_out_and_checked() {
        let df = df!("x" => [1, 2], "w" => [2_i64, 0], "y" => [1.0, 2.0]).unwrap();
        let (rest, weights) = split(&df, Some("w"), Some("y")).unwrap();
        assert_eq!((rest.width(), weights), (2, Some(vec![2.0, 0.0])));
        let (rest, weights) = split(&df, None, Some("y")).unwrap();
        assert_eq!((rest.width(), weights), (3, None));
        assert_eq!(of(&df, Some("v")).unwrap(), None);
        let error = |values: Column| {
            let mut df = df.clone();
            df.with_column(values).unwrap();
            split(&df, Some("w"), Some("y")).unwrap_err().to_string()
        };
        let column = |values: [Option<f64>; 2]| Column::new("w".into(), values);
        assert!(error(column([Some(1.0), None])).contains("row 1 is missing"));
        assert!(error(column([Some(-1.0), Some(1.0)])).contains("row 0 is -1"));
        assert!(error(column([Some(1.0), Some(f64::INFINITY)])).contains("row 1 is inf"));
        assert!(error(column([Some(0.0), Some(0.0)])).contains("all weights are 0"));
        assert!(error(Column::new("w".into(), ["a", "b"])).contains("weights are numbers"));
        let error = split(&df, Some("y"), Some("y")).unwrap_err().to_string();
        assert!(error.contains("`y`: it is the target"), "{error}");
        let error = split(&df, Some("v"), Some("y")).unwrap_err().to_string();
        assert!(error.contains("no column `v`"), "{error}");
    }
}
