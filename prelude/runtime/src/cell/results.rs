//! Results of earlier cells, for `out!(n)`.

use std::any::Any;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Results kept; the oldest go first.
const KEPT: usize = 100;

struct Results {
    count: u32,
    values: BTreeMap<u32, Rc<dyn Any>>,
}

/// Values are made, used and dropped on the cell thread; after a take-over on the thread that took
/// over, when the old one is parked for good.
struct Held(Mutex<Results>);

// SAFETY: see `Held`: only one living thread ever touches the values.
#[expect(unsafe_code, reason = "the results outlive the cell thread")]
unsafe impl Sync for Held {}

static RESULTS: Held = Held(Mutex::new(Results { count: 0, values: BTreeMap::new() }));

/// The results. No code of a cell may run inside: a thread that is parked there would keep the lock.
fn results() -> MutexGuard<'static, Results> {
    RESULTS.0.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The cell of this number begins.
#[doc(hidden)]
pub fn begin_results(count: u32) {
    results().count = count;
}

/// Keeps the result of the running cell.
#[doc(hidden)]
pub fn keep_result(value: Box<dyn Any>) {
    let value: Rc<dyn Any> = Rc::from(value);
    let old = {
        let mut results = results();
        let count = results.count;
        let replaced = results.values.insert(count, value);
        let oldest = (results.values.len() > KEPT).then(|| results.values.pop_first()).flatten();
        (replaced, oldest)
    };
    // Dropped outside: a destructor may look at the results.
    drop(old);
}

#[inline(never)]
fn find(count: u32) -> Option<Rc<dyn Any>> {
    results().values.get(&count).map(Rc::clone)
}

/// A clone of the result of a cell: what `out!(n)` stands for.
///
/// # Panics
/// When that cell's result was not kept; the panic ends the cell with that message.
#[doc(hidden)]
#[must_use]
#[track_caller]
pub fn recall<T: Clone + 'static>(count: u32) -> T {
    let found = find(count).and_then(|value| value.downcast_ref::<T>().cloned());
    let Some(value) = found else {
        panic!(
            "the result of In [{count}] is not kept: only numbers, texts, frames, tensors and short lists of the last \
             {KEPT} cells are; give the value a name with `let`"
        );
    };
    value
}
