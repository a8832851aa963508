//! Builds the prelude, worker and kernel with cargo and learns from its messages which files they are.
//!
//! The library is built by `cargo rustc … -- -C prefer-dynamic`: cargo leaves that flag out for a
//! package it was asked for by name, and a library with Rust's standard library inside cannot be
//! linked beside the shared one ("`std` only shows up once").

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::InstallError;
use crate::toolchain::Toolchain;

/// The package that is the library; also the crate name.
const LIBRARY: &str = "oxilab-dylib";
/// The package whose direct dependencies are the crate names of a cell.
const PRELUDE: &str = "oxilab";
/// A crate that only exists to fix features.
const FEATURES_ONLY: &str = "oxilab_common_features";

/// What a build made.
#[derive(Clone, Debug, Default)]
pub(super) struct Built {
    /// `liboxilab_dylib.so`.
    pub(super) library: PathBuf,
    /// Metadata of the library's crates, and procedural macros.
    pub(super) crates: Vec<PathBuf>,
    /// Crate name → one of [`Self::crates`].
    pub(super) externs: BTreeMap<String, PathBuf>,
    /// The worker's binary.
    pub(super) worker: PathBuf,
    /// The kernel's binary.
    pub(super) kernel: PathBuf,
    /// Flags that cargo gave to every compile.
    pub(super) flags: Vec<String>,
    /// The target directory.
    pub(super) target_directory: PathBuf,
}

/// A line of cargo's JSON messages, as far as it matters.
#[derive(Debug, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact(Artifact),
    BuildScriptExecuted {
        package_id: String,
        env: Vec<(String, String)>,
    },
    #[serde(other)]
    Other,
}

#[derive(Clone, Debug, Deserialize)]
struct Artifact {
    package_id: String,
    target: Target,
    profile: Profile,
    filenames: Vec<PathBuf>,
    executable: Option<PathBuf>,
}

#[derive(Clone, Debug, Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Profile {
    opt_level: String,
    test: bool,
}

/// `cargo metadata`, as far as it matters.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
    target_directory: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

impl Dependency {
    fn is_normal(&self) -> bool {
        self.dep_kinds.iter().any(|kind| kind.kind.is_none())
    }
}

/// Builds what is missing, with cargo's own progress on the terminal.
pub(super) fn build(toolchain: &Toolchain, source: &Path) -> Result<Built, InstallError> {
    let cargo = toolchain.cargo.as_deref().ok_or(InstallError::NoCargo)?;
    let metadata = metadata(cargo, toolchain, source)?;
    let mut messages = Vec::new();
    let binaries = ["build", "--release", "-p", "oxilab-worker", "-p", "oxilab-kernel", "--bins"];
    messages.extend(run(cargo, source, &binaries, &[])?);
    let library = ["rustc", "--release", "-p", LIBRARY, "--lib"];
    messages.extend(run(cargo, source, &library, &["--", "-C", "prefer-dynamic"])?);
    collect(&messages, &metadata)
}

fn metadata(cargo: &Path, toolchain: &Toolchain, source: &Path) -> Result<Metadata, InstallError> {
    let arguments =
        ["metadata", "--format-version=1", "--filter-platform", toolchain.host.as_str()];
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(source)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(InstallError::file("cannot start", cargo))?;
    if !output.status.success() {
        return Err(failed(&arguments, source));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| InstallError::NoArtifact {
        what: format!("the packages of the workspace ({error})"),
    })
}

fn run(
    cargo: &Path,
    source: &Path,
    arguments: &[&str],
    last: &[&str],
) -> Result<Vec<Message>, InstallError> {
    let mut child = Command::new(cargo)
        .args(arguments)
        .arg("--message-format=json-render-diagnostics")
        .args(last)
        .current_dir(source)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .map_err(InstallError::file("cannot start", cargo))?;
    let mut messages = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(InstallError::file("cannot read the messages of", cargo))?;
            // A build script or a macro may print lines that are not messages.
            if let Ok(message) = serde_json::from_str(&line) {
                messages.push(message);
            }
        }
    }
    let status = child.wait().map_err(InstallError::file("cannot wait for", cargo))?;
    if status.success() { Ok(messages) } else { Err(failed(arguments, source)) }
}

fn failed(arguments: &[&str], source: &Path) -> InstallError {
    let hint = if source.join(".tools").is_dir() {
        "Correct the fault and run `oxilab install` again: what was built is kept"
    } else {
        "If cmake or libclang is missing, `cargo xtask setup` in that folder fetches them"
    };
    InstallError::Build {
        command: format!("cargo {}", arguments.join(" ")),
        folder: source.to_owned(),
        hint: hint.to_owned(),
    }
}

