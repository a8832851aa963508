//! Models by name, version and alias: [`register`], [`load_path`], [`models`], [`tag_version`],
//! [`describe`].

use std::path::{Path, PathBuf};

use oxilab_display::table::{Heading, Table};
use oxilab_display::{MimeBundle, Render};
use sha2::{Digest, Sha256};

use crate::record::{ModelVersion, check_name};
use crate::session::{Session, active_run, session, start_run};
use crate::{Result, TrackError, mlmodel};

/// Registers a model's file or folder as the next version of `name`. The version belongs to the active
/// run, or to a new one; metrics that the model carries become metrics of the run.
///
/// ```
/// use oxilab_track as track;
/// track::set_uri("memory:")?;
/// let folder = tempfile::tempdir().expect("folder");
/// std::fs::write(folder.path().join("weights.bin"), b"1234").expect("written");
/// let version = track::register(folder.path().join("weights.bin"), "demo")?;
/// track::promote("demo", version.version, "champion")?;
/// let path = track::load_path("models:/demo@champion")?;
/// assert_eq!(std::fs::read(path).expect("read"), b"1234");
/// # Ok::<(), track::TrackError>(())
/// ```
///
/// # Errors
/// If the name cannot be used, a file cannot be read, or the backend fails.
pub fn register(path: impl AsRef<Path>, name: &str) -> Result<ModelVersion> {
    check_name("model", name)?;
    // Before a run is made for it.
    std::fs::metadata(path.as_ref())
        .map_err(|error| TrackError::file("read", path.as_ref(), error))?;
    let (run, started) = match active_run() {
        Some(run) => (run, false),
        None => (start_run(&format!("register {name}"))?, true),
    };
    let staged = mlmodel::stage(path.as_ref(), run.id(), None)?;
    for (key, value) in &staged.tags {
        run.set_tag(key, value)?;
    }
    let known = run.record()?.metrics;
    for (key, value) in &staged.metrics {
        if !known.contains_key(key) {
            run.log_metric(key, *value, 0)?;
        }
    }
    if started {
        run.end()?;
    } else {
        run.flush()?;
    }
    let added = session()?.tracker().add_version(name, staged.folder.path(), run.id());
    added.map_err(|error| error.needed("registering a model"))
}

/// Registers what `save` writes to the path it is given:
/// `track::register_with("fraud", |path| model.save(path))`.
///
/// # Errors
/// If saving fails, or as [`register`].
pub fn register_with<E: std::fmt::Display>(
    name: &str,
    save: impl FnOnce(&Path) -> std::result::Result<(), E>,
) -> Result<ModelVersion> {
    check_name("model", name)?;
    let folder = tempfile::tempdir()
        .map_err(|error| TrackError::file("create", std::env::temp_dir(), error))?;
    let path = folder.path().join("model.oxm");
    save(&path).map_err(|error| TrackError::Save(error.to_string()))?;
    register(&path, name)
}

/// Sets a tag of a version.
///
/// # Errors
/// If there is no such version, or the backend fails.
#[expect(clippy::needless_pass_by_value, reason = "numbers and literals are what is passed")]
pub fn tag_version(name: &str, version: u32, key: &str, value: impl ToString) -> Result<()> {
    crate::record::check_key("tag", key)?;
    session()?.tracker().set_version_tag(name, version, key, &value.to_string())
}

/// The tags of a version.
///
/// # Errors
/// If there is no such version, or the backend fails.
pub fn version_tags(name: &str, version: u32) -> Result<Vec<(String, String)>> {
    session()?.tracker().version_tags(name, version)
}

/// Describes a version, or, without one, the model, in Markdown.
///
/// # Errors
/// If there is no such model or version, or the backend fails.
pub fn describe(name: &str, version: Option<u32>, text: &str) -> Result<()> {
    session()?.tracker().describe(name, version, text)
}

/// The description of a version, or, without one, of the model; empty when there is none.
///
/// # Errors
/// If the backend fails.
pub fn description(name: &str, version: Option<u32>) -> Result<String> {
    session()?.tracker().description(name, version)
}

/// Finds a version by `models:/NAME@ALIAS`, `models:/NAME/VERSION`, `models:/NAME/latest` or, as it was
/// before aliases, `models:/NAME/Production` (read as the alias, whatever its case). Without `models:/`
/// the same.
///
/// # Errors
/// If there is no such model, version or alias, or the backend fails.
pub fn resolve(uri: &str) -> Result<ModelVersion> {
    find(&*session()?, uri)
}

