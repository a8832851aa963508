//! A range in parts, between which an interrupt is answered: [`parts`].

use std::ops::Range;

use crate::cancel::poll;

/// Iterations of the first part: a short loop is one part.
const FIRST: usize = 64;

/// Of the others: some microseconds, beside which the step from part to part is not felt.
const MOST: usize = 8192;

/// The range in parts, for loops whose iterations take about as long as a poll: each part is a range
/// that the compiler treats as it does the whole.
#[inline]
pub fn parts<T>(range: Range<T>) -> Parts<T>
where
    Range<T>: Iterator<Item = T>,
{
    Parts { rest: range, size: FIRST }
}

/// What [`parts`] gives.
#[derive(Debug)]
pub struct Parts<T> {
    rest: Range<T>,
    size: usize,
}

impl<T: Clone + PartialOrd> Iterator for Parts<T>
where
    Range<T>: Iterator<Item = T>,
{
    type Item = Range<T>;

    #[inline]
    fn next(&mut self) -> Option<Range<T>> {
        if self.rest.is_empty() {
            return None;
        }
        poll();
        let start = self.rest.start.clone();
        // Past the last element the rest is empty, and this part is what was left.
        let _ = self.rest.nth(std::mem::replace(&mut self.size, MOST) - 1);
        Some(start..self.rest.start.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_whole() {
        for n in [0, 1, 63, 64, 65, 8255, 8256, 8257, 20_000] {
            let all: Vec<u32> = parts(7..7 + n).flatten().collect();
            assert!(all.iter().copied().eq(7..7 + n), "{n}");
        }
        assert_eq!(parts(3..-3).count(), 0);
        assert_eq!(parts('a'..'f').flatten().collect::<String>(), "abcde");
        assert_eq!(parts(250_u8..255).flatten().count(), 5);
        let sizes: Vec<usize> = parts(0..20_000).map(|part| part.len()).collect();
        assert_eq!(sizes, [64, 8192, 8192, 3552]);
    }
}
