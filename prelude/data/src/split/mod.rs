//! Train, validation and test sets, and folds: random, stratified, grouped or by time.
//!
//! ```
//! use oxilab_data::split::{KFold, Split, train_test_split};
//!
//! let df = oxilab_data::datasets::iris()?;
//! let (train, test) = train_test_split(&df, 0.2, 42)?;
//! assert_eq!((train.height(), test.height()), (120, 30));
//!
//! let parts = Split::new(0.2).with_valid(0.2).with_stratify("species").with_seed(1).split(&df)?;
//! assert_eq!(parts.test.height(), 30);
//!
//! for fold in KFold::new(5).with_stratify("species").folds(&df)? {
//!     let (train, test) = fold.frames(&df)?;
//!     assert_eq!((train.height(), test.height()), (120, 30));
//! }
//! # Ok::<(), oxilab_data::DataError>(())
//! ```
//!
//! Every split is seeded (42 unless said otherwise) and the same on every machine.

mod kfold;
mod leakage;
mod report;

use polars::prelude::*;

pub use kfold::{Fold, KFold};
pub use leakage::{Leakage, LeakageCheck, leakage};
pub use report::Finding;

use crate::columns;
use crate::error::{DataError, Result};
use crate::rng::Rng;

/// The seed where none is given.
pub const DEFAULT_SEED: u64 = 42;

/// Rows in random order cut in two; `test` is the share of the second part, which is rounded up.
///
/// # Errors
/// When `test` is not between 0 and 1 or a part would be empty.
pub fn train_test_split(df: &DataFrame, test: f64, seed: u64) -> Result<(DataFrame, DataFrame)> {
    let parts = Split::new(test).with_seed(seed).split(df)?;
    Ok((parts.train, parts.test))
}

/// The parts of a [`Split`].
#[derive(Clone, Debug)]
pub struct Parts {
    /// To fit on.
    pub train: DataFrame,
    /// To choose on; empty unless asked for.
    pub valid: DataFrame,
    /// To judge on, once.
    pub test: DataFrame,
}

/// How to cut a frame into train, validation and test rows.
#[derive(Clone, Debug)]
pub struct Split {
    test: f64,
    valid: f64,
    seed: u64,
    how: How,
}

/// What rows have to do with each other.
#[derive(Clone, Debug, Default)]
pub(crate) enum How {
    /// Nothing.
    #[default]
    Random,
    /// Each part has the classes of this column in the same shares.
    Stratified(String),
    /// Rows with the same value stay together.
    Grouped(String),
    /// Earlier rows train, later rows test; a gap between them is left out.
    Time { column: String, gap: f64 },
}

impl Split {
    /// `test` is the share of test rows, for example 0.2.
    #[must_use]
    pub fn new(test: f64) -> Self {
        Self { test, valid: 0.0, seed: DEFAULT_SEED, how: How::Random }
    }

    /// The share of validation rows, of all rows.
    #[must_use]
    pub fn with_valid(mut self, valid: f64) -> Self {
        self.valid = valid;
        self
    }

    /// Another seed than 42.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Keeps the shares of the classes of this column in every part.
    #[must_use]
    pub fn with_stratify(mut self, column: impl Into<String>) -> Self {
        self.how = How::Stratified(column.into());
        self
    }

    /// Keeps rows with the same value of this column in the same part.
    #[must_use]
    pub fn with_groups(mut self, column: impl Into<String>) -> Self {
        self.how = How::Grouped(column.into());
        self
    }

    /// Trains on the earlier rows and tests on the later ones. Training and validation rows closer
    /// than `gap` to the part after theirs are left out; its unit is the column's: days for dates,
    /// seconds for points in time, else the number itself.
    #[must_use]
    pub fn with_time(mut self, column: impl Into<String>, gap: f64) -> Self {
        self.how = How::Time { column: column.into(), gap };
        self
    }

    /// Cuts the frame; the rows of a part keep their order in the frame for splits by time, and are
    /// in random order otherwise.
    ///
    /// # Errors
    /// For shares that leave a part empty, a column that is not there, or fewer groups or members
    /// of a class than parts.
    pub fn split(&self, df: &DataFrame) -> Result<Parts> {
        let doing = "splitting";
        let rows = columns::height(df, doing)?;
        let bad = !(self.test > 0.0 && self.valid >= 0.0 && self.test + self.valid < 1.0);
        if bad {
            return Err(DataError::invalid(
                doing,
                format!(
                    "shares {} for test and {} for validation leave nothing to train on; \
                     give shares above 0 that sum to less than 1",
                    self.test, self.valid
                ),
            ));
        }
        let [train, valid, test] = match &self.how {
            How::Random => {
                let order = Rng::new(self.seed).permutation(rows);
                let (test, valid) = (share(rows, self.test), share(rows, self.valid));
                cut(&order, valid, test)
            }
            How::Stratified(column) => self.stratified(df, column)?,
            How::Grouped(column) => self.grouped(df, column)?,
            How::Time { column, gap } => self.by_time(df, column, *gap)?,
        };
        for (part, empty) in [("training", train.is_empty()), ("test", test.is_empty())] {
            if empty {
                return Err(DataError::invalid(
                    doing,
                    format!("the {part} part of {rows} rows would be empty; give another share"),
                ));
            }
        }
        Ok(Parts {
            train: columns::rows(df, &train)?,
            valid: columns::rows(df, &valid)?,
            test: columns::rows(df, &test)?,
        })
    }

