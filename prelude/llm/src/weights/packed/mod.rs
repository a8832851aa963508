//! GGUF's 4- and 8-bit blocks laid out for dot products: sixteen rows side by side, so that one
//! instruction works on sixteen results. Nothing is rounded anew: the blocks' scales and values are the
//! file's, in another order, and [`Packed::bytes`] gives the file's order back.
//!
//! * [`activation`]: rows of `f32` to 15 bits with a scale for every 32 values, once per row.
//! * [`dot`]: the kernels, AVX-512 VNNI, AVX2 or plain Rust, chosen when the program runs.

mod activation;
mod dot;

use candle_core::quantized::GgmlDType;
use half::f16;
use rayon::prelude::*;

use activation::Activations;

/// Rows that lie side by side.
const ROWS: usize = 16;
/// Values of a row that share a scale.
const BLOCK: usize = 32;

/// Sixteen rows' values of four columns.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// How a block of 32 is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `d · (q - 8)`, four bits.
    Q4_0,
    /// `d · q + m`, four bits.
    Q4_1,
    /// `d · q`, eight bits with sign.
    Q8_0,
}

impl Form {
    fn of(dtype: GgmlDType) -> Option<Self> {
        match dtype {
            GgmlDType::Q4_0 => Some(Self::Q4_0),
            GgmlDType::Q4_1 => Some(Self::Q4_1),
            GgmlDType::Q8_0 => Some(Self::Q8_0),
            _ => None,
        }
    }

    /// Bytes of a block in the file, of them the scales.
    fn block_bytes(self) -> (usize, usize) {
        match self {
            Self::Q4_0 => (18, 2),
            Self::Q4_1 => (20, 4),
            Self::Q8_0 => (34, 2),
        }
    }

    /// Lines of a block of sixteen rows.
    fn lines(self) -> usize {
        if self == Self::Q8_0 { 8 } else { 4 }
    }
}

/// A quantised matrix `(rows, columns)`.
///
/// ```
/// use candle_core::quantized::GgmlDType;
/// use oxilab_llm::weights::packed::Packed;
/// // One row of 32 values in a block of Q8_0: a scale of 1 in 16 bits, then a byte for each.
/// let mut block = vec![0x00, 0x3c];
/// block.extend(0..32u8);
/// let packed = Packed::new(&block, GgmlDType::Q8_0, 1, 32).expect("Q8_0 has a packed form");
/// assert_eq!(packed.bytes(0..1), block, "bit for bit what it was made of");
/// assert!((packed.multiply(&[1.0; 32])[0] - 496.0).abs() < 0.1);
/// ```
pub struct Packed {
    dtype: GgmlDType,
    form: Form,
    rows: usize,
    columns: usize,
    lines: Vec<Line>,
    /// For every group of rows and every block sixteen scales, as `f16`.
    scales: Vec<[u16; ROWS]>,
    /// The same for the smallest values; empty where the form has none.
    minima: Vec<[u16; ROWS]>,
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packed({:?}, {} × {})", self.dtype, self.rows, self.columns)
    }
}

impl Packed {
    /// Packs a matrix in the file's order; `None` where the type has no packed form.
    #[must_use]
    pub fn new(bytes: &[u8], dtype: GgmlDType, rows: usize, columns: usize) -> Option<Self> {
        let form = Form::of(dtype)?;
        let blocks = columns / BLOCK;
        let (size, head) = form.block_bytes();
        if !columns.is_multiple_of(BLOCK) || blocks == 0 || bytes.len() != rows * blocks * size {
            return None;
        }
        let groups = rows.div_ceil(ROWS);
        let mut packed = Self {
            dtype,
            form,
            rows,
            columns,
            lines: vec![Line([0; 64]); groups * blocks * form.lines()],
            scales: vec![[0; ROWS]; groups * blocks],
            minima: vec![[0; ROWS]; if form == Form::Q4_1 { groups * blocks } else { 0 }],
        };
        for (number, block) in bytes.chunks_exact(size).enumerate() {
            let (row, column) = (number / blocks, number % blocks);
            let (place, lane) = (row / ROWS * blocks + column, row % ROWS);
            packed.scales[place][lane] = u16::from_le_bytes([block[0], block[1]]);
            if form == Form::Q4_1 {
                packed.minima[place][lane] = u16::from_le_bytes([block[2], block[3]]);
            }
            let lines = &mut packed.lines[place * form.lines()..][..form.lines()];
            for (at, byte) in block[head..].iter().enumerate() {
                lines[at / 4].0[lane * 4 + at % 4] = *byte;
            }
        }
        Some(packed)
    }

