//! Which indices there are: one of the prelude's crates and std, one of the workbench and what a cell
//! has in scope, one for each library of `%dep`. Each has a name by content and is made once.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::build::{Plan, build_once, file, primitives};
use super::index::{Facts, Index};
use crate::dep::SessionLibrary;
use crate::install::Prelude;

/// Version of what is written; part of every name.
const VERSION: &str = "1";
/// Names of the prelude's own crate and of its shared library.
const OWN: [&str; 2] = ["oxilab", "oxilab_dylib"];
/// Indices that are kept in the folder.
const KEPT: usize = 12;

/// The folder of indices below the cache folder.
#[must_use]
pub(crate) fn folder(cache: &Path) -> PathBuf {
    cache.join("assist")
}

/// The plans of a prelude, most specific first.
#[must_use]
pub(crate) fn of_prelude(prelude: &Prelude) -> Vec<Plan> {
    vec![of_workbench(prelude), of_crates(prelude)]
}

/// std and the crates that a cell can name.
fn of_crates(prelude: &Prelude) -> Plan {
    let externs: Vec<(String, PathBuf)> = prelude
        .externs
        .iter()
        .filter(|(name, _)| !OWN.contains(&name.as_str()))
        .map(|(name, path)| (name.clone(), path.clone()))
        .collect();
    let mut source = String::from("pub mod std { #[doc(inline)] pub use ::std::*; }\n");
    for (name, _) in &externs {
        source.push_str(&inline(name));
    }
    source.push_str(&primitives());
    plan("crates", prelude, source, externs, Vec::new(), Facts::default())
}

/// The crates of a library that `%dep` made.
#[must_use]
pub(crate) fn of_session(
    prelude: &Prelude,
    library: &SessionLibrary,
    others: &[SessionLibrary],
) -> Plan {
    let externs: Vec<_> =
        library.externs.iter().map(|(name, path)| (name.clone(), path.clone())).collect();
    let source = externs.iter().map(|(name, _)| inline(name)).collect();
    let search = others.iter().map(|one| one.search.clone()).collect();
    plan("dep", prelude, source, externs, search, Facts::default())
}

fn inline(name: &str) -> String {
    format!("pub mod {name} {{ #[doc(inline)] pub use ::{name}::*; }}\n")
}

/// The workbench's modules, and what `oxilab::prelude` brings into scope.
fn of_workbench(prelude: &Prelude) -> Plan {
    let modules = fs::read_to_string(prelude.source.join("prelude/src/lib.rs"));
    let names = fs::read_to_string(prelude.source.join("prelude/src/prelude.rs"));
    let crates: Vec<&str> = prelude.externs.keys().map(String::as_str).collect();
    let (source, facts) = match (modules, names) {
        (Ok(modules), Ok(names)) => workbench(&modules, &names, &crates),
        // Without the checkout the crate itself says what is in it; what it imports as `_` stays
        // unknown, so methods of those traits are missing.
        _ => (
            "pub mod oxilab { #[doc(inline)] pub use ::oxilab::*; }\n".to_owned(),
            Facts::default(),
        ),
    };
    let externs = vec![("oxilab".to_owned(), prelude.library.clone())];
    let mut made = plan("oxilab", prelude, source, externs, Vec::new(), facts);
    made.name = format!("{}-{}", made.name, prelude.build_id);
    made
}

/// Source and facts from `prelude/src/lib.rs` and `prelude/src/prelude.rs`.
fn workbench(modules: &str, names: &str, crates: &[&str]) -> (String, Facts) {
    let mut own = Vec::new();
    for (name, path) in exported(modules) {
        if name != "init" && name != "prelude" && !path.contains("init") && !path.contains("__rt") {
            own.push(name);
        }
    }
    own.sort();
    own.dedup();
    let mut facts = Facts::default();
    let mut in_prelude = Vec::new();
    for (name, path) in exported(names) {
        let last = path.rsplit("::").next().unwrap_or_default().to_owned();
        if name == "_" {
            facts.traits.push(last);
        } else if crates.contains(&path.as_str()) {
            facts.in_scope.insert(name, path);
        } else if own.contains(&name) && path.starts_with("crate::") {
            facts.in_scope.insert(name.clone(), format!("oxilab::{name}"));
        } else {
            // Whether it is a trait the index knows; being in scope is what counts.
            if last.starts_with(char::is_uppercase) {
                facts.traits.push(name.clone());
            }
            facts.in_scope.insert(name.clone(), format!("oxilab::prelude::{name}"));
            in_prelude.push(name);
        }
    }
    for name in crates.iter().filter(|name| !OWN.contains(name)) {
        facts.in_scope.entry((*name).to_owned()).or_insert_with(|| (*name).to_owned());
    }
    // `json` is a function and a macro: one import brings both.
    in_prelude.sort();
    in_prelude.dedup();
    let source = format!(
        "pub mod oxilab {{ #[doc(inline)] pub use ::oxilab::{{{}}}; \
         pub mod prelude {{ #[doc(inline)] pub use ::oxilab::prelude::{{{}}}; }} }}\n",
        own.join(", "),
        in_prelude.join(", "),
    );
    (source, facts)
}

