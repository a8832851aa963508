//! The folder of a model in MLflow's layout: `MLmodel` with an `oxilab` flavor, and files for other
//! tools where the model allows.

mod card;
mod flavors;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxilab_model_format::{Column, Header, ModelFile, Task, write_whole};
use oxilab_runtime::training::Fitted;

use crate::{Result, Run, TrackError, artifact};

/// How the name of a model's reference ends; `oxilab-serve` writes it.
const REFERENCE: &str = ".reference.parquet";
/// The description of a model's folder.
pub(crate) const FILE: &str = "MLmodel";
/// How a file of our own models starts.
const MAGIC: &[u8] = b"OXIMODEL";
/// Metadata is kept in tags up to here.
const LONGEST_TAG: usize = 2000;

/// A folder that is ready to be registered.
pub(crate) struct Staged {
    pub(crate) folder: tempfile::TempDir,
    /// The metrics that the model carries.
    pub(crate) metrics: BTreeMap<String, f64>,
    /// What the model says of itself, as tags of its run.
    pub(crate) tags: BTreeMap<String, String>,
}

/// What a fit knows beyond the model's file.
#[derive(Clone, Default)]
pub(crate) struct Extras {
    /// A few rows of input: a list of objects as JSON.
    pub(crate) example: Option<String>,
    /// In Markdown.
    pub(crate) card: Option<String>,
}

/// Examples of fits that were logged, by the digest of their data: a model that is registered later has
/// one as well.
static EXAMPLES: Mutex<BTreeMap<String, String>> = Mutex::new(BTreeMap::new());

fn examples() -> MutexGuard<'static, BTreeMap<String, String>> {
    EXAMPLES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn quoted(text: &str) -> String {
    // A JSON string is a YAML string.
    serde_json::Value::from(text).to_string()
}

/// MLflow's type for a column's type. Whole numbers that may be missing are fractions in pandas.
pub(crate) fn type_of(dtype: &str, nullable: bool) -> &'static str {
    match dtype {
        "bool" => "boolean",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" if !nullable => "long",
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" | "f32" | "f64" => "double",
        "date" => "datetime",
        other if other.starts_with("datetime") => "datetime",
        _ => "string",
    }
}

/// Writes a model that was fitted into the folder `under` of a run.
pub(crate) fn log(run: &Run, model: &dyn Fitted, under: &str) -> Result<()> {
    let folder = tempfile::tempdir()
        .map_err(|error| TrackError::file("create", std::env::temp_dir(), error))?;
    let name = model.save(folder.path()).map_err(TrackError::Save)?;
    artifact::check(&name)?;
    let extras = Extras { example: model.input_example(), card: model.card() };
    let staged = stage(&folder.path().join(name), run.id(), Some(extras))?;
    for (key, value) in &staged.tags {
        run.set_tag(key, value)?;
    }
    let known = run.record()?.metrics;
    for (key, value) in &staged.metrics {
        if !known.contains_key(key) {
            run.log_metric(key, *value, 0)?;
        }
    }
    run.log_folder(staged.folder.path(), under)
}

/// Copies a model's file or folder and describes it.
pub(crate) fn stage(from: &Path, run: &str, extras: Option<Extras>) -> Result<Staged> {
    let folder = tempfile::tempdir()
        .map_err(|error| TrackError::file("create", std::env::temp_dir(), error))?;
    let files = artifact::files(from)?;
    if files.is_empty() {
        return Err(TrackError::missing("file of the model", from.display().to_string()));
    }
    // What is described already is taken as it is; a folder of a language model has a place of its own.
    let described = from.join(FILE).exists();
    let language = !described && from.join("config.json").exists();
    let under = if language { "model/" } else { "" };
    for (file, artifact) in &files {
        artifact::copy_file(file, &folder.path().join(format!("{under}{}", artifact.path)))?;
    }
    let mut staged = Staged { folder, metrics: BTreeMap::new(), tags: BTreeMap::new() };
    if !described {
        // Rows that drift is measured against stand beside a model's file and are no part of it.
        let mut models = files.iter().filter(|(_, file)| !file.path.ends_with(REFERENCE));
        let data = match (models.next(), models.next()) {
            _ if language => "model".to_owned(),
            (Some((_, only)), None) => only.path.clone(),
            _ => ".".to_owned(),
        };
        describe(&mut staged, &data, run, extras.unwrap_or_default())?;
    }
    Ok(staged)
}

