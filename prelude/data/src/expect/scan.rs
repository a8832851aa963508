//! Rows against a test, in pieces side by side; the first few that fail are kept.

use polars::prelude::*;
use rayon::prelude::*;

use super::evaluate::Seen;
use crate::columns;
use crate::error::{DataError, Result};
use crate::html::number;

/// Examples of failing rows kept.
pub(super) const EXAMPLES: usize = 5;
/// Rows a thread looks at before it takes the next piece.
const PIECE: usize = 1 << 16;

/// What a piece of the rows, or all of them, showed.
#[derive(Default)]
struct Found {
    kept: Vec<(usize, String)>,
    count: usize,
}

impl Found {
    /// `show` is called only for rows that are kept: it costs more than the test.
    fn add(&mut self, row: usize, show: impl FnOnce() -> String) {
        if self.kept.len() < EXAMPLES {
            self.kept.push((row, show()));
        }
        self.count += 1;
    }

    /// This, and what a later piece showed.
    fn then(mut self, later: Self) -> Self {
        self.kept.extend(later.kept);
        self.kept.truncate(EXAMPLES);
        self.count += later.count;
        self
    }
}

/// Looks at all pieces of some rows; `look` gets the first row of each and how many follow.
fn pieces(rows: usize, look: impl Fn(usize, usize) -> Found + Sync) -> Result<Found> {
    let piece = |index: usize| {
        if oxilab_runtime::cancel::requested() {
            return Err(DataError::Interrupted { doing: "checking".to_owned() });
        }
        let start = index * PIECE;
        Ok(look(start, PIECE.min(rows - start)))
    };
    (0..rows.div_ceil(PIECE))
        .into_par_iter()
        .map(piece)
        .try_reduce(Found::default, |left, right| Ok(left.then(right)))
}

/// Counts failing rows and keeps the first few.
pub(super) fn gather(checked: usize, failing: impl Iterator<Item = (usize, String)>) -> Seen {
    let mut found = Found::default();
    for (row, text) in failing {
        found.add(row, || text);
    }
    Seen::Rows { checked, failing: found.kept, count: found.count }
}

/// Values that are there against a test of numbers; null is not looked at, NaN fails.
pub(super) fn numbers(
    df: &DataFrame,
    column: &str,
    holds: impl Fn(f64) -> bool + Sync,
) -> Result<Seen> {
    let values = columns::floats(columns::column(df, column)?, "checking")?;
    let look = |start: usize, length: usize| {
        let mut found = Found::default();
        for (place, value) in values.slice(offset(start), length).iter().enumerate() {
            if let Some(value) = value.filter(|value| !holds(*value)) {
                found.add(start + place, || number(value));
            }
        }
        found
    };
    let found = pieces(values.len(), look)?;
    let checked = values.len() - values.null_count();
    Ok(Seen::Rows { checked, failing: found.kept, count: found.count })
}

/// Values that are there against a test of text.
pub(super) fn texts(
    df: &DataFrame,
    column: &str,
    holds: impl Fn(&str) -> bool + Sync,
) -> Result<Seen> {
    let values = columns::texts(columns::column(df, column)?, "checking")?;
    let look = |start: usize, length: usize| {
        let mut found = Found::default();
        for (place, value) in values.slice(offset(start), length).iter().enumerate() {
            if let Some(value) = value.filter(|value| !holds(value)) {
                found.add(start + place, || format!("{value:?}"));
            }
        }
        found
    };
    let found = pieces(values.len(), look)?;
    let checked = values.len() - values.null_count();
    Ok(Seen::Rows { checked, failing: found.kept, count: found.count })
}

/// Each value against that of another column in its row, where both are there.
pub(super) fn pairs(
    df: &DataFrame,
    (column, other): (&str, &str),
    holds: impl Fn(f64, f64) -> bool + Sync,
) -> Result<Seen> {
    let left = columns::floats(columns::column(df, column)?, "checking")?;
    let right = columns::floats(columns::column(df, other)?, "checking")?;
    let look = |start: usize, length: usize| {
        let mut found = Found::default();
        let (lefts, rights) =
            (left.slice(offset(start), length), right.slice(offset(start), length));
        for (place, pair) in lefts.iter().zip(rights.iter()).enumerate() {
            if let (Some(left), Some(right)) = pair
                && !holds(left, right)
            {
                found.add(start + place, || format!("{} and {}", number(left), number(right)));
            }
        }
        found
    };
    let found = pieces(left.len(), look)?;
    Ok(Seen::Rows { checked: left.len(), failing: found.kept, count: found.count })
}

