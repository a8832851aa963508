//! [`Starting`]: what a cell shows while MLflow's server starts, which takes ten seconds and more.

use std::path::{Path, PathBuf};
use std::time::Instant;

use oxilab_display::MimeBundle;
use oxilab_runtime::display::Display;

use crate::chart::escape;

/// The longest part of the log that is shown.
const LONGEST: usize = 100;

/// One line below the cell: how long it has taken, and what the server said last.
#[derive(Debug)]
pub(crate) struct Starting {
    log: PathBuf,
    begun: Instant,
    /// Seconds that are shown.
    shown: u64,
    display: Option<Display>,
}

impl Starting {
    pub(crate) fn new(log: &Path) -> Self {
        Self { log: log.to_owned(), begun: Instant::now(), shown: 0, display: None }
    }

    /// Draws once a second, for the first time after one.
    pub(crate) fn tick(&mut self) {
        let seconds = self.begun.elapsed().as_secs();
        if seconds > self.shown {
            self.shown = seconds;
            let said = last_line(&std::fs::read_to_string(&self.log).unwrap_or_default());
            self.draw(line(seconds, &said), "<progress style=\"width:8em\"></progress> ");
        }
    }

    /// The last line: that it runs, or that it does not. A start within a second leaves none.
    pub(crate) fn end(&mut self, outcome: &str) {
        if self.display.is_some() {
            let seconds = self.begun.elapsed().as_secs_f64();
            self.draw(format!("MLflow's server {outcome} after {seconds:.1} s"), "");
        }
    }

    fn draw(&mut self, line: String, bar: &str) {
        let html = format!("<div>{bar}{}</div>", escape(&line));
        let bundle = MimeBundle::text(line).with_html(html);
        match &self.display {
            Some(display) => display.update(bundle),
            None => self.display = Some(Display::show(bundle)),
        }
    }
}

fn line(seconds: u64, said: &str) -> String {
    let said = if said.is_empty() { String::new() } else { format!(" · {said}") };
    format!("MLflow's server starts: {seconds} s{said}")
}

/// The last line of a log that says anything, cut.
fn last_line(log: &str) -> String {
    let last = log.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match last.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &last[..at]),
        None => last.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_long_and_what_was_said_last() {
        assert_eq!(line(3, ""), "MLflow's server starts: 3 s");
        let log = "2026 INFO alembic: first\n2026 INFO alembic: running upgrade\n\n";
        assert_eq!(
            line(12, &last_line(log)),
            "MLflow's server starts: 12 s · 2026 INFO alembic: running upgrade"
        );
        assert_eq!(last_line(&"é".repeat(200)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_quick_start_shows_nothing() {
        let mut starting = Starting::new(Path::new("/nonexistent/server.log"));
        starting.tick();
        assert!(starting.display.is_none());
        starting.end("answers");
        assert!(starting.display.is_none());
    }
}
