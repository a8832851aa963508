//! What a training run says while it runs, and who listens.
//!
//! The loop emits [`Event`]s; [`Consumer`]s do the rest: [`ProgressBar`], [`LiveChart`],
//! [`EarlyStopping`], a tracker, or anything of your own.

use std::time::{Duration, Instant};

use oxilab_display::Render as _;
use oxilab_runtime::display::Display;
use oxilab_runtime::progress::Progress;

use crate::error::{NnError, Result};
use crate::history::History;
use crate::memory::Memory;

/// Why a run ended.
///
/// ```
/// use oxilab_nn::{Consumer, Event, Flow, History, StopReason, error::Result};
///
/// /// Tells whether a run was ended by hand.
/// struct ByHand(bool);
///
/// impl Consumer for ByHand {
///     fn on_event(&mut self, event: &Event, _: &History) -> Result<Flow> {
///         if let Event::Ended { reason } = event {
///             self.0 = *reason == StopReason::Interrupted;
///         }
///         Ok(Flow::Continue)
///     }
/// }
///
/// let mut listener = ByHand(false);
/// listener.on_event(&Event::Ended { reason: StopReason::Interrupted }, &History::default())?;
/// assert!(listener.0);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// All epochs are done.
    Finished,
    /// A consumer, for example [`EarlyStopping`], asked for it.
    Stopped,
    /// The user interrupted it.
    Interrupted,
    /// An error ended it.
    Failed,
}

/// Something that happened in a run. Epochs and steps count from 1.
///
/// ```
/// use oxilab_nn::{Event, Memory};
///
/// /// A line for a log.
/// fn line(event: &Event) -> Option<String> {
///     match event {
///         Event::Started { steps, memory, .. } => {
///             Some(format!("{steps} steps, {} bytes", memory.total()))
///         }
///         Event::Step { step, loss, .. } => Some(format!("step {step}: {loss:.3}")),
///         Event::EpochEnded { epoch, metrics } => Some(format!("epoch {epoch}: {metrics:?}")),
///         _ => None,
///     }
/// }
///
/// let step = Event::Step { epoch: 1, step: 7, loss: 0.25, learning_rate: 1e-3, grad_norm: 0.5 };
/// assert_eq!(line(&step).as_deref(), Some("step 7: 0.250"));
/// let memory = Memory { parameters: 400, ..Memory::default() };
/// let start = Event::Started { epochs: 1, steps: 9, parameters: 100, memory };
/// assert_eq!(line(&start).as_deref(), Some("9 steps, 400 bytes"));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The run starts.
    Started {
        /// Epochs to run, those done before a resume included.
        epochs: usize,
        /// Optimiser steps in all.
        steps: usize,
        /// Trainable parameters.
        parameters: usize,
        /// An estimate of the memory that the run takes.
        memory: Memory,
    },
    /// An optimiser step is done.
    Step {
        /// The epoch.
        epoch: usize,
        /// Optimiser steps so far.
        step: usize,
        /// Mean loss of the step's batches.
        loss: f64,
        /// The learning rate used.
        learning_rate: f64,
        /// The gradient's norm before clipping.
        grad_norm: f64,
    },
    /// The validation rows have been evaluated. The history has the metrics; where this ends an epoch,
    /// they are among those of [`Event::EpochEnded`] as well, so that a log needs one of the two.
    Evaluated {
        /// The epoch.
        epoch: usize,
        /// Optimiser steps so far.
        step: usize,
        /// Name and value, for example `valid_loss`.
        metrics: Vec<(String, f64)>,
    },
    /// An epoch is done.
    EpochEnded {
        /// The epoch.
        epoch: usize,
        /// Name and value, `train_loss` first.
        metrics: Vec<(String, f64)>,
    },
    /// A checkpoint is on disk.
    Saved {
        /// Its folder.
        path: std::path::PathBuf,
    },
    /// The run is over.
    Ended {
        /// Why.
        reason: StopReason,
    },
}

