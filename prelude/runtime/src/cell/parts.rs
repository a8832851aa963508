//! Loops in parts, between which an interrupt is answered: [`parts`], [`whole`].

use std::iter::{Once, once};
use std::ops::Range;
use std::slice::{Chunks, ChunksMut, Iter, IterMut};

use crate::safepoint::safepoint;

/// Iterations of a part: some microseconds, beside which the step from part to part is not felt. A
/// short loop is one part.
const SIZE: usize = 8192;

/// The range in parts, for loops whose iterations take about as long as a poll: each part is a range
/// that the compiler treats as it does the whole.
#[inline]
pub fn parts<T>(range: Range<T>) -> Parts<T>
where
    Range<T>: Iterator<Item = T>,
{
    Parts(range)
}

/// What [`parts`] gives.
#[derive(Debug)]
pub struct Parts<T>(Range<T>);

impl<T: Clone + PartialOrd> Iterator for Parts<T>
where
    Range<T>: Iterator<Item = T>,
{
    type Item = Range<T>;

    #[inline]
    fn next(&mut self) -> Option<Range<T>> {
        if self.0.is_empty() {
            return None;
        }
        safepoint();
        let start = self.0.start.clone();
        // Past the last element the rest is empty, and this part is what was left.
        let _ = self.0.nth(SIZE - 1);
        Some(start..self.0.start.clone())
    }
}

/// What a loop runs over, which `.parts()` cuts: a slice in parts; anything else, through
/// [`PartsOfOthers`], is one part that asks at every step.
pub fn whole<T: IntoIterator>(over: T) -> Whole<T::IntoIter> {
    Whole(over.into_iter())
}

/// What [`whole`] gives.
#[derive(Debug)]
pub struct Whole<I>(I);

impl<'a, T> Whole<Iter<'a, T>> {
    /// The slice in parts.
    #[inline]
    pub fn parts(self) -> SliceParts<Chunks<'a, T>> {
        SliceParts(self.0.as_slice().chunks(SIZE))
    }
}

impl<'a, T> Whole<IterMut<'a, T>> {
    /// The slice in parts.
    #[inline]
    pub fn parts(self) -> SliceParts<ChunksMut<'a, T>> {
        SliceParts(self.0.into_slice().chunks_mut(SIZE))
    }
}

/// Parts of a slice.
#[derive(Debug)]
pub struct SliceParts<C>(C);

impl<C: Iterator<Item: IntoIterator>> Iterator for SliceParts<C> {
    type Item = <C::Item as IntoIterator>::IntoIter;

    /// Never inlined, so that the loop over a part is the one that is written over a slice.
    #[inline(never)]
    fn next(&mut self) -> Option<Self::Item> {
        let part = self.0.next()?;
        safepoint();
        Some(part.into_iter())
    }
}

/// Cuts nothing.
pub trait PartsOfOthers {
    /// The iterator itself.
    type Inner;

    /// All as one part.
    fn parts(self) -> Once<Polled<Self::Inner>>;
}

impl<I: Iterator> PartsOfOthers for Whole<I> {
    type Inner = I;

    #[inline]
    fn parts(self) -> Once<Polled<I>> {
        once(Polled(self.0))
    }
}

/// Asks at every step.
#[derive(Debug)]
pub struct Polled<I>(I);

impl<I: Iterator> Iterator for Polled<I> {
    type Item = I::Item;

    #[inline]
    fn next(&mut self) -> Option<I::Item> {
        safepoint();
        self.0.next()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn parts_are_the_whole() {
        for n in [0, 1, 8191, 8192, 8193, 20_000] {
            let all: Vec<u32> = parts(7..7 + n).flatten().collect();
            assert!(all.iter().copied().eq(7..7 + n), "{n}");
        }
        assert_eq!(parts(3..-3).count(), 0);
        assert_eq!(parts('a'..'f').flatten().collect::<String>(), "abcde");
        assert_eq!(parts(250_u8..255).flatten().count(), 5);
        let sizes: Vec<usize> = parts(0..20_000).map(|part| part.len()).collect();
        assert_eq!(sizes, [8192, 8192, 3616]);
    }

    #[test]
    fn slices_are_cut_and_others_are_whole() {
        let mut all: Vec<u32> = (0..20_000).collect();
        let sizes: Vec<usize> = whole(&all).parts().map(|part| part.len()).collect();
        assert_eq!(sizes, [8192, 8192, 3616]);
        assert!(whole(&all).parts().flatten().eq(&all));
        for part in whole(&mut all).parts() {
            for value in part {
                *value += 1;
            }
        }
        assert_eq!((all[0], all[19_999]), (1, 20_000));
        let map = BTreeMap::from([(1, 'a'), (2, 'b')]);
        assert_eq!(whole(&map).parts().count(), 1);
        assert!(whole(&map).parts().flatten().eq(&map));
    }
}
