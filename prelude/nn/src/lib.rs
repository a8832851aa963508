//! Deep learning: what one does with PyTorch and Lightning, on candle.
//!
//! * [`Trainer`] runs the loop and emits [`event`]s; progress bar, live chart, early stopping and
//!   trackers listen. Checkpoints resume bit for bit.
//! * [`Optimizer`] (SGD, Adam, AdamW, RMSprop), [`Schedule`], [`Loss`].
//! * [`DataLoader`] shuffles, batches and prefetches a [`Dataset`].
//! * [`layers`] that candle cannot differentiate or seed; [`gradcheck`] to test your own.
//! * [`nets`]: perceptrons for tensors and frames, convolutional and residual nets, LSTM and GRU.
//! * [`mod@image`]: pictures, augmentation, pretrained nets.
//! * [`load_tensors`]: weights of safetensors and PyTorch files.

#![allow(
    clippy::doc_markdown,
    clippy::manual_checked_ops,
    clippy::needless_for_each,
    clippy::redundant_closure_for_method_calls,
    reason = "names of papers and products stand in the prose as they are written; the rest is style, to be worked off file by file"
)]

pub mod aside;
pub mod built;
mod chart;
#[doc(hidden)]
pub mod check;
mod checkpoint;
pub mod device;
pub mod error;
pub mod event;
pub mod gradcheck;
mod history;
pub mod image;
pub mod init;
pub mod layers;
mod loader;
mod loss;
pub mod memory;
mod model;
pub mod nets;
mod observed;
pub mod ops;
pub mod optim;
mod schedule;
mod trainer;
mod weights;

/// The result that [`Trainable::forward`] gives.
pub use candle_core::Result;
pub use checkpoint::Position;
pub use device::DeviceExt;
pub use error::NnError;
pub use event::{Consumer, EarlyStopping, Event, Flow, LiveChart, ProgressBar, StopReason};
pub use history::{EpochRecord, History, StepRecord};
pub use image::ImageDataset;
pub use layers::set_threads;
pub use loader::{Batch, Batches, DataLoader, Dataset, Sample, TensorDataset, frame_to_tensor};
pub use loss::Loss;
pub use memory::Memory;
pub use model::{Forward, Mode, Net, Trainable};
pub use nets::{
    Cnn, FittedForecaster, Forecaster, Mlp, MlpClassifier, MlpRegressor, ResNet, SequenceClassifier,
};
pub use observed::Observed;
pub use optim::Optimizer;
pub use schedule::{Schedule, ScheduleState};
pub use trainer::Trainer;
pub use weights::{assign, load_tensors, save_weights};
