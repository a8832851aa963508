//! Other models for a server that runs: what it is told, and telling it: [`Replacement`], [`Replaced`].
//!
//! The server starts the new model process beside the old one on the socket that both accept on, and ends
//! the old one when the new one is ready. When it never is, the old one has answered all the time.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Result, ServeError};
use crate::state::State;

/// What a running server is told over its control socket, as one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
pub struct Replacement {
    /// The token of [`State`], which only the owner can read.
    pub token: String,
    /// The command line of the new model process.
    pub arguments: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Its working directory.
    pub folder: PathBuf,
}

/// What the server answers, as one line of JSON.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replaced {
    /// The new models answer.
    Done,
    /// The old models answer on; why.
    Refused(String),
}

impl Replacement {
    /// With this process's environment and working directory.
    pub(crate) fn new(state: &State, arguments: Vec<String>) -> Result<Self> {
        let folder = std::env::current_dir()
            .map_err(ServeError::io("finding the working directory", "."))?;
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let environment = std::env::vars_os().filter_map(text).collect();
        Ok(Self { token: state.token.clone(), arguments, environment, folder })
    }
}

/// Tells a server and waits for its answer. When the cell is interrupted or the patience is over, the
/// connection ends, and with it the attempt.
pub(crate) fn ask(
    state: &State,
    replacement: &Replacement,
    patience: Duration,
) -> Result<Replaced> {
    let failed = |problem: String| ServeError::server(&state.name, problem);
    let Some(path) = &state.control else {
        let problem = format!(
            "it was started by an older version and takes no other models while it runs; \
             `%serve stop {}` ends it",
            state.name
        );
        return Err(failed(problem));
    };
    let broken = |error: std::io::Error| {
        failed(format!("it cannot be told through {}: {error}", path.display()))
    };
    let mut stream = UnixStream::connect(path).map_err(broken)?;
    stream.set_read_timeout(Some(Duration::from_millis(50))).map_err(broken)?;
    let mut line = serde_json::to_vec(replacement).map_err(|error| failed(error.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(broken)?;
    let begun = Instant::now();
    let mut answer = Vec::new();
    while answer.last() != Some(&b'\n') {
        let mut part = [0; 4096];
        match stream.read(&mut part) {
            Ok(0) => return Err(failed("it ended before it answered".to_owned())),
            Ok(length) => answer.extend_from_slice(&part[..length]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(broken(error)),
        }
        if oxilab_runtime::cancel::requested() {
            return Err(ServeError::Interrupted);
        }
        if begun.elapsed() > patience {
            let problem = format!(
                "the new models did not load within {} s; the old ones answer on",
                patience.as_secs()
            );
            return Err(failed(problem));
        }
    }
    serde_json::from_slice(&answer)
        .map_err(|error| failed(format!("its answer cannot be read: {error}")))
}
