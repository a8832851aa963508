//! Keeping the result of a cell for `out!(n)`, where that is cheap.
//!
//! Generated code asks `(&Keep(&value)).oxilab_keep()`: by autoref specialisation a value of a
//! [`Known`] type is cloned into the runtime's list of results, any other is left alone.

use std::any::Any;

use candle_core::Tensor;
use polars::prelude::{Column, DataFrame, Expr, LazyFrame, Series};

/// A reference to the value of a tail expression.
#[doc(hidden)]
pub struct Keep<'a, T: ?Sized>(pub &'a T);

/// Types whose values are kept: those that are cheap to clone.
#[doc(hidden)]
pub trait Known {
    /// A clone, unless it would cost much.
    fn kept(&self) -> Option<Box<dyn Any>>;
}

#[doc(hidden)]
pub trait KeepKnown {
    fn oxilab_keep(&self);
}

impl<T: Known> KeepKnown for Keep<'_, T> {
    fn oxilab_keep(&self) {
        if let Some(value) = self.0.kept() {
            oxilab_runtime::cell::keep_result(value);
        }
    }
}

#[doc(hidden)]
pub trait KeepUnknown {
    #[inline]
    fn oxilab_keep(&self) {}
}

impl<T: ?Sized> KeepUnknown for &Keep<'_, T> {}

macro_rules! known {
    ($($type:ty),* $(,)?) => {
        $(impl Known for $type {
            fn kept(&self) -> Option<Box<dyn Any>> {
                Some(Box::new(self.clone()))
            }
        })*
    };
}

known!(
    bool,
    char,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    f32,
    f64,
    &'static str,
    DataFrame,
    LazyFrame,
    Series,
    Column,
    Expr,
    Tensor,
);

/// More elements or bytes than this are not copied behind the user's back.
const CHEAP: usize = 100_000;

impl Known for String {
    fn kept(&self) -> Option<Box<dyn Any>> {
        (self.len() <= CHEAP).then(|| Box::new(self.clone()) as Box<dyn Any>)
    }
}

macro_rules! known_lists {
    ($($type:ty),* $(,)?) => {
        $(impl Known for Vec<$type> {
            fn kept(&self) -> Option<Box<dyn Any>> {
                (self.len() <= CHEAP).then(|| Box::new(self.clone()) as Box<dyn Any>)
            }
        })*
    };
}

known_lists!(bool, i32, i64, u8, u32, u64, usize, f32, f64, String);

#[cfg(test)]
mod tests {
    use super::*;

    struct Foreign;

    #[test]
    fn known_types_are_kept_and_others_left_alone() {
        oxilab_runtime::cell::begin_results(41);
        (&Keep(&5_i32)).oxilab_keep();
        assert_eq!(oxilab_runtime::cell::recall::<i32>(41), 5);
        oxilab_runtime::cell::begin_results(42);
        (&Keep(&Foreign)).oxilab_keep();
        assert!(std::panic::catch_unwind(|| oxilab_runtime::cell::recall::<i32>(42)).is_err());
    }
}
