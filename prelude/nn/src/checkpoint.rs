//! A run on disk: parameters, optimiser, position. A new checkpoint replaces the old one only when it
//! is complete.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::error::{NnError, Result, plain};
use crate::history::History;
use crate::schedule::ScheduleState;

/// Where a run stands; everything random follows from it and the seed.
///
/// ```
/// use oxilab_nn::Position;
/// let position = Position { epoch: 2, step: 40, ..Position::default() };
/// assert_eq!((position.batch, position.best), (0, None), "between two epochs, nothing watched yet");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Epochs done.
    pub epoch: usize,
    /// Batches done in the epoch at hand.
    pub batch: usize,
    /// Optimiser steps done.
    pub step: usize,
    /// The schedule's memory.
    pub schedule: ScheduleState,
    /// Sum of the batch losses of the epoch at hand, and their number.
    pub epoch_loss: (f64, usize),
    /// The best watched value so far.
    pub best: Option<f64>,
    /// The optimiser that the state beside it is of; older checkpoints do not say.
    #[serde(default)]
    pub optimizer: Option<String>,
    /// What was recorded.
    pub history: History,
}

impl Position {
    /// The error of a run that the user interrupts here.
    pub(crate) fn interrupted(&self) -> NnError {
        // Behind its last batch an epoch is measured before it counts as done.
        let epoch = self.epoch + usize::from(self.batch > 0);
        NnError::Interrupted { epoch, step: self.step }
    }
}

/// What a checkpoint holds.
pub(crate) struct Checkpoint {
    pub(crate) position: Position,
    pub(crate) parameters: HashMap<String, Tensor>,
    pub(crate) optimizer: HashMap<String, Tensor>,
    pub(crate) average: HashMap<String, Tensor>,
}

const FILES: [&str; 3] = ["model.safetensors", "optimizer.safetensors", "average.safetensors"];

impl Checkpoint {
    /// Writes the folder aside and puts it in the place of the old one.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(|e| file("create", parent, e))?;
        let aside = tempfile::Builder::new()
            .prefix(".checkpoint")
            .tempdir_in(parent)
            .map_err(|e| file("create a folder in", parent, e))?;
        for (name, tensors) in FILES.iter().zip([&self.parameters, &self.optimizer, &self.average])
        {
            let path = aside.path().join(name);
            candle_core::safetensors::save(tensors, &path)
                .map_err(|e| file("write", &path, std::io::Error::other(plain(e))))?;
        }
        let path = aside.path().join("state.json");
        let json =
            serde_json::to_vec(&self.position).map_err(|e| file("write", &path, e.into()))?;
        std::fs::write(&path, json).map_err(|e| file("write", &path, e))?;
        let old = parent.join(format!(
            ".old-{}",
            aside.path().file_name().unwrap_or_default().to_string_lossy()
        ));
        let had_old = folder.exists();
        if had_old {
            std::fs::rename(folder, &old).map_err(|e| file("replace", folder, e))?;
        }
        let aside = aside.keep();
        if let Err(error) = std::fs::rename(&aside, folder) {
            if had_old {
                std::fs::rename(&old, folder).map_err(|e| file("put back", folder, e))?;
            }
            return Err(file("write", folder, error));
        }
        if had_old {
            std::fs::remove_dir_all(&old).map_err(|e| file("remove", &old, e))?;
        }
        Ok(())
    }

    /// Reads the folder.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let path = folder.join("state.json");
        let json = std::fs::read(&path).map_err(|e| file("read", &path, e))?;
        let position = serde_json::from_slice(&json).map_err(|e| NnError::Checkpoint {
            path: folder.to_owned(),
            reason: format!("state.json is damaged: {e}"),
        })?;
        let mut parts = FILES.iter().map(|name| {
            candle_core::safetensors::load(folder.join(name), &Device::Cpu).map_err(|e| {
                NnError::Checkpoint {
                    path: folder.to_owned(),
                    reason: format!("{name} cannot be read: {}", plain(e)),
                }
            })
        });
        let mut next = || parts.next().unwrap_or_else(|| Ok(HashMap::new()));
        Ok(Self { position, parameters: next()?, optimizer: next()?, average: next()? })
    }
}

/// Whether there is a tensor of its name and shape for every variable.
pub(crate) fn fits(
    vars: &[(String, Var)],
    tensors: &HashMap<String, Tensor>,
    path: &Path,
) -> Result<()> {
    for (name, var) in vars {
        let Some(tensor) = tensors.get(name) else {
            return Err(NnError::Checkpoint {
                path: path.to_owned(),
                reason: format!("parameter {name} is missing"),
            });
        };
        if tensor.shape() != var.shape() {
            return Err(NnError::Checkpoint {
                path: path.to_owned(),
                reason: format!("{name} is {:?}, the model's is {:?}", tensor.shape(), var.shape()),
            });
        }
    }
    Ok(())
}

/// Sets variables from tensors of the same names and shapes: all of them or none.
pub(crate) fn restore(
    vars: &[(String, Var)],
    tensors: &HashMap<String, Tensor>,
    path: &Path,
) -> Result<()> {
    fits(vars, tensors, path)?;
    for (name, var) in vars {
        if let Some(tensor) = tensors.get(name) {
            var.set(&tensor.to_device(var.device())?)?;
        }
    }
    Ok(())
}

/// Copies of variables, which later steps do not change.
pub(crate) fn snapshot(vars: &[(String, Var)]) -> Result<HashMap<String, Tensor>> {
    // `copy` shares the memory on Metal.
    let copy = |var: &Var| var.as_detached_tensor().force_contiguous();
    vars.iter().map(|(name, var)| Ok((name.clone(), copy(var)?))).collect()
}

fn file(action: &'static str, path: &Path, source: std::io::Error) -> NnError {
    NnError::File { action, path: PathBuf::from(path), source }
}
