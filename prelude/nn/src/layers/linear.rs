//! A linear layer in one pass: product, bias and ReLU, and their gradients.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp3, D, DType, Device, Layout, Result, Shape, Tensor, Var,
};
use rand::Rng;
use rayon::prelude::*;

use super::kernel::{fused, slice, with_slice};
use super::math;
use super::product::{Fill, Matrix, product, threads_for};
use crate::device::moved;
use crate::init;

/// `x · weightᵀ + bias` for `x` `(…, inputs)`, `weight` `(outputs, inputs)` and `bias` `(outputs)`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?;
/// let weight = Tensor::new(&[[3f32, 4.0]], &Device::Cpu)?; // (outputs, inputs)
/// let bias = Tensor::new(&[0.5f32], &Device::Cpu)?;
/// assert_eq!(oxilab_nn::layers::linear(&x, &weight, &bias)?.to_vec2::<f32>()?, [[11.5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes do not fit.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    apply(x, weight, bias, false)
}

/// [`linear`] with ReLU behind it.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?;
/// let weight = Tensor::new(&[[3f32, 4.0], [-3.0, -4.0]], &Device::Cpu)?; // (outputs, inputs)
/// let bias = Tensor::new(&[0.5f32, 0.5], &Device::Cpu)?;
/// assert_eq!(oxilab_nn::layers::linear_relu(&x, &weight, &bias)?.to_vec2::<f32>()?, [[11.5, 0.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes do not fit.
pub fn linear_relu(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    apply(x, weight, bias, true)
}

/// `x · Φ(x)`: the GELU of BERT and of PyTorch, value by value.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let y = oxilab_nn::layers::gelu(&Tensor::new(&[-9f32, 0.0, 1.0], &Device::Cpu)?)?.to_vec1::<f32>()?;
/// assert!(y[0].abs() < 1e-6 && y[1] == 0.0 && (y[2] - 0.841_345).abs() < 1e-4);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Never for tensors of floats.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if fused(x) { x.contiguous()?.apply_op1(GeluOp) } else { x.gelu_erf() }
}

/// GELU by a hyperbolic tangent (Hendrycks and Gimpel, 2016), which differs in the third digit: `gelu_new`
/// and `gelu_pytorch_tanh` of transformers.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let y = oxilab_nn::layers::gelu_tanh(&Tensor::new(&[-9f32, 0.0, 1.0], &Device::Cpu)?)?;
/// let y = y.to_vec1::<f32>()?;
/// assert!(y[0].abs() < 1e-6 && y[1] == 0.0 && (y[2] - 0.841_192).abs() < 1e-5);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Never for tensors of floats.
pub fn gelu_tanh(x: &Tensor) -> Result<Tensor> {
    if x.device().is_cpu() { x.gelu() } else { composed_gelu_tanh(x) }
}

/// candle's backward pass takes powers of negative values, for which Metal's fast mathematics have no number.
fn composed_gelu_tanh(x: &Tensor) -> Result<Tensor> {
    let cubed = x.sqr()?.mul(x)?;
    let inner = ((x + (cubed * 0.044_715)?)? * std::f64::consts::FRAC_2_PI.sqrt())?;
    (x * 0.5)?.mul(&(inner.tanh()? + 1.0)?)
}

fn apply(x: &Tensor, weight: &Tensor, bias: &Tensor, relu: bool) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    if x.dim(D::Minus1)? != inputs || bias.dims() != [outputs] {
        candle_core::bail!(
            "linear: {:?} with a weight {:?} and a bias {:?}",
            x.shape(),
            weight.shape(),
            bias.shape()
        );
    }
    if fused(x) && fused(weight) && fused(bias) {
        let op = LinearOp { relu };
        return x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op);
    }
    // In mixed precision the parameters follow the values.
    let (weight, bias) = (weight.to_dtype(x.dtype())?, bias.to_dtype(x.dtype())?);
    let rows = x.elem_count() / inputs.max(1);
    let y = x.reshape((rows, inputs))?.matmul(&weight.t()?)?.broadcast_add(&bias)?;
    let y = if relu { y.relu()? } else { y };
    let mut shape = x.dims().to_vec();
    shape.pop();
    shape.push(outputs);
    y.reshape(shape)
}

struct LinearOp {
    relu: bool,
}

