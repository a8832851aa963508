//! One progress bar at a time: [`Bar`].
//!
//! A study runs cross-validations, which fit models, which grow trees: only the outermost shows a bar.

use std::sync::atomic::{AtomicBool, Ordering};

use oxilab_runtime::cancel;
use oxilab_runtime::progress::Progress;

static SHOWN: AtomicBool = AtomicBool::new(false);

/// A progress bar, unless one is already shown. All its verbs are polls of the interrupt flag.
#[derive(Debug)]
pub(crate) struct Bar(Option<Progress>);

impl Bar {
    pub(crate) fn new(label: impl Into<String>, total: usize) -> Self {
        let first =
            SHOWN.compare_exchange(false, true, Ordering::AcqRel, Ordering::Acquire).is_ok();
        Self(first.then(|| Progress::new(label, Some(total as u64))))
    }

    /// One more step is done.
    pub(crate) fn step(&self) {
        match &self.0 {
            Some(bar) => bar.inc(1),
            None => cancel::poll(),
        }
    }

    /// This many steps are done.
    pub(crate) fn set(&self, done: usize) {
        if let Some(bar) = &self.0 {
            bar.set(done as u64);
        }
    }

    pub(crate) fn message(&self, text: impl Into<String>) {
        if let Some(bar) = &self.0 {
            bar.message(text);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.0.take().is_some() {
            SHOWN.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_outermost_is_shown() {
        // Other tests fit models at the same time: wait for a turn.
        let outer = loop {
            let bar = Bar::new("outer", 2);
            if bar.0.is_some() {
                break bar;
            }
            std::thread::yield_now();
        };
        assert!(Bar::new("inner", 2).0.is_none());
        outer.step();
        assert!(SHOWN.load(Ordering::Acquire));
    }
}