/// Writes a fitted model as ONNX, for programs that know nothing of oxilab: ONNX Runtime, Triton, Spark,
/// browsers. Inputs are the columns by name; outputs are `prediction` and, for classifiers,
/// `probabilities`. A model of up to 32 MB that is registered or logged has the same file beside it as
/// `model.onnx`.
///
/// ```no_run
/// use oxilab_track as track;
/// track::save_onnx(track::load_path("models:/fraud@champion")?, "fraud.onnx")?;
/// # Ok::<(), track::TrackError>(())
/// ```
///
/// # Errors
/// If `model` cannot be read or is no fitted model of ours; if ONNX has no operators for it, as for one
/// behind a pipeline (the reason is named); and if `onnx` cannot be written.
pub fn save_onnx(model: impl AsRef<Path>, onnx: impl AsRef<Path>) -> Result<()> {
    let (from, to) = (model.as_ref(), onnx.as_ref());
    std::fs::metadata(from).map_err(|error| TrackError::file("read", from, error))?;
    let Some(model) = ours(from)? else {
        return Err(TrackError::missing("fitted model", from.display().to_string()));
    };
    let bytes = oxilab_onnx::export(&model).map_err(|error| TrackError::Save(error.to_string()))?;
    write_whole(to, &bytes).map_err(|error| TrackError::file("write", to, error))
}

fn describe(staged: &mut Staged, data: &str, run: &str, extras: Extras) -> Result<()> {
    let folder = staged.folder.path();
    let mut text =
        format!("run_id: {}\nmodel_uuid: {}\n", quoted(run), uuid::Uuid::new_v4().simple());
    let created = chrono::Utc::now().format("%Y-%m-%d %H:%M:%S%.6f");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "utc_time_created: '{created}'");
    let _ = writeln!(
        text,
        "flavors:\n  oxilab:\n    oxilab_version: {}\n    data: {}",
        quoted(env!("CARGO_PKG_VERSION")),
        quoted(data)
    );
    let mut card = extras.card;
    if let Some(model) = ours(&folder.join(data))? {
        text.push_str(&flavors::lightgbm(&model, folder)?);
        text.push_str(&flavors::xgboost(&model, folder)?);
        text.push_str(&flavors::onnx(&model, data, folder)?);
        text.push_str(&flavors::pyfunc(&model, data, folder)?);
        text.push_str(&signature(&model));
        let header = &model.header;
        let known = examples().get(&header.training_data).cloned();
        if let Some(example) = extras.example.or(known) {
            if let Some(written) = input_example(header, &example, folder)? {
                text.push_str(written);
            }
            examples().insert(header.training_data.clone(), example);
        }
        card.get_or_insert_with(|| card::of(header));
        staged.tags = tags(header);
        staged.metrics = model.header.metrics;
    } else if let Some(flavors) = match flavors::transformers(folder)? {
        None => flavors::peft(folder)?,
        found => found,
    } {
        text.push_str(&flavors);
    }
    if let Some(card) = card {
        flavors::write(folder, "model_card.md", card.as_bytes())?;
    }
    flavors::write(folder, FILE, text.as_bytes())
}

/// What a model says of itself, as tags of its run.
fn tags(header: &Header) -> BTreeMap<String, String> {
    let short = |text: &str| text.chars().take(LONGEST_TAG).collect::<String>();
    let columns: Vec<String> =
        header.schema.columns.iter().map(|c| format!("{}: {}", c.name, c.dtype)).collect();
    let mut tags = BTreeMap::from([
        ("oxilab.learner".to_owned(), header.learner.clone()),
        ("oxilab.task".to_owned(), header.schema.task.to_string()),
        ("oxilab.data.training.digest".to_owned(), header.training_data.clone()),
        ("oxilab.data.training.rows".to_owned(), header.training_rows.to_string()),
        ("oxilab.data.training.schema".to_owned(), short(&columns.join(", "))),
    ]);
    for (library, version) in &header.libraries {
        tags.insert(format!("oxilab.crate.{library}"), version.clone());
    }
    tags
}

