//! Flavors of a model's folder: what other tools load, and the files they need.

use std::fmt::Write as _;
use std::path::Path;

use oxilab_model_format::{ModelFile, Task};
use serde_json::Value;

use super::quoted;
use crate::{Result, TrackError};

/// LightGBM's version that reads the text which the library writes.
const LIGHTGBM: &str = "4.6.0";
/// The first version of Python's `onnx` that knows the operators which are written.
const ONNX: &str = "1.11.0";
/// Bytes of a model up to which it is written as ONNX by itself: its trees are two to three times as large
/// there, and a fit that is logged is not held up for them. `save_onnx` writes larger ones.
const MOST_ONNX: u64 = 32 << 20;
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

/// The model in the format of the library that made it. Behind a pipeline it reads other columns than the
/// model does, so there it is no flavor of it.
fn native<'a>(model: &'a ModelFile, kind: &str) -> Option<&'a [u8]> {
    (model.header.kind == kind).then(|| model.bytes("predictor/text").ok()).flatten()
}

/// LightGBM's own text beside ours, which `mlflow.lightgbm.load_model` reads.
pub(super) fn lightgbm(model: &ModelFile, folder: &Path) -> Result<String> {
    let Some(text) = native(model, "lightgbm") else { return Ok(String::new()) };
    write(folder, "model.lgb", text)?;
    Ok(format!(
        "  lightgbm:\n    code: null\n    data: model.lgb\n    lgb_version: {LIGHTGBM}\n    \
         model_class: lightgbm.basic.Booster\n"
    ))
}

/// XGBoost's own JSON beside ours, which `mlflow.xgboost.load_model` reads.
pub(super) fn xgboost(model: &ModelFile, folder: &Path) -> Result<String> {
    let Some(text) = native(model, "xgboost") else { return Ok(String::new()) };
    write(folder, "model.json", text)?;
    let version = model.header.libraries.get("xgboost").map_or("2.0", String::as_str);
    Ok(format!(
        "  xgboost:\n    code: null\n    data: model.json\n    model_class: xgboost.core.Booster\n    \
         model_format: json\n    xgb_version: {}\n",
        quoted(version)
    ))
}

/// ONNX beside ours, which `mlflow.onnx.load_model` reads, where ONNX's operators say what the model does.
pub(super) fn onnx(model: &ModelFile, data: &str, folder: &Path) -> Result<String> {
    let small = folder.join(data).metadata().is_ok_and(|file| file.len() <= MOST_ONNX);
    let found = small.then(|| oxilab_onnx::export(model).ok()).flatten();
    let Some(bytes) = found else { return Ok(String::new()) };
    write(folder, "model.onnx", &bytes)?;
    Ok(format!(
        "  onnx:\n    code: null\n    data: model.onnx\n    onnx_session_options: null\n    \
         onnx_version: {ONNX}\n    providers:\n    - CPUExecutionProvider\n"
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
    let Some(config) = json(&folder.join("model/config.json")) else { return Ok(None) };
    let Some(architecture) = config["architectures"][0].as_str() else { return Ok(None) };
    tokenizer(&folder.join("model"), folder)?;
    requirements(folder, &["mlflow>=2.9", "torch", "transformers"])?;
    let source = config["_name_or_path"].as_str().unwrap_or("oxilab");
    Ok(Some(language(architecture, source, "    model_binary: model\n")))
}

/// An adapter in PEFT's layout whose base is a folder of this machine: `mlflow.transformers.load_model`
/// loads both. A base that is a GGUF file or a name tells transformers nothing to load by.
pub(super) fn peft(folder: &Path) -> Result<Option<String>> {
    let Some(adapter) = json(&folder.join("adapter_config.json")) else { return Ok(None) };
    let base = Path::new(adapter["base_model_name_or_path"].as_str().unwrap_or_default());
    let Some(config) = json(&base.join("config.json")) else { return Ok(None) };
    let Some(architecture) = config["architectures"][0].as_str() else { return Ok(None) };
    let Ok(base) = base.canonicalize() else { return Ok(None) };
    tokenizer(&base, folder)?;
    requirements(folder, &["mlflow>=3", "peft", "torch", "transformers"])?;
    let base = base.display().to_string();
    let places = format!("    local_base_model_path: {}\n    peft_adaptor: .\n", quoted(&base));
    Ok(Some(language(architecture, &base, &places)))
}

/// What a JSON file holds, if there is one.
fn json(path: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// The tokenizer where MLflow looks for it.
fn tokenizer(from: &Path, folder: &Path) -> Result<()> {
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        let from = from.join(name);
        if from.is_file() {
            crate::artifact::copy_file(&from, &folder.join("components/tokenizer").join(name))?;
        }
    }
    Ok(())
}

/// The flavor of a language model, whose weights are at `places`.
fn language(architecture: &str, source: &str, places: &str) -> String {
    format!(
        "  transformers:\n    code: null\n    components:\n    - tokenizer\n    framework: pt\n    \
         instance_type: TextGenerationPipeline\n{places}    \
         pipeline_model_type: {architecture}\n    source_model_name: {}\n    \
         task: text-generation\n    tokenizer_type: PreTrainedTokenizerFast\n    \
         torch_dtype: torch.float32\n  python_function:\n    env:\n      conda: conda.yaml\n      \
         virtualenv: python_env.yaml\n    loader_module: mlflow.transformers\n",
        quoted(source)
    )
}
