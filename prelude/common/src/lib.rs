//! No code: only the common features of common crates, switched on once for every package.
//!
//! Cargo builds a crate once per set of features. Without this package, `cargo build -p X` and
//! `cargo build` would choose different sets and build polars twice, and a user's `%dep` would
//! switch on one feature more and build it a third time.
