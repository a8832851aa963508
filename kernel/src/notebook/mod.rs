//! Runs notebooks without Jupyter: reads nbformat 4, runs the cells in order, writes the notebook
//! with its outputs, and a page of HTML.
//!
//! [`Notebook`] is the file, [`execute`] the run, [`parameters`] what `--param` injects, [`html`] the
//! page. The cells run through the same [`CellRunner`] as in JupyterLab.

pub mod format;
pub mod html;
mod markup;
pub mod outputs;
pub mod parameters;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use format::{Cell, CodeCell, Notebook, NotebookError};
use outputs::Outputs;

use crate::server::handler::{
    CellError, CellRunner, ExecuteCell, ExecuteReply, Output, OutputSender,
};

/// What a cell that asks for input is told.
const NO_INPUT: &str = "nobody can answer here: the notebook runs without a front end; give the value \
     with `--param` or set it in the cell";

/// How a run goes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunOptions {
    /// Run the cells after one that failed.
    pub allow_errors: bool,
}

/// How one cell ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CellStatus {
    /// It ran.
    Ok,
    /// It failed, as its tag `raises-exception` allows or because of [`RunOptions::allow_errors`].
    ErrorAllowed(CellError),
    /// It failed and ends the run.
    Failed(CellError),
    /// It has the tag `skip-execution`.
    Skipped,
}

/// A cell that has just ended, for whoever shows progress.
#[derive(Clone, Debug)]
pub struct CellEnd<'a> {
    /// Position among the code cells that have any code, from 1.
    pub number: usize,
    /// How many of them there are.
    pub total: usize,
    /// The cell's text.
    pub source: &'a str,
    /// How long it took.
    pub elapsed: Duration,
    /// How it ended.
    pub status: &'a CellStatus,
}

/// The cell that ended a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedCell {
    /// Position in the notebook, from 0.
    pub index: usize,
    /// Its execution count.
    pub count: u32,
    /// Its text.
    pub source: String,
    /// Why it failed.
    pub error: CellError,
}

/// Runs the code cells of `notebook` in order and puts their outputs into it. Returns the cell that
/// failed, if one did; cells after it have no outputs then.
pub async fn execute(
    notebook: &mut Notebook,
    runner: &dyn CellRunner,
    options: RunOptions,
    mut ended: impl FnMut(&CellEnd<'_>),
) -> Option<FailedCell> {
    let outputs = Arc::new(Mutex::new(Outputs::new(notebook.cells.len())));
    let cells: Vec<usize> = (0..notebook.cells.len())
        .filter(|index| notebook.code(*index).is_some_and(|code| !code.source.trim().is_empty()))
        .collect();
    let to_run =
        cells.iter().filter_map(|index| notebook.code(*index)).filter(|code| !code.skipped());
    for code in to_run.skip(1) {
        runner.upcoming(&code.source);
    }

    let mut count = 0;
    let mut failed = None;
    for (position, index) in cells.iter().copied().enumerate() {
        let Some(code) = notebook.code_mut(index) else { continue };
        if failed.is_some() {
            code.clear();
            continue;
        }
        let start = Instant::now();
        let status = if code.skipped() {
            CellStatus::Skipped
        } else {
            count += 1;
            code.clear();
            code.execution_count = Some(count);
            run_cell(runner, code, count, index, &outputs, options).await
        };
        ended(&CellEnd {
            number: position + 1,
            total: cells.len(),
            source: &code.source,
            elapsed: start.elapsed(),
            status: &status,
        });
        if let CellStatus::Failed(error) = status {
            failed = Some(FailedCell { index, count, source: code.source.clone(), error });
        }
    }

    for (index, shown) in lock(&outputs).take().into_iter().enumerate() {
        if let Some(code) = notebook.code_mut(index).filter(|code| !code.skipped()) {
            code.outputs = shown;
        }
    }
    failed
}

async fn run_cell(
    runner: &dyn CellRunner,
    code: &CodeCell,
    count: u32,
    index: usize,
    outputs: &Arc<Mutex<Outputs>>,
    options: RunOptions,
) -> CellStatus {
    let cell = ExecuteCell { cell_id: code.id.clone(), ..ExecuteCell::new(&code.source, count) };
    let (output, mut shown) = OutputSender::channel();
    let collect = async {
        while let Some(output) = shown.recv().await {
            if matches!(output, Output::Input { .. }) {
                runner.input_reply(Err(NO_INPUT.to_owned()));
            } else {
                lock(outputs).apply(index, count, output);
            }
        }
    };
    let run = async {
        let reply = runner.execute(cell, output.clone()).await;
        output.barrier().await;
        reply
    };
    let reply = tokio::select! {
        reply = run => reply,
        // Ends only when all senders are gone, which `output` prevents.
        () = collect => ExecuteReply::Aborted,
    };
    let error = match reply {
        ExecuteReply::Ok { .. } => return CellStatus::Ok,
        ExecuteReply::Error(error) => error,
        ExecuteReply::Aborted => CellError { ename: "Aborted".to_owned(), ..CellError::default() },
    };
    lock(outputs).error(index, &error);
    if options.allow_errors || code.has_tag("raises-exception") {
        CellStatus::ErrorAllowed(error)
    } else {
        CellStatus::Failed(error)
    }
}

fn lock(outputs: &Mutex<Outputs>) -> MutexGuard<'_, Outputs> {
    outputs.lock().unwrap_or_else(PoisonError::into_inner)
}
