//! Supervised fine-tuning: the loop over conversations, for adapters and for all weights.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

use candle_core::Var;
use oxilab_display::Render as _;
use oxilab_nn::{
    Consumer, EarlyStopping, Event, Flow, History, LiveChart, NnError, Observed, Optimizer,
    ProgressBar, Schedule, ScheduleState, StopReason,
};
use oxilab_runtime::display;
use oxilab_runtime::training::Outcome;

use super::examples::Example;
use super::lora::Lora;
use crate::error::{LlmError, Result};
use crate::llm::Llm;
use crate::model::Sequence;
use checkpoint::Checkpoint;
use plan::Plan;
use run::{Place, Run, is_interrupt};

mod check;
mod checkpoint;
mod observed;
mod plan;
mod run;

/// What is trained.
#[derive(Clone, Debug)]
enum Method {
    Adapter(Lora),
    Full,
}

/// A run before its first step.
struct Begun {
    run: Run,
    sequences: Vec<Sequence>,
    evaluation: Vec<Sequence>,
    started: Event,
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
    save_steps: Option<usize>,
    resume: Option<PathBuf>,
    logging_steps: usize,
    patience: Option<usize>,
    early: Option<EarlyStopping>,
    consumers: Vec<Box<dyn Consumer>>,
    show_memory: bool,
    /// What listeners have asked for.
    flow: Flow,
    observed: Observed,
}

impl SftTrainer {
    /// Trains adapters: three epochs, batches of four, AdamW at 2e-4 with a cosine schedule.
    #[must_use]
    pub fn new(lora: Lora) -> Self {
        Self::with_method(Method::Adapter(lora), 2e-4)
    }