    /// `(rows, columns)`.
    #[must_use]
    pub fn dims(&self) -> (usize, usize) {
        (self.rows, self.columns)
    }

    /// The type in the file.
    #[must_use]
    pub fn dtype(&self) -> GgmlDType {
        self.dtype
    }

    /// Bytes held.
    #[must_use]
    pub fn size(&self) -> usize {
        self.lines.len() * 64 + (self.scales.len() + self.minima.len()) * 2 * ROWS
    }

    /// Rows in the file's order.
    #[must_use]
    pub fn bytes(&self, rows: std::ops::Range<usize>) -> Vec<u8> {
        let blocks = self.columns / BLOCK;
        let mut bytes = Vec::with_capacity(rows.len() * blocks * self.form.block_bytes().0);
        for row in rows {
            for column in 0..blocks {
                let (place, lane) = (row / ROWS * blocks + column, row % ROWS);
                bytes.extend(self.scales[place][lane].to_le_bytes());
                if let Some(minima) = self.minima.get(place) {
                    bytes.extend(minima[lane].to_le_bytes());
                }
                for line in &self.lines[place * self.form.lines()..][..self.form.lines()] {
                    bytes.extend(&line.0[lane * 4..][..4]);
                }
            }
        }
        bytes
    }

    /// Rows as `f32`, one behind the other, written into `out`.
    pub fn dequantize(&self, rows: std::ops::Range<usize>, out: &mut [f32]) {
        let start = rows.start;
        let rows = start..rows.end.min(self.rows);
        let out = &mut out[..rows.len() * self.columns];
        out.par_chunks_exact_mut(self.columns)
            .enumerate()
            .with_min_len(16)
            .for_each(|(row, out)| self.row(start + row, out));
    }

    fn row(&self, row: usize, out: &mut [f32]) {
        let blocks = self.columns / BLOCK;
        for (column, out) in out.chunks_exact_mut(BLOCK).enumerate() {
            let (place, lane) = (row / ROWS * blocks + column, row % ROWS);
            let scale = f16::from_bits(self.scales[place][lane]).to_f32();
            let minimum = match self.form {
                Form::Q4_0 => -8.0 * scale,
                Form::Q4_1 => f16::from_bits(self.minima[place][lane]).to_f32(),
                Form::Q8_0 => 0.0,
            };
            let lines = &self.lines[place * self.form.lines()..][..self.form.lines()];
            // The lane's bytes side by side first: the loops below then work on whole vectors.
            let mut bytes = [0u8; BLOCK];
            for (line, bytes) in lines.iter().zip(bytes.chunks_exact_mut(4)) {
                bytes.copy_from_slice(&line.0[lane * 4..][..4]);
            }
            if self.form == Form::Q8_0 {
                for (byte, out) in bytes.iter().zip(out) {
                    *out = scale * f32::from(byte.cast_signed());
                }
            } else {
                let (low, high) = out.split_at_mut(BLOCK / 2);
                for ((byte, low), high) in bytes.iter().zip(low).zip(high) {
                    *low = scale * f32::from(byte & 15) + minimum;
                    *high = scale * f32::from(byte >> 4) + minimum;
                }
            }
        }
    }

