//! The target encoder: a category becomes the mean target of its training rows.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::encode::categories;
use super::select::Select;
use super::step::{self, Step};
use crate::columns;
use crate::error::{DataError, Result};
use crate::rng::Rng;

const DOING: &str = "TargetEncoder";

/// Replaces categories by the mean of the target in their training rows, drawn towards the overall
/// mean: `(sum + smoothing · mean) / (count + smoothing)`.
///
/// A target of two classes counts as 0 and 1 in alphabetical order; of more, each class gives a
/// column `column_class`. In [`fit_transform`](super::Pipeline::fit_transform) a training row is
/// encoded from the rows of the other folds, so that its own target does not leak.
#[derive(Clone, Debug)]
pub struct TargetEncoder {
    select: Select,
    target: String,
    smoothing: f64,
    folds: usize,
    seed: u64,
}

impl TargetEncoder {
    /// Smoothing 1, five folds.
    pub fn new(columns: impl Into<Select>, target: impl Into<String>) -> Self {
        Self {
            select: columns.into(),
            target: target.into(),
            smoothing: 1.0,
            folds: 5,
            seed: crate::split::DEFAULT_SEED,
        }
    }

    /// How many rows of the overall mean each category is mixed with.
    #[must_use]
    pub fn with_smoothing(mut self, rows: f64) -> Self {
        self.smoothing = rows;
        self
    }

    /// Another number of folds.
    #[must_use]
    pub fn with_folds(mut self, folds: usize) -> Self {
        self.folds = folds;
        self
    }

    /// Another seed for the folds than 42.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The chosen columns; the target is not encoded by itself.
    fn names(&self, train: &DataFrame) -> Result<Vec<String>> {
        let mut names = self.select.resolve(train)?;
        names.retain(|name| *name != self.target);
        Ok(names)
    }

    /// One list of numbers per class that gets a column: suffix and values.
    fn goals(&self, df: &DataFrame) -> Result<Vec<(String, Vec<f64>)>> {
        let column = columns::column(df, &self.target)?;
        if column.null_count() > 0 {
            return Err(DataError::invalid(
                DOING,
                format!(
                    "the target {:?} has {} missing values; drop such rows",
                    self.target,
                    column.null_count()
                ),
            ));
        }
        if !columns::is_class(column.dtype()) {
            return Ok(vec![(String::new(), columns::dense(column, DOING)?)]);
        }
        let classes = categories(df, &self.target, DOING)?;
        let values = columns::texts(column, DOING)?;
        let hits = |class: &String| -> Vec<f64> {
            values.iter().map(|value| f64::from(u8::from(value == Some(class.as_str())))).collect()
        };
        Ok(match classes.as_slice() {
            [_, positive] => vec![(String::new(), hits(positive))],
            classes => classes.iter().map(|class| (format!("_{class}"), hits(class))).collect(),
        })
    }

    /// Means over the rows for which `used` holds.
    fn means(
        &self,
        df: &DataFrame,
        names: &[String],
        used: impl Fn(usize) -> bool,
    ) -> Result<Fitted> {
        let goals = self.goals(df)?;
        let mut encodings = Vec::new();
        for name in names {
            let (codes, values) = columns::codes(columns::column(df, name)?, DOING)?;
            for (suffix, goal) in &goals {
                let (mut sums, mut counts) = (vec![0.0; values.len()], vec![0.0; values.len()]);
                for (_, (code, goal)) in
                    codes.iter().zip(goal).enumerate().filter(|(row, _)| used(*row))
                {
                    sums[*code as usize] += goal;
                    counts[*code as usize] += 1.0;
                }
                let mean = sums.iter().sum::<f64>() / counts.iter().sum::<f64>();
                let mut means: Vec<(Option<String>, f64)> = Vec::new();
                for (index, value) in
                    values.iter().enumerate().filter(|(index, _)| counts[*index] > 0.0)
                {
                    let smoothed =
                        (sums[index] + self.smoothing * mean) / (counts[index] + self.smoothing);
                    means.push((value.clone(), smoothed));
                }
                means.sort_by(|(a, _), (b, _)| a.cmp(b));
                encodings.push(Encoding {
                    column: name.clone(),
                    output: format!("{name}{suffix}"),
                    mean,
                    means,
                });
            }
        }
        Ok(Fitted { encodings })
    }
}

/// The means of one column for one class.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Encoding {
    column: String,
    output: String,
    mean: f64,
    means: Vec<(Option<String>, f64)>,
}

/// Target means by column.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fitted {
    encodings: Vec<Encoding>,
}

