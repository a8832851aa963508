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

    #[test]
    fn dropout_keeps_the_mean_and_repeats_with_its_seed() -> Result<()> {
        let x = Tensor::ones(10_000, DType::F32, &Device::Cpu)?;
        let once = dropout(&x, 0.3, &mut StdRng::seed_from_u64(1))?.to_vec1::<f32>()?;
        let again = dropout(&x, 0.3, &mut StdRng::seed_from_u64(1))?.to_vec1::<f32>()?;
        assert_eq!(once, again);
        let mean = once.iter().sum::<f32>() / 10_000.0;
        assert!((mean - 1.0).abs() < 0.03, "{mean}");
        assert!(dropout(&x, 1.0, &mut StdRng::seed_from_u64(1)).is_err());
        Ok(())
    }
}
