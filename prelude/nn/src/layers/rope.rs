//! Rotary position embedding with a backward pass (Su et al., 2021).

use candle_core::{CpuStorage, CustomOp3, D, DType, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::kernel::{PARALLEL_FROM, fused, slice};

/// Cosines and sines of all positions.
///
/// ```
/// use candle_core::Device;
/// use oxilab_nn::layers::RopeTable;
/// let table = RopeTable::new(8, 128, 10_000.0, None, &Device::Cpu)?;
/// let (cos, sin) = table.range(0, 3)?;
/// assert_eq!((cos.dims(), sin.dims()), (&[3, 4][..], &[3, 4][..]), "a value for each pair");
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RopeTable {
    cos: Tensor,
    sin: Tensor,
}

impl RopeTable {
    /// The table for `positions` positions of vectors of which the first `dims` values turn, with the
    /// base frequency `theta`; `factors`, one per pair, divide the frequencies (long-context scaling).
    ///
    /// # Errors
    /// When `dims` is odd or there are not `dims / 2` factors.
    #[expect(clippy::cast_precision_loss, reason = "positions are far below 2^52")]
    #[expect(clippy::cast_possible_truncation, reason = "cosines are kept as f32")]
    pub fn new(
        dims: usize,
        positions: usize,
        theta: f64,
        factors: Option<&[f32]>,
        device: &Device,
    ) -> Result<Self> {
        let half = dims / 2;
        if !dims.is_multiple_of(2) || factors.is_some_and(|factors| factors.len() != half) {
            candle_core::bail!(
                "rope: {dims} dimensions with {:?} factors",
                factors.map(<[f32]>::len)
            );
        }
        let frequencies: Vec<f64> = (0..half)
            .map(|pair| {
                let frequency = theta.powf(-2.0 * pair as f64 / dims as f64);
                factors.map_or(frequency, |factors| frequency / f64::from(factors[pair]))
            })
            .collect();
        let angles = || {
            (0..positions).flat_map(|position| frequencies.iter().map(move |f| position as f64 * f))
        };
        let cos: Vec<f32> = angles().map(|angle| angle.cos() as f32).collect();
        let sin: Vec<f32> = angles().map(|angle| angle.sin() as f32).collect();
        Ok(Self {
            cos: Tensor::from_vec(cos, (positions, half), device)?,
            sin: Tensor::from_vec(sin, (positions, half), device)?,
        })
    }

    /// How many positions the table holds.
    #[must_use]
    pub fn positions(&self) -> usize {
        self.cos.dims().first().copied().unwrap_or(0)
    }

    /// Cosines and sines `(length, dims / 2)` of `length` positions from `start`.
    ///
    /// # Errors
    /// When a position is not in the table.
    pub fn range(&self, start: usize, length: usize) -> Result<(Tensor, Tensor)> {
        Ok((self.cos.narrow(0, start, length)?, self.sin.narrow(0, start, length)?))
    }

    /// Cosines and sines of these positions.
    ///
    /// # Errors
    /// When a position is not in the table.
    pub fn at(&self, positions: &[u32]) -> Result<(Tensor, Tensor)> {
        let index = Tensor::new(positions, self.cos.device())?;
        Ok((self.cos.index_select(&index, 0)?, self.sin.index_select(&index, 0)?))
    }
}

/// Turns `x` `(batch, heads, length, dim)` by the angles of `cos` and `sin` `(length, pairs)`; the
/// pairs are `(i, i + pairs)`, and values beyond `2 · pairs` stay. Only `x` has a gradient.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_nn::layers::{RopeTable, rope};
/// let table = RopeTable::new(2, 8, 10_000.0, None, &Device::Cpu)?;
/// let x = Tensor::new(&[[[[1f32, 0.0], [1.0, 0.0]]]], &Device::Cpu)?; // positions 0 and 1
/// let (cos, sin) = table.range(0, 2)?;
/// let y = rope(&x, &cos, &sin)?.flatten_all()?.to_vec1::<f32>()?;
/// assert_eq!(y[..2], [1.0, 0.0]);
/// assert!((y[2] - 1f32.cos()).abs() < 1e-6 && (y[3] - 1f32.sin()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes do not fit.
pub fn rope(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let (_, _, length, dim) = x.dims4()?;
    let (rows, pairs) = cos.dims2()?;
    if rows != length || 2 * pairs > dim || cos.shape() != sin.shape() {
        candle_core::bail!("rope: {:?} with cosines of {:?}", x.shape(), cos.shape());
    }
    if fused(x) {
        return x.contiguous()?.apply_op3(
            &cos.contiguous()?.to_dtype(DType::F32)?,
            &sin.contiguous()?.to_dtype(DType::F32)?,
            RopeOp,
        );
    }
    let first = x.narrow(D::Minus1, 0, pairs)?;
    let second = x.narrow(D::Minus1, pairs, pairs)?;
    let (cos, sin) = (cos.to_dtype(x.dtype())?, sin.to_dtype(x.dtype())?);
    let mut parts = vec![
        (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?,
        (second.broadcast_mul(&cos)? + first.broadcast_mul(&sin)?)?,
    ];
    if dim > 2 * pairs {
        parts.push(x.narrow(D::Minus1, 2 * pairs, dim - 2 * pairs)?);
    }
    Tensor::cat(&parts, D::Minus1)
}

struct RopeOp;

impl CustomOp3 for RopeOp {
    fn name(&self) -> &'static str {
        "rope"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        cos: &CpuStorage,
        cos_layout: &Layout,
        sin: &CpuStorage,
        sin_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, x_layout)?;
        let (cos, sin) = (slice(cos, cos_layout)?, slice(sin, sin_layout)?);
        let (dim, pairs) = (x_layout.dims()[3], cos_layout.dims()[1]);
        let head = x_layout.dims()[2] * dim;
        let mut out = x.to_vec();
        let turn = |out: &mut [f32]| {
            for (row, (cos, sin)) in
                out.chunks_exact_mut(dim).zip(cos.chunks_exact(pairs).zip(sin.chunks_exact(pairs)))
            {
                let (first, second) = row.split_at_mut(pairs);
                for i in 0..pairs {
                    let (a, b) = (first[i], second[i]);
                    first[i] = a * cos[i] - b * sin[i];
                    second[i] = b * cos[i] + a * sin[i];
                }
            }
        };
        if head > 0 && pairs > 0 {
            if x.len() < PARALLEL_FROM {
                out.chunks_exact_mut(head).for_each(turn);
            } else {
                out.par_chunks_exact_mut(head).for_each(turn);
            }
        }
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    /// A rotation's inverse is its transpose: turn the gradient back.
    fn bwd(
        &self,
        _x: &Tensor,
        cos: &Tensor,
        sin: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        Ok((Some(rope(grad, cos, &sin.neg()?)?), None, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{check, normal};

    #[test]
    fn rope_has_the_right_gradient() -> Result<()> {
        let table = RopeTable::new(4, 8, 100.0, None, &Device::Cpu)?;
        let (cos, sin) = table.at(&[0, 1, 5])?;
        check(&[normal(&[2, 2, 3, 6], 1)?], |t| {
            rope(&t[0], &cos, &sin)?.sqr()?.affine(1.0, 0.5)?.sqr()
        })
    }

    #[test]
    fn fused_and_composed_agree_with_candle() -> Result<()> {
        let table = RopeTable::new(8, 16, 10_000.0, None, &Device::Cpu)?;
        let (cos, sin) = table.range(3, 4)?;
        let x = normal(&[1, 2, 4, 8], 2)?.as_tensor().clone();
        let ours = rope(&x, &cos, &sin)?;
        let theirs = candle_nn::rotary_emb::rope(&x, &cos.contiguous()?, &sin.contiguous()?)?;
        let composed = rope(&x.to_dtype(DType::F64)?, &cos, &sin)?.to_dtype(DType::F32)?;
        for other in [theirs, composed] {
            assert!((&ours - other)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-5);
        }
        Ok(())
    }
}