    fn stratified(&self, df: &DataFrame, column: &str) -> Result<[Vec<u32>; 3]> {
        let classes = members(df, column)?;
        let rows: usize = classes.iter().map(|(_, rows)| rows.len()).sum();
        if let Some((name, rows)) = classes.iter().find(|(_, rows)| rows.len() < 2) {
            return Err(DataError::invalid(
                "splitting",
                format!("class {name:?} of column {column:?} has {} row; each needs 2", rows.len()),
            ));
        }
        let mut rng = Rng::new(self.seed);
        let sizes: Vec<usize> = classes.iter().map(|(_, rows)| rows.len()).collect();
        let total = u32::try_from(rows).unwrap_or(u32::MAX);
        let tests = apportion(&sizes, share(total, self.test));
        let valids = apportion(&sizes, share(total, self.valid));
        let mut parts = [vec![], vec![], vec![]];
        for (((_, mut rows), test), valid) in classes.into_iter().zip(tests).zip(valids) {
            rng.shuffle(&mut rows);
            for (part, rows) in parts.iter_mut().zip(cut(&rows, valid, test)) {
                part.extend(rows);
            }
        }
        for part in &mut parts {
            rng.shuffle(part);
        }
        Ok(parts)
    }

    fn grouped(&self, df: &DataFrame, column: &str) -> Result<[Vec<u32>; 3]> {
        let mut groups = members(df, column)?;
        let mut rng = Rng::new(self.seed);
        rng.shuffle(&mut groups);
        let count = u32::try_from(groups.len()).unwrap_or(u32::MAX);
        let order: Vec<u32> = (0..count).collect();
        let parts = cut(&order, share(count, self.valid), share(count, self.test));
        Ok(parts.map(|part| {
            let mut rows: Vec<u32> =
                part.iter().flat_map(|group| groups[*group as usize].1.iter().copied()).collect();
            rng.shuffle(&mut rows);
            rows
        }))
    }

    fn by_time(&self, df: &DataFrame, column: &str, gap: f64) -> Result<[Vec<u32>; 3]> {
        let (order, times) = chronological(df, column)?;
        let rows = columns::height(df, "splitting")?;
        let [mut train, mut valid, test] =
            cut(&order, share(rows, self.valid), share(rows, self.test));
        let first = |part: &[u32]| part.first().map(|row| times[*row as usize]);
        let before =
            |limit: Option<f64>| move |time: f64| limit.is_none_or(|limit| time < limit - gap);
        let keep = before(first(&test));
        // Rows of the same moment as the first test row do not train either.
        valid.retain(|row| keep(times[*row as usize]));
        let keep = before(first(&valid).or(first(&test)));
        train.retain(|row| keep(times[*row as usize]));
        Ok([train, valid, test])
    }
}

/// `share` of `rows`, rounded up as scikit-learn does.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share between 0 and 1 of a count"
)]
fn share(rows: u32, share: f64) -> usize {
    // 0.2 · 15 is 3.0000000000000004 in floating point and still means 3.
    let exact = f64::from(rows) * share;
    if (exact - exact.round()).abs() < 1e-9 * exact.max(1.0) {
        exact.round() as usize
    } else {
        exact.ceil() as usize
    }
}

/// Last `test` rows, `valid` rows before them, and the rest.
fn cut(order: &[u32], valid: usize, test: usize) -> [Vec<u32>; 3] {
    let end = order.len().saturating_sub(test);
    let middle = end.saturating_sub(valid);
    [order[..middle].to_vec(), order[middle..end].to_vec(), order[end..].to_vec()]
}

/// Shares `total` out in proportion to `sizes` (largest remainder); each gets at least one if there
/// are enough, and never all.
fn apportion(sizes: &[usize], total: usize) -> Vec<usize> {
    let sum: usize = sizes.iter().sum();
    let mut parts: Vec<usize> = sizes.iter().map(|size| size * total / sum.max(1)).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(sizes[*index] * total % sum.max(1)));
    let mut left = total.saturating_sub(parts.iter().sum());
    for index in order {
        if left == 0 {
            break;
        }
        if parts[index] + 1 < sizes[index] {
            parts[index] += 1;
            left -= 1;
        }
    }
    parts
}

