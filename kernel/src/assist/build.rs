//! Makes an index: rustdoc writes pages of crates whose sources need not be there, and they are read.
//!
//! A small crate re-exports what is to be indexed with `#[doc(inline)]`; rustdoc then takes items,
//! signatures, documentation and trait implementations out of the crates' metadata. (Its JSON leaves
//! re-exports of other crates unresolved, so pages it is.) The pages go to a temporary folder beside
//! the index and are removed; the index is written aside and renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use super::index::{Facts, IndexWriter};
use super::page::{self, Item, PAGES};

/// Modules of std that hold thousands of names that no notebook types.
const LEFT_OUT: &[&str] = &["std::arch", "std::intrinsics", "std::simd", "std::autodiff"];
/// Primitive types, whose methods stand on pages of their own.
const PRIMITIVES: &[&str] = &[
    "bool",
    "char",
    "str",
    "slice",
    "array",
    "tuple",
    "unit",
    "pointer",
    "reference",
    "fn",
    "never",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
    "f32",
    "f64",
];

/// What the folders of pages are called.
const PAGES_PREFIX: &str = ".pages-";

/// What to index and how it is reached.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Name of the index, by content: the same name means the same index.
    pub(crate) name: String,
    /// The crate that re-exports.
    pub(crate) source: String,
    /// Crates usable by name.
    pub(crate) externs: Vec<(String, PathBuf)>,
    /// Folders in which crates of crates are found.
    pub(crate) search: Vec<PathBuf>,
    /// Flags that every crate was compiled with.
    pub(crate) flags: Vec<String>,
    /// rustdoc.
    pub(crate) rustdoc: PathBuf,
    /// What the index knows besides.
    pub(crate) facts: Facts,
}

impl Plan {
    /// What is in it, for people.
    #[must_use]
    pub(crate) fn about(&self) -> &'static str {
        match self.name.split('-').next() {
            Some("crates") => "std and the prelude's crates",
            Some("oxilab") => "the workbench",
            _ => "added crates",
        }
    }
}

/// An index that was made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Made {
    /// Paths in it.
    pub(crate) paths: usize,
    /// Time in rustdoc and in reading.
    pub(crate) time: Duration,
}

/// Why there is no index.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    /// rustdoc did not do it.
    #[error("{} could not describe the crates for completion: {reason}", rustdoc.display())]
    Rustdoc {
        /// The program.
        rustdoc: PathBuf,
        /// What it said.
        reason: String,
    },
    /// A file.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl BuildError {
    fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}

/// The file of an index in a folder.
#[must_use]
pub(crate) fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.index"))
}

/// Lines for [`Plan::source`] that make the pages of the primitive types.
#[must_use]
pub(crate) fn primitives() -> String {
    let names = PRIMITIVES.iter();
    names
        .map(|name| format!("#[rustc_doc_primitive = \"{name}\"]\nmod prim_{name} {{}}\n"))
        .collect()
}

/// Makes an index in a folder. Takes rustdoc's time, from seconds to a minute, at low priority.
///
/// # Errors
/// When rustdoc fails or a file cannot be written.
pub(crate) fn build(plan: &Plan, folder: &Path) -> Result<Made, BuildError> {
    let started = Instant::now();
    fs::create_dir_all(folder).map_err(BuildError::file("make the folder", folder))?;
    let work = tempfile::Builder::new()
        .prefix(PAGES_PREFIX)
        .tempdir_in(folder)
        .map_err(BuildError::file("make a folder in", folder))?;
    run_rustdoc(plan, work.path())?;
    let aside = work.path().join("index");
    let out = File::create(&aside).map_err(BuildError::file("write", &aside))?;
    let mut writer =
        IndexWriter::new(BufWriter::new(out)).map_err(BuildError::file("write", &aside))?;
    let pages = work.path().join("out").join(PAGES);
    read_folder(&pages, "", &mut writer).map_err(BuildError::file("read the pages in", &pages))?;
    let (mut out, paths) = writer.finish(&plan.facts).map_err(BuildError::file("write", &aside))?;
    out.flush().map_err(BuildError::file("write", &aside))?;
    let path = file(folder, &plan.name);
    fs::rename(&aside, &path).map_err(BuildError::file("rename to", &path))?;
    Ok(Made { paths, time: started.elapsed() })
}

