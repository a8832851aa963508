//! Root-mean-square and layer normalisation with a backward pass.
//!
//! candle's fused `rms_norm` and `layer_norm` have none. Both are fused here for `f32` on the CPU in
//! both directions; elsewhere they are composed of operations that candle differentiates.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, D, Layout, Result, Shape, Tensor, Var};
use candle_nn::Module;
use rayon::prelude::*;

use super::kernel::{PARALLEL_FROM, fused, slice, with_slice};

/// `x / sqrt(mean(x²) + eps) * weight` over the last dimension (Zhang and Sennrich, 2019).
///
/// `x` is `(…, n)`, `weight` is `(n)`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[3f32, 4.0]], &Device::Cpu)?;
/// let weight = Tensor::new(&[1f32, 2.0], &Device::Cpu)?;
/// let y = oxilab_nn::layers::rms_norm(&x, &weight, 0.0)?.to_vec2::<f32>()?;
/// let scale = 12.5f32.sqrt().recip();
/// assert!((y[0][0] - 3.0 * scale).abs() < 1e-6 && (y[0][1] - 8.0 * scale).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes do not fit.
pub fn rms_norm(x: &Tensor, weight: &Tensor, eps: f64) -> Result<Tensor> {
    if fused(x) && fused(weight) {
        #[expect(clippy::cast_possible_truncation, reason = "eps is a small f32 constant")]
        return x.contiguous()?.apply_op2(&weight.contiguous()?, RmsNormOp { eps: eps as f32 });
    }
    let scale = (x.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?.recip()?;
    // In mixed precision the parameters follow the values.
    x.broadcast_mul(&scale)?.broadcast_mul(&weight.to_dtype(x.dtype())?)
}

/// `(x - mean) / sqrt(variance + eps) * weight + bias` over the last dimension.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[1f32, 3.0]], &Device::Cpu)?;
/// let weight = Tensor::new(&[1f32, 1.0], &Device::Cpu)?;
/// let y = oxilab_nn::layers::layer_norm(&x, &weight, None, 0.0)?.to_vec2::<f32>()?;
/// assert!((y[0][0] + 1.0).abs() < 1e-6 && (y[0][1] - 1.0).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes do not fit.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, eps: f64) -> Result<Tensor> {
    if let Some(bias) = bias.filter(|bias| fused(x) && fused(weight) && fused(bias)) {
        #[expect(clippy::cast_possible_truncation, reason = "eps is a small f32 constant")]
        let op = LayerNormOp { eps: eps as f32 };
        return x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op);
    }
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let scale = (centred.sqr()?.mean_keepdim(D::Minus1)? + eps)?.sqrt()?.recip()?;
    let scaled = centred.broadcast_mul(&scale)?.broadcast_mul(&weight.to_dtype(x.dtype())?)?;
    match bias {
        Some(bias) => scaled.broadcast_add(&bias.to_dtype(x.dtype())?),
        None => Ok(scaled),
    }
}

struct LayerNormOp {
    eps: f32,
}

/// Rows with a sum of their own, whatever the number of threads: the result is the same bits.
const GROUP: usize = 64;

