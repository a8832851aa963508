//! What a run leaves in the model at its end, and the way back from there.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};

use super::Trainer;
use crate::checkpoint::{restore, snapshot};
use crate::error::Result;
use crate::event::StopReason;
use crate::model::Trainable;

/// The parameters and statistics of the last step, which the optimiser's state belongs to, and those that
/// the model was left with in their place.
pub(super) struct Last {
    state: HashMap<String, Tensor>,
    left: HashMap<String, Tensor>,
}

impl<M: Trainable> Trainer<M> {
    /// Leaves the averaged or, after a stop at an epoch's end, the best parameters in the model. Whoever
    /// ends a run at a step wants that step's.
    pub(super) fn settle(&mut self, reason: StopReason) -> Result<()> {
        let between_epochs = self.position.batch == 0;
        let stopped = reason == StopReason::Stopped && between_epochs;
        let (vars, left) = if stopped && !self.best.is_empty() {
            (self.state(), self.best.clone())
        } else {
            (self.model.vars(), self.average.clone())
        };
        // A run that had no epoch to do has left the model before.
        if left.is_empty() || self.last.is_some() {
            return Ok(());
        }
        let state = snapshot(&self.state())?;
        restore(&vars, &left, "memory".as_ref())?;
        self.last = Some(Last { state, left });
        Ok(())
    }

    /// Takes the last step's parameters up again, if there is an epoch to go on with.
    pub(super) fn go_on(&mut self) -> Result<()> {
        if self.position.epoch < self.epochs && self.last.is_some() {
            restore(&self.state(), &self.held()?, "memory".as_ref())?;
            self.last = None;
        }
        Ok(())
    }

    /// The parameters and statistics that the run goes on with. Whoever has changed the model since it was
    /// left wants to go on from what it is now.
    pub(super) fn held(&self) -> Result<HashMap<String, Tensor>> {
        match &self.last {
            Some(last) if same(&self.state(), &last.left)? => Ok(last.state.clone()),
            _ => snapshot(&self.state()),
        }
    }
}

/// Whether the variables that have a tensor of their name still hold its values.
fn same(vars: &[(String, Var)], tensors: &HashMap<String, Tensor>) -> Result<bool> {
    let bits = |tensor: &Tensor| -> Result<Vec<u64>> {
        // Metal has no f64.
        let values = tensor.to_device(&Device::Cpu)?.flatten_all()?.to_dtype(DType::F64)?;
        let values = values.to_vec1::<f64>()?;
        Ok(values.into_iter().map(f64::to_bits).collect())
    };
    for (name, var) in vars {
        if let Some(tensor) = tensors.get(name)
            && bits(var)? != bits(tensor)?
        {
            return Ok(false);
        }
    }
    Ok(true)
}
