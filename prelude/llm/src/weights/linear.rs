//! Linear layers over frozen, quantised or trainable weights, with an optional LoRA adapter.
//!
//! A frozen weight, quantised or not, takes part in training: the layer's backward pass gives the
//! gradient of its input and none of the weight. Quantised weights stay quantised; both passes
//! dequantise a block of rows at a time (QLoRA: Dettmers et al., 2023).

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{QStorage, QTensor};
use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor, Var};
use oxilab_nn::Mode;
use oxilab_nn::layers::dropout;

/// Elements that are dequantised at a time.
const CHUNK: usize = 4 << 20;

/// Rows up to which training uses the quantised dot product as well.
const FEW_ROWS: usize = 4;

/// A matrix `(outputs, inputs)`.
#[derive(Clone, Debug)]
pub enum Weight {
    /// `f32`, not trained.
    Dense(Tensor),
    /// In GGUF blocks, not trained.
    Quantized(Arc<QTensor>),
    /// `f32`, trained.
    Trainable(Var),
}

impl Weight {
    /// `(outputs, inputs)`.
    ///
    /// # Errors
    /// When the weight is no matrix.
    pub fn dims(&self) -> Result<(usize, usize)> {
        match self {
            Self::Dense(tensor) => tensor.dims2(),
            Self::Quantized(tensor) => tensor.shape().dims2(),
            Self::Trainable(var) => var.dims2(),
        }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense(tensor) => tensor.elem_count() * 4,
            Self::Quantized(tensor) => tensor.storage_size_in_bytes(),
            Self::Trainable(var) => var.elem_count() * 4,
        }
    }

    /// The matrix as `f32`.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn dense(&self) -> Result<Tensor> {
        match self {
            Self::Dense(tensor) => Ok(tensor.clone()),
            Self::Quantized(tensor) => tensor.dequantize(&tensor.device()),
            Self::Trainable(var) => Ok(var.as_detached_tensor()),
        }
    }

    /// The rows of these ids, `(ids, inputs)`.
    ///
    /// # Errors
    /// When an id is not a row.
    pub fn rows(&self, ids: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(tensor) => tensor.index_select(ids, 0),
            Self::Quantized(tensor) => tensor.embedding(ids),
            Self::Trainable(var) => var.index_select(ids, 0),
        }
    }

    /// `x · Wᵀ` for `x` `(rows, inputs)`: fast for inference, differentiable with `train`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn apply(&self, x: &Tensor, train: bool) -> Result<Tensor> {
        match self {
            Self::Trainable(var) => x.matmul(&var.t()?),
            Self::Dense(tensor) if !train => x.matmul(&tensor.t()?),
            Self::Quantized(tensor) if !train => x.contiguous()?.apply_op1_no_bwd(tensor.as_ref()),
            frozen => x.contiguous()?.apply_op1(Frozen(frozen.clone())),
        }
    }

    /// Calls `f` with blocks of rows as `f32` and the number of the first row.
    fn blocks(&self, mut f: impl FnMut(usize, Tensor) -> Result<()>) -> Result<()> {
        let Self::Quantized(tensor) = self else { return f(0, self.dense()?) };
        let (outputs, inputs) = self.dims()?;
        if outputs * inputs <= CHUNK {
            return f(0, self.dense()?);
        }
        let (dtype, data) = (tensor.dtype(), tensor.data()?);
        let row_bytes = inputs / dtype.block_size() * dtype.type_size();
        let step = (CHUNK / inputs).max(1);
        for start in (0..outputs).step_by(step) {
            let rows = step.min(outputs - start);
            let bytes = &data[start * row_bytes..(start + rows) * row_bytes];
            let device = candle_core::Device::Cpu;
            let storage = QStorage::from_data(Cow::Borrowed(bytes), &device, dtype)?;
            f(start, QTensor::new(storage, (rows, inputs))?.dequantize(&device)?)?;
        }
        Ok(())
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if let Self::Quantized(tensor) = self
            && x.dim(0)? <= FEW_ROWS
        {
            return x.apply_op1_no_bwd(tensor.as_ref());
        }
        let mut parts = Vec::new();
        self.blocks(|_, block| {
            parts.push(x.matmul(&block.t()?)?);
            Ok(())
        })?;
        if parts.len() == 1 { Ok(parts.swap_remove(0)) } else { Tensor::cat(&parts, 1) }
    }

    fn backward(&self, grad: &Tensor) -> Result<Tensor> {
        let mut sum: Option<Tensor> = None;
        self.blocks(|start, block| {
            let part = grad.narrow(1, start, block.dim(0)?)?.contiguous()?.matmul(&block)?;
            sum = Some(match sum.take() {
                Some(sum) => (sum + part)?,
                None => part,
            });
            Ok(())
        })?;
        sum.ok_or_else(|| candle_core::Error::Msg("a weight without rows".to_owned()).bt())
    }
}

struct Frozen(Weight);

