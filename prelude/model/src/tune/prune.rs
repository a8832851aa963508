//! Which trials end early: [`Pruner`].

use super::study::{Direction, Record};
use crate::error::{Result, require};
use crate::matrix::float;
use crate::rng::Rng;

/// Which trials end early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pruner {
    /// None.
    #[default]
    Never,
    /// Those whose best report so far is worse than the median of the others' reports at the same step.
    Median {
        /// Complete trials before the first is ended.
        startup: usize,
        /// Steps of a trial before it can be ended.
        warmup: u64,
    },
    /// Successive halving as trials come in (Li et al., 2020): at `min_step`, `min_step · factor`, … only
    /// the best `1 / factor` of the trials that got there go on.
    SuccessiveHalving {
        /// The first step at which trials are compared.
        min_step: u64,
        /// What share goes on (one over it), and how much further.
        factor: u64,
    },
    /// Hyperband (Li et al., 2018): trials are spread over brackets, which are successive halvings that
    /// begin at `min_step`, `min_step · factor`, … up to `max_step`. It needs no guess of how soon
    /// a poor trial shows. A [`super::Sampler::Tpe`] learns within each bracket.
    Hyperband {
        /// The first step of the first bracket.
        min_step: u64,
        /// The last step of a trial.
        max_step: u64,
        /// What share goes on (one over it), and how much further.
        factor: u64,
    },
}

/// A running trial as a pruner sees it.
pub(super) struct Running<'a> {
    pub(super) number: u64,
    /// Its reports, the newest last.
    pub(super) reports: &'a [(u64, f64)],
    pub(super) past: &'a [Record],
    pub(super) direction: Direction,
}

impl Pruner {
    pub(super) fn check(self) -> Result<()> {
        const NAME: &str = "Pruner";
        let halving = |min_step: u64, factor: u64| {
            require(min_step > 0, NAME, "min_step", min_step, "1 or more")?;
            require(factor > 1, NAME, "factor", factor, "2 or more")
        };
        match self {
            Self::Never | Self::Median { .. } => Ok(()),
            Self::SuccessiveHalving { min_step, factor } => halving(min_step, factor),
            Self::Hyperband { min_step, max_step, factor } => {
                halving(min_step, factor)?;
                require(max_step >= min_step, NAME, "max_step", max_step, "at least min_step")
            }
        }
    }

    /// Whether the trial should end after its newest report.
    pub(super) fn ends(self, trial: &Running<'_>) -> bool {
        match self {
            Self::Never => false,
            Self::Median { startup, warmup } => trial.below_median(startup, warmup),
            Self::SuccessiveHalving { min_step, factor } => {
                trial.halved(min_step, u64::MAX, factor, |_| true)
            }
            Self::Hyperband { min_step, max_step, factor } => {
                let bracket = self.bracket(trial.number);
                let first = (0..bracket).fold(min_step, |step, _| step.saturating_mul(factor));
                trial.halved(first, max_step, factor, |other| self.bracket(other) == bracket)
            }
        }
    }

    /// The bracket of a trial: 0 unless this is Hyperband. Brackets that begin early end most trials
    /// early, so they get more of them: each bracket is to take about the same number of steps.
    pub(super) fn bracket(self, trial: u64) -> u64 {
        let Self::Hyperband { min_step, max_step, factor } = self else { return 0 };
        let mut steps = vec![min_step];
        while let Some(next) = steps.last().and_then(|step| step.checked_mul(factor)) {
            if next > max_step {
                break;
            }
            steps.push(next);
        }
        let count = steps.len();
        let share = |bracket: usize| {
            let halvings = count - 1 - bracket;
            let power = (0..halvings).fold(1.0, |power, _| power * float_of(factor));
            (float(count) * power / float(halvings + 1)).ceil()
        };
        let shares: Vec<f64> = (0..count).map(share).collect();
        Rng::part(0x0062_7261_636b_6574, trial).weighted(&shares) as u64
    }
}

#[expect(clippy::cast_precision_loss, reason = "a small factor")]
fn float_of(factor: u64) -> f64 {
    factor as f64
}

