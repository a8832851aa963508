//! Running trials: [`Study`], [`Trial`].

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::bar::Bar;
use serde::{Deserialize, Serialize};

use super::prune::{Pruner, Running};
use super::space::{Space, Value};
use super::storage::Storage;
use super::{sample, tpe};
use crate::error::{ModelError, Result, check_interrupt};
use crate::rng::Rng;

/// Trials before TPE learns from them, as in Optuna.
const STARTUP: usize = 10;

/// Whether more is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Higher is better.
    #[default]
    Maximize,
    /// Lower is better.
    Minimize,
}

/// How values are proposed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampler {
    /// Ten trials spread evenly, then around the best ones (tree-structured Parzen estimator).
    #[default]
    Tpe,
    /// Evenly at random.
    Random,
    /// All combinations of this many values per number, and all choices.
    Grid(usize),
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// With a value.
    Complete,
    /// Early, as worse than others; its value is the last report.
    Pruned,
    /// With an error.
    Failed,
}

/// A finished trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Record {
    /// Its number, from 0.
    pub number: u64,
    /// Its parameters.
    pub params: Vec<(String, Value)>,
    /// The objective's value.
    pub value: Option<f64>,
    /// How it ended.
    pub state: State,
    /// Values reported on the way.
    pub reports: Vec<(u64, f64)>,
    /// How long it took.
    pub seconds: f64,
}

macro_rules! lookups {
    () => {
        /// The value of a number.
        ///
        /// # Errors
        /// If the space has no such number.
        pub fn float(&self, name: &str) -> Result<f64> {
            match self.lookup(name)? {
                Value::Float(value) => Ok(*value),
                other => Err(wrong_kind(name, other, "int` or `choice")),
            }
        }

        /// The value of a whole number.
        ///
        /// # Errors
        /// If the space has no such whole number.
        pub fn int(&self, name: &str) -> Result<i64> {
            match self.lookup(name)? {
                Value::Int(value) => Ok(*value),
                other => Err(wrong_kind(name, other, "float` or `choice")),
            }
        }

        /// The value of a whole number, as a count.
        ///
        /// # Errors
        /// If the space has no such whole number, or it is negative.
        pub fn usize(&self, name: &str) -> Result<usize> {
            let value = self.int(name)?;
            usize::try_from(value).map_err(|_| {
                ModelError::data(format!("parameter `{name}` is {value}"), "give it a range from 0")
            })
        }

        /// The chosen text.
        ///
        /// # Errors
        /// If the space has no such choice.
        pub fn choice(&self, name: &str) -> Result<&str> {
            match self.lookup(name)? {
                Value::Text(value) => Ok(value),
                other => Err(wrong_kind(name, other, "float` or `int")),
            }
        }

        fn lookup(&self, name: &str) -> Result<&Value> {
            let found = self.params.iter().find(|(other, _)| other == name);
            found.map(|(_, value)| value).ok_or_else(|| {
                let names = crate::target::list(self.params.iter().map(|(name, _)| name.as_str()));
                ModelError::data(
                    format!("the space has no parameter `{name}`, it has {names}"),
                    "check the spelling, or add it to the space",
                )
            })
        }
    };
}

fn wrong_kind(name: &str, value: &Value, verbs: &str) -> ModelError {
    ModelError::data(
        format!("parameter `{name}` is {value}, of another kind"),
        format!("use `{verbs}`"),
    )
}

impl Record {
    lookups!();

    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    #[cfg(test)]
    pub(super) fn finished(number: u64, reports: Vec<(u64, f64)>) -> Self {
        let value = reports.last().map(|(_, value)| *value);
        Self { number, params: Vec::new(), value, state: State::Complete, reports, seconds: 0.0 }
    }
}

/// A running trial: its parameters, and reports on the way.
pub struct Trial<'a> {
    number: u64,
    params: Vec<(String, Value)>,
    reports: Vec<(u64, f64)>,
    pruner: Pruner,
    direction: Direction,
    past: &'a [Record],
}

