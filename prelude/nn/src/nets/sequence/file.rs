//! Trained nets as safetensors, what was fitted in the header.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};

use super::net::RecurrentNet;
use crate::aside;
use crate::error::{NnError, Result, plain};
use crate::model::Trainable as _;

const ABOUT: &str = "oxilab";

pub(super) fn save(net: &RecurrentNet, about: String, path: &Path) -> Result<()> {
    let tensors: HashMap<String, Tensor> =
        net.vars().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect();
    let failed = |source| NnError::File { action: "write", path: path.to_owned(), source };
    let about = HashMap::from([(ABOUT.to_owned(), about)]);
    aside::replace(path, failed, |_, aside| {
        safetensors::serialize_to_file(tensors.iter(), Some(about), aside)
            .map_err(|e| failed(std::io::Error::other(e)))
    })
}

/// The text that `save` put into the file's header, and the tensors.
pub(super) fn load(path: &Path) -> Result<(String, HashMap<String, Tensor>)> {
    let fail = |reason: String| NnError::Weights { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(|source| NnError::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes)
        .map_err(|e| fail(format!("it is no usable safetensors file: {e}")))?;
    let about = header.metadata().as_ref().and_then(|about| about.get(ABOUT)).cloned();
    let about = about.ok_or_else(|| fail("it does not say what net it holds".to_owned()))?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| fail(format!("it is no usable safetensors file: {}", plain(e))))?;
    Ok((about, tensors))
}
