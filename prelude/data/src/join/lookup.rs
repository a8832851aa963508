//! Lookups: joins on one text column whose right side holds every key once, as orders look up their
//! customers.
//!
//! polars' hash join keeps pointers to texts; each row costs it two misses of the cache and a call that
//! compares memory. Here rows go in blocks through a table of [`Texts`].
//! Rows keep the order of the left frame, as in polars' join.

use foldhash::fast::RandomState;
use polars::prelude::*;
use polars_arrow::array::{Array as _, Utf8ViewArray};
use polars_ops::frame::join::_finish_join;
use rayon::prelude::*;

use crate::texts::{BLOCK, Texts};

/// No row.
const MISSING: IdxSize = IdxSize::MAX;

/// Below so many rows polars' join is as quick.
const MANY: usize = 50_000;

/// The join, if it is a lookup; `None` leaves it to polars.
///
/// # Errors
/// When polars refuses the result, or on interrupt.
pub(super) fn lookup(
    left: &DataFrame,
    right: &DataFrame,
    left_on: &[PlSmallStr],
    right_on: &[PlSmallStr],
    args: &JoinArgs,
) -> PolarsResult<Option<DataFrame>> {
    let ([left_on], [right_on]) = (left_on, right_on) else { return Ok(None) };
    if !is_plain(args) || left.height() < MANY.max(right.height()) {
        return Ok(None);
    }
    let (Ok(ours), Ok(theirs)) = (left.column(left_on), right.column(right_on)) else {
        return Ok(None);
    };
    let (Ok(ours), Ok(theirs)) = (ours.str(), theirs.str()) else { return Ok(None) };
    let theirs = theirs.rechunk();
    let Some(table) = Table::of(theirs.downcast_as_array()) else { return Ok(None) };

    let found = find(ours, &table)?;
    let partners = right.drop(right_on)?;
    let (left, partners) = match (&args.how, found.contains(&MISSING)) {
        (_, false) => (left.clone(), rows(&partners, found)?),
        (JoinType::Left, true) => {
            let found: IdxCa =
                found.into_iter().map(|row| (row != MISSING).then_some(row)).collect();
            (left.clone(), partners.take(&found)?)
        }
        (_, true) => {
            let mask: BooleanChunked = found.iter().map(|row| Some(*row != MISSING)).collect();
            let found = found.into_iter().filter(|row| *row != MISSING).collect();
            (left.filter(&mask)?, rows(&partners, found)?)
        }
    };
    _finish_join(left, partners, args.suffix.clone()).map(Some)
}

/// Whether the join is a left or an inner one whose rows come in the order of the left frame.
fn is_plain(args: &JoinArgs) -> bool {
    matches!(args.how, JoinType::Left | JoinType::Inner)
        && args.should_coalesce()
        && matches!(args.validation, JoinValidation::ManyToMany | JoinValidation::ManyToOne)
        && matches!(
            args.maintain_order,
            MaintainOrderJoin::None | MaintainOrderJoin::Left | MaintainOrderJoin::LeftRight
        )
        && !args.nulls_equal
        && args.slice.is_none()
}

/// The rows of keys.
struct Table<'a> {
    texts: Texts<'a>,
    /// By number.
    rows: Vec<IdxSize>,
}

impl<'a> Table<'a> {
    /// The rows of an array's texts; `None` if one stands there twice. Missing texts are no key.
    fn of(keys: &'a Utf8ViewArray) -> Option<Self> {
        let mut texts = Texts::for_about(keys.len(), RandomState::default());
        let mut rows = Vec::with_capacity(keys.len());
        for row in (0..keys.len()).filter(|row| !keys.is_null(*row)) {
            let hash = texts.hash(keys, row);
            if texts.find(0, hash, keys, row).is_some() {
                return None;
            }
            texts.add(hash, keys, row);
            rows.push(IdxSize::try_from(row).ok()?);
        }
        Some(Self { texts, rows })
    }

    /// Writes the row of every text of `texts` to `found`, [`MISSING`] where there is none.
    ///
    /// # Errors
    /// On interrupt.
    fn find(&self, texts: &Utf8ViewArray, found: &mut [IdxSize]) -> PolarsResult<()> {
        let mut hashes = [0; BLOCK];
        for (block, found) in found.chunks_mut(BLOCK).enumerate() {
            if oxilab_runtime::cancel::requested() {
                polars_bail!(ComputeError: "joining: interrupted");
            }
            let first = block * BLOCK;
            for (row, hash) in (first..).zip(&mut hashes[..found.len()]) {
                *hash = self.texts.hash(texts, row);
            }
            let entries = self.texts.entries(hashes[..found.len()].iter().copied());
            for (at, found) in found.iter_mut().enumerate() {
                let row = first + at;
                let number = if texts.is_null(row) {
                    None
                } else {
                    self.texts.find(entries[at], hashes[at], texts, row)
                };
                *found = number.map_or(MISSING, |number| self.rows[number as usize]);
            }
        }
        Ok(())
    }
}

/// The row of every key in the table.
fn find(keys: &StringChunked, table: &Table<'_>) -> PolarsResult<Vec<IdxSize>> {
    let mut found = vec![MISSING; keys.len()];
    let mut parts = Vec::new();
    let mut rest = &mut found[..];
    for chunk in keys.downcast_iter() {
        let (part, others) = rest.split_at_mut(chunk.len());
        parts.push((chunk, part));
        rest = others;
    }
    parts.into_par_iter().try_for_each(|(chunk, part)| table.find(chunk, part))?;
    Ok(found)
}

