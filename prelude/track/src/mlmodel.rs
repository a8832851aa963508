//! The folder of a model in MLflow's layout: `MLmodel` with an `oxilab` flavor, and files for other
//! tools where the model allows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use oxilab_model_format::{Column, ModelFile};

use crate::{Result, TrackError, artifact};

/// The description of a model's folder.
const FILE: &str = "MLmodel";
/// How a file of our own models starts.
const MAGIC: &[u8] = b"OXIMODEL";

/// A folder that is ready to be registered.
pub(crate) struct Staged {
    pub(crate) folder: tempfile::TempDir,
    /// The metrics that the model carries.
    pub(crate) metrics: BTreeMap<String, f64>,
}

fn quoted(text: &str) -> String {
    // A JSON string is a YAML string.
    serde_json::Value::from(text).to_string()
}

fn type_of(column: &Column) -> &'static str {
    match column.dtype.as_str() {
        "bool" => "boolean",
        "i8" | "i16" | "i32" | "u8" | "u16" => "integer",
        "i64" | "u32" | "u64" => "long",
        "f32" => "float",
        "f64" => "double",
        _ => "string",
    }
}

/// Copies a model's file or folder and describes it.
pub(crate) fn stage(from: &Path, run: &str) -> Result<Staged> {
    let folder = tempfile::tempdir()
        .map_err(|error| TrackError::file("create", std::env::temp_dir(), error))?;
    let files = artifact::files(from)?;
    if files.is_empty() {
        return Err(TrackError::missing("file of the model", from.display().to_string()));
    }
    for (file, artifact) in &files {
        artifact::copy_file(file, &folder.path().join(&artifact.path))?;
    }
    let mut metrics = BTreeMap::new();
    if !folder.path().join(FILE).exists() {
        let mut text =
            format!("run_id: {}\nmodel_uuid: {}\n", quoted(run), uuid::Uuid::new_v4().simple());
        let created = chrono::Utc::now().format("%Y-%m-%d %H:%M:%S%.6f");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "utc_time_created: '{created}'");
        let data =
            if let [(_, only)] = files.as_slice() { only.path.clone() } else { String::new() };
        let own = ours(&folder.path().join(&data))?;
        text.push_str("flavors:\n");
        let _ = writeln!(
            text,
            "  oxilab:\n    oxilab_version: {}\n    data: {}",
            quoted(env!("CARGO_PKG_VERSION")),
            quoted(if data.is_empty() { "." } else { &data })
        );
        if let Some(model) = own {
            text.push_str(&native(&model, folder.path())?);
            text.push_str(&signature(&model));
            metrics = model.header.metrics;
        }
        let path = folder.path().join(FILE);
        std::fs::write(&path, text).map_err(|error| TrackError::file("write", path, error))?;
    }
    Ok(Staged { folder, metrics })
}

/// The model, when the file is one of ours.
fn ours(path: &Path) -> Result<Option<ModelFile>> {
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = std::fs::read(path).map_err(|error| TrackError::file("read", path, error))?;
    if !bytes.starts_with(MAGIC) {
        return Ok(None);
    }
    ModelFile::from_bytes(&bytes).map(Some).map_err(|error| TrackError::Save(error.to_string()))
}

/// LightGBM's own text, and the flavors that read it.
fn native(model: &ModelFile, folder: &Path) -> Result<String> {
    let Ok(text) = model.bytes("text") else { return Ok(String::new()) };
    if !text.starts_with(b"tree") {
        return Ok(String::new());
    }
    let path = folder.join("model.lgb");
    std::fs::write(&path, text).map_err(|error| TrackError::file("write", path, error))?;
    Ok("  lightgbm:\n    data: model.lgb\n    model_class: lightgbm.basic.Booster\n    \
        lgb_version: 4.6.0\n    code: null\n  python_function:\n    \
        loader_module: mlflow.lightgbm\n    data: model.lgb\n    env: {}\n"
        .to_owned())
}

fn signature(model: &ModelFile) -> String {
    let column = |column: &Column| {
        serde_json::json!({
            "name": column.name,
            "type": type_of(column),
            "required": !column.nullable,
        })
    };
    let inputs: serde_json::Value = model.header.schema.columns.iter().map(column).collect();
    let outputs = r#"[{"type":"tensor","tensor-spec":{"dtype":"float64","shape":[-1]}}]"#;
    format!(
        "signature:\n  inputs: {}\n  outputs: {}\n  params: null\n",
        quoted(&inputs.to_string()),
        quoted(outputs)
    )
}

/// What to load from a model's folder: the file of the `oxilab` flavor, else the folder.
pub(crate) fn entry(folder: &Path) -> Result<PathBuf> {
    let path = folder.join(FILE);
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(folder.to_owned()) };
    let mut lines = text.lines().skip_while(|line| line.trim_end() != "  oxilab:").skip(1);
    let data = lines.find_map(|line| line.strip_prefix("    data: ")).unwrap_or(".");
    let data = serde_json::from_str::<String>(data).unwrap_or_else(|_| data.to_owned());
    if data == "." {
        return Ok(folder.to_owned());
    }
    artifact::check(&data)?;
    Ok(folder.join(data))
}
