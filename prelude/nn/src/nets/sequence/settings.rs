//! What both nets can be told, and how they are trained.

use serde::{Deserialize, Serialize};

use super::net::RecurrentNet;
use crate::check;
use crate::error::Result;
use crate::history::History;
use crate::loader::{DataLoader, TensorDataset};
use crate::loss::Loss;
use crate::optim::Optimizer;
use crate::schedule::Schedule;
use crate::trainer::Trainer;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) gru: bool,
    pub(super) hidden: usize,
    pub(super) layers: usize,
    pub(super) epochs: usize,
    pub(super) batch_size: usize,
    pub(super) learning_rate: f64,
    pub(super) dropout: f64,
    pub(super) seed: u64,
    #[serde(skip)]
    pub(super) quiet: bool,
}

impl Settings {
    pub(super) fn new(gru: bool) -> Self {
        Self {
            gru,
            hidden: 32,
            layers: 1,
            epochs: 30,
            batch_size: 32,
            learning_rate: 0.01,
            dropout: 0.0,
            seed: 0,
            quiet: false,
        }
    }

    pub(super) fn cell(&self) -> &'static str {
        if self.gru { "GRU" } else { "LSTM" }
    }

    /// Refuses what no net can be built with; the trainer looks at the rest.
    pub(super) fn check(&self) -> Result<()> {
        check::at_least_one("the number of hidden values", self.hidden)?;
        check::at_least_one("the number of recurrent layers", self.layers)?;
        check::share("the dropout", self.dropout)
    }

    pub(super) fn train(
        &self,
        net: RecurrentNet,
        data: TensorDataset,
        loss: Loss,
    ) -> Result<(RecurrentNet, History)> {
        let loader =
            DataLoader::new(data, self.batch_size).with_shuffle(self.seed).with_prefetch(0);
        let mut trainer = Trainer::new(net, Optimizer::adam(self.learning_rate), loss)
            .with_epochs(self.epochs)
            .with_schedule(Schedule::Cosine { warmup: 0 })
            .with_clip_norm(1.0)
            .with_seed(self.seed);
        if self.quiet {
            trainer = trainer.quiet();
        }
        let history = trainer.fit(&loader)?;
        Ok((trainer.into_model(), history))
    }
}

/// The setters of a net with the field `settings`, and how it shows itself.
macro_rules! settings {
    ($net:ident) => {
        impl $net {
            /// Sets the values of the state; 32 unless set.
            #[must_use]
            pub fn with_hidden(mut self, hidden: usize) -> Self {
                self.settings.hidden = hidden;
                self
            }

            /// Sets the number of recurrent layers; 1 unless set.
            #[must_use]
            pub fn with_layers(mut self, layers: usize) -> Self {
                self.settings.layers = layers;
                self
            }

            /// Sets the number of epochs; 30 unless set.
            #[must_use]
            pub fn with_epochs(mut self, epochs: usize) -> Self {
                self.settings.epochs = epochs;
                self
            }

            /// Sets the rows of a batch; 32 unless set.
            #[must_use]
            pub fn with_batch_size(mut self, rows: usize) -> Self {
                self.settings.batch_size = rows;
                self
            }

            /// Sets Adam's learning rate; 0.01 unless set.
            #[must_use]
            pub fn with_learning_rate(mut self, rate: f64) -> Self {
                self.settings.learning_rate = rate;
                self
            }

            /// Sets the dropout before the last layer; none unless set.
            #[must_use]
            pub fn with_dropout(mut self, p: f64) -> Self {
                self.settings.dropout = p;
                self
            }

            /// Sets the seed of weights, order and dropout.
            #[must_use]
            pub fn with_seed(mut self, seed: u64) -> Self {
                self.settings.seed = seed;
                self
            }

            /// Trains without progress bar and chart.
            #[must_use]
            pub fn quiet(mut self) -> Self {
                self.settings.quiet = true;
                self
            }
        }

        impl std::fmt::Debug for $net {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let Settings { hidden, layers, epochs, .. } = &self.settings;
                let (net, cell) = (stringify!($net), self.settings.cell());
                write!(f, "{net}({cell}, {layers} × {hidden} values, {epochs} epochs)")
            }
        }

        impl Render for $net {
            fn render(&self) -> MimeBundle {
                MimeBundle::text(format!("{self:?}"))
            }
        }
    };
}
pub(super) use settings;
