//! What the composed code of a cell calls; its author is the kernel, not a person.
//!
//! ```text
//! #[unsafe(no_mangle)] pub extern "C" fn oxilab_cell_main() {
//!     oxilab::__rt::run(|c| {
//!         let Some(mut x) = c.take::<Vec<i32>>("x") else { return };
//!         let y = c.step(|| Ok(x.len())) ...
//!         match Held(x) { held => { let look = (&&&held).oxilab_look(); c.put_with("x", held, look) } }
//!     })
//! }
//! ```

mod ahead;
mod error;
mod held;
mod parts;
mod question;
mod results;

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use oxilab_protocol::{Failure, FailureKind, MimeBundle};

pub use crate::cancel::poll;
pub use crate::inspect::{Line, Look, Peek};
pub use crate::safepoint::safepoint;
pub use crate::tasks::block_on;
pub use ahead::{CountsOfOthers, ahead};
pub use error::CellError;
pub use held::{ByDebug, ByDisplay, ByNothing, Held, LookAtAny, LookAtCount, LookAtText, Written};
pub use parts::{Parts, PartsOfOthers, parts, whole};
pub use question::{Question, QuestionSend};
pub use results::{begin_results, keep_result, recall};

use crate::store::{self, Facts, TakeError};
use crate::{cancel, display, panics};

/// Runs the body of a step inside a library's own catcher, for example polars' for aborted queries.
/// Calls the body once; returns false when the library says that the body was interrupted.
pub type StepWrapper = fn(&mut dyn FnMut()) -> bool;

static WRAPPERS: Mutex<Vec<StepWrapper>> = Mutex::new(Vec::new());

/// Adds a wrapper around every step.
pub fn register_step_wrapper(wrapper: StepWrapper) {
    WRAPPERS.lock().unwrap_or_else(PoisonError::into_inner).push(wrapper);
}

/// The running cell.
#[derive(Debug)]
pub struct Cell {
    end: RefCell<End>,
    show: bool,
    count: u32,
}

#[derive(Debug, Default)]
struct End {
    failure: Option<Failure>,
    stopped: bool,
}

/// What the worker gives a cell, and gets back.
#[derive(Debug, Default)]
struct Exchange {
    show: bool,
    count: u32,
    failure: Option<Failure>,
    ran: bool,
}

static EXCHANGE: Mutex<Exchange> =
    Mutex::new(Exchange { show: true, count: 0, failure: None, ran: false });

/// Runs a cell's code. Nothing unwinds out of it.
pub fn run(code: impl FnOnce(&Cell)) {
    let mut code = Some(code);
    run_erased(&mut |cell| {
        if let Some(code) = code.take() {
            code(cell);
        }
    });
}

// What is generic is compiled in every cell, so it only erases its types: catching, locks and tables
// stand in functions that are compiled here, once.

#[inline(never)]
fn run_erased(code: &mut dyn FnMut(&Cell)) {
    let cell = {
        let mut exchange = exchange();
        exchange.ran = true;
        Cell { end: RefCell::default(), show: exchange.show, count: exchange.count }
    };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| code(&cell))) {
        cell.caught(payload);
    }
    // Cut short without an unwinding (a sleep, a library that returned early): still an interrupt.
    if cancel::requested() {
        cell.fail(interrupted());
    }
    exchange().failure = cell.end.into_inner().failure;
}

/// Shows the value of the cell's tail expression. Not in silent executions.
pub fn show_result(bundle: MimeBundle) {
    if exchange().show {
        display::send(bundle, None, false, true);
    }
}

impl Cell {
    /// Takes a variable out of the store. `None`, and the cell has failed, when there is none of that
    /// name and type.
    #[must_use]
    pub fn take<T: 'static>(&self, name: &str) -> Option<T> {
        let value = self.take_erased(name, TypeId::of::<T>(), std::any::type_name::<T>())?;
        value.downcast::<T>().ok().map(|value| *value)
    }

    #[inline(never)]
    fn take_erased(&self, name: &str, id: TypeId, expected: &str) -> Option<Box<dyn Any>> {
        match store::with(|store| store.take(name, id)) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(load_failure(name, expected, &error));
                None
            }
        }
    }

    /// Stores a variable. The newest of a name comes first: what comes later under the same name in
    /// the same cell is dropped.
    pub fn put<T: 'static>(&self, name: &str, value: T) {
        self.put_erased(name, Box::new(value), Facts::of::<T>(), None);
    }

    /// As [`Cell::put`], with a way to look at the value, for types that no inspector knows.
    pub fn put_with<T: 'static>(&self, name: &str, held: Held<T>, look: Option<Look>) {
        self.put_erased(name, Box::new(held.0), Facts::of::<T>(), look);
    }

    #[inline(never)]
    fn put_erased(&self, name: &str, value: Box<dyn Any>, facts: Facts, look: Option<Look>) {
        self.discard(store::with(|store| store.put(name, value, facts, look)));
    }

    /// Runs a part of the cell. `None` when it failed, was interrupted or ended the cell, and when an
    /// earlier part did.
    pub fn step<T>(&self, body: impl FnOnce() -> Result<T, CellError>) -> Option<T> {
        let mut body = Some(body);
        let mut value = None;
        self.step_erased(&mut || {
            if let Some(body) = body.take() {
                value = Some(body()?);
            }
            Ok(())
        });
        value
    }

    #[inline(never)]
    fn step_erased(&self, body: &mut dyn FnMut() -> Result<(), CellError>) {
        if !self.goes_on() {
            return;
        }
        if cancel::requested() {
            self.fail(interrupted());
            return;
        }
        let wrappers = WRAPPERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut outcome = None;
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            wrap(&wrappers, &mut || outcome = Some(body()));
        }));
        match (unwound, outcome) {
            (Err(payload), _) => self.caught(payload),
            (Ok(()), Some(Ok(()))) => {}
            (Ok(()), Some(Err(error))) => {
                if cancel::requested() {
                    self.fail(interrupted());
                } else {
                    self.ended(error);
                }
            }
            (Ok(()), None) => self.fail(interrupted()),
        }
    }

    /// Whether no part has failed or ended the cell.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        let end = self.end.borrow();
        end.failure.is_none() && !end.stopped
    }

    /// Whether the value of the tail expression is shown.
    #[must_use]
    pub fn shows(&self) -> bool {
        self.show
    }

    /// The execution count, for `out!(n)`.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    fn ended(&self, error: CellError) {
        match error.into_failure() {
            Some(failure) => self.fail(failure),
            None => self.end.borrow_mut().stopped = true,
        }
    }

    fn caught(&self, payload: Box<dyn Any + Send>) {
        // A library that answers the interrupt by a panic of its own is an interrupt as well.
        if cancel::requested() || cancel::is_interrupt(&*payload) {
            self.fail(interrupted());
        } else {
            self.fail(panics::failure(&*payload));
        }
        // The destructor of a payload is user code too.
        self.discard(Some(payload as Box<dyn Any>));
    }

    /// The first failure counts.
    fn fail(&self, failure: Failure) {
        let mut end = self.end.borrow_mut();
        if end.failure.is_none() {
            end.failure = Some(failure);
        }
    }

    /// Drops a value whose destructor may panic.
    fn discard(&self, value: Option<Box<dyn Any>>) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
            self.fail(panics::failure(&*payload));
            std::mem::forget(payload);
        }
    }
}

