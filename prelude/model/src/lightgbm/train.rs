//! Training: parameters and data sets for LightGBM, and its side of the loop.

use oxilab_model_format::Task;

use crate::boost::{self, Rounds, Set, Sets};
use crate::error::{ModelError, Result};
use crate::learner::{Learned, Problem};
use crate::matrix::Matrix;

use super::library::{Booster, Dataset};
use super::{LIBRARY, LightGbm, LightGbmPredictor};

pub(super) fn train(config: &LightGbm, problem: &Problem<'_>) -> Result<Learned> {
    let parameters = parameters(config, problem)?;
    let plan = config.plan();
    let sets = Sets::new(&plan, problem)?;
    let mut data = dataset(&sets.train, &parameters, None)?;
    data.set_names(&feature_names(problem))?;
    let validations: Vec<Dataset> = sets
        .validations
        .iter()
        .map(|set| dataset(set, &parameters, Some(&data)))
        .collect::<Result<_>>()?;
    let mut booster = Booster::new(&data, &parameters)?;
    for set in &validations {
        booster.add_validation(set)?;
    }
    let mut training = Training { metrics: booster.metric_names()?, booster, sets: &sets };
    let run = boost::run(&plan, &sets, &mut training)?;
    let text = training.booster.to_text(Some(run.best))?;
    // The booster refers to the data sets: it goes first.
    drop(training);
    drop((validations, data));
    let mut learned = Learned::new(LightGbmPredictor::new(text, problem.reader.task)?);
    learned.metrics.extend(run.metrics());
    learned.history = run.history;
    Ok(learned)
}

fn dataset(set: &Set, parameters: &str, reference: Option<&Dataset>) -> Result<Dataset> {
    let mut data = Dataset::new(&set.x, parameters, reference)?;
    data.set(c"label", &set.labels)?;
    if let Some(weights) = &set.weights {
        data.set(c"weight", weights)?;
    }
    Ok(data)
}

struct Training<'a> {
    booster: Booster,
    metrics: Vec<String>,
    sets: &'a Sets,
}

impl Rounds for Training<'_> {
    fn grow(&mut self, _number: usize) -> Result<bool> {
        self.booster.update()
    }

    fn measure(&mut self, _number: usize) -> Result<Vec<(String, f64)>> {
        let mut out = Vec::new();
        for (index, set) in self.sets.validations.iter().enumerate() {
            // Data set 0 is the training set.
            let values = self.booster.metrics(index + 1, self.metrics.len())?;
            let names = self.metrics.iter().map(|metric| format!("{}_{metric}", set.name));
            out.extend(names.zip(values));
        }
        Ok(out)
    }
}

/// The most numbers in a training frame that one thread works through alone. At this size 100 trees
/// take it 0.2 s, so that threads can win no more than that; on a busy machine of two cores, where
/// they wait for each other at the end of thousands of loops, two took 3.6 s (Iris: 0.08 s to 8 s
/// instead of 0.006 s).
const MOST_FOR_ONE_THREAD: usize = 200_000;

/// One thread for little data, unless the user named a number under one of LightGBM's names for it.
fn few_threads(config: &LightGbm, x: &Matrix) -> Option<usize> {
    let named = ["num_threads", "num_thread", "nthreads", "nthread", "n_jobs"];
    let open = !named.iter().any(|name| config.params.contains_key(*name));
    (open && x.rows().saturating_mul(x.cols()) <= MOST_FOR_ONE_THREAD).then_some(1)
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
    if let Some(threads) = config.num_threads.or_else(|| few_threads(config, &problem.x)) {
        parts.push(format!("num_threads={threads}"));
    }
    if problem.reader.task == Task::Multiclass {
        parts.push(format!("num_class={}", problem.reader.classes.len()));
    }
    let categorical: Vec<String> = boost::categorical(problem)
        .iter()
        .enumerate()
        .filter(|(_, categorical)| **categorical)
        .map(|(index, _)| index.to_string())
        .collect();
    if !categorical.is_empty() {
        parts.push(format!("categorical_feature={}", categorical.join(",")));
    }
    if !config.monotone_constraints.is_empty() {
        let signs = boost::monotone_signs(&config.monotone_constraints, problem)?;
        parts.push(format!("monotone_constraints={}", signs.join(",")));
    }
    for (name, value) in &config.params {
        if name.contains(char::is_whitespace) || value.contains(char::is_whitespace) {
            return Err(ModelError::Library {
                library: LIBRARY,
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
    boost::feature_names(problem, |c| c.is_alphanumeric() || "_-.".contains(c))
}