/// [`build`], unless it is there already or another process is at it: then this waits for it.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_once(plan: &Plan, folder: &Path) -> Result<Made, BuildError> {
    fs::create_dir_all(folder).map_err(BuildError::file("make the folder", folder))?;
    // One at a time: an index takes a gigabyte while it is made. The lock's file stays, since another
    // process may wait for it.
    let path = folder.join("lock");
    let lock = File::create(&path).map_err(BuildError::file("write", &path))?;
    lock.lock().map_err(BuildError::file("lock", &path))?;
    let path = file(folder, &plan.name);
    let Ok(index) = super::index::Index::open(&path) else {
        sweep(folder);
        return build(plan, folder);
    };
    // The time says when it was last wanted, for pruning.
    let _ =
        File::options().append(true).open(&path).and_then(|f| f.set_modified(SystemTime::now()));
    Ok(Made { paths: index.len(), time: Duration::ZERO })
}

/// Removes the pages of processes that were killed. The caller holds the folder's lock, so that no pages
/// here are anybody's.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PAGES_PREFIX) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn run_rustdoc(plan: &Plan, folder: &Path) -> Result<(), BuildError> {
    let source = folder.join("pages.rs");
    let header = "#![feature(rustc_attrs, rustdoc_internals)]\n#![allow(warnings)]\n";
    fs::write(&source, format!("{header}{}", plan.source))
        .map_err(BuildError::file("write", &source))?;
    let mut command = match crate::toolchain::find_program("nice") {
        Some(nice) => {
            let mut command = Command::new(nice);
            command.args(["-n", "15"]).arg(&plan.rustdoc);
            command
        }
        None => Command::new(&plan.rustdoc),
    };
    command
        .arg("--edition=2024")
        .arg(format!("--crate-name={PAGES}"))
        .args(["--cap-lints=allow", "-Zunstable-options", "--html-no-source"])
        .args(&plan.flags)
        .arg("-o")
        .arg(folder.join("out"))
        .args(plan.search.iter().map(|path| format!("-Ldependency={}", path.display())))
        .args(plan.externs.iter().map(|(name, path)| format!("--extern={name}={}", path.display())))
        .arg(&source)
        .current_dir(folder)
        .env("RUSTC_BOOTSTRAP", "1")
        .env_remove("LD_LIBRARY_PATH")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let failed = |reason: String| BuildError::Rustdoc { rustdoc: plan.rustdoc.clone(), reason };
    end_with_this_thread(&mut command);
    let done = command.output().map_err(|error| failed(error.to_string()))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let first: Vec<&str> = said.lines().take(4).collect();
    Err(failed(format!("{}: {}", done.status, first.join(" "))))
}

/// A kernel that ends takes its rustdoc along.
fn end_with_this_thread(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "std cannot tie a child to its parent")]
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command.process_group(0);
}

