//! Checkpoints: the adapter or the whole model as others read it, and beside it in two files what the run
//! needs to go on from there.
//!
//! Numbers that decide anything stand in the tensors' file: JSON does not give every `f64` back bit for bit.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, Var};
use oxilab_nn::error::plain;
use oxilab_nn::{EpochRecord, History, NnError, ScheduleState, StepRecord};
use serde::{Deserialize, Serialize};

use super::run::{Place, Run};
use super::{Method, SftTrainer, observed};
use crate::error::{LlmError, Result};
use crate::files::Together;
use crate::llm::Llm;
use crate::model::Architecture;
use crate::tune::examples::Example;
use crate::tune::lora::ADAPTER_MODEL;
use crate::weights::source::WHOLE;

const STATE: &str = "trainer_state.json";
const TENSORS: &str = "trainer_state.safetensors";

/// What can be read without tensors.
#[derive(Serialize, Deserialize)]
struct State {
    place: Place,
    schedule: ScheduleState,
    settings: BTreeMap<String, String>,
    /// Steps done and names of the metrics after each epoch.
    epochs: Vec<(usize, Vec<String>)>,
}

impl SftTrainer {
    /// What a run must have in common with the one that it goes on with: which examples come when, and
    /// what is trained.
    pub(super) fn settings(&self, examples: &[Example]) -> BTreeMap<String, String> {
        const NAMES: [&str; 7] =
            ["examples", "batch_size", "accumulation", "max_length", "packing", "seed", "method"];
        let params = self.params(examples.len()).into_iter();
        let mut settings: BTreeMap<_, _> =
            params.filter(|(name, _)| NAMES.contains(&name.as_str())).collect();
        settings.insert("examples' digest".to_owned(), observed::data(examples).digest);
        settings
    }

    /// Writes a checkpoint; an older one there stays until this one is whole.
    pub(super) fn write_checkpoint(&self, llm: &Llm, path: &Path, run: &Run) -> Result<()> {
        let mut files = Together::begin(path)?;
        match &self.method {
            Method::Adapter(_) => llm.put_adapter(&mut files)?,
            Method::Full => llm.put(&mut files)?,
        }
        // The model's own file joins Phi-3's matrices and moves Gemma's norms, which rounds.
        let apart = matches!(self.method, Method::Full)
            && matches!(llm.config().architecture, Architecture::Phi3 | Architecture::Gemma);
        files.write_tensors(TENSORS, &tensors(run, apart)?)?;
        let epochs = run.history.epochs().iter();
        let state = State {
            place: run.place.clone(),
            schedule: run.schedule.clone(),
            settings: run.settings.clone(),
            epochs: epochs
                .map(|epoch| (epoch.step, epoch.metrics.keys().cloned().collect()))
                .collect(),
        };
        let json = serde_json::to_vec(&state)
            .map_err(|e| LlmError::file("write", &path.join(STATE), e.into()))?;
        files.write(STATE, &json)?;
        files.finish()
    }
}

fn tensors(run: &Run, apart: bool) -> Result<HashMap<String, Tensor>> {
    let mut tensors = HashMap::new();
    for (name, tensor) in run.optimizer.state()? {
        tensors.insert(format!("optimizer.{name}"), tensor);
    }
    let vars = run.vars.iter().filter(|_| apart);
    tensors.extend(vars.map(|(name, var)| (format!("value.{name}"), var.as_detached_tensor())));
    let numbers = |values: Vec<f64>| Tensor::new(values, &Device::Cpu);
    tensors.insert("run.loss".to_owned(), numbers(vec![run.loss])?);
    let steps = run.history.steps().iter();
    let steps = steps.flat_map(|step| [step.loss, step.learning_rate, step.grad_norm]).collect();
    tensors.insert("run.steps".to_owned(), numbers(steps)?);
    let metrics: Vec<f64> =
        run.history.epochs().iter().flat_map(|epoch| epoch.metrics.values().copied()).collect();
    if !metrics.is_empty() {
        tensors.insert("run.metrics".to_owned(), numbers(metrics)?);
    }
    if let Some((loss, best)) = &run.best {
        tensors.insert("run.best".to_owned(), numbers(vec![*loss])?);
        for ((name, _), tensor) in run.vars.iter().zip(best) {
            tensors.insert(format!("best.{name}"), tensor.clone());
        }
    }
    Ok(tensors)
}

/// A checkpoint that was read.
pub(super) struct Checkpoint {
    folder: PathBuf,
    state: State,
    tensors: HashMap<String, Tensor>,
}

