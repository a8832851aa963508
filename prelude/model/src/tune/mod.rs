//! Tuning: [`tune`], [`Study`], [`Space`], [`Trial`].
//!
//! A [`Study`] proposes values from a [`Space`] ([`Sampler`]), runs the objective, may end poor trials
//! early ([`Pruner`]), and keeps every trial, in a SQLite file if asked ([`storage`]), so that a later
//! session goes on where this one stopped. The TPE sampler is in [`tpe`].

mod prune;
mod sample;
mod show;
mod space;
mod storage;
mod study;
mod tpe;

pub use prune::Pruner;
pub use space::{Dimension, Space, Value};
pub use study::{Direction, Record, Sampler, State, Study, Trial};

use crate::error::Result;

/// Finds the values of a space that maximise an objective, by TPE in `trials` trials.
///
/// ```
/// use oxilab_model::{Space, tune};
/// let space = Space::new().float("x", -5.0, 5.0);
/// let study = tune(&space, 40, |trial| {
///     let x = trial.float("x")?;
///     Ok(-(x - 2.0) * (x - 2.0))
/// })?;
/// let best = study.best().unwrap();
/// assert!((best.float("x")? - 2.0).abs() < 0.5);
/// # Ok::<(), oxilab_model::ModelError>(())
/// ```
///
/// # Errors
/// If the space is empty, or the objective fails.
pub fn tune(
    space: &Space,
    trials: usize,
    objective: impl FnMut(&mut Trial<'_>) -> Result<f64>,
) -> Result<Study> {
    let mut study = Study::new("tune");
    study.optimize(space, trials, objective)?;
    Ok(study)
}
