//! The server as clients see it, over loopback. Every test starts its own on a free port.

mod bad_input;
mod completions;
mod limits;
mod monitoring;
mod outage;
mod process;
mod protocols;
mod push;
mod replace;
mod retrain;
mod setting;
mod streams;
mod swap;
mod tls;
