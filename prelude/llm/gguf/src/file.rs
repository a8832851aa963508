//! A file: its header, and the bytes of its tensors.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::{GgufError, Result};
use crate::input::Input;
use crate::kind::Type;
use crate::value::Value;

/// Where a tensor lies.
///
/// ```
/// use oxilab_gguf::Gguf;
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/circle/merged-llama-0.gguf");
/// let file = Gguf::open(path)?;
/// let info = &file.tensors()["token_embd.weight"];
/// assert_eq!(info.shape, [264, 32]);
/// # Ok::<(), oxilab_gguf::GgufError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct TensorInfo {
    /// Dimensions, outermost first: the reverse of the file's order.
    pub shape: Vec<usize>,
    /// How the values are stored.
    pub kind: Type,
    pub(crate) offset: u64,
    pub(crate) bytes: usize,
}

/// An open GGUF file: metadata and the table of tensors.
///
/// ```
/// use oxilab_gguf::Gguf;
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/circle/merged-llama-0.gguf");
/// let file = Gguf::open(path)?;
/// assert_eq!(file.text("general.architecture"), Some("llama"));
/// assert_eq!(file.number("llama.block_count"), Some(2));
/// # Ok::<(), oxilab_gguf::GgufError>(())
/// ```
#[derive(Debug)]
pub struct Gguf {
    path: PathBuf,
    metadata: BTreeMap<String, Value>,
    tensors: BTreeMap<String, TensorInfo>,
    data_start: u64,
}

impl Gguf {
    /// Reads the header.
    ///
    /// ```
    /// use oxilab_gguf::Gguf;
    /// let file = tempfile::NamedTempFile::new()?;
    /// // Version 3, no tensors, one value.
    /// let mut bytes = [&b"GGUF"[..], &3u32.to_le_bytes(), &0u64.to_le_bytes(), &1u64.to_le_bytes()].concat();
    /// bytes.extend([&4u64.to_le_bytes()[..], b"size", &4u32.to_le_bytes(), &7u32.to_le_bytes()].concat());
    /// std::fs::write(file.path(), &bytes)?;
    /// assert_eq!(Gguf::open(file.path())?.number("size"), Some(7));
    /// std::fs::write(file.path(), &bytes[..20])?;
    /// assert!(Gguf::open(file.path()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the file cannot be read, is cut short, or holds sizes that do not fit.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|e| GgufError::file(path, e))?;
        let length = file.metadata().map_err(|e| GgufError::file(path, e))?.len();
        Self::parse(BufReader::new(file), length, path)
    }

    /// Reads the header from anything of `length` bytes; `path` is what errors and [`Gguf::bytes`] name.
    ///
    /// # Errors
    /// As [`Gguf::open`].
    pub fn parse(input: impl Read, length: u64, path: &Path) -> Result<Self> {
        let input = &mut Input::new(input, length, path);
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
    /// ```
    /// use oxilab_gguf::Gguf;
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/goldens/circle/merged-llama-0.gguf");
    /// let (info, bytes) = Gguf::open(path)?.bytes("output_norm.weight")?;
    /// assert_eq!((info.shape.as_slice(), bytes.len()), (&[32][..], 4 * 32));
    /// # Ok::<(), oxilab_gguf::GgufError>(())
    /// ```
    ///
    /// # Errors
    /// When there is no such tensor or the file cannot be read.
    pub fn bytes(&self, name: &str) -> Result<(TensorInfo, Vec<u8>)> {
        let Some(info) = self.tensors.get(name) else {
            return Err(self.bad(format!("tensor {name:?} is missing")));
        };
        let failed = |e| GgufError::file(&self.path, e);
        let mut file = File::open(&self.path).map_err(failed)?;
        file.seek(SeekFrom::Start(self.data_start + info.offset)).map_err(failed)?;
        let mut bytes = vec![0; info.bytes];
        file.read_exact(&mut bytes).map_err(failed)?;
        Ok((info.clone(), bytes))
    }

    /// An error that says what is wrong with this file.
    #[must_use]
    pub fn bad(&self, reason: impl Into<String>) -> GgufError {
        GgufError::damaged(&self.path, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<Gguf> {
        Gguf::parse(bytes, bytes.len() as u64, Path::new("test.gguf"))
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

    #[test]
    fn small_values_that_become_large_ones_are_counted() {
        // One array of 2^25 bytes, a gigabyte as values.
        let count = 1u64 << 25;
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(3u32.to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        bytes.extend(1u64.to_le_bytes());
        bytes.extend(1u64.to_le_bytes());
        bytes.extend(b"a");
        bytes.extend(9u32.to_le_bytes());
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.resize(bytes.len() + (1 << 25), 0);
        let error = parse(&bytes).expect_err("refused").to_string();
        assert!(error.contains("more than 16777216 values"), "{error}");
    }
}