impl CustomOp3 for LinearOp {
    fn name(&self) -> &'static str {
        "linear"
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
        let (outputs, inputs) = (weight_layout.dims()[0], weight_layout.dims()[1]);
        let rows = x.len() / inputs.max(1);
        let mut out = Vec::with_capacity(rows * outputs);
        (0..rows).for_each(|_| out.extend_from_slice(bias));
        product(
            Matrix::new(x, rows, inputs),
            Matrix::new(weight, outputs, inputs).t(),
            &mut out,
            outputs,
            Fill::Add,
            threads_for(rows * inputs * outputs),
        );
        if self.relu {
            out.iter_mut().for_each(|value| *value = value.max(0.0));
        }
        let mut shape = x_layout.dims().to_vec();
        shape.pop();
        shape.push(outputs);
        Ok((CpuStorage::F32(out), Shape::from(shape)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (outputs, inputs) = weight.dims2()?;
        let rows = x.elem_count() / inputs.max(1);
        let threads = threads_for(rows * inputs * outputs);
        let wanted = |grad: &[f32]| -> Result<_> {
            let grad_matrix = Matrix::new(grad, rows, outputs);
            let dx = if x.track_op() {
                let mut dx = vec![0f32; rows * inputs];
                with_slice(weight, |weight| {
                    let weight = Matrix::new(weight, outputs, inputs);
                    product(grad_matrix, weight, &mut dx, inputs, Fill::Replace, threads);
                    Ok(())
                })?;
                Some(Tensor::from_vec(dx, x.shape(), x.device())?)
            } else {
                None
            };
            let dw = if weight.track_op() {
                let mut dw = vec![0f32; outputs * inputs];
                with_slice(x, |x| {
                    let x = Matrix::new(x, rows, inputs);
                    product(grad_matrix.t(), x, &mut dw, inputs, Fill::Replace, threads);
                    Ok(())
                })?;
                Some(Tensor::from_vec(dw, weight.shape(), x.device())?)
            } else {
                None
            };
            let mut db = vec![0f32; outputs];
            for row in grad.chunks_exact(outputs.max(1)) {
                db.iter_mut().zip(row).for_each(|(sum, grad)| *sum += grad);
            }
            Ok((dx, dw, Some(Tensor::from_vec(db, bias.shape(), x.device())?)))
        };
        if !self.relu {
            return with_slice(grad, wanted);
        }
        let masked = with_slice(grad, |grad| {
            with_slice(res, |res| {
                let pass = |(grad, res): (&f32, &f32)| if *res > 0.0 { *grad } else { 0.0 };
                Ok(grad.iter().zip(res).map(pass).collect::<Vec<f32>>())
            })
        })?;
        wanted(&masked)
    }
}

struct GeluOp;

/// Values that a thread takes at a time.
const PART: usize = 8 * 1024;

impl CustomOp1 for GeluOp {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut out = slice(x, layout)?.to_vec();
        out.par_chunks_mut(PART).for_each(|part| {
            part.iter_mut().for_each(|value| *value = math::gelu(*value));
        });
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let dx = with_slice(x, |x| {
            with_slice(grad, |grad| {
                let mut dx = grad.to_vec();
                dx.par_chunks_mut(PART).zip(x.par_chunks(PART)).for_each(|(dx, x)| {
                    dx.iter_mut().zip(x).for_each(|(dx, x)| *dx *= math::gelu_slope(*x));
                });
                Ok(dx)
            })
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

/// A trainable linear layer with bias.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use oxilab_nn::layers::Linear;
/// use rand::{SeedableRng as _, rngs::StdRng};
/// let layer = Linear::new(3, 2, &mut StdRng::seed_from_u64(0))?;
/// let x = Tensor::zeros((5, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.forward(&x)?.dims(), [5, 2]);
/// assert_eq!(layer.vars("head")[0].0, "head.weight");
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Var,
    bias: Var,
}

impl Linear {
    /// PyTorch's initial weights: uniform within `1 / sqrt(inputs)`; on the CPU.
    ///
    /// # Errors
    /// When the weights cannot be allocated.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 inputs")]
    pub fn new(inputs: usize, outputs: usize, rng: &mut impl Rng) -> Result<Self> {
        if inputs == 0 || outputs == 0 {
            candle_core::bail!(
                "a linear layer needs inputs and outputs, but was given {inputs} and {outputs}"
            );
        }
        let device = Device::Cpu;
        let bound = (inputs.max(1) as f64).sqrt().recip();
        let weight = Var::from_tensor(&init::linear((outputs, inputs), rng, &device)?)?;
        let bias = Var::from_tensor(&init::uniform(&[outputs], bound, rng, &device)?)?;
        Ok(Self { weight, bias })
    }

    /// Zero biases and normally distributed weights, as BERT starts its heads; on the CPU.
    ///
    /// # Errors
    /// When the weights cannot be allocated.
    pub fn normal(inputs: usize, outputs: usize, std: f64, rng: &mut impl Rng) -> Result<Self> {
        let device = Device::Cpu;
        let weight = Var::from_tensor(&init::normal(&[outputs, inputs], std, rng, &device)?)?;
        Ok(Self { weight, bias: Var::zeros(outputs, DType::F32, &device)? })
    }

    /// The layer on a device: this one's variables where they are there, else copies.
    ///
    /// # Errors
    /// When the device refuses the allocation.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        Ok(Self { weight: moved(&self.weight, device)?, bias: moved(&self.bias, device)? })
    }

    /// The result for `(…, inputs)`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        linear(x, &self.weight, &self.bias)
    }

