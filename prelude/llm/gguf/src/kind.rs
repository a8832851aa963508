//! How tensors are stored.

/// A type of blocks, under ggml's name.
///
/// ```
/// use oxilab_gguf::Type;
/// assert_eq!(Type::Q4_0.block(), (32, 18), "values and bytes of a block");
/// assert_eq!(Type::F32.block(), (1, 4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Type {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 4 bits and a scale.
    Q4_0,
    /// 4 bits, a scale and a least value.
    Q4_1,
    /// 5 bits and a scale.
    Q5_0,
    /// 5 bits, a scale and a least value.
    Q5_1,
    /// 8 bits and a scale.
    Q8_0,
    /// 8 bits, a scale and a sum.
    Q8_1,
    /// 2 bits in blocks of blocks.
    Q2K,
    /// 3 bits in blocks of blocks.
    Q3K,
    /// 4 bits in blocks of blocks.
    Q4K,
    /// 5 bits in blocks of blocks.
    Q5K,
    /// 6 bits in blocks of blocks.
    Q6K,
    /// 8 bits in blocks of blocks.
    Q8K,
    /// Brain floats.
    BF16,
}

/// Type, number in the file, values and bytes of a block.
const TYPES: [(Type, u32, usize, usize); 15] = [
    (Type::F32, 0, 1, 4),
    (Type::F16, 1, 1, 2),
    (Type::Q4_0, 2, 32, 18),
    (Type::Q4_1, 3, 32, 20),
    (Type::Q5_0, 6, 32, 22),
    (Type::Q5_1, 7, 32, 24),
    (Type::Q8_0, 8, 32, 34),
    (Type::Q8_1, 9, 32, 36),
    (Type::Q2K, 10, 256, 84),
    (Type::Q3K, 11, 256, 110),
    (Type::Q4K, 12, 256, 144),
    (Type::Q5K, 13, 256, 176),
    (Type::Q6K, 14, 256, 210),
    (Type::Q8K, 15, 256, 292),
    (Type::BF16, 30, 1, 2),
];

impl Type {
    /// All types, by their numbers.
    pub const ALL: [Self; TYPES.len()] = {
        let mut all = [Self::F32; TYPES.len()];
        let mut at = 0;
        while at < all.len() {
            all[at] = TYPES[at].0;
            at += 1;
        }
        all
    };

    /// The type of a number in a file.
    ///
    /// ```
    /// use oxilab_gguf::Type;
    /// assert_eq!(Type::of(8), Some(Type::Q8_0));
    /// assert_eq!((Type::Q8_0.code(), Type::Q8_0.block()), (8, (32, 34)));
    /// assert_eq!(Type::of(4), None);
    /// ```
    #[must_use]
    pub fn of(code: u32) -> Option<Self> {
        TYPES.iter().find(|(_, number, ..)| *number == code).map(|(kind, ..)| *kind)
    }

    /// Its number in a file.
    #[must_use]
    pub fn code(self) -> u32 {
        self.row().1
    }

    /// How many values a block holds, and in how many bytes.
    #[must_use]
    pub fn block(self) -> (usize, usize) {
        let (_, _, values, bytes) = self.row();
        (values, bytes)
    }

    fn row(self) -> (Self, u32, usize, usize) {
        TYPES.iter().find(|(kind, ..)| *kind == self).copied().unwrap_or(TYPES[0])
    }
}
