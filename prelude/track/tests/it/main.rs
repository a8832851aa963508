//! Tracking from outside: the journal, what is sent to servers, what breaks on the way, the registry.
//!
//! The session is the process's: tests that use it take a [`setting::turn`].

mod fake;
mod faults;
mod registry;
mod server;
mod setting;
mod track;
