//! Batch normalisation (Ioffe and Szegedy, 2015) in one pass each way, with ReLU behind it if wanted.

use candle_core::{CpuStorage, CustomOp3, DType, Device, Layout, Result, Shape, Tensor, Var};
use rayon::prelude::*;

use super::kernel::{fused, slice, with_slice};
use crate::device::moved;
use crate::model::Mode;

/// A trainable batch normalisation over the channels of `(rows, channels)` or
/// `(rows, channels, height, width)`, with PyTorch's running statistics.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_nn::{Mode, layers::BatchNorm};
/// let norm = BatchNorm::new(1)?;
/// let x = Tensor::new(&[[1f32], [3.0]], &Device::Cpu)?;
/// let y = norm.forward(&x, Mode::train(0))?.flatten_all()?.to_vec1::<f32>()?;
/// assert!((y[1] - 1.0).abs() < 1e-4, "one deviation above the mean");
/// // A tenth of the batch's mean, 2, has gone into the running one.
/// assert!((norm.buffers("norm")[0].1.to_vec1::<f32>()?[0] - 0.2).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchNorm {
    weight: Var,
    bias: Var,
    mean: Var,
    variance: Var,
    momentum: f64,
    eps: f64,
}

impl BatchNorm {
    /// Weights of one and biases of zero; momentum 0.1 and eps 1e-5, as in PyTorch. On the CPU.
    ///
    /// # Errors
    /// When the weights cannot be allocated.
    pub fn new(channels: usize) -> Result<Self> {
        let ones = || Var::ones(channels, DType::F32, &Device::Cpu);
        let zeros = || Var::zeros(channels, DType::F32, &Device::Cpu);
        Ok(Self {
            weight: ones()?,
            bias: zeros()?,
            mean: zeros()?,
            variance: ones()?,
            momentum: 0.1,
            eps: 1e-5,
        })
    }

