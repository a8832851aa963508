//! Supervised fine-tuning: the loop over conversations, for adapters and for all weights.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::Var;
use oxilab_display::Render as _;
use oxilab_nn::memory::Memory;
use oxilab_nn::optim::{self, Gradients};
use oxilab_nn::{
    Consumer, EpochRecord, Event, Flow, History, LiveChart, Mode, NnError, Optimizer, ProgressBar,
    Schedule, ScheduleState, StepRecord, StopReason,
};
use oxilab_runtime::{cancel, display};
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::examples::Example;
use super::lora::Lora;
use crate::error::{LlmError, Result};
use crate::llm::Llm;
use crate::model::Sequence;

/// What is trained.
#[derive(Clone, Debug)]
enum Method {
    Adapter(Lora),
    Full,
}

/// Fine-tunes a model on examples. On a quantised model with [`Lora`] this is QLoRA.
///
/// ```no_run
/// use oxilab_llm::{Example, Llm, Lora, SftTrainer, models};
/// let mut llm = Llm::load(models::smollm2()?)?;
/// let examples = Example::from_jsonl("data/pirate.jsonl")?;
/// let history = SftTrainer::new(Lora::new(8)).with_epochs(3).fit(&mut llm, &examples)?;
/// llm.save_adapter("adapter")?;
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
pub struct SftTrainer {
    method: Method,
    epochs: usize,
    batch_size: usize,
    accumulate: usize,
    learning_rate: f64,
    schedule: Option<Schedule>,
    warmup: f64,
    weight_decay: f64,
    clip_norm: f64,
    max_length: usize,
    packing: bool,
    recompute: bool,
    seed: u64,
    evaluation: Vec<Example>,
    checkpoints: Option<PathBuf>,
    consumers: Vec<Box<dyn Consumer>>,
    show_memory: bool,
}

impl SftTrainer {
    /// Trains adapters: three epochs, batches of four, AdamW at 2e-4 with a cosine schedule.
    #[must_use]
    pub fn new(lora: Lora) -> Self {
        Self::with_method(Method::Adapter(lora), 2e-4)
    }

    /// Trains all weights of an unquantised model, at 2e-5.
    #[must_use]
    pub fn full() -> Self {
        Self::with_method(Method::Full, 2e-5)
    }

    fn with_method(method: Method, learning_rate: f64) -> Self {
        Self {
            method,
            epochs: 3,
            batch_size: 4,
            accumulate: 1,
            learning_rate,
            schedule: None,
            warmup: 0.05,
            weight_decay: 0.0,
            clip_norm: 1.0,
            max_length: 1024,
            packing: false,
            recompute: false,
            seed: 0,
            evaluation: Vec::new(),
            checkpoints: None,
            consumers: vec![Box::new(ProgressBar::default()), Box::new(LiveChart::default())],
            show_memory: true,
        }
    }

    /// Sets the number of epochs.
    #[must_use]
    pub fn with_epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets the examples of a batch.
    #[must_use]
    pub fn with_batch_size(mut self, examples: usize) -> Self {
        self.batch_size = examples.max(1);
        self
    }

    /// Adds up the gradients of this many batches for one step.
    #[must_use]
    pub fn with_accumulation(mut self, batches: usize) -> Self {
        self.accumulate = batches.max(1);
        self
    }

    /// Sets AdamW's learning rate.
    #[must_use]
    pub fn with_learning_rate(mut self, rate: f64) -> Self {
        self.learning_rate = rate;
        self
    }

    /// Sets the share of steps that warm up, for the default cosine schedule.
    #[must_use]
    pub fn with_warmup(mut self, share: f64) -> Self {
        self.warmup = share;
        self
    }

