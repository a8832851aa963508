//! Protocol tests over real sockets, one module per area, in a single binary.

mod bad_input;
mod binary;
mod cells;
mod comms;
mod concurrency;
mod dep;
mod engine;
mod errors;
mod execute;
mod history;
mod introspection;
mod kernel_info;
mod notebook;
mod robustness;
mod shutdown;
mod stdin;
