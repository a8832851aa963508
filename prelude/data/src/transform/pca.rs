//! Principal components.

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::select::Select;
use super::step::{self, Step};
use crate::columns;
use crate::error::{DataError, Result};
use crate::stats;

const DOING: &str = "Pca";

/// Replaces columns by their `size` principal components `pc_1`, `pc_2`, …; signs are those of
/// scikit-learn (the largest loading is positive). Scale the columns first if their units differ.
#[derive(Clone, Debug)]
pub struct Pca {
    select: Select,
    size: usize,
}

impl Pca {
    /// The first `size` components.
    pub fn new(columns: impl Into<Select>, size: usize) -> Self {
        Self { select: columns.into(), size }
    }
}

/// Means, components and how much of the variance each explains.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fitted {
    columns: Vec<String>,
    means: Vec<f64>,
    components: Vec<Vec<f64>>,
    explained: Vec<f64>,
}

impl Step for Pca {
    fn fit(&self, train: &DataFrame) -> Result<step::Fitted> {
        let columns = self.select.resolve(train)?;
        if self.size == 0 || self.size > columns.len().min(train.height()) {
            return Err(DataError::invalid(
                DOING,
                format!(
                    "{} components of {} columns and {} rows",
                    self.size,
                    columns.len(),
                    train.height()
                ),
            ));
        }
        let mut values = Vec::with_capacity(columns.len());
        for name in &columns {
            let column = step::present(train, name, DOING)?;
            if column.len() < train.height() {
                return Err(DataError::invalid(
                    DOING,
                    format!(
                        "column {name:?} has {} missing values; put an Imputer before",
                        train.height() - column.len()
                    ),
                ));
            }
            values.push(column);
        }
        let n = stats::float(train.height());
        let means: Vec<f64> = values.iter().map(|column| column.iter().sum::<f64>() / n).collect();
        for (column, mean) in values.iter_mut().zip(&means) {
            for value in column {
                *value -= mean;
            }
        }
        let size = columns.len();
        let mut covariance = vec![vec![0.0; size]; size];
        for a in 0..size {
            oxilab_runtime::cancel::poll();
            for b in a..size {
                let sum: f64 = values[a].iter().zip(&values[b]).map(|(x, y)| x * y).sum();
                covariance[a][b] = sum / (n - 1.0);
                covariance[b][a] = covariance[a][b];
            }
        }
        let total: f64 = (0..size).map(|index| covariance[index][index]).sum();
        let mut pairs = eigen(covariance);
        pairs.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        pairs.truncate(self.size);
        let explained = pairs.iter().map(|(value, _)| value / total).collect();
        let components = pairs.into_iter().map(|(_, vector)| positive(vector)).collect();
        Ok(step::Fitted::Pca(Fitted { columns, means, components, explained }))
    }
}

/// Turns a component so that its largest loading is positive.
fn positive(mut vector: Vec<f64>) -> Vec<f64> {
    let largest =
        vector.iter().copied().fold(0.0_f64, |most, v| if v.abs() > most.abs() { v } else { most });
    if largest < 0.0 {
        for value in &mut vector {
            *value = -*value;
        }
    }
    vector
}

/// Eigenvalues and eigenvectors of a symmetric matrix by Jacobi's rotations (Golub and Van Loan,
/// "Matrix Computations", 8.5).
fn eigen(mut a: Vec<Vec<f64>>) -> Vec<(f64, Vec<f64>)> {
    let size = a.len();
    let mut vectors = vec![vec![0.0; size]; size];
    for (index, row) in vectors.iter_mut().enumerate() {
        row[index] = 1.0;
    }
    let scale: f64 = a.iter().flatten().map(|value| value * value).sum();
    for _ in 0..100 {
        oxilab_runtime::cancel::poll();
        let rest: f64 = (0..size)
            .flat_map(|p| (0..p).map(move |q| (p, q)))
            .map(|(p, q)| a[p][q] * a[p][q])
            .sum();
        if rest <= scale * 1e-32 {
            break;
        }
        for p in 0..size {
            for q in p + 1..size {
                if a[p][q] == 0.0 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let cos = 1.0 / t.hypot(1.0);
                let sin = t * cos;
                for row in &mut a {
                    let (x, y) = (row[p], row[q]);
                    row[p] = cos * x - sin * y;
                    row[q] = sin * x + cos * y;
                }
                let (upper, lower) = a.split_at_mut(q);
                for (x, y) in upper[p].iter_mut().zip(&mut lower[0]) {
                    (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
                }
                for row in &mut vectors {
                    let (x, y) = (row[p], row[q]);
                    row[p] = cos * x - sin * y;
                    row[q] = sin * x + cos * y;
                }
            }
        }
    }
    (0..size).map(|k| (a[k][k], vectors.iter().map(|row| row[k]).collect())).collect()
}

impl Fitted {
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    pub(super) fn size(&self) -> usize {
        self.components.len()
    }

    /// The share of the variance each component explains.
    #[must_use]
    pub fn explained_variance_ratio(&self) -> &[f64] {
        &self.explained
    }

    pub(super) fn transform(&self, df: &DataFrame) -> Result<DataFrame> {
        let values = self
            .columns
            .iter()
            .map(|name| columns::dense(columns::column(df, name)?, DOING))
            .collect::<Result<Vec<_>>>()?;
        let rest = df.drop_many(self.columns.iter().map(String::as_str));
        let scores = self.components.iter().enumerate().map(|(index, component)| {
            let score = |row: usize| -> f64 {
                let centred =
                    values.iter().zip(&self.means).map(|(column, mean)| column[row] - mean);
                centred.zip(component).map(|(value, loading)| value * loading).sum()
            };
            let score: Vec<Option<f64>> =
                (0..df.height()).map(score).map(|v| (!v.is_nan()).then_some(v)).collect();
            Column::new(format!("pc_{}", index + 1).into(), score)
        });
        step::put(&rest, scores.collect::<Vec<_>>())
    }
}