/// Rows by number, none of them missing.
fn rows(frame: &DataFrame, numbers: Vec<IdxSize>) -> PolarsResult<DataFrame> {
    frame.take(&IdxCa::from_vec(PlSmallStr::EMPTY, numbers))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys of all kinds: short, long, empty, alike in their first bytes, unknown, missing.
    fn key(number: usize) -> Option<String> {
        match number % 7 {
            0 => None,
            1 => Some(format!("u{number}")),
            2 => Some(format!("a name longer than a view holds, {number}")),
            3 => Some(format!("a name longer than a view holds, {}", number * 1_000)),
            4 => Some(format!("twelve {number:05}")),
            5 => Some(String::new()),
            _ => Some(format!("é{number}")),
        }
    }

    fn frames(rows: usize, keys: usize) -> (DataFrame, DataFrame) {
        let ours: Vec<Option<String>> =
            (0..rows).map(|row| key(row * 7_919 % (keys * 2))).collect();
        let mut left = df!("k" => ours, "x" => (0..rows as u32).collect::<Vec<_>>()).unwrap();
        // In chunks, as files are read.
        let second = left.slice(1_000, rows - 2_500);
        let third = left.slice(0, 1_500);
        left = left.slice(0, 1_000);
        left.vstack_mut(&second).unwrap();
        left.vstack_mut(&third).unwrap();
        let mut seen = std::collections::HashSet::new();
        let known: Vec<Option<String>> =
            (0..keys).map(key).filter(|key| key.is_none() || seen.insert(key.clone())).collect();
        let numbers: Vec<i64> = (0..known.len() as i64).collect();
        let right = df!("k" => known, "x" => &numbers, "y" => &numbers).unwrap();
        (left, right)
    }

    fn names() -> [PlSmallStr; 1] {
        ["k".into()]
    }

    fn ours(left: &DataFrame, right: &DataFrame, args: &JoinArgs) -> Option<DataFrame> {
        lookup(left, right, &names(), &names(), args).unwrap()
    }

    #[test]
    fn lookups_are_polars_joins() {
        let (left, right) = frames(MANY + 11, 3_000);
        for how in [JoinType::Left, JoinType::Inner] {
            for args in [
                JoinArgs::new(how.clone()),
                JoinArgs::new(how.clone()).with_suffix(Some("_of_user".into())),
                JoinArgs { maintain_order: MaintainOrderJoin::Left, ..JoinArgs::new(how.clone()) },
                JoinArgs { validation: JoinValidation::ManyToOne, ..JoinArgs::new(how.clone()) },
            ] {
                let found = ours(&left, &right, &args).expect("a lookup");
                // An inner join that keeps the order, to compare with.
                let ordered = JoinArgs { maintain_order: MaintainOrderJoin::Left, ..args.clone() };
                let polars =
                    DataFrameJoinOps::join(&left, &right, ["k"], ["k"], ordered, None).unwrap();
                assert!(found.equals_missing(&polars), "{args:?}\n{found}\n{polars}");
                assert!(found.height() > MANY / 10);
            }
        }
    }

    #[test]
    fn every_key_found_and_none() {
        let keys: Vec<String> = (0..MANY).map(|row| format!("key number {row}")).collect();
        let right = df!("k" => &keys, "y" => (0..MANY as u64).collect::<Vec<_>>()).unwrap();
        let reversed: Vec<&str> = keys.iter().rev().map(String::as_str).collect();
        let left = df!("k" => reversed).unwrap();
        let joined = ours(&left, &right, &JoinArgs::new(JoinType::Inner)).expect("a lookup");
        assert_eq!(joined.height(), MANY);
        assert_eq!(joined.column("y").unwrap().u64().unwrap().get(0), Some(MANY as u64 - 1));

        let nothing = right.slice(0, 0);
        let joined = ours(&left, &nothing, &JoinArgs::new(JoinType::Left)).expect("a lookup");
        assert_eq!(joined.column("y").unwrap().null_count(), MANY);
        let joined = ours(&left, &nothing, &JoinArgs::new(JoinType::Inner)).expect("a lookup");
        assert_eq!(joined.shape(), (0, 2));
    }

    #[test]
    fn other_joins_are_left_to_polars() {
        let (left, right) = frames(MANY + 11, 3_000);
        let left_join = || JoinArgs::new(JoinType::Left);
        let twice = right.vstack(&right).unwrap();
        assert!(ours(&left, &twice, &left_join()).is_none(), "keys that stand twice");
        assert!(ours(&left.slice(0, 100), &right, &left_join()).is_none(), "few rows");
        assert!(ours(&left, &right, &JoinArgs::new(JoinType::Full)).is_none());
        let nulls = JoinArgs { nulls_equal: true, ..left_join() };
        assert!(ours(&left, &right, &nulls).is_none());
        let by = ["x".into()];
        assert!(lookup(&left, &right, &by, &by, &left_join()).unwrap().is_none(), "numbers");
        let unknown = ["nope".into()];
        assert!(lookup(&left, &right, &unknown, &by, &left_join()).unwrap().is_none());
    }
}