/// Reads the pages of a module and of those in it. `path` is the module's, empty at the top.
fn read_folder<W: io::Write>(
    folder: &Path,
    path: &str,
    writer: &mut IndexWriter<W>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some(name) = file_name.to_str() else { continue };
        if entry.file_type()?.is_dir() {
            let inner = join(path, name);
            if !LEFT_OUT.contains(&inner.as_str()) {
                read_folder(&entry.path(), &inner, writer)?;
            }
            continue;
        }
        let Some(stem) = name.strip_suffix(".html") else { continue };
        if stem == "index" {
            if !path.is_empty() {
                writer.add(path, &page::read("mod", &fs::read_to_string(entry.path())?))?;
            }
            continue;
        }
        let Some((kind, name)) = stem.split_once('.') else { continue };
        // `macro.vec!.html` leads to `macro.vec.html`; a trait imported as `_` has no name.
        if name.ends_with('!') || name == "_" || matches!(kind, "attr" | "keyword") {
            continue;
        }
        let text = fs::read_to_string(entry.path())?;
        let module = path;
        let path = join(module, name);
        if !text.contains("<main>") {
            // A page that leads to the one where the item is described.
            if let Some(target) = page::leads_to(&text).and_then(|url| resolve(module, url)) {
                writer.alias(path, target);
            }
            continue;
        }
        let item: Item = page::read(kind, &text);
        if kind == "derive" {
            // `Serialize` is a trait and a derive macro: the trait says more.
            writer.add(&format!("{path}!derive"), &item)?;
        } else {
            writer.add(&path, &item)?;
        }
    }
    Ok(())
}

