//! Softmax and the cross entropy of language models with lean backward passes.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::kernel::{PARALLEL_FROM, fused, slice, with_slice};

/// Softmax over the last dimension. Unlike candle's fused one it has a backward pass, and unlike its
/// composed one that pass keeps nothing but the result.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let y = oxilab_nn::layers::softmax(&Tensor::new(&[[0f32, 0.0], [0.0, 99.0]], &Device::Cpu)?)?;
/// assert_eq!(y.to_vec2::<f32>()?[0], [0.5, 0.5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the tensor has no dimension.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    if fused(x) && x.rank() > 0 {
        return x.contiguous()?.apply_op1(SoftmaxOp { scale: 1.0, mask: None });
    }
    candle_nn::ops::softmax(x, D::Minus1)
}

/// `softmax(scale · x + mask)` over the last dimension of `x` `(…, rows, n)`, with a constant mask
/// `(length, n)` whose rows repeat over those of `x`: attention scores in one pass.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let scores = Tensor::new(&[[[[2f32, 2.0, 9.0]]]], &Device::Cpu)?;
/// let mask = Tensor::new(&[[0f32, 0.0, f32::NEG_INFINITY]], &Device::Cpu)?;
/// let shares = oxilab_nn::layers::masked_softmax(&scores, Some(&mask), 1.0)?;
/// assert_eq!(shares.flatten_all()?.to_vec1::<f32>()?, [0.5, 0.5, 0.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the rows of `x` are no multiple of the mask's, or the widths differ.
pub fn masked_softmax(x: &Tensor, mask: Option<&Tensor>, scale: f64) -> Result<Tensor> {
    let n = x.dim(D::Minus1)?;
    let rows = if n == 0 { 0 } else { x.elem_count() / n };
    if let Some(mask) = mask {
        let (length, width) = mask.dims2()?;
        if width != n || length == 0 || !rows.is_multiple_of(length) {
            candle_core::bail!("masked_softmax: {:?} with a mask {:?}", x.shape(), mask.shape());
        }
    }
    if fused(x) {
        let mask = mask.map(|mask| mask.flatten_all()?.to_vec1::<f32>()).transpose()?;
        #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
        return x.contiguous()?.apply_op1(SoftmaxOp { scale: scale as f32, mask });
    }
    let scaled = (x * scale)?;
    let Some(mask) = mask else { return softmax(&scaled) };
    let length = mask.dim(0)?;
    let mask = mask.to_dtype(x.dtype())?;
    let masked = scaled.reshape((rows / length, length, n))?.broadcast_add(&mask)?;
    softmax(&masked.reshape(x.shape())?)
}

/// The mean cross entropy of `logits` `(n, classes)` with the class of each row.
///
/// Neither direction holds more than one copy of the logits: for vocabularies of 50,000 tokens that
/// is the largest tensor of a training step.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let logits = Tensor::new(&[[0f32, 0.0], [0.0, 0.0]], &Device::Cpu)?;
/// let loss = oxilab_nn::layers::cross_entropy(&logits, &[0, 1])?.to_scalar::<f32>()?;
/// assert!((loss - 2f32.ln()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When there are not `n` targets or one is not a class.
pub fn cross_entropy(logits: &Tensor, targets: &[u32]) -> Result<Tensor> {
    let (n, classes) = logits.dims2()?;
    if n != targets.len() || n == 0 {
        candle_core::bail!("cross_entropy: {n} rows of logits and {} targets", targets.len());
    }
    if let Some(bad) = targets.iter().find(|target| **target as usize >= classes) {
        candle_core::bail!("cross_entropy: target {bad} is not below the {classes} classes");
    }
    if fused(logits) {
        return logits.contiguous()?.apply_op1(CrossEntropyOp { targets: targets.to_vec() });
    }
    candle_nn::loss::cross_entropy(logits, &Tensor::new(targets, logits.device())?)
}

struct SoftmaxOp {
    scale: f32,
    mask: Option<Vec<f32>>,
}

fn softmax_row(x: &[f32], out: &mut [f32]) {
    out.copy_from_slice(x);
    exponentials(out, x.iter().copied().fold(f32::NEG_INFINITY, f32::max));
}

/// `exp(x - max)`, scaled to a sum of one. Masked values are not computed.
fn exponentials(out: &mut [f32], max: f32) {
    let mut sum = 0f32;
    for out in out.iter_mut() {
        *out = if *out == f32::NEG_INFINITY { 0.0 } else { (*out - max).exp() };
        sum += *out;
    }
    let scale = sum.recip();
    out.iter_mut().for_each(|out| *out *= scale);
}

fn rows(
    x: &[f32],
    out: &mut [f32],
    n: usize,
    row: impl Fn(usize, &[f32], &mut [f32]) + Send + Sync,
) {
    if x.len() < PARALLEL_FROM {
        let pairs = x.chunks_exact(n).zip(out.chunks_exact_mut(n)).enumerate();
        pairs.for_each(|(number, (x, out))| row(number, x, out));
    } else {
        let pairs = x.par_chunks_exact(n).zip(out.par_chunks_exact_mut(n)).enumerate();
        pairs.for_each(|(number, (x, out))| row(number, x, out));
    }
}

