//! What sets a retraining off: [`Trigger`], and the memory of the last one: [`Memory`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Retrain;
use crate::error::{Result, ServeError};
use crate::monitor::{ModelStatus, monitor, monitor_with_key};
use crate::secret::Key;
use crate::state;

/// What sets a retraining off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Trigger {
    /// A server sees drift in at least so many columns of a model. After a run not again until as many new
    /// rows came as were looked at then, or another version answers; and not before
    /// [`Retrain::with_cooldown`].
    Drift {
        /// The server's name or address.
        server: String,
        /// Its model; by default the first.
        #[serde(default)]
        model: Option<String>,
        /// How many columns (1).
        #[serde(default = "one")]
        columns: usize,
    },
    /// A model is worse than a bound on labelled rows. After a run not again until as many new labels came
    /// as were looked at then, or another version answers; and not before [`Retrain::with_cooldown`].
    Performance {
        /// The server's name or address.
        server: String,
        /// Its model; by default the first.
        #[serde(default)]
        model: Option<String>,
        /// A floor of accuracy, or a ceiling of RMSE.
        bound: f64,
    },
    /// So long after the last run, or if it never ran.
    Every {
        /// Seconds.
        seconds: f64,
    },
    /// A file, or a file of a folder, is new or changed since the last run.
    NewData {
        /// A file or folder, or `FOLDER/*.ENDING`.
        path: PathBuf,
    },
}

fn one() -> usize {
    1
}

impl Trigger {
    /// Drift of any column of a server's first model.
    pub fn drift(server: impl Into<String>) -> Self {
        Self::Drift { server: server.into(), model: None, columns: 1 }
    }

    /// Performance worse than a bound, of a server's first model.
    pub fn performance(server: impl Into<String>, bound: f64) -> Self {
        Self::Performance { server: server.into(), model: None, bound }
    }

    /// So long after the last run.
    #[must_use]
    pub fn every(time: Duration) -> Self {
        Self::Every { seconds: time.as_secs_f64() }
    }

    /// New or changed files.
    pub fn new_data(path: impl Into<PathBuf>) -> Self {
        Self::NewData { path: path.into() }
    }

    pub(super) fn see_from(&mut self, folder: &Path) {
        if let Self::NewData { path } = self {
            *path = folder.join(&*path);
        }
    }

    /// Why it holds. What servers say holds no sooner than `cooldown` seconds after the last run; until then
    /// they are not asked.
    ///
    /// # Errors
    /// If its server cannot be asked, or has no such model.
    pub(super) fn holds(
        &self,
        memory: &Memory,
        cooldown: f64,
        api_key: Option<&Key>,
    ) -> Result<Option<String>> {
        Ok(match self {
            Self::Drift { .. } | Self::Performance { .. } if !memory.rested(cooldown) => None,
            Self::Drift { server, model, columns } => {
                let model = model.as_deref();
                status(server, model, api_key)?
                    .and_then(|seen| drifts(memory, server, model, &seen, *columns))
            }
            Self::Performance { server, model, bound } => {
                let model = model.as_deref();
                status(server, model, api_key)?
                    .and_then(|seen| fails(memory, server, model, &seen, *bound))
            }
            Self::Every { seconds } => {
                let since = memory.last.map(|last| now() - last);
                match since {
                    None => Some("it never ran".to_owned()),
                    Some(since) => {
                        (since >= *seconds).then(|| format!("the last run was {since:.0} s ago"))
                    }
                }
            }
            Self::NewData { path } => {
                let files = stamps(path);
                let new =
                    files.iter().find(|(file, stamp)| memory.files.get(*file) != Some(*stamp));
                new.map(|(file, _)| format!("{file} is new"))
            }
        })
    }
}

/// Why drift is a reason.
fn drifts(
    memory: &Memory,
    server: &str,
    model: Option<&str>,
    seen: &ModelStatus,
    columns: usize,
) -> Option<String> {
    let names = seen.drift.as_ref()?.drifted_columns();
    let enough = !names.is_empty() && names.len() >= columns;
    let new = memory.is_new(server, model, seen, |before| before.rows.passed(seen.rows));
    (enough && new).then(|| format!("drift of {}", names.join(", ")))
}