/// `mark` is `@` before an alias, `/` before a number.
pub(crate) fn no_version(
    name: &str,
    mark: char,
    wanted: &str,
    known: &[ModelVersion],
) -> TrackError {
    let known: Vec<String> = known
        .iter()
        .map(|version| {
            let aliases = version.aliases.iter().map(|alias| format!(" @{alias}"));
            format!("{}{}", version.version, aliases.collect::<String>())
        })
        .collect();
    TrackError::NotFound {
        what: if mark == '@' { "alias" } else { "model version" },
        name: format!("{name}{mark}{wanted}"),
        hint: format!("; the versions of {name} are {}", known.join(", ")),
    }
}

fn find(session: &Session, uri: &str) -> Result<ModelVersion> {
    let text = uri.trim().strip_prefix("models:").unwrap_or(uri.trim()).trim_start_matches('/');
    let split = text.rsplit_once('@').or_else(|| text.split_once('/'));
    let Some((name, wanted)) = split else {
        return Err(TrackError::Name {
            what: "model address",
            name: text.chars().take(60).collect(),
            reason: "use models:/NAME@ALIAS, models:/NAME/VERSION or models:/NAME/latest"
                .to_owned(),
        });
    };
    check_name("model", name)?;
    let known = session.tracker().versions(name);
    let known = known.map_err(|error| error.needed("reading the registry"))?;
    let alias = |version: &&ModelVersion| {
        version.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(wanted))
    };
    let found = if text.contains('@') {
        known.iter().find(|version| version.aliases.iter().any(|alias| alias == wanted))
    } else if wanted.eq_ignore_ascii_case("latest") {
        known.last()
    } else if let Ok(number) = wanted.parse::<u32>() {
        known.iter().find(|version| version.version == number)
    } else {
        known.iter().find(alias)
    };
    let mark = if text.contains('@') { '@' } else { '/' };
    found.cloned().ok_or_else(|| no_version(name, mark, wanted, &known))
}

/// The file (or folder) of a registered model on this machine; one on a server is fetched once. See
/// [`resolve`] for the addresses.
///
/// # Errors
/// As [`resolve`], and if a file cannot be fetched.
pub fn load_path(uri: &str) -> Result<PathBuf> {
    let session = session()?;
    let version = find(&session, uri)?;
    files_of(&session, &version)
}

/// The file or folder of a version on this machine.
pub(crate) fn files_of(session: &Session, version: &ModelVersion) -> Result<PathBuf> {
    if session.server.is_none() {
        return mlmodel::entry(Path::new(&version.source));
    }
    let key = format!("{}\n{}\n{}", session.tracker().uri(), version.name, version.source);
    let name = hex::encode(&Sha256::digest(key)[..16]);
    let folder = session.journal.folder().join("fetched").join(name);
    if !folder.exists() {
        let fetched = session.tracker().fetch_version(version, &folder);
        fetched.map_err(|error| error.needed("fetching a model"))?;
    }
    mlmodel::entry(&folder)
}

/// All registered models.
///
/// # Errors
/// If the backend fails.
pub fn models() -> Result<Models> {
    let versions = session()?.tracker().versions("");
    Ok(Models { versions: versions.map_err(|error| error.needed("reading the registry"))? })
}

/// Versions of registered models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Models {
    /// By name, then version.
    pub versions: Vec<ModelVersion>,
}

impl Render for Models {
    fn render(&self) -> MimeBundle {
        if self.versions.is_empty() {
            return MimeBundle::text("No models are registered.".to_owned());
        }
        let headings = ["model", "version", "aliases", "run", "registered"];
        let mut table = Table::new(headings.map(Heading::new).to_vec());
        for version in &self.versions {
            let created = chrono::DateTime::from_timestamp_millis(version.created);
            table.push(vec![
                Some(version.name.clone()),
                Some(version.version.to_string()),
                Some(version.aliases.iter().map(|alias| format!("@{alias} ")).collect()),
                Some(version.run_id.chars().take(8).collect()),
                Some(created.map(|time| time.format("%F %T").to_string()).unwrap_or_default()),
            ]);
        }
        table.render()
    }
}

impl Render for ModelVersion {
    fn render(&self) -> MimeBundle {
        Models { versions: vec![self.clone()] }.render()
    }
}