impl LayerNormOp {
    /// Mean and inverse deviation of a row.
    #[expect(clippy::cast_precision_loss, reason = "row lengths are far below 2^24")]
    fn moments(&self, row: &[f32]) -> (f32, f32) {
        let count = row.len() as f32;
        let sum = |f: &dyn Fn(f32) -> f32| {
            let mut lanes = [0f32; 8];
            let chunks = row.chunks_exact(8);
            let rest: f32 = chunks.remainder().iter().map(|x| f(*x)).sum();
            for chunk in chunks {
                lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += f(*x));
            }
            lanes.iter().sum::<f32>() + rest
        };
        let mean = sum(&|x| x) / count;
        let variance = sum(&|x| (x - mean) * (x - mean)) / count;
        (mean, (variance + self.eps).sqrt().recip())
    }

    /// With `z = (x - mean) r` and `g = grad · w`: `dx = r (g - mean(g) - z mean(g z))`, `dw = Σ grad z`,
    /// `db = Σ grad`.
    #[expect(clippy::cast_precision_loss, reason = "row lengths are far below 2^24")]
    fn backward(&self, x: &[f32], weight: &[f32], grad: &[f32]) -> [Vec<f32>; 3] {
        let n = weight.len();
        let mut dx = vec![0f32; x.len()];
        let groups = x.par_chunks(n * GROUP).zip(grad.par_chunks(n * GROUP));
        let sums: Vec<(Vec<f32>, Vec<f32>)> = groups
            .zip(dx.par_chunks_mut(n * GROUP))
            .map(|((x, grad), dx)| {
                let (mut dw, mut db) = (vec![0f32; n], vec![0f32; n]);
                let rows = x.chunks_exact(n).zip(grad.chunks_exact(n)).zip(dx.chunks_exact_mut(n));
                for ((x, grad), dx) in rows {
                    let (mean, scale) = self.moments(x);
                    let (mut by_z, mut shift) = (0f32, 0f32);
                    for i in 0..n {
                        let (z, g) = ((x[i] - mean) * scale, grad[i] * weight[i]);
                        by_z += g * z;
                        shift += g;
                        dw[i] += grad[i] * z;
                        db[i] += grad[i];
                    }
                    let (by_z, shift) = (by_z / n as f32, shift / n as f32);
                    for i in 0..n {
                        let (z, g) = ((x[i] - mean) * scale, grad[i] * weight[i]);
                        dx[i] = scale * (g - shift - z * by_z);
                    }
                }
                (dw, db)
            })
            .collect();
        let (mut dw, mut db) = (vec![0f32; n], vec![0f32; n]);
        for (part_w, part_b) in sums {
            dw.iter_mut().zip(part_w).for_each(|(sum, part)| *sum += part);
            db.iter_mut().zip(part_b).for_each(|(sum, part)| *sum += part);
        }
        [dx, dw, db]
    }
}

impl CustomOp3 for LayerNormOp {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (slice(x, x_layout)?, slice(weight, weight_layout)?);
        let bias = slice(bias, bias_layout)?;
        let n = weight.len();
        if x_layout.dims().last() != Some(&n) || n == 0 || bias.len() != n {
            candle_core::bail!("layer_norm: {:?} with a weight of {n}", x_layout.shape());
        }
        let mut out = vec![0f32; x.len()];
        let row = |(x, out): (&[f32], &mut [f32])| {
            let (mean, scale) = self.moments(x);
            for ((out, x), (weight, bias)) in out.iter_mut().zip(x).zip(weight.iter().zip(bias)) {
                *out = ((x - mean) * scale).mul_add(*weight, *bias);
            }
        };
        if x.len() < PARALLEL_FROM {
            x.chunks_exact(n).zip(out.chunks_exact_mut(n)).for_each(row);
        } else {
            x.par_chunks_exact(n).zip(out.par_chunks_exact_mut(n)).for_each(row);
        }
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, db] = with_slice(x, |x| {
            with_slice(weight, |weight| with_slice(grad, |grad| Ok(self.backward(x, weight, grad))))
        })?;
        let (n, device) = (weight.elem_count(), grad.device());
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), device)?),
            Some(Tensor::from_vec(dw, n, device)?),
            Some(Tensor::from_vec(db, n, device)?),
        ))
    }
}

struct RmsNormOp {
    eps: f32,
}

#[expect(clippy::cast_precision_loss, reason = "row lengths are far below 2^24")]
fn inverse_rms(row: &[f32], eps: f32) -> f32 {
    (row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32 + eps).sqrt().recip()
}