/// Picks the files of the library's crates out of all that cargo named.
fn collect(messages: &[Message], metadata: &Metadata) -> Result<Built, InstallError> {
    let missing = |what: &str| InstallError::NoArtifact { what: what.to_owned() };
    let names: BTreeMap<&str, &str> = metadata
        .packages
        .iter()
        .map(|package| (package.id.as_str(), package.name.as_str()))
        .collect();
    let id_of = |name: &str| {
        let found = names.iter().find(|(_, package)| **package == name).map(|(id, _)| *id);
        found.ok_or_else(|| missing(&format!("the package {name}")))
    };
    let nodes: BTreeMap<&str, &Node> =
        metadata.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
    let artifacts = libraries(messages);

    let library_id = id_of(LIBRARY)?;
    let mut built =
        Built { target_directory: metadata.target_directory.clone(), ..Built::default() };
    for id in closure(library_id, &nodes, &artifacts) {
        let Some(artifact) = artifacts.get(id) else { continue };
        let file = linkable(artifact)
            .ok_or_else(|| missing(&format!("a library file of {}", artifact.target.name)))?;
        if id == library_id {
            built.library.clone_from(file);
        } else {
            built.crates.push(file.clone());
        }
    }
    if built.library.as_os_str().is_empty() {
        return Err(missing("the prelude's library"));
    }

    let prelude_id = id_of(PRELUDE)?;
    let direct = nodes.get(prelude_id).map_or(&[][..], |node| &node.deps);
    let of_cells = direct
        .iter()
        .filter(|dependency| dependency.is_normal() && dependency.name != FEATURES_ONLY)
        .map(|dependency| (dependency.name.as_str(), dependency.pkg.as_str()))
        .chain([("oxilab", prelude_id), ("oxilab_dylib", library_id)]);
    for (name, id) in of_cells {
        let file = artifacts.get(id).and_then(|artifact| linkable(artifact));
        let file = file.ok_or_else(|| missing(&format!("the crate {name}")))?;
        built.externs.insert(name.to_owned(), file.clone());
    }

    built.worker = executable(messages, "oxilab-worker").ok_or_else(|| missing("the worker"))?;
    built.kernel = executable(messages, "oxilab").ok_or_else(|| missing("the kernel"))?;
    let kernel_id = id_of("oxilab-kernel")?;
    built.flags = flags(messages, kernel_id).ok_or_else(|| missing("the compiler's flags"))?;
    Ok(built)
}

/// Package → its library, the optimised one where the package was also built for build scripts.
fn libraries(messages: &[Message]) -> BTreeMap<&str, &Artifact> {
    let mut found: BTreeMap<&str, &Artifact> = BTreeMap::new();
    for message in messages {
        let Message::CompilerArtifact(artifact) = message else { continue };
        if artifact.profile.test || linkable(artifact).is_none() || artifact.executable.is_some() {
            continue;
        }
        let known = found.get(artifact.package_id.as_str());
        if known.is_none_or(|known| known.profile.opt_level <= artifact.profile.opt_level) {
            found.insert(&artifact.package_id, artifact);
        }
    }
    found
}

/// The packages that the library holds or takes macros from. What a macro itself is made of stays in
/// the macro's library.
fn closure<'a>(
    root: &'a str,
    nodes: &BTreeMap<&'a str, &'a Node>,
    artifacts: &BTreeMap<&str, &Artifact>,
) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::from([root]);
    let mut queue = VecDeque::from([root]);
    while let Some(id) = queue.pop_front() {
        let is_macro = artifacts
            .get(id)
            .is_some_and(|artifact| artifact.target.kind.iter().any(|kind| kind == "proc-macro"));
        let Some(node) = nodes.get(id).filter(|_| !is_macro) else { continue };
        for dependency in node.deps.iter().filter(|dependency| dependency.is_normal()) {
            if seen.insert(&dependency.pkg) {
                queue.push_back(&dependency.pkg);
            }
        }
    }
    seen
}

/// The file of a crate that rustc wants to see: metadata suffices for a crate inside the library.
fn linkable(artifact: &Artifact) -> Option<&PathBuf> {
    let with = |extension: &str| {
        let matches = |file: &&PathBuf| file.extension().is_some_and(|found| found == extension);
        artifact.filenames.iter().find(matches)
    };
    if artifact.target.kind.iter().any(|kind| kind == "custom-build" || kind == "bin") {
        return None;
    }
    let shared = artifact.target.kind.iter().any(|kind| kind == "proc-macro" || kind == "dylib");
    if shared {
        with("so").or_else(|| with("dylib"))
    } else {
        with("rmeta").or_else(|| with("rlib"))
    }
}

fn executable(messages: &[Message], name: &str) -> Option<PathBuf> {
    messages.iter().find_map(|message| match message {
        Message::CompilerArtifact(artifact) if artifact.target.name == name => {
            artifact.executable.clone().filter(|_| !artifact.profile.test)
        }
        _ => None,
    })
}

fn flags(messages: &[Message], kernel_id: &str) -> Option<Vec<String>> {
    let encoded = messages.iter().find_map(|message| match message {
        Message::BuildScriptExecuted { package_id, env } if package_id == kernel_id => {
            env.iter().find(|(name, _)| name == "OXILAB_RUSTFLAGS").map(|(_, value)| value)
        }
        _ => None,
    })?;
    Some(encoded.split('\u{1f}').filter(|flag| !flag.is_empty()).map(str::to_owned).collect())
}

