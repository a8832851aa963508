//! `oxilab doctor`: looks at everything a kernel needs and says what to do about each fault.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oxilab_protocol::Event;

use crate::bytes::bytes;
use crate::child::{ChildOutput, Worker, WorkerConfig};
use crate::install::{self, Prelude, kernelspec};
use crate::toolchain::{self, Toolchain};

/// Free bytes below which the cache is likely to run into a full disk.
const LOW_DISK: u64 = 1 << 30;
/// How long a worker may take to load the prelude.
const WORKER_DEADLINE: Duration = Duration::from_secs(20);

/// What the doctor found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    checks: Vec<Check>,
}

/// One line of the report.
#[derive(Clone, Debug)]
struct Check {
    what: &'static str,
    found: String,
    /// What to do; empty when all is well.
    advice: Option<String>,
}

impl Report {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.checks.iter().all(|check| check.advice.is_none())
    }

    fn fine(&mut self, what: &'static str, found: impl Into<String>) {
        self.checks.push(Check { what, found: found.into(), advice: None });
    }

    fn fault(&mut self, what: &'static str, found: impl Into<String>, advice: impl Into<String>) {
        self.checks.push(Check { what, found: found.into(), advice: Some(advice.into()) });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Check { what, found, advice } in &self.checks {
            let mark = if advice.is_none() { '✓' } else { '✗' };
            writeln!(f, "{mark} {what:<12} {found}")?;
            if let Some(advice) = advice {
                writeln!(f, "  {:<12} → {advice}", "")?;
            }
        }
        let faults = self.checks.iter().filter(|check| check.advice.is_some()).count();
        match faults {
            0 => write!(f, "Everything is in place."),
            1 => write!(f, "1 fault."),
            _ => write!(f, "{faults} faults."),
        }
    }
}

/// Looks at everything.
#[must_use]
pub fn examine() -> Report {
    let mut report = Report::default();
    check_toolchain(&mut report);
    check_linker(&mut report);
    check_prelude(&mut report);
    check_jupyter(&mut report);
    check_cache(&mut report, &install::cache_dir());
    check_xgboost(&mut report);
    report
}

fn check_toolchain(report: &mut Report) {
    match Toolchain::find() {
        Ok(toolchain) => {
            report.fine(
                "toolchain",
                format!("{}, {}", toolchain.short_version(), toolchain.rustc.display()),
            );
            report.fine("libstd", toolchain.std_library.display().to_string());
            match &toolchain.rustfmt {
                Some(path) => report.fine("rustfmt", path.display().to_string()),
                None => report.fault(
                    "rustfmt",
                    "not found, so %fmt does not work",
                    "run `rustup component add rustfmt`",
                ),
            }
            report.fine("rust-src", rust_src(&toolchain.sysroot));
        }
        Err(error) => report.fault("toolchain", error.to_string(), "see https://rustup.rs"),
    }
}

/// Where std's sources are. Completion has an index of its own: without them nothing is missing here.
fn rust_src(sysroot: &Path) -> String {
    let library = sysroot.join("lib/rustlib/src/rust/library");
    if library.is_dir() {
        return library.display().to_string();
    }
    "not installed, and not needed by completion; `rustup component add rust-src` adds it, for editors \
     and debuggers"
        .to_owned()
}

fn check_linker(report: &mut Report) {
    match toolchain::find_program("cc") {
        Some(path) => report.fine("linker", format!("cc is {}", path.display())),
        None => report.fault(
            "linker",
            "cc was not found in PATH",
            "install a C compiler: `apt-get install gcc` or the like",
        ),
    }
}

