//! Trained nets as safetensors, what was fitted in the header.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::net::RecurrentNet;
use crate::aside;
use crate::error::{NnError, Result, plain};
use crate::model::Trainable as _;

const ABOUT: &str = "oxilab";

pub(super) fn save(net: &RecurrentNet, about: String, path: &Path) -> Result<()> {
    let failed = |source| NnError::File { action: "write", path: path.to_owned(), source };
    let bytes = to_bytes(net, about)?;
    aside::replace(path, failed, |file, _| file.write_all(&bytes).map_err(failed))
}

pub(super) fn to_bytes(net: &RecurrentNet, about: String) -> Result<Vec<u8>> {
    let tensors: HashMap<String, Tensor> =
        net.vars().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect();
    let about = HashMap::from([(ABOUT.to_owned(), about)]);
    let bytes = safetensors::serialize(tensors.iter(), Some(about));
    Ok(bytes.map_err(candle_core::Error::from)?)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|source| NnError::File {
        action: "read",
        path: path.to_owned(),
        source,
    })
}

/// The text that `to_bytes` put into the header, and the tensors; `path` is for errors.
pub(super) fn from_bytes(bytes: &[u8], path: &Path) -> Result<(String, HashMap<String, Tensor>)> {
    let fail = |reason: String| NnError::Weights { path: path.to_owned(), reason };
    let (_, header) = safetensors::SafeTensors::read_metadata(bytes)
        .map_err(|e| fail(format!("it is no usable safetensors file: {e}")))?;
    let about = header.metadata().as_ref().and_then(|about| about.get(ABOUT)).cloned();
    let about = about.ok_or_else(|| fail("it does not say what net it holds".to_owned()))?;
    let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu)
        .map_err(|e| fail(format!("it is no usable safetensors file: {}", plain(e))))?;
    Ok((about, tensors))
}
