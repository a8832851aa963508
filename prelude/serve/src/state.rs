//! Which servers run: a file per server in a folder of the user, written by the server itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oxilab_display::Render;
use oxilab_display::table::{Heading, Table};
use oxilab_runtime::MimeBundle;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::{Result, ServeError};
use crate::http::{look, send};
use crate::program::PROGRAM;

const SHORT: Duration = Duration::from_secs(2);

/// How long a server may take to answer what it has begun.
const DRAIN: Duration = Duration::from_secs(20);

/// What a running server writes about itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Its name.
    pub name: String,
    /// Its address, `http://127.0.0.1:PORT`.
    pub url: String,
    /// Its process.
    pub pid: u32,
    /// Its models: name and where each comes from.
    pub models: Vec<(String, String)>,
    /// What its owner shows to stop it. The file is readable by its owner only.
    pub token: String,
    /// Whether a shell started it, which then has its log.
    #[serde(default)]
    pub shell: bool,
    /// The socket on which it is told of other models.
    #[serde(default)]
    pub control: Option<PathBuf>,
}

impl State {
    /// What a file says of a server; nothing where it is no such file.
    ///
    /// ```
    /// assert!(oxilab_serve::State::read("no/such/file.json".as_ref()).is_none());
    /// ```
    #[must_use]
    pub fn read(file: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(file).ok()?).ok()
    }
}

/// The folder of the state files: `$OXILAB_SERVE_STATE`, or `oxilab/serve` in the user's cache.
///
/// # Errors
/// If the user has no home folder.
pub(crate) fn folder() -> Result<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    of("OXILAB_SERVE_STATE")
        .or_else(|| Some(of("XDG_CACHE_HOME")?.join("oxilab").join("serve")))
        .or_else(|| Some(of("HOME")?.join(".cache").join("oxilab").join("serve")))
        .ok_or_else(|| {
            ServeError::server("?", "no home folder; set OXILAB_SERVE_STATE to a folder")
        })
}

pub(crate) fn state_file(folder: &Path, name: &str) -> Result<PathBuf> {
    check_name(name)?;
    Ok(folder.join(format!("{name}.json")))
}

pub(crate) fn log_file(folder: &Path, name: &str) -> Result<PathBuf> {
    check_name(name)?;
    Ok(folder.join(format!("{name}.log")))
}

/// Names become file names and parts of addresses.
///
/// # Errors
/// If it is empty, long, or has other characters than letters, digits, `-`, `_` and `.`.
pub fn check_name(name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(fits) {
        return Err(ServeError::server(
            name,
            "a name is made of letters, digits, `-`, `_` and `.`, and does not start with a dot",
        ));
    }
    Ok(())
}

/// Where a server of that name is to write its [`State`], to be found by [`list`] and its like.
///
/// ```no_run
/// assert!(oxilab_serve::place("churn")?.ends_with("churn.json"));
/// # Ok::<(), oxilab_serve::ServeError>(())
/// ```
///
/// # Errors
/// If a server of the name runs already, the name cannot be used, or there can be no such folder.
pub fn place(name: &str) -> Result<PathBuf> {
    let folder = folder()?;
    let path = state_file(&folder, name)?;
    match State::read(&path) {
        Some(state) if alive(&state) || is_ours(state.pid) => {
            let url = state.url;
            let problem =
                format!("another one of this name runs at {url}; --name gives it its own");
            return Err(ServeError::server(name, problem));
        }
        // Of a server that was killed.
        Some(_) => drop(fs::remove_file(&path)),
        None => {}
    }
    fs::create_dir_all(&folder).map_err(ServeError::io("making the folder", &folder))?;
    Ok(path)
}

/// Whether a process is a server that may only be too busy to answer.
fn is_ours(pid: u32) -> bool {
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    program.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PROGRAM))
}

/// The running server of that name, if it answers.
pub(crate) fn find(folder: &Path, name: &str) -> Result<Option<State>> {
    Ok(State::read(&state_file(folder, name)?).filter(alive))
}

