//! A cell's Rust text, cut into what lives on (items, `use`s) and what runs (statements, a tail).
//!
//! [`parse`] is pure: no file, no process, no state of the session. Every part keeps the byte range
//! it came from, so that composed code can be traced back and no error is matched by text search.
//! [`Edit`]s are the only changes made to the user's text: a poll in a loop or behind a sleep, a question
//! asked before a `?`, `pub` before an item.

mod arithmetic;
mod changes;
mod counted;
mod edits;
mod halving;
mod hints;
mod items;
mod mentions;
mod polls;
mod sleeps;
mod statements;
mod walks;

use std::collections::BTreeSet;
use std::ops::Range;

pub use edits::Edit;
pub use hints::Hint;
pub use items::{Item, ItemKind, Member};
pub use statements::{Binding, Statement, StatementKind};

/// A parsed cell.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// The text as the user wrote it (magic lines blanked).
    pub text: String,
    /// Items that live on for later cells, in order.
    pub items: Vec<Item>,
    /// What runs, in order. A tail expression is the last statement, of kind [`StatementKind::Tail`].
    pub statements: Vec<Statement>,
}

impl Cell {
    /// All identifiers of the statements and `use`s: what may name an item of an earlier cell.
    #[must_use]
    pub fn mentioned(&self) -> BTreeSet<String> {
        let statements = self.statements.iter().map(|statement| &statement.identifiers);
        let uses = self.uses().map(|item| &item.identifiers);
        statements.chain(uses).flatten().cloned().collect()
    }

    /// Its `use` declarations.
    pub fn uses(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| matches!(item.kind, ItemKind::Use { .. }))
    }
}

/// Why a cell could not be cut: rustc is asked for the full story, this is where the cut failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What the parser says.
    pub message: String,
    /// Where, as a byte range of the cell.
    pub range: Range<usize>,
}

/// Cuts a cell.
///
/// # Errors
/// When the text is not a sequence of Rust statements and items.
pub fn parse(text: &str) -> Result<Cell, ParseError> {
    // Spans of the fallback tokenizer accumulate per thread; nothing outlives this call but ranges.
    proc_macro2::extra::invalidate_current_thread_spans();
    let parser = |input: syn::parse::ParseStream| {
        // Inner attributes of a pasted file (`#![allow(..)]`) do no harm and do nothing.
        let _ = input.call(syn::Attribute::parse_inner)?;
        syn::Block::parse_within(input)
    };
    let parsed = syn::parse::Parser::parse_str(parser, text).map_err(|error| ParseError {
        message: error.to_string(),
        range: error.span().byte_range(),
    })?;
    let mut cell = Cell { text: text.to_owned(), ..Cell::default() };
    let last = parsed.len().saturating_sub(1);
    for (index, statement) in parsed.into_iter().enumerate() {
        match statement {
            syn::Stmt::Item(item) => cell.items.push(items::read(&item, text)),
            syn::Stmt::Macro(invocation) if items::defines_items(&invocation.mac) => {
                cell.items.push(items::read_macro(&invocation, text));
            }
            other => {
                if let Some(statement) = statements::read(&other, index == last) {
                    cell.statements.push(statement);
                }
            }
        }
    }
    Ok(cell)
}
