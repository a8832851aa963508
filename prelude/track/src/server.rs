//! [`start_server`]: MLflow's own server on this machine, where `mlflow` is installed; [`ui`]: its pages.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oxilab_display::{MimeBundle, Render};
use oxilab_runtime::cancel;

use crate::chart::escape;
use crate::session::{self, session};
use crate::starting::Starting;
use crate::{Mlflow, Result, TrackError};

/// How long the server may take to answer; on a busy machine its Python takes a minute.
const START: Duration = Duration::from_mins(3);
/// Its folder beside the notebook.
const FOLDER: &str = ".oxilab/mlflow";

/// The server that this process has started.
struct Running {
    child: Child,
    uri: String,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

fn running() -> MutexGuard<'static, Option<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: the process is our child and not waited for yet, so the number is its own.
        #[expect(unsafe_code, reason = "std can only kill; the server ends its workers when asked")]
        unsafe {
            libc::kill(self.child.id().cast_signed(), libc::SIGTERM);
        }
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if start.elapsed() > Duration::from_secs(5) {
                // It may have ended just now.
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Starts MLflow's server on a free port of the loopback and sends runs to it from now on. Its database
/// and artifacts lie in `.oxilab/mlflow` in the working directory. It ends with this process, or by
/// [`stop_server`]; when it runs already, it stays.
///
/// # Errors
/// If `mlflow` is not installed or does not start; the message says what it said.
pub fn start_server() -> Result<ServerPage> {
    let known = running().as_mut().and_then(|running| {
        matches!(running.child.try_wait(), Ok(None)).then(|| running.uri.clone())
    });
    let uri = if let Some(uri) = known {
        uri
    } else {
        let started = start()?;
        let uri = started.uri.clone();
        let old = running().replace(started);
        drop(old);
        uri
    };
    session::set_uri(&uri)?;
    Ok(ServerPage { uri })
}

/// Stops the server that [`start_server`] has started; runs go to the journal from now on.
///
/// # Errors
/// If the journal cannot be opened.
pub fn stop_server() -> Result<()> {
    let Some(stopped) = running().take() else { return Ok(()) };
    let current = session::uri()?;
    if current == stopped.uri {
        session()?.flush()?;
        session::set_uri("journal:")?;
    }
    drop(stopped);
    Ok(())
}

/// The pages of the MLflow server that runs go to, to be shown in a cell.
///
/// # Errors
/// If runs go to a journal, or it cannot be opened.
pub fn ui() -> Result<ServerPage> {
    let session = session()?;
    match &session.server {
        Some(_) => Ok(ServerPage { uri: session.tracker().uri() }),
        None => Err(TrackError::NotFound {
            what: "page of",
            name: session.tracker().uri(),
            hint:
                "; `%track start` starts MLflow's server, `%track uri http://HOST:PORT` uses one, \
                   and `%runs` shows what the journal has"
                    .to_owned(),
        }),
    }
}

fn start() -> Result<Running> {
    let program = find_program()?;
    let folder = std::path::absolute(FOLDER)
        .map_err(|error| TrackError::file("find", PathBuf::from(FOLDER), error))?;
    std::fs::create_dir_all(&folder).map_err(|error| TrackError::file("create", &folder, error))?;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.map_err(|error| TrackError::file("find a port on", "127.0.0.1", error))?.port();
    let log = folder.join("server.log");
    let output = File::create(&log).map_err(|error| TrackError::file("write", &log, error))?;
    let errors = output.try_clone().map_err(|error| TrackError::file("write", &log, error))?;
    let mut command = Command::new(&program);
    command
        .arg("server")
        .arg("--backend-store-uri")
        .arg(format!("sqlite:///{}", folder.join("mlflow.db").display()))
        .arg("--artifacts-destination")
        .arg(folder.join("artifacts"))
        .args(["--host", "127.0.0.1", "--workers", "1", "--port", &port.to_string()])
        // The pages are shown inside a cell, which another server serves.
        .env("MLFLOW_SERVER_X_FRAME_OPTIONS", "NONE")
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        // An interrupt of the cell is not meant for the server.
        .process_group(0);
    // SAFETY: prctl is safe between fork and exec: it allocates nothing and takes no lock.
    #[expect(unsafe_code, reason = "the server ends when this process is killed")]
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
    let child =
        command.spawn().map_err(|error| TrackError::file("start", program.as_path(), error))?;
    let mut started = Running { child, uri: format!("http://127.0.0.1:{port}") };
    let server = Mlflow::connect(&started.uri)?;
    let begun = Instant::now();
    let mut shown = Starting::new(&log);
    loop {
        if server.answers() {
            shown.end("answers");
            return Ok(started);
        }
        let ended = !matches!(started.child.try_wait(), Ok(None));
        if ended || begun.elapsed() > START || cancel::requested() {
            shown.end(if ended { "ended" } else { "did not answer" });
            // A cell that is interrupted ends here, and the server with it.
            cancel::poll();
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let lines: Vec<&str> = said.lines().rev().take(3).collect();
            let said: Vec<&str> = lines.into_iter().rev().collect();
            let why = if ended { "it ended" } else { "it did not answer" };
            return Err(TrackError::Uri {
                uri: started.uri.clone(),
                reason: format!(
                    "`{} server` was started and {why}: {}",
                    program.display(),
                    said.join(" | ")
                ),
            });
        }
        shown.tick();
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// `OXILAB_MLFLOW`, `mlflow` on the search path, or in a `.venv` of the working directory or above.
fn find_program() -> Result<PathBuf> {
    const NAME: &str = "mlflow";
    let mut places: Vec<PathBuf> = Vec::new();
    places.extend(std::env::var_os("OXILAB_MLFLOW").map(PathBuf::from));
    if let Some(path) = std::env::var_os("PATH") {
        places.extend(std::env::split_paths(&path).map(|folder| folder.join(NAME)));
    }
    if let Ok(here) = std::env::current_dir() {
        places.extend(here.ancestors().map(|folder| folder.join(".venv/bin").join(NAME)));
    }
    places.into_iter().find(|place| place.is_file()).ok_or_else(|| TrackError::NotFound {
        what: "program",
        name: NAME.to_owned(),
        hint: "; `pip install mlflow` installs it (or set OXILAB_MLFLOW to its path). Without it runs \
               go to the journal, which `%track sync http://HOST:PORT` sends to a server later"
            .to_owned(),
    })
}

/// The pages of an MLflow server, shown as a frame with a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerPage {
    uri: String,
}

impl ServerPage {
    /// The server's address, without credentials.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }
}

impl Render for ServerPage {
    fn render(&self) -> MimeBundle {
        let uri = escape(&self.uri);
        // Browsers take 127.0.0.1 and localhost for different sites, the server allows its own to frame
        // it: the link always works.
        MimeBundle::text(format!("MLflow at {}", self.uri)).with_html(format!(
            "<div>MLflow at <a href=\"{uri}\" target=\"_blank\">{uri}</a></div>\
             <iframe src=\"{uri}\" width=\"100%\" height=\"600\" style=\"border:1px solid #ccc\">\
             </iframe>"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_link_and_a_frame() {
        let page = ServerPage { uri: "http://127.0.0.1:5000".to_owned() };
        let html = oxilab_display::html_of(&page.render());
        assert!(html.contains("<iframe src=\"http://127.0.0.1:5000\""), "{html}");
    }
}
