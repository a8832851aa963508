//! `%retrain` and `%rollback`.

use super::{Verb, show};

pub(in super::super) static RETRAIN: Verb = Verb {
    name: &["retrain"],
    summary: "runs a declared retraining if a trigger holds: notebook, comparison, promotion",
    usage: "%retrain FILE [--now]",
    compose: |words, _| match words {
        [file, "--now"] => {
            Ok(show(&format!("::oxilab::serve::Retrain::load({file:?})?.run(\"asked for\")?")))
        }
        [file] if !file.starts_with("--") => Ok(format!(
            "match ::oxilab::serve::Retrain::load({file:?})?.run_if_due()? {{ \
             Some(done) => {} None => ::std::println!(\"no trigger holds\"), }}",
            show("done").replace(';', ",")
        )),
        _ => Err("the file that declares the retraining is needed".to_owned()),
    },
};

pub(in super::super) static ROLLBACK: Verb = Verb {
    name: &["rollback"],
    summary: "points an alias of a registered model back at the version before",
    usage: "%rollback NAME@ALIAS",
    compose: |words, _| match words {
        [model] if model.contains('@') => {
            let (name, alias) = model.split_once('@').unwrap_or_default();
            Ok(show(&format!("::oxilab::serve::rollback({name:?}, {alias:?})?")))
        }
        _ => Err("a model and its alias are needed: `%rollback churn@prod`".to_owned()),
    },
};
