//! A cell as a run: what `%%run` calls before and after the cell's own code.
//!
//! The kernel knows what a cell shows and how it ends, the run lives in the worker: they meet in a file,
//! which `OXILAB_CELL_RUN` names. [`begin_cell`] writes beside it which run it has started, so that the
//! run of a cell that ended its process is closed by the next process.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxilab_display::{MimeBundle, Render};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::autolog::{describe_surroundings, set_autolog};
use crate::chart::escape;
use crate::record::{Batch, now};
use crate::redact::redact;
use crate::session::{active_run, session, start_run};
use crate::system::Sampler;
use crate::{Journal, Result, Run, Status, TrackError, Tracker};

/// The file that kernel and worker share.
const SHARED: &str = "OXILAB_CELL_RUN";

struct CellRun {
    run: Run,
    sampler: Sampler,
    /// Whether autolog was switched on for this cell alone.
    autolog: bool,
}

static CELL: Mutex<Option<CellRun>> = Mutex::new(None);

fn cell() -> MutexGuard<'static, Option<CellRun>> {
    CELL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether a `%%run` cell is under way.
pub(crate) fn is_running() -> bool {
    cell().is_some()
}

/// Which run a cell has started.
#[derive(Serialize, Deserialize)]
struct Begun {
    journal: String,
    server: Option<String>,
    run: String,
    name: String,
}

/// How a cell ended, as the kernel saw it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ended {
    /// `ok`, `error` or `interrupted`.
    status: String,
    ename: String,
    evalue: String,
    traceback: String,
    seconds: f64,
    /// What the cell showed, as a notebook file has it.
    outputs: Vec<Value>,
}

/// Starts the run of a cell; `%%run` calls it before the cell's own code. `nested` makes it a child of
/// the active run. Fits are logged by themselves until the cell ends.
///
/// # Errors
/// If a name cannot be used, or the journal cannot be written.
pub fn begin_cell(
    name: &str,
    tags: &[(&str, &str)],
    nested: bool,
    source: &str,
    id: &str,
) -> Result<()> {
    // Of a cell whose end was never told.
    let left = cell().take();
    if let Some(left) = left {
        left.close(Status::Killed)?;
    }
    let name = if name.is_empty() { crate::names::random() } else { name.to_owned() };
    let run = match active_run().filter(|_| nested) {
        Some(parent) => parent.child(&name)?,
        None => start_run(&name)?,
    };
    for (key, value) in tags {
        run.set_tag(key, value)?;
    }
    if !id.is_empty() {
        run.set_tag("oxilab.cell.id", id)?;
    }
    run.log_text(&redact(source), "cell/source.rs")?;
    describe_surroundings(&run)?;
    let session = session()?;
    let begun = Begun {
        journal: session.journal.uri().trim_start_matches("journal:").to_owned(),
        server: session.server.as_ref().map(|server| server.uri()),
        run: run.local_id().to_owned(),
        name,
    };
    if let Some(path) = shared() {
        let text = serde_json::to_string(&begun).unwrap_or_default();
        let path = beside(&path);
        std::fs::write(&path, text).map_err(|error| TrackError::file("write", path, error))?;
    }
    let autolog = set_autolog(true);
    let sampler = Sampler::start(&run);
    let running = CellRun { run, sampler, autolog };
    *cell() = Some(running);
    Ok(())
}

/// Ends the run of a cell; `%%run` calls it behind the cell's own code, however that ended.
///
/// # Errors
/// If what the cell left cannot be written; the run has ended all the same.
pub fn end_cell() -> Result<CellSummary> {
    let path = shared();
    let ended: Ended = path
        .as_deref()
        .and_then(|path| std::fs::read_to_string(path).ok())
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default();
    let running = cell().take();
    let Some(running) = running else {
        return close_lost(path.as_deref(), &ended);
    };
    let status = ended.status();
    let written = ended.write_to(&running.run);
    let run = running.run.clone();
    running.close(status)?;
    written?;
    CellSummary::of(&run, status, ended.seconds)
}

impl CellRun {
    fn close(self, status: Status) -> Result<()> {
        let Self { run, sampler, autolog } = self;
        // Its last sample comes before the end.
        drop(sampler);
        if autolog {
            set_autolog(false);
        }
        run.end_as(status)
    }
}

