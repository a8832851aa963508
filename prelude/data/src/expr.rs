//! Verbs that people expect of an expression.

use polars::prelude::*;

/// Short forms of common expressions.
pub trait ExprExt {
    /// Whether the value is one of some: `col("city").one_of(["Oslo", "Rome"])`, Python's `is_in` and
    /// pandas' `isin`. Null stays null.
    ///
    /// ```
    /// use oxilab_data::{DataFrameExt, ExprExt};
    /// use polars::prelude::*;
    /// let df = df!("city" => ["Oslo", "Rome", "Lima"], "n" => [1, 2, 3])?;
    /// assert_eq!(df.filter_expr(col("city").one_of(["Oslo", "Lima"]))?.height(), 2);
    /// assert_eq!(df.filter_expr(col("n").one_of([2, 7]).not())?.height(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn one_of<V, P: ?Sized>(self, values: V) -> Expr
    where
        Series: NamedFrom<V, P>;
}

impl ExprExt for Expr {
    fn one_of<V, P: ?Sized>(self, values: V) -> Expr
    where
        Series: NamedFrom<V, P>,
    {
        self.is_in(lit(Series::new(PlSmallStr::EMPTY, values)).implode(true), false)
    }
}
