//! What metrics accept: [`Labels`] and [`Numbers`].

use std::collections::{BTreeMap, BTreeSet};

use polars::prelude::{Column, DataType, Series};

use crate::encode::numbers;
use crate::error::{ModelError, Result, While};

/// Labels of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelValues {
    /// Whole numbers; booleans are 0 and 1.
    Integers(Vec<i64>),
    /// Text.
    Texts(Vec<String>),
}

/// Something that holds one label per row.
pub trait Labels {
    /// The labels.
    ///
    /// # Errors
    /// If some are missing, or are no labels.
    fn labels(&self) -> Result<LabelValues>;
}

/// Something that holds one number per row.
pub trait Numbers {
    /// The numbers.
    ///
    /// # Errors
    /// If some are missing, or are no numbers.
    fn numbers(&self) -> Result<Vec<f64>>;
}

impl Labels for Column {
    fn labels(&self) -> Result<LabelValues> {
        if self.null_count() > 0 {
            return Err(missing(self.null_count()));
        }
        let dtype = self.dtype();
        if dtype.is_bool() || dtype.is_integer() {
            let cast = self.cast(&DataType::Int64).doing("reading labels")?;
            let values = cast.i64().doing("reading labels")?;
            return Ok(LabelValues::Integers(values.iter().flatten().collect()));
        }
        let cast = self.cast(&DataType::String).doing("reading labels")?;
        let values = cast.str().doing("reading labels")?;
        Ok(LabelValues::Texts(values.iter().flatten().map(str::to_owned).collect()))
    }
}

impl Numbers for Column {
    fn numbers(&self) -> Result<Vec<f64>> {
        if self.null_count() > 0 {
            return Err(missing(self.null_count()));
        }
        Ok(numbers(self)?.into_owned())
    }
}

fn missing(count: usize) -> ModelError {
    ModelError::data(
        format!("{count} values are missing"),
        "drop those rows before computing metrics",
    )
}

impl Labels for Series {
    fn labels(&self) -> Result<LabelValues> {
        Column::from(self.clone()).labels()
    }
}

impl Numbers for Series {
    fn numbers(&self) -> Result<Vec<f64>> {
        Column::from(self.clone()).numbers()
    }
}

macro_rules! labels_of {
    ($($ty:ty => $kind:ident($map:expr)),* $(,)?) => {$(
        impl Labels for [$ty] {
            fn labels(&self) -> Result<LabelValues> {
                Ok(LabelValues::$kind(self.iter().map($map).collect()))
            }
        }

        impl Labels for Vec<$ty> {
            fn labels(&self) -> Result<LabelValues> {
                self.as_slice().labels()
            }
        }

        impl<const N: usize> Labels for [$ty; N] {
            fn labels(&self) -> Result<LabelValues> {
                self.as_slice().labels()
            }
        }
    )*};
}

labels_of! {
    bool => Integers(|v| i64::from(*v)),
    u8 => Integers(|v| i64::from(*v)),
    i32 => Integers(|v| i64::from(*v)),
    u32 => Integers(|v| i64::from(*v)),
    i64 => Integers(|v| *v),
    &str => Texts(|v| (*v).to_owned()),
    String => Texts(Clone::clone),
}

impl Numbers for [f64] {
    fn numbers(&self) -> Result<Vec<f64>> {
        Ok(self.to_vec())
    }
}

impl Numbers for Vec<f64> {
    fn numbers(&self) -> Result<Vec<f64>> {
        Ok(self.clone())
    }
}

impl<const N: usize> Numbers for [f64; N] {
    fn numbers(&self) -> Result<Vec<f64>> {
        Ok(self.to_vec())
    }
}

/// Two label columns as numbers of one sorted list of labels.
pub(crate) fn code_both(
    metric: &'static str,
    truth: &(impl Labels + ?Sized),
    predicted: &(impl Labels + ?Sized),
) -> Result<(Vec<String>, Vec<u32>, Vec<u32>)> {
    let (truth, predicted) = (truth.labels()?, predicted.labels()?);
    match (truth, predicted) {
        (LabelValues::Integers(a), LabelValues::Integers(b)) => {
            let (names, a, b) = code_sorted(metric, &a, &b)?;
            Ok((names.iter().map(ToString::to_string).collect(), a, b))
        }
        (LabelValues::Texts(a), LabelValues::Texts(b)) => {
            let (names, a, b) = code_sorted(metric, &a, &b)?;
            Ok((names.into_iter().cloned().collect(), a, b))
        }
        _ => Err(ModelError::metric(
            metric,
            "one side holds text, the other whole numbers",
            "cast one of them",
        )),
    }
}

fn code_sorted<'a, T: Ord>(
    metric: &'static str,
    a: &'a [T],
    b: &'a [T],
) -> Result<(Vec<&'a T>, Vec<u32>, Vec<u32>)> {
    same_length(metric, a.len(), b.len())?;
    let names: BTreeSet<&T> = a.iter().chain(b).collect();
    let codes: BTreeMap<&T, u32> = names.iter().copied().zip(0..).collect();
    let code = |values: &'a [T]| values.iter().map(|value| codes[value]).collect();
    Ok((names.into_iter().collect(), code(a), code(b)))
}

/// Refuses sides of different length and empty ones.
pub(crate) fn same_length(metric: &'static str, a: usize, b: usize) -> Result<()> {
    if a != b {
        return Err(ModelError::metric(
            metric,
            format!("there are {a} true and {b} predicted values"),
            "give one prediction per row",
        ));
    }
    if a == 0 {
        return Err(ModelError::metric(metric, "there are no rows", "give at least one"));
    }
    Ok(())
}

/// Refuses weights that do not fit; gives ones if there are none.
pub(crate) fn weights_of(
    metric: &'static str,
    weights: Option<&[f64]>,
    rows: usize,
) -> Result<Vec<f64>> {
    let Some(weights) = weights else { return Ok(vec![1.0; rows]) };
    same_length(metric, rows, weights.len())?;
    let sound = weights.iter().all(|w| w.is_finite() && *w >= 0.0);
    if !sound || weights.iter().sum::<f64>() <= 0.0 {
        return Err(ModelError::metric(
            metric,
            "a weight is negative or not a number, or all are zero",
            "weights must be 0 or more, and some above 0",
        ));
    }
    Ok(weights.to_vec())
}
