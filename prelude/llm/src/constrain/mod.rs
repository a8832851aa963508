//! Output that must have a form: a JSON Schema becomes a grammar over bytes, and while a text grows
//! only tokens are drawn that the grammar can go on with.

mod grammar;
mod schema;

pub(crate) use grammar::{Grammar, State};
pub(crate) use schema::grammar;

use crate::text::Tokenizer;

/// The place in the grammar that a growing text has reached.
#[derive(Clone, Debug)]
pub(crate) struct Constraint {
    grammar: Grammar,
    state: State,
}

impl Constraint {
    pub(crate) fn new(grammar: Grammar) -> Self {
        let state = grammar.start();
        Self { grammar, state }
    }

    /// Whether the text is complete as it stands.
    pub(crate) fn may_end(&self) -> bool {
        self.state.may_end()
    }

    /// Whether the text is complete and nothing can follow.
    pub(crate) fn must_end(&self) -> bool {
        self.state.must_end()
    }

    /// Whether the token can come next.
    pub(crate) fn allows(&self, tokenizer: &Tokenizer, id: u32) -> bool {
        if tokenizer.is_end(id) {
            return self.may_end();
        }
        let bytes = tokenizer.bytes(id);
        !bytes.is_empty() && self.grammar.after(&self.state, bytes).is_some()
    }

    /// All tokens that can come next, by id.
    pub(crate) fn mask(&self, tokenizer: &Tokenizer, vocabulary: usize) -> Vec<bool> {
        let first: Vec<bool> =
            (0..=255u8).map(|byte| self.grammar.after(&self.state, &[byte]).is_some()).collect();
        (0..u32::try_from(vocabulary).unwrap_or(u32::MAX))
            .map(|id| {
                let possible = tokenizer.bytes(id).first().is_some_and(|b| first[usize::from(*b)]);
                (possible || tokenizer.is_end(id)) && self.allows(tokenizer, id)
            })
            .collect()
    }

    /// Moves on behind a token that [`Constraint::allows`].
    pub(crate) fn push(&mut self, tokenizer: &Tokenizer, id: u32) {
        if let Some(state) = self.grammar.after(&self.state, tokenizer.bytes(id)) {
            self.state = state;
        }
    }
}
