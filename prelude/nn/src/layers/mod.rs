//! Layers that candle has no backward pass for, or cannot seed.
//!
//! * [`rms_norm`], [`layer_norm`], [`softmax`], [`swiglu`], [`rope`](rope()), [`attention`](attention()),
//!   [`cross_entropy`]: functions, checked against finite differences.
//! * [`RmsNorm`], [`LayerNorm`], [`Recurrent`] (LSTM and GRU): layers that hold their variables.
//!
//! Linear, convolution, batch-norm and embedding layers are candle's own (`candle_nn`).

mod attention;
mod dropout;
mod gated;
mod kernel;
mod norm;
mod recurrent;
mod rope;
mod softmax;

pub use attention::{attention, causal_mask};
pub use dropout::dropout;
pub use gated::swiglu;
pub use norm::{LayerNorm, RmsNorm, layer_norm, rms_norm};
pub use recurrent::{Cell, Recurrent};
pub use rope::{RopeTable, rope};
pub use softmax::{cross_entropy, masked_softmax, softmax};
