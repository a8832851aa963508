//! Protocol tests over real sockets, one module per area, in a single binary.

mod bad_input;
mod asking;
mod assist;
mod binary;
mod cells;
mod comms;
mod concurrency;
mod displays;
mod dep;
mod engine;
mod errors;
mod execute;
mod history;
mod interrupt;
mod introspection;
mod kernel_info;
mod notebook;
mod panel;
mod robustness;
mod shutdown;
mod stdin;
mod widgets;