/// The rows of each value of a column, values sorted by name.
pub(crate) fn members(df: &DataFrame, column: &str) -> Result<Vec<(String, Vec<u32>)>> {
    let (codes, names) = columns::codes(columns::column(df, column)?, "splitting")?;
    let mut members: Vec<(String, Vec<u32>)> =
        names.into_iter().map(|name| (name.unwrap_or_else(|| "null".to_owned()), vec![])).collect();
    for (row, code) in (0..).zip(codes) {
        members[code as usize].1.push(row);
    }
    members.sort();
    Ok(members)
}

/// Rows in order of time, and the time of each row in days, seconds or as it is.
pub(crate) fn chronological(df: &DataFrame, column: &str) -> Result<(Vec<u32>, Vec<f64>)> {
    let found = columns::column(df, column)?;
    let unit = match found.dtype() {
        DataType::Datetime(unit, _) | DataType::Duration(unit) => match unit {
            TimeUnit::Nanoseconds => 1e9,
            TimeUnit::Microseconds => 1e6,
            TimeUnit::Milliseconds => 1e3,
        },
        DataType::Time => 1e9,
        _ => 1.0,
    };
    let times: Vec<f64> =
        columns::dense(found, "splitting by time")?.into_iter().map(|time| time / unit).collect();
    if let Some(row) = times.iter().position(|time| time.is_nan()) {
        return Err(DataError::invalid(
            "splitting by time",
            format!("column {column:?} has no value in row {row}; drop or fill such rows first"),
        ));
    }
    let mut order: Vec<u32> = (0..columns::height(df, "splitting")?).collect();
    order.sort_by(|a, b| times[*a as usize].total_cmp(&times[*b as usize]));
    Ok((order, times))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(df: &DataFrame, class: &str) -> usize {
        let species = df.column("species").unwrap().str().unwrap();
        species.iter().filter(|value| *value == Some(class)).count()
    }

    #[test]
    fn random_parts_hold_every_row_once_and_depend_on_the_seed() {
        let df = df!("id" => (0..103).collect::<Vec<i32>>()).unwrap();
        let parts = Split::new(0.2).with_valid(0.1).with_seed(3).split(&df).unwrap();
        assert_eq!((parts.test.height(), parts.valid.height(), parts.train.height()), (21, 11, 71));
        let mut ids: Vec<i32> = [&parts.train, &parts.valid, &parts.test]
            .iter()
            .flat_map(|df| {
                df.column("id").unwrap().i32().unwrap().iter().flatten().collect::<Vec<_>>()
            })
            .collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..103).collect::<Vec<_>>());
        let again = Split::new(0.2).with_valid(0.1).with_seed(3).split(&df).unwrap();
        assert!(again.test.equals(&parts.test));
        let other = Split::new(0.2).with_valid(0.1).with_seed(4).split(&df).unwrap();
        assert!(!other.test.equals(&parts.test));
    }

    #[test]
    fn stratified_parts_keep_the_shares() {
        let df = crate::datasets::iris().unwrap();
        let parts = Split::new(0.2).with_valid(0.1).with_stratify("species").split(&df).unwrap();
        for class in ["setosa", "versicolor", "virginica"] {
            assert_eq!((count(&parts.test, class), count(&parts.valid, class)), (10, 5));
        }
    }

    #[test]
    fn groups_stay_together() {
        let groups: Vec<i32> = (0..200).map(|row| row % 17).collect();
        let df = df!("g" => &groups, "x" => &groups).unwrap();
        let parts = Split::new(0.3).with_groups("g").split(&df).unwrap();
        let of = |df: &DataFrame| -> std::collections::BTreeSet<i32> {
            df.column("g").unwrap().i32().unwrap().iter().flatten().collect()
        };
        assert!(of(&parts.train).is_disjoint(&of(&parts.test)));
        assert_eq!(of(&parts.test).len(), 6);
    }

    #[test]
    fn time_parts_leave_the_gap() {
        let days: Vec<i64> = (0..100).rev().collect();
        let df = df!("day" => &days).unwrap();
        let parts = Split::new(0.2).with_time("day", 5.0).split(&df).unwrap();
        let last = parts.train.column("day").unwrap().i64().unwrap().max().unwrap();
        let first = parts.test.column("day").unwrap().i64().unwrap().min().unwrap();
        assert_eq!((last, first, parts.train.height()), (74, 80, 75));
    }

    #[test]
    fn impossible_shares_are_refused() {
        let df = df!("x" => [1, 2, 3]).unwrap();
        let error = train_test_split(&df, 1.5, 0).unwrap_err().to_string();
        assert!(error.contains("1.5"), "{error}");
        let lonely = df!("y" => ["a", "a", "b"]).unwrap();
        let error = Split::new(0.4).with_stratify("y").split(&lonely).unwrap_err().to_string();
        assert!(error.contains("\"b\""), "{error}");
    }
}