impl Checkpoint {
    /// Reads what the run needs; `settings` are those of the run that goes on.
    pub(super) fn read(folder: &Path, settings: &BTreeMap<String, String>) -> Result<Self> {
        let path = folder.join(STATE);
        if folder.is_dir() && !path.is_file() {
            return Err(unfit(
                folder,
                format!(
                    "it has no {STATE}, so it holds weights only: load them with `Llm::load` or \
                 `load_adapter` and start a new run from there"
                ),
            ));
        }
        let json = std::fs::read(&path).map_err(|e| LlmError::file("read", &path, e))?;
        let state: State = serde_json::from_slice(&json)
            .map_err(|e| unfit(folder, format!("{STATE} is damaged: {e}")))?;
        let other = settings.iter().find(|(name, ours)| state.settings.get(*name) != Some(*ours));
        if let Some((name, ours)) = other {
            let theirs = state.settings.get(name).map_or("not known", String::as_str);
            return Err(unfit(
                folder,
                format!(
                    "{name} is {theirs} in it and {ours} in this run; a run goes on only with the same \
                 examples and settings. To train on with others, load the weights and start a new run"
                ),
            ));
        }
        let tensors = read(folder, TENSORS)?;
        Ok(Self { folder: folder.to_owned(), state, tensors })
    }

    /// Puts a run where the checkpoint's was.
    pub(super) fn restore(mut self, run: &mut Run, method: &Method) -> Result<()> {
        let values = match method {
            Method::Adapter(_) => read(&self.folder, ADAPTER_MODEL)?,
            Method::Full if self.tensors.keys().any(|name| name.starts_with("value.")) => {
                self.part("value.")
            }
            Method::Full => read(&self.folder, WHOLE)?,
        };
        let values = self.like(&run.vars, &values)?;
        let best = self.part("best.");
        let best = match self.numbers("run.best")?.first() {
            Some(loss) => Some((*loss, self.like(&run.vars, &best)?)),
            None => None,
        };
        let optimizer = self.part("optimizer.");
        let history = self.history()?;
        let loss = self.numbers("run.loss")?.first().copied().unwrap_or_default();
        let loaded = run.optimizer.load_state(&run.vars, &optimizer);
        loaded.map_err(|error| unfit(&self.folder, error.to_string()))?;
        run.set(&values)?;
        (run.best, run.history, run.loss) = (best, history, loss);
        (run.place, run.schedule) = (self.state.place, self.state.schedule);
        run.saved = run.place.step;
        Ok(())
    }

    /// The tensors whose names start so, without it.
    fn part(&mut self, start: &str) -> HashMap<String, Tensor> {
        let part = self.tensors.extract_if(|name, _| name.starts_with(start));
        part.map(|(name, tensor)| (name[start.len()..].to_owned(), tensor)).collect()
    }

    /// A tensor for each variable, of its name and shape, where it is.
    fn like(
        &self,
        vars: &[(String, Var)],
        tensors: &HashMap<String, Tensor>,
    ) -> Result<Vec<Tensor>> {
        let one = |(name, var): &(String, Var)| match tensors.get(name) {
            Some(tensor) if tensor.shape() == var.shape() => Ok(tensor.to_device(var.device())?),
            Some(tensor) => Err(unfit(
                &self.folder,
                format!("{name} is {:?}, the model's is {:?}", tensor.shape(), var.shape()),
            )),
            None => Err(unfit(&self.folder, format!("{name} is missing"))),
        };
        vars.iter().map(one).collect()
    }

    fn numbers(&self, name: &str) -> Result<Vec<f64>> {
        let tensor = self.tensors.get(name);
        Ok(tensor.map_or(Ok(Vec::new()), |tensor| tensor.flatten_all()?.to_vec1())?)
    }

    fn history(&self) -> Result<History> {
        let mut history = History::default();
        let steps = self.numbers("run.steps")?;
        for (step, numbers) in (1..).zip(steps.chunks_exact(3)) {
            let [loss, learning_rate, grad_norm] = [numbers[0], numbers[1], numbers[2]];
            history.push_step(StepRecord { step, loss, learning_rate, grad_norm });
        }
        let mut values = self.numbers("run.metrics")?.into_iter();
        for (epoch, (step, names)) in (1..).zip(&self.state.epochs) {
            let metrics = names.iter().cloned().zip(values.by_ref()).collect();
            history.push_epoch(EpochRecord { epoch, step: *step, metrics });
        }
        Ok(history)
    }
}

fn read(folder: &Path, name: &str) -> Result<HashMap<String, Tensor>> {
    candle_core::safetensors::load(folder.join(name), &Device::Cpu)
        .map_err(|e| unfit(folder, format!("{name} cannot be read: {}", plain(e))))
}

fn unfit(folder: &Path, reason: String) -> LlmError {
    NnError::Checkpoint { path: folder.to_owned(), reason }.into()
}
