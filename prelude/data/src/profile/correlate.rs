//! Correlations of all pairs of columns in one pass over the rows.

use polars::prelude::*;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{ColumnProfile, Kind};
use crate::columns;
use crate::error::{DataError, Result};
use crate::stats;

/// Rows looked at together, so that memory does not grow with the frame.
const CHUNK: usize = 1 << 15;
/// Columns beyond this many are left out: the pairs grow with the square.
const MOST: usize = 200;
/// Classes beyond this many say nothing with Cramér's V.
const MOST_CLASSES: usize = 50;

/// How columns go together.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Correlations {
    /// The columns of numbers.
    pub numbers: Vec<String>,
    /// Pearson's correlation of each pair, row by row; NaN where a column is constant.
    pub pearson: Vec<f64>,
    /// Spearman's, of the sample.
    pub spearman: Vec<f64>,
    /// The columns of classes.
    pub classes: Vec<String>,
    /// Cramér's V of each pair, of the sample.
    pub cramers_v: Vec<f64>,
}

impl Correlations {
    /// Pearson's correlation of two columns.
    #[must_use]
    pub fn pearson_of(&self, a: &str, b: &str) -> Option<f64> {
        let place = |name: &str| self.numbers.iter().position(|other| other == name);
        Some(self.pearson[place(a)? * self.numbers.len() + place(b)?])
    }

    /// Pairs with a Pearson correlation of at least `least` in size, strongest first.
    #[must_use]
    pub fn strongest(&self, least: f64) -> Vec<(String, String, f64)> {
        let size = self.numbers.len();
        let mut pairs = Vec::new();
        for a in 0..size {
            for b in a + 1..size {
                let strength = self.pearson[a * size + b];
                if strength.abs() >= least {
                    pairs.push((self.numbers[a].clone(), self.numbers[b].clone(), strength));
                }
            }
        }
        pairs.sort_by(|x, y| y.2.abs().total_cmp(&x.2.abs()));
        pairs
    }
}

pub(super) fn correlations(
    df: &DataFrame,
    sample: &DataFrame,
    columns: &[ColumnProfile],
) -> Result<Correlations> {
    let numeric: Vec<&ColumnProfile> = columns
        .iter()
        .filter(|c| c.kind == Kind::Number && c.numbers.is_some())
        .take(MOST)
        .collect();
    let class: Vec<&ColumnProfile> = columns
        .iter()
        .filter(|c| c.kind == Kind::Class && (2..=MOST_CLASSES).contains(&c.distinct))
        .take(MOST)
        .collect();
    let values = numeric
        .iter()
        .map(|c| columns::floats(columns::column(df, &c.name)?, "correlating"))
        .collect::<Result<Vec<_>>>()?;
    let shifts: Vec<f64> =
        numeric.iter().map(|c| c.numbers.as_ref().map_or(0.0, |n| n.mean)).collect();
    let ranks = numeric
        .iter()
        .map(|c| columns::dense(columns::column(sample, &c.name)?, "correlating"))
        .collect::<Result<Vec<_>>>()?;
    let codes = class
        .iter()
        .map(|c| Ok(columns::codes(columns::column(sample, &c.name)?, "correlating")?.0))
        .collect::<Result<Vec<_>>>()?;
    Ok(Correlations {
        numbers: numeric.iter().map(|c| c.name.clone()).collect(),
        pearson: pearson_all(&values, &shifts)?,
        spearman: spearman_all(&ranks),
        classes: class.iter().map(|c| c.name.clone()).collect(),
        cramers_v: symmetric(codes.len(), |a, b| stats::cramers_v(&codes[a], &codes[b])),
    })
}

