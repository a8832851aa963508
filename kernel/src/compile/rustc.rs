//! Calling rustc.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::{Built, Cache, CompileError, Job, Kind};
use crate::diagnostics::Message;
use crate::install::Prelude;
use crate::process_group::ProcessGroup;

/// Compiles cells and items against one build of the prelude.
#[derive(Debug)]
pub struct Compiler {
    prelude: Arc<Prelude>,
    cache: Cache,
    /// Metadata of every crate in the prelude of which there is one version only, by name.
    crates: BTreeMap<String, PathBuf>,
    /// rustc calls so far, for benches and tests.
    calls: AtomicU32,
}

/// Flags of every compile: meaning does not change with the optimisation level.
const FLAGS: &[&str] = &[
    "--edition=2024",
    "-Cprefer-dynamic",
    "-Coverflow-checks=on",
    "-Cdebug-assertions=off",
    "-Cpanic=unwind",
    "-Cdebuginfo=0",
    "-Cstrip=none",
    "--error-format=json",
    // A short loop over two lines of the processor's cache of decoded code takes twice the time, and where
    // it comes to lie is chance.
    "-Cllvm-args=-align-loops=64",
    // Types must be complete to be written back.
    "-Ztrim-diagnostic-paths=no",
    "-Zwrite-long-types-to-disk=no",
    "--diagnostic-width=100000",
    // Cells see `FrameJoins`, polars' joins compiled in the prelude. It builds on polars' own trait, so
    // that it wins where `use polars::prelude::*` brings that into scope as well.
    "-Zcrate-attr=feature(supertrait_item_shadowing)",
];

impl Compiler {
    /// A compiler for one build of the prelude, with its cache.
    #[must_use]
    pub fn new(prelude: Arc<Prelude>, cache: Cache) -> Self {
        let crates = crates(&prelude.dependencies);
        Self { prelude, cache, crates, calls: AtomicU32::new(0) }
    }

    /// rustc calls so far.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Where finished libraries stand.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The build of the prelude.
    #[must_use]
    pub fn prelude(&self) -> &Prelude {
        &self.prelude
    }

    /// A printed type as a cell can write it: rustc shows a crate that the prelude exports under
    /// another name (`oxilab::model`) by the crate's own (`oxilab_dylib::oxilab_model`), which is no
    /// path; as a crate of its own it is one.
    #[must_use]
    pub fn writable(&self, type_text: &str) -> String {
        const THROUGH: &str = "oxilab_dylib::";
        let mut text = type_text.to_owned();
        for name in
            self.crates.keys().filter(|name| type_text.contains(&format!("{THROUGH}{name}::")))
        {
            text = text.replace(&format!("{THROUGH}{name}::"), &format!("{name}::"));
        }
        text
    }

    /// Crates that a printed type names and that are not usable in a cell as they are: the type of a
    /// value may come from a crate of a crate.
    #[must_use]
    pub fn crates_named(&self, types: &[&str]) -> Vec<(String, PathBuf)> {
        let named = self.crates.iter().filter(|(name, _)| {
            !self.prelude.externs.contains_key(*name)
                && types.iter().any(|text| starts_a_path(text, name))
        });
        named.map(|(name, path)| (name.clone(), path.clone())).collect()
    }

    /// Compiles, or finds the library in the cache.
    ///
    /// # Errors
    /// When rustc refuses the code, cannot be run, or a file cannot be written.
    pub async fn compile(&self, job: &Job<'_>) -> Result<Built, CompileError> {
        let key = self.key(job);
        if let Some((library, messages)) = self.cache.find(job.crate_name, &key) {
            return Ok(Built { library, key, messages, millis: 0.0, cached: true });
        }
        let started = Instant::now();
        let folder = tempfile::Builder::new()
            .prefix(".build-")
            .tempdir_in(self.cache.folder())
            .map_err(|source| CompileError::File {
                action: "make a folder in",
                path: self.cache.folder().to_owned(),
                source,
            })?;
        let output = folder.path().join(format!("lib{}-{key}.so", job.crate_name));
        let (messages, success, rest) = self.call(job, &key, folder.path(), &output).await?;
        let millis = started.elapsed().as_secs_f64() * 1e3;
        if !success {
            if messages.iter().any(Message::is_error) {
                return Err(CompileError::Rejected { messages, millis });
            }
            return Err(CompileError::Rustc { reason: rest });
        }
        let library =
            self.cache.keep(&output, job.crate_name, &key, &messages).map_err(|source| {
                CompileError::File { action: "keep a compiled cell in", path: output, source }
            })?;
        Ok(Built { library, key, messages, millis, cached: false })
    }

