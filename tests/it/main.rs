//! Protocol tests over real sockets, one module per area, in a single binary.

mod asking;
mod assist;
mod bad_input;
mod binary;
mod cells;
mod charts;
mod comms;
mod compiles;
mod concurrency;
mod dep;
mod displays;
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
mod serve;
mod shutdown;
mod stdin;
mod variables;
mod widgets;
