//! How rows are parted into training and test rows: [`Folds`].

use std::collections::BTreeMap;

use oxilab_data::{Fold, KFold};
use polars::prelude::*;

use crate::error::{ModelError, Result, While, require};
use crate::rng::Rng;
use crate::target::{Goal, Target, TargetReader, column_of};

/// Row numbers to train on and to test on.
pub type Split = (Vec<u32>, Vec<u32>);

/// A way to split rows for cross-validation.
///
/// A number alone (`5.into()`) means that many folds, stratified by class for classes. Splits made
/// elsewhere fit in as [`Folds::given`], those of `data::KFold` as they are.
#[derive(Clone, Debug)]
pub struct Folds {
    rule: Rule,
    seed: u64,
}

#[derive(Clone, Debug)]
enum Rule {
    Auto(usize),
    KFold(usize),
    Stratified(usize),
    Groups(usize, String),
    Time(usize),
    Given(Vec<Split>),
    Data(KFold),
}

impl From<usize> for Folds {
    fn from(folds: usize) -> Self {
        Self { rule: Rule::Auto(folds), seed: 0 }
    }
}

impl From<Vec<Split>> for Folds {
    fn from(splits: Vec<Split>) -> Self {
        Self::given(splits)
    }
}

impl From<KFold> for Folds {
    fn from(folds: KFold) -> Self {
        Self { rule: Rule::Data(folds), seed: 0 }
    }
}

impl From<Vec<Fold>> for Folds {
    fn from(folds: Vec<Fold>) -> Self {
        Self::given(folds.into_iter().map(|fold| (fold.train, fold.test)).collect())
    }
}

impl From<&Folds> for Folds {
    fn from(folds: &Folds) -> Self {
        folds.clone()
    }
}

impl Folds {
    /// Shuffled folds of about the same size.
    #[must_use]
    pub fn k_fold(folds: usize) -> Self {
        Self { rule: Rule::KFold(folds), seed: 0 }
    }

    /// Shuffled folds with about the same shares of the classes.
    #[must_use]
    pub fn stratified(folds: usize) -> Self {
        Self { rule: Rule::Stratified(folds), seed: 0 }
    }

    /// Folds that keep all rows of a group together; the group's column is no input.
    #[must_use]
    pub fn groups(folds: usize, column: impl Into<String>) -> Self {
        Self { rule: Rule::Groups(folds, column.into()), seed: 0 }
    }

    /// For rows in order of time: every fold tests on rows after those it trains on.
    #[must_use]
    pub fn time_series(folds: usize) -> Self {
        Self { rule: Rule::Time(folds), seed: 0 }
    }

    /// Splits made elsewhere.
    #[must_use]
    pub fn given(splits: Vec<Split>) -> Self {
        Self { rule: Rule::Given(splits), seed: 0 }
    }

    /// The seed of the shuffle (0).
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The column that is used for grouping only.
    pub(crate) fn group_column(&self) -> Option<&str> {
        match &self.rule {
            Rule::Groups(_, column) => Some(column),
            _ => None,
        }
    }

    /// The splits of a frame.
    ///
    /// # Errors
    /// If there are fewer rows, groups or rows of a class than folds.
    pub fn split(&self, df: &DataFrame, target: &str) -> Result<Vec<Split>> {
        let rows = df.height();
        match &self.rule {
            Rule::Given(splits) => {
                let known = |part: &Vec<u32>| part.iter().all(|row| (*row as usize) < rows);
                let sound = splits
                    .iter()
                    .all(|(a, b)| known(a) && known(b) && !a.is_empty() && !b.is_empty());
                if !sound || splits.is_empty() {
                    return Err(ModelError::data(
                        "a given split is empty or names rows that the frame does not have",
                        "give row numbers from 0 for both sides",
                    ));
                }
                Ok(splits.clone())
            }
            Rule::Auto(folds) => match TargetReader::of(df, target, Goal::Any(None))? {
                (_, Target::Classes(codes, _)) => self.stratify(*folds, &codes),
                _ => self.shuffled(*folds, rows),
            },
            Rule::KFold(folds) => self.shuffled(*folds, rows),
            Rule::Data(folds) => {
                let folds = folds
                    .folds(df)
                    .map_err(|error| ModelError::data(error.to_string(), "change the `KFold`"))?;
                Ok(folds.into_iter().map(|fold| (fold.train, fold.test)).collect())
            }
            Rule::Stratified(folds) => match TargetReader::of(df, target, Goal::Classification)? {
                (_, Target::Classes(codes, _)) => self.stratify(*folds, &codes),
                _ => self.shuffled(*folds, rows),
            },
            Rule::Groups(folds, column) => self.grouped(*folds, df, column),
            Rule::Time(folds) => {
                check(*folds, rows.saturating_sub(1), "rows")?;
                let size = rows / (folds + 1);
                Ok((0..*folds)
                    .map(|fold| {
                        let start = rows - (folds - fold) * size;
                        let number = |row: usize| u32::try_from(row).unwrap_or(u32::MAX);
                        (
                            (0..number(start)).collect(),
                            (number(start)..number(start + size)).collect(),
                        )
                    })
                    .collect())
            }
        }
    }

    fn shuffled(&self, folds: usize, rows: usize) -> Result<Vec<Split>> {
        check(folds, rows, "rows")?;
        let mut fold_of = vec![0; rows];
        for (place, row) in Rng::new(self.seed).permutation(rows).into_iter().enumerate() {
            fold_of[row as usize] = place % folds;
        }
        Ok(parts(&fold_of, folds))
    }

