//! Functions that are called when a widget changes, and how they end.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxilab_runtime::comm;
use serde_json::Value;

type Function = Box<dyn FnMut(&Value) + Send>;

/// How a callback ends: with nothing, or with a `Result` whose error is shown below the cell.
pub trait Ended {
    /// Reports a failure.
    fn ended(self);
}

impl Ended for () {
    fn ended(self) {}
}

/// The type `!`, which cannot be written yet: of a callback that only panics or runs for ever.
pub(crate) type Never = <fn() -> ! as Returns>::Value;

/// Names the type that a function returns; for [`Never`].
#[doc(hidden)]
pub trait Returns {
    /// What it returns.
    type Value;
}

impl<T> Returns for fn() -> T {
    type Value = T;
}

impl Ended for Never {
    fn ended(self) {}
}

impl<T, E: fmt::Display> Ended for Result<T, E> {
    fn ended(self) {
        if let Err(error) = self {
            // `{:#}` of an `anyhow::Error` is its chain of causes.
            comm::report(type_name::<E>(), format!("{error:#}"));
        }
    }
}

fn type_name<E>() -> &'static str {
    let path = std::any::type_name::<E>();
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

/// Functions called in the order they were added.
#[derive(Default)]
pub(crate) struct Callbacks(Mutex<Vec<Function>>);

impl Callbacks {
    pub(crate) fn add(&self, function: impl FnMut(&Value) + Send + 'static) {
        self.lock().push(Box::new(function));
    }

    /// Calls all. They are out of the list meanwhile, so that one may add another, and a change made
    /// by one does not call it again.
    pub(crate) fn call(&self, value: &Value) {
        let functions = std::mem::take(&mut *self.lock());
        // Put back also when a function panics.
        let mut held = PutBack { callbacks: self, functions };
        for function in &mut held.functions {
            function(value);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Function>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct PutBack<'a> {
    callbacks: &'a Callbacks,
    functions: Vec<Function>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        let mut functions = self.callbacks.lock();
        let added = std::mem::replace(&mut *functions, std::mem::take(&mut self.functions));
        functions.extend(added);
    }
}

impl fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} callbacks", self.lock().len())
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;

    #[test]
    fn callbacks_survive_a_panic_of_one() {
        let callbacks = Callbacks::default();
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        callbacks.add(move |value| {
            counted.fetch_add(1, Ordering::Relaxed);
            assert!(value.is_number(), "not a number");
        });
        let call = |value| catch_unwind(AssertUnwindSafe(|| callbacks.call(&value)));
        assert!(call(json!("text")).is_err());
        assert!(call(json!(1)).is_ok());
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn a_callback_may_add_another_and_is_not_called_by_itself() {
        let callbacks = Arc::new(Callbacks::default());
        let (calls, inner) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&callbacks));
        let counted = Arc::clone(&calls);
        callbacks.add(move |value| {
            let again = Arc::clone(&counted);
            if counted.fetch_add(1, Ordering::Relaxed) == 0 {
                inner.add(move |_| {
                    again.fetch_add(10, Ordering::Relaxed);
                });
                inner.call(value);
            }
        });
        callbacks.call(&json!(1));
        assert_eq!(calls.load(Ordering::Relaxed), 11);
        callbacks.call(&json!(2));
        assert_eq!(calls.load(Ordering::Relaxed), 22);
    }

    #[test]
    fn a_callback_need_not_return() {
        fn ends<E: Ended>(_: impl FnMut() -> E) {}
        ends(|| panic!("at once"));
        ends(|| ());
        ends(|| "1".parse::<u8>());
    }

    #[test]
    fn errors_are_named_by_their_type() {
        assert_eq!(type_name::<std::num::ParseIntError>(), "ParseIntError");
        assert_eq!(type_name::<Box<dyn std::error::Error>>(), "Box");
    }
}
