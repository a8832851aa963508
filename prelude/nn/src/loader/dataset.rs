//! Data sets: [`Dataset`], and [`TensorDataset`] of tensors and frames.

use candle_core::{DType, Device, Tensor};
use polars::prelude::{DataFrame, DataType};

use crate::error::{NnError, Result};

/// Some rows of a data set.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_nn::{DataLoader, TensorDataset};
/// let x = Tensor::arange(0f32, 5.0, &Device::Cpu)?.reshape((5, 1))?;
/// let loader = DataLoader::new(TensorDataset::new(x.clone(), x)?, 2);
/// for batch in loader.epoch(0, 0) {
///     let batch = batch?;
///     assert_eq!(batch.input.dim(0)?, batch.rows.len());
///     assert_eq!(batch.target.dims(), batch.input.dims());
/// }
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    /// The inputs, rows first.
    pub input: Tensor,
    /// The targets, rows first: `u32` classes or `f32` values.
    pub target: Tensor,
    /// The rows' numbers in the data set.
    pub rows: Vec<usize>,
}

/// Rows that can be put into batches, from any thread.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_nn::{Batch, DataLoader, Dataset, error::Result};
///
/// /// Numbers and their squares, made when they are asked for.
/// struct Squares;
///
/// impl Dataset for Squares {
///     fn len(&self) -> usize {
///         100
///     }
///
///     fn batch(&self, rows: &[usize]) -> Result<Batch> {
///         let x: Vec<f32> = rows.iter().map(|row| *row as f32).collect();
///         let input = Tensor::from_vec(x, (rows.len(), 1), &Device::Cpu)?;
///         Ok(Batch { target: input.sqr()?, input, rows: rows.to_vec() })
///     }
/// }
///
/// let loader = DataLoader::new(Squares, 32).with_shuffle(7);
/// assert_eq!((loader.rows(), loader.batches()), (100, 4));
/// ```
pub trait Dataset: Send + Sync {
    /// The number of rows.
    fn len(&self) -> usize;

    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batch of these rows.
    ///
    /// # Errors
    /// When a row cannot be read.
    fn batch(&self, rows: &[usize]) -> Result<Batch>;

    /// The batch of these rows in an epoch, from 0: what a data set changes at random (augmentation)
    /// follows from its seed, the epoch and the row, so that a resumed run sees the same. `train` is
    /// false for evaluation, which changes nothing.
    ///
    /// # Errors
    /// As [`Dataset::batch`].
    fn batch_at(&self, rows: &[usize], epoch: usize, train: bool) -> Result<Batch> {
        let _ = (epoch, train);
        self.batch(rows)
    }
}

/// Rows held as two tensors.
///
/// ```
/// use oxilab_nn::{Dataset as _, TensorDataset};
/// use polars::prelude::df;
/// let df = df!("a" => [0.5, 1.5], "b" => [1.0, 2.0], "class" => [0i64, 1])?;
/// let data = TensorDataset::from_frame(&df, &["a", "b"], "class")?;
/// assert_eq!((data.len(), data.input().dims(), data.target().dims()), (2, &[2, 2][..], &[2][..]));
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TensorDataset {
    input: Tensor,
    target: Tensor,
}

impl TensorDataset {
    /// Inputs and targets with as many rows.
    ///
    /// # Errors
    /// When the numbers of rows differ.
    pub fn new(input: Tensor, target: Tensor) -> Result<Self> {
        if input.dim(0)? != target.dim(0)? {
            return Err(NnError::Setting {
                setting: "the number of targets",
                value: target.dim(0)?.to_string(),
                expected: "there must be one for each row of the input",
            });
        }
        Ok(Self { input, target })
    }

