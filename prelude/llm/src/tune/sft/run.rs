//! The loop over epochs, batches and steps.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use oxilab_display::Render as _;
use oxilab_display::table::{Heading, Table};
use oxilab_nn::memory::{megabytes, peak_resident};
use oxilab_nn::optim::{self, Gradients};
use oxilab_nn::{
    Consumer, EpochRecord, Event, Flow, History, Mode, NnError, Optimizer, Schedule, ScheduleState,
    StepRecord, StopReason,
};
use oxilab_runtime::cancel;
use oxilab_runtime::display::Display;
use serde::{Deserialize, Serialize};

use super::SftTrainer;
use crate::error::{LlmError, Result};
use crate::llm::Llm;
use crate::model::Sequence;

impl SftTrainer {
    pub(super) fn epochs(
        &mut self,
        llm: &Llm,
        sequences: &[Sequence],
        evaluation: &[Sequence],
        run: &mut Run,
    ) -> Result<StopReason> {
        let held = self.show_memory.then(|| Display::show(held_now(0).render()));
        for epoch in run.place.epoch + 1..=self.epochs {
            if self.flow == Flow::Stop {
                break;
            }
            let train_loss = self.epoch(llm, sequences, run, epoch)?;
            if self.flow == Flow::Stop {
                break;
            }
            let mut metrics = vec![("train_loss".to_owned(), train_loss)];
            if !evaluation.is_empty() {
                let place = (epoch, run.place.step);
                let loss = evaluate(llm, evaluation, self.batch_size, place)?;
                metrics.push(("valid_loss".to_owned(), loss));
                if self.patience.is_some() {
                    run.keep_best(loss)?;
                }
            }
            let watched = metrics.last().map_or(train_loss, |(_, loss)| *loss);
            self.schedule(run).observe(&mut run.schedule, watched);
            let record = metrics.iter().cloned().collect::<BTreeMap<_, _>>();
            let step = run.place.step;
            run.history.push_epoch(EpochRecord { epoch, step, metrics: record });
            (run.place, run.loss) = (Place { epoch, step, ..Place::default() }, 0.0);
            if !evaluation.is_empty() {
                let metrics = metrics[1..].to_vec();
                self.emit(&Event::Evaluated { epoch, step, metrics }, &run.history)?;
            }
            if self.save_steps.is_none() {
                self.save(llm, &format!("epoch-{epoch}"), run)?;
            }
            if let Some(held) = &held {
                held.update(held_now(epoch).render());
            }
            self.emit(&Event::EpochEnded { epoch, metrics }, &run.history)?;
        }
        // A run ends with a checkpoint, also where its steps were not a multiple of those between two.
        self.save_place(llm, run)?;
        Ok(match self.flow {
            Flow::Continue => StopReason::Finished,
            Flow::Stop => StopReason::Stopped,
        })
    }

