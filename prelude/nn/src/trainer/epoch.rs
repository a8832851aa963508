//! One epoch: its batches, what is measured after them, and what is kept.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use candle_core::Var;
use oxilab_runtime::cancel;

use super::{Trainer, ask};
use crate::checkpoint::{restore, snapshot};
use crate::error::{NnError, Result};
use crate::event::{Event, Flow};
use crate::history::EpochRecord;
use crate::loader::DataLoader;
use crate::model::Trainable;
use crate::optim::Gradients;

impl<M: Trainable> Trainer<M> {
    pub(super) fn epoch(
        &mut self,
        loader: &DataLoader,
        vars: &[(String, Var)],
        steps: usize,
    ) -> Result<()> {
        let total = loader.batches();
        let buffers = self.model.buffers();
        let mut good = HashMap::new();
        let mut grads = Gradients::new();
        let (mut losses, mut held) = (0.0, 0usize);
        for batch in loader.epoch(self.position.epoch, self.position.batch) {
            if self.flow == Flow::Stop {
                break;
            }
            if held == 0 {
                good = snapshot(&buffers)?;
            }
            let group_start = self.position.batch - held;
            let group = self.accumulate.min(total - group_start);
            let before = self.position.step;
            let one = || -> Result<()> {
                let (epoch, step) = (self.position.epoch + 1, self.position.step);
                let interrupted = NnError::Interrupted { epoch, step };
                if cancel::requested() {
                    return Err(interrupted);
                }
                let batch = batch?;
                losses += ask(interrupted, || self.backward(&batch, vars, &mut grads, group))?;
                held += 1;
                self.position.batch += 1;
                if held == group {
                    self.step(vars, &mut grads, losses, held, steps, &batch)?;
                    (losses, held) = (0.0, 0);
                }
                Ok(())
            };
            if let Err(error) = one() {
                if self.position.step == before {
                    // The batches of an unfinished step are seen again, with the statistics of before.
                    self.position.batch = group_start;
                    restore(&buffers, &good, "memory".as_ref())?;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Measures the epoch and keeps what came of it. Where measuring fails, the epoch has not ended: its
    /// batches are done, and the next call of `fit` measures it again.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub(super) fn end_epoch(&mut self, vars: &[(String, Var)]) -> Result<()> {
        let validated = self.validate(vars)?;
        let (sum, count) = std::mem::take(&mut self.position.epoch_loss);
        let train_loss = sum / count.max(1) as f64;
        let mut metrics = vec![("train_loss".to_owned(), train_loss)];
        metrics.extend(validated.iter().flatten().cloned());
        self.position.epoch += 1;
        self.position.batch = 0;
        let value_of =
            |name: &str| metrics.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
        self.schedule
            .observe(&mut self.position.schedule, value_of("valid_loss").unwrap_or(train_loss));
        let (metric, maximize) = self.watch();
        let sign = if maximize { -1.0 } else { 1.0 };
        let watched = value_of(metric).unwrap_or(train_loss) * sign;
        let improved = self.position.best.is_none_or(|best| watched < best);
        let (epoch, step) = (self.position.epoch, self.position.step);
        self.position.history.push_epoch(EpochRecord {
            epoch,
            step,
            metrics: metrics.iter().cloned().collect::<BTreeMap<_, _>>(),
        });
        if improved {
            self.position.best = Some(watched);
            self.best = snapshot(&self.state())?;
            self.best.extend(self.average.clone());
        }
        if let Some(metrics) = validated {
            self.emit(&Event::Evaluated { epoch, step, metrics })?;
        }
        self.save_to(if improved { &["last", "best"] } else { &["last"] })?;
        self.emit(&Event::EpochEnded { epoch, metrics })
    }

    /// Writes checkpoints of these names, where the run keeps any.
    pub(super) fn save_to(&mut self, names: &[&str]) -> Result<()> {
        let Some(folder) = self.checkpoints.clone() else { return Ok(()) };
        for name in names {
            self.save(folder.join(name))?;
            self.emit(&Event::Saved { path: folder.join(name) })?;
        }
        Ok(())
    }

    /// Loss and metric on the validation rows, with the averaged parameters where there are any.
    fn validate(&self, vars: &[(String, Var)]) -> Result<Option<Vec<(String, f64)>>> {
        let Some(loader) = &self.validation else { return Ok(None) };
        let raw = if self.average.is_empty() { None } else { Some(snapshot(vars)?) };
        if raw.is_some() {
            restore(vars, &self.average, "memory".as_ref())?;
        }
        let evaluate = || ask(self.position.interrupted(), || self.evaluate(loader));
        // A panic of the user's model goes on behind the parameters that it shall be left with.
        let evaluated = catch_unwind(AssertUnwindSafe(evaluate));
        if let Some(raw) = &raw {
            restore(vars, raw, "memory".as_ref())?;
        }
        let named = |(name, value)| (format!("valid_{name}"), value);
        let evaluated = evaluated.unwrap_or_else(|panic| resume_unwind(panic))?;
        Ok(Some(evaluated.into_iter().map(named).collect()))
    }
}
