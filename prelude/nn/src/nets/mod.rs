//! Nets: [`Mlp`], [`Cnn`] and [`ResNet`] as layer stacks for the [`Trainer`](crate::Trainer);
//! [`MlpClassifier`], [`MlpRegressor`] for frames; [`SequenceClassifier`] and [`Forecaster`] for series.

mod cnn;
mod mlp;
mod resnet;
mod sequence;
mod summary;
mod tabular;

pub use cnn::Cnn;
pub use mlp::Mlp;
pub use resnet::ResNet;
pub use sequence::{Forecaster, SequenceClassifier};
pub use tabular::{MlpClassifier, MlpRegressor};
