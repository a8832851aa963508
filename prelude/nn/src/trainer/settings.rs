//! What a trainer can be told before it runs.

use std::path::PathBuf;

use candle_core::DType;

use super::Trainer;
use crate::event::Consumer;
use crate::loader::DataLoader;
use crate::model::Trainable;
use crate::schedule::Schedule;

impl<M: Trainable> Trainer<M> {
    /// Sets the number of epochs, those of earlier calls and checkpoints included.
    #[must_use]
    pub fn with_epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets the learning-rate schedule.
    #[must_use]
    pub fn with_schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Adds up the gradients of this many batches for one step.
    #[must_use]
    pub fn with_accumulation(mut self, batches: usize) -> Self {
        self.accumulate = batches;
        self
    }

    /// Scales the gradient down to this norm where it is larger.
    #[must_use]
    pub fn with_clip_norm(mut self, norm: f64) -> Self {
        self.clip_norm = Some(norm);
        self
    }

    /// Keeps an exponential moving average of the parameters (decay for example 0.999), validates with
    /// it and leaves it in the model at the end.
    #[must_use]
    pub fn with_average(mut self, decay: f64) -> Self {
        self.average_decay = Some(decay);
        self
    }

    /// Computes in `bf16` on CUDA and Metal, with parameters, loss, statistics of batches and optimiser in
    /// `f32`. On a CPU it changes nothing, bit for bit: halves are no faster there, and candle multiplies
    /// no matrices of `bf16`.
    #[must_use]
    pub fn with_mixed_precision(mut self) -> Self {
        self.precision = DType::BF16;
        self
    }

    /// Sets the seed of dropout; shuffling has its seed in the loader.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Evaluates on these rows after each epoch.
    #[must_use]
    pub fn with_validation(mut self, loader: DataLoader) -> Self {
        self.validation = Some(loader);
        self
    }

    /// Writes a checkpoint to `folder/last` after each epoch and to `folder/best` when the watched
    /// metric improves.
    #[must_use]
    pub fn with_checkpoints(mut self, folder: impl Into<PathBuf>) -> Self {
        self.checkpoints = Some(folder.into());
        self
    }

    /// Watches another metric than `valid_loss` for the best parameters; `maximize` when more is
    /// better.
    #[must_use]
    pub fn with_watched(mut self, metric: impl Into<String>, maximize: bool) -> Self {
        self.watched = Some((metric.into(), maximize));
        self
    }

    /// Ends the run when the watched metric, `valid_loss` unless set, has not improved for `patience`
    /// epochs in a row; the model then has the best parameters. Needs
    /// [`with_validation`](Self::with_validation), unless `train_loss` is watched.
    #[must_use]
    pub fn with_early_stopping(mut self, patience: usize) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Counts as an improvement for early stopping only what is better by more than this; 0 unless set.
    #[must_use]
    pub fn with_min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
        self
    }

    /// Adds a listener.
    #[must_use]
    pub fn with_consumer(mut self, consumer: impl Consumer + 'static) -> Self {
        self.consumers.push(Box::new(consumer));
        self
    }

    /// Takes out the progress bar and the chart; early stopping and other listeners stay.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.consumers.retain(|consumer| !consumer.is_display());
        self
    }
}
