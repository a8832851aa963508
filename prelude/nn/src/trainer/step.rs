//! Gradients of a batch, and the step that a group of them leads to.

use candle_core::{DType, Var};

use super::Trainer;
use crate::checkpoint::snapshot;
use crate::error::{NnError, Result, some_of};
use crate::event::Event;
use crate::history::StepRecord;
use crate::loader::Batch;
use crate::model::{Mode, Trainable};
use crate::optim::{self, Gradients};

impl<M: Trainable> Trainer<M> {
    pub(super) fn backward(
        &mut self,
        batch: &Batch,
        vars: &[(String, Var)],
        grads: &mut Gradients,
        group: usize,
    ) -> Result<f64> {
        let place = (self.position.epoch as u64) << 32 | self.position.batch as u64;
        let mode = Mode::train(self.seed.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let (input, target) = self.inputs(batch)?;
        let output = self.model.forward(&input, mode)?.to_dtype(DType::F32)?;
        let loss = self.loss.of(&output, &target)?;
        let value = f64::from(loss.to_dtype(DType::F32)?.to_scalar::<f32>()?);
        if !value.is_finite() {
            return Err(self.not_finite("the loss", value, batch, self.position.batch));
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of batches")]
        optim::accumulate(grads, vars, &loss.backward()?, 1.0 / group as f32)?;
        Ok(value)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub(super) fn step(
        &mut self,
        vars: &[(String, Var)],
        grads: &mut Gradients,
        losses: f64,
        held: usize,
        steps: usize,
        batch: &Batch,
    ) -> Result<()> {
        let norm = optim::norm(grads);
        if !norm.is_finite() {
            return Err(self.not_finite(
                "the gradient's norm",
                norm,
                batch,
                self.position.batch - 1,
            ));
        }
        if let Some(limit) = self.clip_norm.filter(|limit| norm > *limit) {
            optim::scale(grads, limit / norm);
        }
        let position = &mut self.position;
        let factor = self.schedule.factor(&position.schedule, position.step, steps, position.epoch);
        let learning_rate = self.optimizer.learning_rate() * factor;
        self.optimizer.step(vars, grads, learning_rate)?;
        grads.clear();
        position.step += 1;
        position.epoch_loss.0 += losses;
        position.epoch_loss.1 += held;
        let loss = losses / held as f64;
        position.history.push_step(StepRecord {
            step: position.step,
            loss,
            learning_rate,
            grad_norm: norm,
        });
        let (epoch, step) = (position.epoch + 1, position.step);
        self.move_average(vars)?;
        self.emit(&Event::Step { epoch, step, loss, learning_rate, grad_norm: norm })?;
        Ok(())
    }

    fn move_average(&mut self, vars: &[(String, Var)]) -> Result<()> {
        let Some(decay) = self.average_decay else { return Ok(()) };
        if self.average.is_empty() {
            self.average = snapshot(vars)?;
            return Ok(());
        }
        for (name, var) in vars {
            if let Some(average) = self.average.get_mut(name) {
                *average = ((&*average * decay)? + (var.as_detached_tensor() * (1.0 - decay))?)?;
            }
        }
        Ok(())
    }

    fn not_finite(&self, what: &'static str, value: f64, batch: &Batch, place: usize) -> NnError {
        NnError::NotFinite {
            what,
            value,
            epoch: self.position.epoch + 1,
            batch: place + 1,
            rows: some_of(&batch.rows),
            kept: "those before this batch",
        }
    }
}
