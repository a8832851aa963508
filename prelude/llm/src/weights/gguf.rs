//! GGUF files as candle's tensors. The parser is a crate of its own, which knows no tensors.

use std::borrow::Cow;

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QStorage, QTensor};

pub use oxilab_gguf::{Gguf, GgufError, TensorInfo, Type, Value};

use super::gguf_writer::Meta;
use crate::error::{LlmError, Result};

impl From<GgufError> for LlmError {
    fn from(error: GgufError) -> Self {
        match error {
            GgufError::File { path, source } => Self::File { action: "read", path, source },
            GgufError::Damaged { path, reason } => Self::Damaged { path, format: "GGUF", reason },
            GgufError::Type { path, tensor, code } => Self::Unsupported {
                what: format!("tensor type {code} of {tensor:?} in {}", path.display()),
                supported: "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q8_1 and Q2_K to Q8_K",
            },
            other => Self::Unsupported { what: other.to_string(), supported: "GGUF 2 and 3" },
        }
    }
}

/// A tensor as it is stored.
pub(crate) fn tensor(gguf: &Gguf, name: &str) -> Result<QTensor> {
    let (info, bytes) = gguf.bytes(name)?;
    qtensor(&bytes, &info.shape, dtype(info.kind))
}

/// Blocks of bytes as a quantised tensor.
pub(crate) fn qtensor(bytes: &[u8], shape: &[usize], dtype: GgmlDType) -> Result<QTensor> {
    let storage = QStorage::from_data(Cow::Borrowed(bytes), &Device::Cpu, dtype)?;
    Ok(QTensor::new(storage, shape)?)
}

/// A value as it is written; `None` for nested and mixed arrays.
#[expect(clippy::cast_possible_truncation, reason = "the file's floats are f32")]
pub(crate) fn meta(value: &Value) -> Option<Meta> {
    Some(match value {
        Value::Unsigned(n) => Meta::U32(u32::try_from(*n).ok()?),
        Value::Float(x) => Meta::F32(*x as f32),
        Value::Bool(flag) => Meta::Bool(*flag),
        Value::Text(text) => Meta::Text(text.clone()),
        Value::Signed(_) => return None,
        Value::Array(values) => match values.first()? {
            Value::Text(_) => Meta::Texts(
                values
                    .iter()
                    .map(
                        |value| {
                            if let Value::Text(text) = value { Some(text.clone()) } else { None }
                        },
                    )
                    .collect::<Option<_>>()?,
            ),
            Value::Float(_) => Meta::F32s(
                values
                    .iter()
                    .map(|value| if let Value::Float(x) = value { Some(*x as f32) } else { None })
                    .collect::<Option<_>>()?,
            ),
            _ => Meta::I32s(
                values
                    .iter()
                    .map(|value| match value {
                        Value::Unsigned(n) => i32::try_from(*n).ok(),
                        Value::Signed(n) => i32::try_from(*n).ok(),
                        _ => None,
                    })
                    .collect::<Option<_>>()?,
            ),
        },
    })
}

const TYPES: [(Type, GgmlDType); 15] = [
    (Type::F32, GgmlDType::F32),
    (Type::F16, GgmlDType::F16),
    (Type::Q4_0, GgmlDType::Q4_0),
    (Type::Q4_1, GgmlDType::Q4_1),
    (Type::Q5_0, GgmlDType::Q5_0),
    (Type::Q5_1, GgmlDType::Q5_1),
    (Type::Q8_0, GgmlDType::Q8_0),
    (Type::Q8_1, GgmlDType::Q8_1),
    (Type::Q2K, GgmlDType::Q2K),
    (Type::Q3K, GgmlDType::Q3K),
    (Type::Q4K, GgmlDType::Q4K),
    (Type::Q5K, GgmlDType::Q5K),
    (Type::Q6K, GgmlDType::Q6K),
    (Type::Q8K, GgmlDType::Q8K),
    (Type::BF16, GgmlDType::BF16),
];

/// candle's name of a type.
pub(crate) fn dtype(kind: Type) -> GgmlDType {
    TYPES.iter().find(|(other, _)| *other == kind).map_or(GgmlDType::F32, |(_, dtype)| *dtype)
}

/// The number of a type in files.
pub(crate) fn code(dtype: GgmlDType) -> u32 {
    TYPES.iter().find(|(_, other)| *other == dtype).map_or(0, |(kind, _)| kind.code())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_candles_with_blocks_of_the_same_size() {
        for kind in Type::ALL {
            let dtype = dtype(kind);
            assert_eq!(format!("{kind:?}"), format!("{dtype:?}"));
            assert_eq!(kind.block(), (dtype.block_size(), dtype.type_size()), "{kind:?}");
            assert_eq!(code(dtype), kind.code());
        }
    }
}