fn check_prelude(report: &mut Report) {
    let prelude = match Prelude::find(&install::data_dir()) {
        Ok(prelude) => prelude,
        Err(error) => {
            report.fault("prelude", error.to_string(), "run `oxilab install`");
            return;
        }
    };
    report
        .fine("prelude", format!("build {} in {}", prelude.build_id, prelude.directory.display()));
    match newest_change(&prelude.source.join("prelude")) {
        None => {
            report.fine("checkout", format!("{} is not there any more", prelude.source.display()));
        }
        Some(newest) if newest > prelude.built => {
            let source = prelude.source.display();
            let text = format!("{source} is newer: `oxilab install` takes the changes over");
            report.fine("checkout", text);
        }
        Some(_) => report.fine("checkout", format!("{} is not newer", prelude.source.display())),
    }
    match install::check::compile(&prelude) {
        Ok(time) => report.fine("compile", format!("a first cell in {:.2} s", time.as_secs_f64())),
        Err(error) => report.fault("compile", error.to_string(), "run `oxilab install`"),
    }
    // Until the index is there completion knows the session's own names; no fault to repair.
    match crate::assist::layers::describe(&prelude, &install::cache_dir()) {
        Ok(found) => report.fine("completion", found),
        Err(missing) => report.fine("completion", format!("{missing}; the first kernel makes it")),
    }
    match start_worker(&prelude) {
        Ok(time) => report.fine("worker", format!("ready after {} ms", time.as_millis())),
        Err(reason) => report.fault("worker", reason, "run `oxilab install`"),
    }
}

/// Seconds since 1970 of the newest source file in a folder; `None` without such a folder.
fn newest_change(folder: &Path) -> Option<u64> {
    let mut newest = None;
    for entry in fs::read_dir(folder).ok()?.filter_map(Result::ok) {
        let path = entry.path();
        let changed = if path.is_dir() {
            newest_change(&path)
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "toml")
        {
            let modified = entry.metadata().and_then(|data| data.modified()).ok();
            modified
                .and_then(|time| Some(time.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs()))
        } else {
            None
        };
        newest = newest.max(changed);
    }
    newest.or(Some(0))
}

/// Starts the worker and waits until it has loaded the prelude; returns how long that took.
fn start_worker(prelude: &Prelude) -> Result<Duration, String> {
    let config = WorkerConfig {
        executable: prelude.worker.clone(),
        standard_library: prelude.std_library.clone(),
        prelude: prelude.library.clone(),
        directory: std::env::temp_dir(),
        environment: Vec::new(),
    };
    let start = Instant::now();
    // The worker ends when this handle is dropped.
    let (_worker, mut outputs) = Worker::spawn(config).map_err(|error| error.to_string())?;
    let mut said = String::new();
    while start.elapsed() < WORKER_DEADLINE {
        match outputs.try_recv() {
            Ok(ChildOutput::Event(Event::Ready { .. })) => return Ok(start.elapsed()),
            Ok(ChildOutput::Stream { text, .. }) => said += &text,
            Ok(ChildOutput::Exited(exit)) => return Err(format!("it ended: {exit} {said}")),
            Ok(_) => {}
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
    Err(format!("it was not ready after {} s {said}", WORKER_DEADLINE.as_secs()))
}

fn check_jupyter(report: &mut Report) {
    match toolchain::find_program("jupyter") {
        Some(path) => report.fine("jupyter", path.display().to_string()),
        None => report
            .fine("jupyter", "not in PATH (`pip install jupyterlab`); `oxilab run` works without"),
    }
    let specs = kernelspec::installed();
    if specs.is_empty() {
        report.fault("kernelspec", "Jupyter does not know the kernel", "run `oxilab install`");
    }
    for (folder, program) in specs {
        if program.is_file() {
            report.fine("kernelspec", folder.display().to_string());
        } else {
            report.fault(
                "kernelspec",
                format!("{} starts {}, which is missing", folder.display(), program.display()),
                "run `oxilab install`",
            );
        }
    }
}

/// XGBoost is no part of the build: the prelude loads its library where it finds it.
fn check_xgboost(report: &mut Report) {
    const FILE: &str = "xgboost/lib/libxgboost.so";
    if let Some(file) = std::env::var_os("OXILAB_XGBOOST").map(PathBuf::from) {
        if file.is_file() {
            report.fine("xgboost", format!("OXILAB_XGBOOST names {}", file.display()));
        } else {
            let found = format!("OXILAB_XGBOOST names {}, which is no file", file.display());
            report.fault("xgboost", found, "set it to the path of libxgboost.so, or unset it");
        }
        return;
    }
    let models = std::env::var_os("OXILAB_MODELS_DIR")
        .map_or_else(|| dirs::cache_dir().unwrap_or_default().join("oxilab/models"), PathBuf::from);
    let mut places = vec![models.join("xgboost").join(FILE)];
    let roots = [
        std::env::var_os("VIRTUAL_ENV").map(PathBuf::from),
        std::env::home_dir().map(|home| home.join(".local")),
        Some("/usr/local".into()),
    ];
    for lib in roots.into_iter().flatten().map(|root| root.join("lib")) {
        let entries = fs::read_dir(lib).into_iter().flatten().flatten();
        for python in entries.filter(|e| e.file_name().to_string_lossy().starts_with("python3")) {
            let packages = ["site-packages", "dist-packages"];
            places.extend(packages.map(|packages| python.path().join(packages).join(FILE)));
        }
    }
    match places.iter().find(|place| place.is_file()) {
        Some(file) => report.fine("xgboost", file.display().to_string()),
        None => report.fine(
            "xgboost",
            "libxgboost.so is not there, all but `model::XgBoost` works without: `cargo xtask setup` \
             or `pip install xgboost-cpu` brings it, OXILAB_XGBOOST names it elsewhere",
        ),
    }
}

fn check_cache(report: &mut Report, folder: &Path) {
    let size = install::CACHES.iter().map(|name| size_of(&folder.join(name))).sum();
    let free = free_bytes(folder);
    let found = format!(
        "{}, {} used, {} free on its disk",
        folder.display(),
        bytes(size),
        free.map_or_else(|| "unknown".to_owned(), bytes)
    );
    if free.is_some_and(|free| free < LOW_DISK) {
        report.fault(
            "cache",
            found,
            "make room on this disk, or name another with OXILAB_CACHE_DIR",
        );
    } else {
        report.fine("cache", found);
    }
}

fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size_of(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |data| data.len()),
            _ => 0,
        })
        .sum()
}

