//! What LightGBM and XGBoost share: training and validation rows ([`Sets`]), and the loop over
//! iterations with history, early stopping, progress and interrupt ([`run`]).

use oxilab_model_format::{ColumnKind, Task};
use polars::prelude::DataFrame;
use serde::{Serialize, Serializer};

use crate::bar::Bar;
use crate::encode::Unseen;
use crate::error::{ModelError, Result, check_interrupt, require};
use crate::learner::Problem;
use crate::matrix::{Matrix, float};
use crate::rng::Rng;
use crate::target::Target;
use crate::weights;

/// Validation frames.
#[derive(Clone, Debug, Default)]
pub struct Frames(pub Vec<DataFrame>);

impl Serialize for Frames {
    /// A model's parameters say how many rows the frames have.
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(DataFrame::height))
    }
}

/// The parameters that decide which rows train and when training ends.
pub(crate) struct Plan<'a> {
    pub(crate) library: &'static str,
    pub(crate) iterations: usize,
    pub(crate) early_stopping: Option<usize>,
    pub(crate) validation_fraction: Option<f64>,
    pub(crate) validations: &'a Frames,
    pub(crate) seed: u64,
}

impl Plan<'_> {
    /// Checks the parameters; `learner` is the config's name.
    pub(crate) fn check(&self, learner: &'static str) -> Result<()> {
        require(self.iterations > 0, learner, "n_estimators", self.iterations, "1 or more")?;
        if let Some(held) = self.validation_fraction {
            let ok = held > 0.0 && held < 1.0;
            require(ok, learner, "validation_fraction", held, "above 0 and below 1")?;
        }
        if let Some(rounds) = self.early_stopping {
            require(rounds > 0, learner, "early_stopping", rounds, "1 or more")?;
            let watched = !self.validations.0.is_empty() || self.validation_fraction.is_some();
            let allowed = "None without `with_validation` or `with_validation_fraction`";
            require(watched, learner, "early_stopping", rounds, allowed)?;
        }
        Ok(())
    }
}

/// Encoded rows with their targets.
pub(crate) struct Set {
    pub(crate) name: String,
    pub(crate) x: Matrix,
    pub(crate) labels: Vec<f32>,
    /// Per row, if not all 1.
    pub(crate) weights: Option<Vec<f32>>,
}

/// The rows to train on, and those whose metrics are watched.
pub(crate) struct Sets {
    pub(crate) train: Set,
    pub(crate) validations: Vec<Set>,
}

impl Sets {
    /// Holds out rows and encodes validation frames, as the plan says.
    pub(crate) fn new(plan: &Plan<'_>, problem: &Problem<'_>) -> Result<Self> {
        let (mut x, mut labels) = (problem.x.clone(), labels(&problem.y));
        let mut weights = problem.weights.as_deref().map(narrow);
        // Classes are weighed in training alone, as Python's wrappers do.
        let own_weights = problem.own_weights.as_deref().map(narrow);
        let mut validations = Vec::new();
        if let Some(share) = plan.validation_fraction {
            let (kept, held) = hold_out(x.rows(), share, plan.seed)?;
            let name = "validation".to_owned();
            let of = |values: &[f32], rows: &[u32]| -> Vec<f32> {
                rows.iter().map(|row| values[*row as usize]).collect()
            };
            validations.push(Set {
                name,
                x: x.take(&held),
                labels: of(&labels, &held),
                weights: own_weights.map(|weights| of(&weights, &held)),
            });
            x = x.take(&kept);
            labels = of(&labels, &kept);
            weights = weights.map(|weights| of(&weights, &kept));
        }
        for (index, frame) in plan.validations.0.iter().enumerate() {
            let name = if index == 0 { "valid".to_owned() } else { format!("valid_{}", index + 1) };
            let weights = weights::of(frame, problem.weight_column)?.as_deref().map(narrow);
            let frame = problem.prepared(frame)?;
            let x = problem.encoder.encode(&frame, Unseen::Missing)?;
            let labels = self::labels(&problem.reader.read(&frame)?);
            validations.push(Set { name, x, labels, weights });
        }
        Ok(Self { train: Set { name: "train".to_owned(), x, labels, weights }, validations })
    }
}

/// A model in training.
pub(crate) trait Rounds {
    /// Grows the trees of iteration `number`, from 0; whether there was nothing left to grow.
    fn grow(&mut self, number: usize) -> Result<bool>;
    /// The metrics of every validation set after iteration `number`, set after set, each named
    /// `set_metric`.
    fn measure(&mut self, number: usize) -> Result<Vec<(String, f64)>>;
}

/// How a training ended.
pub(crate) struct Run {
    /// Iterations to keep.
    pub(crate) best: usize,
    /// Per metric, its values after every iteration.
    pub(crate) history: Vec<(String, Vec<f64>)>,
}

impl Run {
    /// What the model records: the best iteration, and the metrics after it.
    pub(crate) fn metrics(&self) -> Vec<(String, f64)> {
        let at_best = |(name, values): &(String, Vec<f64>)| {
            let value = values.get(self.best.saturating_sub(1)).filter(|v| v.is_finite())?;
            Some((name.clone(), *value))
        };
        let best = ("best_iteration".to_owned(), float(self.best));
        std::iter::once(best).chain(self.history.iter().filter_map(at_best)).collect()
    }
}

