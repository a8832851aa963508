//! Losses, and the metric that goes with each.

use candle_core::{D, DType, Device, Result, Tensor};

use crate::layers::cross_entropy;

type Custom = Box<dyn Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync>;

/// What a run minimises: the mean over a batch.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_nn::Loss;
/// let output = Tensor::new(&[[1f32], [2.0]], &Device::Cpu)?;
/// let target = Tensor::new(&[[0f32], [4.0]], &Device::Cpu)?;
/// assert_eq!(Loss::Mse.of(&output, &target)?.to_scalar::<f32>()?, 2.5);
/// let mean_absolute = Loss::custom(|output, target| (output - target)?.abs()?.mean_all());
/// assert_eq!(mean_absolute.of(&output, &target)?.to_scalar::<f32>()?, 1.5);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[non_exhaustive]
pub enum Loss {
    /// Logits `(rows, classes)` against `u32` classes `(rows)`. Metric: accuracy.
    CrossEntropy,
    /// Mean squared error of two tensors of one shape. Metric: mean absolute error.
    Mse,
    /// Huber loss with threshold 1. Metric: mean absolute error.
    Huber,
    /// Logits `(rows, 1)` against 0 and 1. Metric: accuracy.
    BinaryCrossEntropy,
    /// Any function of output and target that gives a scalar.
    Custom(Custom),
}

impl Loss {
    /// A loss of the user's own.
    pub fn custom(f: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static) -> Self {
        Self::Custom(Box::new(f))
    }

    /// What it is called, for a record of the run.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::CrossEntropy => "cross-entropy",
            Self::Mse => "mean squared error",
            Self::Huber => "Huber",
            Self::BinaryCrossEntropy => "binary cross-entropy",
            Self::Custom(_) => "custom",
        }
    }

    /// The loss of a batch.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn of(&self, output: &Tensor, target: &Tensor) -> Result<Tensor> {
        match self {
            Self::CrossEntropy => cross_entropy(output, &target.to_dtype(DType::U32)?.to_vec1()?),
            Self::Mse => (output - fitting(output, target)?)?.sqr()?.mean_all(),
            Self::Huber => candle_nn::loss::huber(output, &fitting(output, target)?, 1.0),
            Self::BinaryCrossEntropy => {
                let target = target.to_dtype(output.dtype())?.reshape(output.shape())?;
                // max(x, 0) - x t + ln(1 + exp(-|x|)) does not overflow.
                let softplus = (output.abs()?.neg()?.exp()? + 1.0)?.log()?;
                ((output.relu()? - output.mul(&target)?)? + softplus)?.mean_all()
            }
            Self::Custom(f) => f(output, target),
        }
    }

    /// The name of the metric that goes with the loss.
    pub(crate) fn metric_name(&self) -> Option<&'static str> {
        match self {
            Self::CrossEntropy | Self::BinaryCrossEntropy => Some("accuracy"),
            Self::Mse | Self::Huber => Some("mae"),
            Self::Custom(_) => None,
        }
    }

    /// Name and sum over the rows of the metric that goes with the loss.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn metric(&self, output: &Tensor, target: &Tensor) -> Result<Option<(&'static str, f64)>> {
        // Metal has no f64.
        let sum = |hits: Tensor| {
            hits.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()
        };
        Ok(match self {
            Self::CrossEntropy => {
                let hits = output.argmax(D::Minus1)?.eq(&target.to_dtype(DType::U32)?)?;
                Some(("accuracy", sum(hits)?))
            }
            Self::BinaryCrossEntropy => {
                let target = target.to_dtype(DType::F32)?.reshape(output.shape())?;
                let said = output.gt(0.0)?.to_dtype(DType::F32)?;
                Some(("accuracy", sum(said.eq(&target)?)?))
            }
            Self::Mse | Self::Huber => {
                let off = (output - fitting(output, target)?)?.abs()?;
                let rows = off.dim(0)?;
                Some(("mae", sum(off.reshape((rows, ()))?.mean(D::Minus1)?)?))
            }
            Self::Custom(_) => None,
        })
    }
}

/// The target as the output is: `(rows)` beside `(rows, 1)` is the same values. Anything else would be
/// compared value by value with what it does not belong to.
fn fitting(output: &Tensor, target: &Tensor) -> Result<Tensor> {
    fn without_ones(dims: &[usize]) -> &[usize] {
        let end = dims.iter().skip(1).rposition(|dim| *dim != 1).map_or(1, |last| last + 2);
        &dims[..end.min(dims.len())]
    }
    let (ours, theirs) = (output.dims(), target.dims());
    if without_ones(ours) != without_ones(theirs) {
        candle_core::bail!(
            "the net gives {ours:?} and the target is {theirs:?}; for a loss of numbers both have one \
             shape: set the outputs of the net to the values of a row of the target"
        );
    }
    target.to_dtype(output.dtype())?.reshape(output.shape())
}

impl std::fmt::Debug for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::CrossEntropy => "CrossEntropy",
            Self::Mse => "Mse",
            Self::Huber => "Huber",
            Self::BinaryCrossEntropy => "BinaryCrossEntropy",
            Self::Custom(_) => "Custom",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{check, normal};

    #[test]
    fn a_target_of_rows_fits_an_output_of_one_column_and_other_shapes_are_named() -> Result<()> {
        let cpu = candle_core::Device::Cpu;
        let output = Tensor::new(&[[1f32], [2.0], [4.0]], &cpu)?;
        let target = Tensor::new(&[1f32, 2.0, 1.0], &cpu)?;
        for (output, target) in [(&output, &target), (&target, &output)] {
            assert!((Loss::Mse.of(output, target)?.to_scalar::<f32>()? - 3.0).abs() < 1e-6);
            assert_eq!(Loss::Mse.metric(output, target)?, Some(("mae", 3.0)));
            Loss::Huber.of(output, target)?;
        }
        for loss in [Loss::Mse, Loss::Huber] {
            let error = loss.of(&output.t()?, &target).expect_err("refused").to_string();
            assert!(error.contains("[1, 3]") && error.contains("[3]"), "{error}");
        }
        Ok(())
    }

    #[test]
    fn binary_cross_entropy_has_the_right_value_and_gradient() -> Result<()> {
        let target = Tensor::new(&[[1f32], [0.0]], &candle_core::Device::Cpu)?;
        let output = Tensor::new(&[[0f32], [0.0]], &candle_core::Device::Cpu)?;
        let loss = Loss::BinaryCrossEntropy.of(&output, &target)?.to_scalar::<f32>()?;
        assert!((loss - std::f32::consts::LN_2).abs() < 1e-6);
        check(&[normal(&[2, 1], 1)?], |t| Loss::BinaryCrossEntropy.of(&t[0], &target))
    }
}