    /// Numeric columns of a frame as inputs `(rows, columns)` and one as target: `u32` classes when
    /// the target is of an integer or Boolean type, else `f32` values `(rows, 1)`.
    ///
    /// # Errors
    /// When a column is missing, not numeric, or has missing values.
    pub fn from_frame(df: &DataFrame, features: &[&str], target: &str) -> Result<Self> {
        let input = frame_to_tensor(df, features)?;
        let column = df.column(target)?;
        let rows = df.height();
        let values = numbers(df, target)?;
        let classes = column.dtype().is_integer() || column.dtype() == &DataType::Boolean;
        let target = if classes {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
            let classes: Vec<u32> = values.iter().map(|value| *value as u32).collect();
            if let Some(bad) = values.iter().find(|value| **value < 0.0) {
                return Err(NnError::Column {
                    column: target.to_owned(),
                    reason: format!("class {bad} is negative; classes count from 0"),
                });
            }
            Tensor::from_vec(classes, rows, &Device::Cpu)?
        } else {
            Tensor::from_vec(values, (rows, 1), &Device::Cpu)?
        };
        Self::new(input, target)
    }

    /// The inputs.
    #[must_use]
    pub fn input(&self) -> &Tensor {
        &self.input
    }

    /// The targets.
    #[must_use]
    pub fn target(&self) -> &Tensor {
        &self.target
    }
}

impl Dataset for TensorDataset {
    fn len(&self) -> usize {
        self.input.dims()[0]
    }

    fn batch(&self, rows: &[usize]) -> Result<Batch> {
        let index: Vec<u32> = rows.iter().filter_map(|row| u32::try_from(*row).ok()).collect();
        let index = Tensor::new(index.as_slice(), self.input.device())?;
        Ok(Batch {
            input: self.input.index_select(&index, 0)?,
            target: self.target.index_select(&index, 0)?,
            rows: rows.to_vec(),
        })
    }
}

/// Numeric columns of a frame as an `f32` tensor `(rows, columns)`.
///
/// ```
/// use polars::prelude::df;
/// let df = df!("a" => [1i32, 2], "b" => [0.5, 1.5])?;
/// let tensor = oxilab_nn::frame_to_tensor(&df, &["b", "a"])?;
/// assert_eq!(tensor.to_vec2::<f32>()?, [[0.5, 1.0], [1.5, 2.0]]);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
///
/// # Errors
/// When a column is missing, not numeric, or has missing values.
pub fn frame_to_tensor(df: &DataFrame, columns: &[&str]) -> Result<Tensor> {
    let mut parts = Vec::with_capacity(columns.len());
    for name in columns {
        parts.push(Tensor::from_vec(numbers(df, name)?, (df.height(), 1), &Device::Cpu)?);
    }
    if parts.is_empty() {
        return Err(NnError::Setting {
            setting: "the number of feature columns",
            value: "0".to_owned(),
            expected: "a net needs at least one",
        });
    }
    Ok(Tensor::cat(&parts, 1)?.to_dtype(DType::F32)?)
}

fn numbers(df: &DataFrame, name: &str) -> Result<Vec<f32>> {
    let column = df.column(name)?;
    let dtype = column.dtype();
    if !(dtype.is_primitive_numeric() || dtype == &DataType::Boolean) {
        return Err(NnError::Column {
            column: name.to_owned(),
            reason: format!("it holds {dtype}, not numbers; encode it first"),
        });
    }
    if column.null_count() > 0 {
        return Err(NnError::Column {
            column: name.to_owned(),
            reason: format!("{} values are missing; fill or drop them first", column.null_count()),
        });
    }
    let cast = column.cast(&DataType::Float32)?;
    Ok(cast.f32()?.into_no_null_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::df;

    #[test]
    fn a_frame_with_missing_or_text_values_is_refused_by_name() -> Result<()> {
        let df = df!("a" => [Some(1.0), None], "b" => ["x", "y"], "c" => [1i64, 0])?;
        let missing = TensorDataset::from_frame(&df, &["a"], "c").expect_err("null").to_string();
        assert!(missing.contains("\"a\"") && missing.contains("1 values are missing"), "{missing}");
        let text = TensorDataset::from_frame(&df, &["b"], "c").expect_err("text").to_string();
        assert!(text.contains("\"b\"") && text.contains("encode"), "{text}");
        Ok(())
    }
}