/// The path that a relative address means, seen from a page of a module:
/// `../vec/struct.Vec.html` in `std::prelude` is `std::vec::Vec`.
fn resolve(module: &str, url: &str) -> Option<String> {
    let modules = module.split("::").filter(|segment| !segment.is_empty());
    let mut segments: Vec<&str> = std::iter::once(PAGES).chain(modules).collect();
    let (folders, page) = url.rsplit_once('/').unwrap_or(("", url));
    for folder in folders.split('/').filter(|folder| !folder.is_empty()) {
        match folder {
            ".." => {
                segments.pop()?;
            }
            name => segments.push(name),
        }
    }
    let (_, name) = page.strip_suffix(".html")?.split_once('.')?;
    segments.push(name);
    // What leads out of these pages is not in the index.
    (segments[0] == PAGES).then(|| segments[1..].join("::"))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}::{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assist::index::Index;
    use crate::toolchain::Toolchain;

    const CRATE: &str = r#"
        //! A crate.
        pub mod inner {
            /// A thing.
            pub struct Thing { /// the a
                pub a: i32, b: u8 }
            impl Thing {
                /// Makes one.
                pub fn new() -> Self { Self { a: 1, b: 2 } }
                pub fn other(&self) -> Option<Thing> { None }
            }
            /// Can do.
            pub trait Able { /// Does.
                fn able(&self) -> u8 { 1 } }
            impl Able for Thing {}
            pub enum Kind { One, Two(i32), Three { x: u8 } }
        }
        pub mod again { pub use crate::inner::Thing; pub use crate::inner::Able as _; }
        /// Twice.
        pub fn double(x: i32) -> i32 { 2 * x }
        #[macro_export] macro_rules! made { ($x:expr) => { $x }; }
    "#;

    /// rustdoc of the toolchain at hand, on a crate of which only the metadata is given.
    #[test]
    fn rustdoc_s_pages_become_an_index() {
        let toolchain = Toolchain::find().expect("a toolchain");
        let folder = tempfile::tempdir().expect("folder");
        let source = folder.path().join("small.rs");
        fs::write(&source, CRATE).expect("written");
        let metadata = folder.path().join("libsmall.rmeta");
        let mut rustc = Command::new(&toolchain.rustc);
        rustc.args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "-Awarnings", "-o"]);
        assert!(rustc.arg(&metadata).arg(&source).status().expect("rustc").success());
        fs::remove_file(&source).expect("the source is not needed");

        let plan = Plan {
            name: "small".to_owned(),
            source: "pub mod small { #[doc(inline)] pub use ::small::*; }\n\
                     #[rustc_doc_primitive = \"bool\"]\nmod prim_bool {}\n"
                .to_owned(),
            externs: vec![("small".to_owned(), metadata)],
            rustdoc: toolchain.rustc.with_file_name("rustdoc"),
            facts: Facts { traits: vec!["Able".to_owned()], ..Facts::default() },
            ..Plan::default()
        };
        let made = build_once(&plan, folder.path()).expect("made");
        assert!(made.paths > 8 && made.time > Duration::ZERO, "{made:?}");
        let index = Index::open(&file(folder.path(), "small")).expect("opens");
        let thing = index.get("small::inner::Thing").expect("the type");
        assert_eq!(
            (thing.docs.as_str(), thing.members[0].signature.as_str()),
            ("<p>A thing.</p>", "a: i32")
        );
        let own = thing.impls.iter().find(|block| block.of_trait.is_empty()).expect("own");
        assert_eq!(own.members[0].signature, "pub fn new() -> Thing");
        assert_eq!(
            own.members[1].yields,
            "std::option::Option<small::inner::Thing>".replace("std", "core")
        );
        assert!(
            thing.impls.iter().any(|block| block.of_trait == "small::inner::Able"),
            "{thing:?}"
        );
        let able = index.get("small::inner::Able").expect("the trait");
        assert_eq!(
            (able.members[0].name.as_str(), able.members[0].docs.as_str()),
            ("able", "<p>Does.</p>")
        );
        assert_eq!(
            index.get("small::inner::Kind").expect("enum").members[2].signature,
            "Three { x: u8 }"
        );
        assert_eq!(index.get("small::double").expect("function").yields, "i32");
        assert_eq!(index.kind("small::made"), Some("macro"));
        assert_eq!(index.get("small::again::Thing").expect("again").docs, thing.docs);
        let truth = index.named("bool");
        assert_eq!(truth, [("bool", "primitive")]);
        let then = index.get("bool").expect("primitive");
        assert!(
            then.impls.iter().flat_map(|block| &block.members).any(|one| one.name == "then_some")
        );
        // A second time nothing is made, and what a killed process left goes.
        let left = folder.path().join(".pages-left");
        fs::create_dir(&left).expect("left");
        let other = Plan { name: "other".to_owned(), ..plan.clone() };
        assert!(build_once(&other, folder.path()).expect("made").time > Duration::ZERO);
        assert!(!left.exists());
        fs::remove_file(file(folder.path(), "other")).expect("removed");
        assert_eq!(build_once(&plan, folder.path()).expect("there").time, Duration::ZERO);
        let left = fs::read_dir(folder.path()).expect("folder").count();
        assert_eq!(left, 3, "the metadata, the index and the lock");
    }

    #[test]
    fn addresses_are_resolved_from_their_page() {
        let vec = "../../../../oxilab_pages/std/vec/struct.Vec.html";
        assert_eq!(resolve("std::prelude::v1", vec).as_deref(), Some("std::vec::Vec"));
        assert_eq!(
            resolve("std::prelude", "../vec/struct.Vec.html").as_deref(),
            Some("std::vec::Vec")
        );
        assert_eq!(resolve("std", "macro.vec.html").as_deref(), Some("std::vec"));
        assert_eq!(resolve("", "../other/struct.B.html"), None);
        assert_eq!(resolve("a", "../../../struct.B.html"), None);
    }

    #[test]
    fn a_rustdoc_that_fails_says_why() {
        let toolchain = Toolchain::find().expect("a toolchain");
        let folder = tempfile::tempdir().expect("folder");
        let plan = Plan {
            name: "none".to_owned(),
            source: "pub use ::nowhere::*;".to_owned(),
            rustdoc: toolchain.rustc.with_file_name("rustdoc"),
            ..Plan::default()
        };
        let error = build(&plan, folder.path()).expect_err("no such crate").to_string();
        assert!(error.contains("rustdoc") && error.contains("nowhere"), "{error}");
        let missing = Plan { rustdoc: "/nowhere/rustdoc".into(), ..plan };
        let error = build(&missing, folder.path()).expect_err("no program").to_string();
        assert!(error.contains("/nowhere/rustdoc"), "{error}");
    }
}