    /// Trains all weights, norms and biases too, at 2e-5. Quantised ones become `f32` first.
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
            save_steps: None,
            resume: None,
            logging_steps: 1,
            patience: None,
            early: None,
            consumers: vec![Box::new(ProgressBar::default()), Box::new(LiveChart::default())],
            show_memory: true,
            flow: Flow::Continue,
            observed: Observed::default(),
        }
    }

    /// Ends the run when `valid_loss` has not fallen for `patience` epochs in a row; the model then has
    /// the best weights, of which a copy is held. Needs [`with_evaluation`](Self::with_evaluation).
    ///
    /// ```
    /// use oxilab_llm::{Example, Lora, SftTrainer};
    /// let held_out = [Example::chat("Who are you?", "A lighthouse keeper.")];
    /// let trainer = SftTrainer::new(Lora::new(8)).with_evaluation(&held_out).with_early_stopping(2);
    /// # drop(trainer);
    /// ```
    #[must_use]
    pub fn with_early_stopping(mut self, patience: usize) -> Self {
        self.patience = Some(patience);
        self
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
        self.batch_size = examples;
        self
    }

    /// Adds up the gradients of this many batches for one step.
    #[must_use]
    pub fn with_accumulation(mut self, batches: usize) -> Self {
        self.accumulate = batches;
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

    /// Writes a checkpoint to `folder/epoch-N` after each epoch, and to `folder/step-N` where the run is
    /// interrupted or a listener ends it in the middle of one: the adapter as PEFT reads it, or the whole
    /// model, and what [`SftTrainer::with_resume`] needs: the optimiser's state, twice the size of what is
    /// trained, and the best weights where a run is ended early.
    #[must_use]
    pub fn with_checkpoints(mut self, folder: impl Into<PathBuf>) -> Self {
        self.checkpoints = Some(folder.into());
        self
    }

    /// Writes to `folder/step-N` after every `n` steps instead of after each epoch.
    #[must_use]
    pub fn with_save_steps(mut self, n: usize) -> Self {
        self.save_steps = Some(n);
        self
    }

    /// Goes on from a checkpoint that a run with [`SftTrainer::with_checkpoints`] wrote, in the middle of an
    /// epoch too: with the same model, examples and settings the weights become bit for bit those of a run
    /// that never stopped. Other examples, batches, seeds or adapter settings are refused; the number of
    /// epochs may be another one.
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
    /// use oxilab_llm::{Example, Llm, Lora, SftTrainer};
    /// # let out = tempfile::tempdir()?;
    /// # let runs = out.path();
    /// let examples = [Example::completion("The light turns ", "every ten seconds.")];
    /// let trainer = || SftTrainer::new(Lora::new(4)).with_checkpoints(runs).quiet();
    /// trainer().with_epochs(1).fit(&mut Llm::load(folder)?, &examples)?;
    /// // The computer was switched off; another process takes the run up.
    /// let trainer = trainer().with_epochs(2).with_resume(runs.join("epoch-1"));
    /// let history = trainer.fit(&mut Llm::load(folder)?, &examples)?;
    /// assert_eq!(history.epochs().len(), 2, "the first one is remembered");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_resume(mut self, checkpoint: impl Into<PathBuf>) -> Self {
        self.resume = Some(checkpoint.into());
        self
    }

    /// Tells listeners of every `n`th step only; of each one unless set. The history has all.
    #[must_use]
    pub fn with_logging_steps(mut self, n: usize) -> Self {
        self.logging_steps = n;
        self
    }

    /// Adds a listener, for example [`oxilab_nn::EarlyStopping`] or a tracker's.
    #[must_use]
    pub fn with_consumer(mut self, consumer: impl Consumer + 'static) -> Self {
        self.consumers.push(Box::new(consumer));
        self
    }

    /// Trains without memory table, progress bar and chart; other listeners stay.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.consumers.retain(|consumer| !consumer.is_display());
        self.show_memory = false;
        self
    }

    /// Trains the model. Adapters that it already has are trained on.
    ///
    /// # Errors
    /// When a setting cannot be meant, there are no examples, one has nothing to learn, a checkpoint to go on
    /// from does not fit, the loss is not finite (what is trained is as it was with the last finite loss), or
    /// the user interrupts (the model keeps what it has learned).
    pub fn fit(mut self, llm: &mut Llm, examples: &[Example]) -> Result<History> {
        let library = env!("CARGO_PKG_NAME");
        self.observed = Observed::started("SftTrainer", library, || self.params(examples.len()));
        self.observed.data(|| observed::data(examples));
        let result = self.fit_told(llm, examples);
        let adapter = observed::Adapter(llm);
        std::mem::take(&mut self.observed).ended(match &result {
            Ok(_) if matches!(self.method, Method::Adapter(_)) => Outcome::Fitted(&adapter),
            Ok(_) => Outcome::Finished,
            Err(error) if is_interrupt(error) => Outcome::Interrupted,
            Err(error) => Outcome::Failed(error.to_string()),
        });
        result
    }

    fn fit_told(&mut self, llm: &mut Llm, examples: &[Example]) -> Result<History> {
        let Begun { mut run, sequences, evaluation, started } = self.begin(llm, examples)?;
        let trained = catch_unwind(AssertUnwindSafe(|| {
            let result = self.emit(&started, &run.history);
            let result = result.and_then(|()| self.epochs(llm, &sequences, &evaluation, &mut run));
            let left = match &result {
                // Whoever ends a run at a step wants that step's.
                Ok(StopReason::Stopped) if run.place.steps_of_epoch == 0 => run.restore_best(),
                Err(error) if is_interrupt(error) => self.save_place(llm, &mut run),
                Err(LlmError::Training(NnError::NotFinite { .. })) => run.restore_good(),
                _ => Ok(()),
            };
            (result, left)
        }));
        llm.freeze();
        // The cache holds keys and values of the old weights.
        llm.weights_changed();
        let (result, left) = trained.unwrap_or_else(|panic| {
            // Of a listener: the others are told before it goes on.
            std::mem::take(&mut self.observed).ended(Outcome::Failed("it panicked".to_owned()));
            let _ = self.emit(&Event::Ended { reason: StopReason::Failed }, &run.history);
            resume_unwind(panic)
        });
        let reason = match &result {
            Ok(reason) => *reason,
            Err(error) if is_interrupt(error) => StopReason::Interrupted,
            Err(_) => StopReason::Failed,
        };
        let ended = self.emit(&Event::Ended { reason }, &run.history);
        match (result, left) {
            // A listener may have met the same press again.
            (Err(first), Err(second)) if is_interrupt(&second) => Err(first),
            (Err(error), Ok(())) | (_, Err(error)) => Err(error),
            (Ok(_), Ok(())) => ended.map(|()| run.history),
        }
    }

    /// Makes all that a run needs before its first step.
    fn begin(&mut self, llm: &mut Llm, examples: &[Example]) -> Result<Begun> {
        self.check()?;
        self.early = self.patience.map(EarlyStopping::new);
        let max_length = self.max_length.min(llm.config().context);
        let tokenize = |examples: &[Example]| -> Result<Vec<Sequence>> {
            let rows = examples.iter().enumerate();
            rows.map(|(row, example)| example.tokenize(llm, row, max_length)).collect()
        };
        let (sequences, evaluation) = (tokenize(examples)?, tokenize(&self.evaluation)?);
        if sequences.is_empty() {
            return Err(LlmError::NoExamples);
        }
        let is_kept = self.checkpoints.is_some() || self.resume.is_some();
        // Only checkpoints have them, and the examples' digest takes a while.
        let settings = if is_kept { self.settings(examples) } else { BTreeMap::new() };
        let resumed = self.resume.as_ref().map(|folder| Checkpoint::read(folder, &settings));
        let resumed = resumed.transpose()?;
        let bare = llm.lora.is_none();
        let vars = self.prepare(llm)?;
        let Plan { steps, longest } = self.plan(&sequences);
        let memory = self.memory(llm, &vars, longest);
        if self.show_memory {
            display::show(memory.render());
        }
        let parameters = vars.iter().map(|(_, var)| var.elem_count()).sum();
        let mut run = Run {
            vars,
            optimizer: Optimizer::adamw(self.learning_rate)
                .with_weight_decay(self.weight_decay)
                .without_decay_for(&["bias", "norm"]),
            schedule: ScheduleState::default(),
            history: History::default(),
            place: Place::default(),
            saved: 0,
            steps,
            loss: 0.0,
            settings,
            good: Vec::new(),
            best: None,
        };
        if let Some(error) = resumed.and_then(|held| held.restore(&mut run, &self.method).err()) {
            llm.freeze();
            if bare {
                llm.remove_adapter();
            }
            return Err(error);
        }
        let started = Event::Started { epochs: self.epochs, steps, parameters, memory };
        Ok(Begun { run, sequences, evaluation, started })
    }

    fn prepare(&self, llm: &mut Llm) -> Result<Vec<(String, Var)>> {
        match &self.method {
            Method::Adapter(lora) => {
                if llm.lora.as_ref().is_none_or(|there| !there.goes_on_with(lora)) {
                    llm.add_adapter(lora)?;
                }
                Ok(llm.adapter_vars())
            }
            Method::Full => llm.make_trainable(),
        }
    }
}