/// Whether a run goes on.
///
/// ```
/// use oxilab_nn::{Consumer, EarlyStopping, EpochRecord, Event, Flow, History};
/// let mut history = History::default();
/// let mut stopping = EarlyStopping::new(1);
/// let mut ended = Vec::new();
/// for (epoch, loss) in [(1, 0.5), (2, 0.4), (3, 0.6)] {
///     let metrics = vec![("valid_loss".to_owned(), loss)];
///     let record = metrics.iter().cloned().collect();
///     history.push_epoch(EpochRecord { epoch, step: epoch, metrics: record });
///     ended.push(stopping.on_event(&Event::EpochEnded { epoch, metrics }, &history)?);
/// }
/// assert_eq!(ended, [Flow::Continue, Flow::Continue, Flow::Stop]);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// End the run after this event. Where that is a step, the model has the parameters (or their average)
    /// of this step; where it is an epoch's end, the best.
    Stop,
}

/// Listens to a run.
///
/// ```
/// use oxilab_nn::{Consumer, Event, Flow, History, error::Result};
///
/// /// Ends a run that is good enough.
/// struct GoodEnough(f64);
///
/// impl Consumer for GoodEnough {
///     fn on_event(&mut self, event: &Event, history: &History) -> Result<Flow> {
///         let done = history.last("train_loss").is_some_and(|loss| loss < self.0);
///         Ok(match event {
///             Event::EpochEnded { .. } if done => Flow::Stop,
///             _ => Flow::Continue,
///         })
///     }
/// }
/// ```
pub trait Consumer: Send {
    /// Called for every event in order, with the history up to it.
    ///
    /// # Errors
    /// An error ends the run.
    fn on_event(&mut self, event: &Event, history: &History) -> Result<Flow>;

    /// Whether it only shows the run; `quiet()` takes out these and leaves the others.
    fn is_display(&self) -> bool {
        false
    }
}

/// A progress bar with the latest loss, and what the last evaluation found.
///
/// ```
/// use oxilab_nn::{Loss, Mlp, Optimizer, ProgressBar, Trainer};
/// // A trainer has one unless it is quiet; here it is the only thing shown.
/// let net = Mlp::new(1, &[4], 1, 0)?;
/// let trainer = Trainer::new(net, Optimizer::adam(0.01), Loss::Mse);
/// let trainer = trainer.quiet().with_consumer(ProgressBar::default());
/// # drop(trainer);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Default)]
pub struct ProgressBar {
    bar: Option<Progress>,
    evaluated: String,
}

impl ProgressBar {
    /// What stands behind the bar.
    fn message(&self, epoch: usize, loss: f64) -> String {
        format!("epoch {epoch} · loss {loss:.4}{}", self.evaluated)
    }
}

impl Consumer for ProgressBar {
    fn on_event(&mut self, event: &Event, _history: &History) -> Result<Flow> {
        match event {
            Event::Started { steps, .. } => {
                self.bar = Some(Progress::new("training", Some(*steps as u64)));
                self.evaluated.clear();
            }
            Event::Evaluated { metrics, .. } => {
                let shown = metrics.iter().map(|(name, value)| format!(" · {name} {value:.4}"));
                self.evaluated = shown.collect();
            }
            Event::Step { step, loss, epoch, .. } => {
                if let Some(bar) = &self.bar {
                    bar.tell(*step as u64, self.message(*epoch, *loss));
                }
            }
            Event::Ended { .. } => self.bar = None,
            _ => {}
        }
        Ok(Flow::Continue)
    }

    fn is_display(&self) -> bool {
        true
    }
}

/// The history's chart of losses and metrics, updated in place at most once a second.
///
/// ```
/// use oxilab_nn::{LiveChart, Loss, Mlp, Optimizer, Trainer};
/// let net = Mlp::new(1, &[4], 1, 0)?;
/// let trainer = Trainer::new(net, Optimizer::adam(0.01), Loss::Mse);
/// let trainer = trainer.quiet().with_consumer(LiveChart::default());
/// # drop(trainer);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Default)]
pub struct LiveChart {
    shown: Option<Display>,
    drawn: Option<Instant>,
}

impl LiveChart {
    /// Whether an event changes what is shown, and enough time has passed.
    fn is_due(&self, event: &Event) -> bool {
        match event {
            Event::Step { .. } | Event::Evaluated { .. } => {
                self.drawn.is_none_or(|drawn| drawn.elapsed() > Duration::from_secs(1))
            }
            Event::Ended { .. } => true,
            _ => false,
        }
    }
}

