//! Scaled dot-product attention with grouped keys and values, differentiable on every device.

use candle_core::{DType, Device, Result, Tensor};

use super::softmax::masked_softmax;

/// Attention of `q` `(batch, heads, length, dim)` over `k` and `v` `(batch, groups, total, dim)`;
/// `heads` is a multiple of `groups`. `mask` is `(length, total)` and is added to the scores.
/// Returns `(batch, heads, length, dim)`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_nn::layers::{attention, causal_mask};
/// let q = Tensor::ones((1, 4, 3, 8), candle_core::DType::F32, &Device::Cpu)?; // four heads
/// let kv = Tensor::ones((1, 2, 3, 8), candle_core::DType::F32, &Device::Cpu)?; // two groups
/// let mask = causal_mask(3, 0, None, &Device::Cpu)?;
/// assert_eq!(attention(&q, &kv, &kv, Some(&mask), 8f64.sqrt().recip())?.dims(), [1, 4, 3, 8]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes do not fit.
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    mask: Option<&Tensor>,
    scale: f64,
) -> Result<Tensor> {
    let (batch, heads, length, dim) = q.dims4()?;
    let (_, groups, _, _) = k.dims4()?;
    if groups == 0 || !heads.is_multiple_of(groups) {
        candle_core::bail!("attention: {heads} heads over {groups} groups of keys");
    }
    let per_group = heads / groups;
    let q = q.reshape((batch, groups, per_group * length, dim))?;
    let scores = q.matmul(&k.transpose(2, 3)?)?;
    masked_softmax(&scores, mask, scale)?.matmul(v)?.reshape((batch, heads, length, dim))
}

/// A mask `(length, past + length)` that lets position `i` see `past + i` and what is before, at most
/// `window` positions back.
///
/// ```
/// use oxilab_nn::layers::causal_mask;
/// let mask = causal_mask(2, 1, None, &candle_core::Device::Cpu)?.to_vec2::<f32>()?;
/// assert_eq!(mask, [[0.0, 0.0, f32::NEG_INFINITY], [0.0, 0.0, 0.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the device refuses the allocation.
pub fn causal_mask(
    length: usize,
    past: usize,
    window: Option<usize>,
    device: &Device,
) -> Result<Tensor> {
    let total = past + length;
    let mask: Vec<f32> = (0..length)
        .flat_map(|row| {
            (0..total).map(move |column| {
                let at = past + row;
                let visible = column <= at && window.is_none_or(|window| column + window > at);
                if visible { 0.0 } else { f32::NEG_INFINITY }
            })
        })
        .collect();
    Tensor::from_vec(mask, (length, total), device)?.to_dtype(DType::F32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{check, normal};

    #[test]
    fn grouped_causal_attention_has_the_right_gradient() -> Result<()> {
        let mask = causal_mask(3, 0, None, &Device::Cpu)?;
        let q = normal(&[1, 4, 3, 2], 1)?;
        let (k, v) = (normal(&[1, 2, 3, 2], 2)?, normal(&[1, 2, 3, 2], 3)?);
        check(&[q, k, v], |t| attention(&t[0], &t[1], &t[2], Some(&mask), 0.7)?.sqr())
    }

    #[test]
    fn the_window_hides_what_is_far_back() -> Result<()> {
        let mask = causal_mask(2, 2, Some(2), &Device::Cpu)?.to_vec2::<f32>()?;
        let seen: Vec<Vec<bool>> =
            mask.iter().map(|row| row.iter().map(|value| *value == 0.0).collect()).collect();
        assert_eq!(seen, [[false, true, true, false], [false, false, true, true]]);
        Ok(())
    }
}
