//! Layers that a [`VarBuilder`] fills, under candle_nn's names and with its arguments: those that candle_nn
//! (0.11) cannot train.
//!
//! * [`LayerNorm`], [`RmsNorm`]: candle's have no backward pass, so that nothing below them learns, and
//!   nothing says so.
//! * [`Conv1d`]: the gradient of candle's kernel is wrong.
//! * [`Conv2d`]: candle's backward pass is slow, and fails on pictures that are not square.
//!
//! ```
//! use candle_core::{DType, Device, Module as _, Tensor};
//! use candle_nn::{VarBuilder, VarMap, linear};
//! use oxilab_nn::built::layer_norm;
//! let vars = VarMap::new();
//! let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
//! let (below, norm) = (linear(2, 8, vb.pp("below"))?, layer_norm(8, 1e-5, vb.pp("norm"))?);
//! let x = Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?;
//! let grads = norm.forward(&below.forward(&x)?)?.sqr()?.sqr()?.sum_all()?.backward()?;
//! assert!(vars.all_vars().iter().all(|var| grads.get(var).is_some()));
//! # Ok::<(), candle_core::Error>(())
//! ```

use std::ops::Deref;

use candle_core::{Result, Tensor};
use candle_nn::{Conv1dConfig, Conv2dConfig, LayerNormConfig, Module, VarBuilder};

use crate::layers;
use crate::layers::windows::Windows;

/// A layer that has candle's values and another forward pass.
macro_rules! layer {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name(candle_nn::$name);

        /// The settings and values, as candle gives them.
        impl Deref for $name {
            type Target = candle_nn::$name;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl From<candle_nn::$name> for $name {
            fn from(layer: candle_nn::$name) -> Self {
                Self(layer)
            }
        }
    };
}

layer! {
    /// Layer normalisation over the last dimension.
    ///
    /// ```
    /// use candle_core::{Device, Module as _, Tensor};
    /// use oxilab_nn::built::LayerNorm;
    /// let (ones, zeros) = (Tensor::new(&[1f32, 1.0], &Device::Cpu)?, Tensor::new(&[0f32, 0.0], &Device::Cpu)?);
    /// let norm = LayerNorm::new(ones, zeros, 0.0);
    /// let y = norm.forward(&Tensor::new(&[[1f32, 3.0]], &Device::Cpu)?)?.to_vec2::<f32>()?;
    /// assert!((y[0][0] + 1.0).abs() < 1e-6 && (y[0][1] - 1.0).abs() < 1e-6);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    LayerNorm
}

layer! {
    /// Root-mean-square normalisation over the last dimension.
    ///
    /// ```
    /// use candle_core::{Device, Module as _, Tensor};
    /// use oxilab_nn::built::RmsNorm;
    /// let norm = RmsNorm::new(Tensor::new(&[1f32, 1.0], &Device::Cpu)?, 0.0);
    /// let y = norm.forward(&Tensor::new(&[[1f32, 7.0]], &Device::Cpu)?)?.to_vec2::<f32>()?;
    /// assert!((y[0][0] - 0.2).abs() < 1e-6 && (y[0][1] - 1.4).abs() < 1e-6);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    RmsNorm
}

layer! {
    /// One-dimensional convolution of `(rows, channels, length)`.
    ///
    /// ```
    /// use candle_core::{Device, Module as _, Tensor};
    /// use oxilab_nn::built::Conv1d;
    /// let step = Tensor::new(&[[[-1f32, 1.0]]], &Device::Cpu)?;
    /// let conv = Conv1d::new(step, None, Default::default());
    /// let y = conv.forward(&Tensor::new(&[[[1f32, 2.0, 4.0]]], &Device::Cpu)?)?;
    /// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [1.0, 2.0]);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    Conv1d
}

layer! {
    /// Two-dimensional convolution of `(rows, channels, height, width)`.
    ///
    /// ```
    /// use candle_core::{DType, Device, Module as _, Tensor};
    /// use oxilab_nn::built::Conv2d;
    /// let sum = Tensor::ones((1, 1, 2, 2), DType::F32, &Device::Cpu)?;
    /// let conv = Conv2d::new(sum, None, Default::default());
    /// let y = conv.forward(&Tensor::ones((1, 1, 2, 3), DType::F32, &Device::Cpu)?)?;
    /// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [4.0, 4.0]);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    Conv2d
}

