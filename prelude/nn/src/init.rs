//! Seeded initial weights. candle's own random tensors cannot be seeded on the CPU.

use candle_core::{Device, Result, Tensor};
use rand::{Rng, RngExt as _};

/// Normally distributed values with mean zero.
///
/// ```
/// use oxilab_nn::init::normal;
/// use rand::{SeedableRng as _, rngs::StdRng};
/// let weights = |seed| normal(&[2, 3], 0.02, &mut StdRng::seed_from_u64(seed), &candle_core::Device::Cpu);
/// assert_eq!(weights(1)?.to_vec2::<f32>()?, weights(1)?.to_vec2::<f32>()?);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shape cannot be allocated.
#[expect(clippy::cast_possible_truncation, reason = "values are kept as f32")]
pub fn normal(shape: &[usize], std: f64, rng: &mut impl Rng, device: &Device) -> Result<Tensor> {
    let count: usize = shape.iter().product();
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // Box and Muller: two uniform numbers give two normal ones.
        let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt() * std;
        let (sin, cos) = (std::f64::consts::TAU * rng.random::<f64>()).sin_cos();
        values.extend([(radius * cos) as f32, (radius * sin) as f32]);
    }
    values.truncate(count);
    Tensor::from_vec(values, shape, device)
}

/// Uniform values in `-bound..bound`.
///
/// ```
/// use candle_core::Device;
/// use rand::{SeedableRng as _, rngs::StdRng};
/// let weights = oxilab_nn::init::uniform(&[2, 3], 0.1, &mut StdRng::seed_from_u64(0), &Device::Cpu)?;
/// assert!(weights.abs()?.max_all()?.to_scalar::<f32>()? <= 0.1);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shape cannot be allocated.
#[expect(clippy::cast_possible_truncation, reason = "values are kept as f32")]
pub fn uniform(shape: &[usize], bound: f64, rng: &mut impl Rng, device: &Device) -> Result<Tensor> {
    let count: usize = shape.iter().product();
    let values: Vec<f32> =
        (0..count).map(|_| ((rng.random::<f64>() * 2.0 - 1.0) * bound) as f32).collect();
    Tensor::from_vec(values, shape, device)
}

/// PyTorch's default for linear layers: uniform within `1 / sqrt(inputs)`; `shape` is
/// `(outputs, inputs)`.
///
/// # Errors
/// When the shape cannot be allocated.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 inputs")]
pub fn linear(shape: (usize, usize), rng: &mut impl Rng, device: &Device) -> Result<Tensor> {
    uniform(&[shape.0, shape.1], (shape.1.max(1) as f64).sqrt().recip(), rng, device)
}
