//! Activations in 8 bits: for every 32 values a scale, their sum for weights with an offset.
//!
//! The roundings are llama.cpp's for its types Q8_0 and Q8_1 (the scale and the sum are `f16`), so that
//! both find the same next token.

use half::f16;
use rayon::prelude::*;

use super::BLOCK;

/// Rows of activations.
pub(super) struct Activations {
    pub(super) count: usize,
    /// Blocks of a row.
    pub(super) blocks: usize,
    /// Values of four columns, one behind the other in memory.
    pub(super) fours: Vec<[i8; 4]>,
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
            fours: vec![[0; 4]; x.len() / 4],
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
        let values = self.fours.iter().flatten();
        values.enumerate().map(|(at, q)| self.scales[at / BLOCK] * f32::from(*q)).collect()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "within -127..=127")]
#[expect(clippy::cast_precision_loss, reason = "a sum of 32 bytes")]
fn round(x: &[f32], fours: &mut [[i8; 4]]) -> (f32, f32, i32) {
    let largest = x.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let scale = largest / 127.0;
    let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let mut sum = 0;
    for (x, four) in x.chunks_exact(4).zip(fours) {
        for (x, q) in x.iter().zip(four) {
            *q = (x * inverse).round_ties_even() as i8;
            sum += i32::from(*q);
        }
    }
    (f16::from_f32(scale).to_f32(), f16::from_f32(scale * sum as f32).to_f32(), sum)
}