impl LayerNorm {
    /// Of a weight and a bias `(n)`.
    #[must_use]
    pub fn new(weight: Tensor, bias: Tensor, eps: f64) -> Self {
        Self(candle_nn::LayerNorm::new(weight, bias, eps))
    }
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (self.weight(), self.bias());
        if self.remove_mean() {
            return layers::layer_norm(x, weight, bias, self.eps());
        }
        let y = layers::rms_norm(x, weight, self.eps())?;
        bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(&bias.to_dtype(y.dtype())?))
    }
}

impl RmsNorm {
    /// Of a weight `(n)`.
    #[must_use]
    pub fn new(weight: Tensor, eps: f64) -> Self {
        Self(candle_nn::RmsNorm::new(weight, eps))
    }
}

impl Module for RmsNorm {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layers::rms_norm(x, self.weight(), self.eps())
    }
}

impl Conv1d {
    /// Of a weight `(outputs, channels / groups, kernel)` and a bias `(outputs)`.
    #[must_use]
    pub fn new(weight: Tensor, bias: Option<Tensor>, config: Conv1dConfig) -> Self {
        Self(candle_nn::Conv1d::new(weight, bias, config))
    }
}

impl Module for Conv1d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        layers::conv1d(x, self.weight(), self.bias(), self.config())
    }
}

impl Conv2d {
    /// Of a weight `(outputs, channels / groups, height, width)` and a bias `(outputs)`.
    #[must_use]
    pub fn new(weight: Tensor, bias: Option<Tensor>, config: Conv2dConfig) -> Self {
        Self(candle_nn::Conv2d::new(weight, bias, config))
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match *self.config() {
            Conv2dConfig { dilation: 1, groups: 1, stride, padding, .. } => {
                layers::conv2d(x, self.weight(), self.bias(), stride, padding)
            }
            config => {
                let (_, _, height, width) = self.weight().dims4()?;
                let Conv2dConfig { padding, stride, dilation, groups, .. } = config;
                let reach = |kernel: usize| dilation * kernel.saturating_sub(1) + 1;
                let windows = |kernel| Windows { reach: reach(kernel), stride, padding };
                let x = windows(width).seen(&windows(height).seen(x, 2)?, 3)?;
                let y = x.contiguous()?.conv2d(self.weight(), 0, stride, dilation, groups)?;
                let Some(bias) = self.bias() else { return Ok(y) };
                y.broadcast_add(&bias.reshape((1, bias.elem_count(), 1, 1))?)
            }
        }
    }
}

/// A [`LayerNorm`] over `size` values: a weight of ones and, unless `affine` is off, a bias of zeros.
///
/// # Errors
/// When the builder has tensors of these names and other shapes, or none and makes none.
pub fn layer_norm(
    size: usize,
    config: impl Into<LayerNormConfig>,
    vb: VarBuilder<'_>,
) -> Result<LayerNorm> {
    candle_nn::layer_norm(size, config, vb).map(Into::into)
}

/// An [`RmsNorm`] over `size` values: a weight of ones.
///
/// # Errors
/// As [`layer_norm`].
pub fn rms_norm(size: usize, eps: f64, vb: VarBuilder<'_>) -> Result<RmsNorm> {
    candle_nn::rms_norm(size, eps, vb).map(Into::into)
}

/// A [`Conv1d`] with candle's random values.
///
/// # Errors
/// As [`layer_norm`].
pub fn conv1d(
    channels: usize,
    outputs: usize,
    kernel: usize,
    config: Conv1dConfig,
    vb: VarBuilder<'_>,
) -> Result<Conv1d> {
    candle_nn::conv1d(channels, outputs, kernel, config, vb).map(Into::into)
}