/// Names that a file exports: (name, path of what it names). Traits imported as `_` have that name.
fn exported(text: &str) -> Vec<(String, String)> {
    proc_macro2::extra::invalidate_current_thread_spans();
    let Ok(file) = syn::parse_file(text) else { return Vec::new() };
    let mut found = Vec::new();
    for item in &file.items {
        match item {
            syn::Item::Use(one) if matches!(one.vis, syn::Visibility::Public(_)) => {
                uses(&one.tree, &mut Vec::new(), &mut found);
            }
            syn::Item::Mod(one) if matches!(one.vis, syn::Visibility::Public(_)) => {
                let hidden = one.attrs.iter().any(|attribute| attribute.path().is_ident("doc"));
                if !hidden || one.content.is_none() {
                    found.push((one.ident.to_string(), format!("crate::{}", one.ident)));
                }
            }
            _ => {}
        }
    }
    found
}

fn uses(tree: &syn::UseTree, prefix: &mut Vec<String>, found: &mut Vec<(String, String)>) {
    let path = |prefix: &[String], name: &str| {
        prefix.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join("::")
    };
    match tree {
        syn::UseTree::Path(one) => {
            prefix.push(one.ident.to_string());
            uses(&one.tree, prefix, found);
            prefix.pop();
        }
        syn::UseTree::Name(one) => {
            let name = one.ident.to_string();
            found.push((name.clone(), path(prefix, &name)));
        }
        syn::UseTree::Rename(one) => {
            found.push((one.rename.to_string(), path(prefix, &one.ident.to_string())));
        }
        syn::UseTree::Group(group) => {
            for inner in &group.items {
                uses(inner, prefix, found);
            }
        }
        syn::UseTree::Glob(_) => {}
    }
}

fn plan(
    kind: &str,
    prelude: &Prelude,
    source: String,
    externs: Vec<(String, PathBuf)>,
    search: Vec<PathBuf>,
    facts: Facts,
) -> Plan {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    };
    add(VERSION);
    add(&prelude.rustc_version);
    add(&source);
    // Cargo's hash in the file's name stands for what is in the file.
    for (name, path) in &externs {
        add(name);
        add(&path.file_name().unwrap_or_default().to_string_lossy());
    }
    for (name, path) in &facts.in_scope {
        add(name);
        add(path);
    }
    for name in &facts.traits {
        add(name);
    }
    let name = format!("{kind}-{}", crate::install::store::short(hash));
    let mut folders = vec![prelude.dependencies.clone()];
    folders.extend(search);
    Plan {
        name,
        source,
        externs,
        search: folders,
        flags: prelude.flags.clone(),
        rustdoc: prelude.rustc.with_file_name("rustdoc"),
        facts,
    }
}

/// Makes the indices of a prelude that are not there yet. Cells run without them, so that a failure is
/// only told.
pub(crate) fn install(prelude: &Prelude, cache: &Path, report: &mut dyn FnMut(&str)) {
    let folder = folder(cache);
    // The large one first: it stays the same as long as the dependencies do.
    for plan in of_prelude(prelude).iter().rev() {
        match build_once(plan, &folder) {
            Ok(made) if made.time > Duration::ZERO => {
                let seconds = made.time.as_secs_f64();
                report(&format!(
                    "Completion knows {} names of {} ({seconds:.0} s)",
                    made.paths,
                    plan.about()
                ));
            }
            Ok(_) => {}
            Err(error) => report(&format!("Completion knows less: {error}")),
        }
    }
    prune(&folder);
}

