//! Learning-rate schedules: a factor on the base rate for every step.

use serde::{Deserialize, Serialize};

/// How the learning rate changes; `warmup` is in steps.
///
/// ```
/// use oxilab_nn::{Schedule, ScheduleState};
/// let schedule = Schedule::Cosine { warmup: 10 };
/// let factor = |step| schedule.factor(&ScheduleState::default(), step, 110, 0);
/// assert!(factor(0) < 0.1 && factor(10) == 1.0 && (factor(60) - 0.5).abs() < 1e-9);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Schedule {
    /// The base rate throughout.
    #[default]
    Constant,
    /// Linear warm-up, then constant.
    Warmup {
        /// Steps from zero to the base rate.
        warmup: usize,
    },
    /// Linear warm-up, then linear down to zero.
    Linear {
        /// Steps from zero to the base rate.
        warmup: usize,
    },
    /// Linear warm-up, then half a cosine down to zero.
    Cosine {
        /// Steps from zero to the base rate.
        warmup: usize,
    },
    /// One cycle (Smith, 2018) as PyTorch's `OneCycleLR` has it: along a cosine up from a 25th of the base
    /// rate during the first 30 % of the steps, then down to a 250,000th.
    OneCycle,
    /// Times `factor` every `every` epochs.
    Step {
        /// Epochs between two drops.
        every: usize,
        /// The factor of a drop.
        factor: f64,
    },
    /// Times `factor` whenever the watched loss has not fallen for `patience` epochs.
    Plateau {
        /// Epochs to wait.
        patience: usize,
        /// The factor of a drop.
        factor: f64,
    },
}

/// What a schedule has seen, for [`Schedule::Plateau`]; part of a checkpoint.
///
/// ```
/// use oxilab_nn::{Schedule, ScheduleState};
/// let schedule = Schedule::Cosine { warmup: 10 };
/// let state = ScheduleState::default();
/// assert!(schedule.factor(&state, 5, 100, 0) < schedule.factor(&state, 10, 100, 0));
/// assert!(schedule.factor(&state, 99, 100, 0) < 0.01);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScheduleState {
    best: Option<f64>,
    waited: usize,
    drops: i32,
}

impl Schedule {
    /// The factor on the base rate at `step` (from 0) of `total`, in `epoch` (from 0).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "steps are far below 2^52")]
    pub fn factor(&self, state: &ScheduleState, step: usize, total: usize, epoch: usize) -> f64 {
        let warmed = |warmup: usize| {
            if step < warmup { Some((step + 1) as f64 / (warmup + 1) as f64) } else { None }
        };
        let left = |warmup: usize| {
            let span = total.saturating_sub(warmup).max(1) as f64;
            ((step - warmup) as f64 / span).min(1.0)
        };
        let half_cosine = |progress: f64| 0.5 * (1.0 + (std::f64::consts::PI * progress).cos());
        match *self {
            Self::Constant => 1.0,
            Self::Warmup { warmup } => warmed(warmup).unwrap_or(1.0),
            Self::Linear { warmup } => warmed(warmup).unwrap_or_else(|| 1.0 - left(warmup)),
            Self::Cosine { warmup } => warmed(warmup).unwrap_or_else(|| half_cosine(left(warmup))),
            Self::OneCycle => {
                // PyTorch's `OneCycleLR`: the peak is step `0.3 · total - 1`, counted from 0.
                let (low, end) = (1.0 / 25.0, 1.0 / 25.0e4);
                let (step, peak) = (step as f64, 0.3 * total as f64 - 1.0);
                let last = total.saturating_sub(1) as f64;
                if step <= peak {
                    1.0 + (low - 1.0) * half_cosine(step / peak.max(f64::MIN_POSITIVE))
                } else {
                    let progress = (step - peak) / (last - peak).max(f64::MIN_POSITIVE);
                    end + (1.0 - end) * half_cosine(progress.min(1.0))
                }
            }
            Self::Step { every, factor } => factor.powf((epoch / every.max(1)) as f64),
            Self::Plateau { factor, .. } => factor.powi(state.drops),
        }
    }

    /// Tells the schedule the loss at the end of an epoch.
    pub fn observe(&self, state: &mut ScheduleState, loss: f64) {
        let Self::Plateau { patience, .. } = *self else { return };
        if state.best.is_none_or(|best| loss < best * (1.0 - 1e-4)) {
            state.best = Some(loss);
            state.waited = 0;
        } else {
            state.waited += 1;
            if state.waited > patience {
                state.drops += 1;
                state.waited = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(schedule: Schedule, step: usize) -> f64 {
        schedule.factor(&ScheduleState::default(), step, 100, step / 10)
    }

    #[test]
    fn schedules_warm_up_and_come_down() {
        let cosine = Schedule::Cosine { warmup: 10 };
        assert!(at(cosine, 0) < 0.1 && at(cosine, 9) < 1.0 && (at(cosine, 10) - 1.0).abs() < 1e-9);
        assert!((at(cosine, 55) - 0.5).abs() < 1e-9 && at(cosine, 100) < 1e-9);
        assert!((at(Schedule::Linear { warmup: 0 }, 25) - 0.75).abs() < 1e-9);
        assert!(
            (at(Schedule::OneCycle, 0) - 0.04).abs() < 1e-9 && at(Schedule::OneCycle, 99) < 1e-3
        );
        assert!((at(Schedule::Step { every: 2, factor: 0.1 }, 45) - 0.01).abs() < 1e-9);
    }

    #[test]
    fn a_plateau_drops_the_rate_once_patience_is_over() {
        let schedule = Schedule::Plateau { patience: 1, factor: 0.5 };
        let mut state = ScheduleState::default();
        for loss in [1.0, 0.9, 0.9, 0.9] {
            schedule.observe(&mut state, loss);
        }
        assert!((schedule.factor(&state, 0, 1, 0) - 0.5).abs() < 1e-9);
    }
}