/// Free bytes of the file system that a folder is on, or will be.
fn free_bytes(folder: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;

    let present: PathBuf = folder.ancestors().find(|path| path.exists())?.to_owned();
    let path = std::ffi::CString::new(present.as_os_str().as_bytes()).ok()?;
    let mut answer = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    #[expect(unsafe_code, reason = "the standard library does not know free disk space")]
    // SAFETY: `path` is a C string and `answer` has room for the result, which is read only if the
    // call succeeded and so has filled it in.
    let answer = unsafe {
        if libc::statvfs(path.as_ptr(), answer.as_mut_ptr()) != 0 {
            return None;
        }
        answer.assume_init()
    };
    Some(answer.f_bavail * answer.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_a_mark_and_an_advice() {
        let mut report = Report::default();
        report.fine("linker", "cc is /usr/bin/cc");
        assert!(report.is_healthy());
        report.fault("prelude", "not there", "run `oxilab install`");
        assert!(!report.is_healthy());
        let text = report.to_string();
        assert!(text.contains("✓ linker") && text.contains("✗ prelude"), "{text}");
        assert!(text.contains("→ run `oxilab install`") && text.ends_with("1 fault."), "{text}");
    }

    #[test]
    fn the_command_that_adds_rust_src_is_given_where_it_is_absent() {
        let sysroot = tempfile::tempdir().expect("folder");
        let absent = rust_src(sysroot.path());
        assert!(absent.contains("`rustup component add rust-src`"), "{absent}");
        let library = sysroot.path().join("lib/rustlib/src/rust/library");
        fs::create_dir_all(&library).expect("made");
        assert_eq!(rust_src(sysroot.path()), library.display().to_string());
    }

    #[test]
    fn the_cache_is_measured_before_it_exists() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(free_bytes(&folder.path().join("not/yet")).is_some_and(|free| free > 0));
        fs::write(folder.path().join("a"), [0; 1500]).expect("written");
        assert_eq!(size_of(folder.path()), 1500);
    }

    #[test]
    fn the_newest_source_of_a_folder_is_found() {
        let folder = tempfile::tempdir().expect("folder");
        assert_eq!(newest_change(folder.path()), Some(0));
        fs::write(folder.path().join("lib.rs"), "").expect("written");
        assert!(newest_change(folder.path()) > Some(0));
        assert_eq!(newest_change(&folder.path().join("missing")), None);
    }
}
