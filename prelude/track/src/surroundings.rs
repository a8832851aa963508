//! Where a run comes from: notebook, cell, user, git commit and what differs from it, crates, machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::mlflow::split_credentials;
use crate::redact::redact;

/// The longest diff that is kept, in bytes.
const LONGEST_DIFF: usize = 1 << 20;
/// The workspace's own list of crates, exact as it was built.
const LOCK: &str = include_str!("../../../Cargo.lock");
/// Crates whose versions decide what a model is.
const CRATES: [&str; 9] = [
    "polars",
    "candle-core",
    "candle-nn",
    "candle-transformers",
    "tokenizers",
    "safetensors",
    "lightgbm3",
    "ndarray",
    "rand",
];

/// Tags of a new run.
pub(crate) fn tags() -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    let mut tag = |key: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            tags.insert(key.to_owned(), value);
        }
    };
    let notebook = notebook();
    let kind = if notebook.is_some() { "NOTEBOOK" } else { "LOCAL" };
    tag("mlflow.source.type", Some(kind.to_owned()));
    tag("mlflow.source.name", notebook.or_else(program));
    tag("mlflow.user", user());
    tag("oxilab.version", Some(env!("CARGO_PKG_VERSION").to_owned()));
    if let Some(git) = repository() {
        let (commit, branch) = head(&git);
        tag("mlflow.source.git.commit", commit);
        tag("mlflow.source.git.branch", branch);
        tag("mlflow.source.git.repoURL", remote(&git));
    }
    tags
}

/// The notebook that this process runs, where the front end has said it.
pub(crate) fn notebook() -> Option<String> {
    let set = |name| std::env::var(name).ok().filter(|path| !path.is_empty());
    set("OXILAB_NOTEBOOK").or_else(|| set("JPY_SESSION_NAME")).or_else(|| set("VSCODE_NOTEBOOK"))
}

/// The program that runs cells: it is the source of nothing.
pub(crate) const WORKER: &str = "oxilab-worker";

fn program() -> Option<String> {
    let name = std::env::current_exe().ok()?.file_name()?.to_string_lossy().into_owned();
    Some(name).filter(|name| name != WORKER)
}

fn user() -> Option<String> {
    ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok())
}

/// The `.git` of the repository that holds the working directory.
fn repository() -> Option<PathBuf> {
    let mut folder = std::env::current_dir().ok()?;
    loop {
        let git = folder.join(".git");
        if git.is_dir() {
            return Some(git);
        }
        // A worktree's `.git` is a file that names the folder.
        if let Ok(text) = std::fs::read_to_string(&git) {
            return text.strip_prefix("gitdir: ").map(|path| folder.join(path.trim()));
        }
        if !folder.pop() {
            return None;
        }
    }
}

/// Commit and branch, read without a process.
fn head(git: &Path) -> (Option<String>, Option<String>) {
    let read = |path: &str| std::fs::read_to_string(git.join(path)).ok();
    let Some(head) = read("HEAD") else { return (None, None) };
    let whole = |text: &str| Some(text.trim().to_owned()).filter(|text| text.len() >= 40);
    let Some(name) = head.trim().strip_prefix("ref: ") else { return (whole(&head), None) };
    let branch = name.strip_prefix("refs/heads/").map(str::to_owned);
    let packed = || {
        let packed = read("packed-refs")?;
        let line = packed.lines().find(|line| line.ends_with(&format!(" {name}")))?;
        whole(line.split(' ').next()?)
    };
    (read(name).and_then(|text| whole(&text)).or_else(packed), branch)
}

fn remote(git: &Path) -> Option<String> {
    let config = std::fs::read_to_string(git.join("config")).ok()?;
    let mut lines = config.lines().skip_while(|line| line.trim() != "[remote \"origin\"]").skip(1);
    let line = lines.find(|line| line.trim_start().starts_with("url"))?;
    Some(split_credentials(line.split_once('=')?.1).0)
}

/// What differs from the commit, without credentials; `None` without a repository or a difference.
pub(crate) fn diff() -> Option<String> {
    repository()?;
    let mut git = Command::new("git");
    git.args(["diff", "HEAD", "--no-ext-diff", "--no-color"]).stdin(Stdio::null());
    let output = git.stderr(Stdio::null()).env("GIT_OPTIONAL_LOCKS", "0").output().ok()?;
    if !output.status.success() || output.stdout.is_empty() {
        return None;
    }
    let cut = output.stdout.len() > LONGEST_DIFF;
    let text = String::from_utf8_lossy(&output.stdout[..output.stdout.len().min(LONGEST_DIFF)]);
    let note = if cut { "\n[cut after 1 MiB]\n" } else { "" };
    Some(redact(&text) + note)
}

/// Versions of the crates that decide what a model is.
pub(crate) fn crates() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for package in LOCK.split("[[package]]") {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_start_matches([' ', '=']).trim_matches('"').to_owned())
        };
        if let (Some(name), Some(version)) = (field("name "), field("version "))
            && CRATES.contains(&name.as_str())
        {
            found.insert(name, version);
        }
    }
    found
}

/// The machine and the programs, as JSON.
pub(crate) fn environment() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let model = processor.lines().find_map(|line| line.strip_prefix("model name"));
    let value = json!({
        "oxilab": env!("CARGO_PKG_VERSION"),
        "crates": crates(),
        "notebook": notebook(),
        "system": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "processor": model.map(|text| text.trim_start_matches([' ', '\t', ':'])),
        "threads": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
    });
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crates_that_matter_are_found() {
        let crates = crates();
        assert_eq!(crates.len(), CRATES.len(), "{crates:?}");
        assert!(crates["polars"].starts_with("0."), "{crates:?}");
    }

    #[test]
    fn a_packed_reference_is_followed() {
        let git = tempfile::tempdir().expect("folder");
        let commit = "0123456789012345678901234567890123456789";
        std::fs::write(git.path().join("HEAD"), "ref: refs/heads/main\n").expect("written");
        std::fs::write(git.path().join("packed-refs"), format!("# x\n{commit} refs/heads/main\n"))
            .expect("written");
        let config = "[remote \"origin\"]\n\turl = https://me:pw@host/repo.git\n";
        std::fs::write(git.path().join("config"), config).expect("written");
        assert_eq!(head(git.path()), (Some(commit.to_owned()), Some("main".to_owned())));
        assert_eq!(remote(git.path()).as_deref(), Some("https://host/repo.git"));
    }
}
