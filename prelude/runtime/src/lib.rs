//! What generated cell code and the prelude stand on, inside the worker process.
//!
//! * [`cell`]: what the composed code of a cell calls: take variables, run steps, put variables back.
//! * [`display`], [`progress`], [`input`], [`comm`]: talking to the front end.
//! * [`cancel`]: the interrupt flag, its polls and hooks.
//! * [`inspect`]: how `%who`, previews and the frame grid look into live values.
//! * [`training`]: what learners and trainers tell about a fit, for whoever tracks it.
//! * [`memory`]: what is done with memory that was freed.
//! * [`worker`]: the worker's main loop, called once by the executable.
//!
//! Outside a worker (tests, plain programs) everything works without a front end: displays print
//! their plain text, progress bars are silent, input is refused.

pub mod cancel;
pub mod cell;
pub mod comm;
pub mod display;
pub mod input;
pub mod inspect;
mod leaving;
mod link;
pub mod memory;
pub mod panics;
pub mod progress;
mod safepoint;
mod signals;
mod store;
mod streams;
pub mod tasks;
pub mod training;
pub mod worker;

pub use inspect::{Inspection, PageRequest, register_inspector};
pub use leaving::register_exit_hook;
pub use oxilab_protocol::MimeBundle;
#[doc(hidden)]
pub use serde_json;
