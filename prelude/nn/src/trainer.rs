//! The training loop: it emits events, everything else listens.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor, Var};
use oxilab_runtime::cancel;
use oxilab_runtime::training::Outcome;

use crate::check;
use crate::checkpoint::{Checkpoint, Position, fits, restore, snapshot};
use crate::error::{NnError, Result};
use crate::event::{
    Consumer, EarlyStopping, Event, Flow, LiveChart, ProgressBar, StopReason, no_validation, quoted,
};
use crate::history::{EpochRecord, History, StepRecord};
use crate::loader::{Batch, DataLoader};
use crate::loss::Loss;
use crate::memory::Memory;
use crate::model::{Mode, Trainable};
use crate::observed::{Observed, Parameters};
use crate::optim::{self, Gradients, Optimizer};
use crate::schedule::Schedule;

/// Trains a model.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_nn::{DataLoader, Loss, Optimizer, TensorDataset, Trainer, nets::Mlp};
///
/// let x = Tensor::new(&[[0f32], [1.0], [2.0], [3.0]], &Device::Cpu)?;
/// let y = (&x * 2.0)?;
/// let loader = DataLoader::new(TensorDataset::new(x, y)?, 2).with_shuffle(0);
/// let net = Mlp::new(1, &[8], 1, 0)?;
/// let mut trainer = Trainer::new(net, Optimizer::adam(0.05), Loss::Mse).with_epochs(40).quiet();
/// let history = trainer.fit(&loader)?;
/// assert!(history.last("train_loss").is_some_and(|loss| loss < 0.5));
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
pub struct Trainer<M> {
    model: M,
    optimizer: Optimizer,
    loss: Loss,
    epochs: usize,
    schedule: Schedule,
    accumulate: usize,
    clip_norm: Option<f64>,
    average_decay: Option<f64>,
    precision: DType,
    seed: u64,
    validation: Option<DataLoader>,
    checkpoints: Option<PathBuf>,
    /// Only where it was chosen: without a choice and without validation the training loss counts.
    watched: Option<(String, bool)>,
    patience: Option<usize>,
    min_delta: f64,
    early: Option<EarlyStopping>,
    consumers: Vec<Box<dyn Consumer>>,
    position: Position,
    average: HashMap<String, Tensor>,
    best: HashMap<String, Tensor>,
    observed: Observed,
}

impl<M: Trainable> Trainer<M> {
    /// A trainer for ten epochs at a constant rate, with a progress bar and a live chart.
    pub fn new(model: M, optimizer: Optimizer, loss: Loss) -> Self {
        Self {
            model,
            optimizer,
            loss,
            epochs: 10,
            schedule: Schedule::Constant,
            accumulate: 1,
            clip_norm: None,
            average_decay: None,
            precision: DType::F32,
            seed: 0,
            validation: None,
            checkpoints: None,
            watched: None,
            patience: None,
            min_delta: 0.0,
            early: None,
            consumers: vec![Box::new(ProgressBar::default()), Box::new(LiveChart::default())],
            position: Position::default(),
            average: HashMap::new(),
            best: HashMap::new(),
            observed: Observed::default(),
        }
    }

    /// Sets the number of epochs, those of earlier calls and checkpoints included.
    #[must_use]
    pub fn with_epochs(mut self, epochs: usize) -> Self {
        self.epochs = epochs;
        self
    }

    /// Sets the learning-rate schedule.
    #[must_use]
    pub fn with_schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Adds up the gradients of this many batches for one step.
    #[must_use]
    pub fn with_accumulation(mut self, batches: usize) -> Self {
        self.accumulate = batches;
        self
    }

    /// Scales the gradient down to this norm where it is larger.
    #[must_use]
    pub fn with_clip_norm(mut self, norm: f64) -> Self {
        self.clip_norm = Some(norm);
        self
    }

    /// Keeps an exponential moving average of the parameters (decay for example 0.999), validates with
    /// it and leaves it in the model at the end.
    #[must_use]
    pub fn with_average(mut self, decay: f64) -> Self {
        self.average_decay = Some(decay);
        self
    }

    /// Computes in `bf16` on CUDA and Metal, with parameters, loss and optimiser in `f32`. The CPU has
    /// no use for it and goes on in `f32`.
    #[must_use]
    pub fn with_mixed_precision(mut self) -> Self {
        self.precision = DType::BF16;
        self
    }

