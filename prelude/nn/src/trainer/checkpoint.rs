//! Writing the run to disk and taking it up again.

use std::path::PathBuf;

use super::Trainer;
use crate::checkpoint::{Checkpoint, Position, fits, restore};
use crate::error::{NnError, Result};
use crate::model::Trainable;

impl<M: Trainable> Trainer<M> {
    /// Takes the run up from a checkpoint folder (`…/last` or `…/best`): with the same data, seeds and
    /// settings the parameters become bit for bit those of a run that never stopped.
    ///
    /// # Errors
    /// When the checkpoint is incomplete or of another model.
    pub fn resume(&mut self, folder: impl Into<PathBuf>) -> Result<()> {
        let folder = folder.into();
        let checkpoint = Checkpoint::load(&folder)?;
        fits(&self.state(), &checkpoint.parameters, &folder)?;
        let (theirs, ours) = (checkpoint.position.optimizer.as_deref(), self.optimizer.name());
        if let Some(theirs) = theirs.filter(|theirs| *theirs != ours) {
            return Err(NnError::Checkpoint {
                path: folder,
                reason: format!(
                    "it was written by a run with {theirs}, and this trainer has {ours}; make the \
                     trainer with {theirs}, or load only the weights with `load_tensors` and `assign`"
                ),
            });
        }
        // What an early stop goes back to.
        let best = folder.with_file_name("best");
        let is_kept = best.is_dir() && checkpoint.position.best.is_some();
        let best = is_kept.then(|| Checkpoint::load(&best)).transpose()?;
        let unfit =
            |e: NnError| NnError::Checkpoint { path: folder.clone(), reason: e.to_string() };
        self.optimizer.load_state(&self.model.vars(), &checkpoint.optimizer).map_err(unfit)?;
        restore(&self.state(), &checkpoint.parameters, &folder)?;
        let device = self.model.device();
        // A checkpoint's lie on the CPU.
        let average = checkpoint.average.into_iter();
        self.average = average
            .map(|(name, tensor)| Ok((name, tensor.to_device(&device)?)))
            .collect::<Result<_>>()?;
        self.position = checkpoint.position;
        if let Some(best) = best {
            // The value that belongs to these parameters: a run that was broken off between the two folders
            // may have found a better one that was never written.
            self.position.best = best.position.best;
            self.best = best.parameters;
            self.best.extend(best.average);
        }
        self.last = None;
        Ok(())
    }

    /// Writes a checkpoint now: where the run goes on, which behind a run with an average or an early
    /// stop is not what the model was left with; [`save_weights`](crate::save_weights) writes that.
    ///
    /// # Errors
    /// When the folder cannot be written; an older checkpoint there stays.
    pub fn save(&self, folder: impl Into<PathBuf>) -> Result<()> {
        Checkpoint {
            position: Position {
                optimizer: Some(self.optimizer.name().to_owned()),
                ..self.position.clone()
            },
            parameters: self.held()?,
            optimizer: self.optimizer.state()?,
            average: self.average.clone(),
        }
        .save(&folder.into())
    }
}