impl Step for TargetEncoder {
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        let names = self.names(train)?;
        Ok(step::Fitted::Target(self.means(train, &names, |_| true)?))
    }

    fn fit_transform(&self, train: &DataFrame) -> Result<(step::Fitted, DataFrame)> {
        let names = self.names(train)?;
        let rows = columns::height(train, DOING)?;
        if self.folds < 2 || train.height() < self.folds {
            return Err(DataError::invalid(
                DOING,
                format!(
                    "{} folds of {rows} rows; give at least 2 folds and as many rows",
                    self.folds
                ),
            ));
        }
        let mut fold_of = vec![0; train.height()];
        for (place, row) in Rng::new(self.seed).permutation(rows).into_iter().enumerate() {
            fold_of[row as usize] = place % self.folds;
        }
        let mut mixed: Vec<Column> = Vec::new();
        for fold in 0..self.folds {
            oxilab_runtime::cancel::poll();
            let others = self.means(train, &names, |row| fold_of[row] != fold)?;
            let encoded = others.columns(train)?;
            if mixed.is_empty() {
                mixed = encoded;
                continue;
            }
            for (mixed, encoded) in mixed.iter_mut().zip(encoded) {
                let own = encoded.f64()?;
                let merged: Float64Chunked = mixed
                    .f64()?
                    .iter()
                    .zip(own.iter())
                    .zip(&fold_of)
                    .map(|((kept, new), of)| if *of == fold { new } else { kept })
                    .collect();
                *mixed = merged.with_name(mixed.name().clone()).into_series().into_column();
            }
        }
        let fitted = self.means(train, &names, |_| true)?;
        let out = fitted.place(train, mixed)?;
        Ok((step::Fitted::Target(fitted), out))
    }

    fn target(&self) -> Option<&str> {
        Some(&self.target)
    }
}

impl Fitted {
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.encodings.iter().map(|encoding| encoding.column.as_str()).collect();
        names.dedup();
        names
    }

    fn columns(&self, df: &DataFrame) -> Result<Vec<Column>> {
        let encode = |encoding: &Encoding| {
            let known: PlHashMap<Option<&str>, f64> =
                encoding.means.iter().map(|(value, mean)| (value.as_deref(), *mean)).collect();
            let values = columns::texts(columns::column(df, &encoding.column)?, DOING)?;
            let encoded: Vec<f64> = values
                .iter()
                .map(|value| known.get(&value).copied().unwrap_or(encoding.mean))
                .collect();
            Ok(Column::new(encoding.output.as_str().into(), encoded))
        };
        self.encodings.iter().map(encode).collect()
    }

    /// Puts encoded columns in the place of the originals.
    fn place(&self, df: &DataFrame, encoded: Vec<Column>) -> Result<DataFrame> {
        let mut df = df.clone();
        for encoding in &self.encodings {
            let kept = self.encodings.iter().any(|other| other.output == encoding.column);
            if !kept && df.get_column_index(&encoding.column).is_some() {
                df = df.drop(&encoding.column)?;
            }
        }
        step::put(&df, encoded)
    }

    pub(super) fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        self.place(df, self.columns(df)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats;

    #[test]
    fn training_rows_do_not_see_their_own_target() {
        // Every row has a category of its own: only its own target could tell it.
        let n = 100;
        let df = df!(
            "id" => (0..n).map(|i| format!("id{i}")).collect::<Vec<_>>(),
            "y" => (0..n).map(|i| f64::from(i % 2)).collect::<Vec<_>>(),
        )
        .unwrap();
        let (fitted, encoded) = TargetEncoder::new("id", "y").fit_transform(&df).unwrap();
        let x: Vec<f64> = encoded.column("id").unwrap().f64().unwrap().iter().flatten().collect();
        let y: Vec<f64> = df.column("y").unwrap().f64().unwrap().iter().flatten().collect();
        assert!(stats::pearson(&x, &y) < 0.0, "{}", stats::pearson(&x, &y));
        // Known rows of another frame are encoded by all training rows: (1 + 0.5) / 2.
        let new = df!("id" => ["id1", "new"]).unwrap();
        let out = fitted.transform(&new).unwrap();
        let values: Vec<f64> = out.column("id").unwrap().f64().unwrap().iter().flatten().collect();
        assert_eq!(values, [0.75, 0.5]);
    }

    #[test]
    fn three_classes_give_three_columns() {
        let df = df!("c" => ["a", "a", "b", "b", "a", "b"], "y" => ["p", "q", "r", "r", "p", "q"])
            .unwrap();
        let fitted = TargetEncoder::new("c", "y").with_smoothing(0.0).fit(&df).unwrap();
        let out = fitted.transform(&df).unwrap();
        let names: Vec<&str> = out.get_column_names().iter().map(|n| n.as_str()).collect();
        assert_eq!(names, ["y", "c_p", "c_q", "c_r"]);
        assert_eq!(out.column("c_r").unwrap().f64().unwrap().get(2), Some(2.0 / 3.0));
    }
}
