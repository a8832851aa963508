//! The training loop: iterations, metrics, early stopping, progress, interrupt.

use crate::bar::Bar;
use oxilab_model_format::{ColumnKind, Task};

use crate::encode::Unseen;
use crate::error::{ModelError, Result, check_interrupt};
use crate::learner::{Learned, Problem};
use crate::matrix::{Matrix, float};
use crate::rng::Rng;
use crate::target::Target;

use super::library::{Booster, Dataset};
use super::{LightGbm, LightGbmPredictor};

pub(super) fn train(config: &LightGbm, problem: &Problem<'_>) -> Result<Learned> {
    let parameters = parameters(config, problem)?;
    let mut sets: Vec<(String, Matrix, Target)> = Vec::new();
    let (mut x, mut y, mut weights) =
        (problem.x.clone(), problem.y.clone(), problem.weights.clone());
    if let Some(share) = config.validation_fraction {
        let (kept, held) = hold_out(x.rows(), share, config.seed)?;
        sets.push(("validation".to_owned(), x.take(&held), y.take(&held)));
        (x, y) = (x.take(&kept), y.take(&kept));
        weights = weights.map(|w| kept.iter().map(|row| w[*row as usize]).collect());
    }
    for (index, frame) in config.validations.0.iter().enumerate() {
        let name = if index == 0 { "valid".to_owned() } else { format!("valid_{}", index + 1) };
        let (x, y) = (problem.encoder.encode(frame, Unseen::Missing)?, problem.reader.read(frame)?);
        sets.push((name, x, y));
    }
    let mut data = Dataset::new(&x, &parameters, None)?;
    data.set(c"label", &labels(&y))?;
    if let Some(weights) = &weights {
        data.set(c"weight", &narrow(weights))?;
    }
    data.set_names(&feature_names(problem))?;
    let mut validations = Vec::new();
    for (_, x, y) in &sets {
        let mut set = Dataset::new(x, &parameters, Some(&data))?;
        set.set(c"label", &labels(y))?;
        validations.push(set);
    }
    let mut booster = Booster::new(&data, &parameters)?;
    for set in &validations {
        booster.add_validation(set)?;
    }
    let names: Vec<String> = sets.iter().map(|(name, ..)| name.clone()).collect();
    let run = iterate(config, &mut booster, &names)?;
    let text = booster.to_text(Some(run.best))?;
    // The booster refers to the data sets: it goes first.
    drop(booster);
    let mut learned = Learned::new(LightGbmPredictor::new(text, problem.reader.task)?);
    learned.metrics.insert("best_iteration".to_owned(), float(run.best));
    for (name, values) in &run.history {
        if let Some(value) = values.get(run.best.saturating_sub(1)).filter(|v| v.is_finite()) {
            learned.metrics.insert(name.clone(), *value);
        }
    }
    learned.history = run.history;
    Ok(learned)
}

struct Run {
    /// Iterations to keep.
    best: usize,
    history: Vec<(String, Vec<f64>)>,
}

fn iterate(config: &LightGbm, booster: &mut Booster, sets: &[String]) -> Result<Run> {
    let metrics = if sets.is_empty() { Vec::new() } else { booster.metric_names()? };
    let mut history: Vec<(String, Vec<f64>)> = Vec::new();
    for set in sets {
        history.extend(metrics.iter().map(|metric| (format!("{set}_{metric}"), Vec::new())));
    }
    if config.early_stopping.is_some() && metrics.is_empty() {
        return Err(ModelError::LightGbm {
            doing: "starting to train",
            message: "early stopping needs a metric; use `with_metric`".to_owned(),
        });
    }
    let rises = metrics.first().is_some_and(|metric| higher_is_better(metric));
    let bar = Bar::new("LightGBM", config.n_estimators);
    let (mut best, mut best_value) = (0, f64::NAN);
    let mut done = 0;
    while done < config.n_estimators {
        check_interrupt()?;
        if booster.update()? {
            break;
        }
        done += 1;
        for set in 0..sets.len() {
            let values = booster.metrics(set + 1, metrics.len())?;
            for (metric, value) in values.into_iter().enumerate() {
                history[set * metrics.len() + metric].1.push(value);
            }
        }
        if let Some((name, values)) = history.first() {
            let value = values[done - 1];
            let better = if rises { value > best_value } else { value < best_value };
            if better || best == 0 {
                (best, best_value) = (done, value);
            }
            bar.message(format!("{name} {value:.5}"));
            if config.early_stopping.is_some_and(|rounds| done - best >= rounds) {
                break;
            }
        }
        bar.step();
    }
    let best = if config.early_stopping.is_some() { best } else { done };
    Ok(Run { best: best.max(1), history })
}