/// Calls the body inside all wrappers.
fn wrap(wrappers: &[StepWrapper], body: &mut dyn FnMut()) -> bool {
    match wrappers.split_last() {
        None => {
            body();
            true
        }
        Some((outer, inner)) => {
            let mut completed = true;
            outer(&mut || completed = wrap(inner, body)) && completed
        }
    }
}

pub(crate) fn interrupted() -> Failure {
    Failure {
        kind: FailureKind::Interrupted,
        name: "KeyboardInterrupt".to_owned(),
        message: "the cell was interrupted".to_owned(),
        details: Vec::new(),
        location: None,
        frames: Vec::new(),
    }
}

fn load_failure(name: &str, expected: &str, error: &TakeError) -> Failure {
    let message = match error {
        TakeError::Absent => format!("there is no variable `{name}` any more"),
        TakeError::OtherType { stored } if *stored == expected => format!(
            "`{name}` is a value of an earlier version of `{expected}`: make it again to use it"
        ),
        TakeError::OtherType { stored } => {
            format!("`{name}` is stored as `{stored}`, and this cell expects `{expected}`")
        }
    };
    Failure {
        kind: FailureKind::Load,
        name: "VariableError".to_owned(),
        message,
        details: Vec::new(),
        location: None,
        frames: Vec::new(),
    }
}

fn exchange() -> std::sync::MutexGuard<'static, Exchange> {
    EXCHANGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes ready for a cell.
pub(crate) fn begin(show: bool, count: u32) {
    begin_results(count);
    *exchange() = Exchange { show, count, failure: None, ran: false };
}

/// How the cell ended; an error when its code never called [`run`].
pub(crate) fn end() -> Result<Option<Failure>, &'static str> {
    let mut exchange = exchange();
    if exchange.ran { Ok(exchange.failure.take()) } else { Err("the cell's code did not run") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(code: impl FnOnce(&Cell)) -> Option<Failure> {
        static TURN: Mutex<()> = Mutex::new(());
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let _flag = cancel::tests::turn();
        begin(true, 1);
        store::with(store::Store::begin);
        run(code);
        end().expect("ran")
    }

    #[test]
    fn a_failed_step_ends_the_steps_and_keeps_what_was_bound() {
        let failure = outcome(|c| {
            let first = c.step(|| Ok(5));
            assert_eq!(first, Some(5));
            let second: Option<u32> = c.step(|| "x".parse::<u32>().__q());
            assert_eq!(second, None);
            let mut ran = false;
            let third = c.step(|| {
                ran = true;
                Ok(())
            });
            assert!(third.is_none() && !ran);
            c.put("kept", first);
        })
        .expect("failed");
        assert_eq!(failure.kind, FailureKind::Error);
        assert_eq!(failure.name, "ParseIntError");
        assert_eq!(failure.message, "invalid digit found in string");
        let (file, line, _) = failure.location.expect("location");
        assert!(file.ends_with("cell/mod.rs") && line > 0);
        assert_eq!(
            store::with(|s| s.take("kept", TypeId::of::<Option<i32>>()))
                .map(|value| value.downcast::<Option<i32>>().ok().map(|value| *value)),
            Ok(Some(Some(5)))
        );
    }

    #[test]
    fn panics_and_early_ends() {
        let failure = outcome(|c| {
            let _: Option<()> = c.step(|| panic!("on {}", "purpose"));
        })
        .expect("failed");
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Panic, "on purpose"));
        assert!(
            outcome(|c| {
                let _: Option<()> = c.step(|| Err(CellError::stop()));
                assert!(c.step(|| Ok(())).is_none());
            })
            .is_none()
        );
    }

    #[test]
    fn a_wrong_type_is_explained() {
        let failure = outcome(|c| {
            c.put("wrong", 1_u8);
            assert_eq!(c.take::<u16>("wrong"), None);
        })
        .expect("failed");
        assert_eq!(failure.kind, FailureKind::Load);
        assert_eq!(failure.message, "`wrong` is stored as `u8`, and this cell expects `u16`");
    }
}