/// What completion has to go on, for `oxilab doctor`; the error says what is missing.
pub(crate) fn describe(prelude: &Prelude, cache: &Path) -> Result<String, String> {
    let folder = folder(cache);
    let (mut names, mut disk, mut memory, mut kept) = (0, 0, 0, 0);
    for plan in of_prelude(prelude) {
        let path = file(&folder, &plan.name);
        let index = Index::open(&path).map_err(|error| {
            format!("no index of {} yet ({}: {error})", plan.about(), path.display())
        })?;
        names += index.len();
        memory += index.memory() as u64;
        kept += index.most_kept();
        disk += fs::metadata(&path).map_or(0, |data| data.len());
    }
    let megabytes = |bytes: u64| bytes / 1_000_000;
    Ok(format!(
        "{names} names, {} MB on disk; in memory {} MB once used, and at most {} MB of what was \
         looked at",
        megabytes(disk),
        megabytes(memory),
        megabytes(kept),
    ))
}

/// Removes the indices that were used longest ago; what cannot be removed now is removed later.
pub(crate) fn prune(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut files: Vec<(std::time::SystemTime, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "index"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    files.sort();
    let surplus = files.len().saturating_sub(KEPT);
    for (_, path) in files.iter().take(surplus) {
        let _ = fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use super::*;
    use crate::assist::index::IndexWriter;
    use crate::assist::page::Item;

    #[test]
    fn doctor_is_told_names_and_memory_of_all_indices() {
        let cache = tempfile::tempdir().expect("a folder");
        let prelude = Prelude::in_folder(cache.path());
        let missing = describe(&prelude, cache.path()).expect_err("there is none");
        assert!(missing.starts_with("no index of "), "{missing}");
        let folder = folder(cache.path());
        fs::create_dir_all(&folder).expect("made");
        // One of 3 MB, and one of more than is kept.
        for (plan, megabytes) in of_prelude(&prelude).iter().zip([3, 20]) {
            let file = File::create(file(&folder, &plan.name)).expect("made");
            let mut writer = IndexWriter::new(file).expect("starts");
            for number in 0..megabytes {
                let declaration = format!("{number:08}").repeat(1_000_000 / 8);
                let item = Item { declaration, ..Item::default() };
                writer.add(&format!("a::N{number}{}", "x".repeat(60_000)), &item).expect("added");
            }
            writer.finish(&Facts::default()).expect("ended");
        }
        // 23 names of 60 kB and the two indices' own facts; 3 MB and 16 MiB.
        assert_eq!(
            describe(&prelude, cache.path()).as_deref(),
            Ok("25 names, 24 MB on disk; in memory 1 MB once used, and at most 19 MB of what was \
                looked at")
        );
    }

    #[test]
    fn the_indices_used_longest_ago_go() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |number: usize| folder.path().join(format!("{}.index", 99 - number));
        for number in 0..KEPT + 2 {
            let age = Duration::from_secs(1000 - number as u64);
            let file = File::create(path(number)).expect("made");
            file.set_modified(SystemTime::now() - age).expect("is set");
        }
        fs::write(folder.path().join("other"), "").expect("written");
        prune(folder.path());
        let left: Vec<usize> = (0..KEPT + 2).filter(|number| path(*number).exists()).collect();
        assert_eq!(left, (2..KEPT + 2).collect::<Vec<_>>());
        assert!(folder.path().join("other").exists());
    }

    #[test]
    fn the_prelude_says_what_is_in_scope() {
        let modules = "mod init; pub mod prelude; pub mod rows; pub use init::init;\n\
                       pub use oxilab_data as data; #[doc(hidden)] pub mod __rt { pub use a::b; }";
        let names = "pub use ::{polars, serde_json}; pub use crate::{data, rows};\n\
                     pub use polars::prelude::{DataFrame, DataFrameOps as _, Duration as PlDuration, col};\n\
                     pub use serde_json::json; pub use oxilab_display::json;";
        let (source, facts) = workbench(modules, names, &["polars", "serde_json", "oxilab"]);
        assert!(source.contains("::oxilab::{data, rows}"), "{source}");
        assert!(
            source.contains("::oxilab::prelude::{DataFrame, PlDuration, col, json}"),
            "{source}"
        );
        assert_eq!(facts.in_scope["polars"], "polars");
        assert_eq!(facts.in_scope["data"], "oxilab::data");
        assert_eq!(facts.in_scope["col"], "oxilab::prelude::col");
        assert!(facts.traits.contains(&"DataFrameOps".to_owned()));
    }
}