    /// Trains on the rest of an epoch, or until a listener asks for the end. Returns its mean loss.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn epoch(
        &mut self,
        llm: &Llm,
        sequences: &[Sequence],
        run: &mut Run,
        epoch: usize,
    ) -> Result<f64> {
        let batches = self.batches(sequences, epoch);
        let mut number = run.place.steps_of_epoch * self.accumulate;
        for group in batches.chunks(self.accumulate).skip(run.place.steps_of_epoch) {
            let mut grads = Gradients::new();
            let (mut sum, mut count) = (0.0, 0usize);
            for rows in group {
                number += 1;
                if cancel::requested() {
                    return Err(NnError::Interrupted { epoch, step: run.place.step }.into());
                }
                let batch: Vec<&Sequence> = rows.iter().map(|row| &sequences[*row]).collect();
                let seed = self.seed.wrapping_add(((epoch as u64) << 32) + number as u64);
                let (loss, learned) = llm.model.backward(
                    &batch,
                    &run.vars,
                    &mut grads,
                    Mode::train(seed),
                    self.recompute,
                )?;
                if !loss.is_finite() {
                    return Err(not_finite("the loss", loss, epoch, number, rows).into());
                }
                sum += loss;
                count += learned;
            }
            // Every learned token of a step counts the same.
            optim::scale(&mut grads, 1.0 / count.max(1) as f64);
            let norm = optim::norm(&grads);
            if !norm.is_finite() {
                let rows = group.concat();
                return Err(not_finite("the gradient's norm", norm, epoch, number, &rows).into());
            }
            if norm > self.clip_norm {
                optim::scale(&mut grads, self.clip_norm / norm);
            }
            self.step(run, &grads, epoch, (sum, count), norm)?;
            if self.save_steps.is_some_and(|n| run.place.step.is_multiple_of(n)) {
                self.save(llm, &format!("step-{}", run.place.step), run)?;
            }
            if self.flow == Flow::Stop {
                break;
            }
        }
        Ok(run.loss / run.place.learned.max(1) as f64)
    }

    /// The losses of `count` tokens have that sum.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn step(
        &mut self,
        run: &mut Run,
        grads: &Gradients,
        epoch: usize,
        (sum, count): (f64, usize),
        grad_norm: f64,
    ) -> Result<()> {
        let schedule = self.schedule(run);
        let factor = schedule.factor(&run.schedule, run.place.step, run.steps, epoch - 1);
        let learning_rate = self.learning_rate * factor;
        run.keep()?;
        run.optimizer.step(&run.vars, grads, learning_rate)?;
        run.place.step += 1;
        run.place.steps_of_epoch += 1;
        run.place.learned += count;
        run.loss += sum;
        let (step, loss) = (run.place.step, sum / count.max(1) as f64);
        run.history.push_step(StepRecord { step, loss, learning_rate, grad_norm });
        let event = Event::Step { epoch, step, loss, learning_rate, grad_norm };
        if step.is_multiple_of(self.logging_steps) || step == run.steps {
            self.emit(&event, &run.history)?;
        }
        Ok(())
    }

    fn schedule(&self, run: &Run) -> Schedule {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
        let warmup = (run.steps as f64 * self.warmup) as usize;
        self.schedule.unwrap_or(Schedule::Cosine { warmup })
    }

    /// Writes `step-N` where the run is left, unless there is a checkpoint of this step.
    pub(super) fn save_place(&mut self, llm: &Llm, run: &mut Run) -> Result<()> {
        if run.place.step == run.saved {
            return Ok(());
        }
        self.save(llm, &format!("step-{}", run.place.step), run)
    }

    fn save(&mut self, llm: &Llm, name: &str, run: &mut Run) -> Result<()> {
        let Some(folder) = &self.checkpoints else { return Ok(()) };
        let path = folder.join(name);
        self.write_checkpoint(llm, &path, run)?;
        run.saved = run.place.step;
        self.emit(&Event::Saved { path }, &run.history)
    }

    /// Tells the listeners, each of which may ask for the end.
    pub(super) fn emit(&mut self, event: &Event, history: &History) -> Result<()> {
        self.observed.event(event);
        let early = self.early.iter_mut().map(|early| early as &mut dyn Consumer);
        let others = self.consumers.iter_mut().map(|consumer| &mut **consumer as &mut dyn Consumer);
        for consumer in early.chain(others) {
            // A listener that was written in a cell has polls, and the run ends in good order.
            let told = cancel::catch(|| consumer.on_event(event, history));
            if told.map_err(|_| interrupted(event, history))?? == Flow::Stop {
                self.flow = Flow::Stop;
            }
        }
        Ok(())
    }
}

/// The error of a run that the user interrupts while this is told.
fn interrupted(event: &Event, history: &History) -> NnError {
    let epoch = match event {
        Event::Step { epoch, .. }
        | Event::Evaluated { epoch, .. }
        | Event::EpochEnded { epoch, .. } => *epoch,
        _ => 0,
    };
    NnError::Interrupted { epoch, step: history.steps().last().map_or(0, |step| step.step) }
}

/// What the process holds, shown beside the estimate while training runs.
fn held_now(epoch: usize) -> Table {
    let mut table = Table::new(vec![Heading::new("memory held"), Heading::new("MB").numeric()]);
    let shown = |bytes: Option<usize>| Some(bytes.map_or_else(|| "unknown".to_owned(), megabytes));
    let when = if epoch == 0 { "at the start".to_owned() } else { format!("after epoch {epoch}") };
    table.push(vec![Some(when), shown(resident())]);
    table.push(vec![Some("most so far".to_owned()), shown(peak_resident())]);
    table
}

