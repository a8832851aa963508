//! A hash table from texts to the rows they stand in: [`Table`].

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use polars::prelude::*;
use polars_arrow::array::{Array as _, Utf8ViewArray};

/// No row.
pub(super) const MISSING: IdxSize = IdxSize::MAX;

/// Rows that go through the table together.
const BLOCK: usize = 256;

/// The half of an entry that is a piece of the hash.
const PIECE: u64 = !0 << 32;

/// Texts, each of which stands in one row only.
pub(super) struct Table<'a> {
    keys: &'a Utf8ViewArray,
    hasher: RandomState,
    /// The upper half of the hash and the row plus one; 0 is empty. At most half of them are taken.
    entries: Vec<u64>,
}

impl<'a> Table<'a> {
    /// The rows of an array's texts; `None` if one stands there twice. Missing texts are no key.
    pub(super) fn of(keys: &'a Utf8ViewArray) -> Option<Self> {
        let size = (keys.len() * 2).next_power_of_two().max(2);
        let mut table = Self { keys, hasher: RandomState::default(), entries: vec![0; size] };
        for row in 0..keys.len() {
            if !keys.is_null(row) {
                table.insert(row)?;
            }
        }
        Some(table)
    }

    fn insert(&mut self, row: usize) -> Option<()> {
        let hash = self.hash(self.keys, row);
        let at = self.search(hash, self.keys, row);
        if self.entries[at] != 0 {
            return None;
        }
        self.entries[at] = (hash & PIECE) | (row as u64 + 1);
        Some(())
    }

    /// Writes the row of every text of `texts` to `found`, [`MISSING`] where there is none.
    ///
    /// # Errors
    /// On interrupt.
    pub(super) fn find(&self, texts: &Utf8ViewArray, found: &mut [IdxSize]) -> PolarsResult<()> {
        let mut hashes = [0; BLOCK];
        let mut entries = [0; BLOCK];
        for (block, found) in found.chunks_mut(BLOCK).enumerate() {
            if oxilab_runtime::cancel::requested() {
                polars_bail!(ComputeError: "joining: interrupted");
            }
            let first = block * BLOCK;
            // Three loops, each free of what the one before it waits for: the processor then has many
            // misses of the cache under way at once.
            for (row, hash) in (first..).zip(&mut hashes[..found.len()]) {
                *hash = self.hash(texts, row);
            }
            for (entry, hash) in entries.iter_mut().zip(&hashes[..found.len()]) {
                *entry = self.entries[self.place(*hash)];
            }
            for (at, found) in found.iter_mut().enumerate() {
                let row = first + at;
                *found = if texts.is_null(row) {
                    MISSING
                } else if entries[at] != 0 && self.is_at(entries[at], hashes[at], texts, row) {
                    row_of(entries[at])
                } else {
                    match self.entries[self.search(hashes[at], texts, row)] {
                        0 => MISSING,
                        entry => row_of(entry),
                    }
                };
            }
        }
        Ok(())
    }

    /// The place of a text's entry, or the empty one where it would stand.
    fn search(&self, hash: u64, texts: &Utf8ViewArray, row: usize) -> usize {
        let mut at = self.place(hash);
        while self.entries[at] != 0 && !self.is_at(self.entries[at], hash, texts, row) {
            at = (at + 1) & (self.entries.len() - 1);
        }
        at
    }

    /// Whether an entry is that of a text.
    fn is_at(&self, entry: u64, hash: u64, texts: &Utf8ViewArray, row: usize) -> bool {
        if (entry ^ hash) & PIECE != 0 {
            return false;
        }
        let known = row_of(entry) as usize;
        let (ours, theirs) = (texts.views()[row], self.keys.views()[known]);
        if ours.is_inline() {
            return ours.as_u128() == theirs.as_u128();
        }
        !theirs.is_inline() && texts.value(row) == self.keys.value(known)
    }

    /// Of a missing text, that of anything.
    fn hash(&self, texts: &Utf8ViewArray, row: usize) -> u64 {
        let view = texts.views()[row];
        if view.is_inline() {
            return self.hasher.hash_one(view.as_u128());
        }
        self.hasher.hash_one(texts.value(row))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the size of the table is what it is cut to"
    )]
    fn place(&self, hash: u64) -> usize {
        hash as usize & (self.entries.len() - 1)
    }
}

fn row_of(entry: u64) -> IdxSize {
    (entry & !PIECE) as IdxSize - 1
}