    /// Sets another schedule.
    #[must_use]
    pub fn with_schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = Some(schedule);
        self
    }

    /// Sets the weight decay; none unless set.
    #[must_use]
    pub fn with_weight_decay(mut self, decay: f64) -> Self {
        self.weight_decay = decay;
        self
    }

    /// Sets the norm that gradients are scaled down to; 1 unless set.
    #[must_use]
    pub fn with_clip_norm(mut self, norm: f64) -> Self {
        self.clip_norm = norm;
        self
    }

    /// Cuts examples at this many tokens; 1024 unless set.
    #[must_use]
    pub fn with_max_length(mut self, tokens: usize) -> Self {
        self.max_length = tokens;
        self
    }

    /// Fills each batch with as many examples as fit into `max_length` tokens, instead of a fixed
    /// number. Examples never see each other, and there is no padding either way.
    #[must_use]
    pub fn with_packing(mut self) -> Self {
        self.packing = true;
        self
    }

    /// Keeps only the inputs of blocks and computes them again in the backward pass: less memory, about
    /// a third more time.
    #[must_use]
    pub fn with_gradient_checkpointing(mut self) -> Self {
        self.recompute = true;
        self
    }

    /// Sets the seed of order, initial values of adapters and dropout.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        if let Method::Adapter(lora) = &mut self.method {
            lora.seed = seed;
        }
        self
    }

    /// Measures `valid_loss` on these examples after each epoch.
    #[must_use]
    pub fn with_evaluation(mut self, examples: &[Example]) -> Self {
        self.evaluation = examples.to_vec();
        self
    }

    /// Writes the adapter to `folder/epoch-N` after each epoch.
    #[must_use]
    pub fn with_checkpoints(mut self, folder: impl Into<PathBuf>) -> Self {
        self.checkpoints = Some(folder.into());
        self
    }

    /// Adds a listener, for example [`oxilab_nn::EarlyStopping`] or a tracker's.
    #[must_use]
    pub fn with_consumer(mut self, consumer: impl Consumer + 'static) -> Self {
        self.consumers.push(Box::new(consumer));
        self
    }

    /// Trains without memory table, progress bar and chart.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.consumers.clear();
        self.show_memory = false;
        self
    }

    /// Trains the model. Adapters that it already has are trained on.
    ///
    /// # Errors
    /// When there are no examples, one has nothing to learn, the loss is not finite (the weights are
    /// those before the batch), or the user interrupts (the model keeps what it has learned).
    pub fn fit(mut self, llm: &mut Llm, examples: &[Example]) -> Result<History> {
        let max_length = self.max_length.min(llm.config().context);
        let tokenize = |examples: &[Example]| -> Result<Vec<Sequence>> {
            let rows = examples.iter().enumerate();
            rows.map(|(row, example)| example.tokenize(llm, row, max_length)).collect()
        };
        let (sequences, evaluation) = (tokenize(examples)?, tokenize(&self.evaluation)?);
        if sequences.is_empty() {
            return Err(LlmError::NoExamples);
        }
        let vars = self.prepare(llm)?;
        let longest =
            self.batches(&sequences, 0).iter().map(|batch| tokens(batch, &sequences)).max();
        let memory = self.memory(llm, &vars, longest.unwrap_or(0));
        if self.show_memory {
            display::show(memory.render());
        }
        let steps = self.batches(&sequences, 0).len().div_ceil(self.accumulate) * self.epochs;
        let parameters = vars.iter().map(|(_, var)| var.elem_count()).sum();
        let mut run = Run {
            vars,
            optimizer: Optimizer::adamw(self.learning_rate).with_weight_decay(self.weight_decay),
            history: History::default(),
            step: 0,
            steps,
        };
        self.emit(
            &Event::Started { epochs: self.epochs, steps, parameters, memory },
            &run.history,
        )?;
        let result = self.epochs(llm, &sequences, &evaluation, &mut run);
        // The cache holds keys and values of the old weights.
        llm.reset();
        let reason = match &result {
            Ok(reason) => *reason,
            Err(LlmError::Training(NnError::Interrupted { .. })) => StopReason::Interrupted,
            Err(_) => return result.map(|_| run.history),
        };
        self.emit(&Event::Ended { reason }, &run.history)?;
        result.map(|_| run.history)
    }

    fn prepare(&self, llm: &mut Llm) -> Result<Vec<(String, Var)>> {
        match &self.method {
            Method::Adapter(lora) => {
                if llm.lora.as_ref() != Some(lora) {
                    llm.add_adapter(lora)?;
                }
                Ok(llm.adapter_vars())
            }
            Method::Full => llm.make_trainable(),
        }
    }

    fn memory(&self, llm: &Llm, vars: &[(String, Var)], longest: usize) -> Memory {
        let config = llm.config();
        let parameters = 4 * vars.iter().map(|(_, var)| var.elem_count()).sum::<usize>();
        // Kept for each token in a block: about fourteen hidden and six feed-forward states, and three
        // times the scores of each head.
        let kept = longest * (14 * config.hidden + 6 * config.intermediate)
            + 3 * config.heads * longest * longest;
        let blocks = if self.recompute { 1 } else { config.layers };
        let inputs = if self.recompute { config.layers * longest * config.hidden } else { 0 };
        let logits = 2 * longest * config.vocabulary;
        let frozen = llm.model.bytes();
        Memory {
            frozen: if matches!(self.method, Method::Full) { 0 } else { frozen },
            parameters,
            gradients: parameters,
            optimizer: 2 * parameters,
            activations: 4 * (kept * blocks + inputs + logits),
        }
    }

    /// The batches of an epoch, as numbers of examples.
    fn batches(&self, sequences: &[Sequence], epoch: usize) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        let seed = self.seed ^ (epoch as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        order.shuffle(&mut StdRng::seed_from_u64(seed));
        if !self.packing {
            return order.chunks(self.batch_size).map(<[usize]>::to_vec).collect();
        }
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut filled = usize::MAX;
        for row in order {
            let length = sequences[row].tokens.len();
            match batches.last_mut() {
                Some(batch) if filled.saturating_add(length) <= self.max_length => {
                    batch.push(row);
                    filled += length;
                }
                _ => {
                    batches.push(vec![row]);
                    filled = length;
                }
            }
        }
        batches
    }

    fn epochs(
        &mut self,
        llm: &Llm,
        sequences: &[Sequence],
        evaluation: &[Sequence],
        run: &mut Run,
    ) -> Result<StopReason> {
        for epoch in 1..=self.epochs {
            let train_loss = self.epoch(llm, sequences, run, epoch)?;
            let mut metrics = vec![("train_loss".to_owned(), train_loss)];
            if !evaluation.is_empty() {
                metrics
                    .push(("valid_loss".to_owned(), evaluate(llm, evaluation, self.batch_size)?));
            }
            let record = metrics.iter().cloned().collect::<BTreeMap<_, _>>();
            run.history.push_epoch(EpochRecord { epoch, step: run.step, metrics: record });
            if let (Some(folder), Method::Adapter(_)) = (&self.checkpoints, &self.method) {
                let path = folder.join(format!("epoch-{epoch}"));
                llm.save_adapter(&path)?;
                self.emit(&Event::Saved { path }, &run.history)?;
            }
            if self.emit(&Event::EpochEnded { epoch, metrics }, &run.history)? == Flow::Stop {
                return Ok(StopReason::Stopped);
            }
        }
        Ok(StopReason::Finished)
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn epoch(
        &mut self,
        llm: &Llm,
        sequences: &[Sequence],
        run: &mut Run,
        epoch: usize,
    ) -> Result<f64> {
        let (mut epoch_sum, mut epoch_count) = (0.0, 0usize);
        let batches = self.batches(sequences, epoch);
        let mut number = 0;
        for group in batches.chunks(self.accumulate) {
            let mut grads = Gradients::new();
            let (mut sum, mut count) = (0.0, 0usize);
            for rows in group {
                number += 1;
                if cancel::requested() {
                    return Err(NnError::Interrupted { epoch, step: run.step }.into());
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
            self.step(run, &grads, epoch, sum / count.max(1) as f64, norm)?;
            epoch_sum += sum;
            epoch_count += count;
        }
        Ok(epoch_sum / epoch_count.max(1) as f64)
    }

    fn step(
        &mut self,
        run: &mut Run,
        grads: &Gradients,
        epoch: usize,
        loss: f64,
        grad_norm: f64,
    ) -> Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share")]
        let warmup = (run.steps as f64 * self.warmup.clamp(0.0, 1.0)) as usize;
        let schedule = self.schedule.unwrap_or(Schedule::Cosine { warmup });
        let factor = schedule.factor(&ScheduleState::default(), run.step, run.steps, epoch - 1);
        let learning_rate = self.learning_rate * factor;
        run.optimizer.step(&run.vars, grads, learning_rate)?;
        run.step += 1;
        let step = run.step;
        run.history.push_step(StepRecord { step, loss, learning_rate, grad_norm });
        let event = Event::Step { epoch, step, loss, learning_rate, grad_norm };
        self.emit(&event, &run.history)?;
        Ok(())
    }

    fn emit(&mut self, event: &Event, history: &History) -> Result<Flow> {
        let mut flow = Flow::Continue;
        for consumer in &mut self.consumers {
            if consumer.on_event(event, history)? == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        Ok(flow)
    }
}

struct Run {
    vars: Vec<(String, Var)>,
    optimizer: Optimizer,
    history: History,
    step: usize,
    steps: usize,
}

fn tokens(batch: &[usize], sequences: &[Sequence]) -> usize {
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
    NnError::NotFinite { what, value, epoch, batch, rows: rows.join(", ") }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn evaluate(llm: &Llm, sequences: &[Sequence], batch_size: usize) -> Result<f64> {
    let (mut sum, mut count) = (0.0, 0);
    for batch in sequences.chunks(batch_size) {
        let batch: Vec<&Sequence> = batch.iter().collect();
        let (loss, learned) = llm.model.evaluate(&batch)?;
        sum += loss;
        count += learned;
    }
    Ok(sum / f64::max(count as f64, 1.0))
}
