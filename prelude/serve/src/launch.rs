//! Starting the server process from a cell: [`Server`].

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oxilab_model::FittedModel;
use polars::prelude::DataFrame;

use crate::aside::{Aside, remove};
use crate::error::{Result, ServeError};
use crate::handle::ServerHandle;
use crate::locate::address;
use crate::program::find_program;
use crate::replace::{self, Replaced, Replacement};
use crate::secret::secret;
use crate::state::{self, State};

/// How long a server may take to load its models.
const START: Duration = Duration::from_secs(60);

/// What tells a server where the registry is.
const REGISTRY: &str = "MLFLOW_TRACKING_URI";

/// A server to start: its name, its models, its limits.
///
/// ```no_run
/// let server = oxilab_serve::Server::new("churn", "churn.oxi").start()?;
/// let url = format!("{}/predict", server.url());
/// let answer = oxilab_serve::post_json(&url, &serde_json::json!({"age": 41.0}))?;
/// server.stop()?;
/// # Ok::<(), oxilab_serve::ServeError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "`start` starts the server"]
pub struct Server {
    name: String,
    models: Vec<(String, String)>,
    port: u16,
    options: Vec<String>,
    folder: Option<PathBuf>,
    program: Option<PathBuf>,
    /// The model in memory that is served under the server's name.
    aside: Option<Aside>,
    replace: bool,
}