/// A [`Conv2d`] with a square kernel and candle's random values.
///
/// # Errors
/// As [`layer_norm`].
pub fn conv2d(
    channels: usize,
    outputs: usize,
    kernel: usize,
    config: Conv2dConfig,
    vb: VarBuilder<'_>,
) -> Result<Conv2d> {
    candle_nn::conv2d(channels, outputs, kernel, config, vb).map(Into::into)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use candle_nn::VarMap;

    use super::*;
    use crate::gradcheck::{check, normal};

    #[test]
    fn they_compute_what_candles_do() -> Result<()> {
        let vars = VarMap::new();
        let vb = VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
        let dilated = Conv2dConfig { dilation: 2, ..Conv2dConfig::default() };
        let x = normal(&[2, 3, 7, 6], 1)?;
        let sequence = x.flatten_from(2)?;
        let pairs: [(Box<dyn Module>, Box<dyn Module>, &Tensor); 7] = {
            let norm = layer_norm(6, 1e-5, vb.pp("norm"))?;
            let config = LayerNormConfig { remove_mean: false, ..LayerNormConfig::default() };
            let biased = layer_norm(6, config, vb.pp("biased"))?;
            let bare = LayerNormConfig { affine: false, ..LayerNormConfig::default() };
            let bare = layer_norm(6, bare, vb.pp("bare"))?;
            let rms = rms_norm(6, 1e-5, vb.pp("rms"))?;
            let line = conv1d(3, 4, 3, Conv1dConfig::default(), vb.pp("line"))?;
            let plane = conv2d(3, 4, 3, Conv2dConfig::default(), vb.pp("plane"))?;
            let wide = conv2d(3, 4, 3, dilated, vb.pp("wide"))?;
            [
                (Box::new(norm.0.clone()), Box::new(norm), &x),
                (Box::new(biased.0.clone()), Box::new(biased), &x),
                (Box::new(bare.0.clone()), Box::new(bare), &x),
                (Box::new(rms.0.clone()), Box::new(rms), &x),
                (Box::new(line.0.clone()), Box::new(line), &sequence),
                (Box::new(plane.0.clone()), Box::new(plane), &x),
                (Box::new(wide.0.clone()), Box::new(wide), &x),
            ]
        };
        for (number, (theirs, ours, x)) in pairs.into_iter().enumerate() {
            let apart = (theirs.forward(x)? - ours.forward(x)?)?.abs()?.max_all()?;
            assert!(apart.to_scalar::<f32>()? < 1e-5, "{number}: {apart}");
        }
        Ok(())
    }

    #[test]
    fn what_is_below_them_learns() -> Result<()> {
        let (weight, bias) = (normal(&[4], 2)?, normal(&[4], 3)?);
        check(&[normal(&[2, 3, 4], 1)?, weight.clone(), bias], |t| {
            LayerNorm::new(t[1].clone(), t[2].clone(), 1e-5).forward(&t[0])?.tanh()
        })?;
        check(&[normal(&[2, 3, 4], 1)?, weight], |t| {
            RmsNorm::new(t[1].clone(), 1e-5).forward(&t[0])?.tanh()
        })?;
        check(&[normal(&[3, 2, 5], 1)?, normal(&[4, 2, 3], 2)?], |t| {
            Conv1d::new(t[1].clone(), None, Conv1dConfig::default()).forward(&t[0])?.tanh()
        })?;
        let strided = Conv2dConfig { stride: 2, ..Conv2dConfig::default() };
        check(&[normal(&[3, 2, 5, 6], 1)?, normal(&[4, 2, 3, 3], 2)?], |t| {
            Conv2d::new(t[1].clone(), None, strided).forward(&t[0])?.tanh()
        })?;
        // One kernel for each channel; holes in the kernel.
        for (stride, padding, dilation, groups) in [(2, 1, 1, 2), (2, 2, 2, 1), (3, 2, 2, 2)] {
            let config = Conv2dConfig { stride, padding, dilation, groups, ..strided };
            check(&[normal(&[2, 2, 7, 10], 1)?, normal(&[2, 2 / groups, 3, 3], 2)?], |t| {
                Conv2d::new(t[1].clone(), None, config).forward(&t[0])?.tanh()
            })?;
        }
        Ok(())
    }
}