impl CustomOp1 for SoftmaxOp {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout)?;
        let n = layout.dims().last().copied().unwrap_or(1).max(1);
        let mut out = vec![0f32; x.len()];
        rows(x, &mut out, n, |number, x, out| {
            let mask = self.mask.as_ref().map(|mask| &mask[number * n % mask.len()..][..n]);
            let score = |at: usize| self.scale * x[at] + mask.map_or(0.0, |mask| mask[at]);
            let mut max = f32::NEG_INFINITY;
            for (at, out) in out.iter_mut().enumerate() {
                *out = score(at);
                max = max.max(*out);
            }
            exponentials(out, max);
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, _arg: &Tensor, res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let n = res.dim(D::Minus1)?.max(1);
        let dx = with_slice(res, |y| {
            with_slice(grad, |grad| {
                let mut dx = grad.to_vec();
                rows(y, &mut dx, n, |_, y, dx| {
                    let dot: f32 = y.iter().zip(dx.iter()).map(|(y, g)| y * g).sum();
                    for (dx, y) in dx.iter_mut().zip(y) {
                        *dx = (*dx - dot) * y * self.scale;
                    }
                });
                Ok(dx)
            })
        })?;
        Ok(Some(Tensor::from_vec(dx, res.shape(), res.device())?))
    }
}

struct CrossEntropyOp {
    targets: Vec<u32>,
}

impl CustomOp1 for CrossEntropyOp {
    fn name(&self) -> &'static str {
        "cross-entropy"
    }

    #[expect(clippy::cast_possible_truncation, reason = "the loss is an f32 scalar")]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 rows")]
    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout)?;
        let classes = layout.dims()[1];
        let total: f64 = x
            .par_chunks_exact(classes)
            .zip(&self.targets)
            .map(|(row, target)| {
                let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let sum: f32 = row.iter().map(|x| (x - max).exp()).sum();
                f64::from(max + sum.ln() - row[*target as usize])
            })
            .collect::<Vec<_>>()
            .into_iter()
            .sum();
        let mean = total / self.targets.len() as f64;
        Ok((CpuStorage::F32(vec![mean as f32]), Shape::from(())))
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^24 rows")]
    fn bwd(&self, logits: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let classes = logits.dim(1)?;
        let scale = grad.to_scalar::<f32>()? / self.targets.len() as f32;
        let dx = with_slice(logits, |x| {
            let mut dx = vec![0f32; x.len()];
            x.par_chunks_exact(classes)
                .zip(dx.par_chunks_exact_mut(classes))
                .zip(&self.targets)
                .for_each(|((x, dx), target)| {
                    softmax_row(x, dx);
                    dx[*target as usize] -= 1.0;
                    dx.iter_mut().for_each(|dx| *dx *= scale);
                });
            Ok(dx)
        })?;
        Ok(Some(Tensor::from_vec(dx, logits.shape(), logits.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{check, normal};

    #[test]
    fn softmax_has_the_right_gradient() -> Result<()> {
        let (x, weight) = (normal(&[2, 3, 4], 1)?, normal(&[2, 3, 4], 2)?);
        check(&[x, weight], |t| softmax(&t[0])?.mul(&t[1]))
    }

    #[test]
    fn masked_softmax_has_the_right_gradient_and_value() -> Result<()> {
        let (x, weight) = (normal(&[2, 4, 3], 1)?, normal(&[2, 4, 3], 2)?);
        let hidden = f32::NEG_INFINITY;
        let mask = [[0f32, hidden, hidden], [0.0, 0.0, 0.5]];
        let mask = Tensor::new(&mask, &candle_core::Device::Cpu)?;
        let ours = masked_softmax(&x, Some(&mask), 0.3)?;
        let f64s = x.to_dtype(candle_core::DType::F64)?;
        let composed =
            masked_softmax(&f64s, Some(&mask), 0.3)?.to_dtype(candle_core::DType::F32)?;
        assert!((ours - composed)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-6);
        check(&[x, weight], |t| masked_softmax(&t[0], Some(&mask), 0.3)?.mul(&t[1]))
    }

    #[test]
    fn softmax_of_a_masked_row_ignores_the_mask() -> Result<()> {
        let x = Tensor::new(&[[0f32, f32::NEG_INFINITY, 0.0]], &candle_core::Device::Cpu)?;
        assert_eq!(softmax(&x)?.to_vec2::<f32>()?, [[0.5, 0.0, 0.5]]);
        Ok(())
    }

    #[test]
    fn cross_entropy_equals_candles_and_has_the_right_gradient() -> Result<()> {
        let logits = normal(&[4, 5], 3)?;
        let targets = [0u32, 4, 2, 2];
        let ours = cross_entropy(&logits, &targets)?.to_scalar::<f32>()?;
        let theirs =
            candle_nn::loss::cross_entropy(&logits, &Tensor::new(&targets, logits.device())?)?
                .to_scalar::<f32>()?;
        assert!((ours - theirs).abs() < 1e-6, "{ours} {theirs}");
        check(&[logits], |t| cross_entropy(&t[0], &targets))
    }

    #[test]
    fn a_target_out_of_range_is_an_error() -> Result<()> {
        let logits = normal(&[1, 5], 3)?;
        let error = cross_entropy(&logits, &[5]).expect_err("refused").to_string();
        assert!(error.contains("target 5"), "{error}");
        Ok(())
    }
}