impl Ended {
    fn status(&self) -> Status {
        match self.status.as_str() {
            "ok" => Status::Finished,
            "interrupted" => Status::Killed,
            _ => Status::Failed,
        }
    }

    fn tags(&self) -> Vec<(String, String)> {
        let mut tags = vec![
            ("oxilab.cell.exit".to_owned(), self.status.clone()),
            ("oxilab.cell.seconds".to_owned(), format!("{:.3}", self.seconds)),
        ];
        if !self.ename.is_empty() {
            let error = redact(&format!("{}: {}", self.ename, self.evalue));
            tags.push(("oxilab.error".to_owned(), error));
        }
        tags
    }

    fn write_to(&self, run: &Run) -> Result<()> {
        for (key, value) in self.tags() {
            run.set_tag(&key, value)?;
        }
        if !self.traceback.is_empty() {
            run.log_text(&redact(&self.traceback), "cell/error.txt")?;
        }
        if !self.outputs.is_empty() {
            let outputs = Value::from(self.outputs.clone());
            run.log_text(&redact(&format!("{outputs:#}\n")), "cell/outputs.json")?;
            run.log_text(&redact(&plain(&self.outputs)), "cell/output.txt")?;
        }
        Ok(())
    }
}

/// What outputs say as plain text.
fn plain(outputs: &[Value]) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
        _ => String::new(),
    };
    let mut all = String::new();
    for output in outputs {
        if let Some(stream) = output.get("text") {
            all.push_str(&text(stream));
            continue;
        }
        let shown = text(&output["data"]["text/plain"]);
        if !shown.is_empty() {
            all.push_str(shown.trim_end());
            all.push('\n');
        }
    }
    all
}

fn shared() -> Option<PathBuf> {
    std::env::var_os(SHARED).map(PathBuf::from).filter(|path| path.is_absolute())
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("begun")
}

/// The process that ran the cell is gone: its run is closed from what it left.
fn close_lost(path: Option<&Path>, ended: &Ended) -> Result<CellSummary> {
    let begun: Option<Begun> = path
        .and_then(|path| std::fs::read_to_string(beside(path)).ok())
        .and_then(|text| serde_json::from_str(&text).ok());
    let Some(begun) = begun else {
        return Err(TrackError::missing("run of this cell", "it has not begun"));
    };
    if begun.journal == "memory:" {
        return Err(TrackError::missing("run of this cell", "its journal was in memory"));
    }
    let journal = Journal::open(&begun.journal)?;
    journal.log_batch(&begun.run, &Batch { tags: ended.tags(), ..Batch::default() })?;
    journal.set_status(&begun.run, Status::Failed, Some(now()))?;
    if let Some(server) = &begun.server {
        crate::sync::send(&journal, &crate::Mlflow::connect(server)?, false)?;
    }
    Ok(CellSummary {
        name: begun.name,
        id: begun.run,
        status: Status::Failed,
        seconds: ended.seconds,
        link: None,
    })
}

/// What `%%run` shows below a cell: the run, how it ended, where it is.
#[derive(Clone, Debug)]
pub struct CellSummary {
    name: String,
    id: String,
    status: Status,
    seconds: f64,
    link: Option<String>,
}

impl CellSummary {
    fn of(run: &Run, status: Status, seconds: f64) -> Result<Self> {
        let link = match &session()?.server {
            Some(server) => server.run_page(run.id()).ok(),
            None => None,
        };
        let (name, id) = (run.name().to_owned(), run.id().to_owned());
        Ok(Self { name, id, status, seconds, link })
    }
}

impl Render for CellSummary {
    fn render(&self) -> MimeBundle {
        let Self { name, id, status, seconds, link } = self;
        let status = status.as_str().to_lowercase();
        let text = format!("run {name} ({id}) {status} after {seconds:.1} s");
        let Some(link) = link else { return MimeBundle::text(text) };
        let html = format!("<a href=\"{}\" target=\"_blank\">{}</a>", escape(link), escape(&text));
        MimeBundle::text(format!("{text}: {link}")).with_html(html)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn outputs_are_told_as_text() {
        let outputs = [
            json!({ "output_type": "stream", "text": ["a\n", "b\n"] }),
            json!({ "output_type": "display_data", "data": { "text/plain": "c" } }),
            json!({ "output_type": "display_data", "data": { "image/png": "…" } }),
        ];
        assert_eq!(plain(&outputs), "a\nb\nc\n");
    }
}
