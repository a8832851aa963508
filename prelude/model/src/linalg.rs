//! The linear algebra of small dense problems: Gram matrices, Cholesky, symmetric eigenvalues.
//!
//! Sums over rows run over fixed blocks that are added in order, so that results do not depend on the
//! number of threads.

use rayon::prelude::*;

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

/// Centred columns: `x` minus its (weighted) column means, and the means.
pub(crate) fn centre(x: &Matrix, weights: Option<&[f64]>) -> (Matrix, Vec<f64>) {
    let rows = x.rows();
    let mut values = x.as_slice().to_vec();
    let means: Vec<f64> = values
        .par_chunks_mut(rows.max(1))
        .map(|column| {
            let mean = weighted_mean(column, weights);
            column.iter_mut().for_each(|value| *value -= mean);
            mean
        })
        .collect();
    (Matrix::new(rows, x.cols(), values), means)
}

/// The mean with optional weights.
pub(crate) fn weighted_mean(values: &[f64], weights: Option<&[f64]>) -> f64 {
    match weights {
        None => values.iter().sum::<f64>() / crate::matrix::float(values.len()),
        Some(weights) => dot(values, weights) / weights.iter().sum::<f64>(),
    }
}

/// `Xᵀ X`, row after row.
pub(crate) fn gram(x: &Matrix) -> Vec<f64> {
    let p = x.cols();
    let rows: Vec<Vec<f64>> = (0..p)
        .into_par_iter()
        .map(|i| (0..=i).map(|j| blocked_dot(x.col(i), x.col(j))).collect())
        .collect();
    let mut out = vec![0.0; p * p];
    for (i, row) in rows.iter().enumerate() {
        for (j, value) in row.iter().enumerate() {
            out[i * p + j] = *value;
            out[j * p + i] = *value;
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

/// Eigenvalues, largest first, and eigenvectors (as rows) of a symmetric matrix, by Jacobi's cyclic
/// rotations (Golub and Van Loan, Matrix Computations, 8.5).
pub(crate) fn eigen(a: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut a = a.to_vec();
    let mut v = vec![0.0; n * n];
    (0..n).for_each(|i| v[i * n + i] = 1.0);
    for _sweep in 0..60 {
        let (mut off, mut all) = (0.0, 0.0);
        for i in 0..n {
            for j in 0..n {
                let square = a[i * n + j] * a[i * n + j];
                all += square;
                off += if i == j { 0.0 } else { square };
            }
        }
        if off <= 1e-30 * all {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut v, n, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| a[j * n + j].total_cmp(&a[i * n + i]));
    let values = order.iter().map(|i| a[i * n + i]).collect();
    let vectors = order.iter().flat_map(|i| v[i * n..(i + 1) * n].iter().copied()).collect();
    (values, vectors)
}

/// One rotation that makes `a[p][q]` zero; `v` holds the eigenvectors as rows.
fn rotate(a: &mut [f64], v: &mut [f64], n: usize, p: usize, q: usize) {
    let apq = a[p * n + q];
    if apq == 0.0 {
        return;
    }
    let tau = (a[q * n + q] - a[p * n + p]) / (2.0 * apq);
    let t = tau.signum() / (tau.abs() + (1.0 + tau * tau).sqrt());
    let c = 1.0 / (1.0 + t * t).sqrt();
    let s = t * c;
    for k in 0..n {
        let (x, y) = (a[k * n + p], a[k * n + q]);
        a[k * n + p] = c * x - s * y;
        a[k * n + q] = s * x + c * y;
    }
    for k in 0..n {
        let (x, y) = (a[p * n + k], a[q * n + k]);
        a[p * n + k] = c * x - s * y;
        a[q * n + k] = s * x + c * y;
    }
    for k in 0..n {
        let (x, y) = (v[p * n + k], v[q * n + k]);
        v[p * n + k] = c * x - s * y;
        v[q * n + k] = s * x + c * y;
    }
}

/// The least-norm solution of `A x = b` for a symmetric `A`, leaving out directions whose eigenvalue is
/// below `1e-12` of the largest.
pub(crate) fn solve_least_norm(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let (values, vectors) = eigen(a, n);
    let limit = values.first().copied().unwrap_or(0.0).abs() * 1e-12;
    let mut x = vec![0.0; n];
    for (value, vector) in values.iter().zip(vectors.chunks_exact(n.max(1))) {
        if *value > limit {
            let factor = dot(vector, b) / value;
            x.iter_mut().zip(vector).for_each(|(x, v)| *x += factor * v);
        }
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_solvers_solve() {
        let a = [4.0, 1.0, 0.5, 1.0, 3.0, 0.2, 0.5, 0.2, 2.0];
        let b = [1.0, 2.0, 3.0];
        let x = solve_positive(&a, &b, 3).unwrap();
        let y = solve_least_norm(&a, &b, 3);
        for i in 0..3 {
            assert!((dot(&a[i * 3..i * 3 + 3], &x) - b[i]).abs() < 1e-14);
            assert!((x[i] - y[i]).abs() < 1e-12);
        }
    }

    #[test]
    fn a_singular_matrix_is_seen_and_solved_with_least_norm() {
        let a = [1.0, 1.0, 1.0, 1.0];
        assert!(solve_positive(&a, &[2.0, 2.0], 2).is_none());
        let x = solve_least_norm(&a, &[2.0, 2.0], 2);
        assert!((x[0] - 1.0).abs() < 1e-12 && (x[1] - 1.0).abs() < 1e-12, "{x:?}");
    }

    #[test]
    fn eigenvectors_diagonalise() {
        let a = [2.0, 1.0, 1.0, 2.0];
        let (values, vectors) = eigen(&a, 2);
        assert!((values[0] - 3.0).abs() < 1e-14 && (values[1] - 1.0).abs() < 1e-14);
        assert!((vectors[0] - vectors[1]).abs() < 1e-14);
    }
}
