//! Weights from files: safetensors, and PyTorch's `.pt`, `.pth` and `.bin` without running pickles.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use oxilab_hub::torch::{Dtype, TorchFile};

use crate::aside;
use crate::error::{NnError, Result, plain};
use crate::model::Trainable;

/// All tensors of a file by name. The ending decides: `.safetensors`, else PyTorch.
///
/// ```
/// use oxilab_nn::{Mlp, assign, load_tensors, save_weights};
/// let folder = tempfile::tempdir().expect("a folder");
/// let path = folder.path().join("net.safetensors");
/// save_weights(&Mlp::new(2, &[3], 1, 7)?, &path)?;
/// let tensors = load_tensors(&path)?;
/// assert_eq!(tensors["layers.0.weight"].dims(), [3, 2]);
/// assign(&Mlp::new(2, &[3], 1, 8)?, &tensors, &[])?;
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
///
/// # Errors
/// When the file cannot be read or is damaged; sizes are checked before anything is allocated.
pub fn load_tensors(path: impl AsRef<Path>) -> Result<HashMap<String, Tensor>> {
    let path = path.as_ref();
    if path.extension().is_some_and(|ending| ending == "safetensors") {
        return candle_core::safetensors::load(path, &Device::Cpu).map_err(|e| NnError::Weights {
            path: path.to_owned(),
            reason: format!("it is no usable safetensors file: {}", plain(e)),
        });
    }
    let mut file = TorchFile::open(path)?;
    let infos = file.tensors().to_vec();
    infos
        .into_iter()
        .map(|info| {
            let bytes = file.bytes(&info.name)?;
            Ok((info.name, tensor(&bytes, info.dtype, &info.shape)?))
        })
        .collect()
}

/// `int8` and `bool` have no type in candle: the former becomes `i64`, the latter `u8`.
fn tensor(bytes: &[u8], dtype: Dtype, shape: &[usize]) -> Result<Tensor> {
    let plain = |dtype| Tensor::from_raw_buffer(bytes, dtype, shape, &Device::Cpu);
    Ok(match dtype {
        Dtype::F32 => plain(DType::F32)?,
        Dtype::F64 => plain(DType::F64)?,
        Dtype::F16 => plain(DType::F16)?,
        Dtype::BF16 => plain(DType::BF16)?,
        Dtype::I64 => plain(DType::I64)?,
        Dtype::U8 | Dtype::Bool => plain(DType::U8)?,
        Dtype::I32 => integers(bytes.chunks_exact(4), shape, |b| {
            i64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        })?,
        Dtype::I16 => {
            integers(bytes.chunks_exact(2), shape, |b| i64::from(i16::from_le_bytes([b[0], b[1]])))?
        }
        _ => integers(bytes.chunks_exact(1), shape, |b| i64::from(i8::from_le_bytes([b[0]])))?,
    })
}

fn integers<'a>(
    parts: impl Iterator<Item = &'a [u8]>,
    shape: &[usize],
    value: impl Fn(&[u8]) -> i64,
) -> candle_core::Result<Tensor> {
    Tensor::from_vec(parts.map(value).collect::<Vec<i64>>(), shape, &Device::Cpu)
}

/// Sets a model's variables and buffers to the tensors of their names. Those whose name starts with
/// one of `except` keep their values: the head of a model for other classes. Tensors that the model
/// has no place for are left alone.
///
/// # Errors
/// When one is missing or has another shape; nothing is changed then.
#[expect(clippy::implicit_hasher, reason = "the maps that files are read into")]
pub fn assign(
    model: &impl Trainable,
    tensors: &HashMap<String, Tensor>,
    except: &[&str],
) -> Result<()> {
    let mut vars = model.vars();
    vars.extend(model.buffers());
    vars.retain(|(name, _)| !except.iter().any(|start| name.starts_with(start)));
    let found = vars
        .iter()
        .map(|(name, var)| fitting(name, var, tensors))
        .collect::<Result<Vec<Tensor>>>()?;
    for ((_, var), tensor) in vars.iter().zip(found) {
        var.set(&tensor)?;
    }
    Ok(())
}

fn fitting(name: &str, var: &Var, tensors: &HashMap<String, Tensor>) -> Result<Tensor> {
    let fail = |reason: String| NnError::Tensor(candle_core::Error::Msg(reason));
    let tensor = tensors.get(name).ok_or_else(|| {
        let mut near: Vec<&str> = tensors.keys().map(String::as_str).collect();
        near.sort_unstable();
        near.truncate(4);
        fail(format!("the file has no {name}; it has {} and others", near.join(", ")))
    })?;
    if tensor.shape() != var.shape() {
        let (theirs, ours) = (tensor.shape(), var.shape());
        return Err(fail(format!("{name} is {theirs:?} in the file and {ours:?} in the model")));
    }
    Ok(tensor.to_dtype(var.dtype())?.to_device(var.device())?)
}

/// Writes a model's variables and buffers as safetensors, aside and then renamed.
///
/// # Errors
/// When the file cannot be written; an older file stays.
pub fn save_weights(model: &impl Trainable, path: impl AsRef<Path>) -> Result<()> {
    let path = path.as_ref();
    let mut vars = model.vars();
    vars.extend(model.buffers());
    let tensors: HashMap<String, Tensor> =
        vars.into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect();
    let failed = |source| NnError::File { action: "write", path: path.to_owned(), source };
    aside::replace(path, failed, |_, aside| {
        candle_core::safetensors::save(&tensors, aside)
            .map_err(|e| failed(std::io::Error::other(plain(e))))
    })
}
