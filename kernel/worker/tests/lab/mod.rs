//! A worker with a small prelude, and cells compiled for it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oxilab_kernel::child::{ChildOutput, Worker, WorkerConfig};
use oxilab_protocol::{Event, Failure, Outcome, Query, Request, StoredVariable};
use serde_json::Value;
use tokio::sync::mpsc::Receiver;

/// No answer of a worker takes longer in these tests.
const LIMIT: Duration = Duration::from_secs(60);

const PRELUDE: &str = r#"
pub use oxilab_runtime::*;
pub mod __rt { pub use oxilab_runtime::cell::*; }
/// Not a cell's code: the thread is not parked here.
#[inline(never)]
pub fn stuck() -> ! { loop { std::hint::black_box(()); } }
#[unsafe(no_mangle)]
pub unsafe extern "C" fn oxilab_worker_main(start: *const worker::Start) -> std::ffi::c_int {
    worker::main(unsafe { &*start }, || ())
}
"#;

/// The body of a cell begins on line 4.
const CELL: &str = "#![allow(unused, unreachable_code)] unsafe extern \"C\" { fn printf(format: *const std::ffi::c_char, ...) -> std::ffi::c_int; fn close(fd: i32) -> i32; fn kill(p: i32, s: i32) -> i32; fn getpid() -> i32; }
use oxilab::__rt::{self, Question as _, QuestionSend as _};
#[unsafe(no_mangle)] pub extern \"C\" fn oxilab_cell_main() { __rt::run(|c| {
";

/// Something that came from a cell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shown {
    Text(String),
    /// Its plain text, and whether it is the cell's result.
    Display(String, bool),
    Comm(String, String, Value),
}

/// A cell that has run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) outcome: Outcome,
    pub(crate) stored: Vec<StoredVariable>,
    pub(crate) lost: Vec<String>,
    pub(crate) micros: u64,
    pub(crate) shown: Vec<Shown>,
    pub(crate) asked: Vec<(String, bool)>,
    pub(crate) after_interrupt: Duration,
}

