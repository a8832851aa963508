//! Data sets and the loader that shuffles, batches and prefetches them.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use candle_core::{DType, Device, Tensor};
use polars::prelude::{DataFrame, DataType};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::check;
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

/// Batches of a data set, shuffled anew in every epoch, made ahead on a thread.
///
/// The order depends only on seed and epoch, so that a resumed run sees the same batches.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_nn::{DataLoader, TensorDataset};
/// let x = Tensor::arange(0f32, 10.0, &Device::Cpu)?.reshape((10, 1))?;
/// let loader = DataLoader::new(TensorDataset::new(x.clone(), x)?, 4).with_shuffle(7);
/// let sizes: Vec<usize> = loader.epoch(0, 0).map(|batch| Ok(batch?.rows.len())).collect::<Result<_, oxilab_nn::NnError>>()?;
/// assert_eq!(sizes, [4, 4, 2]);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone)]
pub struct DataLoader {
    dataset: Arc<dyn Dataset>,
    batch_size: usize,
    shuffle: Option<u64>,
    drop_last: bool,
    prefetch: usize,
}

impl DataLoader {
    /// Batches of `batch_size` rows (the last one may be smaller), in order, two made ahead.
    #[must_use]
    pub fn new(dataset: impl Dataset + 'static, batch_size: usize) -> Self {
        Self {
            dataset: Arc::new(dataset),
            batch_size,
            shuffle: None,
            drop_last: false,
            prefetch: 2,
        }
    }

    /// Refuses a size that makes no batch.
    pub(crate) fn check(&self) -> Result<()> {
        check::at_least_one("the batch size", self.batch_size)
    }

    /// Shuffles the rows in every epoch.
    #[must_use]
    pub fn with_shuffle(mut self, seed: u64) -> Self {
        self.shuffle = Some(seed);
        self
    }

    /// Leaves out a last batch that is not full.
    #[must_use]
    pub fn with_drop_last(mut self) -> Self {
        self.drop_last = true;
        self
    }

    /// How many batches are made ahead; 0 makes them on the calling thread.
    #[must_use]
    pub fn with_prefetch(mut self, batches: usize) -> Self {
        self.prefetch = batches;
        self
    }

    /// The number of batches in an epoch.
    #[must_use]
    pub fn batches(&self) -> usize {
        if self.drop_last {
            self.dataset.len() / self.batch_size.max(1)
        } else {
            self.dataset.len().div_ceil(self.batch_size.max(1))
        }
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.dataset.len()
    }

    /// The batches of an epoch from batch `skip` on.
    #[must_use]
    pub fn epoch(&self, epoch: usize, skip: usize) -> Batches {
        self.batches_of(epoch, skip, true)
    }

    /// All batches for evaluation.
    #[must_use]
    pub fn evaluation(&self) -> Batches {
        self.batches_of(0, 0, false)
    }

    fn batches_of(&self, epoch: usize, skip: usize, train: bool) -> Batches {
        if let Err(error) = self.check() {
            let (error_tx, error_rx) = sync_channel(1);
            // The other end is the next line's, and there is room for one.
            let _ = error_tx.send(Err(error));
            return Batches(Source::Ahead(error_rx));
        }
        let mut rows: Vec<usize> = (0..self.dataset.len()).collect();
        if let Some(seed) = self.shuffle {
            let seed = seed ^ (epoch as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            rows.shuffle(&mut StdRng::seed_from_u64(seed));
        }
        let mut plan: Vec<Vec<usize>> =
            rows.chunks(self.batch_size).map(<[usize]>::to_vec).collect();
        plan.truncate(self.batches());
        let plan = plan.into_iter().skip(skip);
        if self.prefetch == 0 {
            return Batches(Source::Here {
                dataset: Arc::clone(&self.dataset),
                plan: Box::new(plan),
                epoch,
                train,
            });
        }
        let (batch_tx, batch_rx) = sync_channel(self.prefetch);
        let dataset = Arc::clone(&self.dataset);
        std::thread::spawn(move || {
            for rows in plan {
                if batch_tx.send(dataset.batch_at(&rows, epoch, train)).is_err() {
                    return;
                }
            }
        });
        Batches(Source::Ahead(batch_rx))
    }
}

impl std::fmt::Debug for DataLoader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "DataLoader({} rows, {} batches of {})",
            self.rows(),
            self.batches(),
            self.batch_size
        )
    }
}

/// The batches of one epoch.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_nn::{DataLoader, TensorDataset};
/// let x = Tensor::arange(0f32, 5.0, &Device::Cpu)?.reshape((5, 1))?;
/// let loader = DataLoader::new(TensorDataset::new(x.clone(), x)?, 2).with_shuffle(1);
/// let rows = |epoch| -> oxilab_nn::error::Result<Vec<usize>> {
///     let batches: Vec<_> = loader.epoch(epoch, 0).collect::<Result<_, _>>()?;
///     Ok(batches.into_iter().flat_map(|batch| batch.rows).collect())
/// };
/// assert_eq!(rows(0)?, rows(0)?, "the order follows from seed and epoch");
/// assert_eq!(rows(1)?.len(), 5);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
pub struct Batches(Source);

enum Source {
    Here {
        dataset: Arc<dyn Dataset>,
        plan: Box<dyn Iterator<Item = Vec<usize>> + Send>,
        epoch: usize,
        train: bool,
    },
    Ahead(Receiver<Result<Batch>>),
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Here { dataset, plan, epoch, train } => {
                plan.next().map(|rows| dataset.batch_at(&rows, *epoch, *train))
            }
            Source::Ahead(batch_rx) => batch_rx.recv().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::df;

    fn loader(prefetch: usize) -> Result<DataLoader> {
        let input = Tensor::arange(0f32, 10.0, &Device::Cpu)?.unsqueeze(1)?;
        let target = Tensor::arange(0u32, 10, &Device::Cpu)?;
        let dataset = TensorDataset::new(input, target)?;
        Ok(DataLoader::new(dataset, 4).with_shuffle(7).with_prefetch(prefetch))
    }

    fn rows(batches: Batches) -> Result<Vec<Vec<usize>>> {
        batches.map(|batch| batch.map(|batch| batch.rows)).collect()
    }

    #[test]
    fn every_row_comes_once_in_an_order_that_epoch_and_seed_fix() -> Result<()> {
        let first = rows(loader(2)?.epoch(0, 0))?;
        assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
        let mut all = first.concat();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_eq!(first, rows(loader(0)?.epoch(0, 0))?);
        assert_ne!(first, rows(loader(0)?.epoch(1, 0))?);
        assert_eq!(first[1..], rows(loader(2)?.epoch(0, 1))?);
        assert_eq!(rows(loader(2)?.with_drop_last().epoch(0, 0))?.len(), 2);
        Ok(())
    }

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
