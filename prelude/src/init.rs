//! What is set up once in a worker before its first cell.

use std::sync::Once;

use crate::{inspect, interrupt};

/// Makes ready for cells: fonts for drawings, inspectors for `%who` and the variable explorer, and
/// interrupts that reach into polars. Further calls do nothing.
///
/// ```
/// oxilab::init();
/// oxilab::init();
/// ```
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        oxilab_display::register_fonts();
        oxilab_runtime::register_inspector(inspect::inspector);
        interrupt::register();
        oxilab_widgets::register();
    });
}
