//! K folds for cross-validation.

use polars::prelude::*;

use super::{DEFAULT_SEED, How, chronological, members};
use crate::columns;
use crate::error::{DataError, Result};
use crate::rng::Rng;

/// The rows of one fold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fold {
    /// Numbers of the rows to fit on.
    pub train: Vec<u32>,
    /// Numbers of the rows to judge on.
    pub test: Vec<u32>,
}

impl Fold {
    /// The rows themselves: train and test.
    ///
    /// # Errors
    /// When the frame has fewer rows than the one the fold was made for.
    pub fn frames(&self, df: &DataFrame) -> Result<(DataFrame, DataFrame)> {
        Ok((columns::rows(df, &self.train)?, columns::rows(df, &self.test)?))
    }
}

/// How to cut a frame into folds of which each is the test part once.
#[derive(Clone, Debug)]
pub struct KFold {
    folds: usize,
    seed: u64,
    how: How,
}

impl KFold {
    /// `folds` parts of random rows.
    #[must_use]
    pub fn new(folds: usize) -> Self {
        Self { folds, seed: DEFAULT_SEED, how: How::Random }
    }

    /// Another seed than 42.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Keeps the shares of the classes of this column in every fold.
    #[must_use]
    pub fn with_stratify(mut self, column: impl Into<String>) -> Self {
        self.how = How::Stratified(column.into());
        self
    }

    /// Keeps rows with the same value of this column in the same fold; folds are of similar size.
    #[must_use]
    pub fn with_groups(mut self, column: impl Into<String>) -> Self {
        self.how = How::Grouped(column.into());
        self
    }

    /// Growing windows: fold k trains on all rows before its test rows, less a gap (see
    /// [`Split::with_time`](super::Split::with_time) for its unit).
    #[must_use]
    pub fn with_time(mut self, column: impl Into<String>, gap: f64) -> Self {
        self.how = How::Time { column: column.into(), gap };
        self
    }