    fn stratify(&self, folds: usize, codes: &[u32]) -> Result<Vec<Split>> {
        check(folds, codes.len(), "rows")?;
        let mut of_class: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for row in Rng::new(self.seed).permutation(codes.len()) {
            of_class.entry(codes[row as usize]).or_default().push(row as usize);
        }
        if let Some(rows) = of_class.values().map(Vec::len).min().filter(|rows| *rows < folds) {
            return Err(ModelError::data(
                format!("the rarest class has {rows} rows, fewer than {folds} folds"),
                "use fewer folds, `Folds::k_fold`, or drop the class",
            ));
        }
        let mut fold_of = vec![0; codes.len()];
        // Going on where the last class ended keeps the folds the same size.
        let mut next = 0;
        for rows in of_class.values() {
            for row in rows {
                fold_of[*row] = next % folds;
                next += 1;
            }
        }
        Ok(parts(&fold_of, folds))
    }

    fn grouped(&self, folds: usize, df: &DataFrame, column: &str) -> Result<Vec<Split>> {
        let text = column_of(df, column)?.cast(&DataType::String).doing("reading the groups")?;
        let text = text.str().doing("reading the groups")?;
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        for value in text.iter() {
            *sizes.entry(value.unwrap_or_default()).or_default() += 1;
        }
        check(folds, sizes.len(), "groups")?;
        let mut groups: Vec<(&str, usize)> = sizes.into_iter().collect();
        Rng::new(self.seed).shuffle(&mut groups);
        groups.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
        let mut filled = vec![0; folds];
        let mut fold_of_group = BTreeMap::new();
        for (name, size) in groups {
            let fold = (0..folds).min_by_key(|fold| filled[*fold]).unwrap_or(0);
            filled[fold] += size;
            fold_of_group.insert(name, fold);
        }
        let fold_of: Vec<usize> =
            text.iter().map(|value| fold_of_group[value.unwrap_or_default()]).collect();
        Ok(parts(&fold_of, folds))
    }
}

fn check(folds: usize, rows: usize, what: &str) -> Result<()> {
    require(folds > 1, "Folds", "folds", folds, "2 or more")?;
    if rows < folds {
        return Err(ModelError::data(
            format!("there are {rows} {what}, fewer than {folds} folds"),
            "use fewer folds",
        ));
    }
    Ok(())
}

fn parts(fold_of: &[usize], folds: usize) -> Vec<Split> {
    (0..folds)
        .map(|fold| {
            let (mut train, mut test) = (Vec::new(), Vec::new());
            for (row, of) in (0_u32..).zip(fold_of) {
                if *of == fold { test.push(row) } else { train.push(row) }
            }
            (train, test)
        })
        .collect()
}

/// The rows of these numbers.
pub(crate) fn take(df: &DataFrame, rows: &[u32]) -> Result<DataFrame> {
    df.take(&IdxCa::from_vec(PlSmallStr::EMPTY, rows.to_vec())).doing("taking rows of a split")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stratified_folds_share_classes_and_cover_all_rows() {
        let y: Vec<&str> = (0..100).map(|i| if i % 10 == 0 { "rare" } else { "often" }).collect();
        let df = df!("x" => (0..100).collect::<Vec<i32>>(), "y" => y).unwrap();
        let splits = Folds::from(5).split(&df, "y").unwrap();
        let mut seen = vec![0; 100];
        for (train, test) in &splits {
            assert_eq!((train.len(), test.len()), (80, 20));
            assert_eq!(test.iter().filter(|row| **row % 10 == 0).count(), 2);
            test.iter().for_each(|row| seen[*row as usize] += 1);
            assert!(train.iter().all(|row| !test.contains(row)));
        }
        assert_eq!(seen, vec![1; 100]);
    }

    #[test]
    fn groups_stay_together_and_time_goes_forward() {
        let groups: Vec<i32> = (0..30).map(|i| i % 7).collect();
        let df = df!("g" => &groups, "y" => (0..30).map(f64::from).collect::<Vec<_>>()).unwrap();
        for (train, test) in Folds::groups(3, "g").split(&df, "y").unwrap() {
            let of = |rows: &[u32]| {
                rows.iter().map(|r| groups[*r as usize]).collect::<std::collections::BTreeSet<_>>()
            };
            assert!(of(&train).is_disjoint(&of(&test)));
        }
        for (train, test) in Folds::time_series(4).split(&df, "y").unwrap() {
            assert!(train.iter().max() < test.iter().min());
        }
    }

    #[test]
    fn folds_of_the_data_crate_are_folds() {
        let df = df!("x" => [1, 2, 3, 4, 5, 6], "y" => [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
        let folds = KFold::new(3);
        let made = folds.folds(&df).unwrap();
        let splits = Folds::from(folds).split(&df, "y").unwrap();
        assert_eq!(splits, Folds::from(made).split(&df, "y").unwrap());
        assert_eq!(splits.len(), 3);
    }

    #[test]
    fn too_few_rows_are_an_error() {
        let df = df!("x" => [1, 2], "y" => [1.0, 2.0]).unwrap();
        let error = Folds::k_fold(5).split(&df, "y").unwrap_err().to_string();
        assert_eq!(error, "there are 2 rows, fewer than 5 folds; use fewer folds");
    }
}
