//! Products of `f32` matrices written where they belong, without a tensor in between: a frozen layer's
//! passes go block by block of the weight into one result.

use gemm::Parallelism;

/// A row-major matrix.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) width: usize,
}

impl Rows<'_> {
    fn count(self) -> usize {
        self.values.len() / self.width.max(1)
    }
}

/// `x · Wᵀ`, written into the columns of `out` from `column` on; the rows of `out` are `width` wide.
pub(crate) fn times_transposed(
    x: Rows<'_>,
    weight: Rows<'_>,
    out: &mut [f32],
    width: usize,
    column: usize,
) {
    assert_eq!(x.width, weight.width, "matrices of different inner widths");
    let (rows, columns) = (x.count(), weight.count());
    assert!(column + columns <= width && rows * width <= out.len(), "no room for the result");
    if rows > 0 && columns > 0 {
        let inner = x.width;
        // The weight is read as its transpose: one step along the sum is one value.
        run(
            Shape { rows, columns, inner },
            x,
            (weight, 1, inner),
            &mut out[column..],
            width,
            false,
        );
    }
}

/// Adds `x[.., column..] · W` to `out`; the rows of `x` are as wide as the whole weight has rows.
pub(crate) fn add_times(x: Rows<'_>, column: usize, weight: Rows<'_>, out: &mut [f32]) {
    let (rows, inner, columns) = (x.count(), weight.count(), weight.width);
    assert!(column + inner <= x.width, "the block is not within the rows");
    assert!(rows * columns <= out.len(), "no room for the result");
    if rows > 0 && columns > 0 && inner > 0 {
        let x = Rows { values: &x.values[column..], width: x.width };
        run(Shape { rows, columns, inner }, x, (weight, weight.width, 1), out, columns, true);
    }
}

#[derive(Clone, Copy)]
struct Shape {
    rows: usize,
    columns: usize,
    inner: usize,
}

#[expect(unsafe_code, reason = "gemm takes pointers")]
#[expect(clippy::cast_possible_wrap, reason = "slices are shorter than isize::MAX")]
fn run(
    shape: Shape,
    x: Rows<'_>,
    (weight, down, across): (Rows<'_>, usize, usize),
    out: &mut [f32],
    width: usize,
    add: bool,
) {
    let Shape { rows, columns, inner } = shape;
    let last = |rows: usize, by: usize, columns: usize, across: usize| {
        (rows - 1) * by + (columns - 1) * across
    };
    assert!(last(rows, width, columns, 1) < out.len(), "the result");
    assert!(last(rows, x.width, inner, 1) < x.values.len(), "the left side");
    assert!(last(inner, down, columns, across) < weight.values.len(), "the right side");
    // SAFETY: the furthest element of each matrix lies within its slice, as asserted, and the result is
    // borrowed alone.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            width as isize,
            add,
            x.values.as_ptr(),
            1,
            x.width as isize,
            weight.values.as_ptr(),
            across as isize,
            down as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::Rayon(0),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_a_weight_add_up_to_the_whole() {
        let x: Vec<f32> = (0..6u8).map(f32::from).collect();
        let w: Vec<f32> = (0..12u8).map(|n| f32::from(n) - 5.0).collect();
        let (x, width) = (Rows { values: &x, width: 3 }, 4);
        let mut y = vec![9.0; 2 * width];
        for (start, rows) in [(0, 3), (3, 1)] {
            let block = Rows { values: &w[start * 3..(start + rows) * 3], width: 3 };
            times_transposed(x, block, &mut y, width, start);
        }
        let dot = |row: usize, out: usize| -> f32 {
            (0..3).map(|i| x.values[row * 3 + i] * w[out * 3 + i]).sum()
        };
        for row in 0..2 {
            for out in 0..width {
                assert!((y[row * width + out] - dot(row, out)).abs() < 1e-5);
            }
        }
        let mut back = vec![0.0; 6];
        for (start, rows) in [(0, 3), (3, 1)] {
            let block = Rows { values: &w[start * 3..(start + rows) * 3], width: 3 };
            add_times(Rows { values: &y, width }, start, block, &mut back);
        }
        for row in 0..2 {
            for i in 0..3 {
                let wanted: f32 = (0..width).map(|o| y[row * width + o] * w[o * 3 + i]).sum();
                assert!((back[row * 3 + i] - wanted).abs() < 1e-3);
            }
        }
    }
}
