//! Training: parameters and data for XGBoost, and its side of the loop.

use oxilab_model_format::Task;

use crate::boost::{self, Rounds, Set, Sets};
use crate::error::{ModelError, Result};
use crate::learner::{Learned, Problem};

use super::booster::{Booster, Data, Features, warnings};
use super::{LIBRARY, XgBoost, XgBoostPredictor};

pub(super) fn train(config: &XgBoost, problem: &Problem<'_>) -> Result<Learned> {
    let plan = config.plan();
    let sets = Sets::new(&plan, problem)?;
    // XGBoost's own names for columns must not hold these.
    let names = boost::feature_names(problem, |c| !"[]<".contains(c) && !c.is_control());
    let features = Features::new(&names, &boost::categorical(problem))?;
    let data = |set: &Set| -> Result<Data> {
        let mut data = Data::new(&set.x, config.num_threads)?;
        data.set(c"label", &set.labels)?;
        if let Some(weights) = &set.weights {
            data.set(c"weight", weights)?;
        }
        data.describe(&features)?;
        Ok(data)
    };
    let train = data(&sets.train)?;
    let validations = sets.validations.iter().map(data).collect::<Result<Vec<_>>>()?;
    let mut all = vec![&train];
    all.extend(&validations);
    let mut booster = Booster::new(&all)?;
    for (name, value) in parameters(config, problem)? {
        booster.set(&name, &value)?;
    }
    let watched: Vec<(&str, &Data)> =
        sets.validations.iter().zip(&validations).map(|(s, d)| (s.name.as_str(), d)).collect();
    let mut training = Training { booster, train: &train, watched };
    warnings();
    let run = boost::run(&plan, &sets, &mut training)?;
    let mut best = training.booster.first(run.best)?;
    best.describe(&features)?;
    let predictor = XgBoostPredictor::new(best.to_json()?, problem.reader.task, names)?;
    let mut learned = Learned::new(predictor);
    learned.metrics.extend(run.metrics());
    learned.history = run.history;
    Ok(learned)
}

struct Training<'a> {
    booster: Booster,
    train: &'a Data,
    watched: Vec<(&'a str, &'a Data)>,
}

impl Rounds for Training<'_> {
    fn grow(&mut self, number: usize) -> Result<bool> {
        self.booster.update(number, self.train)?;
        // XGBoost only warns of parameters it does not know, at the first iteration.
        match warnings().into_iter().find(|warning| warning.contains("are not used")) {
            Some(warning) => Err(ModelError::Library {
                library: LIBRARY,
                doing: "reading parameters",
                message: unused(&warning),
            }),
            None => Ok(false),
        }
    }

    fn measure(&mut self, number: usize) -> Result<Vec<(String, f64)>> {
        Ok(measured(&self.booster.evaluate(number, &self.watched)?))
    }
}

/// `Parameters: { "a", "b" } are not used.` with what to do.
fn unused(warning: &str) -> String {
    let inside = warning.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let names = inside.map_or(warning, |(names, _)| names.trim());
    format!("it has no parameter {names}, or does not use it here; check the spelling")
}

/// `[3]<tab>valid-rmse:1.5<tab>…` as `valid_rmse`, 1.5.
fn measured(line: &str) -> Vec<(String, f64)> {
    line.split('\t')
        .skip(1)
        .filter_map(|part| {
            // A metric may hold a colon (`ndcg@5`, `error@0.7` do not, custom ones might).
            let (name, value) = part.rsplit_once(':')?;
            Some((name.replacen('-', "_", 1), value.trim().parse().ok()?))
        })
        .collect()
}

fn parameters(config: &XgBoost, problem: &Problem<'_>) -> Result<Vec<(String, String)>> {
    let objective = config.objective.clone().unwrap_or_else(|| {
        match problem.reader.task {
            Task::Binary => "binary:logistic",
            Task::Multiclass => "multi:softprob",
            _ => "reg:squarederror",
        }
        .to_owned()
    });
    let mut parts: Vec<(String, String)> = [
        ("objective", objective),
        ("tree_method", "hist".to_owned()),
        ("learning_rate", config.learning_rate.to_string()),
        ("max_depth", config.max_depth.unwrap_or(0).to_string()),
        ("min_child_weight", config.min_child_weight.to_string()),
        ("gamma", config.gamma.to_string()),
        ("max_bin", config.max_bin.to_string()),
        ("reg_alpha", config.reg_alpha.to_string()),
        ("reg_lambda", config.reg_lambda.to_string()),
        ("subsample", config.subsample.to_string()),
        ("colsample_bytree", config.colsample_bytree.to_string()),
        ("seed", (config.seed & 0x7fff_ffff).to_string()),
        ("validate_parameters", "true".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let mut add = |name: &str, value: String| parts.push((name.to_owned(), value));
    if let Some(threads) = config.num_threads {
        add("nthread", threads.to_string());
    }
    for metric in config.metric.iter().flat_map(|metrics| metrics.split(',')) {
        add("eval_metric", metric.trim().to_owned());
    }
    if problem.reader.task == Task::Multiclass {
        add("num_class", problem.reader.classes.len().to_string());
    }
    if !config.monotone_constraints.is_empty() {
        let signs = boost::monotone_signs(&config.monotone_constraints, problem)?;
        add("monotone_constraints", format!("({})", signs.join(",")));
    }
    parts.extend(config.params.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_off_the_line() {
        let line = "[12]\tvalid-logloss:0.25000000\tvalid_2-error@0.7:1e-3";
        let expected =
            [("valid_logloss".to_owned(), 0.25), ("valid_2_error@0.7".to_owned(), 0.001)];
        assert_eq!(measured(line), expected);
        assert_eq!(measured("[0]"), []);
    }

    #[test]
    fn parameters_that_are_not_used_are_named() {
        let text =
            unused("WARNING: learner.cc:790: \nParameters: { \"max_deep\" } are not used.\n");
        assert!(text.contains("parameter \"max_deep\","), "{text}");
    }
}
