//! A reader of GGUF files that trusts no number in them: every size is checked against the bytes that
//! are there before anything is allocated.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};

use super::gguf_writer::Meta;
use crate::error::{LlmError, Result};

/// A metadata value; integers are widened.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any unsigned or non-negative signed integer.
    Unsigned(u64),
    /// A negative integer.
    Signed(i64),
    /// A float.
    Float(f64),
    /// A Boolean.
    Bool(bool),
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<Value>),
}

impl Value {
    /// The value as it is written; `None` for nested and mixed arrays.
    #[expect(clippy::cast_possible_truncation, reason = "the file's floats are f32")]
    pub(crate) fn to_meta(&self) -> Option<Meta> {
        Some(match self {
            Self::Unsigned(n) => Meta::U32(u32::try_from(*n).ok()?),
            Self::Float(x) => Meta::F32(*x as f32),
            Self::Bool(flag) => Meta::Bool(*flag),
            Self::Text(text) => Meta::Text(text.clone()),
            Self::Signed(_) => return None,
            Self::Array(values) => match values.first()? {
                Self::Text(_) => {
                    Meta::Texts(
                        values
                            .iter()
                            .map(|value| {
                                if let Self::Text(text) = value { Some(text.clone()) } else { None }
                            })
                            .collect::<Option<_>>()?,
                    )
                }
                Self::Float(_) => Meta::F32s(
                    values
                        .iter()
                        .map(
                            |value| if let Self::Float(x) = value { Some(*x as f32) } else { None },
                        )
                        .collect::<Option<_>>()?,
                ),
                _ => Meta::I32s(
                    values
                        .iter()
                        .map(|value| match value {
                            Self::Unsigned(n) => i32::try_from(*n).ok(),
                            Self::Signed(n) => i32::try_from(*n).ok(),
                            _ => None,
                        })
                        .collect::<Option<_>>()?,
                ),
            },
        })
    }
}

/// Where a tensor lies.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Dimensions, outermost first (candle's order, the reverse of the file's).
    pub shape: Vec<usize>,
    /// How the values are stored.
    pub dtype: GgmlDType,
    offset: u64,
    bytes: usize,
}

/// An open GGUF file: metadata and the table of tensors.
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, TensorInfo>,
    data_start: u64,
}

const MAX_DEPTH: usize = 2;

impl Gguf {
    /// Reads the header.
    ///
    /// # Errors
    /// When the file cannot be read, is cut short, or holds sizes that do not fit.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|e| LlmError::file("read", path, e))?;
        let length = file.metadata().map_err(|e| LlmError::file("read", path, e))?.len();
        let mut input = Input { input: BufReader::new(file), at: 0, length, path };
        Self::parse(&mut input)
    }

    fn parse(input: &mut Input<'_, impl Read>) -> Result<Self> {
        if &input.array::<4>("magic")? != b"GGUF" {
            return Err(input.bad("it does not start with GGUF"));
        }
        let version = input.u32("version")?;
        if !(2..=3).contains(&version) {
            return Err(input.bad(format!("version {version} is not 2 or 3")));
        }
        let tensor_count = input.count("number of tensors", 24)?;
        let value_count = input.count("number of metadata values", 12)?;
        let mut metadata = BTreeMap::new();
        for _ in 0..value_count {
            let key = input.text("metadata key")?;
            let kind = input.u32("metadata type")?;
            let value = input.value(kind, 0)?;
            if metadata.insert(key.clone(), value).is_some() {
                return Err(input.bad(format!("metadata {key:?} comes twice")));
            }
        }
        let mut tensors = BTreeMap::new();
        for _ in 0..tensor_count {
            let name = input.text("tensor name")?;
            let info = input.tensor(&name)?;
            if tensors.insert(name.clone(), info).is_some() {
                return Err(input.bad(format!("tensor {name:?} comes twice")));
            }
        }
        let alignment = match metadata.get("general.alignment") {
            Some(Value::Unsigned(n)) if n.is_power_of_two() && *n <= 1 << 20 => *n,
            Some(other) => return Err(input.bad(format!("an alignment of {other:?}"))),
            None => 32,
        };
        let data_start = input.at.next_multiple_of(alignment);
        for (name, info) in &tensors {
            let end = info
                .offset
                .checked_add(info.bytes as u64)
                .and_then(|end| end.checked_add(data_start));
            if end.is_none_or(|end| end > input.length) || info.offset % alignment != 0 {
                return Err(input.bad(format!(
                    "tensor {name:?} of {} bytes at {} does not lie within the {} bytes of the file; it \
                     may be cut short: download it again",
                    info.bytes, info.offset, input.length
                )));
            }
        }
        Ok(Self { path: input.path.to_owned(), metadata, tensors, data_start })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The metadata by key.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, Value> {
        &self.metadata
    }

    /// The tensors by name.
    #[must_use]
    pub fn tensors(&self) -> &BTreeMap<String, TensorInfo> {
        &self.tensors
    }

    /// A text value.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number that is not negative.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<usize> {
        match self.metadata.get(key)? {
            Value::Unsigned(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    /// A number as a float.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    pub fn float(&self, key: &str) -> Option<f64> {
        match self.metadata.get(key)? {
            Value::Float(x) => Some(*x),
            Value::Unsigned(n) => Some(*n as f64),
            _ => None,
        }
    }

    /// A Boolean.
    #[must_use]
    pub fn flag(&self, key: &str) -> Option<bool> {
        match self.metadata.get(key)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }

    /// An array of texts.
    #[must_use]
    pub fn texts(&self, key: &str) -> Option<Vec<&str>> {
        let Value::Array(values) = self.metadata.get(key)? else { return None };
        values
            .iter()
            .map(|value| match value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }

    /// The stored bytes of a tensor.
    ///
    /// # Errors
    /// When there is no such tensor or the file cannot be read.
    pub fn bytes(&self, name: &str) -> Result<(TensorInfo, Vec<u8>)> {
        let Some(info) = self.tensors.get(name) else {
            return Err(self.bad(format!("tensor {name:?} is missing")));
        };
        let failed = |e| LlmError::file("read", &self.path, e);
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(self.data_start + info.offset)).map_err(failed)?;
        let mut bytes = vec![0; info.bytes];
        file.read_exact(&mut bytes).map_err(failed)?;
        Ok((info.clone(), bytes))
    }

    /// A tensor as it is stored.
    ///
    /// # Errors
    /// When there is no such tensor or the file cannot be read.
    pub fn tensor(&self, name: &str) -> Result<QTensor> {
        let (info, bytes) = self.bytes(name)?;
        qtensor(&bytes, &info.shape, info.dtype)
    }

    pub(crate) fn bad(&self, reason: impl Into<String>) -> LlmError {
        LlmError::Damaged { path: self.path.clone(), format: "GGUF", reason: reason.into() }
    }
}

/// Blocks of bytes as a quantised tensor.
pub(crate) fn qtensor(bytes: &[u8], shape: &[usize], dtype: GgmlDType) -> Result<QTensor> {
    let storage = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, dtype)?;
    Ok(QTensor::new(storage, shape)?)
}

