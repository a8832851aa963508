//! Dot products of sixteen rows with rows of activations.

use half::f16;

use super::activation::{Activations, HIGH};
use super::{Form, Group, ROWS};

/// A way to compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kernel {
    /// 512 bits, products of bytes in one instruction.
    #[cfg(target_arch = "x86_64")]
    Vnni,
    /// 256 bits.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Any processor.
    Plain,
}

impl Kernel {
    /// All that this processor has, the fastest first.
    pub(super) fn all() -> Vec<Self> {
        let mut all = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni")
            {
                all.push(Self::Vnni);
            }
            if is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c")
            {
                all.push(Self::Avx2);
            }
        }
        all.push(Self::Plain);
        all
    }

    pub(super) fn best() -> Self {
        static BEST: std::sync::OnceLock<Kernel> = std::sync::OnceLock::new();
        *BEST.get_or_init(|| Self::all().into_iter().next().unwrap_or(Self::Plain))
    }

    /// Writes sixteen results for each row of activations.
    pub(super) fn group(self, group: &Group<'_>, x: &Activations, out: &mut [f32]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => {
                each(x, out, Tiles { four: vnni::tile::<4>, one: vnni::tile::<1> }, group);
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                each(x, out, Tiles { four: avx2::tile::<4>, one: avx2::tile::<1> }, group);
            }
            Self::Plain => {
                for (at, out) in out.chunks_exact_mut(ROWS).enumerate() {
                    plain(group, x, at, out);
                }
            }
        }
    }
}

