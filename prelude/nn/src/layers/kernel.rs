//! What the fused operations share: contiguous `f32` slices of CPU tensors.

use candle_core::{CpuStorage, DType, Error, Layout, Result, Storage, Tensor};

/// The slice of a contiguous `f32` storage.
pub(super) fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        // A tensor without values keeps a storage of another length.
        Some((start, end)) => values.get(start..end).ok_or_else(|| {
            let (shape, held) = (layout.shape(), values.len());
            Error::Msg(format!("a tensor {shape:?} has {held} values: is one of its widths 0?"))
        }),
        None => Err(Error::RequiresContiguous { op: "fused operation" }.bt()),
    }
}

/// Calls `f` with the values of a contiguous `f32` CPU tensor.
pub(super) fn with_slice<R>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> Result<R>) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => f(slice(storage, layout)?),
        _ => {
            candle_core::bail!("a fused operation of the CPU was given a tensor of another device")
        }
    }
}

/// Whether the fused CPU operations take this tensor; others go through composed operations.
pub(super) fn fused(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && tensor.dtype() == DType::F32
}

/// Rows below which threads cost more than they bring.
pub(super) const PARALLEL_FROM: usize = 32 * 1024;
