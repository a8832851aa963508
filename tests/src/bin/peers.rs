//! `cargo xtask peers`: the literate specs on evcxr, and every difference with its reason.
//!
//! Reasons are written by hand in `tests/peers.md`, one line `- heading: reason` each; the table in
//! `docs/EVCXR.md` is made from them. A difference without a reason ends the run with an error.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use oxilab_kernel::cli::engine::{self, Engine};
use oxilab_kernel::server::handler::CellRunner;
use oxilab_tests::literate::{Difference, Spec};

fn main() -> anyhow::Result<()> {
    oxilab_kernel::evcxr::runtime_hook();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(compare())
}

async fn start() -> anyhow::Result<Arc<dyn CellRunner>> {
    let started = tokio::task::spawn_blocking(|| engine::start(Engine::Evcxr)).await?;
    started.map_err(|error| anyhow::anyhow!("{}: {}", error.ename, error.evalue))
}

async fn compare() -> anyhow::Result<()> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reasons = reasons(&tests.join("peers.md"))?;
    let mut specs: Vec<_> =
        std::fs::read_dir(tests.join("cells"))?.flatten().map(|entry| entry.path()).collect();
    specs.sort();
    let mut table = String::from(
        "# Where evcxr differs\n\n\
         Made by `cargo xtask peers`: the specs in `tests/cells` run on evcxr 0.22 without added crates. \
         Compared are the shown text, and whether and as what a cell fails.\n\n\
         | spec | cell | evcxr shows | why |\n|---|---|---|---|\n",
    );
    let mut unexplained = Vec::new();
    for path in specs {
        let spec = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        println!("{spec}");
        for Difference { heading, code, shown, .. } in Spec::read(&path)?.differences(start).await?
        {
            let reason = reasons.get(&heading).map_or("", String::as_str);
            if reason.is_empty() {
                unexplained.push(format!("{spec}: {heading}: {code}\n    {shown}"));
            }
            writeln!(
                table,
                "| {spec}: {heading} | {} | {} | {reason} |",
                cell(&code),
                cell(&shown)
            )?;
        }
    }
    std::fs::write(tests.join("../docs/EVCXR.md"), table)?;
    anyhow::ensure!(unexplained.is_empty(), "without a reason:\n{}", unexplained.join("\n"));
    Ok(())
}

fn reasons(path: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read {}", path.display()))?;
    let lines = text.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(": "));
    Ok(lines.map(|(heading, reason)| (heading.to_owned(), reason.to_owned())).collect())
}

/// The first line without the numbers of threads, which differ from run to run, as a cell of a table.
fn cell(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let line = match line.split_once("' (") {
        Some((thread, rest)) if thread.starts_with("thread '") => {
            format!("{thread}'{}", rest.split_once(')').map_or("", |(_, rest)| rest))
        }
        _ => line.to_owned(),
    };
    let short: String = line.chars().take(80).collect();
    format!("`{}`", short.replace('|', "\\|").replace('`', "'"))
}