    /// Sets the seed of dropout; shuffling has its seed in the loader.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Evaluates on these rows after each epoch.
    #[must_use]
    pub fn with_validation(mut self, loader: DataLoader) -> Self {
        self.validation = Some(loader);
        self
    }

    /// Writes a checkpoint to `folder/last` after each epoch and to `folder/best` when the watched
    /// metric improves.
    #[must_use]
    pub fn with_checkpoints(mut self, folder: impl Into<PathBuf>) -> Self {
        self.checkpoints = Some(folder.into());
        self
    }

    /// Watches another metric than `valid_loss` for the best parameters; `maximize` when more is
    /// better.
    #[must_use]
    pub fn with_watched(mut self, metric: impl Into<String>, maximize: bool) -> Self {
        self.watched = Some((metric.into(), maximize));
        self
    }

    /// Ends the run when the watched metric, `valid_loss` unless set, has not improved for `patience`
    /// epochs in a row; the model then has the best parameters. Needs
    /// [`with_validation`](Self::with_validation), unless `train_loss` is watched.
    #[must_use]
    pub fn with_early_stopping(mut self, patience: usize) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Counts as an improvement for early stopping only what is better by more than this; 0 unless set.
    #[must_use]
    pub fn with_min_delta(mut self, min_delta: f64) -> Self {
        self.min_delta = min_delta;
        self
    }

    /// Adds a listener.
    #[must_use]
    pub fn with_consumer(mut self, consumer: impl Consumer + 'static) -> Self {
        self.consumers.push(Box::new(consumer));
        self
    }

    /// Takes out the progress bar and the chart; early stopping and other listeners stay.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.consumers.retain(|consumer| !consumer.is_display());
        self
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Gives the model back.
    pub fn into_model(self) -> M {
        self.model
    }

