//! Which crates a session shares with the prelude.
//!
//! Cargo's name for a compiled crate covers its version, features and all below it. So every package
//! that the new dependencies and the prelude have in common is pinned to the prelude's version and
//! features; what then wants more features than the prelude gave is compiled again.

use std::collections::{BTreeMap, BTreeSet};

use super::DepError;
use super::Dependency;
use super::manifest::Project;
use super::run::{cargo, run};
use crate::cargo::{Metadata, registry_package};
use crate::install::{Package, Prelude};

/// Pins can bring in further packages that are to be pinned; this often at most.
const ROUNDS: usize = 8;

/// What was resolved.
pub(super) struct Resolved {
    pub(super) metadata: Metadata,
    /// Packages that cannot be shared, each with the features that the prelude's lacks.
    pub(super) apart: BTreeMap<String, Vec<String>>,
}

/// Writes the project's manifest with all pins and resolves it.
pub(super) async fn resolve(
    project: &Project,
    prelude: &Prelude,
    dependencies: &[Dependency],
) -> Result<Resolved, DepError> {
    let packages = prelude.packages()?;
    let mut pins = BTreeSet::new();
    project.write(dependencies, &pins)?;
    let mut metadata = ask(project, prelude).await?;
    for _ in 0..ROUNDS {
        let wanted = shared(&packages, &metadata);
        if wanted == pins {
            break;
        }
        pins = wanted;
        project.write(dependencies, &pins)?;
        metadata = ask(project, prelude).await?;
    }
    let apart = apart(&pins, &metadata);
    Ok(Resolved { metadata, apart })
}

async fn ask(project: &Project, prelude: &Prelude) -> Result<Metadata, DepError> {
    let host = prelude.rustc_version.lines().find_map(|line| line.strip_prefix("host: "));
    let mut command = cargo(prelude, "metadata", &project.manifest());
    command.args(["--format-version=1", "--filter-platform", host.unwrap_or_default()]);
    let ran = run(command, None).await?;
    if !ran.success {
        return Err(DepError::Cargo { step: "metadata", message: ran.message });
    }
    serde_json::from_str(&ran.lines.join("\n"))
        .map_err(|error| DepError::Answer { reason: error.to_string() })
}

/// The prelude's packages that are in the graph.
fn shared(packages: &[Package], metadata: &Metadata) -> BTreeSet<Package> {
    let present: BTreeSet<(&str, &str)> =
        metadata.resolve.nodes.iter().filter_map(|node| registry_package(&node.id)).collect();
    packages
        .iter()
        .filter(|package| present.contains(&(package.name.as_str(), package.version.as_str())))
        .cloned()
        .collect()
}

/// Packages of which the graph wants more than the prelude has.
fn apart(pins: &BTreeSet<Package>, metadata: &Metadata) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for node in &metadata.resolve.nodes {
        let Some((name, version)) = registry_package(&node.id) else { continue };
        let of_prelude: Vec<&Package> =
            pins.iter().filter(|pin| pin.name == name && pin.version == version).collect();
        if of_prelude.is_empty() {
            continue;
        }
        let has = |feature: &String| of_prelude.iter().any(|pin| pin.features.contains(feature));
        let more: Vec<String> =
            node.features.iter().filter(|feature| !has(feature)).cloned().collect();
        if !more.is_empty() {
            found.insert(name.to_owned(), more);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, features: &[&str], for_host: bool) -> Package {
        Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            features: features.iter().map(|feature| (*feature).to_owned()).collect(),
            for_host,
        }
    }

    fn graph(nodes: &[(&str, &str, &[&str])]) -> Metadata {
        let nodes: Vec<_> = nodes
            .iter()
            .map(|(name, version, features)| {
                json!({"id": format!("registry+x#{name}@{version}"), "deps": [], "features": features})
            })
            .collect();
        let value = json!({"packages": [], "target_directory": "/t", "resolve": {"nodes": nodes, "root": null}});
        serde_json::from_value(value).expect("metadata")
    }

    #[test]
    fn packages_of_the_same_version_are_shared() {
        let packages = [
            package("serde", &["std"], false),
            package("serde", &[], true),
            package("rand", &[], false),
        ];
        let metadata =
            graph(&[("serde", "1.0.0", &[]), ("rand", "2.0.0", &[]), ("heck", "1.0.0", &[])]);
        let shared = shared(&packages, &metadata);
        assert_eq!(
            shared.iter().map(|pin| pin.name.as_str()).collect::<Vec<_>>(),
            ["serde", "serde"]
        );
    }

    #[test]
    fn a_feature_that_the_prelude_lacks_sets_a_package_apart() {
        let pins = [package("serde", &["std"], false), package("serde", &["rc"], true)].into();
        assert!(apart(&pins, &graph(&[("serde", "1.0.0", &["std", "rc"])])).is_empty());
        let found = apart(&pins, &graph(&[("serde", "1.0.0", &["std", "alloc"])]));
        assert_eq!(found["serde"], ["alloc"]);
    }
}
