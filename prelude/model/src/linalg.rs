//! The linear algebra of dense problems of moderate size: Gram matrices, Cholesky, least norm.
//!
//! Sums over rows run over fixed blocks that are added in order, so that results do not depend on the
//! number of threads.

use rayon::prelude::*;

use crate::eigen::eigen;
use crate::error::{ModelError, Result, check_interrupt};
use crate::matrix::Matrix;

/// Rows per block of a parallel sum.
pub(crate) const BLOCK: usize = 4096;

/// The dot product, in eight lanes for the vector units.
#[inline]
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0_f64; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (x, y) in a8.iter().zip(b8) {
        for lane in 0..8 {
            lanes[lane] += x[lane] * y[lane];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f64>() + rest
}

/// The sum of `of` each value, in eight lanes for the vector units.
#[inline]
pub(crate) fn sum_of(values: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    let mut lanes = [0.0_f64; 8];
    let (eights, rest) = values.as_chunks::<8>();
    for eight in eights {
        for lane in 0..8 {
            lanes[lane] += of(eight[lane]);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| of(*value)).sum::<f64>()
}

/// Centred columns: `x` minus its (weighted) column means, and the means.
pub(crate) fn centre(x: &Matrix, weights: Option<&[f64]>) -> (Matrix, Vec<f64>) {
    let rows = x.rows();
    let mut values = vec![0.0; x.as_slice().len()];
    let means: Vec<f64> = values
        .par_chunks_mut(rows.max(1))
        .zip(x.as_slice().par_chunks(rows.max(1)))
        .map(|(centred, column)| {
            let mean = weighted_mean(column, weights);
            centred.iter_mut().zip(column).for_each(|(centred, value)| *centred = value - mean);
            mean
        })
        .collect();
    (Matrix::new(rows, x.cols(), values), means)
}

/// The mean with optional weights.
pub(crate) fn weighted_mean(values: &[f64], weights: Option<&[f64]>) -> f64 {
    match weights {
        None => sum_of(values, |value| value) / crate::matrix::float(values.len()),
        Some(weights) => dot(values, weights) / weights.iter().sum::<f64>(),
    }
}

/// `Xᵀ X`, row after row.
pub(crate) fn gram(x: &Matrix) -> Result<Vec<f64>> {
    let p = x.cols();
    affordable(p)?;
    if p <= NARROW {
        return gram_of_narrow(x);
    }
    let rows: Vec<Vec<f64>> = (0..p)
        .into_par_iter()
        .map(|i| {
            check_interrupt()?;
            Ok((0..=i).map(|j| blocked_dot(x.col(i), x.col(j))).collect())
        })
        .collect::<Result<_>>()?;
    Ok(mirrored(&rows))
}

/// Columns up to this stay in the cache by the block of rows.
const NARROW: usize = 32;

/// Every block of rows is read once for all pairs of columns.
fn gram_of_narrow(x: &Matrix) -> Result<Vec<f64>> {
    let (rows, p) = (x.rows(), x.cols());
    let blocks: Vec<Vec<f64>> = (0..rows.div_ceil(BLOCK))
        .into_par_iter()
        .map(|block| {
            check_interrupt()?;
            let within = block * BLOCK..((block + 1) * BLOCK).min(rows);
            let part = |col: usize| &x.col(col)[within.clone()];
            let pairs = (0..p).flat_map(|i| (0..=i).map(move |j| (i, j)));
            Ok(pairs.map(|(i, j)| dot(part(i), part(j))).collect())
        })
        .collect::<Result<_>>()?;
    let mut sums = vec![0.0; p * (p + 1) / 2];
    for block in &blocks {
        sums.iter_mut().zip(block).for_each(|(sum, value)| *sum += value);
    }
    let triangle: Vec<Vec<f64>> =
        (0..p).map(|i| sums[i * (i + 1) / 2..(i + 1) * (i + 2) / 2].to_vec()).collect();
    Ok(mirrored(&triangle))
}

/// `X Xᵀ`, row after row: the smaller one where there are more columns than rows.
pub(crate) fn gram_of_rows(x: &Matrix) -> Result<Vec<f64>> {
    affordable(x.rows())?;
    let rows: Vec<Vec<f64>> = (0..x.rows())
        .into_par_iter()
        .map(|i| {
            check_interrupt()?;
            let mut out = vec![0.0; i + 1];
            for col in 0..x.cols() {
                let column = x.col(col);
                out.iter_mut().zip(column).for_each(|(out, value)| *out += column[i] * value);
            }
            Ok(out)
        })
        .collect::<Result<_>>()?;
    Ok(mirrored(&rows))
}

/// Matrices beyond this take minutes and gigabytes.
const MOST: usize = 8000;

fn affordable(n: usize) -> Result<()> {
    if n <= MOST {
        return Ok(());
    }
    Err(ModelError::data(
        format!("with {n} rows and features the equations are too large to solve"),
        format!(
            "use at most {MOST} features or rows, or a learner without matrices: LightGbm, \
             RandomForest, LogisticRegression"
        ),
    ))
}

/// The whole of a symmetric matrix from the rows of its lower half.
fn mirrored(rows: &[Vec<f64>]) -> Vec<f64> {
    let n = rows.len();
    let mut out = vec![0.0; n * n];
    for (i, row) in rows.iter().enumerate() {
        for (j, value) in row.iter().enumerate() {
            out[i * n + j] = *value;
            out[j * n + i] = *value;
        }
    }
    out
}

/// A dot product of long columns that keeps rounding small.
pub(crate) fn blocked_dot(a: &[f64], b: &[f64]) -> f64 {
    a.chunks(BLOCK).zip(b.chunks(BLOCK)).map(|(a, b)| dot(a, b)).sum()
}

/// Solves `A x = b` for a symmetric positive definite `A` of size `n`; `None` if `A` is not, to about
/// half of the digits.
#[expect(clippy::many_single_char_names, reason = "the letters of the formulas")]
pub(crate) fn solve_positive(a: &[f64], b: &[f64], n: usize) -> Option<Vec<f64>> {
    let mut l = a.to_vec();
    let largest = (0..n).map(|i| a[i * n + i]).fold(0.0, f64::max);
    for j in 0..n {
        for i in j..n {
            let s = l[i * n + j] - dot(&l[i * n..i * n + j], &l[j * n..j * n + j]);
            if i == j {
                let pivot_lost = s <= 1e-10 * a[j * n + j] || s <= 1e-14 * largest;
                if pivot_lost || !s.is_finite() {
                    return None;
                }
                l[j * n + j] = s.sqrt();
            } else {
                l[i * n + j] = s / l[j * n + j];
            }
        }
    }
    let mut x = b.to_vec();
    for i in 0..n {
        x[i] = (x[i] - dot(&l[i * n..i * n + i], &x[..i])) / l[i * n + i];
    }
    for i in (0..n).rev() {
        let s: f64 = (i + 1..n).map(|k| l[k * n + i] * x[k]).sum();
        x[i] = (x[i] - s) / l[i * n + i];
    }
    Some(x)
}

/// The least-norm solution of `A x = b` for a symmetric `A`, leaving out directions whose eigenvalue is
/// below `1e-12` of the largest.
pub(crate) fn solve_least_norm(a: &[f64], b: &[f64], n: usize) -> Result<Vec<f64>> {
    let (values, vectors) = eigen(a, n)?;
    let limit = values.first().copied().unwrap_or(0.0).abs() * 1e-12;
    let mut x = vec![0.0; n];
    for (value, vector) in values.iter().zip(vectors.chunks_exact(n.max(1))) {
        if *value > limit {
            let factor = dot(vector, b) / value;
            x.iter_mut().zip(vector).for_each(|(x, v)| *x += factor * v);
        }
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_solvers_solve() {
        let a = [4.0, 1.0, 0.5, 1.0, 3.0, 0.2, 0.5, 0.2, 2.0];
        let b = [1.0, 2.0, 3.0];
        let x = solve_positive(&a, &b, 3).unwrap();
        let y = solve_least_norm(&a, &b, 3).unwrap();
        for i in 0..3 {
            assert!((dot(&a[i * 3..i * 3 + 3], &x) - b[i]).abs() < 1e-14);
            assert!((x[i] - y[i]).abs() < 1e-12);
        }
    }

    #[test]
    fn a_singular_matrix_is_seen_and_solved_with_least_norm() {
        let a = [1.0, 1.0, 1.0, 1.0];
        assert!(solve_positive(&a, &[2.0, 2.0], 2).is_none());
        let x = solve_least_norm(&a, &[2.0, 2.0], 2).unwrap();
        assert!((x[0] - 1.0).abs() < 1e-12 && (x[1] - 1.0).abs() < 1e-12, "{x:?}");
    }

    #[test]
    fn equations_that_are_too_large_are_refused() {
        let error = affordable(MOST + 1).unwrap_err().to_string();
        assert!(error.contains("8001") && error.contains("LightGbm"), "{error}");
        assert!(affordable(MOST).is_ok());
    }

    #[test]
    fn both_grams_are_products() {
        let x = Matrix::from_row_major(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(gram(&x).unwrap(), [17.0, 22.0, 27.0, 22.0, 29.0, 36.0, 27.0, 36.0, 45.0]);
        assert_eq!(gram_of_rows(&x).unwrap(), [14.0, 32.0, 32.0, 77.0]);
    }
}
