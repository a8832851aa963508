//! Panics: the hook that remembers where, and the failure that is made of one.
//!
//! No backtrace is resolved: cells are compiled without line tables, and reading the symbols of the
//! prelude's library costs 130 ms and 70 MB. The panic's own location is the line in the
//! cell, because what panics on a caller's behalf in std, polars and candle names its caller.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::PanicHookInfo;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxilab_protocol::{Failure, FailureKind};

use crate::cancel;

/// Panics of other threads reach the cell through `join` or rayon: a few are remembered.
const REMEMBERED: usize = 16;

struct Report {
    message: String,
    location: Option<(String, u32, u32)>,
}

static REPORTS: Mutex<VecDeque<Report>> = Mutex::new(VecDeque::new());

/// Sets the panic hook. On the cell's thread it prints nothing: the cell's error does.
pub(crate) fn install() {
    std::panic::set_hook(Box::new(remember));
}

fn remember(info: &PanicHookInfo<'_>) {
    let message = message(info.payload());
    let location = info.location().map(|at| (at.file().to_owned(), at.line(), at.column()));
    if !cancel::on_cell_thread() && !cancel::pressed() {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("<unnamed>");
        let place = info.location().map(|at| format!(" at {at}")).unwrap_or_default();
        eprintln!("thread '{name}' panicked{place}:\n{message}");
    }
    let mut reports = reports();
    if reports.len() == REMEMBERED {
        reports.pop_front();
    }
    reports.push_back(Report { message, location });
}

/// The failure of a cell that ended with this payload.
pub(crate) fn failure(payload: &(dyn Any + Send)) -> Failure {
    let message = message(payload);
    let report = {
        let mut reports = reports();
        let newest = reports.iter().rposition(|report| report.message == message);
        newest.and_then(|index| reports.remove(index))
    };
    Failure {
        kind: FailureKind::Panic,
        name: "panic".to_owned(),
        message,
        details: Vec::new(),
        location: report.and_then(|report| report.location),
        frames: Vec::new(),
    }
}

/// Forgets the panics of earlier cells.
pub(crate) fn forget() {
    reports().clear();
}

/// What a panic said.
///
/// ```
/// use oxilab_runtime::panics;
/// let payload = std::panic::catch_unwind(|| panic!("row {}", 3)).expect_err("it panics");
/// assert_eq!(panics::message(&*payload), "row 3");
/// ```
#[must_use]
pub fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

fn reports() -> MutexGuard<'static, VecDeque<Report>> {
    REPORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_of_any_type_have_a_message() {
        assert_eq!(failure(&"a").message, "a");
        assert_eq!(failure(&"b".to_owned()).message, "b");
        assert_eq!(failure(&7_u8).message, "a panic without a message");
    }
}
