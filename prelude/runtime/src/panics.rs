//! Panics: the hook that remembers where, and the failure that is made of one.

use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::VecDeque;
use std::panic::PanicHookInfo;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxilab_protocol::{Failure, FailureKind};

use crate::cancel;

/// Panics of other threads reach the cell through `join` or rayon: a few are remembered.
const REMEMBERED: usize = 16;
/// No deeper a traceback is of use.
const FRAMES: usize = 20;

struct Report {
    message: String,
    location: Option<(String, u32, u32)>,
    /// Resolved only for a panic that ends a cell: that reads the libraries' symbols.
    backtrace: Option<Backtrace>,
}

static REPORTS: Mutex<VecDeque<Report>> = Mutex::new(VecDeque::new());

/// Sets the panic hook. On the cell's thread it prints nothing: the cell's error does.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(remember));
}

fn remember(info: &PanicHookInfo<'_>) {
    thread_local! {
        static INSIDE: Cell<bool> = const { Cell::new(false) };
    }
    let message = message(info.payload());
    let location = info.location().map(|at| (at.file().to_owned(), at.line(), at.column()));
    if !cancel::on_cell_thread() && !cancel::requested() {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("<unnamed>");
        let place = info.location().map(|at| format!(" at {at}")).unwrap_or_default();
        eprintln!("thread '{name}' panicked{place}:\n{message}");
    }
    // A panic while a backtrace is captured must not capture another.
    if INSIDE.replace(true) {
        return;
    }
    let backtrace = cancel::on_cell_thread().then(Backtrace::force_capture);
    {
        let mut reports = reports();
        if reports.len() == REMEMBERED {
            reports.pop_front();
        }
        reports.push_back(Report { message, location, backtrace });
    }
    INSIDE.set(false);
}

/// The failure of a cell that ended with this payload.
pub(crate) fn failure(payload: &(dyn Any + Send)) -> Failure {
    let message = message(payload);
    let report = {
        let mut reports = reports();
        let newest = reports.iter().rposition(|report| report.message == message);
        newest.and_then(|index| reports.remove(index))
    };
    let (location, frames) = match report {
        Some(report) => (
            report.location,
            report.backtrace.map(|trace| frames(&trace.to_string())).unwrap_or_default(),
        ),
        None => (None, Vec::new()),
    };
    Failure {
        kind: FailureKind::Panic,
        name: "panic".to_owned(),
        message,
        details: Vec::new(),
        location,
        frames,
    }
}

/// Forgets the panics of earlier cells.
pub(crate) fn forget() {
    reports().clear();
}

fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

/// The frames of a printed backtrace that stand in user code: those with a source line that is not in
/// the standard library, a registry or the runtime. The prelude is built without lines.
fn frames(printed: &str) -> Vec<(String, String, u32)> {
    let mut frames = Vec::new();
    let mut function = "";
    for line in printed.lines().map(str::trim_start) {
        if let Some(place) = line.strip_prefix("at ") {
            let Some((file, number)) = split_place(place) else { continue };
            let foreign = file.starts_with("/rustc/")
                || file.contains("/registry/src/")
                || file.contains("/rustlib/src/")
                || file.contains("prelude/runtime/src/")
                || file.contains("/oxilab_cell_main");
            if !foreign && frames.len() < FRAMES {
                frames.push((without_hash(function).to_owned(), file.to_owned(), number));
            }
        } else if let Some((number, name)) = line.split_once(": ") {
            if number.bytes().all(|byte| byte.is_ascii_digit()) {
                function = name;
            }
        }
    }
    frames
}

/// `./a.rs:3:5` → file and line.
fn split_place(place: &str) -> Option<(&str, u32)> {
    let (rest, last) = place.rsplit_once(':')?;
    let last: u32 = last.parse().ok()?;
    match rest.rsplit_once(':') {
        Some((file, line)) if line.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some((file, line.parse().ok()?))
        }
        _ => Some((rest, last)),
    }
}

fn without_hash(function: &str) -> &str {
    match function.rsplit_once("::h") {
        Some((name, hash)) if hash.len() == 16 => name,
        _ => function,
    }
}

fn reports() -> MutexGuard<'static, VecDeque<Report>> {
    REPORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_frames_of_the_user_stay() {
        let printed = "   0: std::backtrace::Backtrace::create\n             at /rustc/59807/library/std/src/backtrace.rs:331:13\n   1: polars_core::frame::x\n   2: items_3::half::h0123456789abcdef\n             at ./In [3]:2:9\n   3: {closure#0}\n             at ./In [5]:1\n   4: oxilab_runtime::cell::run\n             at ./prelude/runtime/src/cell/mod.rs:60:5\n";
        assert_eq!(
            frames(printed),
            [
                ("items_3::half".to_owned(), "./In [3]".to_owned(), 2),
                ("{closure#0}".to_owned(), "./In [5]".to_owned(), 1),
            ]
        );
    }

    #[test]
    fn payloads_of_any_type_have_a_message() {
        assert_eq!(failure(&"a").message, "a");
        assert_eq!(failure(&"b".to_owned()).message, "b");
        assert_eq!(failure(&7_u8).message, "a panic without a message");
    }
}
