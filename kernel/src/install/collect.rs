//! Picks the files of an installation out of all that cargo has named.
//!
//! Of a crate that the library holds a cell needs only the metadata. A crate that cells may name and
//! that the library does not hold is given as a whole, with all that it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::InstallError;
use super::prelude::Package;
use crate::cargo::{Artifact, Message, Metadata, libraries, registry_package};

/// The package that is the library.
pub(super) const LIBRARY: &str = "oxilab-dylib";
/// The package whose direct dependencies are the crate names of a cell.
const PRELUDE: &str = "oxilab";
/// Names of the workspace's own crates: cells reach them through the library.
const OWN: &str = "oxilab_";

/// What a build made.
#[derive(Clone, Debug, Default)]
pub(super) struct Built {
    /// `liboxilab_dylib.so`.
    pub(super) library: PathBuf,
    /// Metadata of the library's crates, and procedural macros.
    pub(super) crates: BTreeSet<PathBuf>,
    /// Crate name → the library or one of [`Self::crates`].
    pub(super) externs: BTreeMap<String, PathBuf>,
    /// The worker's binary.
    pub(super) worker: PathBuf,
    /// The kernel's binary.
    pub(super) kernel: PathBuf,
    /// The binary that serves models.
    pub(super) server: PathBuf,
    /// Flags that cargo gave to every compile.
    pub(super) flags: Vec<String>,
    /// The target directory.
    pub(super) target_directory: PathBuf,
    /// Registry packages and their features.
    pub(super) packages: Vec<Package>,
}

/// `held`: the crates inside the library, as the compiler lists them.
pub(super) fn collect(
    binaries: &[Message],
    library: &[Message],
    metadata: &Metadata,
    held: &BTreeSet<String>,
) -> Result<Built, InstallError> {
    let missing = |what: &str| InstallError::NoArtifact { what: what.to_owned() };
    let id_of =
        |name: &str| metadata.id_of(name).ok_or_else(|| missing(&format!("the package {name}")));
    let artifacts = libraries(library);
    let library_id = id_of(LIBRARY)?;
    let shared = artifacts.get(library_id).and_then(|artifact| artifact.shared_library());
    let shared = shared.ok_or_else(|| missing("the prelude's library"))?;

    let mut crates = BTreeSet::new();
    for artifact in artifacts.values().filter(|artifact| is_held(artifact, held)) {
        crates.extend(linkable(artifact, held).map(Path::to_owned));
    }
    let mut externs: BTreeMap<String, PathBuf> =
        ["oxilab", "oxilab_dylib"].map(|name| (name.to_owned(), shared.to_owned())).into();
    let direct = metadata.node(id_of(PRELUDE)?).map_or(&[][..], |node| &node.deps);
    for dependency in direct {
        if !dependency.is_normal() || dependency.name.starts_with(OWN) {
            continue;
        }
        let file =
            artifacts.get(dependency.pkg.as_str()).and_then(|artifact| linkable(artifact, held));
        let file = file.ok_or_else(|| missing(&format!("the crate {}", dependency.name)))?;
        externs.insert(dependency.name.clone(), file.to_owned());
        if crates.contains(file) {
            continue;
        }
        for id in metadata.closure(&dependency.pkg, &artifacts) {
            let file = artifacts.get(id).and_then(|artifact| linkable(artifact, held));
            crates.extend(file.map(Path::to_owned));
        }
    }

    Ok(Built {
        library: shared.to_owned(),
        crates,
        externs,
        worker: executable(binaries, "oxilab-worker").ok_or_else(|| missing("the worker"))?,
        kernel: executable(binaries, "oxilab").ok_or_else(|| missing("the kernel"))?,
        server: executable(binaries, "oxilab-server").ok_or_else(|| missing("the server"))?,
        flags: flags(binaries, id_of("oxilab-kernel")?)
            .ok_or_else(|| missing("the compiler's flags"))?,
        target_directory: metadata.target_directory.clone(),
        packages: packages(library),
    })
}

fn is_held(artifact: &Artifact, held: &BTreeSet<String>) -> bool {
    artifact.stem().is_some_and(|stem| held.contains(stem))
}

