//! Rows by group: [`Codes`].

use std::sync::atomic::{AtomicU32, Ordering};

use foldhash::fast::RandomState;
use polars::prelude::*;
use polars_arrow::array::{Array as _, Utf8ViewArray};
use rayon::prelude::*;

use crate::texts::{BLOCK, Texts, to_u32};

/// Pairs of two columns' groups that may exist: the table of all has that many places at most.
const PAIRS: usize = 1 << 20;

/// The group of every row. Groups are numbered in the order of their first rows.
pub(super) struct Codes {
    pub(super) of_rows: Vec<u32>,
    /// The first row of each group.
    pub(super) first: Vec<IdxSize>,
}

impl Codes {
    /// Of one column; `None` if its type is for polars.
    ///
    /// # Errors
    /// On interrupt.
    pub(super) fn of(column: &Column) -> PolarsResult<Option<Self>> {
        match column.dtype() {
            DataType::String => of_texts(column.str()?).map(Some),
            DataType::Boolean => {
                let values = column.bool()?.iter().map(|value| value.map_or(2, u32::from));
                Ok(Some(Self::numbered(values.collect(), 3)))
            }
            _ => Ok(None),
        }
    }

    /// The groups that are alike in both; `None` if there may be too many.
    pub(super) fn and(self, other: &Self) -> Option<Self> {
        let (ours, theirs) = (self.first.len(), other.first.len());
        let pairs = ours.checked_mul(theirs).filter(|pairs| *pairs <= PAIRS)?;
        let theirs = u32::try_from(theirs).ok()?;
        let both = self.of_rows.iter().zip(&other.of_rows).map(|(a, b)| a * theirs + b);
        Some(Self::numbered(both.collect(), pairs))
    }

    /// Numbers groups anew that are known by something below `most`.
    fn numbered(mut of_rows: Vec<u32>, most: usize) -> Self {
        const NEW: u32 = u32::MAX;
        let mut numbers = vec![NEW; most];
        let mut first = Vec::new();
        for (row, code) in (0..).zip(&mut of_rows) {
            let number = &mut numbers[*code as usize];
            if *number == NEW {
                *number = to_u32(first.len());
                first.push(row);
            }
            *code = *number;
        }
        Self { of_rows, first }
    }
}

/// Each thread numbers the texts of a range of hashes.
fn of_texts(texts: &StringChunked) -> PolarsResult<Codes> {
    let threads = rayon::current_num_threads();
    let codes: Vec<AtomicU32> = (0..texts.len()).map(|_| AtomicU32::new(0)).collect();
    let hasher = RandomState::default();
    let share = |thread| Share { thread, threads, codes: &codes };
    let firsts: Vec<Vec<IdxSize>> = (0..threads)
        .into_par_iter()
        .map(|thread| share(thread).number(texts, hasher.clone()))
        .collect::<PolarsResult<_>>()?;
    let mut groups: Vec<(IdxSize, u32)> = Vec::new();
    for (thread, first) in firsts.iter().enumerate() {
        groups.extend((0..).zip(first).map(|(own, row)| (*row, share(thread).code(own))));
    }
    groups.par_sort_unstable();
    let most = groups.iter().map(|(_, code)| *code as usize + 1).max().unwrap_or(0);
    let mut numbers = vec![0; most];
    for (number, (_, code)) in groups.iter().enumerate() {
        numbers[*code as usize] = to_u32(number);
    }
    let of_rows =
        codes.par_iter().map(|code| numbers[code.load(Ordering::Relaxed) as usize]).collect();
    Ok(Codes { of_rows, first: groups.into_iter().map(|(row, _)| row).collect() })
}

/// What one thread does.
struct Share<'a> {
    thread: usize,
    threads: usize,
    codes: &'a [AtomicU32],
}

impl Share<'_> {
    /// A number that no other thread gives.
    fn code(&self, own: u32) -> u32 {
        own * to_u32(self.threads) + to_u32(self.thread)
    }

    fn is_ours(&self, hash: u64) -> bool {
        // The upper half: the lower one is the place in the table.
        ((hash >> 32) * self.threads as u64) >> 32 == self.thread as u64
    }

    /// Writes the codes of the rows that are ours; gives the first row of each.
    fn number(&self, chunks: &StringChunked, hasher: RandomState) -> PolarsResult<Vec<IdxSize>> {
        let mut texts = Texts::for_about(1 << 12, hasher);
        let mut missing = None;
        let mut first = Vec::new();
        let mut start = 0;
        for chunk in chunks.downcast_iter() {
            for block in (0..chunk.len()).step_by(BLOCK) {
                if oxilab_runtime::cancel::requested() {
                    polars_bail!(ComputeError: "grouping: interrupted");
                }
                let rows = block..chunk.len().min(block + BLOCK);
                self.block(chunk, rows, start, &mut texts, &mut missing, &mut first);
            }
            start += chunk.len();
        }
        Ok(first)
    }

    fn block<'a>(
        &self,
        chunk: &'a Utf8ViewArray,
        rows: std::ops::Range<usize>,
        start: usize,
        texts: &mut Texts<'a>,
        missing: &mut Option<u32>,
        first: &mut Vec<IdxSize>,
    ) {
        let mut ours = [(0, 0); BLOCK];
        let mut count = 0;
        for row in rows {
            let hash = texts.hash(chunk, row);
            let is_ours = if chunk.is_null(row) { self.thread == 0 } else { self.is_ours(hash) };
            // Written in any case: whose a text is cannot be foretold.
            ours[count] = (row, hash);
            count += usize::from(is_ours);
        }
        let entries = texts.entries(ours[..count].iter().map(|(_, hash)| *hash));
        for (entry, (row, hash)) in entries.into_iter().zip(&ours[..count]) {
            let new = |first: &mut Vec<IdxSize>| first.push(to_u32(start + row));
            let number = if chunk.is_null(*row) {
                *missing.get_or_insert_with(|| {
                    new(first);
                    texts.add_missing(chunk, *row)
                })
            } else if let Some(number) = texts.find(entry, *hash, chunk, *row) {
                number
            } else {
                new(first);
                texts.add(*hash, chunk, *row)
            };
            self.codes[start + row].store(self.code(number), Ordering::Relaxed);
        }
    }
}
