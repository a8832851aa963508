//! `oxilab run`: executes a notebook in this process, without Jupyter.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;

use super::{RunArgs, engine};
use crate::notebook::format::{join_lines, write_aside};
use crate::notebook::parameters::{self, Parameter};
use crate::notebook::{CellEnd, CellStatus, FailedCell, Notebook, RunOptions, execute, html};
use crate::server::handler::CellRunner;

pub(super) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let mut notebook = Notebook::read(&args.notebook)?;
    let given: Vec<Parameter> =
        args.parameters.iter().map(|text| Parameter::parse(text)).collect::<Result<_, _>>()?;
    parameters::inject(&mut notebook, &given)?;
    let output = args.output.as_deref().map(absolute).transpose()?;
    let page = args.html.as_deref().map(absolute).transpose()?;
    let title = args
        .notebook
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    // As in Jupyter, cells find files beside their notebook.
    let folder = absolute(&args.notebook)?;
    // SAFETY: this process has one thread until the runtime is built below.
    #[expect(
        unsafe_code,
        clippy::disallowed_methods,
        reason = "the worker learns from its environment which notebook it runs"
    )]
    unsafe {
        std::env::set_var("OXILAB_NOTEBOOK", &folder);
    }
    if let Some(folder) = folder.parent() {
        std::env::set_current_dir(folder)
            .with_context(|| format!("could not enter the folder {}", folder.display()))?;
    }

    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let engine = args.engine.engine;
    let options = RunOptions { allow_errors: args.allow_errors };
    let failed = runtime.block_on(async {
        let start = move || engine::start(engine);
        let runner = tokio::task::spawn_blocking(start)
            .await
            .context("the engine failed while it started")?
            .map_err(|error| anyhow::anyhow!("{}", error.evalue))?;
        let interrupts = tokio::spawn(interrupt_on_ctrl_c(Arc::clone(&runner)));
        let failed = execute(&mut notebook, &*runner, options, show_progress).await;
        interrupts.abort();
        runner.shutdown(false).await;
        anyhow::Ok(failed)
    })?;
    runtime.shutdown_background();

    notebook.set_language(&engine::rust_version());
    if let Some(path) = &output {
        notebook.write(path)?;
    }
    if let Some(path) = &page {
        write_aside(path, html::page(&notebook, &title).as_bytes())?;
    }
    if output.is_none() && page.is_none() {
        print_outputs(&notebook)?;
    }
    let Some(failed) = failed else { return Ok(ExitCode::SUCCESS) };
    show_failure(&failed);
    Ok(ExitCode::FAILURE)
}

fn absolute(path: &Path) -> anyhow::Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("`{}` is not a path", path.display()))
}

async fn interrupt_on_ctrl_c(runner: Arc<dyn CellRunner>) {
    while tokio::signal::ctrl_c().await.is_ok() {
        runner.interrupt();
    }
}

fn show_progress(cell: &CellEnd<'_>) {
    let status = match cell.status {
        CellStatus::Ok => "ok".to_owned(),
        CellStatus::ErrorAllowed(error) => format!("{} (allowed)", error.ename),
        CellStatus::Failed(error) => format!("failed: {}", error.ename),
        CellStatus::Skipped => "skipped".to_owned(),
    };
    let seconds = cell.elapsed.as_secs_f64();
    eprintln!("[{}/{}] {seconds:.1} s {status}", cell.number, cell.total);
}

fn show_failure(failed: &FailedCell) {
    eprintln!("\nIn [{}], cell {} of the notebook:", failed.count, failed.index + 1);
    for line in failed.source.lines() {
        eprintln!("    {line}");
    }
    eprintln!();
    if failed.error.traceback.is_empty() {
        eprintln!("{}: {}", failed.error.ename, failed.error.evalue);
    }
    for line in &failed.error.traceback {
        eprintln!("{line}");
    }
}

/// Plain text of all outputs, where nothing else was asked for.
fn print_outputs(notebook: &Notebook) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let outputs = (0..notebook.cells.len()).filter_map(|index| notebook.code(index));
    for output in outputs.flat_map(|code| &code.outputs) {
        let stream = output.get("text").and_then(join_lines);
        let plain = || Some(join_lines(output.get("data")?.get("text/plain")?)? + "\n");
        if let Some(text) = stream.or_else(plain) {
            stdout.write_all(text.as_bytes())?;
        }
    }
    Ok(())
}
