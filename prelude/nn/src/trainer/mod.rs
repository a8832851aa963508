//! [`Trainer`]: the loop emits events, everything else listens.

mod back;
mod check;
mod checkpoint;
mod epoch;
mod evaluate;
mod fit;
mod settings;
mod settle;
mod step;

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{DType, Tensor, Var};
use oxilab_runtime::cancel;

use crate::checkpoint::Position;
use crate::error::{NnError, Result};
use crate::event::{Consumer, EarlyStopping, Event, Flow, LiveChart, ProgressBar};
use crate::history::History;
use crate::loader::DataLoader;
use crate::loss::Loss;
use crate::model::Trainable;
use crate::observed::Observed;
use crate::optim::Optimizer;
use crate::schedule::Schedule;
use settle::Last;

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
    /// Only for tests: the CPU has no use for halves.
    casts_on_cpu: bool,
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
    /// Where the run goes on, while the model has the averaged or the best parameters.
    last: Option<Last>,
    /// What listeners have asked for in the run at hand.
    flow: Flow,
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
            casts_on_cpu: false,
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
            last: None,
            flow: Flow::Continue,
            observed: Observed::default(),
        }
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

    /// Everything that a checkpoint holds of the model.
    fn state(&self) -> Vec<(String, Var)> {
        let mut state = self.model.vars();
        state.extend(self.model.buffers());
        state
    }

    /// The metric that decides what the best parameters are, and whether more is better.
    fn watch(&self) -> (&str, bool) {
        let chosen = self.watched.as_ref().map(|(metric, maximize)| (metric.as_str(), *maximize));
        chosen.unwrap_or(("valid_loss", false))
    }

    /// Tells the listeners, each of which may ask for the end.
    fn emit(&mut self, event: &Event) -> Result<()> {
        self.observed.event(event);
        let early = self.early.iter_mut().map(|early| early as &mut dyn Consumer);
        // The borrow of a boxed listener as that of one that lies in a field.
        let others = self.consumers.iter_mut().map(|consumer| &mut **consumer as &mut dyn Consumer);
        for consumer in early.chain(others) {
            let at = self.position.interrupted();
            if ask(at, || consumer.on_event(event, &self.position.history))? == Flow::Stop {
                self.flow = Flow::Stop;
            }
        }
        Ok(())
    }
}

/// Calls the user's code, which has polls where it was written in a cell: an interrupt that unwinds it ends
/// the run in good order, with the error `at`.
fn ask<T>(at: NnError, call: impl FnOnce() -> Result<T>) -> Result<T> {
    cancel::catch(call).unwrap_or(Err(at))
}