/// Checks that a folder is a checkout.
pub(super) fn checkout(folder: &Path) -> Result<PathBuf, InstallError> {
    let found = folder.join("prelude").join("dylib").join("Cargo.toml").is_file();
    if !found {
        return Err(InstallError::NoSource { folder: folder.to_owned() });
    }
    folder.canonicalize().map_err(InstallError::file("cannot open", folder))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn artifact(package: &str, kind: &str, level: &str, files: &[&str]) -> Message {
        let executable = if kind == "bin" { Value::from(files[0]) } else { Value::Null };
        let value = json!({
            "reason": "compiler-artifact", "package_id": format!("id {package}"),
            "target": {"name": package, "kind": [kind], "crate_types": []},
            "profile": {"opt_level": level, "test": false, "debuginfo": 0},
            "filenames": files, "executable": executable, "fresh": true,
        });
        serde_json::from_value(value).expect("a message")
    }

    fn package(name: &str, deps: &[(&str, Option<&str>)]) -> (Value, Value) {
        let deps: Vec<Value> = deps
            .iter()
            .map(|(name, kind)| {
                json!({"name": name.replace('-', "_"), "pkg": format!("id {name}"), "dep_kinds": [{"kind": kind, "target": null}]})
            })
            .collect();
        (
            json!({"id": format!("id {name}"), "name": name}),
            json!({"id": format!("id {name}"), "deps": deps}),
        )
    }

    fn workspace() -> Metadata {
        let (packages, nodes): (Vec<Value>, Vec<Value>) = [
            package("oxilab-dylib", &[("oxilab", None)]),
            package("oxilab", &[("polars", None), ("serde_derive", None), ("cc", Some("build"))]),
            package("polars", &[("polars-core", None)]),
            package("polars-core", &[]),
            package("serde_derive", &[("syn", None)]),
            package("syn", &[]),
            package("cc", &[]),
            package("oxilab-kernel", &[]),
        ]
        .into_iter()
        .unzip();
        let value =
            json!({"packages": packages, "resolve": {"nodes": nodes}, "target_directory": "/t"});
        serde_json::from_value(value).expect("metadata")
    }

    fn messages() -> Vec<Message> {
        let mut messages = vec![
            artifact("oxilab-dylib", "dylib", "3", &["/t/liboxilab_dylib.so"]),
            artifact("oxilab", "lib", "3", &["/t/liboxilab-1.rlib", "/t/liboxilab-1.rmeta"]),
            artifact("polars", "lib", "3", &["/t/libpolars-1.rlib", "/t/libpolars-1.rmeta"]),
            artifact("polars-core", "lib", "3", &["/t/libpolars_core-t.rmeta"]),
            artifact("polars-core", "lib", "0", &["/t/libpolars_core-host.rmeta"]),
            artifact("serde_derive", "proc-macro", "0", &["/t/libserde_derive-1.so"]),
            artifact("syn", "lib", "0", &["/t/libsyn-1.rmeta"]),
            artifact("cc", "lib", "0", &["/t/libcc-1.rmeta"]),
            artifact("oxilab-worker", "bin", "3", &["/t/oxilab-worker"]),
            artifact("oxilab", "bin", "3", &["/t/oxilab"]),
        ];
        messages.push(Message::BuildScriptExecuted {
            package_id: "id oxilab-kernel".to_owned(),
            env: vec![("OXILAB_RUSTFLAGS".to_owned(), "-C\u{1f}target-cpu=native".to_owned())],
        });
        messages
    }

    #[test]
    fn the_librarys_crates_and_macros_are_collected_and_no_others() {
        let built = collect(&messages(), &workspace()).expect("collected");
        let files: Vec<&str> = built.crates.iter().filter_map(|path| path.to_str()).collect();
        assert_eq!(
            files,
            [
                "/t/liboxilab-1.rmeta",
                "/t/libpolars-1.rmeta",
                "/t/libpolars_core-t.rmeta",
                "/t/libserde_derive-1.so"
            ]
        );
        assert_eq!(built.library, Path::new("/t/liboxilab_dylib.so"));
        assert_eq!(built.flags, ["-C", "target-cpu=native"]);
        assert_eq!(built.kernel, Path::new("/t/oxilab"));
    }

    #[test]
    fn crate_names_of_a_cell_are_the_preludes_direct_dependencies() {
        let built = collect(&messages(), &workspace()).expect("collected");
        let names: Vec<&str> = built.externs.keys().map(String::as_str).collect();
        assert_eq!(names, ["oxilab", "oxilab_dylib", "polars", "serde_derive"]);
    }

    #[test]
    fn a_build_without_the_worker_says_so() {
        let messages: Vec<Message> = messages()
            .into_iter()
            .filter(|message| !matches!(message, Message::CompilerArtifact(artifact) if artifact.target.name == "oxilab-worker"))
            .collect();
        let error = collect(&messages, &workspace()).expect_err("no worker");
        assert!(error.to_string().contains("the worker"), "{error}");
    }

    #[test]
    fn a_folder_without_the_prelude_is_no_checkout() {
        let folder = tempfile::tempdir().expect("folder");
        let error = checkout(folder.path()).expect_err("empty");
        assert!(error.to_string().contains("--source"), "{error}");
    }
}
