//! Rows one by one, for a function that joins them to a batch.

use candle_core::Tensor;

use crate::error::Result;

/// A row as [`DataLoader::with_collate`](crate::DataLoader::with_collate) hands it out.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_nn::{DataLoader, Sample, TensorDataset};
/// let x = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu)?;
/// // The input doubled; what the loader does unless told otherwise is to stack both.
/// let double = |one: &Sample| &one.input * 2.0;
/// let loader = DataLoader::new(TensorDataset::new(x.clone(), x)?, 2).with_collate(move |samples| {
///     let inputs = samples.iter().map(double).collect::<candle_core::Result<Vec<_>>>()?;
///     let targets: Vec<&Tensor> = samples.iter().map(|one| &one.target).collect();
///     Ok((Tensor::stack(&inputs, 0)?, Tensor::stack(&targets, 0)?))
/// });
/// let batch = loader.epoch(0, 0).next().expect("a batch")?;
/// assert_eq!(batch.input.to_vec2::<f32>()?, [[2.0, 4.0], [6.0, 8.0]]);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sample {
    /// The input, without the dimension of the rows.
    pub input: Tensor,
    /// The target, likewise: a class is a scalar.
    pub target: Tensor,
    /// The row's number in the data set.
    pub row: usize,
}

/// Input and target of a batch from its rows.
pub(super) type Collate = dyn Fn(&[Sample]) -> Result<(Tensor, Tensor)> + Send + Sync;