    /// What was recorded so far.
    pub fn history(&self) -> &History {
        &self.position.history
    }

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
        restore(&self.state(), &checkpoint.parameters, &folder)?;
        self.optimizer.load_state(&checkpoint.optimizer)?;
        // What an early stop goes back to.
        let best = folder.with_file_name("best");
        if best.is_dir() && checkpoint.position.best.is_some() {
            let best = Checkpoint::load(&best)?;
            self.best = best.parameters;
            self.best.extend(best.average);
        }
        self.average = checkpoint.average;
        self.position = checkpoint.position;
        Ok(())
    }

    /// Writes a checkpoint now.
    ///
    /// # Errors
    /// When the folder cannot be written; an older checkpoint there stays.
    pub fn save(&self, folder: impl Into<PathBuf>) -> Result<()> {
        Checkpoint {
            position: Position {
                optimizer: Some(self.optimizer.name().to_owned()),
                ..self.position.clone()
            },
            parameters: snapshot(&self.state())?,
            optimizer: self.optimizer.state()?,
            average: self.average.clone(),
        }
        .save(&folder.into())
    }

    /// Trains up to the set number of epochs. Call it again, with more epochs, to go on.
    ///
    /// # Errors
    /// When a loss or gradient is not finite (the parameters are those before the batch), a shape does
    /// not fit, a file cannot be written, or the user interrupts (the model stays usable).
    pub fn fit(&mut self, loader: &DataLoader) -> Result<History> {
        let library = env!("CARGO_PKG_NAME");
        self.observed = Observed::started("Trainer", library, || self.params(loader));
        let result = self.fit_told(loader);
        let observed = std::mem::take(&mut self.observed);
        if observed.is_observed() {
            let vars = self.model.vars();
            let parameters = Parameters(&vars);
            observed.ended(match &result {
                Ok(_) => Outcome::Fitted(&parameters),
                Err(NnError::Interrupted { .. }) => Outcome::Interrupted,
                Err(error) => Outcome::Failed(error.to_string()),
            });
        }
        result
    }

    /// What a tracker is told of the run.
    fn params(&self, loader: &DataLoader) -> Vec<(String, String)> {
        let mut params = vec![
            ("epochs", self.epochs.to_string()),
            ("rows", loader.rows().to_string()),
            ("batches", loader.batches().to_string()),
            ("optimizer", self.optimizer.name().to_owned()),
            ("learning_rate", self.optimizer.learning_rate().to_string()),
            ("loss", self.loss.name().to_owned()),
            ("schedule", format!("{:?}", self.schedule)),
            ("accumulation", self.accumulate.to_string()),
            ("seed", self.seed.to_string()),
        ];
        params.extend(self.clip_norm.map(|norm| ("clip_norm", norm.to_string())));
        params.extend(self.average_decay.map(|decay| ("average_decay", decay.to_string())));
        params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The metric that decides what the best parameters are, and whether more is better.
    fn watch(&self) -> (&str, bool) {
        let chosen = self.watched.as_ref().map(|(metric, maximize)| (metric.as_str(), *maximize));
        chosen.unwrap_or(("valid_loss", false))
    }

    /// Refuses settings that cannot be meant before anything is trained.
    fn check_settings(&self, loader: &DataLoader) -> Result<()> {
        check::at_least_one("the number of epochs", self.epochs)?;
        check::at_least_one("the number of accumulated batches", self.accumulate)?;
        loader.check()?;
        self.validation.as_ref().map_or(Ok(()), DataLoader::check)?;
        self.optimizer.check()?;
        self.clip_norm.map_or(Ok(()), |norm| check::positive("the clip norm", norm))?;
        self.average_decay
            .map_or(Ok(()), |decay| check::share("the decay of the average", decay))?;
        check::not_negative("the least change of early stopping", self.min_delta)
    }

    /// Whether the metric watched is one that this run will have, which would otherwise show only as
    /// a run that never stops and keeps any parameters as the best.
    fn check_watch(&self) -> Result<()> {
        if self.watched.is_none() && self.patience.is_none() {
            return Ok(());
        }
        let mut known = vec!["train_loss".to_owned()];
        if self.validation.is_some() {
            known.push("valid_loss".to_owned());
            known.extend(self.loss.metric_name().map(|name| format!("valid_{name}")));
        }
        let (metric, _) = self.watch();
        if known.iter().any(|name| name == metric) {
            return Ok(());
        }
        let names = || known.iter().map(String::as_str);
        Err(NnError::Watched {
            metric: metric.to_owned(),
            known: quoted(names()),
            hint: no_validation(names()),
        })
    }

    fn fit_told(&mut self, loader: &DataLoader) -> Result<History> {
        self.check_settings(loader)?;
        self.check_watch()?;
        let (metric, maximize) = self.watch();
        self.early = self.patience.map(|patience| {
            let early = EarlyStopping::new(patience).with_metric(metric, maximize);
            early.with_min_delta(self.min_delta)
        });
        if loader.batches() == 0 {
            return Err(NnError::NoData);
        }
        let steps = loader.batches().div_ceil(self.accumulate) * self.epochs;
        let vars = self.model.vars();
        let parameters = vars.iter().map(|(_, var)| var.elem_count()).sum();
        self.emit(&Event::Started {
            epochs: self.epochs,
            steps,
            parameters,
            memory: Memory {
                parameters: parameters * 4,
                gradients: parameters * 4,
                optimizer: parameters * 4 * self.optimizer.state_factor(),
                ..Memory::default()
            },
        })?;
        let result = self.epochs(loader, &vars, steps);
        let reason = match &result {
            Ok(reason) => *reason,
            Err(NnError::Interrupted { .. }) => StopReason::Interrupted,
            Err(_) => StopReason::Failed,
        };
        match (reason, &self.checkpoints) {
            (StopReason::Failed, _) | (StopReason::Interrupted, None) => {}
            (StopReason::Interrupted, Some(folder)) => self.save(folder.join("last"))?,
            _ => self.settle(&vars, reason)?,
        }
        let ended = self.emit(&Event::Ended { reason });
        if result.is_ok() {
            ended?;
        }
        result.map(|_| self.position.history.clone())
    }

    /// Leaves the averaged or, after an early stop, the best parameters in the model.
    fn settle(&mut self, vars: &[(String, Var)], reason: StopReason) -> Result<()> {
        if reason == StopReason::Stopped && !self.best.is_empty() {
            return restore(&self.state(), &self.best, "memory".as_ref());
        }
        if self.average.is_empty() {
            return Ok(());
        }
        restore(vars, &self.average, "memory".as_ref())
    }

    /// Everything that a checkpoint holds of the model.
    fn state(&self) -> Vec<(String, Var)> {
        let mut state = self.model.vars();
        state.extend(self.model.buffers());
        state
    }

    /// The batch where the model is, in the precision that the device computes in.
    fn inputs(&self, batch: &Batch) -> Result<(Tensor, Tensor)> {
        let device = self.model.vars().first().map_or(Device::Cpu, |(_, var)| var.device().clone());
        let (input, target) = (batch.input.to_device(&device)?, batch.target.to_device(&device)?);
        let cast = self.precision != DType::F32 && !device.is_cpu() && input.dtype() == DType::F32;
        Ok((if cast { input.to_dtype(self.precision)? } else { input }, target))
    }

    fn epochs(
        &mut self,
        loader: &DataLoader,
        vars: &[(String, Var)],
        steps: usize,
    ) -> Result<StopReason> {
        while self.position.epoch < self.epochs {
            self.epoch(loader, vars, steps)?;
            if self.end_epoch(vars)? == Flow::Stop {
                return Ok(StopReason::Stopped);
            }
        }
        Ok(StopReason::Finished)
    }

    fn epoch(&mut self, loader: &DataLoader, vars: &[(String, Var)], steps: usize) -> Result<()> {
        let total = loader.batches();
        let buffers = self.model.buffers();
        let mut good = HashMap::new();
        let mut grads = Gradients::new();
        let (mut losses, mut held) = (0.0, 0usize);
        for batch in loader.epoch(self.position.epoch, self.position.batch) {
            if held == 0 {
                good = snapshot(&buffers)?;
            }
            let group_start = self.position.batch - held;
            let group = self.accumulate.min(total - group_start);
            let before = self.position.step;
            let one = || -> Result<()> {
                let batch = batch?;
                if cancel::requested() {
                    let (epoch, step) = (self.position.epoch + 1, self.position.step);
                    return Err(NnError::Interrupted { epoch, step });
                }
                losses += self.backward(&batch, vars, &mut grads, group)?;
                held += 1;
                self.position.batch += 1;
                if held == group {
                    self.step(vars, &mut grads, losses, held, steps, &batch)?;
                    (losses, held) = (0.0, 0);
                }
                Ok(())
            };
            if let Err(error) = one() {
                if self.position.step == before {
                    // The batches of an unfinished step are seen again, with the statistics of before.
                    self.position.batch = group_start;
                    restore(&buffers, &good, "memory".as_ref())?;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn backward(
        &mut self,
        batch: &Batch,
        vars: &[(String, Var)],
        grads: &mut Gradients,
        group: usize,
    ) -> Result<f64> {
        let place = (self.position.epoch as u64) << 32 | self.position.batch as u64;
        let mode = Mode::train(self.seed.wrapping_add(place.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let (input, target) = self.inputs(batch)?;
        let output = self.model.forward(&input, mode)?.to_dtype(DType::F32)?;
        let loss = self.loss.of(&output, &target)?;
        let value = f64::from(loss.to_dtype(DType::F32)?.to_scalar::<f32>()?);
        if !value.is_finite() {
            return Err(self.not_finite("the loss", value, batch, self.position.batch));
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of batches")]
        optim::accumulate(grads, vars, &loss.backward()?, 1.0 / group as f32)?;
        Ok(value)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn step(
        &mut self,
        vars: &[(String, Var)],
        grads: &mut Gradients,
        losses: f64,
        held: usize,
        steps: usize,
        batch: &Batch,
    ) -> Result<()> {
        let norm = optim::norm(grads);
        if !norm.is_finite() {
            return Err(self.not_finite(
                "the gradient's norm",
                norm,
                batch,
                self.position.batch - 1,
            ));
        }
        if let Some(limit) = self.clip_norm.filter(|limit| norm > *limit) {
            optim::scale(grads, limit / norm);
        }
        let position = &mut self.position;
        let factor = self.schedule.factor(&position.schedule, position.step, steps, position.epoch);
        let learning_rate = self.optimizer.learning_rate() * factor;
        self.optimizer.step(vars, grads, learning_rate)?;
        grads.clear();
        position.step += 1;
        position.epoch_loss.0 += losses;
        position.epoch_loss.1 += held;
        let loss = losses / held as f64;
        position.history.push_step(StepRecord {
            step: position.step,
            loss,
            learning_rate,
            grad_norm: norm,
        });
        let (epoch, step) = (position.epoch + 1, position.step);
        self.move_average(vars)?;
        self.emit(&Event::Step { epoch, step, loss, learning_rate, grad_norm: norm })?;
        Ok(())
    }

    fn move_average(&mut self, vars: &[(String, Var)]) -> Result<()> {
        let Some(decay) = self.average_decay else { return Ok(()) };
        if self.average.is_empty() {
            self.average = snapshot(vars)?;
            return Ok(());
        }
        for (name, var) in vars {
            if let Some(average) = self.average.get_mut(name) {
                *average = ((&*average * decay)? + (var.as_detached_tensor() * (1.0 - decay))?)?;
            }
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn end_epoch(&mut self, vars: &[(String, Var)]) -> Result<Flow> {
        let (sum, count) = std::mem::take(&mut self.position.epoch_loss);
        self.position.epoch += 1;
        self.position.batch = 0;
        let mut metrics = vec![("train_loss".to_owned(), sum / count.max(1) as f64)];
        if let Some(loader) = self.validation.clone() {
            let raw = if self.average.is_empty() { None } else { Some(snapshot(vars)?) };
            if raw.is_some() {
                restore(vars, &self.average, "memory".as_ref())?;
            }
            let evaluated = self.evaluate(&loader);
            if let Some(raw) = &raw {
                restore(vars, raw, "memory".as_ref())?;
            }
            metrics.extend(
                evaluated?.into_iter().map(|(name, value)| (format!("valid_{name}"), value)),
            );
        }
        let value_of =
            |name: &str| metrics.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
        let train_loss = metrics[0].1;
        self.schedule
            .observe(&mut self.position.schedule, value_of("valid_loss").unwrap_or(train_loss));
        let (metric, maximize) = self.watch();
        let sign = if maximize { -1.0 } else { 1.0 };
        let watched = value_of(metric).unwrap_or(train_loss) * sign;
        let improved = self.position.best.is_none_or(|best| watched < best);
        let epoch = self.position.epoch;
        self.position.history.push_epoch(EpochRecord {
            epoch,
            step: self.position.step,
            metrics: metrics.iter().cloned().collect::<BTreeMap<_, _>>(),
        });
        if improved {
            self.position.best = Some(watched);
            self.best = snapshot(&self.state())?;
            self.best.extend(self.average.clone());
        }
        if let Some(folder) = self.checkpoints.clone() {
            let names: &[&str] = if improved { &["last", "best"] } else { &["last"] };
            for name in names {
                self.save(folder.join(name))?;
                self.emit(&Event::Saved { path: folder.join(name) })?;
            }
        }
        self.emit(&Event::EpochEnded { epoch, metrics })
    }

    /// Loss and metric on all rows of a loader.
    ///
    /// # Errors
    /// When the loader is empty, a shape does not fit, or the user interrupts.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn evaluate(&self, loader: &DataLoader) -> Result<Vec<(String, f64)>> {
        let (mut loss, mut metric, mut rows) = (0.0, None, 0usize);
        for batch in loader.evaluation() {
            let batch = batch?;
            if cancel::requested() {
                let (epoch, step) = (self.position.epoch, self.position.step);
                return Err(NnError::Interrupted { epoch, step });
            }
            let count = batch.rows.len();
            let (input, target) = self.inputs(&batch)?;
            let output = self.model.forward(&input, Mode::eval())?.to_dtype(DType::F32)?;
            let value = self.loss.of(&output, &target)?;
            loss += f64::from(value.to_scalar::<f32>()?) * count as f64;
            if let Some((name, sum)) = self.loss.metric(&output, &target)? {
                metric = Some((name, metric.map_or(0.0, |(_, before)| before) + sum));
            }
            rows += count;
        }
        if rows == 0 {
            return Err(NnError::NoData);
        }
        let mut metrics = vec![("loss".to_owned(), loss / rows as f64)];
        metrics.extend(metric.map(|(name, sum)| (name.to_owned(), sum / rows as f64)));
        Ok(metrics)
    }

    fn emit(&mut self, event: &Event) -> Result<Flow> {
        self.observed.event(event);
        let mut flow = Flow::Continue;
        let early = self.early.iter_mut().map(|early| early as &mut dyn Consumer);
        // The borrow of a boxed listener as that of one that lies in a field.
        let others = self.consumers.iter_mut().map(|consumer| &mut **consumer as &mut dyn Consumer);
        for consumer in early.chain(others) {
            if consumer.on_event(event, &self.position.history)? == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        Ok(flow)
    }

    fn not_finite(&self, what: &'static str, value: f64, batch: &Batch, place: usize) -> NnError {
        let shown: Vec<String> = batch.rows.iter().take(8).map(usize::to_string).collect();
        let more = if batch.rows.len() > 8 { ", …" } else { "" };
        NnError::NotFinite {
            what,
            value,
            epoch: self.position.epoch + 1,
            batch: place + 1,
            rows: shown.join(", ") + more,
        }
    }
}