impl Server {
    /// A server of one model, which has the server's name. `model` is a path, a file `*.alias` that
    /// holds a path, or `models:/NAME@alias`; when what it names changes, the server takes the new
    /// model without failing a request. What cannot be found or loaded leaves the last version
    /// answering, also after a crash of the model process; the monitor says so.
    ///
    /// A language model is a GGUF file or a folder with `config.json`, or an alias of one. Answers that
    /// have begun are finished by the version that began them, so for a while there are two in memory.
    pub fn new(name: impl Into<String>, model: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            models: vec![(name.clone(), model.into())],
            name,
            port: 0,
            options: Vec::new(),
            folder: None,
            program: None,
            aside: None,
            replace: false,
        }
    }

    /// A server of a model in memory, as it is now: it is saved beside the server's state when the
    /// server starts.
    ///
    /// # Errors
    /// If the name cannot be used or the file cannot be written.
    pub fn of(name: impl Into<String>, model: &FittedModel) -> Result<Self> {
        Self::of_aside(name.into(), model, None)
    }

    /// As [`Server::of`], with the rows that drift is measured against.
    ///
    /// # Errors
    /// As [`Server::of`].
    pub fn of_with_reference(
        name: impl Into<String>,
        model: &FittedModel,
        reference: &DataFrame,
    ) -> Result<Self> {
        Self::of_aside(name.into(), model, Some(reference))
    }

    fn of_aside(name: String, model: &FittedModel, reference: Option<&DataFrame>) -> Result<Self> {
        state::check_name(&name)?;
        let aside = Some(Aside::save(model, reference)?);
        Ok(Self { models: Vec::new(), aside, ..Self::new(name, "") })
    }

    /// One more model, under its own name.
    pub fn with_model(mut self, name: impl Into<String>, model: impl Into<String>) -> Self {
        self.models.push((name.into(), model.into()));
        self
    }

    /// The port; 0, the default, takes a free one.
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Asks for an API key, given as the hexadecimal SHA-256 of the key; may be given several times.
    pub fn with_api_key_hash(self, sha256: impl Into<String>) -> Self {
        self.with_option("--api-key-hash", sha256.into())
    }

    /// Most rows of a request (10,000).
    pub fn with_row_limit(self, rows: usize) -> Self {
        self.with_option("--row-limit", rows.to_string())
    }

    /// Writes requests and predictions as Parquet files into a folder; `sample` of them, from 0 to 1. A
    /// file is begun every 10,000 rows or 30 seconds (`("--capture-every", 5)`), so a crash loses no more.
    pub fn with_capture(self, folder: impl Into<PathBuf>, sample: f64) -> Self {
        self.with_option("--capture", folder.into().display().to_string())
            .with_option("--capture-sample", sample.to_string())
    }

    /// Rows of the sliding window that drift is measured on (1,000).
    pub fn with_window(self, rows: usize) -> Self {
        self.with_option("--window", rows.to_string())
    }

    /// What captured columns hide: `drop`, `hash` or `mask`; `*` at the end of a column's name stands for
    /// any rest. Equal values hash equally within one run of the server, whose secret nobody knows; a
    /// secret of yours in the environment variable `OXILAB_REDACT_SALT` makes that last over several runs.
    pub fn with_redaction(self, column: &str, rule: &str) -> Self {
        self.with_option("--redact", format!("{column}={rule}"))
    }

    /// TLS, with a certificate chain and a private key in PEM.
    pub fn with_tls(self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.with_option("--tls-cert", certificate.into().display().to_string())
            .with_option("--tls-key", key.into().display().to_string())
    }

    /// Takes models that others push, into a folder. Needs an API key.
    pub fn with_accept(self, folder: impl Into<PathBuf>) -> Self {
        self.with_option("--accept", folder.into().display().to_string())
    }

    /// Any other option of `oxilab serve --help`, for example `("--alert-file", "alerts.jsonl")`.
    #[expect(clippy::needless_pass_by_value, reason = "numbers and literals are what is passed")]
    pub fn with(self, option: &str, value: impl ToString) -> Self {
        self.with_option(option, value.to_string())
    }

    /// Another folder for state and log.
    pub fn with_state_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Another `oxilab-server` than the installed one.
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = Some(program.into());
        self
    }

    /// Takes the place of the server of this name that runs, if one does, on its port unless
    /// [`with_port`](Server::with_port) says another. The old models answer until the new ones do; when
    /// those cannot be loaded, the old ones answer on.
    pub fn with_replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// An option without a value, for example `--log-json`.
    pub fn with_flag(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Whether the files of models are there: a running server is not stopped for one that cannot start.
    fn check_files(&self) -> Result<()> {
        for (name, uri) in &self.models {
            let address = address(uri);
            if !address.starts_with("models:/") && !Path::new(&address).exists() {
                let problem = format!(
                    "cannot load model {name}: there is no file or folder {address}; a model of the \
                     registry is written NAME@ALIAS"
                );
                return Err(ServeError::server(&self.name, problem));
            }
        }
        Ok(())
    }

    fn with_option(mut self, name: &str, value: String) -> Self {
        self.options.extend([name.to_owned(), value]);
        self
    }

    /// Starts the process and waits until it answers.
    ///
    /// # Errors
    /// If a server of that name runs already (and is not to be replaced), a model cannot be loaded, or
    /// the port is taken; the message holds the server's own words.
    pub fn start(mut self) -> Result<ServerHandle> {
        let folder = self.folder.clone().map_or_else(state::folder, Ok)?;
        let file = state::state_file(&folder, &self.name)?;
        fs::create_dir_all(&folder).map_err(ServeError::io("making the folder", &folder))?;
        let running = state::find(&folder, &self.name)?;
        if let Some(running) = running.as_ref().filter(|_| !self.replace) {
            let problem = format!(
                "it runs already at {}, with the model it has; `--replace` behind `%serve` (in Rust \
                 `.with_replace(true)`) starts this one in its place, `serve::stop({:?})?` stops it",
                running.url, self.name
            );
            return Err(ServeError::server(&self.name, problem));
        }
        self.check_files()?;
        let registry = self.registry()?;
        if let Some(running) = running {
            return self.replace_in(&folder, &running, registry);
        }
        let program = self.program.clone().map_or_else(|| find_program(&self.name), Ok)?;
        if let Some(aside) = &self.aside {
            let path = self.place_of_aside(&folder);
            aside.place(&path)?;
            self.models.insert(0, (self.name.clone(), path.display().to_string()));
        }
        // Of a server that was killed.
        let _ = fs::remove_file(&file);
        let log = state::log_file(&folder, &self.name)?;
        let open = OpenOptions::new().create(true).write(true).truncate(true).open(&log);
        let output = open.map_err(ServeError::io("writing the log", &log))?;
        let errors = output.try_clone().map_err(ServeError::io("writing the log", &log))?;
        let mut command = Command::new(&program);
        command.args(self.arguments(&file)).env("OXILAB_ADMIN_TOKEN", secret()?);
        command.envs(registry.map(|uri| (REGISTRY, uri)));
        // A group of its own: an interrupt or the end of the worker does not reach it.
        command.process_group(0).stdin(Stdio::null()).stdout(output).stderr(errors);
        let mut child =
            command.spawn().map_err(ServeError::io("starting the server", program.as_path()))?;
        let begun = Instant::now();
        loop {
            if let Some(state) = state::find(&folder, &self.name)? {
                // Reaps the process when it ends.
                std::thread::spawn(move || child.wait());
                return Ok(ServerHandle { state, folder });
            }
            if let Ok(Some(_)) = child.try_wait() {
                let said = state::logs_in(&folder, &self.name).unwrap_or_default();
                return Err(ServeError::server(&self.name, last_words(&said)));
            }
            let interrupted = oxilab_runtime::cancel::requested();
            if interrupted || begun.elapsed() > START {
                let _ = child.kill();
                let _ = child.wait();
                if interrupted {
                    return Err(ServeError::Interrupted);
                }
                let problem = format!("it did not answer within {} s", START.as_secs());
                return Err(ServeError::server(&self.name, problem));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Server {
    /// The command line.
    fn arguments(&self, state: &Path) -> Vec<String> {
        let mut line = vec!["--name".to_owned(), self.name.clone()];
        line.extend(["--port".to_owned(), self.port.to_string()]);
        for (name, uri) in &self.models {
            line.extend(["--model".to_owned(), format!("{name}={}", address(uri))]);
        }
        line.extend(self.options.iter().cloned());
        line.extend(["--state".to_owned(), state.display().to_string()]);
        line
    }

    /// The registry's address for the server; `None` if it needs none or its environment has it.
    fn registry(&self) -> Result<Option<String>> {
        let uri = registry(&self.models);
        if uri.as_deref() == Some("memory:") {
            let problem = "a registry in memory is this session's own, the server cannot read it; \
                use a journal or a server (`track::set_uri`)";
            return Err(ServeError::server(&self.name, problem));
        }
        Ok(uri)
    }

    /// Where a model in memory is kept for the server.
    fn place_of_aside(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{}.oxm", self.name))
    }

    /// Has the running server load these models beside its own and change over when they answer.
    fn replace_in(
        mut self,
        folder: &Path,
        running: &State,
        registry: Option<String>,
    ) -> Result<ServerHandle> {
        let file = state::state_file(folder, &self.name)?;
        let (mut new, mut old) = (None, None);
        if let Some(aside) = &self.aside {
            // The running server watches its model's file: the new model gets another. A name has no `~`.
            let first = self.place_of_aside(folder);
            let second = folder.join(format!("{}~.oxm", self.name));
            let taken = |path: &Path| running.models.iter().any(|(_, at)| Path::new(at) == path);
            let (place, other) = if taken(&first) { (second, first) } else { (first, second) };
            aside.place(&place)?;
            self.models.insert(0, (self.name.clone(), place.display().to_string()));
            (new, old) = (Some(place), Some(other));
        }
        let answer = Replacement::new(running, self.arguments(&file)).and_then(|mut wanted| {
            wanted.environment.extend(registry.map(|uri| (REGISTRY.to_owned(), uri)));
            replace::ask(running, &wanted, START)
        });
        let outcome = match answer {
            Ok(Replaced::Done) => Ok(()),
            Ok(Replaced::Refused(why)) => {
                let problem = format!("{}; the old models answer on", last_words(&why));
                Err(ServeError::server(&self.name, problem))
            }
            Err(error) => Err(error),
        };
        // Whichever file nobody reads any more.
        let unread = if outcome.is_ok() { old } else { new };
        if let Some(path) = unread {
            remove(&path);
        }
        outcome?;
        let gone = || ServeError::server(&self.name, "it ended right after it took the new models");
        let state = state::find(folder, &self.name)?.ok_or_else(gone)?;
        Ok(ServerHandle { state, folder: folder.to_owned() })
    }
}

/// What a server said last before it ended; of a usage error what is wrong, which stands first.
fn last_words(log: &str) -> String {
    let usage = log.lines().skip_while(|line| !line.starts_with("error: "));
    let usage: Vec<&str> =
        usage.take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    if let Some(problem) = usage.join(" ").strip_prefix("error: ") {
        return format!("{problem}; `oxilab serve --help` shows the options");
    }
    let words = log.lines().rev().find(|line| !line.trim().is_empty()).map(str::trim);
    let words = words.unwrap_or("it ended without a word");
    // Without the time and level of the log's line.
    words.split_once(" ERROR oxilab_server: ").map_or(words, |(_, words)| words).to_owned()
}

/// The environment that makes the server read the registry that this process reads.
fn registry(models: &[(String, String)]) -> Option<String> {
    if !models
        .iter()
        .any(|(_, uri)| uri.starts_with("models:/") || address(uri).starts_with("models:/"))
    {
        return None;
    }
    let uri = oxilab_track::uri().ok()?;
    // A server's address is here without its credentials, which the environment has.
    let known = std::env::var(REGISTRY).is_ok_and(|set| !set.is_empty());
    (!uri.starts_with("http") || !known).then_some(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_say_what_is_wrong() {
        let usage = "error: unexpected argument '--banana' found\n\n  tip: to pass '--banana' as a \
            value, use '-- --banana'\n\nUsage: oxilab-server [OPTIONS]\n\nFor more information, try \
            '--help'.\n";
        let said = last_words(usage);
        assert!(said.starts_with("unexpected argument '--banana' found;"), "{said}");
        let failed = "2026 INFO oxilab_server: x\n2026 ERROR oxilab_server: cannot load model x\n";
        assert_eq!(last_words(failed), "cannot load model x");
    }
}
