//! What cargo says: its JSON messages while it builds, and `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// A line of cargo's JSON messages, as far as it matters.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub(crate) enum Message {
    /// Something was compiled, or was found compiled.
    CompilerArtifact(Artifact),
    /// A build script has run, or had run.
    BuildScriptExecuted {
        package_id: String,
        env: Vec<(String, String)>,
        linked_paths: Vec<String>,
    },
    /// All the rest.
    #[serde(other)]
    Other,
}

/// Something compiled.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Artifact {
    pub(crate) package_id: String,
    pub(crate) target: Target,
    pub(crate) profile: Profile,
    pub(crate) features: Vec<String>,
    pub(crate) filenames: Vec<PathBuf>,
    pub(crate) executable: Option<PathBuf>,
}

/// What of a package was compiled.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

/// How it was compiled.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Profile {
    pub(crate) opt_level: String,
    pub(crate) test: bool,
}

impl Message {
    /// Reads a line; `None` for lines of build scripts and macros.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

impl Artifact {
    /// Whether it is a library of any kind that can be linked or gives macros.
    pub(crate) fn is_library(&self) -> bool {
        let other = |kind: &String| {
            matches!(kind.as_str(), "custom-build" | "bin" | "example" | "test" | "bench")
        };
        !self.profile.test && !self.target.kind.iter().any(other)
    }

    pub(crate) fn is_macro(&self) -> bool {
        self.target.kind.iter().any(|kind| kind == "proc-macro")
    }

    /// Compiled for build scripts and macros, not for the program: cargo does not optimise these.
    pub(crate) fn is_for_host(&self) -> bool {
        !self.is_macro() && self.profile.opt_level == "0"
    }

    /// The file with this extension.
    pub(crate) fn file(&self, extension: &str) -> Option<&Path> {
        let matches = |file: &&PathBuf| file.extension().is_some_and(|found| found == extension);
        self.filenames.iter().find(matches).map(PathBuf::as_path)
    }

    /// The shared library of a macro or a dylib.
    pub(crate) fn shared_library(&self) -> Option<&Path> {
        self.file(std::env::consts::DLL_EXTENSION)
    }

    /// Its crate with cargo's hash, as the compiler lists it: `serde-0206d5ece13dd14e`.
    pub(crate) fn stem(&self) -> Option<&str> {
        let file =
            self.file("rmeta").or_else(|| self.file("rlib")).or_else(|| self.shared_library())?;
        let stem = file.file_stem()?.to_str()?;
        Some(stem.strip_prefix("lib").unwrap_or(stem))
    }
}

/// Package → its library, the one for the program where it was also built for build scripts.
pub(crate) fn libraries(messages: &[Message]) -> BTreeMap<&str, &Artifact> {
    let mut found: BTreeMap<&str, &Artifact> = BTreeMap::new();
    for message in messages {
        let Message::CompilerArtifact(artifact) = message else { continue };
        if artifact.is_library()
            && (!artifact.is_for_host() || !found.contains_key(artifact.package_id.as_str()))
        {
            found.insert(&artifact.package_id, artifact);
        }
    }
    found
}

/// `cargo metadata`, as far as it matters.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    pub(crate) resolve: Resolve,
    pub(crate) target_directory: PathBuf,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    targets: Vec<Target>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Resolve {
    pub(crate) nodes: Vec<Node>,
    pub(crate) root: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) id: String,
    pub(crate) deps: Vec<Dependency>,
    #[serde(default)]
    pub(crate) features: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dependency {
    /// As Rust code names the crate.
    pub(crate) name: String,
    pub(crate) pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Clone, Debug, Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

impl Dependency {
    /// A dependency of the library itself, not of its build script or tests.
    pub(crate) fn is_normal(&self) -> bool {
        self.dep_kinds.iter().any(|kind| kind.kind.is_none())
    }
}

impl Metadata {
    /// Whether a package is a procedural macro.
    pub(crate) fn is_macro(&self, id: &str) -> bool {
        let package = self.packages.iter().find(|package| package.id == id);
        let kinds = package.into_iter().flat_map(|package| &package.targets);
        kinds.flat_map(|target| &target.kind).any(|kind| kind == "proc-macro")
    }

    /// The id of the package of that name.
    pub(crate) fn id_of(&self, name: &str) -> Option<&str> {
        self.packages.iter().find(|package| package.name == name).map(|package| package.id.as_str())
    }

    /// The place of a package in the graph.
    pub(crate) fn node(&self, id: &str) -> Option<&Node> {
        self.resolve.nodes.iter().find(|node| node.id == id)
    }

    /// The packages that a library is made of, itself included: through macros it goes no further,
    /// because what a macro is made of stays in the macro's library.
    pub(crate) fn closure<'a>(
        &'a self,
        root: &'a str,
        artifacts: &BTreeMap<&str, &Artifact>,
    ) -> BTreeSet<&'a str> {
        let nodes: BTreeMap<&str, &Node> =
            self.resolve.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let mut seen = BTreeSet::from([root]);
        let mut queue = VecDeque::from([root]);
        while let Some(id) = queue.pop_front() {
            let is_macro = artifacts.get(id).is_some_and(|artifact| artifact.is_macro());
            let Some(node) = nodes.get(id).filter(|_| !is_macro) else { continue };
            for dependency in node.deps.iter().filter(|dependency| dependency.is_normal()) {
                if seen.insert(&dependency.pkg) {
                    queue.push_back(&dependency.pkg);
                }
            }
        }
        seen
    }
}

/// A crate of a registry from its package id: `registry+https://…#serde@1.0.229` is `serde`, `1.0.229`.
pub(crate) fn registry_package(id: &str) -> Option<(&str, &str)> {
    let rest = id.strip_prefix("registry+")?;
    rest.split_once('#')?.1.split_once('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_a_registry_have_name_and_version() {
        let id = "registry+https://github.com/rust-lang/crates.io-index#serde@1.0.229";
        assert_eq!(registry_package(id), Some(("serde", "1.0.229")));
        assert_eq!(registry_package("path+file:///a#b@0.1.0"), None);
    }

    #[test]
    fn a_library_for_the_program_goes_before_one_for_build_scripts() {
        let line = |level: &str, file: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"p","target":{{"name":"a","kind":["lib"]}},
                "profile":{{"opt_level":"{level}","test":false}},"features":[],"filenames":["/t/liba-{file}.rlib",
                "/t/liba-{file}.rmeta"],"executable":null}}"#
            )
        };
        for order in [["3", "0"], ["0", "3"]] {
            let messages: Vec<Message> =
                order.iter().filter_map(|level| Message::parse(&line(level, level))).collect();
            assert_eq!(libraries(&messages)["p"].stem(), Some("a-3"));
        }
        assert!(Message::parse("cargo:rustc-env=x").is_none());
        assert!(matches!(Message::parse("{\"reason\":\"new\"}"), Some(Message::Other)));
    }
}