/// Sums of one pair over the rows in which both have a value.
#[derive(Clone, Copy, Default)]
struct Sums {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

fn pearson_all(values: &[Float64Chunked], shifts: &[f64]) -> Result<Vec<f64>> {
    let size = values.len();
    let rows = values.first().map_or(0, ChunkedArray::len);
    let pairs: Vec<(usize, usize)> =
        (0..size).flat_map(|a| (a + 1..size).map(move |b| (a, b))).collect();
    let chunk_sums = |start: usize| -> Result<Vec<Sums>> {
        if oxilab_runtime::cancel::requested() {
            return Err(DataError::Interrupted { doing: "correlating".to_owned() });
        }
        let length = CHUNK.min(rows - start);
        #[expect(clippy::cast_possible_wrap, reason = "row numbers stay far below 2^63")]
        let slices: Vec<Vec<f64>> = values
            .iter()
            .zip(shifts)
            .map(|(column, shift)| {
                // Infinite values have no place in a correlation.
                let clean = |value: Option<f64>| {
                    value.filter(|v| v.is_finite()).map_or(f64::NAN, |v| v - shift)
                };
                column.slice(start as i64, length).iter().map(clean).collect()
            })
            .collect();
        let complete: Vec<Option<(f64, f64)>> = slices
            .iter()
            .map(|values| {
                let (sum, squares) = values.iter().fold((0.0, 0.0), |(s, q), v| (s + v, q + v * v));
                (!f64::is_nan(sum)).then_some((sum, squares))
            })
            .collect();
        Ok(pairs
            .iter()
            .map(|(a, b)| match (complete[*a], complete[*b]) {
                (Some((x, xx)), Some((y, yy))) => Sums {
                    n: stats::float(length),
                    x,
                    y,
                    xx,
                    yy,
                    xy: dot(&slices[*a], &slices[*b]),
                },
                _ => partial(&slices[*a], &slices[*b]),
            })
            .collect())
    };
    let zero = || Ok(vec![Sums::default(); pairs.len()]);
    let sums = (0..rows.div_ceil(CHUNK))
        .into_par_iter()
        .map(|chunk| chunk_sums(chunk * CHUNK))
        .reduce(zero, |left, right| {
            let (mut left, right) = (left?, right?);
            for (l, r) in left.iter_mut().zip(right) {
                *l = Sums {
                    n: l.n + r.n,
                    x: l.x + r.x,
                    y: l.y + r.y,
                    xx: l.xx + r.xx,
                    yy: l.yy + r.yy,
                    xy: l.xy + r.xy,
                };
            }
            Ok(left)
        })?;
    let mut matrix = vec![f64::NAN; size * size];
    for index in 0..size {
        matrix[index * size + index] = 1.0;
    }
    for ((a, b), s) in pairs.into_iter().zip(sums) {
        let (xx, yy) = (s.xx - s.x * s.x / s.n, s.yy - s.y * s.y / s.n);
        let strength = (s.xy - s.x * s.y / s.n) / (xx.sqrt() * yy.sqrt());
        let strength = if strength.is_finite() { strength.clamp(-1.0, 1.0) } else { f64::NAN };
        matrix[a * size + b] = strength;
        matrix[b * size + a] = strength;
    }
    Ok(matrix)
}

/// Σ x y in eight sums side by side, which the compiler turns into vector instructions.
fn dot(x: &[f64], y: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (x_blocks, x_rest) = x.as_chunks::<8>();
    let (y_blocks, y_rest) = y.as_chunks::<8>();
    for (x, y) in x_blocks.iter().zip(y_blocks) {
        for lane in 0..8 {
            sums[lane] += x[lane] * y[lane];
        }
    }
    sums.iter().sum::<f64>() + x_rest.iter().zip(y_rest).map(|(x, y)| x * y).sum::<f64>()
}

fn partial(x: &[f64], y: &[f64]) -> Sums {
    let mut s = Sums::default();
    for (x, y) in x.iter().zip(y).filter(|(x, y)| !x.is_nan() && !y.is_nan()) {
        s.n += 1.0;
        s.x += x;
        s.y += y;
        s.xx += x * x;
        s.yy += y * y;
        s.xy += x * y;
    }
    s
}

fn spearman_all(values: &[Vec<f64>]) -> Vec<f64> {
    // Ranks of a whole column serve every pair in which nothing is missing.
    let whole: Vec<Option<Vec<f64>>> = values
        .par_iter()
        .map(|values| (!values.iter().any(|value| value.is_nan())).then(|| stats::ranks(values)))
        .collect();
    symmetric(values.len(), |a, b| match (&whole[a], &whole[b]) {
        (Some(x), Some(y)) => stats::pearson(x, y),
        _ => stats::spearman(&values[a], &values[b]),
    })
}

/// A symmetric matrix with 1 on its diagonal.
fn symmetric(size: usize, of: impl Fn(usize, usize) -> f64 + Sync) -> Vec<f64> {
    let pairs: Vec<(usize, usize)> =
        (0..size).flat_map(|a| (a + 1..size).map(move |b| (a, b))).collect();
    let strengths: Vec<f64> = pairs.par_iter().map(|(a, b)| of(*a, *b)).collect();
    let mut matrix = vec![1.0; size * size];
    for ((a, b), strength) in pairs.into_iter().zip(strengths) {
        matrix[a * size + b] = strength;
        matrix[b * size + a] = strength;
    }
    matrix
}