    /// `x · Wᵀ` for rows `x` of `columns` values: `rows` values each.
    #[must_use]
    pub fn multiply(&self, x: &[f32]) -> Vec<f32> {
        let count = x.len() / self.columns;
        let activations = Activations::new(x, self.columns);
        let kernel = dot::Kernel::best();
        // Group by group: the sixteen rows stay in the first cache while all activations pass by.
        let mut grouped = vec![0f32; self.rows.div_ceil(ROWS) * count * ROWS];
        let group = |(number, out): (usize, &mut [f32])| {
            kernel.group(&self.group(number), &activations, out);
        };
        let work = self.rows * self.columns * count;
        if work < PARALLEL_FROM {
            grouped.chunks_exact_mut(count * ROWS).enumerate().for_each(group);
        } else {
            // Pieces small enough to share evenly, large enough to be worth handing out.
            let least = (PIECE / (ROWS * self.columns * count)).max(1);
            grouped
                .par_chunks_exact_mut(count * ROWS)
                .enumerate()
                .with_min_len(least)
                .for_each(group);
        }
        if count == 1 {
            grouped.truncate(self.rows);
            return grouped;
        }
        let mut out = vec![0f32; count * self.rows];
        let row = |(at, out): (usize, &mut [f32])| {
            for (number, out) in out.chunks_mut(ROWS).enumerate() {
                out.copy_from_slice(&grouped[(number * count + at) * ROWS..][..out.len()]);
            }
        };
        if work < PARALLEL_FROM {
            out.chunks_exact_mut(self.rows).enumerate().for_each(row);
        } else {
            out.par_chunks_exact_mut(self.rows).enumerate().with_min_len(16).for_each(row);
        }
        out
    }

    fn group(&self, number: usize) -> Group<'_> {
        let blocks = self.columns / BLOCK;
        let lines = blocks * self.form.lines();
        Group {
            form: self.form,
            lines: &self.lines[number * lines..][..lines],
            scales: &self.scales[number * blocks..][..blocks],
            minima: self.minima.get(number * blocks..(number + 1) * blocks).unwrap_or(&[]),
        }
    }
}

/// Multiplications below which one thread does it all.
const PARALLEL_FROM: usize = 1 << 16;
/// Multiplications of the smallest piece of work that is handed to a thread.
const PIECE: usize = 1 << 15;

