//! Models of Python's `lightgbm`: [`LightGbm::from_native`] and [`LightGbm::load_native`].

use std::path::Path;

use oxilab_model_format::Task;

use crate::error::{ModelError, Result};
use crate::fitted::FittedModel;
use crate::learner::Learned;
use crate::native;

use super::{LIBRARY, LightGbm, LightGbmPredictor};

impl LightGbm {
    /// A model from LightGBM's text format (`Booster.save_model` and `model_to_string` in Python). Its
    /// columns are numbers named as the features; categories are their numbers; classes are `0`, `1`, ….
    ///
    /// # Errors
    /// If the text is not a LightGBM model, or of an objective that predicts neither classes nor
    /// numbers.
    pub fn from_native(text: &str) -> Result<FittedModel> {
        let line = |key: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .unwrap_or_default()
        };
        if !text.starts_with("tree") || line("feature_names").is_empty() {
            return Err(ModelError::Library {
                library: LIBRARY,
                doing: "reading the model text",
                message: "this is not LightGBM's text format; pass what `Booster.save_model` wrote"
                    .to_owned(),
            });
        }
        let objective = line("objective").split(' ').next().unwrap_or_default();
        let classes: usize = line("num_class").parse().unwrap_or(1);
        let task = match objective {
            "binary" | "cross_entropy" => Task::Binary,
            "multiclass" | "multiclassova" => Task::Multiclass,
            _ => Task::Regression,
        };
        let count = match task {
            Task::Binary => 2,
            Task::Multiclass => classes,
            _ => 0,
        };
        let names = line("feature_names").split(' ').map(str::to_owned).collect();
        let learned = Learned::new(LightGbmPredictor::of_file(text.to_owned(), task)?);
        Ok(native::model("LightGbm", names, (task, count), objective, learned))
    }

    /// As [`LightGbm::from_native`], from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or as [`LightGbm::from_native`].
    pub fn load_native(path: impl AsRef<Path>) -> Result<FittedModel> {
        let text = String::from_utf8_lossy(&native::read(LIBRARY, path.as_ref())?).into_owned();
        Self::from_native(&text)
    }
}