impl Consumer for LiveChart {
    fn on_event(&mut self, event: &Event, history: &History) -> Result<Flow> {
        if self.is_due(event) && !history.is_empty() {
            let bundle = if matches!(event, Event::Ended { .. }) {
                history.render()
            } else {
                history.live()
            };
            match &self.shown {
                Some(shown) => shown.update(bundle),
                None => self.shown = Some(Display::show(bundle)),
            }
            self.drawn = Some(Instant::now());
        }
        Ok(Flow::Continue)
    }

    fn is_display(&self) -> bool {
        true
    }
}

/// Ends a run when a metric has not improved for some epochs in a row, as Keras and Lightning count them:
/// with a patience of 2 a loss that never moves ends the run after three epochs.
///
/// ```
/// use oxilab_nn::EarlyStopping;
/// let stopping = EarlyStopping::new(3).with_metric("valid_accuracy", true).with_min_delta(0.001);
/// # drop(stopping);
/// ```
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    metric: String,
    patience: usize,
    min_delta: f64,
    maximize: bool,
    best: Option<f64>,
    waited: usize,
}

impl EarlyStopping {
    /// Watches `valid_loss` for `patience` epochs.
    #[must_use]
    pub fn new(patience: usize) -> Self {
        let metric = "valid_loss".to_owned();
        Self { metric, patience, min_delta: 0.0, maximize: false, best: None, waited: 0 }
    }

    /// Watches another metric; `maximize` when more is better.
    #[must_use]
    pub fn with_metric(mut self, metric: impl Into<String>, maximize: bool) -> Self {
        self.metric = metric.into();
        self.maximize = maximize;
        self
    }

    /// What counts as an improvement.
    #[must_use]
    pub fn with_min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
        self
    }
}

impl Consumer for EarlyStopping {
    fn on_event(&mut self, event: &Event, history: &History) -> Result<Flow> {
        match event {
            // A run that is taken up again has waited before.
            Event::Started { .. } => {
                (self.best, self.waited) = (None, 0);
                history.metric(&self.metric).into_iter().for_each(|value| {
                    self.observe(value);
                });
                Ok(Flow::Continue)
            }
            Event::EpochEnded { metrics, .. } => {
                match metrics.iter().find(|(name, _)| *name == self.metric) {
                    Some((_, value)) => Ok(self.observe(*value)),
                    // It would wait for ever, and nobody would know.
                    None => Err(NnError::Watched {
                        metric: self.metric.clone(),
                        known: quoted(metrics.iter().map(|(name, _)| name.as_str())),
                        hint: no_validation(metrics.iter().map(|(name, _)| name.as_str())),
                    }),
                }
            }
            _ => Ok(Flow::Continue),
        }
    }
}

impl EarlyStopping {
    fn observe(&mut self, value: f64) -> Flow {
        let value = if self.maximize { -value } else { value };
        // A value that is no number is no best: nothing would ever be smaller.
        if !value.is_nan() && self.best.is_none_or(|best| value < best - self.min_delta) {
            self.best = Some(value);
            self.waited = 0;
            return Flow::Continue;
        }
        self.waited += 1;
        if self.waited >= self.patience { Flow::Stop } else { Flow::Continue }
    }
}

/// Names as an error lists them.
pub(crate) fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

/// What to do where the metrics of validation rows are not there.
pub(crate) fn no_validation<'a>(mut names: impl Iterator<Item = &'a str>) -> &'static str {
    if names.any(|name| name.starts_with("valid_")) {
        ""
    } else {
        "; add validation rows (`with_validation`; for an `SftTrainer` `with_evaluation`), or watch \
         \"train_loss\""
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bar_and_chart_show_an_evaluation() -> Result<()> {
        let history = History::default();
        let metrics = vec![("valid_loss".to_owned(), 0.25), ("valid_accuracy".to_owned(), 0.5)];
        let evaluated = Event::Evaluated { epoch: 1, step: 4, metrics };
        let mut bar = ProgressBar::default();
        assert_eq!(bar.message(1, 0.5), "epoch 1 · loss 0.5000");
        bar.on_event(&evaluated, &history)?;
        let said = bar.message(2, 0.5);
        assert_eq!(said, "epoch 2 · loss 0.5000 · valid_loss 0.2500 · valid_accuracy 0.5000");
        // Behind a long evaluation the chart need not wait for the next step, nor is it drawn too often.
        let mut chart = LiveChart::default();
        assert!(chart.is_due(&evaluated));
        chart.drawn = Some(Instant::now() + Duration::from_secs(3600));
        assert!(!chart.is_due(&evaluated));
        Ok(())
    }
}