    /// The layer on a device: this one's variables where they are there, else copies.
    ///
    /// # Errors
    /// When the device refuses the allocation.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(Self {
            weight: moved(&self.weight, device)?,
            bias: moved(&self.bias, device)?,
            mean: moved(&self.mean, device)?,
            variance: moved(&self.variance, device)?,
            ..*self
        })
    }

    /// Normalises with the statistics of the batch while training, else with the running ones.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.apply(x, mode, false)
    }

    /// [`BatchNorm::forward`] with ReLU behind it.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward_relu(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        self.apply(x, mode, true)
    }

    /// Its trainable variables, named below `name`.
    #[must_use]
    pub fn vars(&self, name: &str) -> Vec<(String, Var)> {
        vec![
            (format!("{name}.weight"), self.weight.clone()),
            (format!("{name}.bias"), self.bias.clone()),
        ]
    }

    /// The running statistics, named below `name` as in PyTorch.
    #[must_use]
    pub fn buffers(&self, name: &str) -> Vec<(String, Var)> {
        vec![
            (format!("{name}.running_mean"), self.mean.clone()),
            (format!("{name}.running_var"), self.variance.clone()),
        ]
    }

    fn apply(&self, x: &Tensor, mode: Mode, relu: bool) -> Result<Tensor> {
        let channels = self.weight.elem_count();
        if x.rank() < 2 || x.dim(1)? != channels {
            candle_core::bail!("batch norm: {:?} with {channels} channels", x.shape());
        }
        if !fused(x) {
            return self.composed(x, mode, relu);
        }
        let x = x.contiguous()?;
        let (mean, variance) = if mode.train {
            self.observe(&x)?
        } else {
            (self.mean.to_vec1::<f32>()?, self.variance.to_vec1::<f32>()?)
        };
        #[expect(clippy::cast_possible_truncation, reason = "statistics are f32")]
        let scale = |variance: f32| (f64::from(variance) + self.eps).sqrt().recip() as f32;
        let scale = variance.into_iter().map(scale).collect();
        x.apply_op3(&self.weight, &self.bias, BatchNormOp { mean, scale, batch: mode.train, relu })
    }

    /// Mean and variance of the batch, which also move the running ones.
    #[expect(clippy::cast_precision_loss, reason = "batches are far below 2^52 values")]
    #[expect(clippy::cast_possible_truncation, reason = "statistics are f32")]
    fn observe(&self, x: &Tensor) -> Result<(Vec<f32>, Vec<f32>)> {
        let planes = Planes::of(x.dims());
        let count = planes.count() as f64;
        let moments: Vec<(f64, f64)> = with_slice(x, |x| {
            let of_channel = |channel: usize| {
                let sum: f64 = planes.of_channel(x, channel).map(sum_of).sum();
                let mean = sum / count;
                let square =
                    planes.of_channel(x, channel).map(|plane| square_of(plane, mean as f32));
                (mean, square.sum::<f64>() / count)
            };
            Ok((0..planes.channels).into_par_iter().map(of_channel).collect())
        })?;
        let step = self.momentum;
        let moved = |old: Vec<f32>, new: &dyn Fn(&(f64, f64)) -> f64| -> Vec<f32> {
            let pairs = old.into_iter().zip(&moments);
            pairs.map(|(old, m)| ((1.0 - step) * f64::from(old) + step * new(m)) as f32).collect()
        };
        // The running variance is the unbiased one, as in PyTorch.
        let unbiased = count / (count - 1.0).max(1.0);
        let mean = moved(self.mean.to_vec1()?, &|m| m.0);
        let variance = moved(self.variance.to_vec1()?, &|m| m.1 * unbiased);
        self.mean.set(&Tensor::new(mean.as_slice(), &Device::Cpu)?)?;
        self.variance.set(&Tensor::new(variance.as_slice(), &Device::Cpu)?)?;
        Ok(moments.iter().map(|(mean, variance)| (*mean as f32, *variance as f32)).unzip())
    }

    fn composed(&self, x: &Tensor, mode: Mode, relu: bool) -> Result<Tensor> {
        let given = x.dtype();
        // The sums of a batch in half precision would be coarse.
        let half = matches!(given, DType::F16 | DType::BF16);
        let x = if half { x.to_dtype(DType::F32)? } else { x.clone() };
        let mut shape = vec![1; x.rank()];
        shape[1] = self.weight.elem_count();
        let mut axes: Vec<usize> = (0..x.rank()).filter(|axis| *axis != 1).collect();
        axes.reverse();
        let average = |x: &Tensor| axes.iter().try_fold(x.clone(), |x, axis| x.mean_keepdim(*axis));
        let wide = |var: &Var| var.to_dtype(x.dtype())?.reshape(shape.as_slice());
        let (mean, variance) = if mode.train {
            let mean = average(&x)?;
            let variance = average(&x.broadcast_sub(&mean)?.sqr()?)?;
            self.observe_composed(&mean, &variance, x.elem_count())?;
            (mean, variance)
        } else {
            (wide(&self.mean)?, wide(&self.variance)?)
        };
        let scale = (variance + self.eps)?.sqrt()?.recip()?;
        let y = x.broadcast_sub(&mean)?.broadcast_mul(&scale)?;
        let y = y.broadcast_mul(&wide(&self.weight)?)?.broadcast_add(&wide(&self.bias)?)?;
        let y = y.to_dtype(given)?;
        if relu { y.relu() } else { Ok(y) }
    }

    /// Moves the running statistics as [`BatchNorm::observe`] does.
    #[expect(clippy::cast_precision_loss, reason = "batches are far below 2^52 values")]
    fn observe_composed(&self, mean: &Tensor, variance: &Tensor, values: usize) -> Result<()> {
        let count = (values / self.weight.elem_count().max(1)) as f64;
        let unbiased = count / (count - 1.0).max(1.0);
        for (var, new, factor) in [(&self.mean, mean, 1.0), (&self.variance, variance, unbiased)] {
            let new = new.detach().flatten_all()?.to_dtype(DType::F32)?;
            let new = (new * (factor * self.momentum))?;
            var.set(&((var.as_detached_tensor() * (1.0 - self.momentum))? + new)?)?;
        }
        Ok(())
    }
}

/// How the values of a channel lie in a batch.
#[derive(Clone, Copy)]
struct Planes {
    rows: usize,
    channels: usize,
    size: usize,
}

impl Planes {
    fn of(dims: &[usize]) -> Self {
        Self { rows: dims[0], channels: dims[1], size: dims[2..].iter().product() }
    }

    fn count(&self) -> usize {
        self.rows * self.size
    }

    fn of_channel<'a>(&self, x: &'a [f32], channel: usize) -> impl Iterator<Item = &'a [f32]> {
        let Self { rows, channels, size } = *self;
        (0..rows).map(move |row| &x[(row * channels + channel) * size..][..size])
    }
}

