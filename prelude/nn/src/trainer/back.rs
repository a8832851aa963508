//! The way back when training has diverged: to the start of the epoch.

use std::collections::HashMap;

use candle_core::{DType, Tensor};

use super::{Trainer, ask};
use crate::checkpoint::{Position, restore, snapshot};
use crate::error::{NnError, Result};
use crate::loader::DataLoader;
use crate::model::{Mode, Trainable};

/// A run at the start of an epoch. The optimiser's state is not kept: what led to divergence is in it.
pub(super) struct Start {
    position: Position,
    state: HashMap<String, Tensor>,
    average: HashMap<String, Tensor>,
}

impl<M: Trainable> Trainer<M> {
    pub(super) fn start(&self) -> Result<Start> {
        Ok(Start {
            position: self.position.clone(),
            state: snapshot(&self.state())?,
            average: self.average.clone(),
        })
    }

    /// After a loss that is not finite: where a batch is at fault that had a finite loss in this epoch, it
    /// is the parameters that have gone astray, and the run goes back to the epoch's start. Where it is
    /// the new batch, the parameters are good as they are.
    pub(super) fn go_back(&mut self, start: Start, loader: &DataLoader, error: NnError) -> NnError {
        let NnError::NotFinite { what, value, epoch, batch, rows, .. } = error else {
            return error;
        };
        let stepped = self.position.step > start.position.step;
        let first = || self.finite_on_first(loader, &start.position);
        let kept = match ask(self.position.interrupted(), first) {
            Ok(false) if stepped => match self.take_up(start) {
                Ok(()) => "those of this epoch's start, as later ones give no finite loss",
                Err(error) => return error,
            },
            _ => "those before this batch",
        };
        NnError::NotFinite { what, value, epoch, batch, rows, kept }
    }

    /// Whether the first batch after `position`, which had a finite loss, still has one.
    fn finite_on_first(&self, loader: &DataLoader, position: &Position) -> Result<bool> {
        let Some(batch) = loader.epoch(position.epoch, position.batch).next() else {
            return Ok(true);
        };
        let (input, target) = self.inputs(&batch?)?;
        let output = self.model.forward(&input, Mode::eval())?.to_dtype(DType::F32)?;
        let loss = self.loss.of(&output, &target)?.to_dtype(DType::F32)?;
        Ok(loss.to_scalar::<f32>()?.is_finite())
    }

    fn take_up(&mut self, start: Start) -> Result<()> {
        restore(&self.state(), &start.state, "memory".as_ref())?;
        self.optimizer.load_state(&[], &HashMap::new())?;
        self.average = start.average;
        self.position = start.position;
        Ok(())
    }
}
