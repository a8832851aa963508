//! Random numbers that are the same on every machine, thread count and version: `SplitMix64` (Steele,
//! Lea and Flood, 2014, "Fast splittable pseudorandom number generators").

/// A seeded stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: u64,
    spare: Option<f64>,
}

impl Rng {
    /// The stream of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed, spare: None }
    }

    /// The stream of a part of a job (a tree, a fold), independent of the other parts and of the
    /// order in which they run.
    pub(crate) fn part(seed: u64, part: u64) -> Self {
        let mut rng = Self::new(seed ^ part.wrapping_mul(0xD1B5_4A32_D192_ED03));
        rng.next_u64();
        Self::new(rng.next_u64())
    }

    /// The next 64 bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..bound` (Lemire's multiplication).
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.next_u64()) * (bound as u128);
        usize::try_from(product >> 64).unwrap_or(0)
    }

    /// A number in `0.0..1.0`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A number in `low..high`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A standard normal number (Marsaglia's polar method).
    pub(crate) fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let (a, b) = (self.between(-1.0, 1.0), self.between(-1.0, 1.0));
            let s = a * a + b * b;
            if s > 0.0 && s < 1.0 {
                let factor = (-2.0 * s.ln() / s).sqrt();
                self.spare = Some(b * factor);
                return a * factor;
            }
        }
    }

    /// An index with probability proportional to its weight.
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> usize {
        let total: f64 = weights.iter().sum();
        let mut left = self.unit() * total;
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len().saturating_sub(1)
    }

    /// Shuffles in place (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }

    /// `0..length` in random order.
    pub(crate) fn permutation(&mut self, length: usize) -> Vec<u32> {
        let mut values: Vec<u32> = (0..u32::try_from(length).unwrap_or(u32::MAX)).collect();
        self.shuffle(&mut values);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_published_stream() {
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_variance_one() {
        let mut rng = Rng::new(1);
        let values: Vec<f64> = (0..100_000).map(|_| rng.normal()).collect();
        let mean = values.iter().sum::<f64>() / 1e5;
        let variance = values.iter().map(|v| v * v).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }

    #[test]
    fn parts_differ_and_weights_count() {
        assert_ne!(Rng::part(1, 0).next_u64(), Rng::part(1, 1).next_u64());
        let mut rng = Rng::new(3);
        let hits = (0..10_000).filter(|_| rng.weighted(&[1.0, 3.0]) == 1).count();
        assert!((7300..7700).contains(&hits), "{hits}");
    }
}