struct Input<'a, R> {
    input: R,
    at: u64,
    length: u64,
    path: &'a Path,
}

impl<R: Read> Input<'_, R> {
    fn bad(&self, reason: impl Into<String>) -> LlmError {
        LlmError::Damaged { path: self.path.to_owned(), format: "GGUF", reason: reason.into() }
    }

    fn left(&self) -> u64 {
        self.length.saturating_sub(self.at)
    }

    fn take(&mut self, bytes: &mut [u8], what: &str) -> Result<()> {
        if bytes.len() as u64 > self.left() {
            return Err(
                self.bad(format!("the file ends at byte {} within the {what}", self.length))
            );
        }
        self.input.read_exact(bytes).map_err(|e| LlmError::file("read", self.path, e))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.take(&mut bytes, what)?;
        Ok(bytes)
    }

    fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A number of things of at least `size` bytes each, which must fit into the rest of the file.
    fn count(&mut self, what: &str, size: u64) -> Result<usize> {
        let count = self.u64(what)?;
        if count > self.left() / size {
            return Err(self.bad(format!("a {what} of {count} with {} bytes left", self.left())));
        }
        usize::try_from(count).map_err(|_| self.bad(format!("a {what} of {count}")))
    }

    fn text(&mut self, what: &str) -> Result<String> {
        let length = self.count(what, 1)?;
        let mut bytes = vec![0; length];
        self.take(&mut bytes, what)?;
        String::from_utf8(bytes).map_err(|_| self.bad(format!("a {what} that is not UTF-8")))
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<Value> {
        let what = "metadata value";
        let signed = |n: i64| u64::try_from(n).map_or(Value::Signed(n), Value::Unsigned);
        Ok(match kind {
            0 => Value::Unsigned(u64::from(self.array::<1>(what)?[0])),
            1 => signed(i64::from(i8::from_le_bytes(self.array(what)?))),
            2 => Value::Unsigned(u64::from(u16::from_le_bytes(self.array(what)?))),
            3 => signed(i64::from(i16::from_le_bytes(self.array(what)?))),
            4 => Value::Unsigned(u64::from(self.u32(what)?)),
            5 => signed(i64::from(i32::from_le_bytes(self.array(what)?))),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.array(what)?))),
            7 => Value::Bool(self.array::<1>(what)?[0] != 0),
            8 => Value::Text(self.text("string")?),
            9 if depth < MAX_DEPTH => {
                let kind = self.u32("type of an array")?;
                let size = match kind {
                    0 | 1 | 7 => 1,
                    2 | 3 => 2,
                    4..=6 => 4,
                    8 | 10..=12 => 8,
                    9 => 12,
                    _ => return Err(self.bad(format!("metadata type {kind}"))),
                };
                let count = self.count("length of an array", size)?;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(kind, depth + 1)?);
                }
                Value::Array(values)
            }
            10 => Value::Unsigned(self.u64(what)?),
            11 => signed(i64::from_le_bytes(self.array(what)?)),
            12 => Value::Float(f64::from_le_bytes(self.array(what)?)),
            9 => return Err(self.bad("arrays nested too deeply")),
            _ => return Err(self.bad(format!("metadata type {kind}"))),
        })
    }

    fn tensor(&mut self, name: &str) -> Result<TensorInfo> {
        let rank = self.u32("rank of a tensor")?;
        if !(1..=4).contains(&rank) {
            return Err(self.bad(format!("tensor {name:?} has {rank} dimensions")));
        }
        let mut shape = Vec::new();
        for _ in 0..rank {
            let dim = self.u64("shape of a tensor")?;
            shape
                .push(usize::try_from(dim).map_err(|_| self.bad(format!("a dimension of {dim}")))?);
        }
        shape.reverse();
        let code = self.u32("type of a tensor")?;
        let offset = self.u64("offset of a tensor")?;
        let dtype = dtype(code).ok_or_else(|| LlmError::Unsupported {
            what: format!("tensor type {code} of {name:?} in {}", self.path.display()),
            supported: "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1 and Q2_K to Q8_K",
        })?;
        let row = shape.last().copied().unwrap_or(0);
        let elements = shape.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
        let bytes = elements
            .filter(|n| *n > 0 && row.is_multiple_of(dtype.block_size()))
            .and_then(|n| (n / dtype.block_size()).checked_mul(dtype.type_size()));
        match bytes {
            Some(bytes) if bytes as u64 <= self.length => {
                Ok(TensorInfo { shape, dtype, offset, bytes })
            }
            _ => Err(self.bad(format!("tensor {name:?} has the impossible shape {shape:?}"))),
        }
    }
}

