//! Progress bars: [`Progress`] by hand, [`progress`] around an iterator.
//!
//! A bar is one display that is updated at most ten times a second: script-free HTML in a notebook,
//! one line in plain text, with rate and time left. Bars made while another runs stack below it.
//! A bar's steps are also polls of the interrupt flag.

use std::fmt::Write as _;
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
        {
            let mut state = self.lock();
            change(&mut state);
            if !state.silent && !state.finished {
                let due = state.drawn.unwrap_or(state.started).elapsed() >= INTERVAL;
                if due {
                    state.draw();
                }
            }
        }
        cancel::poll();
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
        let line = self.line(elapsed);
        let bar = match self.total {
            Some(total) => {
                format!("<progress value=\"{}\" max=\"{}\"", self.done.min(total), total.max(1))
            }
            None if self.finished => "<progress value=\"1\" max=\"1\"".to_owned(),
            None => "<progress".to_owned(),
        };
        let html = format!(
            "<div style=\"display:flex;align-items:center;gap:0.6em\">{bar} \
             style=\"width:14em\"></progress><span>{}</span></div>",
            escape(&line)
        );
        MimeBundle::text(line).with_html(html)
    }

    /// `epochs 30/100 30% · 12.0/s · 0:05 left · loss 0.1`
    fn line(&self, elapsed: Duration) -> String {
        let mut line = self.label.clone();
        let seconds = elapsed.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = if seconds > 0.0 { self.done as f64 / seconds } else { 0.0 };
        // Writing to a String does not fail.
        let _ = match self.total {
            Some(total) => {
                let percent = self.done.min(total) * 100 / total.max(1);
                write!(line, " {}/{total} {percent}%", self.done)
            }
            None => write!(line, " {}", self.done),
        };
        if rate > 0.0 {
            let _ = write!(line, " · {}/s", figure(rate));
        }
        if self.finished {
            let _ = write!(line, " · {}", clock(elapsed));
        } else if let Some(total) = self.total.filter(|total| *total > self.done && rate > 0.0) {
            #[expect(clippy::cast_precision_loss, reason = "an estimate for people")]
            let left = (total - self.done) as f64 / rate;
            let left = Duration::try_from_secs_f64(left).unwrap_or(Duration::MAX);
            let _ = write!(line, " · {} left", clock(left));
        }
        if !self.message.is_empty() {
            let _ = write!(line, " · {}", self.message);
        }
        line
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

fn figure(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{:.1} M", rate / 1e6),
        rate if rate >= 1e4 => format!("{:.1} k", rate / 1e3),
        rate if rate >= 100.0 => format!("{rate:.0}"),
        rate if rate >= 1.0 => format!("{rate:.1}"),
        rate => format!("{rate:.2}"),
    }
}

fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..3600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        3600..360_000 => {
            format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
        }
        _ => format!("{} days", seconds / 86_400),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(total: Option<u64>, done: u64, finished: bool) -> State {
        State {
            label: "a<b".into(),
            message: "loss 0.1".into(),
            total,
            done,
            started: Instant::now(),
            drawn: None,
            display: None,
            finished,
            silent: true,
        }
    }

    #[test]
    fn a_running_bar_has_rate_and_time_left() {
        let bundle = state(Some(100), 30, false).bundle(Duration::from_secs(10));
        assert_eq!(bundle.plain(), "a<b 30/100 30% · 3.0/s · 0:23 left · loss 0.1");
        let html = bundle.data["text/html"].as_str().expect("html");
        assert!(html.contains("value=\"30\" max=\"100\"") && html.contains("a&lt;b"), "{html}");
        assert!(!html.contains("script"));
    }

    #[test]
    fn unknown_totals_empty_totals_and_ends_are_fine() {
        let line = state(None, 5, false).line(Duration::from_secs(1));
        assert_eq!(line, "a<b 5 · 5.0/s · loss 0.1");
        let line = state(Some(0), 0, true).line(Duration::from_secs(61));
        assert_eq!(line, "a<b 0/0 0% · 1:01 · loss 0.1");
    }

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
