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
pub use sequence::{FittedForecaster, Forecaster, SequenceClassifier};
pub use tabular::{MlpClassifier, MlpRegressor};

use candle_core::{Device, Result as TensorResult};
use oxilab_model::ModelError;

use crate::error::NnError;
use crate::layers::{BatchNorm, Conv2d};

/// A convolution and what normalises it, on a device.
fn moved((conv, norm): &(Conv2d, BatchNorm), device: &Device) -> TensorResult<(Conv2d, BatchNorm)> {
    Ok((conv.to_device(device)?, norm.to_device(device)?))
}

/// An error of training as one of the modelling crate, for nets that become its fitted models.
fn failure(library: &'static str, error: NnError) -> ModelError {
    match error {
        NnError::Interrupted { .. } => ModelError::Interrupted,
        error => ModelError::Library { library, doing: "training", message: error.to_string() },
    }
}