/// Trains until the plan says stop: the first metric of the first set decides.
pub(crate) fn run(plan: &Plan<'_>, sets: &Sets, rounds: &mut impl Rounds) -> Result<Run> {
    let watched = sets.validations.first().map(|set| format!("{}_", set.name));
    let mut history: Vec<(String, Vec<f64>)> = Vec::new();
    let bar = Bar::new(plan.library, plan.iterations);
    let (mut best, mut best_value, mut rises) = (0, f64::NAN, false);
    let mut done = 0;
    while done < plan.iterations {
        check_interrupt()?;
        if rounds.grow(done)? {
            break;
        }
        done += 1;
        let Some(watched) = &watched else {
            bar.step();
            continue;
        };
        let measured = rounds.measure(done - 1)?;
        if history.is_empty() {
            history = measured.iter().map(|(name, _)| (name.clone(), Vec::new())).collect();
            rises = history.first().is_some_and(|(name, _)| {
                higher_is_better(name.strip_prefix(watched).unwrap_or(name))
            });
        }
        for ((_, values), (_, value)) in history.iter_mut().zip(&measured) {
            values.push(*value);
        }
        let Some((name, value)) = measured.first() else {
            no_metric(plan)?;
            bar.step();
            continue;
        };
        let better = if rises { *value > best_value } else { *value < best_value };
        if better || best == 0 {
            (best, best_value) = (done, *value);
        }
        bar.message(format!("{name} {value:.5}"));
        if plan.early_stopping.is_some_and(|rounds| done - best >= rounds) {
            break;
        }
        bar.step();
    }
    let best = if plan.early_stopping.is_some() { best } else { done };
    Ok(Run { best: best.max(1), history })
}

fn no_metric(plan: &Plan<'_>) -> Result<()> {
    if plan.early_stopping.is_none() {
        return Ok(());
    }
    Err(ModelError::Library {
        library: plan.library,
        doing: "training",
        message: "early stopping needs a metric; use `with_metric`".to_owned(),
    })
}

/// Whether more is better in a metric of either library.
fn higher_is_better(metric: &str) -> bool {
    ["auc", "average_precision", "ndcg", "map", "pre", "r2"].iter().any(|m| metric.starts_with(m))
        && metric != "mape"
}

/// Whether the columns are categories, in order.
pub(crate) fn categorical(problem: &Problem<'_>) -> Vec<bool> {
    let columns = problem.encoder.columns.iter();
    columns.map(|column| column.kind == ColumnKind::Categorical).collect()
}

/// A constraint per column: 1, 0 or −1.
///
/// # Errors
/// If a constraint names no column.
pub(crate) fn monotone_signs(
    constraints: &std::collections::BTreeMap<String, i8>,
    problem: &Problem<'_>,
) -> Result<Vec<String>> {
    let columns = &problem.encoder.columns;
    let known = |name: &String| columns.iter().any(|column| column.name == *name);
    if let Some(name) = constraints.keys().find(|name| !known(name)) {
        return Err(ModelError::MissingColumn {
            column: name.clone(),
            available: crate::target::list(columns.iter().map(|column| column.name.as_str())),
        });
    }
    let sign = |name: &String| constraints.get(name).copied().unwrap_or(0).to_string();
    Ok(columns.iter().map(|column| sign(&column.name)).collect())
}

/// Names made of allowed characters, all different.
pub(crate) fn feature_names(problem: &Problem<'_>, allowed: impl Fn(char) -> bool) -> Vec<String> {
    let mut taken = std::collections::HashSet::new();
    let mut names = Vec::with_capacity(problem.encoder.columns.len());
    for column in &problem.encoder.columns {
        let plain = |c: char| if allowed(c) { c } else { '_' };
        let mut name: String = column.name.chars().map(plain).collect();
        while name.is_empty() || !taken.insert(name.clone()) {
            name.push('_');
        }
        names.push(name);
    }
    names
}

/// The probabilities or numbers that a library's predictions stand for.
pub(crate) fn output(task: Task, values: Vec<f64>) -> crate::predictor::Output {
    use crate::predictor::Output;
    match task {
        Task::Binary => Output::Probabilities(values.iter().flat_map(|p| [1.0 - p, *p]).collect()),
        Task::Multiclass => Output::Probabilities(values),
        _ => Output::Values(values),
    }
}

/// How a model file keeps a task.
pub(crate) fn task_code(task: Task) -> u32 {
    match task {
        Task::Binary => 0,
        Task::Multiclass => 1,
        _ => 2,
    }
}

/// The reverse of [`task_code`].
pub(crate) fn task_of(code: usize) -> Task {
    match code {
        0 => Task::Binary,
        1 => Task::Multiclass,
        _ => Task::Regression,
    }
}

fn labels(y: &Target) -> Vec<f32> {
    match y {
        #[expect(clippy::cast_precision_loss, reason = "fewer than 10,000 classes")]
        Target::Classes(codes, _) => codes.iter().map(|code| *code as f32).collect(),
        Target::Values(values) => narrow(values),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "both libraries keep labels and weights in 32 bits"
)]
fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}

fn hold_out(rows: usize, share: f64, seed: u64) -> Result<(Vec<u32>, Vec<u32>)> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of the rows"
    )]
    let count = (float(rows) * share).round() as usize;
    if count == 0 || count >= rows {
        return Err(ModelError::data(
            format!("{rows} rows are too few to hold out a share of {share}"),
            "give a validation frame, or a larger share",
        ));
    }
    let mut order = Rng::part(seed, 0x5eed).permutation(rows);
    let mut held = order.split_off(rows - count);
    order.sort_unstable();
    held.sort_unstable();
    Ok((order, held))
}
