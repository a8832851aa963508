//! polars' joins of eager frames, compiled here; [`lookup`] is quicker where it fits.
//!
//! polars' own are default methods of a generic trait: rustc compiles all of the join, some 16 000
//! functions, in whatever crate calls them, which is the user's cell. These have the same names and
//! signatures and leave only the collecting of the names to the caller. Their trait builds on polars',
//! so that a cell in which both are in scope takes these (`supertrait_item_shadowing`).

mod lookup;

use polars::prelude::*;

/// Joins with polars' names and signatures that cost a cell no time to compile.
pub trait FrameJoins: DataFrameJoinOps {
    /// Joins on columns of either frame: as [`DataFrameJoinOps::join`].
    ///
    /// # Errors
    /// When a column is not there or the columns do not fit.
    fn join(
        &self,
        other: &DataFrame,
        left_on: impl IntoIterator<Item = impl AsRef<str>>,
        right_on: impl IntoIterator<Item = impl AsRef<str>>,
        args: JoinArgs,
        options: Option<JoinTypeOptions>,
    ) -> PolarsResult<DataFrame> {
        join(self.to_df(), other, &names(left_on), &names(right_on), args, options)
    }

    /// The rows that have a partner: as [`DataFrameJoinOps::inner_join`].
    ///
    /// # Errors
    /// As [`join`](FrameJoins::join).
    fn inner_join(
        &self,
        other: &DataFrame,
        left_on: impl IntoIterator<Item = impl AsRef<str>>,
        right_on: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> PolarsResult<DataFrame> {
        let args = JoinArgs::new(JoinType::Inner);
        join(self.to_df(), other, &names(left_on), &names(right_on), args, None)
    }

    /// All rows of this frame: as [`DataFrameJoinOps::left_join`].
    ///
    /// # Errors
    /// As [`join`](FrameJoins::join).
    fn left_join(
        &self,
        other: &DataFrame,
        left_on: impl IntoIterator<Item = impl AsRef<str>>,
        right_on: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> PolarsResult<DataFrame> {
        let args = JoinArgs::new(JoinType::Left);
        join(self.to_df(), other, &names(left_on), &names(right_on), args, None)
    }

    /// All rows of both frames: as [`DataFrameJoinOps::full_join`].
    ///
    /// # Errors
    /// As [`join`](FrameJoins::join).
    fn full_join(
        &self,
        other: &DataFrame,
        left_on: impl IntoIterator<Item = impl AsRef<str>>,
        right_on: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> PolarsResult<DataFrame> {
        let args = JoinArgs::new(JoinType::Full);
        join(self.to_df(), other, &names(left_on), &names(right_on), args, None)
    }
}

impl FrameJoins for DataFrame {}

/// The names, in the one type that [`join`] is compiled for.
fn names(columns: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<PlSmallStr> {
    let mut names = Vec::new();
    for column in columns {
        push(&mut names, column.as_ref());
    }
    names
}

fn push(names: &mut Vec<PlSmallStr>, name: &str) {
    names.push(name.into());
}

fn join(
    left: &DataFrame,
    right: &DataFrame,
    left_on: &[PlSmallStr],
    right_on: &[PlSmallStr],
    args: JoinArgs,
    options: Option<JoinTypeOptions>,
) -> PolarsResult<DataFrame> {
    if options.is_none()
        && let Some(joined) = lookup::lookup(left, right, left_on, right_on, &args)?
    {
        return Ok(joined);
    }
    DataFrameJoinOps::join(left, right, left_on, right_on, args, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_are_those_of_polars() {
        let a = df!("k" => [1, 2, 3], "x" => [1, 2, 3]).unwrap();
        let b = df!("k" => [1, 2, 4], "y" => [5, 6, 7]).unwrap();
        let args = || JoinArgs::new(JoinType::Anti);
        let ours = FrameJoins::join(&a, &b, ["k"], vec!["k".to_owned()], args(), None).unwrap();
        let polars = DataFrameJoinOps::join(&a, &b, ["k"], ["k"], args(), None).unwrap();
        assert!(ours.equals_missing(&polars) && ours.height() == 1);
        for (ours, polars) in [
            (
                FrameJoins::inner_join(&a, &b, ["k"], ["k"]),
                DataFrameJoinOps::inner_join(&a, &b, ["k"], ["k"]),
            ),
            (
                FrameJoins::left_join(&a, &b, ["k"], ["k"]),
                DataFrameJoinOps::left_join(&a, &b, ["k"], ["k"]),
            ),
            (
                FrameJoins::full_join(&a, &b, ["k"], ["k"]),
                DataFrameJoinOps::full_join(&a, &b, ["k"], ["k"]),
            ),
        ] {
            assert!(ours.unwrap().equals_missing(&polars.unwrap()));
        }
        assert!(FrameJoins::left_join(&a, &b, ["nope"], ["k"]).is_err());
    }
}