impl Trial<'_> {
    /// Its number, from 0.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// All parameters.
    #[must_use]
    pub fn params(&self) -> &[(String, Value)] {
        &self.params
    }

    lookups!();

    /// Reports a value on the way, for example after an epoch or a fold. With a [`Pruner`], the error
    /// [`ModelError::Pruned`] says that the trial should end: pass it on with `?`.
    ///
    /// # Errors
    /// [`ModelError::Pruned`] if the trial is worse than others at this step.
    pub fn report(&mut self, step: u64, value: f64) -> Result<()> {
        check_interrupt()?;
        self.reports.push((step, value));
        let (number, reports) = (self.number, self.reports.as_slice());
        let running = Running { number, reports, past: self.past, direction: self.direction };
        if self.pruner.ends(&running) { Err(ModelError::Pruned { step }) } else { Ok(()) }
    }
}

/// A search for the best parameters.
///
/// ```
/// use oxilab_model::{Direction, Sampler, Space, Study};
/// let space = Space::new().float("x", -3.0, 3.0).int("n", 1, 4);
/// let mut study = Study::new("example").with_direction(Direction::Minimize).with_seed(1);
/// study.optimize(&space, 30, |trial| Ok(trial.float("x")?.powi(2) + trial.int("n")? as f64))?;
/// assert!(study.best_value().unwrap() < 1.5);
/// # Ok::<(), oxilab_model::ModelError>(())
/// ```
#[derive(Debug)]
pub struct Study {
    pub(super) name: String,
    pub(super) direction: Direction,
    sampler: Sampler,
    pruner: Pruner,
    seed: u64,
    path: Option<PathBuf>,
    pub(super) trials: Vec<Record>,
    loaded: bool,
}

