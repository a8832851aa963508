//! [`Observed`]: what trainers tell whoever tracks fits, from the events that they emit anyway.

use std::path::Path;

use oxilab_runtime::training::{self, About, Data, Fit, Fitted, Outcome};

use crate::event::Event;

/// A training run that somebody may track. Made by a trainer when it starts, given every event, and
/// ended with the outcome.
///
/// ```
/// use oxilab_nn::Observed;
/// let observed = Observed::started("MyTrainer", "my-crate", || vec![("rate".into(), "0.1".into())]);
/// assert!(!observed.is_observed(), "nobody tracks fits here");
/// ```
#[derive(Debug, Default)]
pub struct Observed {
    fit: Fit,
}

impl Observed {
    /// Says that a training run starts; `params` is called only when somebody listens.
    pub fn started(
        trainer: &str,
        library: &str,
        params: impl FnOnce() -> Vec<(String, String)>,
    ) -> Self {
        let about =
            || About { learner: trainer.to_owned(), library: library.to_owned(), params: params() };
        Self { fit: training::started(about) }
    }

    /// Whether somebody listens.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.fit.is_observed()
    }

    /// Tells of data; called back only when somebody listens.
    pub fn data(&mut self, data: impl FnOnce() -> Data) {
        self.fit.data(data);
    }

    /// Passes an event on.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::Step { step, loss, learning_rate, grad_norm, .. } => self.fit.metrics(
                *step as u64,
                &[("loss", *loss), ("learning_rate", *learning_rate), ("grad_norm", *grad_norm)],
            ),
            Event::EpochEnded { epoch, metrics } => {
                let metrics: Vec<(&str, f64)> =
                    metrics.iter().map(|(name, value)| (name.as_str(), *value)).collect();
                self.fit.metrics(*epoch as u64, &metrics);
            }
            Event::Saved { path } => self.fit.file(path),
            _ => {}
        }
    }

    /// Ends it.
    pub fn ended(self, outcome: Outcome<'_>) {
        self.fit.ended(outcome);
    }
}

/// Parameters of a trained net as a safetensors file.
pub(crate) struct Parameters<'a>(pub(crate) &'a [(String, candle_core::Var)]);

impl Fitted for Parameters<'_> {
    fn save(&self, folder: &Path) -> Result<String, String> {
        const NAME: &str = "model.safetensors";
        let tensors: std::collections::HashMap<String, candle_core::Tensor> =
            self.0.iter().map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect();
        candle_core::safetensors::save(&tensors, folder.join(NAME))
            .map_err(|error| error.to_string())?;
        Ok(NAME.to_owned())
    }
}
