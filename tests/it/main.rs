//! Protocol tests over real sockets, one module per area, in a single binary.

mod binary;
mod cells;
mod comms;
mod concurrency;
mod errors;
mod execute;
mod history;
mod introspection;
mod kernel_info;
mod notebook;
mod robustness;
mod shutdown;
mod stdin;
