//! Dropout with a seed.

use candle_core::{Result, Tensor};
use rand::{Rng, RngExt as _};

/// Sets each value to zero with probability `p` and scales the others by `1 / (1 - p)`.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use oxilab_nn::layers::dropout;
/// use rand::{SeedableRng as _, rngs::StdRng};
/// let x = Tensor::ones(8, DType::F32, &Device::Cpu)?;
/// let y = dropout(&x, 0.5, &mut StdRng::seed_from_u64(1))?.to_vec1::<f32>()?;
/// assert!(y.iter().all(|value| *value == 0.0 || *value == 2.0));
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When `p` is not in `0..1`.
#[expect(clippy::cast_possible_truncation, reason = "the scale is an f32")]
pub fn dropout(x: &Tensor, p: f64, rng: &mut impl Rng) -> Result<Tensor> {
    if !(0.0..1.0).contains(&p) {
        candle_core::bail!("dropout: a probability of {p} is not in 0..1");
    }
    if p == 0.0 {
        return Ok(x.clone());
    }
    let scale = (1.0 / (1.0 - p)) as f32;
    let mask: Vec<f32> =
        (0..x.elem_count()).map(|_| if rng.random::<f64>() < p { 0.0 } else { scale }).collect();
    x.mul(&Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};
    use rand::{SeedableRng as _, rngs::StdRng};

    use crate::gradcheck::{check, normal};
    use crate::model::{Mode, Trainable as _};
    use crate::nets::Mlp;

    #[test]
    fn dropout_keeps_the_mean_and_repeats_with_its_seed() -> Result<()> {
        let x = Tensor::ones(10_000, DType::F32, &Device::Cpu)?;
        let once = dropout(&x, 0.3, &mut StdRng::seed_from_u64(1))?.to_vec1::<f32>()?;
        let again = dropout(&x, 0.3, &mut StdRng::seed_from_u64(1))?.to_vec1::<f32>()?;
        assert_eq!(once, again);
        let mean = once.iter().sum::<f32>() / 10_000.0;
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        let dropped = once.iter().filter(|value| **value == 0.0).count();
        assert!((2850..3150).contains(&dropped), "{dropped} of 10,000 at 0.3");
        assert!(dropout(&x, 1.0, &mut StdRng::seed_from_u64(1)).is_err());
        Ok(())
    }

    #[test]
    fn each_value_keeps_its_mean_over_many_masks() -> Result<()> {
        let x = Tensor::new(&[-2f32, 0.5, 3.0], &Device::Cpu)?;
        let mut rng = StdRng::seed_from_u64(4);
        let mut sum = x.zeros_like()?;
        for _ in 0..4000 {
            sum = (sum + dropout(&x, 0.4, &mut rng)?)?;
        }
        // The mean of 4,000 masks has a deviation of 0.013 of the value.
        let apart = ((sum / 4000.0)? / &x)?.affine(1.0, -1.0)?.abs()?.max_all()?;
        assert!(apart.to_scalar::<f32>()? < 0.05, "{apart}");
        Ok(())
    }

    #[test]
    fn the_gradient_passes_where_values_do() -> Result<()> {
        // The same seed, the same mask in every evaluation of the check.
        let mask = || StdRng::seed_from_u64(9);
        let x = normal(&[4, 5], 1)?;
        check(std::slice::from_ref(&x), |t| dropout(&t[0], 0.4, &mut mask())?.sqr())?;
        let kept = dropout(&x.ones_like()?, 0.4, &mut mask())?;
        let grads = dropout(&x, 0.4, &mut mask())?.sum_all()?.backward()?;
        let grad = grads.get(&x).expect("a gradient").flatten_all()?.to_vec1::<f32>()?;
        assert_eq!(grad, kept.flatten_all()?.to_vec1::<f32>()?);
        assert!(grad.contains(&0.0) && grad.iter().any(|grad| *grad > 1.6));
        Ok(())
    }

    #[test]
    fn a_net_drops_nothing_in_evaluation() -> crate::error::Result<()> {
        let (plain, dropping) = (Mlp::new(3, &[32], 2, 1)?, Mlp::new(3, &[32], 2, 1)?);
        let dropping = dropping.with_dropout(0.5);
        let x = normal(&[6, 3], 2)?;
        let said = |net: &Mlp, mode| net.forward(&x, mode)?.to_vec2::<f32>();
        assert_eq!(said(&dropping, Mode::eval())?, said(&plain, Mode::eval())?);
        assert_ne!(said(&dropping, Mode::train(1))?, said(&plain, Mode::train(1))?);
        Ok(())
    }
}