/// Sixteen rows of a matrix.
struct Group<'a> {
    form: Form,
    lines: &'a [Line],
    scales: &'a [[u16; ROWS]],
    minima: &'a [[u16; ROWS]],
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::QTensor;
    use candle_core::{Device, Result, Tensor};
    use oxilab_nn::gradcheck::normal;

    use super::dot::Kernel;
    use super::*;

    fn packed(dtype: GgmlDType, rows: usize, columns: usize) -> Result<(QTensor, Packed)> {
        let dense = normal(&[rows, columns], 1)?.as_detached_tensor();
        let tensor = QTensor::quantize(&dense, dtype)?;
        let packed = Packed::new(&tensor.data()?, dtype, rows, columns).expect("a packed form");
        Ok((tensor, packed))
    }

    #[test]
    fn packing_keeps_every_bit_and_dequantises_as_candle_does() -> Result<()> {
        for dtype in [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q8_0] {
            let (tensor, packed) = packed(dtype, 37, 96)?;
            assert_eq!(packed.bytes(0..37), *tensor.data()?, "{dtype:?}");
            let mut rows = vec![0.0; 20 * 96];
            packed.dequantize(10..30, &mut rows);
            let theirs = tensor.dequantize(&Device::Cpu)?.narrow(0, 10, 20)?;
            let ours = Tensor::from_vec(rows, (20, 96), &Device::Cpu)?;
            let apart = (ours - theirs)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(apart < 1e-6, "{dtype:?} {apart}");
        }
        assert!(Packed::new(&[0; 10], GgmlDType::Q4_0, 1, 32).is_none());
        assert!(Packed::new(&[0; 144], GgmlDType::Q4K, 1, 256).is_none());
        Ok(())
    }

    /// Every kernel that this machine has gives the product of the dequantised matrix with the rounded
    /// activations.
    #[test]
    fn every_kernel_gives_the_product() -> Result<()> {
        for dtype in [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q8_0] {
            let (tensor, packed) = packed(dtype, 40, 192)?;
            for count in [1, 3, 9, 17] {
                let x = normal(&[count, 192], 2)?.as_detached_tensor();
                let values = x.flatten_all()?.to_vec1::<f32>()?;
                let activations = Activations::new(&values, 192);
                let rounded =
                    Tensor::from_vec(activations.dequantize(), (count, 192), &Device::Cpu)?;
                let expected = rounded.matmul(&tensor.dequantize(&Device::Cpu)?.t()?)?;
                let expected = expected.to_vec2::<f32>()?;
                for kernel in Kernel::all() {
                    for number in 0..3 {
                        let mut out = vec![0.0; count * ROWS];
                        kernel.group(&packed.group(number), &activations, &mut out);
                        for at in 0..count {
                            for lane in 0..ROWS.min(40 - number * ROWS) {
                                let (found, wanted) =
                                    (out[at * ROWS + lane], expected[at][number * ROWS + lane]);
                                assert!(
                                    (found - wanted).abs() < 1e-4,
                                    "{dtype:?} {kernel:?} {count}: {found} {wanted}"
                                );
                            }
                        }
                    }
                }
                let whole = packed.multiply(&values);
                assert!((whole[count * 40 - 1] - expected[count - 1][39]).abs() < 1e-4);
                assert_eq!(whole.len(), count * 40);
            }
        }
        Ok(())
    }

    /// The largest bytes there are, of weights and of activations, in all pairs of signs: no sum within
    /// a kernel overflows.
    #[test]
    fn extremes_do_not_overflow() {
        for dtype in [GgmlDType::Q4_0, GgmlDType::Q4_1, GgmlDType::Q8_0] {
            let (size, head) = Form::of(dtype).expect("a packed form").block_bytes();
            let block = |byte: u8| {
                let mut block = vec![byte; size];
                for scale in block[..head].chunks_exact_mut(2) {
                    scale.copy_from_slice(&f16::ONE.to_bits().to_le_bytes());
                }
                block
            };
            // As eight bits -128, 127, -1 and 0; as four bits 0 and 8, 15 and 7, 15, 0.
            let bytes = [0x80, 0x7f, 0xff, 0].map(block).concat();
            let packed = Packed::new(&bytes, dtype, 4, BLOCK).expect("a packed form");
            let mut weights = vec![0.0; 4 * BLOCK];
            packed.dequantize(0..4, &mut weights);
            let rows = [vec![1.0; BLOCK], vec![-1.0; BLOCK], {
                // Low bytes of -64 and 63 below the largest value.
                let odd = |n: usize| if n.is_multiple_of(2) { 63.0 } else { -64.0 };
                (0..BLOCK).map(|n| if n == 0 { -127.0 * 128.0 } else { odd(n) }).collect()
            }];
            for x in &rows {
                let activations = Activations::new(x, BLOCK);
                for kernel in Kernel::all() {
                    let mut out = vec![0.0; ROWS];
                    kernel.group(&packed.group(0), &activations, &mut out);
                    for (row, found) in weights.chunks_exact(BLOCK).zip(&out) {
                        let wanted: f32 = row.iter().zip(x).map(|(w, x)| w * x).sum();
                        assert!(
                            (found - wanted).abs() <= 1e-6 * wanted.abs(),
                            "{dtype:?} {kernel:?}: {found} {wanted}"
                        );
                    }
                }
            }
        }
    }

    /// Values beside an outlier keep what 8 bits would take from them.
    #[test]
    fn activations_are_rounded_to_a_16256th_of_the_largest() {
        let x: Vec<f32> =
            (0..96u8).map(|n| if n == 40 { -500.0 } else { (f32::from(n) * 0.7).sin() }).collect();
        let rounded = Activations::new(&x, 96).dequantize();
        for (block, (x, rounded)) in
            x.chunks_exact(BLOCK).zip(rounded.chunks_exact(BLOCK)).enumerate()
        {
            let largest = if block == 1 { 500.0 } else { 1.0 };
            for (x, rounded) in x.iter().zip(rounded) {
                assert!((x - rounded).abs() <= 0.51 * largest / 16256.0, "{x} {rounded}");
            }
        }
        assert!(Activations::new(&[0.0; 32], 32).dequantize().iter().all(|x| *x == 0.0));
    }
}
