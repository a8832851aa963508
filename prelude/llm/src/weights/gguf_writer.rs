//! Writing GGUF files (version 3), aside and then renamed.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use candle_core::quantized::GgmlDType;
use oxilab_nn::aside;

use crate::error::{LlmError, Result};

/// A metadata value with the type that readers expect.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meta {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(String),
    Texts(Vec<String>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
}

/// A tensor to be written; its bytes are made when they are needed.
pub(crate) struct Entry<'a> {
    pub(crate) name: String,
    /// Outermost first.
    pub(crate) shape: Vec<usize>,
    pub(crate) dtype: GgmlDType,
    pub(crate) bytes: Box<dyn Fn() -> Result<Vec<u8>> + 'a>,
}

impl Entry<'_> {
    fn size(&self) -> usize {
        let elements: usize = self.shape.iter().product();
        elements / self.dtype.block_size() * self.dtype.type_size()
    }
}

const ALIGNMENT: usize = 32;

/// Writes a file. What was there before stays until the new one is whole.
pub(crate) fn write(path: &Path, metadata: &[(String, Meta)], tensors: &[Entry<'_>]) -> Result<()> {
    let failed = |e| LlmError::file("write", path, e);
    aside::replace(path, failed, |file, _| {
        let mut out = BufWriter::new(file);
        out.write_all(&header(metadata, tensors)).map_err(failed)?;
        for tensor in tensors {
            let bytes = (tensor.bytes)()?;
            if bytes.len() != tensor.size() {
                return Err(LlmError::Damaged {
                    path: path.to_owned(),
                    format: "GGUF",
                    reason: format!(
                        "{} has {} bytes where {} were announced",
                        tensor.name,
                        bytes.len(),
                        tensor.size()
                    ),
                });
            }
            out.write_all(&bytes).map_err(failed)?;
            out.write_all(&padding(bytes.len())).map_err(failed)?;
        }
        out.flush().map_err(failed)
    })
}

fn padding(length: usize) -> Vec<u8> {
    vec![0; length.next_multiple_of(ALIGNMENT) - length]
}

fn header(metadata: &[(String, Meta)], tensors: &[Entry<'_>]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(&mut out, key);
        put(&mut out, value);
    }
    let mut offset = 0;
    for tensor in tensors {
        text(&mut out, &tensor.name);
        out.extend(u32::try_from(tensor.shape.len()).unwrap_or(u32::MAX).to_le_bytes());
        for dim in tensor.shape.iter().rev() {
            out.extend((*dim as u64).to_le_bytes());
        }
        out.extend(super::gguf::code(tensor.dtype).to_le_bytes());
        out.extend((offset as u64).to_le_bytes());
        offset += tensor.size().next_multiple_of(ALIGNMENT);
    }
    let rest = padding(out.len());
    out.extend(rest);
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn put(out: &mut Vec<u8>, value: &Meta) {
    let list = |out: &mut Vec<u8>, kind: u32, length: usize| {
        out.extend(9u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((length as u64).to_le_bytes());
    };
    match value {
        Meta::U32(n) => out.extend([4u32.to_le_bytes(), n.to_le_bytes()].concat()),
        Meta::F32(x) => out.extend([6u32.to_le_bytes(), x.to_le_bytes()].concat()),
        Meta::Bool(flag) => {
            out.extend(7u32.to_le_bytes());
            out.push(u8::from(*flag));
        }
        Meta::Text(value) => {
            out.extend(8u32.to_le_bytes());
            text(out, value);
        }
        Meta::Texts(values) => {
            list(out, 8, values.len());
            for value in values {
                text(out, value);
            }
        }
        Meta::I32s(values) => {
            list(out, 5, values.len());
            out.extend(values.iter().flat_map(|n| n.to_le_bytes()));
        }
        Meta::F32s(values) => {
            list(out, 6, values.len());
            out.extend(values.iter().flat_map(|x| x.to_le_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::gguf::{self, Gguf};

    #[test]
    fn what_is_written_is_read_and_a_failed_write_leaves_the_old_file() -> Result<()> {
        let folder =
            tempfile::tempdir().map_err(|e| LlmError::file("create", Path::new("."), e))?;
        let path = folder.path().join("x.gguf");
        let metadata = [
            ("general.architecture".to_owned(), Meta::Text("llama".to_owned())),
            ("a.number".to_owned(), Meta::U32(7)),
            ("a.float".to_owned(), Meta::F32(0.5)),
            ("a.flag".to_owned(), Meta::Bool(true)),
            ("a.texts".to_owned(), Meta::Texts(vec!["x".to_owned(), "yö".to_owned()])),
            ("a.kinds".to_owned(), Meta::I32s(vec![1, 3])),
            ("a.scores".to_owned(), Meta::F32s(vec![-1.0])),
        ];
        let entry = |name: &str, good: bool| Entry {
            name: name.to_owned(),
            shape: vec![2, 3],
            dtype: GgmlDType::F32,
            bytes: Box::new(move || {
                let values = [1f32, 2.0, 3.0, 4.0, 5.0, 6.0].map(f32::to_le_bytes).concat();
                Ok(if good { values } else { Vec::new() })
            }),
        };
        write(&path, &metadata, &[entry("first", true), entry("second", true)])?;
        let read = |path: &Path| -> Result<_> {
            let gguf = Gguf::open(path)?;
            assert_eq!((gguf.number("a.number"), gguf.float("a.float")), (Some(7), Some(0.5)));
            assert_eq!(
                (gguf.flag("a.flag"), gguf.texts("a.texts")),
                (Some(true), Some(vec!["x", "yö"]))
            );
            let second = gguf::tensor(&gguf, "second")?.dequantize(&candle_core::Device::Cpu)?;
            Ok(second.to_vec2::<f32>()?)
        };
        assert_eq!(read(&path)?, [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
        assert!(write(&path, &metadata, &[entry("first", true), entry("second", false)]).is_err());
        assert!((read(&path)?[1][2] - 6.0).abs() < 1e-6);
        assert_eq!(std::fs::read_dir(folder.path()).map_or(0, Iterator::count), 1);
        Ok(())
    }
}
