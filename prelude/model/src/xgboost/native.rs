//! Models of other programs: [`XgBoost::from_native`] and [`XgBoost::load_native`].

use std::path::Path;

use oxilab_model_format::Task;
use serde_json::Value;

use crate::error::{ModelError, Result};
use crate::fitted::FittedModel;
use crate::learner::Learned;
use crate::native;
use crate::predictor::consistent;

use super::booster::Booster;
use super::{LIBRARY, XgBoost, XgBoostPredictor, ubjson};

impl XgBoost {
    /// A model from XGBoost's JSON or UBJSON (`Booster.save_model` and `save_raw` in Python). Its
    /// columns are numbers named as the features; categories are their numbers; classes are `0`, `1`, ….
    ///
    /// # Errors
    /// If these are not an XGBoost model, or one that predicts neither classes nor numbers.
    pub fn from_native(model: impl AsRef<[u8]>) -> Result<FittedModel> {
        let mut text = to_json(model.as_ref())?;
        let mut found = Description::of(&text)?;
        if found.objective == "multi:softmax" {
            // The same model, with probabilities instead of the likeliest class.
            let mut booster = Booster::from_json(&text)?;
            booster.set("objective", "multi:softprob")?;
            text = booster.to_json()?;
            found = Description::of(&text)?;
        }
        let task = match found.objective.as_str() {
            "binary:logistic" => Task::Binary,
            "multi:softprob" => Task::Multiclass,
            other if other.starts_with("reg:") || other.starts_with("count:") => Task::Regression,
            other => {
                return Err(unreadable(format!(
                    "its objective {other} gives neither classes nor numbers; models of \
                     binary:logistic, multi:softprob, reg:* and count:* are read"
                )));
            }
        };
        let classes = match task {
            Task::Binary => 2,
            Task::Multiclass => found.classes,
            _ => 0,
        };
        let predictor = XgBoostPredictor::new(text, task, found.features.clone())?;
        let learned = Learned::new(predictor);
        Ok(native::model("XgBoost", found.features, (task, classes), &found.objective, learned))
    }

    /// As [`XgBoost::from_native`], from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or as [`XgBoost::from_native`].
    pub fn load_native(path: impl AsRef<Path>) -> Result<FittedModel> {
        Self::from_native(native::read(LIBRARY, path.as_ref())?)
    }
}

/// A model's JSON, whether it comes as JSON or UBJSON.
fn to_json(model: &[u8]) -> Result<String> {
    // JSON's objects go on with a quote or a blank, UBJSON's with the type of a length.
    let is_json =
        model.get(1).is_some_and(|byte| matches!(byte, b'"' | b' ' | b'\n' | b'\r' | b'\t'));
    let read = if model.first() != Some(&b'{') {
        Err("it does not begin with `{`; pass what `Booster.save_model` wrote".to_owned())
    } else if is_json {
        String::from_utf8(model.to_vec()).map_err(|error| error.to_string())
    } else {
        ubjson::read(model).map(|value| value.to_string())
    };
    read.map_err(|problem| unreadable(format!("this is no XGBoost model: {problem}")))
}

fn unreadable(message: String) -> ModelError {
    ModelError::Library { library: LIBRARY, doing: "reading the model", message }
}

/// What a model's JSON says of itself.
pub(super) struct Description {
    pub(super) objective: String,
    pub(super) classes: usize,
    /// The features' names, `f0`, `f1`, … if they have none.
    pub(super) features: Vec<String>,
}

impl Description {
    /// Reads the JSON, and refuses trees whose nodes point outside of them: XGBoost does not check.
    pub(super) fn of(text: &str) -> Result<Self> {
        let model: Value = serde_json::from_str(text)
            .map_err(|source| unreadable(format!("this is not XGBoost's JSON: {source}")))?;
        let learner = &model["learner"];
        let parameters = &learner["learner_model_param"];
        let count = number(&parameters["num_feature"]);
        let mut features: Vec<String> = list(&learner["feature_names"])
            .iter()
            .filter_map(|name| Some(name.as_str()?.to_owned()))
            .collect();
        if features.is_empty() {
            consistent(count <= 10_000_000)?;
            features = (0..count).map(|feature| format!("f{feature}")).collect();
        }
        consistent(features.len() == count)?;
        let booster = &learner["gradient_booster"];
        // `dart` wraps the trees of `gbtree`.
        let trees = match &booster["gbtree"] {
            Value::Null => &booster["model"]["trees"],
            inner => &inner["model"]["trees"],
        };
        for tree in list(trees) {
            consistent(is_sound(tree, count))?;
        }
        let objective = learner["objective"]["name"].as_str().unwrap_or_default().to_owned();
        Ok(Self { objective, classes: number(&parameters["num_class"]), features })
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// XGBoost writes numbers of parameters as text.
fn number(value: &Value) -> usize {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Whether every path from the root ends, within the tree and its features.
fn is_sound(tree: &Value, features: usize) -> bool {
    let column = |name: &str| -> Vec<i64> {
        list(&tree[name]).iter().map(|value| value.as_i64().unwrap_or(i64::MIN)).collect()
    };
    let (left, right, split) =
        (column("left_children"), column("right_children"), column("split_indices"));
    let nodes = left.len();
    let sizes = ["split_conditions", "default_left"].map(|name| list(&tree[name]).len());
    if nodes == 0 || [right.len(), split.len(), sizes[0], sizes[1]] != [nodes; 4] {
        return false;
    }
    native::paths_end(nodes, |node| {
        // −1 marks a leaf.
        if left[node] == -1 {
            return Some(Vec::new());
        }
        let known = usize::try_from(split[node]).is_ok_and(|feature| feature < features);
        let below = [left[node], right[node]].map(|child| usize::try_from(child).ok());
        if known { below.into_iter().collect() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tree(left: &[i64], right: &[i64], split: &[i64]) -> Value {
        let zeros = vec![0; left.len()];
        json!({"left_children": left, "right_children": right, "split_indices": split,
            "split_conditions": zeros, "default_left": zeros})
    }

    #[test]
    fn trees_that_leave_themselves_are_refused() {
        assert!(is_sound(&tree(&[1, -1, -1], &[2, -1, -1], &[0, 0, 0]), 1));
        assert!(!is_sound(&tree(&[1, 0, -1], &[2, 2, -1], &[0, 0, 0]), 1), "a circle");
        assert!(!is_sound(&tree(&[1, -1, -1], &[3, -1, -1], &[0, 0, 0]), 1), "a node too many");
        assert!(!is_sound(&tree(&[1, -1, -1], &[2, -1, -1], &[1, 0, 0]), 1), "a feature too many");
        assert!(!is_sound(&json!({}), 1));
    }
}
