//! A `while` that counts, in parts: [`ahead`].
//!
//! ```text
//! while i < n {
//!     let part = ahead(&i, &n).up(1);
//!     while part.more(&i) { …; i += 1; }
//! }
//! ```
//!
//! The end of a part is not beyond `n`, and LLVM sees that: what it knows of `i` from `i < n` it knows from
//! `i < end`, and it makes vector instructions of the inner loop where it would of the whole.

use std::cell::Cell;

use crate::safepoint::safepoint;

/// Iterations of a part: about a tenth of a millisecond of arithmetic, beside which the way from part to
/// part is not felt.
const SIZE: u64 = 1 << 17;

/// What counts, and its bound.
pub fn ahead<'a, A, B>(value: &'a A, bound: &'a B) -> Ahead<'a, A, B> {
    Ahead(value, bound)
}

/// What [`ahead`] gives.
#[derive(Debug)]
pub struct Ahead<'a, A, B>(&'a A, &'a B);

impl<T: Count> Ahead<'_, T, T> {
    /// The next part of a count that goes up by `step`.
    #[inline]
    pub fn up(self, step: u32) -> Up<T> {
        safepoint();
        Up((*self.1).min(self.0.after(u64::from(step) * SIZE)))
    }

    /// The next part of one that goes down.
    #[inline]
    pub fn down(self, step: u32) -> Down<T> {
        safepoint();
        Down((*self.1).max(self.0.before(u64::from(step) * SIZE)))
    }
}

/// A part that ends there.
#[derive(Debug)]
pub struct Up<T>(T);

impl<T: Count> Up<T> {
    /// Whether the part goes on, for a loop that stops at its bound.
    #[inline]
    pub fn more(&self, value: &T) -> bool {
        *value < self.0
    }

    /// Whether it goes on, for one that goes through its bound.
    #[inline]
    pub fn through(&self, value: &T) -> bool {
        *value <= self.0
    }
}

/// A part that ends there.
#[derive(Debug)]
pub struct Down<T>(T);

impl<T: Count> Down<T> {
    /// Whether the part goes on, for a loop that stops at its bound.
    #[inline]
    pub fn more(&self, value: &T) -> bool {
        *value > self.0
    }

    /// Whether it goes on, for one that goes through its bound.
    #[inline]
    pub fn through(&self, value: &T) -> bool {
        *value >= self.0
    }
}

/// A whole number.
pub trait Count: Copy + Ord {
    /// So much more, or the largest there is.
    fn after(self, by: u64) -> Self;
    /// So much less, or the smallest there is.
    fn before(self, by: u64) -> Self;
}

macro_rules! count {
    ($($number:ty)*) => {$(
        impl Count for $number {
            #[inline]
            fn after(self, by: u64) -> Self {
                Self::try_from(by).map_or(Self::MAX, |by| self.saturating_add(by))
            }

            #[inline]
            fn before(self, by: u64) -> Self {
                Self::try_from(by).map_or(Self::MIN, |by| self.saturating_sub(by))
            }
        }
    )*};
}

count!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize);

/// What is no whole number asks in each iteration.
pub trait CountsOfOthers: Sized {
    /// A part of one iteration.
    #[inline]
    fn up(self, _: u32) -> One {
        safepoint();
        One(Cell::new(true))
    }

    /// A part of one iteration.
    #[inline]
    fn down(self, _: u32) -> One {
        self.up(1)
    }
}

impl<A, B> CountsOfOthers for Ahead<'_, A, B> {}

/// A part of one iteration.
#[derive(Debug)]
pub struct One(Cell<bool>);

impl One {
    /// Whether it is still to come.
    #[inline]
    pub fn more<A>(&self, _: &A) -> bool {
        self.0.take()
    }

    /// The same.
    #[inline]
    pub fn through<A>(&self, value: &A) -> bool {
        self.more(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the loop from `start` ends, and the iterations of its parts.
    macro_rules! parts {
        ($start:expr, $compare:tt $bound:expr, $way:ident $goes:ident, $step:tt $by:literal) => {{
            let (mut i, n, mut parts) = ($start, $bound, Vec::new());
            while i $compare n {
                let part = ahead(&i, &n).$way($by);
                let mut iterations = 0;
                while part.$goes(&i) {
                    i $step $by;
                    iterations += 1;
                }
                assert!(iterations > 0, "it does not come on");
                parts.push(iterations);
            }
            (i, parts)
        }};
    }

    #[test]
    fn a_count_goes_to_its_end_in_parts() {
        let size = 1 << 17;
        let three = vec![size, size, 300_000 - 2 * size];
        assert_eq!(parts!(0u64, < 300_000, up more, += 1), (300_000, three.clone()));
        assert_eq!(parts!(300_000i32, > 0, down more, -= 1), (0, three));
        assert_eq!(parts!(5usize, < 12, up more, += 3), (14, vec![3]));
        assert_eq!(parts!(250u8, < 255, up more, += 1), (255, vec![5]));
        assert_eq!(parts!(i64::MAX - 2, < i64::MAX, up more, += 1), (i64::MAX, vec![2]));
        assert_eq!(parts!(7u16, > 0, down more, -= 1), (0, vec![7]));
    }

    #[test]
    fn a_count_may_go_through_its_end() {
        let size = 1 << 17;
        assert_eq!(parts!(1u32, <= 3, up through, += 1), (4, vec![3]));
        assert_eq!(parts!(3u32, <= 3, up through, += 1), (4, vec![1]));
        assert_eq!(parts!(0i32, <= size, up through, += 1), (size + 1, vec![size + 1]));
        assert_eq!(parts!(9i8, >= -2, down through, -= 4), (-3, vec![3]));
    }

    #[test]
    fn what_is_no_number_goes_one_by_one() {
        let three = std::num::Wrapping(3u8);
        assert_eq!(parts!(std::num::Wrapping(0), < three, up more, += 1), (three, vec![1, 1, 1]));
        assert_eq!(parts!(three, >= three, down through, -= 1).1, [1]);
    }
}
