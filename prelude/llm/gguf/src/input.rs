//! Reading numbers, texts and values, none of them believed.

use std::io::Read;
use std::path::Path;

use crate::error::{GgufError, Result};
use crate::file::TensorInfo;
use crate::kind::Type;
use crate::value::Value;

/// Arrays within arrays.
const MAX_DEPTH: usize = 2;

/// Values of all arrays of a file. The largest vocabularies have a million, with their merges.
const MOST_VALUES: usize = 1 << 24;

/// The file as a stream, and how much of it is left.
pub(crate) struct Input<'a, R> {
    source: R,
    pub(crate) at: u64,
    pub(crate) length: u64,
    pub(crate) path: &'a Path,
    /// Values of arrays that may still come.
    values: usize,
}

impl<'a, R: Read> Input<'a, R> {
    pub(crate) fn new(source: R, length: u64, path: &'a Path) -> Self {
        Self { source, at: 0, length, path, values: MOST_VALUES }
    }

    pub(crate) fn bad(&self, reason: impl Into<String>) -> GgufError {
        GgufError::damaged(self.path, reason)
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
        self.source.read_exact(bytes).map_err(|e| GgufError::file(self.path, e))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    pub(crate) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.take(&mut bytes, what)?;
        Ok(bytes)
    }

    pub(crate) fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }

    /// A number of things of at least `size` bytes each, which must fit into the rest of the file.
    pub(crate) fn count(&mut self, what: &str, size: u64) -> Result<usize> {
        let count = self.u64(what)?;
        if count > self.left() / size {
            return Err(self.bad(format!("a {what} of {count} with {} bytes left", self.left())));
        }
        usize::try_from(count).map_err(|_| self.bad(format!("a {what} of {count}")))
    }

    pub(crate) fn text(&mut self, what: &str) -> Result<String> {
        let length = self.count(what, 1)?;
        let mut bytes = vec![0; length];
        self.take(&mut bytes, what)?;
        String::from_utf8(bytes).map_err(|_| self.bad(format!("a {what} that is not UTF-8")))
    }

    pub(crate) fn value(&mut self, kind: u32, depth: usize) -> Result<Value> {
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
                // A value takes more room than a byte of the file.
                self.values = self.values.checked_sub(count).ok_or_else(|| {
                    self.bad(format!("more than {MOST_VALUES} values of metadata"))
                })?;
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

    pub(crate) fn tensor(&mut self, name: &str) -> Result<TensorInfo> {
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
        let kind = Type::of(code).ok_or_else(|| GgufError::Type {
            path: self.path.to_owned(),
            tensor: name.to_owned(),
            code,
        })?;
        let (values, size) = kind.block();
        let row = shape.last().copied().unwrap_or(0);
        let elements = shape.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
        let bytes = elements
            .filter(|n| *n > 0 && row.is_multiple_of(values))
            .and_then(|n| (n / values).checked_mul(size));
        match bytes {
            Some(bytes) if bytes as u64 <= self.length => {
                Ok(TensorInfo { shape, kind, offset, bytes })
            }
            _ => Err(self.bad(format!("tensor {name:?} has the impossible shape {shape:?}"))),
        }
    }
}