impl Ran {
    pub(crate) fn text(&self) -> String {
        self.shown
            .iter()
            .filter_map(|shown| match shown {
                Shown::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    pub(crate) fn failure(&self) -> &Failure {
        match &self.outcome {
            Outcome::Failed(failure) => failure,
            Outcome::Ok => panic!("the cell did not fail: {:?}", self.shown),
        }
    }
}

pub(crate) struct Lab {
    worker: Option<Worker>,
    outputs: Receiver<ChildOutput>,
    directory: tempfile::TempDir,
    cells: u64,
    pub(crate) allow_stdin: bool,
    pub(crate) answers: Vec<String>,
}

impl Lab {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        let config = Self::config(directory.path());
        let (worker, outputs) = Worker::spawn(config).expect("spawns");
        let mut lab = Self {
            worker: Some(worker),
            outputs,
            directory,
            cells: 0,
            allow_stdin: true,
            answers: Vec::new(),
        };
        lab.ready();
        lab
    }

    pub(crate) fn config(directory: &Path) -> WorkerConfig {
        WorkerConfig {
            executable: env!("CARGO_BIN_EXE_oxilab-worker").into(),
            standard_library: standard_library().to_owned(),
            prelude: prelude().to_owned(),
            directory: directory.to_owned(),
            environment: vec![("LD_LIBRARY_PATH".into(), None)],
        }
    }

    pub(crate) fn worker(&self) -> &Worker {
        self.worker.as_ref().expect("runs")
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.directory.path().canonicalize().expect("there")
    }

    pub(crate) fn restart(&mut self) {
        let worker = self.worker.take().expect("runs");
        let (worker, outputs) = worker.restart().expect("restarts");
        self.worker = Some(worker);
        self.outputs = outputs;
        self.ready();
    }

    pub(crate) fn run(&mut self, body: &str) -> Ran {
        let library = self.compile(body);
        self.run_library(&library)
    }

    pub(crate) fn run_library(&mut self, library: &Path) -> Ran {
        self.launch(library);
        self.collect(None).unwrap_or_else(|(exit, text)| panic!("the worker {exit}: {text}"))
    }

    pub(crate) fn run_interrupted(&mut self, body: &str, after: Duration) -> Ran {
        let library = self.compile(body);
        self.launch(&library);
        std::thread::sleep(after);
        self.worker().interrupt().expect("interrupts");
        self.collect(Some(Instant::now()))
            .unwrap_or_else(|(exit, text)| panic!("the worker {exit}: {text}"))
    }

    /// How the worker ended, and what it printed.
    pub(crate) fn crash(&mut self, body: &str) -> (String, String) {
        let library = self.compile(body);
        self.launch(&library);
        self.collect(None).expect_err("the worker ends")
    }

    pub(crate) fn crash_interrupted(&mut self, body: &str, after: Duration) -> String {
        let library = self.compile(body);
        self.launch(&library);
        std::thread::sleep(after);
        self.worker().interrupt().expect("interrupts");
        self.collect(None).expect_err("the worker ends").0
    }

    pub(crate) fn shut_down(&mut self) -> (String, String) {
        self.worker().shut_down(Duration::from_secs(5));
        self.collect(None).expect_err("the worker ends")
    }

    pub(crate) fn ask(&mut self, query: Query) -> Result<Value, String> {
        self.request(|id| Request::Ask { id, query })
    }

    pub(crate) fn request(
        &mut self,
        request: impl FnOnce(u64) -> Request,
    ) -> Result<Value, String> {
        self.send(&request(99));
        loop {
            if let ChildOutput::Event(Event::Replied { id: 99, answer }) = self.next() {
                return answer;
            }
        }
    }

    pub(crate) fn send(&self, request: &Request) {
        self.worker().send(request).expect("sends");
    }

    fn ready(&mut self) {
        match self.next() {
            ChildOutput::Event(Event::Ready { pid }) => assert_eq!(pid, self.worker().pid()),
            other => panic!("not ready: {other:?}"),
        }
    }

    fn launch(&mut self, library: &Path) {
        self.send(&Request::Run {
            cell: self.cells,
            library: library.to_owned(),
            libraries: Vec::new(),
            show: true,
            allow_stdin: self.allow_stdin,
            count: 1,
        });
    }

    fn collect(&mut self, interrupted: Option<Instant>) -> Result<Ran, (String, String)> {
        let mut shown: Vec<Shown> = Vec::new();
        let mut asked = Vec::new();
        loop {
            match self.next() {
                ChildOutput::Stream { text, .. } => match shown.last_mut() {
                    Some(Shown::Text(last)) => last.push_str(&text),
                    _ => shown.push(Shown::Text(text)),
                },
                ChildOutput::Event(Event::Display { bundle, result, .. }) => {
                    shown.push(Shown::Display(bundle.plain().to_owned(), result));
                }
                ChildOutput::Event(Event::Comm { kind, comm_id, data, .. }) => {
                    shown.push(Shown::Comm(kind, comm_id, data));
                }
                ChildOutput::Event(Event::Input { prompt, password }) => {
                    asked.push((prompt, password));
                    if !self.answers.is_empty() {
                        let text = self.answers.remove(0);
                        self.send(&Request::Input { text });
                    }
                }
                ChildOutput::Event(Event::Done { cell, outcome, stored, lost, micros }) => {
                    assert_eq!(cell, self.cells);
                    let after_interrupt = interrupted.map(|at| at.elapsed()).unwrap_or_default();
                    return Ok(Ran {
                        outcome,
                        stored,
                        lost,
                        micros,
                        shown,
                        asked,
                        after_interrupt,
                    });
                }
                ChildOutput::Event(_) => {}
                ChildOutput::Exited(exit) => {
                    let text = shown
                        .iter()
                        .filter_map(|shown| match shown {
                            Shown::Text(text) => Some(text.as_str()),
                            _ => None,
                        })
                        .collect();
                    return Err((exit.to_string(), text));
                }
            }
        }
    }

    fn next(&mut self) -> ChildOutput {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.outputs.try_recv() {
                Ok(output) => return output,
                Err(tokio::sync::mpsc::error::TryRecvError::Empty) => {
                    assert!(Instant::now() < deadline, "the worker says nothing");
                    std::thread::sleep(Duration::from_micros(100));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn compile(&mut self, body: &str) -> PathBuf {
        self.cells += 1;
        let source = self.directory.path().join(format!("cell_{}.rs", self.cells));
        let library = source.with_extension("so");
        std::fs::write(&source, format!("{CELL}{body}\n}}) }}\n")).expect("writes");
        compile(
            &source,
            &library,
            &["--crate-type", "cdylib", "-C", "opt-level=1"],
            &[("oxilab", prelude())],
        );
        library
    }
}

fn prelude() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("mini-prelude-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("makes a folder");
        let source = folder.join("oxilab_mini.rs");
        std::fs::write(&source, PRELUDE).expect("writes");
        let library = folder.join("liboxilab_mini.so");
        let kind = ["--crate-type", "dylib", "--crate-name", "oxilab_mini"];
        compile(&source, &library, &kind, &[("oxilab_runtime", &rlib("oxilab_runtime"))]);
        library
    })
}

fn compile(source: &Path, output: &Path, options: &[&str], externs: &[(&str, &Path)]) {
    let mut command = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into()));
    command
        .args(["--edition", "2024", "-C", "prefer-dynamic", "-C", "target-cpu=native"])
        .args(options)
        .arg(source)
        .arg("-o")
        .arg(output)
        .arg("-L")
        .arg(format!("dependency={}", dependencies().display()));
    for (name, path) in externs {
        command.arg("--extern").arg(format!("{name}={}", path.display()));
    }
    let compiled = command.output().expect("rustc runs");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}

/// The folder of this test's own executable, where cargo puts all libraries.
fn dependencies() -> PathBuf {
    let executable = std::env::current_exe().expect("known");
    executable.parent().expect("a folder").to_owned()
}

/// The newest library of a crate: the one that was built for this test.
fn rlib(name: &str) -> PathBuf {
    let prefix = format!("lib{name}-");
    std::fs::read_dir(dependencies())
        .expect("readable")
        .filter_map(Result::ok)
        .filter(|entry| {
            let file = entry.file_name();
            let file = file.to_string_lossy();
            file.starts_with(&prefix) && file.ends_with(".rlib")
        })
        .max_by_key(|entry| entry.metadata().and_then(|data| data.modified()).ok())
        .unwrap_or_else(|| panic!("no library {prefix}*.rlib"))
        .path()
}

fn standard_library() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
        let printed =
            Command::new(rustc).args(["--print", "target-libdir"]).output().expect("rustc runs");
        let folder = String::from_utf8(printed.stdout).expect("a path");
        std::fs::read_dir(folder.trim())
            .expect("readable")
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .find(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with("libstd-") && name.ends_with(".so")
            })
            .expect("libstd")
    })
}
