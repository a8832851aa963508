//! One-dimensional convolution: [`conv1d`].

use candle_core::{Result, Tensor};
use candle_nn::Conv1dConfig;

use super::conv::conv2d;
use super::windows::every;

/// Convolution of `x` `(rows, channels, length)` with `weight` `(outputs, channels / groups, kernel)` and a
/// bias `(outputs)`, if any; zeros around the sequence.
///
/// candle's own (0.11) gives the kernel a wrong gradient where there are several rows and outputs.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use candle_nn::Conv1dConfig;
/// let x = Tensor::new(&[[[1f32, 2.0, 4.0]]], &Device::Cpu)?;
/// let step = Tensor::new(&[[[-1f32, 1.0]]], &Device::Cpu)?;
/// let y = oxilab_nn::layers::conv1d(&x, &step, None, &Conv1dConfig::default())?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [1.0, 2.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes do not fit.
pub fn conv1d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    config: &Conv1dConfig,
) -> Result<Tensor> {
    let (_, channels, length) = x.dims3()?;
    let (outputs, per_group, kernel) = weight.dims3()?;
    let &Conv1dConfig { padding, stride, dilation, groups, .. } = config;
    let reach = dilation * kernel.saturating_sub(1) + 1;
    let fits = groups > 0 && channels == per_group * groups && outputs.is_multiple_of(groups);
    let sizes = [kernel, stride, dilation].iter().all(|size| *size > 0);
    let Some(last) = (length + 2 * padding).checked_sub(reach).filter(|_| fits && sizes) else {
        candle_core::bail!(
            "conv1d: {:?} with a weight {:?} and {config:?}",
            x.shape(),
            weight.shape()
        );
    };
    let x = x.pad_with_zeros(2, padding, padding)?;
    if groups == 1 && dilation == 1 {
        let y = conv2d(&x.unsqueeze(2)?, &weight.unsqueeze(2)?, bias, stride, 0)?;
        return y.squeeze(2);
    }
    let y = product_of_taps(&x, weight, last / stride + 1, config)?;
    match bias {
        Some(bias) => y.broadcast_add(&bias.to_dtype(x.dtype())?.reshape((1, outputs, 1))?),
        None => Ok(y),
    }
}

/// The kernel times what each of its places sees of a padded sequence.
fn product_of_taps(
    x: &Tensor,
    weight: &Tensor,
    out: usize,
    config: &Conv1dConfig,
) -> Result<Tensor> {
    let &Conv1dConfig { stride, dilation, groups, .. } = config;
    let (rows, (outputs, per_group, kernel)) = (x.dim(0)?, weight.dims3()?);
    let seen = |tap: usize| every(x, 2, tap * dilation, stride, out);
    let taps = (0..kernel).map(seen).collect::<Result<Vec<_>>>()?;
    let patches = Tensor::stack(&taps, 2)?.reshape((rows, groups, per_group * kernel, out))?;
    let weight = weight.to_dtype(x.dtype())?;
    let weight = weight.reshape((1, groups, outputs / groups, per_group * kernel))?;
    weight.broadcast_matmul(&patches)?.reshape((rows, outputs, out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{check, normal};

    fn configs() -> impl Iterator<Item = Conv1dConfig> {
        let all =
            [(0, 1, 1, 1), (1, 1, 1, 1), (2, 2, 1, 1), (1, 1, 2, 1), (0, 2, 1, 2), (1, 3, 2, 4)];
        all.into_iter().map(|(padding, stride, dilation, groups)| Conv1dConfig {
            padding,
            stride,
            dilation,
            groups,
            ..Conv1dConfig::default()
        })
    }

    #[test]
    fn it_is_candles_with_the_right_gradients() -> Result<()> {
        for config in configs() {
            let (x, bias) = (normal(&[3, 4, 9], 1)?, normal(&[8], 3)?);
            let weight = normal(&[8, 4 / config.groups, 3], 2)?;
            let Conv1dConfig { padding, stride, dilation, groups, .. } = config;
            let theirs = x.conv1d(&weight, padding, stride, dilation, groups)?;
            let ours = conv1d(&x, &weight, None, &config)?;
            assert_eq!(ours.shape(), theirs.shape(), "{config:?}");
            let apart = (ours - theirs)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(apart < 1e-5, "{config:?}: {apart}");
            check(&[x, weight, bias], |t| conv1d(&t[0], &t[1], Some(&t[2]), &config)?.tanh())?;
        }
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_an_error() -> Result<()> {
        let (x, weight) = (normal(&[3, 4, 9], 1)?, normal(&[8, 4, 3], 2)?);
        for config in [
            Conv1dConfig { groups: 3, ..Conv1dConfig::default() },
            Conv1dConfig { groups: 0, ..Conv1dConfig::default() },
            Conv1dConfig { stride: 0, ..Conv1dConfig::default() },
            Conv1dConfig { dilation: 9, ..Conv1dConfig::default() },
        ] {
            let error = conv1d(&x, &weight, None, &config).expect_err("refused").to_string();
            assert!(error.contains("conv1d: [3, 4, 9] with a weight [8, 4, 3]"), "{error}");
        }
        Ok(())
    }
}