/// The file of a crate that rustc wants to see.
fn linkable<'a>(artifact: &'a Artifact, held: &BTreeSet<String>) -> Option<&'a Path> {
    if artifact.is_macro() {
        artifact.shared_library()
    } else if is_held(artifact, held) {
        artifact.file("rmeta").or_else(|| artifact.file("rlib"))
    } else {
        artifact.file("rlib")
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
        Message::BuildScriptExecuted { package_id, env, .. } if package_id == kernel_id => {
            env.iter().find(|(name, _)| name == "OXILAB_RUSTFLAGS").map(|(_, value)| value)
        }
        _ => None,
    })?;
    Some(encoded.split('\u{1f}').filter(|flag| !flag.is_empty()).map(str::to_owned).collect())
}

/// Every registry package with the features it was built with, once for each way of building.
fn packages(messages: &[Message]) -> Vec<Package> {
    let mut found = BTreeSet::new();
    for message in messages {
        let Message::CompilerArtifact(artifact) = message else { continue };
        let Some((name, version)) = registry_package(&artifact.package_id) else { continue };
        if artifact.is_library() {
            found.insert(Package {
                name: name.to_owned(),
                version: version.to_owned(),
                features: artifact.features.clone(),
                for_host: artifact.is_for_host(),
            });
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn artifact(package: &str, kind: &str, level: &str, files: &[&str]) -> Message {
        let executable = if kind == "bin" { Value::from(files[0]) } else { Value::Null };
        let value = json!({
            "reason": "compiler-artifact", "package_id": format!("registry+x#{package}@1.0.0"),
            "target": {"name": package, "kind": [kind], "crate_types": []},
            "profile": {"opt_level": level, "test": false, "debuginfo": 0}, "features": ["std"],
            "filenames": files, "executable": executable, "fresh": true,
        });
        serde_json::from_value(value).expect("a message")
    }

    fn package(name: &str, deps: &[(&str, Option<&str>)]) -> (Value, Value) {
        let id = |name: &str| format!("registry+x#{name}@1.0.0");
        let deps: Vec<Value> = deps
            .iter()
            .map(|(name, kind)| {
                let kinds = json!([{"kind": kind, "target": null}]);
                json!({"name": name.replace('-', "_"), "pkg": id(name), "dep_kinds": kinds})
            })
            .collect();
        let package = json!({"id": id(name), "name": name, "version": "1.0.0"});
        (package, json!({"id": id(name), "deps": deps, "features": []}))
    }

    fn workspace() -> Metadata {
        let normal = None;
        let (packages, nodes): (Vec<Value>, Vec<Value>) = [
            package("oxilab-dylib", &[("oxilab", normal)]),
            package(
                "oxilab",
                &[
                    ("polars", normal),
                    ("serde_derive", normal),
                    ("regex", normal),
                    ("oxilab-data", normal),
                    ("cc", Some("build")),
                ],
            ),
            package("oxilab-data", &[]),
            package("polars", &[("polars-core", normal)]),
            package("polars-core", &[]),
            package("regex", &[("memchr", normal)]),
            package("memchr", &[]),
            package("serde_derive", &[("syn", normal)]),
            package("syn", &[]),
            package("cc", &[]),
            package("oxilab-kernel", &[]),
        ]
        .into_iter()
        .unzip();
        let value = json!({
            "packages": packages, "target_directory": "/t",
            "resolve": {"nodes": nodes, "root": null},
        });
        serde_json::from_value(value).expect("metadata")
    }

    fn library() -> Vec<Message> {
        vec![
            artifact("oxilab-dylib", "dylib", "3", &["/t/liboxilab_dylib.so"]),
            artifact("oxilab", "lib", "3", &["/t/liboxilab-1.rlib", "/t/liboxilab-1.rmeta"]),
            artifact(
                "oxilab-data",
                "lib",
                "3",
                &["/t/liboxilab_data-1.rlib", "/t/liboxilab_data-1.rmeta"],
            ),
            artifact("polars", "lib", "3", &["/t/libpolars-1.rlib", "/t/libpolars-1.rmeta"]),
            artifact(
                "polars-core",
                "lib",
                "3",
                &["/t/libpolars_core-t.rlib", "/t/libpolars_core-t.rmeta"],
            ),
            artifact(
                "polars-core",
                "lib",
                "0",
                &["/t/libpolars_core-host.rlib", "/t/libpolars_core-host.rmeta"],
            ),
            artifact("regex", "lib", "3", &["/t/libregex-1.rlib", "/t/libregex-1.rmeta"]),
            artifact("memchr", "lib", "3", &["/t/libmemchr-1.rlib", "/t/libmemchr-1.rmeta"]),
            artifact("serde_derive", "proc-macro", "0", &["/t/libserde_derive-1.so"]),
            artifact("syn", "lib", "0", &["/t/libsyn-1.rlib", "/t/libsyn-1.rmeta"]),
            artifact("cc", "lib", "0", &["/t/libcc-1.rlib", "/t/libcc-1.rmeta"]),
        ]
    }

    fn binaries() -> Vec<Message> {
        vec![
            artifact("oxilab-worker", "bin", "3", &["/t/oxilab-worker"]),
            artifact("oxilab", "bin", "3", &["/t/oxilab"]),
            artifact("oxilab-server", "bin", "3", &["/t/oxilab-server"]),
            Message::BuildScriptExecuted {
                package_id: "registry+x#oxilab-kernel@1.0.0".to_owned(),
                env: vec![("OXILAB_RUSTFLAGS".to_owned(), "-C\u{1f}target-cpu=native".to_owned())],
                linked_paths: Vec::new(),
            },
        ]
    }

    fn held() -> BTreeSet<String> {
        let held = [
            "oxilab-1",
            "oxilab_data-1",
            "polars-1",
            "polars_core-t",
            "serde_derive-1",
            "memchr-1",
        ];
        held.map(str::to_owned).into()
    }

    #[test]
    fn metadata_is_taken_of_what_the_library_holds_and_the_rest_as_a_whole() {
        let built = collect(&binaries(), &library(), &workspace(), &held()).expect("collected");
        let files: Vec<&str> = built.crates.iter().filter_map(|path| path.to_str()).collect();
        assert_eq!(
            files,
            [
                "/t/libmemchr-1.rmeta",
                "/t/liboxilab-1.rmeta",
                "/t/liboxilab_data-1.rmeta",
                "/t/libpolars-1.rmeta",
                "/t/libpolars_core-t.rmeta",
                "/t/libregex-1.rlib",
                "/t/libserde_derive-1.so",
            ]
        );
        assert_eq!(built.library, Path::new("/t/liboxilab_dylib.so"));
        assert_eq!(built.flags, ["-C", "target-cpu=native"]);
        assert_eq!(built.kernel, Path::new("/t/oxilab"));
        assert_eq!(built.server, Path::new("/t/oxilab-server"));
    }

    #[test]
    fn crate_names_of_a_cell_are_the_preludes_direct_dependencies() {
        let built = collect(&binaries(), &library(), &workspace(), &held()).expect("collected");
        let names: Vec<&str> = built.externs.keys().map(String::as_str).collect();
        assert_eq!(names, ["oxilab", "oxilab_dylib", "polars", "regex", "serde_derive"]);
        assert_eq!(built.externs["oxilab"], built.library);
    }

    #[test]
    fn packages_are_kept_with_their_features_for_either_use() {
        let built = collect(&binaries(), &library(), &workspace(), &held()).expect("collected");
        let of = |name: &str| -> Vec<bool> {
            let named = built.packages.iter().filter(|package| package.name == name);
            named.map(|package| package.for_host).collect()
        };
        assert_eq!(of("polars-core"), [false, true]);
        assert_eq!(of("serde_derive"), [false]);
        assert_eq!(built.packages[0].features, ["std"]);
    }

    #[test]
    fn a_build_without_the_worker_says_so() {
        let error =
            collect(&binaries()[1..], &library(), &workspace(), &held()).expect_err("no worker");
        assert!(error.to_string().contains("the worker"), "{error}");
    }
}
