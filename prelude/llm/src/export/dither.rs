//! Small changes of weights that lie on a grid, kept when they are rounded to that grid again.
//!
//! A base in GGUF's blocks with a merged adapter lies beside the grid of the base by less than half a
//! step. Rounding to the nearest point would undo what was taught. Such blocks are rounded up or down by
//! chance, in proportion to the distance: the change is kept in the mean over many weights, and the noise
//! is small because the changes are. Other blocks are left to the nearest point, which is best for them.

use candle_core::quantized::GgmlDType;
use rayon::prelude::*;

/// Values of a block.
const BLOCK: usize = 32;
/// The root mean square distance, in steps, below which a block counts as beside its grid; values without
/// a grid have 0.29.
const BESIDE: f32 = 0.15;

/// Moves the blocks beside the grid of `dtype` onto it.
pub(super) fn onto_grid(values: &mut [f32], columns: usize, dtype: GgmlDType) {
    if !columns.is_multiple_of(BLOCK) || grid(&[0.0, 1.0], dtype).is_none() {
        return;
    }
    values.par_chunks_exact_mut(columns).enumerate().for_each(|(row, values)| {
        let mut chance = Chance(row as u64);
        for block in values.chunks_exact_mut(BLOCK) {
            if let Some(grid) = grid(block, dtype).filter(|grid| grid.is_beside(block)) {
                for value in block {
                    *value = grid.up_or_down(*value, chance.next());
                }
            }
        }
    });
}

/// `start + step · n` for `n` from 0 to `last`.
struct Grid {
    start: f32,
    step: f32,
    last: f32,
}

/// The grid that a block gets, of the types with one step for 32 values; `None` for others and for blocks
/// of one value.
fn grid(block: &[f32], dtype: GgmlDType) -> Option<Grid> {
    let least = block.iter().copied().fold(f32::INFINITY, f32::min);
    let most = block.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let grid = match dtype {
        GgmlDType::Q4_1 => Grid { start: least, step: (most - least) / 15.0, last: 15.0 },
        GgmlDType::Q5_1 => Grid { start: least, step: (most - least) / 31.0, last: 31.0 },
        // The value that is furthest from zero is the first point.
        GgmlDType::Q4_0 | GgmlDType::Q5_0 => {
            let start = if most > -least { most } else { least };
            let half = if dtype == GgmlDType::Q4_0 { 8.0 } else { 16.0 };
            Grid { start, step: start / -half, last: 2.0 * half - 1.0 }
        }
        GgmlDType::Q8_0 => {
            let largest = most.max(-least);
            Grid { start: -largest, step: largest / 127.0, last: 254.0 }
        }
        _ => return None,
    };
    (grid.step != 0.0 && grid.step.is_finite()).then_some(grid)
}

impl Grid {
    #[expect(clippy::cast_precision_loss, reason = "a block's length")]
    fn is_beside(&self, block: &[f32]) -> bool {
        let off = |value: &f32| {
            let place = ((value - self.start) / self.step).clamp(0.0, self.last);
            place - place.round()
        };
        let squares: f32 = block.iter().map(|value| off(value) * off(value)).sum();
        squares < BESIDE * BESIDE * block.len() as f32
    }

    fn up_or_down(&self, value: f32, chance: f32) -> f32 {
        let place = (value - self.start) / self.step;
        self.start + self.step * (place + chance).floor().clamp(0.0, self.last)
    }
}

/// Numbers from 0 to 1, the same in every run (`SplitMix64`).
struct Chance(u64);

impl Chance {
    #[expect(clippy::cast_precision_loss, reason = "24 bits")]
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::quantized::QTensor;
    use candle_core::{Device, Result, Tensor};
    use oxilab_nn::gradcheck::normal;

    const TYPES: [GgmlDType; 5] =
        [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q5_1, GgmlDType::Q8_0];
    const SIZE: (usize, usize) = (64, 512);

    fn round(values: Vec<f32>, dtype: GgmlDType) -> Result<Vec<f32>> {
        let tensor = Tensor::from_vec(values, SIZE, &Device::Cpu)?;
        QTensor::quantize(&tensor, dtype)?.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()
    }

    fn values() -> Result<Vec<f32>> {
        normal(&[SIZE.0, SIZE.1], 1)?.flatten_all()?.to_vec1()
    }

    /// A tenth of a step more everywhere: the nearest points know nothing of it.
    #[test]
    fn a_change_below_half_a_step_is_kept_in_the_mean() -> Result<()> {
        for dtype in TYPES {
            let base = round(values()?, dtype)?;
            let change = 0.1 * grid(&base[..BLOCK], dtype).expect("a grid").step.abs();
            // The ends of a block's grid stay, so that the grid does.
            let mut changed = base.clone();
            for block in changed.chunks_exact_mut(BLOCK) {
                let most = block.iter().fold(0f32, |most, value| most.max(value.abs()));
                let inner = |value: f32| value.abs() < 0.5 * most;
                block.iter_mut().filter(|value| inner(**value)).for_each(|value| *value += change);
            }
            let mean = |rounded: &[f32]| {
                let pairs = base.iter().zip(&changed).zip(rounded);
                let (kept, asked) = pairs.fold((0.0, 0.0), |(kept, asked), ((base, to), found)| {
                    (kept + f64::from(found - base), asked + f64::from(to - base))
                });
                kept / asked
            };
            let nearest = mean(&round(changed.clone(), dtype)?);
            let mut moved = changed.clone();
            onto_grid(&mut moved, SIZE.1, dtype);
            let kept = mean(&round(moved, dtype)?);
            assert!((kept - 1.0).abs() < 0.15, "{dtype:?}: {kept} kept, {nearest} by nearest");
            assert!(nearest.abs() < 0.5, "{dtype:?}: {nearest}");
        }
        Ok(())
    }

    #[test]
    fn what_is_on_the_grid_or_has_none_stays() -> Result<()> {
        for dtype in TYPES {
            let plain = values()?;
            let mut moved = plain.clone();
            onto_grid(&mut moved, SIZE.1, dtype);
            assert_eq!(moved, plain, "{dtype:?}");
            let base = round(plain, dtype)?;
            let mut moved = base.clone();
            onto_grid(&mut moved, SIZE.1, dtype);
            let apart = base.iter().zip(&moved).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(apart < 0.3 * grid(&base[..BLOCK], dtype).expect("a grid").step.abs());
        }
        let mut zeros = vec![0.0; 64];
        onto_grid(&mut zeros, 64, GgmlDType::Q4_1);
        assert_eq!(zeros, [0.0; 64]);
        Ok(())
    }
}
