//! Flavors of a model's folder: what other tools load, and the files they need.

use std::fmt::Write as _;
use std::path::Path;

use oxilab_model_format::{ModelFile, Task};
use serde_json::Value;

use super::quoted;
use crate::{Result, TrackError};

/// LightGBM's version that reads the text which the library writes.
const LIGHTGBM: &str = "4.6.0";
/// MLflow's loader of our own models.
const LOADER: &str = include_str!("oxilab_pyfunc.py");

pub(super) fn write(folder: &Path, name: &str, content: &[u8]) -> Result<()> {
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .map_err(|error| TrackError::file("create", parent, error))?;
    }
    std::fs::write(&path, content).map_err(|error| TrackError::file("write", path, error))
}

/// LightGBM's own text beside ours, which `mlflow.lightgbm.load_model` reads.
pub(super) fn lightgbm(model: &ModelFile, folder: &Path) -> Result<String> {
    let text = ["predictor/text", "text"].iter().find_map(|name| model.bytes(name).ok());
    let Some(text) = text.filter(|text| text.starts_with(b"tree")) else {
        return Ok(String::new());
    };
    write(folder, "model.lgb", text)?;
    Ok(format!(
        "  lightgbm:\n    code: null\n    data: model.lgb\n    lgb_version: {LIGHTGBM}\n    \
         model_class: lightgbm.basic.Booster\n"
    ))
}

/// XGBoost's own JSON beside ours, which `mlflow.xgboost.load_model` reads.
pub(super) fn xgboost(model: &ModelFile, folder: &Path) -> Result<String> {
    let text = ["predictor/text", "text"].iter().find_map(|name| model.bytes(name).ok());
    let ours = model.header.kind.to_lowercase().contains("xgb");
    let Some(text) = text.filter(|text| ours && text.starts_with(b"{")) else {
        return Ok(String::new());
    };
    write(folder, "model.json", text)?;
    let version = model.header.libraries.get("xgboost").map_or("2.0", String::as_str);
    Ok(format!(
        "  xgboost:\n    code: null\n    data: model.json\n    model_class: xgboost.core.Booster\n    \
         model_format: json\n    xgb_version: {}\n",
        quoted(version)
    ))
}

/// `pyfunc` through the small loader, for what predicts rows.
pub(super) fn pyfunc(model: &ModelFile, data: &str, folder: &Path) -> Result<String> {
    if model.header.schema.task == Task::Decomposition {
        return Ok(String::new());
    }
    write(folder, "code/oxilab_pyfunc.py", LOADER.as_bytes())?;
    requirements(folder, &["mlflow>=2.9", "numpy", "pandas"])?;
    Ok(format!(
        "  python_function:\n    code: code\n    data: {}\n    env:\n      conda: conda.yaml\n      \
         virtualenv: python_env.yaml\n    loader_module: oxilab_pyfunc\n",
        quoted(data)
    ))
}

/// What a Python needs to load the model.
fn requirements(folder: &Path, packages: &[&str]) -> Result<()> {
    const PYTHON: &str = "3.11";
    write(folder, "requirements.txt", (packages.join("\n") + "\n").as_bytes())?;
    let environment = format!(
        "python: \"{PYTHON}\"\nbuild_dependencies:\n- pip\n- setuptools\n- wheel\ndependencies:\n\
         - -r requirements.txt\n"
    );
    write(folder, "python_env.yaml", environment.as_bytes())?;
    let mut conda =
        format!("channels:\n- conda-forge\ndependencies:\n- python={PYTHON}\n- pip\n- pip:\n");
    for package in packages {
        // Writing to a string cannot fail.
        let _ = writeln!(conda, "  - {package}");
    }
    write(folder, "conda.yaml", (conda + "name: mlflow-env\n").as_bytes())
}

/// A language model in Hugging Face's layout: `mlflow.transformers.load_model` reads it. The folder
/// `model` holds weights and configuration, `components/tokenizer` the tokenizer.
pub(super) fn transformers(folder: &Path) -> Result<Option<String>> {
    let Ok(text) = std::fs::read_to_string(folder.join("model/config.json")) else {
        return Ok(None);
    };
    let config: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let Some(architecture) = config["architectures"][0].as_str() else { return Ok(None) };
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        let from = folder.join("model").join(name);
        if from.is_file() {
            crate::artifact::copy_file(&from, &folder.join("components/tokenizer").join(name))?;
        }
    }
    requirements(folder, &["mlflow>=2.9", "torch", "transformers"])?;
    let source = config["_name_or_path"].as_str().unwrap_or("oxilab");
    Ok(Some(format!(
        "  transformers:\n    code: null\n    components:\n    - tokenizer\n    framework: pt\n    \
         instance_type: TextGenerationPipeline\n    model_binary: model\n    \
         pipeline_model_type: {architecture}\n    source_model_name: {}\n    \
         task: text-generation\n    tokenizer_type: PreTrainedTokenizerFast\n    \
         torch_dtype: torch.float32\n  python_function:\n    env:\n      conda: conda.yaml\n      \
         virtualenv: python_env.yaml\n    loader_module: mlflow.transformers\n",
        quoted(source)
    )))
}
