//! Results of earlier cells, for `out!(n)`.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Results kept; the oldest go first.
const KEPT: usize = 100;

#[derive(Default)]
struct Results {
    count: u32,
    values: BTreeMap<u32, Box<dyn Any>>,
}

thread_local! {
    static RESULTS: RefCell<Results> = RefCell::default();
}

/// The cell of this number begins.
#[doc(hidden)]
pub fn begin_results(count: u32) {
    RESULTS.with_borrow_mut(|results| results.count = count);
}

/// Keeps the result of the running cell.
#[doc(hidden)]
pub fn keep_result(value: Box<dyn Any>) {
    let old = RESULTS.with_borrow_mut(|results| {
        let replaced = results.values.insert(results.count, value);
        let oldest = (results.values.len() > KEPT).then(|| results.values.pop_first()).flatten();
        (replaced, oldest)
    });
    // Dropped outside: a destructor may look at the results.
    drop(old);
}

/// A clone of the result of a cell: what `out!(n)` stands for.
///
/// # Panics
/// When that cell's result was not kept; the panic ends the cell with that message.
#[doc(hidden)]
#[must_use]
#[track_caller]
pub fn recall<T: Clone + 'static>(count: u32) -> T {
    let found = RESULTS.with_borrow(|results| {
        results.values.get(&count).and_then(|value| value.downcast_ref::<T>().cloned())
    });
    let Some(value) = found else {
        panic!(
            "the result of In [{count}] is not kept: only numbers, texts, frames, tensors and short lists of the last \
             {KEPT} cells are; give the value a name with `let`"
        );
    };
    value
}
