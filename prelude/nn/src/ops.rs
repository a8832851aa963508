//! candle_nn's operations, with a backward pass also of those that have none there: through candle_nn's
//! [`layer_norm`], [`rms_norm`] and [`softmax_last_dim`] no gradient passes, and nothing says so.

use candle_core::{Result, Tensor};

pub use candle_nn::ops::*;

use crate::layers;

/// Layer normalisation over the last dimension, as candle's: `alpha` is the weight, `beta` the bias.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use oxilab_nn::ops;
/// let x = Var::new(&[[1f32, 2.0, 4.0]], &Device::Cpu)?;
/// let (alpha, beta) = (Tensor::new(&[1f32, 1.0, 1.0], &Device::Cpu)?, x.zeros_like()?.squeeze(0)?);
/// let grads = ops::layer_norm(&x, &alpha, &beta, 1e-5)?.sqr()?.sum_all()?.backward()?;
/// assert!(grads.get(&x).is_some());
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes do not fit.
pub fn layer_norm(x: &Tensor, alpha: &Tensor, beta: &Tensor, eps: f32) -> Result<Tensor> {
    layers::layer_norm(x, alpha, Some(beta), f64::from(eps))
}

/// Root-mean-square normalisation over the last dimension, as candle's: `alpha` is the weight.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use oxilab_nn::ops;
/// let x = Var::new(&[[1f32, 2.0]], &Device::Cpu)?;
/// let alpha = Tensor::new(&[1f32, 1.0], &Device::Cpu)?;
/// let grads = ops::rms_norm(&x, &alpha, 1e-5)?.sum_all()?.backward()?;
/// assert!(grads.get(&x).is_some());
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes do not fit.
pub fn rms_norm(x: &Tensor, alpha: &Tensor, eps: f32) -> Result<Tensor> {
    layers::rms_norm(x, alpha, f64::from(eps))
}

/// The softmax over the last dimension.
///
/// ```
/// use candle_core::{Device, Var};
/// use oxilab_nn::ops;
/// let x = Var::new(&[[1f32, 2.0]], &Device::Cpu)?;
/// let grads = ops::softmax_last_dim(&x)?.sqr()?.sum_all()?.backward()?;
/// assert!(grads.get(&x).is_some());
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the tensor has no dimension.
pub fn softmax_last_dim(x: &Tensor) -> Result<Tensor> {
    layers::softmax(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{check, normal};

    #[test]
    fn they_compute_what_candles_do_and_can_be_learned_through() -> Result<()> {
        let (x, alpha, beta) = (normal(&[2, 3, 4], 1)?, normal(&[4], 2)?, normal(&[4], 3)?);
        for (ours, theirs) in [
            (
                layer_norm(&x, &alpha, &beta, 1e-5)?,
                candle_nn::ops::layer_norm(&x, &alpha, &beta, 1e-5)?,
            ),
            (rms_norm(&x, &alpha, 1e-5)?, candle_nn::ops::rms_norm(&x, &alpha, 1e-5)?),
            (softmax_last_dim(&x)?, candle_nn::ops::softmax_last_dim(&x)?),
        ] {
            assert!((ours - theirs)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-5);
        }
        let inputs = [x, alpha, beta];
        check(&inputs, |t| layer_norm(&t[0], &t[1], &t[2], 1e-5)?.tanh())?;
        check(&inputs[..2], |t| rms_norm(&t[0], &t[1], 1e-5)?.tanh())?;
        check(&inputs[..1], |t| softmax_last_dim(&t[0])?.sqr())
    }
}