impl Running<'_> {
    fn loss(&self, value: f64) -> f64 {
        if self.direction == Direction::Maximize { -value } else { value }
    }

    fn below_median(&self, startup: usize, warmup: u64) -> bool {
        let Some((step, _)) = self.reports.last() else { return false };
        let complete = self.past.iter().filter(|trial| trial.is_complete()).count();
        if complete < startup || *step <= warmup {
            return false;
        }
        let losses = self.reports.iter().map(|(_, value)| self.loss(*value));
        let best = losses.filter(|loss| !loss.is_nan()).fold(f64::INFINITY, f64::min);
        let mut others: Vec<f64> = self
            .past
            .iter()
            .filter_map(|trial| trial.reports.iter().find(|(at, _)| at == step))
            .map(|(_, value)| self.loss(*value))
            .filter(|loss| !loss.is_nan())
            .collect();
        if others.is_empty() {
            return false;
        }
        others.sort_unstable_by(f64::total_cmp);
        let middle = others.len() / 2;
        let median = if others.len().is_multiple_of(2) {
            f64::midpoint(others[middle - 1], others[middle])
        } else {
            others[middle]
        };
        best > median
    }

    /// Whether the newest report reached a rung and is not among the best there.
    fn halved(&self, first: u64, last: u64, factor: u64, same: impl Fn(u64) -> bool) -> bool {
        let Some(((step, value), before)) = self.reports.split_last() else { return false };
        let reached = before.last().map_or(0, |(step, _)| *step);
        let mut rung = first;
        while rung <= *step && rung <= last {
            if rung > reached && self.worse_at(rung, self.loss(*value), factor, &same) {
                return true;
            }
            match rung.checked_mul(factor) {
                Some(next) => rung = next,
                None => return false,
            }
        }
        false
    }

    fn worse_at(&self, rung: u64, own: f64, factor: u64, same: &impl Fn(u64) -> bool) -> bool {
        if own.is_nan() {
            return true;
        }
        // What the others reported first at the rung or beyond.
        let mut losses: Vec<f64> = self
            .past
            .iter()
            .filter(|trial| same(trial.number))
            .filter_map(|trial| trial.reports.iter().find(|(at, _)| *at >= rung))
            .map(|(_, value)| self.loss(*value))
            .filter(|loss| !loss.is_nan())
            .collect();
        losses.push(own);
        losses.sort_unstable_by(f64::total_cmp);
        let kept = (losses.len() / usize::try_from(factor).unwrap_or(usize::MAX)).max(1);
        own > losses[kept - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_take_about_the_same_number_of_steps() {
        let pruner = Pruner::Hyperband { min_step: 1, max_step: 9, factor: 3 };
        let mut trials = [0; 3];
        (0..2200).for_each(|trial| trials[usize::try_from(pruner.bracket(trial)).unwrap()] += 1);
        // Shares of 9, 5 and 3.
        assert!(trials[0] > trials[1] && trials[1] > trials[2], "{trials:?}");
        assert!((1060..1270).contains(&trials[0]), "{trials:?}");
    }

    #[test]
    fn rungs_between_reports_count() {
        let past = |number, value| Record::finished(number, vec![(5, value), (10, value)]);
        let past = [past(0, 3.0), past(1, 2.0), past(2, 1.0)];
        let pruner = Pruner::SuccessiveHalving { min_step: 3, factor: 2 };
        let ends = |value| {
            let reports = [(5, value)];
            let direction = Direction::Minimize;
            pruner.ends(&Running { number: 3, reports: &reports, past: &past, direction })
        };
        assert!(ends(2.5) && !ends(0.5), "step 3 is passed at step 5");
    }

    #[test]
    fn the_median_is_of_the_same_step() {
        let past: Vec<Record> =
            (0..3).map(|n| Record::finished(n, vec![(1, float_of(n)), (2, 0.0)])).collect();
        let pruner = Pruner::Median { startup: 3, warmup: 0 };
        let ends = |value: f64| {
            let reports = [(1, value)];
            let direction = Direction::Maximize;
            pruner.ends(&Running { number: 3, reports: &reports, past: &past, direction })
        };
        assert!(ends(0.9) && !ends(1.0));
        let late = Pruner::Median { startup: 4, warmup: 0 };
        let reports = [(1, -9.0)];
        let direction = Direction::Maximize;
        assert!(!late.ends(&Running { number: 3, reports: &reports, past: &past, direction }));
    }
}