    /// [`Linear::forward`] with ReLU behind it.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward_relu(&self, x: &Tensor) -> Result<Tensor> {
        linear_relu(x, &self.weight, &self.bias)
    }

    /// The weight `(outputs, inputs)`.
    #[must_use]
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// The bias `(outputs)`.
    #[must_use]
    pub fn bias(&self) -> &Var {
        &self.bias
    }

    /// Its variables, named below `name`.
    #[must_use]
    pub fn vars(&self, name: &str) -> Vec<(String, Var)> {
        vec![
            (format!("{name}.weight"), self.weight.clone()),
            (format!("{name}.bias"), self.bias.clone()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{check, normal};

    #[test]
    fn linear_and_relu_have_the_right_values_and_gradients() -> Result<()> {
        let (x, weight, bias) = (normal(&[2, 3, 4], 1)?, normal(&[5, 4], 2)?, normal(&[5], 3)?);
        let composed = x.reshape((6, 4))?.matmul(&weight.t()?)?.broadcast_add(&bias)?;
        let composed = composed.relu()?.reshape((2, 3, 5))?;
        let apart = (linear_relu(&x, &weight, &bias)? - composed)?.abs()?.max_all()?;
        assert!(apart.to_scalar::<f32>()? < 1e-5);
        let inputs = [x, weight, bias];
        check(&inputs, |t| linear(&t[0], &t[1], &t[2])?.sqr())?;
        check(&inputs, |t| linear_relu(&t[0], &t[1], &t[2])?.sqr())
    }

    #[test]
    fn parameters_follow_values_of_another_precision() -> Result<()> {
        let (x, weight, bias) = (normal(&[3, 4], 1)?, normal(&[5, 4], 2)?, normal(&[5], 3)?);
        let half = linear_relu(&x.to_dtype(candle_core::DType::F16)?, &weight, &bias)?;
        assert_eq!(half.dtype(), candle_core::DType::F16);
        let apart = (half.to_dtype(candle_core::DType::F32)? - linear_relu(&x, &weight, &bias)?)?;
        assert!(apart.abs()?.max_all()?.to_scalar::<f32>()? < 0.02);
        let grads = half.to_dtype(candle_core::DType::F32)?.sum_all()?.backward()?;
        assert!(grads.get(&weight).is_some_and(|grad| grad.dtype() == candle_core::DType::F32));
        Ok(())
    }

    #[test]
    fn gelu_by_a_tangent_is_candles_and_has_the_right_gradient() -> Result<()> {
        let x = normal(&[4, 50], 1)?;
        let (ours, theirs) = (composed_gelu_tanh(&x)?, gelu_tanh(&x)?);
        assert!((&ours - &theirs)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-6);
        let grad = |y: &Tensor| -> Result<Tensor> {
            Ok(y.sqr()?.sum_all()?.backward()?.get(&x).expect("a gradient").clone())
        };
        let apart = (grad(&ours)? - grad(&theirs)?)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(apart < 1e-5, "{apart}");
        check(&[normal(&[2, 4], 2)?], |t| composed_gelu_tanh(&t[0])?.sqr())
    }

    #[test]
    fn gelu_is_candles_and_has_the_right_gradient() -> Result<()> {
        let x = (normal(&[4, 50], 1)?.as_tensor() * 2.0)?;
        let apart = (gelu(&x)? - x.gelu_erf()?)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(apart < 1e-6, "{apart}");
        check(&[normal(&[2, 4], 2)?], |t| gelu(&t[0])?.sqr())
    }
}
