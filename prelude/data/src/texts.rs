//! A hash table that numbers texts: [`Texts`].
//!
//! It holds pieces of hashes and numbers, and texts of up to 12 bytes are compared as the 16 bytes of their
//! views: most rows miss the cache once.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use polars_arrow::array::{Array as _, Utf8ViewArray};

/// Rows that go through a table together: their misses of the cache overlap.
pub(crate) const BLOCK: usize = 256;

/// The half of an entry that is a piece of the hash.
const PIECE: u64 = !0 << 32;

/// The view of no text: no text is that long.
const NO_TEXT: u128 = u128::MAX;

/// Texts with numbers from 0 in the order in which they came.
pub(crate) struct Texts<'a> {
    hasher: RandomState,
    /// The upper half of the hash and the number plus one; 0 is empty. At most half of them are taken.
    entries: Vec<u64>,
    views: Vec<u128>,
    places: Vec<(&'a Utf8ViewArray, usize)>,
    hashes: Vec<u64>,
}

impl<'a> Texts<'a> {
    /// For about so many texts.
    pub(crate) fn for_about(count: usize, hasher: RandomState) -> Self {
        Self {
            hasher,
            entries: vec![0; (count * 2).next_power_of_two().max(16)],
            views: Vec::new(),
            places: Vec::new(),
            hashes: Vec::new(),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.views.len()
    }

    /// The hash of a row's text; that of anything, if it is missing.
    #[inline]
    pub(crate) fn hash(&self, texts: &Utf8ViewArray, row: usize) -> u64 {
        let view = texts.views()[row];
        if view.is_inline() {
            return self.hasher.hash_one(view.as_u128());
        }
        self.hasher.hash_one(texts.value(row))
    }

    /// What stands where the search for each hash begins, of a block at most. Asking for a block of rows
    /// first, and for their numbers then, the processor has many misses of the cache under way at once.
    #[inline]
    pub(crate) fn entries(&self, hashes: impl Iterator<Item = u64>) -> [u64; BLOCK] {
        let mut entries = [0; BLOCK];
        for (entry, hash) in entries.iter_mut().zip(hashes) {
            *entry = self.entries[self.start(hash)];
        }
        entries
    }

    /// The number of a row's text, if it has one. An [entry](Texts::entries) that was read before others came
    /// will do.
    #[inline]
    pub(crate) fn find(
        &self,
        entry: u64,
        hash: u64,
        texts: &Utf8ViewArray,
        row: usize,
    ) -> Option<u32> {
        if entry != 0 && self.is_of(entry, hash, texts, row) {
            return Some(number_of(entry));
        }
        match self.entries[self.search(hash, texts, row)] {
            0 => None,
            entry => Some(number_of(entry)),
        }
    }

    /// Numbers a row's text, which has no number yet.
    pub(crate) fn add(&mut self, hash: u64, texts: &'a Utf8ViewArray, row: usize) -> u32 {
        if (self.len() + 1) * 2 > self.entries.len() {
            self.grow();
        }
        let at = self.search(hash, texts, row);
        let number = self.number(texts.views()[row].as_u128(), hash, texts, row);
        self.entries[at] = (hash & PIECE) | (u64::from(number) + 1);
        number
    }

    /// Numbers missing texts.
    pub(crate) fn add_missing(&mut self, texts: &'a Utf8ViewArray, row: usize) -> u32 {
        self.number(NO_TEXT, 0, texts, row)
    }

    fn number(&mut self, view: u128, hash: u64, texts: &'a Utf8ViewArray, row: usize) -> u32 {
        self.views.push(view);
        self.hashes.push(hash);
        self.places.push((texts, row));
        to_u32(self.views.len() - 1)
    }

    fn grow(&mut self) {
        let mut entries = vec![0; self.entries.len() * 2];
        for (number, hash) in self.hashes.iter().enumerate() {
            let mut at = start(*hash, entries.len());
            while entries[at] != 0 {
                at = (at + 1) & (entries.len() - 1);
            }
            entries[at] = (hash & PIECE) | (number as u64 + 1);
        }
        self.entries = entries;
    }

    /// The place of a text's entry, or the empty one where it would stand.
    fn search(&self, hash: u64, texts: &Utf8ViewArray, row: usize) -> usize {
        let mut at = self.start(hash);
        while self.entries[at] != 0 && !self.is_of(self.entries[at], hash, texts, row) {
            at = (at + 1) & (self.entries.len() - 1);
        }
        at
    }

    /// Whether an entry is that of a text.
    #[inline]
    fn is_of(&self, entry: u64, hash: u64, texts: &Utf8ViewArray, row: usize) -> bool {
        if (entry ^ hash) & PIECE != 0 {
            return false;
        }
        let number = number_of(entry) as usize;
        let ours = texts.views()[row];
        if ours.is_inline() {
            return ours.as_u128() == self.views[number];
        }
        let (theirs, place) = self.places[number];
        !theirs.is_null(place) && texts.value(row) == theirs.value(place)
    }

    fn start(&self, hash: u64) -> usize {
        start(hash, self.entries.len())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the size of the table is what it is cut to")]
fn start(hash: u64, size: usize) -> usize {
    hash as usize & (size - 1)
}

fn number_of(entry: u64) -> u32 {
    (entry & !PIECE) as u32 - 1
}

/// Rows, and so their texts and groups, are numbered so.
#[expect(clippy::cast_possible_truncation, reason = "polars has no more rows")]
pub(crate) fn to_u32(number: usize) -> u32 {
    number as u32
}
