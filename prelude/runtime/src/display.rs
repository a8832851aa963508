//! Showing values in the front end: [`show`], [`Display`] for displays that change, [`clear`].

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use oxilab_protocol::{Event, MimeBundle};

use crate::link;

/// Shows a bundle below the running cell. Outside a worker its plain text is printed.
///
/// ```
/// use oxilab_runtime::{MimeBundle, display};
/// display::show(MimeBundle::text("3 rows").with_html("<b>3 rows</b>"));
/// ```
pub fn show(bundle: MimeBundle) {
    send(bundle, None, false, false);
}

/// Clears the output of the running cell: at once, or with `wait` when the next output arrives, which
/// avoids flicker in animations. Does nothing outside a worker.
pub fn clear(wait: bool) {
    if let Some(link) = link::get() {
        link.send_visible(&Event::Clear { wait });
    }
}

/// A display that can be updated in place, also from later cells and other threads.
///
/// ```
/// use oxilab_runtime::{MimeBundle, display::Display};
/// let shown = Display::show(MimeBundle::text("epoch 1"));
/// shown.update(MimeBundle::text("epoch 2"));
/// ```
#[derive(Clone, Debug)]
pub struct Display {
    id: String,
}

impl Display {
    /// Shows a bundle under a new display id.
    #[must_use = "keep the Display to update it; use `display::show` to show once"]
    pub fn show(bundle: MimeBundle) -> Self {
        Self::show_as(new_id(), bundle)
    }

    /// Shows a bundle under an id of the caller's choice.
    pub fn show_as(id: impl Into<String>, bundle: MimeBundle) -> Self {
        let display = Self { id: id.into() };
        send(bundle, Some(display.id.clone()), false, false);
        display
    }

    /// Replaces what is shown, wherever it is shown.
    pub fn update(&self, bundle: MimeBundle) {
        send(bundle, Some(self.id.clone()), true, false);
    }

    /// The display id, as Jupyter's messages carry it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

pub(crate) fn send(bundle: MimeBundle, display_id: Option<String>, update: bool, result: bool) {
    if let Some(link) = link::get() {
        link.send_visible(&Event::Display { bundle, display_id, update, result });
    } else if !bundle.plain().is_empty() {
        // Nobody can be told when standard output itself is gone.
        let _ = writeln!(std::io::stdout(), "{}", bundle.plain());
    }
}

/// An id that no other display of this or another worker has.
pub(crate) fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("oxilab-{:x}-{nanos:x}-{number}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_an_update_keeps_its_id() {
        let first = Display::show(MimeBundle::text(""));
        let second = Display::show(MimeBundle::text(""));
        assert_ne!(first.id(), second.id());
        let before = first.id().to_owned();
        first.update(MimeBundle::text(""));
        assert_eq!(first.id(), before);
    }
}