/// Each value against the one before it, missing ones left out.
pub(super) fn ordered(
    df: &DataFrame,
    column: &str,
    holds: impl Fn(f64, f64) -> bool,
) -> Result<Seen> {
    let values = columns::floats(columns::column(df, column)?, "checking")?;
    let mut found = Found::default();
    let mut before: Option<f64> = None;
    for (row, value) in values.iter().enumerate() {
        let Some(value) = value else { continue };
        if let Some(before) = before.filter(|before| !holds(*before, value)) {
            found.add(row, || format!("{} after {}", number(value), number(before)));
        }
        before = Some(value);
    }
    let checked = values.len() - values.null_count();
    Ok(Seen::Rows { checked, failing: found.kept, count: found.count })
}

/// Rows in which the column is missing (null or NaN), or is there.
pub(super) fn missing(df: &DataFrame, column: &str, allowed: bool) -> Result<Seen> {
    let column = columns::column(df, column)?;
    let null = column.is_null();
    let missing = if column.dtype().is_float() { &null | &column.is_nan()? } else { null };
    let count = missing.sum().unwrap_or(0) as usize;
    let checked = column.len();
    if count == if allowed { checked } else { 0 } {
        return Ok(Seen::Rows { checked, failing: vec![], count: 0 });
    }
    let failing = missing.iter().enumerate().filter(|(_, missing)| *missing != Some(allowed));
    let text = |row: usize| {
        if allowed {
            column.get(row).map(|value| value.to_string()).unwrap_or_default()
        } else {
            "missing".to_owned()
        }
    };
    let first: Vec<(usize, String)> =
        failing.take(EXAMPLES).map(|(row, _)| (row, text(row))).collect();
    let count = if allowed { checked - count } else { count };
    Ok(Seen::Rows { checked, failing: first, count })
}

/// Rows whose values together are there more than once; all-missing rows are not compared.
pub(super) fn repeated(df: &DataFrame, names: &[String]) -> Result<Seen> {
    for name in names {
        columns::column(df, name)?;
    }
    let part = df.select(names.iter().map(String::as_str))?;
    let whole = Seen::Rows { checked: df.height(), failing: vec![], count: 0 };
    if let [column] = part.columns() {
        // Cheap answers first: naming the repeated rows takes a group per value.
        let known = column.len() - column.null_count();
        if climbs(column)? || column.n_unique()? == known + usize::from(known < column.len()) {
            return Ok(whole);
        }
    }
    let repeated = part.is_duplicated()?;
    let known: Vec<BooleanChunked> = part.columns().iter().map(Column::is_not_null).collect();
    let known = known.into_iter().reduce(|left, right| &left | &right);
    let failing = match known {
        Some(known) => &repeated & &known,
        None => return Ok(whole),
    };
    let show = |row: usize| {
        let values = part.columns().iter();
        let values =
            values.map(|column| column.get(row).map(|v| v.to_string()).unwrap_or_default());
        values.collect::<Vec<_>>().join(", ")
    };
    let count = failing.sum().unwrap_or(0) as usize;
    let rows = failing.iter().enumerate().filter(|(_, fails)| *fails == Some(true));
    let first = rows.take(EXAMPLES).map(|(row, _)| (row, show(row))).collect();
    Ok(Seen::Rows { checked: df.height(), failing: first, count })
}

/// Whether each number is above the one before it, as identifiers often are.
fn climbs(column: &Column) -> Result<bool> {
    if !column.dtype().is_integer() || column.null_count() > 0 {
        return Ok(false);
    }
    let values = column
        .cast_with_options(&DataType::Int64, polars::chunked_array::cast::CastOptions::NonStrict)?;
    let values = values.i64()?;
    let mut before = None;
    let above = |value: i64| before.replace(value).is_none_or(|before| before < value);
    Ok(values.null_count() == 0 && values.iter().flatten().all(above))
}

#[expect(clippy::cast_possible_wrap, reason = "row numbers stay far below 2^63")]
fn offset(start: usize) -> i64 {
    start as i64
}
