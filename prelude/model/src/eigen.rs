//! Eigenvalues and eigenvectors of a symmetric matrix: [`eigen`], by Householder's reduction to three
//! diagonals and implicit QL steps (Golub and Van Loan, Matrix Computations, 8.3).

use crate::error::{Result, check_interrupt};
use crate::linalg::dot;

/// Steps per eigenvalue; two or three are usual.
const MOST_STEPS: usize = 60;

/// Eigenvalues, largest first, and eigenvectors (as rows) of a symmetric matrix of size `n`.
pub(crate) fn eigen(a: &[f64], n: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    if n == 0 {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut a = a.to_vec();
    let reflections = reduce(&mut a, n)?;
    let mut diagonal: Vec<f64> = (0..n).map(|i| a[i * n + i]).collect();
    let mut beside: Vec<f64> = (1..n).map(|i| a[i * n + i - 1]).chain([0.0]).collect();
    let mut vectors = product(&reflections, n)?;
    for first in 0..n {
        check_interrupt()?;
        settle(&mut diagonal, &mut beside, &mut vectors, first);
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|i, j| diagonal[*j].total_cmp(&diagonal[*i]));
    let values = order.iter().map(|i| diagonal[*i]).collect();
    let vectors = order.iter().flat_map(|i| vectors[i * n..(i + 1) * n].iter().copied()).collect();
    Ok((values, vectors))
}

/// `I − β v vᵀ` on the last places.
struct Reflection {
    v: Vec<f64>,
    beta: f64,
}

/// Brings the matrix to three diagonals; what lies beyond them is left as it comes.
fn reduce(a: &mut [f64], n: usize) -> Result<Vec<Reflection>> {
    let mut reflections = Vec::new();
    for k in 0..n.saturating_sub(2) {
        if k.is_multiple_of(32) {
            check_interrupt()?;
        }
        let first = k + 1;
        let mut v: Vec<f64> = (first..n).map(|i| a[i * n + k]).collect();
        let norm = dot(&v, &v).sqrt();
        let rest = dot(&v[1..], &v[1..]);
        if rest == 0.0 {
            reflections.push(Reflection { v, beta: 0.0 });
            continue;
        }
        // The sign that loses no digits.
        let moved = if v[0] > 0.0 { -norm } else { norm };
        v[0] -= moved;
        let beta = 2.0 / dot(&v, &v);
        // A − v wᵀ − w vᵀ with w = β A v − (β² vᵀ A v / 2) v.
        let mut w: Vec<f64> =
            (first..n).map(|i| beta * dot(&a[i * n + first..(i + 1) * n], &v)).collect();
        let half = 0.5 * beta * dot(&w, &v);
        w.iter_mut().zip(&v).for_each(|(w, v)| *w -= half * v);
        for (i, (vi, wi)) in v.iter().zip(&w).enumerate() {
            let row = &mut a[(first + i) * n + first..(first + i + 1) * n];
            for ((value, vj), wj) in row.iter_mut().zip(&v).zip(&w) {
                *value -= vi * wj + wi * vj;
            }
        }
        a[first * n + k] = moved;
        reflections.push(Reflection { v, beta });
    }
    Ok(reflections)
}

/// The transposed product of the reflections: its rows become the eigenvectors.
fn product(reflections: &[Reflection], n: usize) -> Result<Vec<f64>> {
    let mut q = vec![0.0; n * n];
    (0..n).for_each(|i| q[i * n + i] = 1.0);
    // q = H₀ H₁ … from the right end, so that only the last places change; then transposed.
    for (k, Reflection { v, beta }) in reflections.iter().enumerate().rev() {
        if k.is_multiple_of(32) {
            check_interrupt()?;
        }
        let first = k + 1;
        let mut sums = vec![0.0; n - first];
        for (i, vi) in v.iter().enumerate() {
            let row = &q[(first + i) * n + first..(first + i + 1) * n];
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += vi * value);
        }
        for (i, vi) in v.iter().enumerate() {
            let row = &mut q[(first + i) * n + first..(first + i + 1) * n];
            row.iter_mut().zip(&sums).for_each(|(value, sum)| *value -= beta * vi * sum);
        }
    }
    for i in 0..n {
        for j in 0..i {
            q.swap(i * n + j, j * n + i);
        }
    }
    Ok(q)
}

