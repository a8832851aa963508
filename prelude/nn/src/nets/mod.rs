//! Nets: [`Mlp`] as a layer stack for the [`Trainer`](crate::Trainer), [`MlpClassifier`] and
//! [`MlpRegressor`] for frames.

mod mlp;
mod tabular;

pub use mlp::Mlp;
pub use tabular::{MlpClassifier, MlpRegressor};
