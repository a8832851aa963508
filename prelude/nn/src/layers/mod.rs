//! Layers that candle has no backward pass for, has a slow one for, or cannot seed.
//!
//! * [`rms_norm`], [`layer_norm`], [`softmax`], [`swiglu`], [`gelu`], [`gelu_tanh`], [`rope`](rope()),
//!   [`attention`](attention()), [`attention_by_text`], [`cross_entropy`], [`linear`](linear()),
//!   [`conv1d`](conv1d()), [`conv2d`], [`max_pool2d`], [`dropout`](dropout()): functions, checked against
//!   finite differences.
//! * [`RmsNorm`], [`LayerNorm`], [`BatchNorm`], [`Linear`], [`Conv2d`], [`Recurrent`] (LSTM and GRU):
//!   layers that hold their variables.
//! * [`built`](crate::built): layers that a `VarBuilder` fills, as candle_nn's.
//! * [`given`](given()), [`given_of_two`]: a gradient of your own for what candle computes.
//!
//! candle's methods of tensors stay what they are. In candle 0.11 the gradient through
//! `Tensor::max_pool2d` is a `kernel²`th of the right one, and that of the kernel of `Tensor::conv1d` is
//! wrong for batches of several rows: take [`max_pool2d`] and [`conv1d`](conv1d()).
//!
//! Layers are made on the CPU or on the device that they are given, and move by `to_device`; a net of this
//! crate is made on [`Device::best()`](crate::DeviceExt::best). Off the CPU, and in other precisions than
//! `f32`, everything is composed of candle's operations.
//!
//! Sums over a batch are made in an order that does not depend on the number of threads. Embedding
//! layers are candle's own (`candle_nn`).

mod attention;
mod batch_norm;
mod conv;
mod conv1d;
mod dropout;
mod gated;
mod given;
mod kernel;
mod linear;
mod math;
mod norm;
mod pool;
mod product;
mod recurrent;
mod rope;
mod sequences;
mod softmax;
pub(crate) mod windows;

pub use attention::{attention, causal_mask};
pub use batch_norm::BatchNorm;
pub use conv::{Conv2d, conv2d};
pub use conv1d::conv1d;
pub use dropout::dropout;
pub use gated::swiglu;
pub use given::{given, given_of_two};
pub use linear::{Linear, gelu, gelu_tanh, linear, linear_relu};
pub use norm::{LayerNorm, RmsNorm, layer_norm, rms_norm};
pub use pool::{global_mean, max_pool2d};
pub use product::{set_threads, threads};
pub use recurrent::{Cell, Recurrent};
pub use rope::{RopeTable, rope};
pub use sequences::attention_by_text;
pub use softmax::{cross_entropy, masked_softmax, softmax};
