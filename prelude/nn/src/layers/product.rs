//! Matrix products on slices, by the library that candle multiplies with.

use std::sync::atomic::{AtomicUsize, Ordering};

use gemm::Parallelism;

/// A matrix in a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    cols: usize,
    row_step: usize,
    col_step: usize,
}

impl<'a> Matrix<'a> {
    /// Row after row.
    pub(super) fn new(data: &'a [f32], rows: usize, cols: usize) -> Self {
        Self::with_step(data, rows, cols, cols)
    }

    /// Rows that start `row_step` values after each other.
    pub(super) fn with_step(data: &'a [f32], rows: usize, cols: usize, row_step: usize) -> Self {
        Self { data, rows, cols, row_step, col_step: 1 }
    }

    /// The transpose.
    pub(super) fn t(self) -> Self {
        Self {
            rows: self.cols,
            cols: self.rows,
            row_step: self.col_step,
            col_step: self.row_step,
            ..self
        }
    }

    fn fits(&self) -> bool {
        self.rows == 0
            || self.cols == 0
            || (self.rows - 1) * self.row_step + (self.cols - 1) * self.col_step < self.data.len()
    }
}

/// What becomes of the values that are there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    /// They are replaced.
    Replace,
    /// The product is added to them.
    Add,
}

/// The product of `a` and `b` in `out`, whose rows start `row_step` values after each other, on
/// `threads` threads.
#[expect(clippy::many_single_char_names, reason = "the letters that everybody uses")]
pub(super) fn product(
    a: Matrix<'_>,
    b: Matrix<'_>,
    out: &mut [f32],
    row_step: usize,
    into: Fill,
    threads: usize,
) {
    let (m, n, k) = (a.rows, b.cols, a.cols);
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        a.cols == b.rows
            && a.fits()
            && b.fits()
            && (m - 1) * row_step + n <= out.len()
            && (m == 1 || row_step >= n),
        "the matrices of a product do not fit"
    );
    let parallelism = if threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    let stride = |step: usize| isize::try_from(step).unwrap_or(isize::MAX);
    #[expect(unsafe_code, reason = "the library takes pointers and strides")]
    // SAFETY: all three matrices lie inside their slices by the assertion above, the rows of `out` do
    // not overlap, and `out` is borrowed mutably, so that it is none of the others.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            stride(row_step),
            into == Fill::Add,
            a.data.as_ptr(),
            stride(a.col_step),
            stride(a.row_step),
            b.data.as_ptr(),
            stride(b.col_step),
            stride(b.row_step),
            if into == Fill::Add { 1.0 } else { 0.0 },
            1.0f32,
            false,
            false,
            false,
            parallelism,
        );
    }
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Sets how many threads the layers of this crate compute with; 0 is candle's number
/// (`RAYON_NUM_THREADS`, else the processor's cores).
///
/// The threads of a matrix product wait for each other by spinning. On a machine that is busy with
/// other work, one thread is often faster than two.
///
/// ```
/// use oxilab_nn::layers::{set_threads, threads};
/// set_threads(1);
/// assert_eq!(threads(), 1);
/// ```
pub fn set_threads(threads: usize) {
    THREADS.store(threads, Ordering::Relaxed);
}

/// How many threads the layers of this crate compute with.
#[must_use]
pub fn threads() -> usize {
    match THREADS.load(Ordering::Relaxed) {
        0 => candle_core::utils::get_num_threads(),
        threads => threads,
    }
}

/// Threads for a product of so many multiplications: starting them costs some microseconds.
pub(super) fn threads_for(multiplications: usize) -> usize {
    if multiplications < 1 << 19 { 1 } else { threads() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_transposes_and_into_wider_rows_are_right() {
        let a = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // 2 × 3
        let mut out = [9.0; 6];
        product(Matrix::new(&a, 2, 3), Matrix::new(&a, 2, 3).t(), &mut out, 3, Fill::Replace, 1);
        assert_eq!(out.to_vec(), [14.0, 32.0, 9.0, 32.0, 77.0, 9.0]);
        product(Matrix::new(&a, 2, 3), Matrix::new(&a, 2, 3).t(), &mut out, 3, Fill::Add, 1);
        assert_eq!(out.to_vec(), [28.0, 64.0, 9.0, 64.0, 154.0, 9.0]);
    }
}