    /// Compiles code that has an error, for its messages; nothing is kept.
    ///
    /// # Errors
    /// When rustc cannot be run or a file cannot be written.
    pub async fn check(
        &self,
        source: &str,
        externs: Vec<(String, PathBuf)>,
        search: Vec<PathBuf>,
    ) -> Result<Vec<Message>, CompileError> {
        let folder = tempfile::Builder::new()
            .prefix(".check-")
            .tempdir_in(self.cache.folder())
            .map_err(|source| CompileError::File {
                action: "make a folder in",
                path: self.cache.folder().to_owned(),
                source,
            })?;
        let crate_name = "oxi_check";
        let job = Job { crate_name, source, kind: Kind::Cell, opt_level: 0, externs, search };
        let output = folder.path().join("checked");
        let (messages, ..) = self.call(&job, "check", folder.path(), &output).await?;
        Ok(messages)
    }

    async fn call(
        &self,
        job: &Job<'_>,
        key: &str,
        folder: &Path,
        output: &Path,
    ) -> Result<(Vec<Message>, bool, String), CompileError> {
        let file = folder.join(file_name(job.crate_name));
        tokio::fs::write(&file, job.source).await.map_err(|source| CompileError::File {
            action: "write",
            path: file.clone(),
            source,
        })?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut command = Command::new(&self.prelude.rustc);
        command
            .current_dir(folder)
            .args(self.arguments(job, key))
            .arg("-o")
            .arg(output)
            .arg(file_name(job.crate_name))
            .env("RUSTC_BOOTSTRAP", "1")
            .env_remove("LD_LIBRARY_PATH")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let failed = |error| CompileError::Rustc {
            reason: format!("cannot run {}: {error}", self.prelude.rustc.display()),
        };
        let mut child = command.spawn().map_err(failed)?;
        // Declared behind the child, so dropped before it: rustc has not been waited for, and its id is
        // nobody else's.
        let mut group = ProcessGroup::of(child.id());
        let mut stderr = Vec::new();
        if let Some(mut pipe) = child.stderr.take() {
            pipe.read_to_end(&mut stderr).await.map_err(failed)?;
        }
        let status = child.wait().await.map_err(failed)?;
        group.release();
        let (messages, rest) = split(&String::from_utf8_lossy(&stderr));
        let rest = if rest.is_empty() { status.to_string() } else { rest };
        Ok((messages, status.success(), rest))
    }

    fn arguments(&self, job: &Job<'_>, key: &str) -> Vec<String> {
        let mut arguments: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        arguments.extend(self.prelude.flags.iter().cloned());
        arguments.push(format!("--crate-name={}", job.crate_name));
        arguments.push(format!("-Copt-level={}", job.opt_level));
        match &job.kind {
            Kind::Cell => {
                arguments.push("--crate-type=cdylib".to_owned());
                // Types of two cells must never pass for one another.
                arguments.push(format!("-Cmetadata={key}"));
                arguments.push("-Ccodegen-units=1".to_owned());
            }
            Kind::Items { metadata } => {
                arguments.push("--crate-type=dylib".to_owned());
                arguments.push(format!("-Cmetadata={metadata}"));
                arguments.push("-Ccodegen-units=2".to_owned());
            }
        }
        arguments.push(format!("--extern=oxilab={}", self.prelude.library.display()));
        for (name, path) in
            self.prelude.externs.iter().chain(job.externs.iter().map(|(name, path)| (name, path)))
        {
            arguments.push(format!("--extern={name}={}", path.display()));
        }
        arguments.push(format!("-Ldependency={}", self.prelude.dependencies.display()));
        arguments
            .extend(job.search.iter().map(|folder| format!("-Ldependency={}", folder.display())));
        arguments
    }