/// Why performance is a reason.
fn fails(
    memory: &Memory,
    server: &str,
    model: Option<&str>,
    status: &ModelStatus,
    bound: f64,
) -> Option<String> {
    let seen = status.performance.as_ref()?;
    let new = memory.is_new(server, model, status, |before| before.labels.passed(status.labels));
    (seen.worse_than(bound) && new)
        .then(|| format!("{} is {:.4}, the bound is {bound}", seen.metric, seen.value))
}

/// What a server says of a model, by default of its first; `None` if it has none yet.
fn status(server: &str, model: Option<&str>, api_key: Option<&Key>) -> Result<Option<ModelStatus>> {
    let seen = match api_key {
        Some(Key(api_key)) => monitor_with_key(server, api_key)?,
        None => monitor(server)?,
    };
    // Language models have neither rows nor labels.
    let mut models = seen.models.into_iter().filter(|status| status.language.is_none());
    let Some(name) = model else { return Ok(models.next()) };
    let models: Vec<ModelStatus> = models.collect();
    let known: Vec<String> = models.iter().map(|status| status.model.clone()).collect();
    match models.into_iter().find(|status| status.model == name) {
        Some(status) => Ok(Some(status)),
        None => {
            let problem = format!("it has no model `{name}`; it has {}", known.join(", "));
            Err(ServeError::server(server, problem))
        }
    }
}

fn key(server: &str, model: Option<&str>) -> String {
    format!("{server} {}", model.unwrap_or_default())
}

/// What was there at the last run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Memory {
    /// Seconds since 1970.
    last: Option<f64>,
    /// Time of change by file.
    #[serde(default)]
    files: BTreeMap<String, f64>,
    /// By server and model.
    #[serde(default)]
    served: BTreeMap<String, Served>,
}

/// What a server had seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Served {
    version: String,
    rows: Seen,
    labels: Seen,
}

/// Rows or labels.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Seen {
    /// All so far.
    count: u64,
    /// Those that were looked at: the latest.
    latest: u64,
}

impl Seen {
    fn new(count: u64, latest: Option<usize>) -> Self {
        Self { count, latest: latest.unwrap_or(0) as u64 }
    }

    /// Whether as many new ones came as were looked at. Counts begin anew with the server's process.
    fn passed(self, now: u64) -> bool {
        now.checked_sub(self.count).unwrap_or(now) >= self.latest.max(1)
    }
}

impl From<ModelStatus> for Served {
    fn from(status: ModelStatus) -> Self {
        let looked_at = status.drift.map(|drift| drift.rows);
        let labelled = status.performance.map(|performance| performance.rows);
        Self {
            version: status.version,
            rows: Seen::new(status.rows, looked_at),
            labels: Seen::new(status.labels, labelled),
        }
    }
}

impl Memory {
    /// Whether another version answers than at the last run, or enough came since.
    fn is_new(
        &self,
        server: &str,
        model: Option<&str>,
        status: &ModelStatus,
        enough_since: impl FnOnce(&Served) -> bool,
    ) -> bool {
        let before = self.served.get(&key(server, model));
        before.is_none_or(|before| before.version != status.version || enough_since(before))
    }

    /// Whether the last run is so many seconds ago. A clock that was set back counts as long.
    fn rested(&self, cooldown: f64) -> bool {
        self.last.is_none_or(|last| !(0.0..cooldown).contains(&(now() - last)))
    }
}

impl Retrain {
    pub(super) fn file(&self, ending: &str) -> Result<PathBuf> {
        state::check_name(&self.name)?;
        let folder = self.folder.clone().map_or_else(state::folder, Ok)?;
        std::fs::create_dir_all(&folder).map_err(ServeError::io("making the folder", &folder))?;
        Ok(folder.join(format!("{}.{ending}", self.name)))
    }

