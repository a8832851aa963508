//! Crates that a session adds with `%dep`.
//!
//! [`Dependency`] is one line of what the user wrote.

mod spec;

pub use spec::{Dependency, SpecError};