/// Whether the server answers, and is this one and not another on its port. It is known by its process, so
/// its certificate may be for the name that others reach it under.
pub(crate) fn alive(state: &State) -> bool {
    // A server whose models are being loaded again says so with 503, and lives.
    let said = look(&format!("{}/health", state.url), SHORT);
    let health: serde_json::Value =
        said.ok().and_then(|(_, text)| serde_json::from_str(&text).ok()).unwrap_or_default();
    health.get("pid").and_then(serde_json::Value::as_u64) == Some(u64::from(state.pid))
}

/// The servers that [`list`] found; shows itself as a table.
#[derive(Clone, Debug)]
pub struct Running(Vec<State>);

impl Running {
    /// Name and address of each.
    #[must_use]
    pub fn urls(&self) -> Vec<(String, String)> {
        self.0.iter().map(|state| (state.name.clone(), state.url.clone())).collect()
    }

    /// Whether there is a server of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|state| state.name == name)
    }
}

impl Render for Running {
    fn render(&self) -> MimeBundle {
        let mut table = Table::new(["name", "url", "pid", "models"].map(Heading::new).to_vec());
        table.title = format!("{} servers run", self.0.len());
        for state in &self.0 {
            let models: Vec<String> =
                state.models.iter().map(|(name, from)| format!("{name} = {from}")).collect();
            table.push(vec![
                Some(state.name.clone()),
                Some(state.url.clone()),
                Some(state.pid.to_string()),
                Some(models.join(", ")),
            ]);
        }
        MimeBundle::text(table.to_text()).with_html(table.to_html())
    }
}

/// All servers of this user that answer, by name.
///
/// # Errors
/// If the folder of state files cannot be read.
pub fn list() -> Result<Running> {
    list_in(&folder()?)
}

pub(crate) fn list_in(folder: &Path) -> Result<Running> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Running(Vec::new()));
        }
        Err(error) => return Err(ServeError::io("listing servers in", folder)(error)),
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .collect();
    names.sort();
    let states = names.iter().filter_map(|name| find(folder, name).ok().flatten());
    Ok(Running(states.collect()))
}

/// The log of a server, also of one that has ended: its last 64 KiB.
///
/// # Errors
/// If there never was such a server, or a shell started it.
pub fn logs(name: &str) -> Result<String> {
    logs_in(&folder()?, name)
}

pub(crate) fn logs_in(folder: &Path, name: &str) -> Result<String> {
    const MOST: usize = 64 << 10;
    if find(folder, name)?.is_some_and(|state| state.shell) {
        let problem = "it was started from a shell, which has its log";
        return Err(ServeError::server(name, problem));
    }
    let path = log_file(folder, name)?;
    let bytes = fs::read(&path).map_err(ServeError::io("reading the log", path))?;
    Ok(String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(MOST)..]).into_owned())
}

/// Stops a server: it answers what it has begun, then ends.
///
/// # Errors
/// If no such server runs, or it does not end within 20 seconds.
pub fn stop(name: &str) -> Result<()> {
    stop_in(&folder()?, name)
}

pub(crate) fn stop_in(folder: &Path, name: &str) -> Result<()> {
    let Some(state) = find(folder, name)? else {
        return Err(ServeError::server(name, "it does not run; `serve::list()` shows what does"));
    };
    let told =
        send(&format!("{}/admin/stop", state.url), Some(&json!({})), Some(&state.token), SHORT);
    match told {
        Ok(_) => {}
        // Its certificate may be for another name, and its token is for nobody whose is not verified.
        Err(ServeError::Http { .. }) if state.url.starts_with("https:") => terminate(&state)?,
        Err(error) => return Err(error),
    }
    let begun = Instant::now();
    let path = state_file(folder, name)?;
    while begun.elapsed() < DRAIN {
        if !path.exists() {
            return Ok(());
        }
        if oxilab_runtime::cancel::requested() {
            return Err(ServeError::Interrupted);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(ServeError::server(name, format!("process {} has not ended after 20 s", state.pid)))
}

/// Has the system tell a server to end; it finishes what it has begun, as when it is told over HTTP.
fn terminate(state: &State) -> Result<()> {
    let pid = state.pid.to_string();
    let told = Command::new("kill").args(["-TERM", &pid]).stdin(Stdio::null()).output();
    let output = told.map_err(ServeError::io("starting", "kill"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let problem = format!("process {pid} cannot be told to end: {}", said.trim());
    Err(ServeError::server(&state.name, problem))
}
