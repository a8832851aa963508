//! How much of a value is shown: rows, columns and the length of a string.
//!
//! The limits hold for the whole session and for every table: frames, series, schemas.

use std::sync::atomic::{AtomicUsize, Ordering};

static ROWS: AtomicUsize = AtomicUsize::new(10);
/// 0 stands for the defaults, which differ between HTML and plain text.
static COLUMNS: AtomicUsize = AtomicUsize::new(0);
static STR_LEN: AtomicUsize = AtomicUsize::new(48);

const DEFAULT_HTML_COLUMNS: usize = 20;
const DEFAULT_TEXT_COLUMNS: usize = 8;

/// Sets how many rows of a frame are shown, half of them from its end; 10 at first.
///
/// ```
/// oxilab_display::set_rows(50);
/// assert_eq!(oxilab_display::rows(), 50);
/// ```
pub fn set_rows(rows: usize) {
    ROWS.store(rows, Ordering::Relaxed);
}

/// Sets how many columns of a frame are shown; the rest is cut out of the middle. 0 restores the
/// defaults: 20 in the notebook, 8 in plain text.
pub fn set_columns(columns: usize) {
    COLUMNS.store(columns, Ordering::Relaxed);
}

/// Sets how many characters of a string are shown in a table; 48 at first.
pub fn set_str_len(characters: usize) {
    STR_LEN.store(characters.max(1), Ordering::Relaxed);
}

/// How many rows of a frame are shown.
#[must_use]
pub fn rows() -> usize {
    ROWS.load(Ordering::Relaxed)
}

/// How many characters of a string are shown in a table.
#[must_use]
pub fn str_len() -> usize {
    STR_LEN.load(Ordering::Relaxed)
}

/// How many columns of a frame are shown in HTML.
#[must_use]
pub fn html_columns() -> usize {
    match COLUMNS.load(Ordering::Relaxed) {
        0 => DEFAULT_HTML_COLUMNS,
        columns => columns,
    }
}

/// How many columns of a frame are shown in plain text.
#[must_use]
pub fn text_columns() -> usize {
    match COLUMNS.load(Ordering::Relaxed) {
        0 => DEFAULT_TEXT_COLUMNS,
        columns => columns,
    }
}