/// The model, when the file is one of ours. Other files are not read: they may be large.
fn ours(path: &Path) -> Result<Option<ModelFile>> {
    let failed = |error| TrackError::file("read", path, error);
    if !path.is_file() {
        return Ok(None);
    }
    let mut start = [0; MAGIC.len()];
    let mut file = std::fs::File::open(path).map_err(failed)?;
    match file.read_exact(&mut start) {
        Ok(()) if start == *MAGIC => {}
        Ok(()) => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    let bytes = std::fs::read(path).map_err(failed)?;
    ModelFile::from_bytes(&bytes).map(Some).map_err(|error| TrackError::Save(error.to_string()))
}

fn signature(model: &ModelFile) -> String {
    let schema = &model.header.schema;
    let column = |column: &Column| {
        serde_json::json!({
            "name": column.name,
            "type": type_of(&column.dtype, column.nullable),
            "required": true,
        })
    };
    let inputs: serde_json::Value = schema.columns.iter().map(column).collect();
    let target = schema.target_dtype.as_deref().unwrap_or_default();
    let tensor = |dtype: &str| {
        serde_json::json!([
            { "type": "tensor", "tensor-spec": { "dtype": dtype, "shape": [-1] } }
        ])
    };
    let outputs = match schema.task {
        Task::Regression => tensor("float64"),
        Task::Clustering => tensor("int64"),
        Task::Anomaly => tensor("bool"),
        _ => match type_of(target, false) {
            "boolean" => tensor("bool"),
            "long" => tensor("int64"),
            "double" => tensor("float64"),
            _ => serde_json::json!([{ "type": "string", "required": true }]),
        },
    };
    format!(
        "signature:\n  inputs: {}\n  outputs: {}\n  params: null\n",
        quoted(&inputs.to_string()),
        quoted(&outputs.to_string())
    )
}

/// Writes the example as MLflow's clients and servers read it. `None` when it is no list of rows.
fn input_example(header: &Header, example: &str, folder: &Path) -> Result<Option<&'static str>> {
    let parsed: serde_json::Value = serde_json::from_str(example).unwrap_or_default();
    let Some(rows) = parsed.as_array() else { return Ok(None) };
    let columns = header.schema.names();
    let data: Vec<Vec<&serde_json::Value>> =
        rows.iter().map(|row| columns.iter().map(|name| &row[*name]).collect()).collect();
    let split = serde_json::json!({ "columns": columns, "data": data });
    flavors::write(folder, "input_example.json", split.to_string().as_bytes())?;
    let serving = serde_json::json!({ "dataframe_split": split });
    flavors::write(folder, "serving_input_example.json", serving.to_string().as_bytes())?;
    Ok(Some(
        "saved_input_example_info:\n  artifact_path: input_example.json\n  \
         pandas_orient: split\n  serving_input_path: serving_input_example.json\n  \
         type: dataframe\n",
    ))
}

/// The description of a folder as it stands at a server that gave the model an identifier.
pub(crate) fn with_id(file: &Path, model: &str, run: &str, root: &str) -> Result<String> {
    let text =
        std::fs::read_to_string(file).map_err(|error| TrackError::file("read", file, error))?;
    let ours = ["run_id:", "model_uuid:", "model_id:", "artifact_path:"];
    let kept = text.lines().filter(|line| !ours.iter().any(|key| line.starts_with(key)));
    let kept: String = kept.map(|line| format!("{line}\n")).collect();
    Ok(format!(
        "artifact_path: {}\nmodel_id: {model}\nmodel_uuid: {model}\nrun_id: {}\n{kept}",
        quoted(&format!("mlflow-artifacts:/{root}")),
        quoted(run)
    ))
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