/// The format's numbers of the types.
const TYPES: [(u32, GgmlDType); 15] = [
    (0, GgmlDType::F32),
    (1, GgmlDType::F16),
    (2, GgmlDType::Q4_0),
    (3, GgmlDType::Q4_1),
    (6, GgmlDType::Q5_0),
    (7, GgmlDType::Q5_1),
    (8, GgmlDType::Q8_0),
    (9, GgmlDType::Q8_1),
    (10, GgmlDType::Q2K),
    (11, GgmlDType::Q3K),
    (12, GgmlDType::Q4K),
    (13, GgmlDType::Q5K),
    (14, GgmlDType::Q6K),
    (15, GgmlDType::Q8K),
    (30, GgmlDType::BF16),
];

fn dtype(code: u32) -> Option<GgmlDType> {
    TYPES.iter().find(|(number, _)| *number == code).map(|(_, dtype)| *dtype)
}

pub(crate) fn code(dtype: GgmlDType) -> u32 {
    TYPES.iter().find(|(_, other)| *other == dtype).map_or(0, |(number, _)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Gguf> {
        let path = Path::new("test.gguf");
        Gguf::parse(&mut Input { input: bytes, at: 0, length: bytes.len() as u64, path })
    }

    /// One text value and one tensor of 32 floats.
    fn file() -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        let text = |bytes: &mut Vec<u8>, text: &str| {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        };
        bytes.extend(3u32.to_le_bytes());
        bytes.extend(1u64.to_le_bytes());
        bytes.extend(1u64.to_le_bytes());
        text(&mut bytes, "general.name");
        bytes.extend(8u32.to_le_bytes());
        text(&mut bytes, "tiny");
        text(&mut bytes, "w");
        bytes.extend(2u32.to_le_bytes());
        bytes.extend(16u64.to_le_bytes());
        bytes.extend(2u64.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(32) + 128, 0);
        bytes
    }

    #[test]
    fn a_small_file_is_read() -> Result<()> {
        let gguf = parse(&file())?;
        assert_eq!(gguf.text("general.name"), Some("tiny"));
        assert_eq!(gguf.tensors()["w"].shape, [2, 16]);
        Ok(())
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error_and_never_a_panic() {
        let whole = file();
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn hostile_sizes_are_refused_before_they_are_allocated() {
        // Every eight bytes in turn as the largest numbers there are.
        let whole = file();
        for hostile in [u64::MAX, u64::MAX / 8, 1 << 40, 1 << 62] {
            for at in 4..whole.len() - 136 {
                let mut bytes = whole.clone();
                bytes[at..at + 8].copy_from_slice(&hostile.to_le_bytes());
                // Most are errors; none may panic or ask for terabytes.
                let _ = parse(&bytes);
            }
        }
        let mut bytes = whole;
        bytes[8..16].copy_from_slice(&u64::MAX.to_le_bytes());
        let error = parse(&bytes).expect_err("refused").to_string();
        assert!(error.contains("number of tensors of 18446744073709551615"), "{error}");
    }
}
