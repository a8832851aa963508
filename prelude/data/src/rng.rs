//! The random numbers of splits and folds: `SplitMix64`, the same on every machine and in every
//! version (Steele, Lea and Flood, 2014, "Fast splittable pseudorandom number generators").

/// A seeded stream of random numbers.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The stream of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound` (Lemire's multiplication; its bias is below 2⁻³² for our bounds).
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.next_u64()) * (bound as u128);
        usize::try_from(product >> 64).unwrap_or(0)
    }

    /// Shuffles in place (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }

    /// `0..length` in random order.
    pub(crate) fn permutation(&mut self, length: u32) -> Vec<u32> {
        let mut values: Vec<u32> = (0..length).collect();
        self.shuffle(&mut values);
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_gives_the_published_stream() {
        // First outputs of SplitMix64 for seed 1234567, as published with the algorithm.
        let mut rng = Rng::new(1_234_567);
        assert_eq!(rng.next_u64(), 6_457_827_717_110_365_317);
        assert_eq!(rng.next_u64(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_permutation_holds_every_number_once() {
        let mut values = Rng::new(7).permutation(1000);
        assert_ne!(values[..10], (0..10).collect::<Vec<u32>>()[..]);
        values.sort_unstable();
        assert_eq!(values, (0..1000).collect::<Vec<u32>>());
    }
}
