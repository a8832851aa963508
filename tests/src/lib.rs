//! Protocol, notebook, browser and peer tests.
//!
//! [`frontend`] is a front end over real sockets, [`echo`] a scripted runner that proves the seam
//! between Jupyter and Rust cells, [`engine`] the installed one behind a front end, [`literate`] reads and runs the specs in `cells/`.

pub mod echo;
pub mod engine;
pub mod frontend;
pub mod literate;