/// QL steps until the element beside place `first` is nothing.
#[expect(clippy::many_single_char_names, reason = "the letters of the formulas")]
fn settle(d: &mut [f64], e: &mut [f64], vectors: &mut [f64], first: usize) {
    let n = d.len();
    for _ in 0..MOST_STEPS {
        let small = |m: usize| e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs());
        let last = (first..n - 1).find(|m| small(*m)).unwrap_or(n - 1);
        if last == first {
            return;
        }
        // Wilkinson's shift.
        let mut g = (d[first + 1] - d[first]) / (2.0 * e[first]);
        g = d[last] - d[first] + e[first] / (g + g.hypot(1.0).copysign(g));
        let (mut sine, mut cosine, mut shift) = (1.0, 1.0, 0.0);
        let mut split = false;
        for i in (first..last).rev() {
            let (f, b) = (sine * e[i], cosine * e[i]);
            let r = f.hypot(g);
            e[i + 1] = r;
            if r == 0.0 {
                d[i + 1] -= shift;
                e[last] = 0.0;
                split = true;
                break;
            }
            (sine, cosine) = (f / r, g / r);
            g = d[i + 1] - shift;
            let turned = (d[i] - g) * sine + 2.0 * cosine * b;
            shift = sine * turned;
            d[i + 1] = g + shift;
            g = cosine * turned - b;
            rotate(vectors, n, i, sine, cosine);
        }
        if !split {
            d[first] -= shift;
            e[first] = g;
            e[last] = 0.0;
        }
    }
}

/// Turns rows `i` and `i + 1` against each other.
fn rotate(vectors: &mut [f64], n: usize, i: usize, sine: f64, cosine: f64) {
    let (before, after) = vectors.split_at_mut((i + 1) * n);
    for (low, high) in before[i * n..].iter_mut().zip(&mut after[..n]) {
        let old = *high;
        *high = sine * *low + cosine * old;
        *low = cosine * *low - sine * old;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn vectors_diagonalise_and_are_orthonormal() {
        let mut rng = Rng::new(5);
        for n in [1, 2, 3, 40] {
            let mut a = vec![0.0; n * n];
            for i in 0..n {
                for j in 0..=i {
                    a[i * n + j] = rng.normal();
                    a[j * n + i] = a[i * n + j];
                }
            }
            let (values, vectors) = eigen(&a, n).unwrap();
            assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
            let row = |i: usize| &vectors[i * n..(i + 1) * n];
            for i in 0..n {
                let image: Vec<f64> = (0..n).map(|k| dot(&a[k * n..(k + 1) * n], row(i))).collect();
                for k in 0..n {
                    assert!((image[k] - values[i] * row(i)[k]).abs() < 1e-12, "n {n}");
                    let product = dot(row(i), row(k));
                    assert!((product - f64::from(u8::from(i == k))).abs() < 1e-13, "n {n}");
                }
            }
        }
    }

    #[test]
    fn diagonal_and_singular_matrices_are_no_exception() {
        let (values, vectors) = eigen(&[2.0, 0.0, 0.0, 3.0], 2).unwrap();
        assert_eq!(values, [3.0, 2.0]);
        assert_eq!(vectors.iter().map(|v| v.abs()).collect::<Vec<_>>(), [0.0, 1.0, 1.0, 0.0]);
        let (values, _) = eigen(&[1.0; 9], 3).unwrap();
        assert!((values[0] - 3.0).abs() < 1e-14 && values[1].abs() < 1e-14);
        assert_eq!(eigen(&[], 0).unwrap().0, [0.0; 0]);
    }
}
