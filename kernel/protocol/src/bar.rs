//! How a progress bar looks: the prelude's loops and the kernel's own builds show the same.

use std::fmt::Write as _;
use std::time::Duration;

use crate::MimeBundle;

/// A progress bar at one moment: script-free HTML, and one line in plain text with rate and time left.
///
/// ```
/// use std::time::Duration;
///
/// use oxilab_protocol::Bar;
///
/// let bar = Bar {
///     label: "epochs",
///     done: 30,
///     total: Some(100),
///     elapsed: Duration::from_secs(10),
///     finished: false,
///     message: "loss 0.1",
/// };
/// assert_eq!(bar.bundle().plain(), "epochs 30/100 30% · 3.0/s · 0:23 left · loss 0.1");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Bar<'a> {
    /// What is counted.
    pub label: &'a str,
    /// Steps done.
    pub done: u64,
    /// Steps in all, where that is known.
    pub total: Option<u64>,
    /// Time since the first step.
    pub elapsed: Duration,
    /// Whether it stays as it is: then the time it took stands in the place of the time left.
    pub finished: bool,
    /// Text behind it; may be empty.
    pub message: &'a str,
}

impl Bar<'_> {
    /// The bar as HTML and as a line.
    #[must_use]
    pub fn bundle(&self) -> MimeBundle {
        let line = self.line();
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

    fn line(&self) -> String {
        let mut line = self.label.to_owned();
        let seconds = self.elapsed.as_secs_f64();
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
            let _ = write!(line, " · {}", clock(self.elapsed));
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

    fn bar(total: Option<u64>, done: u64, finished: bool, seconds: u64) -> MimeBundle {
        let elapsed = Duration::from_secs(seconds);
        Bar { label: "a<b", done, total, elapsed, finished, message: "loss 0.1" }.bundle()
    }

    #[test]
    fn a_running_bar_has_rate_and_time_left() {
        let bundle = bar(Some(100), 30, false, 10);
        assert_eq!(bundle.plain(), "a<b 30/100 30% · 3.0/s · 0:23 left · loss 0.1");
        let html = bundle.data["text/html"].as_str().expect("html");
        assert!(html.contains("value=\"30\" max=\"100\"") && html.contains("a&lt;b"), "{html}");
        assert!(!html.contains("script"));
    }

    #[test]
    fn unknown_totals_empty_totals_and_ends_are_fine() {
        assert_eq!(bar(None, 5, false, 1).plain(), "a<b 5 · 5.0/s · loss 0.1");
        assert_eq!(bar(Some(0), 0, true, 61).plain(), "a<b 0/0 0% · 1:01 · loss 0.1");
    }
}