/// The results of some rows of activations from one on.
type Tile = unsafe fn(&Group<'_>, &Activations, usize, &mut [f32]);

#[derive(Clone, Copy)]
struct Tiles {
    four: Tile,
    one: Tile,
}

#[expect(unsafe_code, reason = "the tiles need processor features")]
fn each(x: &Activations, out: &mut [f32], tiles: Tiles, group: &Group<'_>) {
    assert_eq!(group.scales.len(), x.blocks, "weights and activations of different widths");
    assert_eq!(group.lines.len(), x.blocks * group.form.lines(), "a group without all its lines");
    assert_eq!(out.len(), x.count * ROWS, "sixteen results for each row");
    let mut at = 0;
    while at < x.count {
        let (tile, rows) = if x.count - at >= 4 { (tiles.four, 4) } else { (tiles.one, 1) };
        // SAFETY: a kernel with tiles is only made by `Kernel::all`, which found its features, and the
        // sizes were compared above.
        unsafe { tile(group, x, at, &mut out[at * ROWS..(at + rows) * ROWS]) };
        at += rows;
    }
}

/// What is taken off each weight: they are held without sign.
fn offset(form: Form) -> i32 {
    match form {
        Form::Q4_0 => 8,
        Form::Q4_1 => 0,
        Form::Q8_0 => 128,
    }
}

#[expect(clippy::cast_precision_loss, reason = "sums of 32 products of at most 22 bits")]
fn plain(group: &Group<'_>, x: &Activations, at: usize, out: &mut [f32]) {
    out.fill(0.0);
    let lines = group.form.lines();
    for block in 0..x.blocks {
        let place = at * x.blocks + block;
        let fours = &x.fours[place * 8..][..8];
        let mut sums = [0i32; ROWS];
        for (number, line) in group.lines[block * lines..][..lines].iter().enumerate() {
            for (sum, bytes) in sums.iter_mut().zip(line.0.chunks_exact(4)) {
                for (column, byte) in bytes.iter().enumerate() {
                    let x = |four: usize| {
                        let [high, low] = fours[four];
                        i32::from(high[column]) * HIGH + i32::from(low[column])
                    };
                    *sum += if group.form == Form::Q8_0 {
                        i32::from(byte.cast_signed()) * x(number)
                    } else {
                        i32::from(byte & 15) * x(number) + i32::from(byte >> 4) * x(number + 4)
                    };
                }
            }
        }
        let taken = if group.form == Form::Q4_0 { 8 * x.counts[place] } else { 0 };
        for (lane, out) in out.iter_mut().enumerate() {
            let scale = f16::from_bits(group.scales[block][lane]).to_f32();
            *out += scale * x.scales[place] * (sums[lane] - taken) as f32;
            if let Some(minima) = group.minima.get(block) {
                *out += f16::from_bits(minima[lane]).to_f32() * x.sums[place];
            }
        }
    }
}

/// Four bytes in the order of memory.
#[cfg(target_arch = "x86_64")]
fn word(four: [i8; 4]) -> i32 {
    i32::from_ne_bytes(four.map(i8::cast_unsigned))
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions load through pointers")]
mod vnni {
    use std::arch::x86_64::{
        __m512i, _mm256_loadu_si256, _mm512_add_epi32, _mm512_and_si512, _mm512_cvtepi32_ps,
        _mm512_cvtph_ps, _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_load_si512, _mm512_mul_ps,
        _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
        _mm512_setzero_si512, _mm512_slli_epi32, _mm512_srli_epi16, _mm512_storeu_ps,
        _mm512_xor_si512,
    };

    use super::super::activation::Activations;
    use super::super::{Form, Group, ROWS};
    use super::{offset, word};

    /// Times [`HIGH`](super::HIGH).
    const SHIFT: u32 = super::HIGH.trailing_zeros();

    /// # Safety
    /// The processor has the features; `x` has `C` rows from `at` on and as many blocks as the group;
    /// `out` has `16 · C` places.
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub(super) unsafe fn tile<const C: usize>(
        group: &Group<'_>,
        x: &Activations,
        at: usize,
        out: &mut [f32],
    ) {
        let low = _mm512_set1_epi8(15);
        let sign = _mm512_set1_epi8(-128);
        let taken = offset(group.form);
        let mut sums = [_mm512_setzero_ps(); C];
        let mut weights = [low; 8];
        for block in 0..x.blocks {
            if group.form == Form::Q8_0 {
                for (line, weight) in group.lines[block * 8..][..8].iter().zip(&mut weights) {
                    // SAFETY: a line is 64 aligned bytes.
                    let line =
                        unsafe { _mm512_load_si512(std::ptr::from_ref(line).cast::<__m512i>()) };
                    *weight = _mm512_xor_si512(line, sign);
                }
            } else {
                for (number, line) in group.lines[block * 4..][..4].iter().enumerate() {
                    // SAFETY: a line is 64 aligned bytes.
                    let line =
                        unsafe { _mm512_load_si512(std::ptr::from_ref(line).cast::<__m512i>()) };
                    weights[number] = _mm512_and_si512(line, low);
                    weights[number + 4] = _mm512_and_si512(_mm512_srli_epi16::<4>(line), low);
                }
            }
            // SAFETY: sixteen halves are 32 bytes.
            let halves = |halves: &[u16; ROWS]| unsafe {
                _mm512_cvtph_ps(_mm256_loadu_si256(halves.as_ptr().cast()))
            };
            let scale = halves(&group.scales[block]);
            for (row, sum) in sums.iter_mut().enumerate() {
                let place = (at + row) * x.blocks + block;
                let mut lower = _mm512_set1_epi32(-taken * x.counts[place]);
                let mut upper = _mm512_setzero_si512();
                for (weight, [high, low]) in weights.iter().zip(&x.fours[place * 8..][..8]) {
                    upper = _mm512_dpbusd_epi32(upper, *weight, _mm512_set1_epi32(word(*high)));
                    lower = _mm512_dpbusd_epi32(lower, *weight, _mm512_set1_epi32(word(*low)));
                }
                let dot = _mm512_add_epi32(_mm512_slli_epi32::<SHIFT>(upper), lower);
                let scale = _mm512_mul_ps(scale, _mm512_set1_ps(x.scales[place]));
                *sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, *sum);
            }
            if let Some(minima) = group.minima.get(block) {
                let minima = halves(minima);
                for (row, sum) in sums.iter_mut().enumerate() {
                    let place = (at + row) * x.blocks + block;
                    *sum = _mm512_fmadd_ps(minima, _mm512_set1_ps(x.sums[place]), *sum);
                }
            }
        }
        for (sum, out) in sums.iter().zip(out.chunks_exact_mut(ROWS)) {
            // SAFETY: the chunk has sixteen places.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), *sum) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(unsafe_code, reason = "vector instructions load through pointers")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_loadu_si128, _mm256_abs_epi8, _mm256_add_epi32, _mm256_and_si256,
        _mm256_cvtepi32_ps, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_load_si256, _mm256_madd_epi16,
        _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_set1_epi8, _mm256_set1_epi16,
        _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256,
        _mm256_sign_epi8, _mm256_slli_epi32, _mm256_srli_epi16, _mm256_storeu_ps,
    };

    use super::super::activation::Activations;
    use super::super::{Form, Group, ROWS};
    use super::word;

    /// Times [`HIGH`](super::HIGH).
    const SHIFT: i32 = super::HIGH.trailing_zeros().cast_signed();

    /// # Safety
    /// As the tile of 512 bits.
    #[target_feature(enable = "avx2,fma,f16c")]
    pub(super) unsafe fn tile<const C: usize>(
        group: &Group<'_>,
        x: &Activations,
        at: usize,
        out: &mut [f32],
    ) {
        let low = _mm256_set1_epi8(15);
        let ones = _mm256_set1_epi16(1);
        let signed = group.form == Form::Q8_0;
        // Eight rows at a time.
        for half in 0..2 {
            let mut sums = [_mm256_setzero_ps(); C];
            let mut weights = [low; 8];
            for block in 0..x.blocks {
                let lines = group.form.lines();
                for (number, line) in group.lines[block * lines..][..lines].iter().enumerate() {
                    // SAFETY: each half of a line is 32 aligned bytes.
                    let line = unsafe {
                        _mm256_load_si256(std::ptr::from_ref(line).cast::<__m256i>().add(half))
                    };
                    if signed {
                        weights[number] = line;
                    } else {
                        weights[number] = _mm256_and_si256(line, low);
                        weights[number + 4] = _mm256_and_si256(_mm256_srli_epi16::<4>(line), low);
                    }
                }
                // SAFETY: eight halves are 16 bytes.
                let halves = |halves: &[u16; ROWS]| unsafe {
                    _mm256_cvtph_ps(_mm_loadu_si128(halves[half * 8..][..8].as_ptr().cast()))
                };
                let scale = halves(&group.scales[block]);
                let minima = group.minima.get(block).map(halves);
                for (row, sum) in sums.iter_mut().enumerate() {
                    let place = (at + row) * x.blocks + block;
                    let taken = if group.form == Form::Q4_0 { 8 * x.counts[place] } else { 0 };
                    let mut lower = _mm256_set1_epi32(-taken);
                    let mut upper = _mm256_setzero_si256();
                    for (weight, [high, low]) in weights.iter().zip(&x.fours[place * 8..][..8]) {
                        let times = |four: [i8; 4]| {
                            let four = _mm256_set1_epi32(word(four));
                            let pairs = if signed {
                                _mm256_maddubs_epi16(
                                    _mm256_abs_epi8(*weight),
                                    _mm256_sign_epi8(four, *weight),
                                )
                            } else {
                                _mm256_maddubs_epi16(*weight, four)
                            };
                            _mm256_madd_epi16(pairs, ones)
                        };
                        upper = _mm256_add_epi32(upper, times(*high));
                        lower = _mm256_add_epi32(lower, times(*low));
                    }
                    let dot = _mm256_add_epi32(_mm256_slli_epi32::<SHIFT>(upper), lower);
                    let scale = _mm256_mul_ps(scale, _mm256_set1_ps(x.scales[place]));
                    *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), scale, *sum);
                    if let Some(minima) = minima {
                        *sum = _mm256_fmadd_ps(minima, _mm256_set1_ps(x.sums[place]), *sum);
                    }
                }
            }
            for (sum, out) in sums.iter().zip(out.chunks_exact_mut(ROWS)) {
                // SAFETY: eight of sixteen places.
                unsafe { _mm256_storeu_ps(out[half * 8..][..8].as_mut_ptr(), *sum) };
            }
        }
    }
}