    /// What an earlier compile of the same job taught, if it was remembered.
    #[must_use]
    pub fn recall<T: serde::de::DeserializeOwned>(&self, job: &Job<'_>) -> Option<T> {
        self.cache.recall(&self.key(job))
    }

    /// Remembers what compiling a job taught; failing to is no error, it costs a compile later.
    pub fn remember<T: serde::Serialize>(&self, job: &Job<'_>, lesson: &T) {
        if let Err(error) = self.cache.remember(&self.key(job), lesson) {
            tracing::debug!(%error, "a lesson was not kept");
        }
    }

    fn key(&self, job: &Job<'_>) -> String {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        };
        add(&self.prelude.build_id);
        add(env!("CARGO_PKG_VERSION"));
        for flag in FLAGS {
            add(flag);
        }
        add(job.crate_name);
        add(&format!("{:?} {}", job.kind, job.opt_level));
        for (name, path) in &job.externs {
            add(name);
            add(&path.to_string_lossy());
        }
        add(job.source);
        hex::encode(&hash.finalize()[..10])
    }
}

/// The source file's name as messages and panics show it.
#[must_use]
pub fn file_name(crate_name: &str) -> String {
    format!("{crate_name}.rs")
}

fn crates(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found: BTreeMap<String, Option<PathBuf>> = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let file = entry.file_name();
        let name = file
            .to_str()
            .and_then(|name| name.strip_prefix("lib")?.strip_suffix(".rmeta")?.rsplit_once('-'));
        if let Some((name, _)) = name {
            // Two versions of a crate: a name alone does not say which.
            found
                .entry(name.to_owned())
                .and_modify(|path| *path = None)
                .or_insert(Some(entry.path()));
        }
    }
    found.into_iter().filter_map(|(name, path)| Some((name, path?))).collect()
}

/// Whether a path in a type starts with a crate's name.
fn starts_a_path(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        text[at + name.len()..].starts_with("::")
            && !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
    })
}

fn split(text: &str) -> (Vec<Message>, String) {
    let mut messages = Vec::new();
    let mut rest = String::new();
    for line in text.lines() {
        if let Some(message) = Message::parse(line) {
            messages.push(message);
        } else {
            rest.push_str(line);
            rest.push('\n');
        }
    }
    (messages, rest)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    fn runs(process: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        // Behind the name in brackets; what nobody has waited for has ended all the same.
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    }

    async fn within_10_s<T>(mut found: impl FnMut() -> Option<T>) -> Option<T> {
        for _ in 0..1000 {
            if let Some(found) = found() {
                return Some(found);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    #[tokio::test]
    async fn a_compile_that_is_dropped_takes_its_linker_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (linker, told) = (folder.path().join("linker"), folder.path().join("told"));
        let script = format!(
            "#!/bin/sh\nsleep 600 &\necho $PPID $$ $! > {0}.new\nmv {0}.new {0}\nwait\n",
            told.display()
        );
        fs::write(&linker, script).expect("writes");
        fs::set_permissions(&linker, fs::Permissions::from_mode(0o755)).expect("may be run");
        let flags = vec![format!("-Clinker={}", linker.display())];
        let prelude = Prelude { flags, ..Prelude::in_folder(folder.path()) };
        let cache = Cache::open(folder.path().join("cells")).expect("opens");
        let compiler = Compiler::new(Arc::new(prelude), cache);
        let (externs, search) = (Vec::new(), Vec::new());
        let job = Job {
            crate_name: "oxi_slow",
            source: "",
            kind: Kind::Cell,
            opt_level: 0,
            externs,
            search,
        };
        let told = tokio::select! {
            built = compiler.compile(&job) => panic!("its linker never ends: {built:?}"),
            told = within_10_s(|| fs::read_to_string(&told).ok()) => told.expect("is called"),
        };
        let processes: Vec<&str> = told.split_whitespace().collect();
        assert_eq!(processes.len(), 3, "{told}");
        let ended = within_10_s(|| (!processes.iter().any(|one| runs(one))).then_some(())).await;
        let left: Vec<_> = processes.iter().filter(|one| runs(one)).collect();
        assert!(ended.is_some(), "of rustc, linker and its child, {left:?} of {told} are left");
    }
}
