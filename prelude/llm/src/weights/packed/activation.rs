//! Activations in 15 bits: for every 32 values a scale, their sum for weights with an offset.
//!
//! llama.cpp rounds to 8 bits. Models have activations with outliers, beside which the other values of
//! a block then lose most of theirs: SmolLM2's log-probabilities are off by 0.036 in the mean, and close
//! decisions fall the wrong way. Here a value is two bytes, `128 · high + low`, so that the dot product
//! is still one of bytes and exact in integers; what is lost is a hundredth of it.

use rayon::prelude::*;

use super::BLOCK;

/// What the high byte counts.
pub(super) const HIGH: i32 = 128;
/// The largest value: 127 high, nothing low.
const LARGEST: f32 = 127.0 * 128.0;

/// Rows of activations.
pub(super) struct Activations {
    pub(super) count: usize,
    /// Blocks of a row.
    pub(super) blocks: usize,
    /// High and low bytes of four columns, one behind the other in memory. High ones are at least -127
    /// and low ones from -64 to 63: no product of pairs overflows 16 bits.
    pub(super) fours: Vec<[[i8; 4]; 2]>,
    pub(super) scales: Vec<f32>,
    /// Scale times the sum of a block's values.
    pub(super) sums: Vec<f32>,
    /// The sum of a block's values.
    pub(super) counts: Vec<i32>,
}

impl Activations {
    pub(super) fn new(x: &[f32], columns: usize) -> Self {
        let blocks = x.len() / BLOCK;
        let mut rows = Self {
            count: x.len() / columns,
            blocks: columns / BLOCK,
            fours: vec![[[0; 4]; 2]; x.len() / 4],
            scales: vec![0.0; blocks],
            sums: vec![0.0; blocks],
            counts: vec![0; blocks],
        };
        let chunk = if x.len() < 1 << 14 { x.len() } else { columns * 8 };
        let per = chunk / BLOCK;
        x.par_chunks(chunk)
            .zip(rows.fours.par_chunks_mut(chunk / 4))
            .zip(rows.scales.par_chunks_mut(per))
            .zip(rows.sums.par_chunks_mut(per))
            .zip(rows.counts.par_chunks_mut(per))
            .for_each(|((((x, fours), scales), sums), counts)| {
                for (number, (x, fours)) in
                    x.chunks_exact(BLOCK).zip(fours.chunks_exact_mut(BLOCK / 4)).enumerate()
                {
                    (scales[number], sums[number], counts[number]) = round(x, fours);
                }
            });
        rows
    }

    #[cfg(test)]
    pub(super) fn dequantize(&self) -> Vec<f32> {
        let values = self.fours.iter().flat_map(|[high, low]| {
            high.iter().zip(low).map(|(high, low)| 128.0 * f32::from(*high) + f32::from(*low))
        });
        values.enumerate().map(|(at, q)| self.scales[at / BLOCK] * q).collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "within -16256..=16256, and bytes of that")]
#[expect(clippy::cast_precision_loss, reason = "a sum of 32 numbers of 15 bits")]
fn round(x: &[f32], fours: &mut [[[i8; 4]; 2]]) -> (f32, f32, i32) {
    let largest = x.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let scale = largest / LARGEST;
    let inverse = if largest > 0.0 { LARGEST / largest } else { 0.0 };
    let mut sum = 0;
    for (x, [high, low]) in x.chunks_exact(4).zip(fours) {
        for ((x, high), low) in x.iter().zip(high).zip(low) {
            let q = (x * inverse).round_ties_even() as i32;
            let above = (q + HIGH / 2).div_euclid(HIGH);
            (*high, *low) = (above as i8, (q - above * HIGH) as i8);
            sum += q;
        }
    }
    (scale, scale * sum as f32, sum)
}