impl CustomOp2 for RmsNormOp {
    fn name(&self) -> &'static str {
        "rms-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (slice(x, x_layout)?, slice(weight, weight_layout)?);
        let n = weight.len();
        if x_layout.dims().last() != Some(&n) || n == 0 {
            candle_core::bail!("rms_norm: {:?} with a weight of {n}", x_layout.shape());
        }
        let mut out = vec![0f32; x.len()];
        let row = |(x, out): (&[f32], &mut [f32])| {
            let scale = inverse_rms(x, self.eps);
            for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
                *out = x * scale * weight;
            }
        };
        if x.len() < PARALLEL_FROM {
            x.chunks_exact(n).zip(out.chunks_exact_mut(n)).for_each(row);
        } else {
            x.par_chunks_exact(n).zip(out.par_chunks_exact_mut(n)).for_each(row);
        }
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let n = weight.elem_count();
        let (dx, dw) = with_slice(x, |x| {
            with_slice(weight, |weight| {
                with_slice(grad, |grad| Ok(rms_norm_backward(x, weight, grad, self.eps)))
            })
        })?;
        let device = grad.device();
        Ok((Some(Tensor::from_vec(dx, x.shape(), device)?), Some(Tensor::from_vec(dw, n, device)?)))
    }
}

/// With `r` the inverse root mean square and `g = grad · w`:
/// `dx = r g - r³ x mean(g x)` and `dw = Σ grad x r`.
#[expect(clippy::cast_precision_loss, reason = "row lengths are far below 2^24")]
fn rms_norm_backward(x: &[f32], weight: &[f32], grad: &[f32], eps: f32) -> (Vec<f32>, Vec<f32>) {
    let n = weight.len();
    let mut dx = vec![0f32; x.len()];
    let mut dw = vec![0f32; n];
    for ((x, grad), dx) in x.chunks_exact(n).zip(grad.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
        let r = inverse_rms(x, eps);
        let dot: f32 = x.iter().zip(grad).zip(weight).map(|((x, g), w)| x * g * w).sum();
        let shift = r * r * r * dot / n as f32;
        for i in 0..n {
            dx[i] = r * grad[i] * weight[i] - shift * x[i];
            dw[i] += grad[i] * x[i] * r;
        }
    }
    (dx, dw)
}

/// A trainable root-mean-square normalisation.
///
/// ```
/// use candle_core::{Device, Module as _, Tensor};
/// use oxilab_nn::layers::RmsNorm;
/// let norm = RmsNorm::new(2, &Device::Cpu)?;
/// let y = norm.forward(&Tensor::new(&[[3f32, 4.0]], &Device::Cpu)?)?.to_vec2::<f32>()?;
/// // Divided by √((9 + 16) / 2).
/// assert!((y[0][0] - 3.0 / 12.5f32.sqrt()).abs() < 1e-4);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct RmsNorm {
    weight: Var,
    eps: f64,
}

impl RmsNorm {
    /// Weights of one for a last dimension of `n`; `eps` is 1e-6.
    ///
    /// # Errors
    /// When the device refuses the allocation.
    pub fn new(n: usize, device: &candle_core::Device) -> Result<Self> {
        Ok(Self { weight: Var::ones(n, candle_core::DType::F32, device)?, eps: 1e-6 })
    }

    /// Its variables by name.
    #[must_use]
    pub fn vars(&self) -> Vec<(String, Var)> {
        vec![("weight".to_owned(), self.weight.clone())]
    }
}

impl Module for RmsNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        rms_norm(x, &self.weight, self.eps)
    }
}

/// A trainable layer normalisation.
///
/// ```
/// use candle_core::{Device, Module as _, Tensor};
/// use oxilab_nn::layers::LayerNorm;
/// let norm = LayerNorm::new(2, &Device::Cpu)?;
/// let y = norm.forward(&Tensor::new(&[[3f32, 7.0]], &Device::Cpu)?)?.to_vec2::<f32>()?;
/// assert!((y[0][0] + 1.0).abs() < 1e-3 && (y[0][1] - 1.0).abs() < 1e-3);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Var,
    bias: Var,
    eps: f64,
}

