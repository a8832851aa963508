//! How rows are parted into training and test rows: [`Folds`], on top of [`oxilab_data::KFold`].

use oxilab_data::{Fold, KFold};
use polars::prelude::*;

use crate::error::{ModelError, Result, While};
use crate::target::{Goal, Target, TargetReader};

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
    Shuffled(usize),
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
        Self { rule: Rule::Shuffled(folds), seed: 0 }
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
            Rule::Auto(folds) => {
                let folds = self.shuffled(*folds);
                match TargetReader::of(df, target, Goal::Any(None))? {
                    (_, Target::Classes(..)) => made(&folds.with_stratify(target), df),
                    _ => made(&folds, df),
                }
            }
            Rule::Shuffled(folds) => made(&self.shuffled(*folds), df),
            Rule::Stratified(folds) => {
                TargetReader::of(df, target, Goal::Classification)?;
                made(&self.shuffled(*folds).with_stratify(target), df)
            }
            Rule::Groups(folds, column) => made(&self.shuffled(*folds).with_groups(column), df),
            Rule::Time(folds) => {
                const ROW: &str = "row of the frame";
                let rows: Vec<u32> = (0..u32::try_from(rows).unwrap_or(u32::MAX)).collect();
                let order = DataFrame::new(rows.len(), vec![Column::new(ROW.into(), rows)])
                    .doing("numbering rows")?;
                made(&self.shuffled(*folds).with_time(ROW, 0.0), &order)
            }
            Rule::Data(folds) => made(folds, df),
        }
    }

    fn shuffled(&self, folds: usize) -> KFold {
        KFold::new(folds).with_seed(self.seed)
    }
}

fn made(folds: &KFold, df: &DataFrame) -> Result<Vec<Split>> {
    match folds.folds(df) {
        Ok(folds) => Ok(folds.into_iter().map(|fold| (fold.train, fold.test)).collect()),
        Err(error) => Err(ModelError::data(error.to_string(), "use other folds")),
    }
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
        assert!(error.contains("5 folds need as many rows, there are 2"), "{error}");
    }
}
