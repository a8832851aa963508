//! Gradients against finite differences.

use candle_core::{Device, Result, Tensor, Var};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

/// A variable of normally distributed values from a seed, on the CPU.
///
/// # Errors
/// When the shape cannot be allocated.
pub fn normal(shape: &[usize], seed: u64) -> Result<Var> {
    Var::from_tensor(&crate::init::normal(
        shape,
        1.0,
        &mut StdRng::seed_from_u64(seed),
        &Device::Cpu,
    )?)
}

/// Compares the gradient of `f`'s sum of weighted results with central differences for every value of
/// every input. Use it to test a layer or an operation of your own.
///
/// ```
/// use oxilab_nn::gradcheck::{check, normal};
/// check(&[normal(&[2, 3], 0)?], |inputs| inputs[0].tanh())?;
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When `f` fails or a gradient is off by more than a hundredth.
pub fn check(inputs: &[Var], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<()> {
    const STEP: f32 = 5e-3;
    let tensors: Vec<Tensor> = inputs.iter().map(|var| var.as_tensor().clone()).collect();
    let mut rng = StdRng::seed_from_u64(99);
    let shape = f(&tensors)?.shape().clone();
    let weights: Vec<f32> = (0..shape.elem_count()).map(|_| rng.random_range(0.5..1.5)).collect();
    let weights = Tensor::from_vec(weights, &shape, &Device::Cpu)?;
    let value = |tensors: &[Tensor]| f(tensors)?.mul(&weights)?.sum_all();
    let grads = value(&tensors)?.backward()?;
    for (number, input) in inputs.iter().enumerate() {
        let Some(grad) = grads.get(input) else {
            candle_core::bail!("input {number} has no gradient");
        };
        let grad = grad.flatten_all()?.to_vec1::<f32>()?;
        let values = input.flatten_all()?.to_vec1::<f32>()?;
        for (index, analytic) in grad.iter().enumerate() {
            let moved = |by: f32| -> Result<f64> {
                let mut values = values.clone();
                values[index] += by;
                let mut tensors: Vec<Tensor> = tensors.iter().map(Tensor::detach).collect();
                tensors[number] = Tensor::from_vec(values, input.shape(), &Device::Cpu)?;
                Ok(f64::from(value(&tensors)?.to_scalar::<f32>()?))
            };
            let numeric = (moved(STEP)? - moved(-STEP)?) / f64::from(2.0 * STEP);
            let apart = (numeric - f64::from(*analytic)).abs();
            if apart > 0.01 * (1.0 + numeric.abs()) {
                candle_core::bail!(
                    "input {number}, value {index}: gradient {analytic}, differences {numeric}"
                );
            }
        }
    }
    Ok(())
}
