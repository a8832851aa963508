//! What fits tell whoever tracks them: parameters, data, metrics per iteration, and the model.

use std::path::Path;

use oxilab_runtime::training::{self, About, Data, Fitted, Outcome};
use polars::prelude::*;

use crate::cross_validation::CrossValidation;
use crate::error::{ModelError, Result};
use crate::fitted::FittedModel;

/// Rows of the input example.
const EXAMPLE: usize = 5;

fn about(learner: &str, params: &serde_json::Value) -> About {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let params = params.as_object().into_iter().flatten();
    About {
        learner: learner.to_owned(),
        library: env!("CARGO_PKG_NAME").to_owned(),
        params: params.map(|(name, value)| (name.clone(), text(value))).collect(),
    }
}

fn failure(error: &ModelError) -> Outcome<'static> {
    match error {
        ModelError::Interrupted => Outcome::Interrupted,
        other => Outcome::Failed(other.to_string()),
    }
}

/// Fits a learner to `train`, told to whoever tracks fits.
pub(crate) fn fit(
    learner: &str,
    params: impl FnOnce() -> serde_json::Value,
    train: &DataFrame,
    fit: impl FnOnce() -> Result<FittedModel>,
) -> Result<FittedModel> {
    let mut told = training::started(|| about(learner, &params()));
    let fitted = fit();
    if !told.is_observed() {
        return fitted;
    }
    match &fitted {
        Ok(model) => {
            let header = model.header();
            told.data(|| Data {
                context: "training".to_owned(),
                digest: header.training_data.clone(),
                rows: header.training_rows,
                columns: train
                    .columns()
                    .iter()
                    .map(|column| (column.name().to_string(), column.dtype().to_string()))
                    .collect(),
            });
            for (name, values) in model.iterations() {
                for (step, value) in (1..).zip(values) {
                    told.metrics(step, &[(name, *value)]);
                }
            }
            told.ended(Outcome::Fitted(&Saved { model, train }));
        }
        Err(error) => told.ended(failure(error)),
    }
    fitted
}

/// Runs a cross-validation, told as one fit: its folds belong to it.
pub(crate) fn cross_validation(
    learner: &str,
    params: impl FnOnce() -> serde_json::Value,
    run: impl FnOnce() -> Result<CrossValidation>,
) -> Result<CrossValidation> {
    let mut told = training::started(|| about(&format!("cross-validated {learner}"), &params()));
    let found = run();
    match &found {
        Ok(found) => {
            if told.is_observed() {
                for metric in found.metrics() {
                    for (fold, value) in (1..).zip(found.scores(metric)) {
                        told.metrics(fold, &[(&format!("fold_{metric}"), value)]);
                    }
                    let (mean, std) = (found.mean(metric), found.std(metric));
                    told.metrics(0, &[(metric, mean), (&format!("{metric}_std"), std)]);
                }
            }
            told.ended(Outcome::Finished);
        }
        Err(error) => told.ended(failure(error)),
    }
    found
}

/// A model and the frame that it was fitted to.
struct Saved<'a> {
    model: &'a FittedModel,
    train: &'a DataFrame,
}

impl Fitted for Saved<'_> {
    fn save(&self, folder: &Path) -> std::result::Result<String, String> {
        const NAME: &str = "model.oxm";
        self.model.save(folder.join(NAME)).map_err(|error| error.to_string())?;
        Ok(NAME.to_owned())
    }

    fn input_example(&self) -> Option<String> {
        let names = self.model.schema().names();
        let mut rows = self.train.select(names).ok()?.head(Some(EXAMPLE));
        let mut text = Vec::new();
        let mut writer = JsonWriter::new(&mut text).with_json_format(JsonFormat::Json);
        writer.finish(&mut rows).ok()?;
        String::from_utf8(text).ok()
    }
}
