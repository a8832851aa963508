//! A dense table of numbers, stored by column: [`Matrix`].

use std::sync::Arc;

/// `rows × cols` floats, column after column; NaN is a missing value where a learner allows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    rows: usize,
    cols: usize,
    values: Arc<Vec<f64>>,
}

impl Matrix {
    /// A matrix from its columns laid end to end; `values.len()` is `rows * cols`.
    pub(crate) fn new(rows: usize, cols: usize, values: Vec<f64>) -> Self {
        debug_assert_eq!(values.len(), rows * cols);
        Self { rows, cols, values: Arc::new(values) }
    }

    /// A matrix from its rows laid end to end.
    #[cfg(test)]
    pub(crate) fn from_row_major(rows: usize, cols: usize, values: &[f64]) -> Self {
        let transposed = (0..cols * rows).map(|i| values[(i % rows) * cols + i / rows]).collect();
        Self::new(rows, cols, transposed)
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn cols(&self) -> usize {
        self.cols
    }

    /// A column.
    pub(crate) fn col(&self, col: usize) -> &[f64] {
        &self.values[col * self.rows..(col + 1) * self.rows]
    }

    /// All values, column after column.
    pub(crate) fn as_slice(&self) -> &[f64] {
        &self.values
    }

    /// All values, row after row.
    pub(crate) fn to_row_major(&self) -> Vec<f64> {
        let mut out = vec![0.0; self.rows * self.cols];
        // Blocks of rows keep the writes within the cache.
        for start in (0..self.rows).step_by(64) {
            let end = (start + 64).min(self.rows);
            for col in 0..self.cols {
                let column = self.col(col);
                for row in start..end {
                    out[row * self.cols + col] = column[row];
                }
            }
        }
        out
    }

    /// The rows of these numbers.
    pub(crate) fn take(&self, rows: &[u32]) -> Self {
        let mut values = Vec::with_capacity(rows.len() * self.cols);
        for col in 0..self.cols {
            let column = self.col(col);
            values.extend(rows.iter().map(|row| column[*row as usize]));
        }
        Self::new(rows.len(), self.cols, values)
    }
}

/// `usize` as a float, for means and sizes.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_agree() {
        let matrix = Matrix::from_row_major(2, 3, &[1., 2., 3., 4., 5., 6.]);
        assert_eq!(matrix.col(1), [2., 5.]);
        assert_eq!(matrix.to_row_major(), [1., 2., 3., 4., 5., 6.]);
        assert_eq!(matrix.take(&[1]).as_slice(), [4., 5., 6.]);
    }
}