impl Study {
    /// A study that maximises by TPE and keeps its trials in memory.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            direction: Direction::Maximize,
            sampler: Sampler::Tpe,
            pruner: Pruner::Never,
            seed: 0,
            path: None,
            trials: Vec::new(),
            loaded: false,
        }
    }

    /// Whether more is better (yes).
    #[must_use]
    pub fn with_direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// How values are proposed (TPE).
    #[must_use]
    pub fn with_sampler(mut self, sampler: Sampler) -> Self {
        self.sampler = sampler;
        self
    }

    /// Which trials end early (none).
    #[must_use]
    pub fn with_pruner(mut self, pruner: Pruner) -> Self {
        self.pruner = pruner;
        self
    }

    /// The seed (0).
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Keeps trials in a SQLite file. A study of this name that is there goes on: its trials count.
    #[must_use]
    pub fn with_storage(mut self, path: impl AsRef<Path>) -> Self {
        self.path = Some(path.as_ref().to_owned());
        self.loaded = false;
        self
    }

    /// Runs trials until the study has `trials` of them, those of earlier sessions included. A trial
    /// that fails is recorded and its error returned; pruned ones count. A grid ends with its last
    /// combination. After an interrupt, finished trials are kept.
    ///
    /// # Errors
    /// If the space is empty, the storage cannot be used or holds the study with another space, or the
    /// objective fails or returns NaN.
    pub fn optimize(
        &mut self,
        space: &Space,
        trials: usize,
        mut objective: impl FnMut(&mut Trial<'_>) -> Result<f64>,
    ) -> Result<()> {
        space.check()?;
        self.pruner.check()?;
        let storage = match &self.path {
            Some(path) => Some(Storage::open(path, &self.name, self.direction, space)?),
            None => None,
        };
        if let Some(storage) = storage.as_ref().filter(|_| !self.loaded) {
            self.trials = storage.load()?;
            self.loaded = true;
        }
        let bar = Bar::new(format!("study {}", self.name), trials);
        bar.set(self.trials.len());
        while self.trials.len() < trials {
            check_interrupt()?;
            let Some(params) = self.propose(space) else { break };
            let number = self.trials.len() as u64;
            let mut trial = Trial {
                number,
                params,
                reports: Vec::new(),
                pruner: self.pruner,
                direction: self.direction,
                past: &self.trials,
            };
            let start = Instant::now();
            let result = objective(&mut trial);
            let seconds = start.elapsed().as_secs_f64();
            let (params, reports) = (trial.params, trial.reports);
            let (state, value, error) = match result {
                Ok(value) if value.is_nan() => {
                    let message =
                        "the objective returned NaN; return an error or a number".to_owned();
                    (State::Failed, None, Some(ModelError::Trial { trial: number, message }))
                }
                Ok(value) => (State::Complete, Some(value), None),
                Err(ModelError::Interrupted) => return Err(ModelError::Interrupted),
                Err(ModelError::Pruned { .. }) => {
                    (State::Pruned, reports.last().map(|(_, value)| *value), None)
                }
                Err(error) => {
                    let message = error.to_string();
                    (State::Failed, None, Some(ModelError::Trial { trial: number, message }))
                }
            };
            let record = Record { number, params, value, state, reports, seconds };
            if let Some(storage) = &storage {
                storage.save(&record)?;
            }
            self.trials.push(record);
            if let Some(error) = error {
                return Err(error);
            }
            if let Some(best) = self.best_value() {
                bar.message(format!("best {}", crate::evaluate::figure(best)));
            }
            bar.step();
        }
        Ok(())
    }

    fn propose(&self, space: &Space) -> Option<Vec<(String, Value)>> {
        let number = self.trials.len();
        let mut rng = Rng::part(self.seed, number as u64);
        match self.sampler {
            Sampler::Grid(points) => return sample::grid(space, points, number),
            Sampler::Random => return Some(sample::random(space, &mut rng)),
            Sampler::Tpe if number < STARTUP => {
                return Some(sample::spread(space, self.seed, number, STARTUP, &mut rng));
            }
            Sampler::Tpe => {}
        }
        let bracket = self.pruner.bracket(number as u64);
        let finished: Vec<&Record> = self
            .trials
            .iter()
            .filter(|trial| trial.state != State::Failed && trial.value.is_some())
            .filter(|trial| self.pruner.bracket(trial.number) == bracket)
            .collect();
        if finished.len() < STARTUP {
            return Some(sample::random(space, &mut rng));
        }
        let params: Vec<&[(String, Value)]> =
            finished.iter().map(|trial| trial.params.as_slice()).collect();
        let mut order: Vec<usize> = (0..finished.len()).collect();
        order.sort_by(|a, b| {
            self.rank(finished[*a]).partial_cmp(&self.rank(finished[*b])).unwrap_or(Ordering::Equal)
        });
        Some(tpe::propose(space, &params, &order, &mut rng))
    }

    /// Smaller is better: complete trials before pruned ones, of those the longer ones first.
    fn rank(&self, trial: &Record) -> (u64, f64) {
        let reached = trial.reports.last().map_or(0, |(step, _)| *step);
        let group = if trial.is_complete() { 0 } else { u64::MAX - reached };
        (group, self.loss(trial))
    }

    fn loss(&self, trial: &Record) -> f64 {
        let value = trial.value.unwrap_or(f64::NAN);
        if self.direction == Direction::Maximize { -value } else { value }
    }

    /// All trials, in order.
    #[must_use]
    pub fn trials(&self) -> &[Record] {
        &self.trials
    }

    /// The complete trial with the best value.
    #[must_use]
    pub fn best(&self) -> Option<&Record> {
        let complete = self.trials.iter().filter(|trial| trial.is_complete());
        complete.min_by(|a, b| self.loss(a).total_cmp(&self.loss(b)))
    }

    /// The best value.
    #[must_use]
    pub fn best_value(&self) -> Option<f64> {
        self.best().and_then(|trial| trial.value)
    }
}