    pub(super) fn memory(&self) -> Result<Memory> {
        let text = std::fs::read_to_string(self.file("retrained")?).unwrap_or_default();
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// What is there now, to be remembered when the run is done.
    pub(super) fn remember(&self) -> Memory {
        let (mut files, mut served) = (BTreeMap::new(), BTreeMap::new());
        for trigger in &self.triggers {
            match trigger {
                Trigger::NewData { path } => files.extend(stamps(path)),
                Trigger::Drift { server, model, .. }
                | Trigger::Performance { server, model, .. } => {
                    let model = model.as_deref();
                    // A server that cannot be asked is new when it can.
                    let seen = status(server, model, self.api_key.as_ref());
                    if let Ok(Some(status)) = seen {
                        served.insert(key(server, model), status.into());
                    }
                }
                Trigger::Every { .. } => {}
            }
        }
        Memory { last: Some(now()), files, served }
    }

    pub(super) fn keep(&self, memory: &Memory) -> Result<()> {
        let path = self.file("retrained")?;
        let aside = path.with_extension("retrained.new");
        let text = serde_json::to_string(memory).unwrap_or_default();
        std::fs::write(&aside, text).map_err(ServeError::io("writing", &aside))?;
        std::fs::rename(&aside, &path).map_err(ServeError::io("writing", &path))
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn stamps(path: &Path) -> BTreeMap<String, f64> {
    let (folder, ending) = match path.file_name().and_then(|name| name.to_str()) {
        Some(name) if name.starts_with('*') => (path.parent(), Some(&name[1..])),
        _ if path.is_dir() => (Some(path), None),
        _ => (None, None),
    };
    let files: Vec<PathBuf> = match folder {
        None => vec![path.to_owned()],
        Some(folder) => std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|file| ending.is_none_or(|e| file.to_string_lossy().ends_with(e)))
            .collect(),
    };
    let stamp = |file: PathBuf| {
        let changed = file.metadata().ok().filter(std::fs::Metadata::is_file)?.modified().ok()?;
        let seconds = changed.duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        Some((file.display().to_string(), seconds))
    };
    files.into_iter().filter_map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_and_new_data() {
        let folder = tempfile::tempdir().expect("folder");
        let data = folder.path().join("data");
        std::fs::create_dir(&data).expect("folder");
        let timed = Retrain::new("m", "n.ipynb", "h.csv").with_state_folder(folder.path());
        let fed = timed.clone().with_trigger(Trigger::new_data(data.join("*.csv")));
        let timed = timed.with_trigger(Trigger::every(Duration::from_secs(3600)));
        assert_eq!(timed.due().expect("asked").as_deref(), Some("it never ran"));
        assert_eq!(fed.due().expect("asked"), None);
        std::fs::write(data.join("a.txt"), "").expect("written");
        assert_eq!(fed.due().expect("asked"), None);
        std::fs::write(data.join("a.csv"), "").expect("written");
        assert!(fed.due().expect("asked").expect("due").ends_with("a.csv is new"));
        fed.keep(&fed.remember()).expect("kept");
        assert_eq!(fed.due().expect("asked"), None);
        assert_eq!(timed.due().expect("asked"), None);
        let soon = timed.with_trigger(Trigger::every(Duration::ZERO));
        assert!(soon.due().expect("asked").is_some());
    }

    #[test]
    fn a_server_that_cannot_be_asked_is_no_reason_and_no_silence() {
        let folder = tempfile::tempdir().expect("folder");
        let nobody = Retrain::new("m", "n", "h").with_state_folder(folder.path());
        let nobody = nobody.with_trigger(Trigger::drift("no-such-server"));
        let error = nobody.due().expect_err("nobody is there");
        assert!(error.to_string().contains("`no-such-server`: it does not run"), "{error}");
        assert!(error.may_pass(), "it may be started");
        let any = nobody.with_trigger(Trigger::every(Duration::from_secs(3600)));
        assert_eq!(any.due().expect("asked").as_deref(), Some("it never ran"));
    }
}