impl CustomOp1 for Frozen {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            return Err(candle_core::Error::RequiresContiguous { op: "frozen-linear" }.bt());
        };
        let x = &storage.as_slice::<f32>()?[start..end];
        let x = Tensor::from_slice(x, layout.shape(), &candle_core::Device::Cpu)?;
        let y = self.0.forward(&x)?.contiguous()?;
        let (storage, layout) = y.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => Ok((storage.clone(), layout.shape().clone())),
            _ => candle_core::bail!("frozen-linear gave a tensor of another device"),
        }
    }

    fn bwd(&self, _x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.0.backward(grad)?))
    }
}

/// The low-rank update of one layer: `scale · B A` (Hu et al., 2021).
#[derive(Clone, Debug)]
pub struct Adapter {
    /// `(r, inputs)`.
    pub a: Var,
    /// `(outputs, r)`, zero at the start.
    pub b: Var,
    /// `alpha / r`, or `alpha / sqrt(r)` for rsLoRA.
    pub scale: f64,
    /// Dropout of the input while training.
    pub dropout: f64,
    /// A number of its own for the dropout's seed.
    pub id: u64,
}

/// `x · Wᵀ + bias`, plus the adapter's update.
#[derive(Clone, Debug)]
pub struct Linear {
    /// The matrix.
    pub weight: Weight,
    /// `(outputs)`.
    pub bias: Option<Tensor>,
    /// The LoRA adapter.
    pub adapter: Option<Adapter>,
}

impl Linear {
    /// A layer without adapter.
    #[must_use]
    pub fn new(weight: Weight, bias: Option<Tensor>) -> Self {
        Self { weight, bias, adapter: None }
    }

    /// The result `(rows, outputs)` for `x` `(rows, inputs)`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut y = self.weight.apply(x, mode.train)?;
        if let Some(bias) = &self.bias {
            y = y.broadcast_add(bias)?;
        }
        let Some(adapter) = &self.adapter else { return Ok(y) };
        let x = if mode.train && adapter.dropout > 0.0 {
            dropout(x, adapter.dropout, &mut mode.rng(adapter.id))?
        } else {
            x.clone()
        };
        // The factor goes onto the narrow product, not onto the wide one.
        let narrow = (x.matmul(&adapter.a.t()?)? * adapter.scale)?;
        y + narrow.matmul(&adapter.b.t()?)?
    }

    /// Adds the adapter's update to the weight, which becomes `f32`, and takes the adapter out.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn merge(&mut self) -> Result<()> {
        if let Some(adapter) = self.adapter.take() {
            let update = adapter.b.as_detached_tensor().matmul(&adapter.a.as_detached_tensor())?;
            self.weight = Weight::Dense((self.weight.dense()? + (update * adapter.scale)?)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::quantized::GgmlDType;
    use oxilab_nn::gradcheck::{check, normal};

    fn layer(weight: Weight) -> Result<Linear> {
        let (outputs, inputs) = weight.dims()?;
        let adapter = Adapter {
            a: normal(&[2, inputs], 3)?,
            b: normal(&[outputs, 2], 4)?,
            scale: 0.1,
            dropout: 0.0,
            id: 0,
        };
        Ok(Linear { weight, bias: None, adapter: Some(adapter) })
    }

    #[test]
    fn the_gradient_goes_through_a_quantised_weight() -> Result<()> {
        let dense = normal(&[6, 32], 1)?.as_detached_tensor();
        let weight = Weight::Quantized(Arc::new(QTensor::quantize(&dense, GgmlDType::Q4_1)?));
        let layer = layer(weight)?;
        check(&[normal(&[5, 32], 2)?], |t| layer.forward(&t[0], Mode::train(0))?.affine(0.1, 0.0))
    }

    #[test]
    fn blocks_of_rows_give_what_the_whole_gives() -> Result<()> {
        // More elements than one block holds.
        let dense = normal(&[CHUNK / 1024 + 8, 1024], 1)?.as_detached_tensor();
        let q = Arc::new(QTensor::quantize(&dense, GgmlDType::Q8_0)?);
        let whole = Weight::Dense(q.dequantize(&candle_core::Device::Cpu)?);
        let parts = Weight::Quantized(q);
        let x = normal(&[9, 1024], 2)?.as_detached_tensor();
        let y = parts.forward(&x)?;
        let far = |a: Tensor, b: Tensor| (a - b)?.abs()?.max_all()?.to_scalar::<f32>();
        assert!(far(y.clone(), whole.forward(&x)?)? < 1e-3);
        assert!(far(parts.backward(&y)?, whole.backward(&y)?)? < 0.5);
        Ok(())
    }

    #[test]
    fn merging_keeps_the_result() -> Result<()> {
        let mut layer = layer(Weight::Dense(normal(&[6, 8], 1)?.as_detached_tensor()))?;
        let x = normal(&[3, 8], 2)?.as_detached_tensor();
        let before = layer.forward(&x, Mode::eval())?;
        layer.merge()?;
        assert!(layer.adapter.is_none());
        let apart = (before - layer.forward(&x, Mode::eval())?)?.abs()?.max_all()?;
        assert!(apart.to_scalar::<f32>()? < 1e-5);
        Ok(())
    }
}