/// Sums in eight lanes, then in f64: fast and exact enough for any batch.
fn sum_of(plane: &[f32]) -> f64 {
    lanes(plane, |x| x)
}

fn square_of(plane: &[f32], mean: f32) -> f64 {
    lanes(plane, |x| (x - mean) * (x - mean))
}

fn lanes(plane: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut sum = 0.0;
    // Short runs in f32, their sums in f64.
    for run in plane.chunks(512) {
        let mut lanes = [0f32; 8];
        let chunks = run.chunks_exact(8);
        let rest: f32 = chunks.remainder().iter().map(|x| f(*x)).sum();
        for chunk in chunks {
            lanes.iter_mut().zip(chunk).for_each(|(lane, x)| *lane += f(*x));
        }
        sum += f64::from(lanes.iter().sum::<f32>() + rest);
    }
    sum
}

struct BatchNormOp {
    mean: Vec<f32>,
    scale: Vec<f32>,
    /// Whether the statistics are those of `x`, and so part of what is differentiated.
    batch: bool,
    relu: bool,
}

impl CustomOp3 for BatchNormOp {
    fn name(&self) -> &'static str {
        "batch-norm"
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
        let x = slice(x, x_layout)?;
        let (weight, bias) = (slice(weight, weight_layout)?, slice(bias, bias_layout)?);
        let planes = Planes::of(x_layout.dims());
        let mut out = vec![0f32; x.len()];
        if planes.size > 0 {
            let block = planes.channels * planes.size;
            x.par_chunks_exact(block).zip(out.par_chunks_exact_mut(block)).for_each(|(x, out)| {
                let pairs = x.chunks_exact(planes.size).zip(out.chunks_exact_mut(planes.size));
                for (channel, (x, out)) in pairs.enumerate() {
                    let factor = self.scale[channel] * weight[channel];
                    let shift = bias[channel] - self.mean[channel] * factor;
                    let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
                    for (out, x) in out.iter_mut().zip(x) {
                        *out = x.mul_add(factor, shift).max(floor);
                    }
                }
            });
        }
        Ok((CpuStorage::F32(out), x_layout.shape().clone()))
    }

    /// With `z = (x - mean) · scale` and `g = grad` where ReLU lets it through:
    /// `dw = Σ g z`, `db = Σ g`, `dx = scale w (g - mean(g) - z mean(g z))`.
    #[expect(clippy::cast_possible_truncation, reason = "gradients are f32")]
    #[expect(clippy::cast_precision_loss, reason = "batches are far below 2^52 values")]
    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let planes = Planes::of(x.dims());
        let weights = weight.to_vec1::<f32>()?;
        let passed = if self.relu {
            with_slice(grad, |grad| {
                with_slice(res, |res| {
                    let mut grad = grad.to_vec();
                    grad.par_chunks_mut(4096).zip(res.par_chunks(4096)).for_each(|(grad, res)| {
                        for (grad, res) in grad.iter_mut().zip(res) {
                            *grad = if *res > 0.0 { *grad } else { 0.0 };
                        }
                    });
                    Ok(grad)
                })
            })?
        } else {
            with_slice(grad, |grad| Ok(grad.to_vec()))?
        };
        let mut dx = passed;
        let sums: Vec<(f64, f64)> = with_slice(x, |x| {
            let of_channel = |channel: usize| {
                let (mean, scale) = (self.mean[channel], self.scale[channel]);
                let pairs = planes.of_channel(x, channel).zip(planes.of_channel(&dx, channel));
                pairs.fold((0.0, 0.0), |(gz, g), (x, grad)| {
                    let (mut dot, mut sum) = ([0f32; 8], [0f32; 8]);
                    let whole = x.len() / 8 * 8;
                    for (x, grad) in x.chunks_exact(8).zip(grad.chunks_exact(8)) {
                        for lane in 0..8 {
                            dot[lane] += (x[lane] - mean) * grad[lane];
                            sum[lane] += grad[lane];
                        }
                    }
                    for (x, grad) in x[whole..].iter().zip(&grad[whole..]) {
                        dot[0] += (x - mean) * grad;
                        sum[0] += grad;
                    }
                    let dot = f64::from(dot.iter().sum::<f32>() * scale);
                    (gz + dot, g + f64::from(sum.iter().sum::<f32>()))
                })
            };
            Ok((0..planes.channels).into_par_iter().map(of_channel).collect())
        })?;
        let count = planes.count() as f64;
        with_slice(x, |x| {
            let block = (planes.channels * planes.size).max(1);
            dx.par_chunks_exact_mut(block).zip(x.par_chunks_exact(block)).for_each(|(dx, x)| {
                let pairs = dx.chunks_exact_mut(planes.size).zip(x.chunks_exact(planes.size));
                for (channel, (dx, x)) in pairs.enumerate() {
                    let (mean, scale) = (self.mean[channel], self.scale[channel]);
                    let factor = scale * weights[channel];
                    let (by_z, shift) = if self.batch {
                        let (gz, g) = sums[channel];
                        ((gz / count) as f32, (g / count) as f32)
                    } else {
                        (0.0, 0.0)
                    };
                    for (dx, x) in dx.iter_mut().zip(x) {
                        *dx = factor * (*dx - shift - (x - mean) * scale * by_z);
                    }
                }
            });
            Ok(())
        })?;
        let (dw, db): (Vec<f32>, Vec<f32>) =
            sums.iter().map(|(gz, g)| (*gz as f32, *g as f32)).unzip();
        let device = x.device();
        Ok((
            Some(Tensor::from_vec(dx, x.shape(), device)?),
            Some(Tensor::from_vec(dw, weight.shape(), device)?),
            Some(Tensor::from_vec(db, bias.shape(), device)?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{check, normal};

    fn layer(weight: &Tensor, bias: &Tensor) -> Result<BatchNorm> {
        let layer = BatchNorm::new(3)?;
        layer.mean.set(&Tensor::new(&[0.1f32, -0.2, 0.3], &Device::Cpu)?)?;
        Ok(BatchNorm { weight: Var::from_tensor(weight)?, bias: Var::from_tensor(bias)?, ..layer })
    }

    #[test]
    fn both_modes_have_the_right_gradients_and_the_composed_values() -> Result<()> {
        let (weight, bias) = (normal(&[3], 2)?, normal(&[3], 3)?);
        for shape in [vec![4, 3], vec![3, 3, 2, 5]] {
            let x = normal(&shape, 1)?;
            for mode in [Mode::train(0), Mode::eval()] {
                let norm = layer(&weight, &bias)?;
                let composed = norm.composed(&x, mode, true)?;
                let ours = norm.forward_relu(&x, mode)?;
                assert!((ours - composed)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-5);
                // The weights reach the op as `check` moves them.
                check(&[x.clone(), weight.clone(), bias.clone()], |t| {
                    let (mean, scale) = if mode.train {
                        let (mean, variance) = norm.observe(&t[0])?;
                        (mean, variance.iter().map(|v| (v + 1e-5).sqrt().recip()).collect())
                    } else {
                        (vec![0.1, -0.2, 0.3], vec![0.9, 1.0, 1.1])
                    };
                    let op = BatchNormOp { mean, scale, batch: mode.train, relu: false };
                    t[0].contiguous()?.apply_op3(&t[1], &t[2], op)?.tanh()
                })?;
            }
        }
        Ok(())
    }

    #[test]
    fn running_statistics_move_as_pytorchs() -> Result<()> {
        // In one pass, and composed of candle's operations as on other devices.
        for dtype in [DType::F32, DType::F64, DType::F16] {
            let norm = BatchNorm::new(1)?;
            let x = Tensor::new(&[[1f32], [2.0], [3.0], [6.0]], &Device::Cpu)?.to_dtype(dtype)?;
            assert_eq!(norm.forward(&x, Mode::train(0))?.dtype(), dtype);
            let (mean, variance) = (norm.mean.to_vec1::<f32>()?, norm.variance.to_vec1::<f32>()?);
            assert!((mean[0] - 0.3).abs() < 1e-6, "{dtype:?}: {mean:?}");
            // 0.9 + 0.1 · 14 / 3.
            assert!((variance[0] - 1.366_666_7).abs() < 1e-5, "{dtype:?}: {variance:?}");
            norm.forward(&x, Mode::eval())?;
            assert_eq!(norm.mean.to_vec1::<f32>()?, mean, "evaluation moves nothing");
        }
        Ok(())
    }
}
