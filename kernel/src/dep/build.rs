//! Builds a session's library, or finds it in the cache.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::link::link;
use super::manifest::{Project, contents, is_pin};
use super::pins::{Resolved, resolve};
use super::run::{cargo, run};
use super::{DepError, Dependency, SessionLibrary};
use crate::cargo::{Artifact, Message, Metadata, libraries};
use crate::install::Prelude;
use crate::install::store::short;
use crate::server::handler::{OutputSender, StreamName};

/// Name of the record of a finished library.
const RECORD: &str = "session.json";

/// Makes a library of `dependencies` that builds on the prelude and on `earlier` libraries of the same
/// session, in order. `cache` is the user's cache folder; progress goes to `output`.
///
/// `all` are the dependencies of the earlier libraries: cargo resolves them together with the new ones.
///
/// # Errors
/// When a dependency cannot be resolved, compiled or linked. Nothing is changed then.
pub async fn build(
    prelude: &Prelude,
    earlier: &[SessionLibrary],
    all: &[Dependency],
    dependencies: &[Dependency],
    cache: &Path,
    output: &OutputSender,
) -> Result<SessionLibrary, DepError> {
    let key = key(prelude, earlier, dependencies);
    let folders = cache.join("deps").join(&prelude.build_id);
    let folder = folders.join(&key);
    if let Some(library) = find(&folder) {
        output.stream(StreamName::Stdout, "From the cache.\n").await;
        return Ok(library);
    }

    fs::create_dir_all(&folders).map_err(DepError::file("cannot make", &folders))?;
    let aside = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(&folders)
        .map_err(DepError::file("cannot make a folder in", &folders))?;
    let project = Project::new(aside.path().join("project"), prelude)?;
    let everything: Vec<Dependency> = replaced(all, dependencies);
    let resolved = resolve(&project, prelude, &everything).await?;
    tell(&resolved, output).await;
    let messages = compile(&project, prelude, output).await?;

    let place = Place { prelude, earlier, folder: &folder };
    let parts = place.sort(&messages, &resolved.metadata, dependencies)?;
    let deps = aside.path().join("deps");
    fs::create_dir_all(&deps).map_err(DepError::file("cannot make", &deps))?;
    for file in &parts.files {
        let to = deps.join(file.file_name().unwrap_or_default());
        if fs::hard_link(file, &to).is_err() {
            fs::copy(file, &to).map_err(DepError::file("cannot copy", file))?;
        }
    }
    let library = SessionLibrary {
        crate_name: format!("oxilab_session_{key}"),
        library: folder.join("deps").join(format!("liboxilab_session_{key}.so")),
        search: folder.join("deps"),
        externs: parts.externs,
    };
    link(prelude, earlier, &library, aside.path(), &parts.native).await?;
    keep(aside, &folder, &library)?;
    Ok(library)
}

/// Earlier dependencies and new ones; a new one takes the place of an earlier one of its name.
fn replaced(all: &[Dependency], new: &[Dependency]) -> Vec<Dependency> {
    let names: BTreeSet<&str> = new.iter().map(Dependency::name).collect();
    all.iter().filter(|old| !names.contains(old.name())).chain(new).cloned().collect()
}

fn key(prelude: &Prelude, earlier: &[SessionLibrary], dependencies: &[Dependency]) -> String {
    let mut hash = Sha256::new();
    let mut part = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    };
    part(&prelude.build_id);
    for library in earlier {
        part(&library.crate_name);
    }
    for dependency in dependencies {
        part(&dependency.to_string());
        part(&dependency.path().map(contents).unwrap_or_default());
    }
    short(hash)
}

fn find(folder: &Path) -> Option<SessionLibrary> {
    let text = fs::read(folder.join(RECORD)).ok()?;
    let library: SessionLibrary = serde_json::from_slice(&text).ok()?;
    let whole = library.library.is_file() && library.externs.values().all(|file| file.is_file());
    whole.then_some(library)
}

/// Takes a finished folder over. Another session may have been faster: its library is the same.
fn keep(aside: tempfile::TempDir, folder: &Path, library: &SessionLibrary) -> Result<(), DepError> {
    let record = aside.path().join(RECORD);
    let text = serde_json::to_vec_pretty(library).unwrap_or_default();
    fs::write(&record, text).map_err(DepError::file("cannot write", record))?;
    // The project has done its work.
    let _ = fs::remove_dir_all(aside.path().join("project"));
    if fs::rename(aside.path(), folder).is_ok() {
        // It has another name now, and stays.
        let _ = aside.keep();
        return Ok(());
    }
    if find(folder).is_some() {
        return Ok(());
    }
    // What is left of a broken one.
    fs::remove_dir_all(folder).map_err(DepError::file("cannot remove", folder))?;
    fs::rename(aside.path(), folder).map_err(DepError::file("cannot rename to", folder))?;
    let _ = aside.keep();
    Ok(())
}