    /// The folds; row numbers are ascending (in order of time for splits by time).
    ///
    /// # Errors
    /// For fewer than two folds, fewer rows, groups or members of a class than folds, or a column
    /// that is not there.
    pub fn folds(&self, df: &DataFrame) -> Result<Vec<Fold>> {
        let rows = columns::height(df, "making folds")?;
        self.enough(rows as usize, "rows")?;
        let mut rng = Rng::new(self.seed);
        match &self.how {
            How::Random => {
                let order = rng.permutation(rows);
                let mut fold_of = vec![0; rows as usize];
                for (place, row) in order.iter().enumerate() {
                    fold_of[*row as usize] = place * self.folds / rows as usize;
                }
                Ok(self.assigned(&fold_of))
            }
            How::Stratified(column) => {
                let mut fold_of = vec![0; rows as usize];
                // Each class goes on dealing where the one before stopped, so folds are even.
                let mut next = 0;
                for (class, mut rows) in members(df, column)? {
                    self.enough(rows.len(), &format!("rows of class {class:?}"))?;
                    rng.shuffle(&mut rows);
                    for row in rows {
                        fold_of[row as usize] = next % self.folds;
                        next += 1;
                    }
                }
                Ok(self.assigned(&fold_of))
            }
            How::Grouped(column) => {
                let mut groups = members(df, column)?;
                self.enough(groups.len(), &format!("groups in column {column:?}"))?;
                rng.shuffle(&mut groups);
                groups.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.len()));
                let (mut fold_of, mut sizes) = (vec![0; rows as usize], vec![0; self.folds]);
                for (_, rows) in groups {
                    let smallest = (0..self.folds).min_by_key(|fold| sizes[*fold]).unwrap_or(0);
                    sizes[smallest] += rows.len();
                    for row in rows {
                        fold_of[row as usize] = smallest;
                    }
                }
                Ok(self.assigned(&fold_of))
            }
            How::Time { column, gap } => self.windows(df, column, *gap),
        }
    }

    fn enough(&self, count: usize, what: &str) -> Result<()> {
        let problem = if self.folds < 2 {
            format!("{} folds leave nothing to train on; give at least 2", self.folds)
        } else if count < self.folds {
            format!("{} folds need as many {what}, there are {count}", self.folds)
        } else {
            return Ok(());
        };
        Err(DataError::invalid("making folds", problem))
    }

    fn assigned(&self, fold_of: &[usize]) -> Vec<Fold> {
        let mut folds = vec![Fold { train: vec![], test: vec![] }; self.folds];
        for (row, own) in (0..).zip(fold_of) {
            for (index, fold) in folds.iter_mut().enumerate() {
                if index == *own { fold.test.push(row) } else { fold.train.push(row) }
            }
        }
        folds
    }

    fn windows(&self, df: &DataFrame, column: &str, gap: f64) -> Result<Vec<Fold>> {
        let (order, times) = chronological(df, column)?;
        self.enough(order.len().saturating_sub(1), "rows after the first")?;
        let size = order.len() / (self.folds + 1);
        let mut folds = Vec::with_capacity(self.folds);
        for index in 0..self.folds {
            let start = order.len() - (self.folds - index) * size;
            let test = order[start..start + size].to_vec();
            let limit = times[test[0] as usize] - gap;
            let train: Vec<u32> =
                order[..start].iter().copied().filter(|row| times[*row as usize] < limit).collect();
            if train.is_empty() {
                return Err(DataError::invalid(
                    "making folds",
                    format!(
                        "fold {index} has no rows before its gap of {gap}; use fewer folds or a smaller gap"
                    ),
                ));
            }
            folds.push(Fold { train, test });
        }
        Ok(folds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_tested_once_and_never_trained_on_in_its_fold() {
        let df = crate::datasets::iris().unwrap();
        for folds in [KFold::new(4), KFold::new(7).with_stratify("species")] {
            let folds = folds.folds(&df).unwrap();
            let mut tested: Vec<u32> = folds.iter().flat_map(|fold| fold.test.clone()).collect();
            tested.sort_unstable();
            assert_eq!(tested, (0..150).collect::<Vec<_>>());
            for fold in &folds {
                assert_eq!(fold.train.len() + fold.test.len(), 150);
                assert!(fold.test.iter().all(|row| fold.train.binary_search(row).is_err()));
            }
        }
    }

    #[test]
    fn stratified_folds_keep_the_shares() {
        let df = crate::datasets::iris().unwrap();
        for fold in KFold::new(5).with_stratify("species").folds(&df).unwrap() {
            let (_, test) = fold.frames(&df).unwrap();
            let counts = test
                .column("species")
                .unwrap()
                .as_materialized_series()
                .value_counts(true, false, "n".into(), false)
                .unwrap();
            assert!(counts.column("n").unwrap().u32().unwrap().iter().all(|n| n == Some(10)));
        }
    }

    #[test]
    fn grouped_folds_keep_groups_whole_and_sizes_even() {
        let groups: Vec<i32> = (0..100).map(|row| row % 10).collect();
        let df = df!("g" => &groups).unwrap();
        for fold in KFold::new(5).with_groups("g").folds(&df).unwrap() {
            assert_eq!(fold.test.len(), 20);
            for row in &fold.test {
                assert!(
                    fold.train.iter().all(|other| groups[*other as usize] != groups[*row as usize])
                );
            }
        }
        let error = KFold::new(11).with_groups("g").folds(&df).unwrap_err().to_string();
        assert!(
            error.contains("11 folds need as many groups in column \"g\", there are 10"),
            "{error}"
        );
    }

    #[test]
    fn time_folds_grow_and_never_look_ahead() {
        let df = df!("t" => (0..60).collect::<Vec<i32>>()).unwrap();
        let folds = KFold::new(5).with_time("t", 2.0).folds(&df).unwrap();
        assert_eq!(folds[0].test, (10..20).collect::<Vec<_>>());
        assert_eq!(folds[0].train, (0..8).collect::<Vec<_>>());
        assert_eq!(folds[4].test, (50..60).collect::<Vec<_>>());
        assert_eq!(folds[4].train.len(), 48);
    }
}
