//! Which crates a session shares with the prelude.
//!
//! Cargo's name for a compiled crate covers its version, features and all below it. So every package
//! that the new dependencies and the prelude have in common is pinned to the prelude's version and
//! features; what then wants more features than the prelude gave is compiled again.

use std::collections::{BTreeMap, BTreeSet};

use super::DepError;
use super::Dependency;
use super::manifest::{Direct, Project};
use super::run::{cargo, run};
use crate::cargo::{Metadata, registry_package};
use crate::install::{Package, Prelude};

/// Pins can bring in further packages that are to be pinned; this often at most.
const ROUNDS: usize = 8;

/// What was resolved.
pub(super) struct Resolved {
    pub(super) metadata: Metadata,
    /// What cannot be shared.
    pub(super) apart: Apart,
}

/// Packages of the prelude that a session needs otherwise.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Apart {
    /// Packages and the features that the prelude's lacks.
    pub(super) wanted: BTreeMap<String, Vec<String>>,
    /// Crates that are compiled again for it. Empty where only macros and build scripts are concerned,
    /// which no type depends on.
    pub(super) names: BTreeSet<String>,
}

/// Writes the project's manifest with all pins and resolves it.
pub(super) async fn resolve(
    project: &Project,
    prelude: &Prelude,
    dependencies: &[Dependency],
) -> Result<Resolved, DepError> {
    let packages = prelude.packages()?;
    let mut pins = BTreeSet::new();
    project.write(dependencies, &pins, &Direct::new())?;
    let mut metadata = ask(project, prelude).await?;
    let direct = direct(&metadata, dependencies);
    for _ in 0..ROUNDS {
        let wanted = shared(&packages, &metadata);
        if wanted == pins {
            break;
        }
        pins = wanted;
        project.write(dependencies, &pins, &direct)?;
        metadata = ask(project, prelude).await?;
    }
    let apart = apart(&pins, &metadata);
    Ok(Resolved { metadata, apart })
}

/// The registry packages that the user names, and how.
fn direct(metadata: &Metadata, dependencies: &[Dependency]) -> Direct {
    let root =
        metadata.resolve.nodes.iter().find(|n| Some(&n.id) == metadata.resolve.root.as_ref());
    root.into_iter()
        .flat_map(|root| &root.deps)
        .filter_map(|found| {
            let (name, version) = registry_package(&found.pkg)?;
            let named = dependencies.iter().find(|named| named.crate_name() == found.name)?;
            Some(((name.to_owned(), version.to_owned()), named.name().to_owned()))
        })
        .collect()
}

async fn ask(project: &Project, prelude: &Prelude) -> Result<Metadata, DepError> {
    let host = prelude.rustc_version.lines().find_map(|line| line.strip_prefix("host: "));
    let mut command = cargo(prelude, "metadata", &project.manifest());
    command.args(["--format-version=1", "--filter-platform", host.unwrap_or_default()]);
    let ran = run(command, None).await?;
    if !ran.success {
        return Err(DepError::Cargo { step: "metadata", message: ran.message() });
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

/// What cannot be shared: packages of which more is wanted than the prelude has, and all above them.
fn apart(pins: &BTreeSet<Package>, metadata: &Metadata) -> Apart {
    let mut apart = Apart::default();
    let mut other: BTreeSet<&str> = BTreeSet::new();
    for node in &metadata.resolve.nodes {
        let of_prelude = of(pins, &node.id);
        let has = |feature: &String| of_prelude.iter().any(|pin| pin.features.contains(feature));
        let more: Vec<&String> = node.features.iter().filter(|feature| !has(feature)).collect();
        if let (Some(pin), false) = (of_prelude.first(), more.is_empty()) {
            apart.wanted.insert(pin.name.clone(), more.into_iter().cloned().collect());
            other.insert(&node.id);
        }
    }
    // Cargo's name for a compiled crate covers all below it, macros and build scripts included.
    loop {
        let above = metadata.resolve.nodes.iter().filter(|node| {
            !other.contains(node.id.as_str())
                && node.deps.iter().any(|dependency| other.contains(dependency.pkg.as_str()))
        });
        let above: Vec<&str> = above.map(|node| node.id.as_str()).collect();
        if above.is_empty() {
            break;
        }
        other.extend(above);
    }
    for id in other.into_iter().filter(|id| !metadata.is_macro(id)) {
        let of_library = of(pins, id).into_iter().find(|pin| !pin.for_host);
        apart.names.extend(of_library.map(|pin| pin.name.clone()));
    }
    apart
}

/// The prelude's builds of a package.
fn of<'a>(pins: &'a BTreeSet<Package>, id: &str) -> Vec<&'a Package> {
    let found = registry_package(id).map(|(name, version)| {
        pins.iter().filter(move |pin| pin.name == name && pin.version == version).collect()
    });
    found.unwrap_or_default()
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
    fn a_feature_that_the_prelude_lacks_sets_a_package_apart_and_what_is_above() {
        let pins = [
            package("serde", &["std"], false),
            package("serde", &["rc"], true),
            package("polars", &[], false),
        ]
        .into();
        let nothing = graph(&[("serde", "1.0.0", &["std", "rc"])]);
        assert_eq!(apart(&pins, &nothing), Apart::default());
        let mut more = graph(&[("serde", "1.0.0", &["std", "alloc"]), ("polars", "1.0.0", &[])]);
        let dependency = json!({"name": "serde", "pkg": "registry+x#serde@1.0.0", "dep_kinds": [{"kind": null}]});
        more.resolve.nodes[1].deps.push(serde_json::from_value(dependency).expect("dependency"));
        let found = apart(&pins, &more);
        assert_eq!(found.wanted["serde"], ["alloc"]);
        assert_eq!(found.names, ["polars", "serde"].map(str::to_owned).into());
    }

    #[test]
    fn what_only_build_scripts_use_sets_nothing_apart() {
        let pins = [package("cc", &[], true)].into();
        let found = apart(&pins, &graph(&[("cc", "1.0.0", &["parallel"])]));
        assert!(found.names.is_empty() && found.wanted.contains_key("cc"), "{found:?}");
    }
}