/// What this process holds now, in bytes.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kib| kib * 1024)
}

/// How far a run is; with the seed, all that is random follows from it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Place {
    /// Epochs done.
    pub(super) epoch: usize,
    /// Optimiser steps done in all.
    pub(super) step: usize,
    /// Those of the epoch at hand.
    pub(super) steps_of_epoch: usize,
    /// Tokens that were learned in it.
    pub(super) learned: usize,
}

pub(super) struct Run {
    pub(super) vars: Vec<(String, Var)>,
    pub(super) optimizer: Optimizer,
    pub(super) schedule: ScheduleState,
    pub(super) history: History,
    pub(super) place: Place,
    /// The step of the newest checkpoint.
    pub(super) saved: usize,
    /// Steps in all epochs.
    pub(super) steps: usize,
    /// The sum of the losses of the tokens that were learned in the epoch at hand.
    pub(super) loss: f64,
    /// What another run must have in common with this one to go on with it.
    pub(super) settings: BTreeMap<String, String>,
    /// What is trained, as it was before the last step, with which the loss was still a number.
    pub(super) good: Vec<Tensor>,
    /// The least loss on the evaluation's examples and the weights that had it, for early stopping.
    pub(super) best: Option<(f64, Vec<Tensor>)>,
}

impl Run {
    /// Keeps what is trained as it is before a step.
    fn keep(&mut self) -> Result<()> {
        // The older copy makes room for the new one first.
        self.good = Vec::new();
        self.good = self.copies()?;
        Ok(())
    }

    fn keep_best(&mut self, loss: f64) -> Result<()> {
        if !loss.is_nan() && self.best.as_ref().is_none_or(|(best, _)| loss < *best) {
            self.best = Some((loss, self.copies()?));
        }
        Ok(())
    }

    fn copies(&self) -> Result<Vec<Tensor>> {
        // `copy` shares the memory on Metal.
        let copies = self.vars.iter().map(|(_, var)| var.as_detached_tensor().force_contiguous());
        Ok(copies.collect::<candle_core::Result<_>>()?)
    }

    pub(super) fn restore_good(&self) -> Result<()> {
        self.set(&self.good)
    }

    pub(super) fn restore_best(&self) -> Result<()> {
        self.best.as_ref().map_or(Ok(()), |(_, best)| self.set(best))
    }

    pub(super) fn set(&self, tensors: &[Tensor]) -> Result<()> {
        for ((_, var), tensor) in self.vars.iter().zip(tensors) {
            var.set(tensor)?;
        }
        Ok(())
    }
}

/// Whether the user has ended a run.
pub(super) fn is_interrupt(error: &LlmError) -> bool {
    matches!(error, LlmError::Training(NnError::Interrupted { .. }))
}

pub(super) fn tokens(batch: &[usize], sequences: &[Sequence]) -> usize {
    batch.iter().map(|row| sequences[*row].tokens.len()).sum()
}

fn not_finite(
    what: &'static str,
    value: f64,
    epoch: usize,
    batch: usize,
    rows: &[usize],
) -> NnError {
    let rows: Vec<String> = rows.iter().map(usize::to_string).collect();
    let kept = "those with which the loss was last finite";
    NnError::NotFinite { what, value, epoch, batch, rows: rows.join(", "), kept }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn evaluate(
    llm: &Llm,
    sequences: &[Sequence],
    batch_size: usize,
    (epoch, step): (usize, usize),
) -> Result<f64> {
    let (mut sum, mut count) = (0.0, 0);
    for batch in sequences.chunks(batch_size) {
        if cancel::requested() {
            return Err(NnError::Interrupted { epoch, step }.into());
        }
        let batch: Vec<&Sequence> = batch.iter().collect();
        let (loss, learned) = llm.model.evaluate(&batch)?;
        sum += loss;
        count += learned;
    }
    Ok(sum / f64::max(count as f64, 1.0))
}
