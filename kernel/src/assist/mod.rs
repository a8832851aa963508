//! Completion and inspection.
//!
//! - [`build`], [`layers`]: an index of every public item of std, the prelude's crates, the workbench
//!   and `%dep` crates, made once from rustdoc's pages; sources are not needed.
//! - [`index`], [`library`]: the index on disk, read record by record.
//! - [`html`], [`page`], [`docs`]: rustdoc's pages.
//! - [`lex`], [`context`], [`locate`]: what stands at the cursor of unfinished code.
//! - [`own`], [`world`]: the notebook's items and what a name means.
//! - [`ty`], [`members`], [`infer`]: types, what can stand behind their dot, types of expressions.
//! - [`complete`], [`inspect`], [`text`], [`magic`]: the answers.
//!
//! Two things come from outside, each behind a small trait: [`TypeOracle`] is the compiler, asked for
//! the type of what stands before a dot where signatures alone do not tell; [`Live`] is the worker,
//! asked for columns and previews of live values. Neither is in the path of running a cell.

pub(crate) mod build;
mod complete;
mod context;
mod docs;
mod html;
pub(crate) mod index;
mod infer;
mod inspect;
pub(crate) mod layers;
pub(crate) mod lex;
pub(crate) mod library;
mod locate;
mod magic;
pub(crate) mod members;
pub(crate) mod own;
mod page;
mod text;
pub(crate) mod ty;
pub(crate) mod world;

use std::path::PathBuf;
use std::sync::Arc;

use futures::future::BoxFuture;
use oxilab_protocol::{MimeBundle, VariableInfo};

use world::World;

pub(crate) use complete::complete;
pub(crate) use inspect::{Help, help_request, inspect};

/// Tells types that do not follow from signatures.
pub(crate) trait TypeOracle: Send + Sync {
    /// The type before the dot of `whole`, code in which [`HOLE`](context::HOLE) stands behind it.
    fn receiver_type<'a>(&'a self, whole: &'a str) -> BoxFuture<'a, Option<String>>;
}

/// Tells about live values.
pub(crate) trait Live: Send + Sync {
    /// Column names of a frame.
    fn columns<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Vec<String>>;
    /// Shape, size and one line of a variable.
    fn about<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<VariableInfo>>;
    /// A variable as it would be shown.
    fn preview<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<MimeBundle>>;
    /// Where relative paths start.
    fn directory(&self) -> PathBuf;
}

/// Everything that an answer is made from.
#[derive(Clone)]
pub(crate) struct Desk {
    /// Names and items.
    pub(crate) world: Arc<World>,
    /// The compiler.
    pub(crate) oracle: Arc<dyn TypeOracle>,
    /// The worker.
    pub(crate) live: Arc<dyn Live>,
}

/// The text before a cursor given in code points.
fn before_cursor(code: &str, cursor: usize) -> &str {
    code.char_indices().nth(cursor).map_or(code, |(at, _)| &code[..at])
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