/// Says what will not be shared, before it is built.
async fn tell(resolved: &Resolved, output: &OutputSender) {
    let apart = &resolved.apart;
    if apart.names.is_empty() {
        return;
    }
    let quoted = |names: &mut dyn Iterator<Item = &String>| {
        names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    let wanted: Vec<String> = apart
        .wanted
        .iter()
        .map(|(name, features)| format!("`{name}` lacks {}", quoted(&mut features.iter())))
        .collect();
    let line = format!(
        "Note: features are wanted that the prelude was not built with ({}). Built beside the prelude's, \
         with types of their own: {}.\n",
        wanted.join("; "),
        quoted(&mut apart.names.iter())
    );
    output.stream(StreamName::Stdout, line).await;
}

async fn compile(
    project: &Project,
    prelude: &Prelude,
    output: &OutputSender,
) -> Result<Vec<Message>, DepError> {
    let mut command = cargo(prelude, "build", &project.manifest());
    command.args(["--release", "--message-format=json-render-diagnostics"]);
    let ran = run(command, Some(output)).await?;
    let said = ran.said();
    if !said.is_empty() {
        output.stream(StreamName::Stderr, said).await;
    }
    if !ran.success {
        return Err(DepError::Cargo { step: "build", message: ran.message() });
    }
    Ok(ran.lines.iter().filter_map(|line| Message::parse(line)).collect())
}

/// What the library is made of.
struct Parts {
    /// Crates that neither the prelude nor an earlier library has.
    files: BTreeSet<PathBuf>,
    /// Crate name → file.
    externs: BTreeMap<String, PathBuf>,
    /// Folders with native libraries.
    native: Vec<String>,
}

/// Where crates of a session may already be.
struct Place<'a> {
    prelude: &'a Prelude,
    earlier: &'a [SessionLibrary],
    folder: &'a Path,
}

impl Place<'_> {
    fn sort(
        &self,
        messages: &[Message],
        metadata: &Metadata,
        dependencies: &[Dependency],
    ) -> Result<Parts, DepError> {
        let root = metadata.resolve.root.as_deref().and_then(|root| metadata.node(root));
        let root = root.ok_or_else(|| DepError::Answer { reason: "no root package".to_owned() })?;
        let artifacts = libraries(messages);
        let wanted: BTreeSet<String> = dependencies.iter().map(Dependency::crate_name).collect();
        let mut parts =
            Parts { files: BTreeSet::new(), externs: BTreeMap::new(), native: Vec::new() };
        for dependency in root.deps.iter().filter(|dependency| dependency.is_normal()) {
            // A crate's library may have another name than its package.
            let package = metadata.packages.iter().find(|package| package.id == dependency.pkg);
            let package = package.map(|package| package.name.replace('-', "_"));
            let named = wanted.contains(&dependency.name)
                || package.is_some_and(|package| wanted.contains(&package));
            if is_pin(&dependency.name) || !named {
                continue;
            }
            let artifact = artifacts.get(dependency.pkg.as_str()).ok_or_else(|| {
                DepError::Answer { reason: format!("`{}` has no library", dependency.name) }
            })?;
            let file = self.file(artifact).ok_or_else(|| DepError::Answer {
                reason: format!("`{}` cannot be linked", dependency.name),
            })?;
            parts.externs.insert(dependency.name.clone(), file);
            for id in metadata.closure(&dependency.pkg, &artifacts) {
                let Some(artifact) = artifacts.get(id) else { continue };
                if self.present(artifact).is_none() {
                    let file = artifact.file("rlib").or_else(|| artifact.shared_library());
                    parts.files.extend(file.map(Path::to_owned));
                }
            }
        }
        for message in messages {
            if let Message::BuildScriptExecuted { linked_paths, .. } = message {
                parts.native.extend(linked_paths.iter().cloned());
            }
        }
        Ok(parts)
    }

    /// The file for `--extern`: where it is, or where it will be.
    fn file(&self, artifact: &Artifact) -> Option<PathBuf> {
        self.present(artifact).or_else(|| {
            let file = artifact.file("rlib").or_else(|| artifact.shared_library())?;
            Some(self.folder.join("deps").join(file.file_name()?))
        })
    }

    /// The same crate, in the prelude or an earlier library.
    fn present(&self, artifact: &Artifact) -> Option<PathBuf> {
        let searched = self.earlier.iter().map(|library| &library.search);
        let folders = [&self.prelude.dependencies].into_iter().chain(searched);
        let names = artifact.filenames.iter().filter_map(|file| file.file_name());
        let names: Vec<_> = names.collect();
        folders
            .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
            .find(|path| path.is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_dependency_replaces_one_of_its_name() {
        let parse = |text: &str| Dependency::parse(text, Path::new("/")).expect("read");
        let all = replaced(&parse("a = \"1\"\nb = \"1\""), &parse("a = \"2\""));
        let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["b = \"1\"", "a = \"2\""]);
    }
}