fn higher_is_better(metric: &str) -> bool {
    ["auc", "average_precision", "ndcg", "map", "r2"].iter().any(|m| metric.starts_with(m))
        && metric != "mape"
}

fn parameters(config: &LightGbm, problem: &Problem<'_>) -> Result<String> {
    let objective = config.objective.clone().unwrap_or_else(|| {
        match problem.reader.task {
            Task::Binary => "binary",
            Task::Multiclass => "multiclass",
            _ => "regression",
        }
        .to_owned()
    });
    let mut parts = vec![
        format!("objective={objective}"),
        format!("learning_rate={}", config.learning_rate),
        format!("num_leaves={}", config.num_leaves),
        format!("min_data_in_leaf={}", config.min_child_samples),
        format!("max_bin={}", config.max_bin),
        format!("lambda_l1={}", config.reg_alpha),
        format!("lambda_l2={}", config.reg_lambda),
        format!("feature_fraction={}", config.colsample_bytree),
        // LightGBM keeps seeds in 32 bits with a sign.
        format!("seed={}", config.seed & 0x7fff_ffff),
        "verbosity=-1 deterministic=true".to_owned(),
        // Which layout is faster depends on the width; the choice must not depend on timing.
        if problem.x.cols() > 100 { "force_col_wise=true" } else { "force_row_wise=true" }
            .to_owned(),
    ];
    if config.subsample < 1.0 {
        parts.push(format!("bagging_fraction={} bagging_freq=1", config.subsample));
    }
    if let Some(depth) = config.max_depth {
        parts.push(format!("max_depth={depth}"));
    }
    if let Some(metric) = &config.metric {
        parts.push(format!("metric={metric}"));
    }
    if let Some(threads) = config.num_threads {
        parts.push(format!("num_threads={threads}"));
    }
    if problem.reader.task == Task::Multiclass {
        parts.push(format!("num_class={}", problem.reader.classes.len()));
    }
    let columns = &problem.encoder.columns;
    let categorical: Vec<String> = (0..columns.len())
        .filter(|index| columns[*index].kind == ColumnKind::Categorical)
        .map(|index| index.to_string())
        .collect();
    if !categorical.is_empty() {
        parts.push(format!("categorical_feature={}", categorical.join(",")));
    }
    if !config.monotone_constraints.is_empty() {
        let known = |name: &String| columns.iter().any(|column| column.name == *name);
        if let Some(name) = config.monotone_constraints.keys().find(|name| !known(name)) {
            return Err(ModelError::MissingColumn {
                column: name.clone(),
                available: crate::target::list(columns.iter().map(|column| column.name.as_str())),
            });
        }
        let signs: Vec<String> = columns
            .iter()
            .map(|c| config.monotone_constraints.get(&c.name).copied().unwrap_or(0).to_string())
            .collect();
        parts.push(format!("monotone_constraints={}", signs.join(",")));
    }
    for (name, value) in &config.params {
        if name.contains(char::is_whitespace) || value.contains(char::is_whitespace) {
            return Err(ModelError::LightGbm {
                doing: "reading parameters",
                message: format!("`{name}={value}` holds a blank; LightGBM's parameters have none"),
            });
        }
        parts.push(format!("{name}={value}"));
    }
    Ok(parts.join(" "))
}

/// LightGBM allows neither blanks nor JSON's characters in names.
fn feature_names(problem: &Problem<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for column in &problem.encoder.columns {
        let plain = |c: char| if c.is_alphanumeric() || "_-.".contains(c) { c } else { '_' };
        let mut name: String = column.name.chars().map(plain).collect();
        while name.is_empty() || names.contains(&name) {
            name.push('_');
        }
        names.push(name);
    }
    names
}

fn labels(y: &Target) -> Vec<f32> {
    match y {
        #[expect(clippy::cast_precision_loss, reason = "fewer than 10,000 classes")]
        Target::Classes(codes, _) => codes.iter().map(|code| *code as f32).collect(),
        Target::Values(values) => narrow(values),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "LightGBM keeps labels and weights in 32 bits")]
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