impl LayerNorm {
    /// Weights of one and biases of zero for a last dimension of `n`; `eps` is 1e-5.
    ///
    /// # Errors
    /// When the device refuses the allocation.
    pub fn new(n: usize, device: &candle_core::Device) -> Result<Self> {
        let dtype = candle_core::DType::F32;
        let (weight, bias) = (Var::ones(n, dtype, device)?, Var::zeros(n, dtype, device)?);
        Ok(Self { weight, bias, eps: 1e-5 })
    }

    /// Its variables by name.
    #[must_use]
    pub fn vars(&self) -> Vec<(String, Var)> {
        vec![("weight".to_owned(), self.weight.clone()), ("bias".to_owned(), self.bias.clone())]
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layer_norm(x, &self.weight, Some(&self.bias), self.eps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{check, normal};

    #[test]
    fn rms_norm_has_the_right_gradient_for_both_arguments() -> Result<()> {
        let x = normal(&[3, 5], 1)?;
        let weight = normal(&[5], 2)?;
        check(&[x, weight], |t| rms_norm(&t[0], &t[1], 1e-5)?.sqr())
    }

    #[test]
    fn layer_norm_has_the_right_gradient() -> Result<()> {
        let (x, weight, bias) = (normal(&[3, 6], 3)?, normal(&[6], 4)?, normal(&[6], 5)?);
        check(&[x, weight, bias], |t| layer_norm(&t[0], &t[1], Some(&t[2]), 1e-5)?.sqr())
    }

    #[test]
    fn the_fused_layer_norm_equals_candles_for_many_rows() -> Result<()> {
        let x = normal(&[300, 13], 3)?.as_tensor().clone();
        let (weight, bias) = (normal(&[13], 4)?, normal(&[13], 5)?);
        let theirs = candle_nn::ops::layer_norm_slow(&x, &weight, &bias, 1e-5)?;
        let ours = layer_norm(&x, &weight, Some(&bias), 1e-5)?;
        assert!((ours - theirs)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-5);
        Ok(())
    }

    #[test]
    fn parameters_follow_values_of_another_precision() -> Result<()> {
        let half = candle_core::DType::F16;
        let (x, weight, bias) = (normal(&[3, 4], 1)?, normal(&[4], 2)?, normal(&[4], 3)?);
        let x16 = x.to_dtype(half)?;
        let pairs = [
            (rms_norm(&x16, &weight, 1e-5)?, rms_norm(&x, &weight, 1e-5)?),
            (
                layer_norm(&x16, &weight, Some(&bias), 1e-5)?,
                layer_norm(&x, &weight, Some(&bias), 1e-5)?,
            ),
        ];
        for (ours, theirs) in pairs {
            assert_eq!(ours.dtype(), half);
            let apart = (ours.to_dtype(theirs.dtype())? - theirs)?.abs()?.max_all()?;
            assert!(apart.to_scalar::<f32>()? < 0.02, "{apart}");
        }
        Ok(())
    }

    #[test]
    fn the_fused_norm_equals_the_composed_one() -> Result<()> {
        let x = normal(&[2, 4, 8], 6)?.as_tensor().clone();
        let weight = normal(&[8], 7)?.as_tensor().clone();
        let f64s = rms_norm(
            &x.to_dtype(candle_core::DType::F64)?,
            &weight.to_dtype(candle_core::DType::F64)?,
            1e-6,
        )?;
        let fused = rms_norm(&x, &weight, 1e-6)?.to_dtype(candle_core::DType::F64)?;
        let apart = (fused - f64s)?.abs()?.max_all()?.to_scalar::<f64>()?;
        assert!(apart < 1e-6, "{apart}");
        Ok(())
    }
}
