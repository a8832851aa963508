//! The gated activation of Llama-family feed-forward layers, fused in both directions.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::kernel::{fused, slice, with_slice};

/// `silu(gate) · up`, value by value (SwiGLU: Shazeer, 2020).
///
/// ```
/// use candle_core::{Device, Tensor};
/// let gate = Tensor::new(&[0f32, 1.0], &Device::Cpu)?;
/// let up = Tensor::new(&[5f32, 2.0], &Device::Cpu)?;
/// let y = oxilab_nn::layers::swiglu(&gate, &up)?.to_vec1::<f32>()?;
/// assert!(y[0] == 0.0 && (y[1] - 2.0 / (1.0 + (-1f32).exp())).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes differ.
pub fn swiglu(gate: &Tensor, up: &Tensor) -> Result<Tensor> {
    if gate.shape() != up.shape() {
        candle_core::bail!("swiglu: {:?} and {:?}", gate.shape(), up.shape());
    }
    if fused(gate) && fused(up) {
        return gate.contiguous()?.apply_op2(&up.contiguous()?, SwigluOp);
    }
    gate.silu()?.mul(up)
}

struct SwigluOp;

/// Values that a thread takes at a time.
const PART: usize = 8 * 1024;

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

impl CustomOp2 for SwigluOp {
    fn name(&self) -> &'static str {
        "swiglu"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        gate_layout: &Layout,
        up: &CpuStorage,
        up_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = (slice(gate, gate_layout)?, slice(up, up_layout)?);
        let mut out = vec![0f32; gate.len()];
        out.par_iter_mut().zip(gate.par_iter().zip(up)).with_min_len(PART).for_each(
            |(out, (gate, up))| {
                *out = gate * sigmoid(*gate) * up;
            },
        );
        Ok((CpuStorage::F32(out), gate_layout.shape().clone()))
    }

    fn bwd(
        &self,
        gate: &Tensor,
        up: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let n = gate.elem_count();
        let (mut to_gate, mut to_up) = (vec![0f32; n], vec![0f32; n]);
        with_slice(gate, |gate| {
            with_slice(up, |up| {
                with_slice(grad, |grad| {
                    to_gate
                        .par_iter_mut()
                        .zip(&mut to_up)
                        .zip(gate.par_iter().zip(up).zip(grad))
                        .with_min_len(PART)
                        .for_each(|((to_gate, to_up), ((gate, up), grad))| {
                            let s = sigmoid(*gate);
                            *to_up = grad * gate * s;
                            *to_gate = grad * up * s * (1.0 + gate * (1.0 - s));
                        });
                    Ok(())
                })
            })
        })?;
        let tensor = |values| Tensor::from_vec(values, gate.shape(), gate.device());
        Ok((Some(tensor(to_gate)?), Some(tensor(to_up)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gradcheck::{check, normal};

    #[test]
    fn swiglu_has_the_right_value_and_gradient() -> Result<()> {
        let (gate, up) = (normal(&[3, 4], 1)?, normal(&[3, 4], 2)?);
        let composed = gate.silu()?.mul(&up)?;
        let apart = (swiglu(&gate, &up)? - composed)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(apart < 1e-6, "{apart}");
        check(&[gate, up], |t| swiglu(&t[0], &t[1])?.sqr())
    }
}
