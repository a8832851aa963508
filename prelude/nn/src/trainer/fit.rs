//! A run from its first event to its last.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use candle_core::Var;
use oxilab_runtime::training::Outcome;

use super::Trainer;
use crate::error::{NnError, Result};
use crate::event::{EarlyStopping, Event, Flow, StopReason};
use crate::history::History;
use crate::loader::DataLoader;
use crate::memory::Memory;
use crate::model::Trainable;
use crate::observed::{Observed, Parameters};

impl<M: Trainable> Trainer<M> {
    /// Trains up to the set number of epochs. Call it again, with more epochs, to go on: with a constant
    /// rate, three epochs and then six are bit for bit a run of six, also where the model was left with
    /// the averaged or the best parameters in between. (Schedules that end at the last epoch are those of
    /// the epochs set.) Parameters that were set by hand in between are where it goes on instead.
    ///
    /// # Errors
    /// When a loss or gradient is not finite (the parameters are those before the batch, or of the start
    /// of the epoch where it is they that give no finite loss any more), a shape does not fit, a file
    /// cannot be written, or the user interrupts (the model stays usable).
    pub fn fit(&mut self, loader: &DataLoader) -> Result<History> {
        let library = env!("CARGO_PKG_NAME");
        self.observed = Observed::started("Trainer", library, || self.params(loader));
        let result = catch_unwind(AssertUnwindSafe(|| self.fit_told(loader)));
        let result = result.unwrap_or_else(|panic| {
            // Of the user's model, data or listener: who watches is told before it goes on.
            std::mem::take(&mut self.observed).ended(Outcome::Failed("it panicked".to_owned()));
            let _ = self.emit(&Event::Ended { reason: StopReason::Failed });
            resume_unwind(panic)
        });
        let observed = std::mem::take(&mut self.observed);
        if observed.is_observed() {
            let vars = self.model.vars();
            let parameters = Parameters(&vars);
            observed.ended(match &result {
                Ok(_) => Outcome::Fitted(&parameters),
                Err(NnError::Interrupted { .. }) => Outcome::Interrupted,
                Err(error) => Outcome::Failed(error.to_string()),
            });
        }
        result
    }

    /// What a tracker is told of the run.
    fn params(&self, loader: &DataLoader) -> Vec<(String, String)> {
        let mut params = vec![
            ("epochs", self.epochs.to_string()),
            ("rows", loader.rows().to_string()),
            ("batches", loader.batches().to_string()),
            ("optimizer", self.optimizer.name().to_owned()),
            ("learning_rate", self.optimizer.learning_rate().to_string()),
            ("loss", self.loss.name().to_owned()),
            ("schedule", format!("{:?}", self.schedule)),
            ("accumulation", self.accumulate.to_string()),
            ("seed", self.seed.to_string()),
        ];
        params.extend(self.clip_norm.map(|norm| ("clip_norm", norm.to_string())));
        params.extend(self.average_decay.map(|decay| ("average_decay", decay.to_string())));
        params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn fit_told(&mut self, loader: &DataLoader) -> Result<History> {
        self.check_settings(loader)?;
        self.check_watch()?;
        let (metric, maximize) = self.watch();
        self.early = self.patience.map(|patience| {
            let early = EarlyStopping::new(patience).with_metric(metric, maximize);
            early.with_min_delta(self.min_delta)
        });
        if loader.batches() == 0 {
            return Err(NnError::NoData);
        }
        let steps = loader.batches().div_ceil(self.accumulate) * self.epochs;
        let vars = self.model.vars();
        let parameters = vars.iter().map(|(_, var)| var.elem_count()).sum();
        let started = Event::Started {
            epochs: self.epochs,
            steps,
            parameters,
            memory: Memory {
                parameters: parameters * 4,
                gradients: parameters * 4,
                optimizer: parameters * 4 * self.optimizer.state_factor(),
                // Those of the epoch's start, the best, and the average.
                copies: parameters * 4 * (2 + usize::from(self.average_decay.is_some())),
                ..Memory::default()
            },
        };
        self.flow = Flow::Continue;
        let result = self.emit(&started).and_then(|()| self.go_on());
        let result = result.and_then(|()| self.epochs(loader, &vars, steps));
        let reason = match &result {
            Ok(reason) => *reason,
            Err(NnError::Interrupted { .. }) => StopReason::Interrupted,
            Err(_) => StopReason::Failed,
        };
        let left = match reason {
            StopReason::Failed => Ok(()),
            StopReason::Interrupted => self.save_to(&["last"]),
            _ => self.settle(reason),
        };
        let ended = self.emit(&Event::Ended { reason });
        match (result, left) {
            // A listener may have met the same press again.
            (Err(error), Ok(()) | Err(NnError::Interrupted { .. })) | (_, Err(error)) => Err(error),
            (Ok(_), Ok(())) => ended.map(|()| self.position.history.clone()),
        }
    }

    fn epochs(
        &mut self,
        loader: &DataLoader,
        vars: &[(String, Var)],
        steps: usize,
    ) -> Result<StopReason> {
        while self.position.epoch < self.epochs && self.flow == Flow::Continue {
            let start = self.start()?;
            if let Err(error) = self.epoch(loader, vars, steps) {
                return Err(self.go_back(start, loader, error));
            }
            match self.flow {
                Flow::Continue => self.end_epoch(vars)?,
                // The next call of `fit` does the rest of the epoch, and measures it.
                Flow::Stop => self.save_to(&["last"])?,
            }
        }
        Ok(match self.flow {
            Flow::Continue => StopReason::Finished,
            Flow::Stop => StopReason::Stopped,
        })
    }
}
