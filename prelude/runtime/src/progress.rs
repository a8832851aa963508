//! Progress bars: [`Progress`] by hand, [`progress`] around an iterator.
//!
//! A bar is one display that is updated at most ten times a second: script-free HTML in a notebook,
//! one line in plain text, with rate and time left. Bars made while another runs stack below it.
//! A bar's steps are also polls of the interrupt flag, unless they are [told](Progress::tell).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use oxilab_protocol::MimeBundle;

use crate::display::Display;
use crate::{cancel, link};

const INTERVAL: Duration = Duration::from_millis(100);

/// A progress bar. Ends with [`Progress::finish`] or when dropped. Usable from several threads.
///
/// ```
/// use oxilab_runtime::progress::Progress;
/// let bar = Progress::new("reading", Some(3));
/// for _ in 0..3 {
///     bar.inc(1);
/// }
/// bar.finish();
/// ```
#[derive(Debug)]
pub struct Progress {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    label: String,
    message: String,
    total: Option<u64>,
    done: u64,
    started: Instant,
    drawn: Option<Instant>,
    display: Option<Display>,
    finished: bool,
    silent: bool,
}

impl Progress {
    /// A bar of `total` steps, or of an unknown number. It is first drawn at its first step.
    #[must_use = "a bar that is dropped is finished"]
    pub fn new(label: impl Into<String>, total: Option<u64>) -> Self {
        Self {
            state: Mutex::new(State {
                label: label.into(),
                message: String::new(),
                total,
                done: 0,
                started: Instant::now(),
                drawn: None,
                display: None,
                finished: false,
                silent: link::get().is_none(),
            }),
        }
    }

    /// Adds `n` steps. Unwinds the cell if the user has interrupted it.
    pub fn inc(&self, n: u64) {
        self.change(|state| state.done = state.done.saturating_add(n));
    }

    /// Sets the number of steps done. Unwinds the cell if the user has interrupted it.
    pub fn set(&self, n: u64) {
        self.change(|state| state.done = n);
    }

    /// Sets the text behind the bar, for example a loss.
    pub fn message(&self, text: impl Into<String>) {
        let text = text.into();
        self.change(|state| state.message = text);
    }

    /// Sets the number of steps done and the text behind the bar, and is no poll: for code that looks at
    /// the flag itself and ends in good order.
    pub fn tell(&self, done: u64, text: impl Into<String>) {
        let text = text.into();
        self.redraw(|state| (state.done, state.message) = (done, text));
    }

    /// Ends the bar: it stays as it is, with the time it took.
    pub fn finish(&self) {
        let mut state = self.lock();
        if !state.finished {
            state.finished = true;
            let last = state.drawn.is_some() || state.started.elapsed() > INTERVAL;
            if last {
                state.draw();
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.redraw(change);
        cancel::poll();
    }

    fn redraw(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        if !state.silent && !state.finished {
            let due = state.drawn.unwrap_or(state.started).elapsed() >= INTERVAL;
            if due {
                state.draw();
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl State {
    fn draw(&mut self) {
        if self.silent {
            return;
        }
        let bundle = self.bundle(self.started.elapsed());
        match &self.display {
            Some(display) => display.update(bundle),
            None => self.display = Some(Display::show(bundle)),
        }
        self.drawn = Some(Instant::now());
    }

    fn bundle(&self, elapsed: Duration) -> MimeBundle {
        let State { label, message, total, done, finished, .. } = self;
        let (total, done, finished) = (*total, *done, *finished);
        oxilab_protocol::Bar { label, done, total, elapsed, finished, message }.bundle()
    }
}

/// Wraps an iterator in a bar named `progress`, with a total where the iterator knows its length.
///
/// ```
/// use oxilab_runtime::progress::progress;
/// let sum: u32 = progress(0..10_u32).sum();
/// assert_eq!(sum, 45);
/// ```
pub fn progress<I: IntoIterator>(iterator: I) -> Bar<I::IntoIter> {
    named("progress", iterator)
}

/// As [`progress`], with a label.
pub fn named<I: IntoIterator>(label: impl Into<String>, iterator: I) -> Bar<I::IntoIter> {
    let iterator = iterator.into_iter();
    let total = match iterator.size_hint() {
        (least, Some(most)) if least == most => Some(least as u64),
        _ => None,
    };
    Bar { progress: Progress::new(label, total), started: false, iterator }
}

/// An iterator with a progress bar; see [`progress`].
#[derive(Debug)]
pub struct Bar<I> {
    iterator: I,
    progress: Progress,
    started: bool,
}

impl<I> Bar<I> {
    /// The bar, to set its message.
    pub fn bar(&self) -> &Progress {
        &self.progress
    }
}

impl<I: Iterator> Iterator for Bar<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        // A step is done when the next one is asked for.
        if self.started {
            self.progress.inc(1);
        }
        self.started = true;
        let item = self.iterator.next();
        if item.is_none() {
            self.started = false;
            self.progress.finish();
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.iterator.size_hint()
    }
}

impl<I: ExactSizeIterator> ExactSizeIterator for Bar<I> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wrapper_passes_everything_through() {
        let mut seen = Vec::new();
        for item in named("rows", ["a", "b"]) {
            seen.push(item);
        }
        assert_eq!(seen, ["a", "b"]);
        assert_eq!(progress(0..7).len(), 7);
    }
}
