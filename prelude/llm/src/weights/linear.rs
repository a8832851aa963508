//! Linear layers over frozen, quantised or trainable weights, with an optional LoRA adapter.
//!
//! A frozen weight, quantised or not, takes part in training: the layer's backward pass gives the
//! gradient of its input and none of the weight. Quantised weights stay quantised; both passes
//! dequantise a block of rows at a time (QLoRA: Dettmers et al., 2023).
//!
//! The kernels here and in [`packed`](super::packed) are the CPU's. On a GPU products are candle's, and
//! training dequantises one matrix at a time.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QStorage, QTensor};
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Storage, Tensor, Var};
use oxilab_nn::Mode;
use oxilab_nn::device::moved;
use oxilab_nn::layers::{dropout, given};

use super::matmul::{Rows, add_times, times_transposed};
use super::packed::Packed;

/// Elements that are dequantised at a time.
const CHUNK: usize = 1 << 20;

/// Rows up to which training uses the quantised dot product as well.
const FEW_ROWS: usize = 4;

/// A matrix `(outputs, inputs)`.
///
/// ```
/// use candle_core::quantized::GgmlDType;
/// use candle_core::{Device, Tensor};
/// use oxilab_llm::weights::linear::Weight;
/// // One row of 32 values in a block of Q8_0: a scale of 1 in 16 bits, then a byte for each.
/// let mut block = vec![0x00, 0x3c];
/// block.extend(0..32u8);
/// let weight = Weight::quantized(&block, (1, 32), GgmlDType::Q8_0, &Device::Cpu)?;
/// assert_eq!(weight.dims()?, (1, 32));
/// let x = Tensor::ones((1, 32), candle_core::DType::F32, &Device::Cpu)?;
/// let y = weight.apply(&x, false)?.to_vec2::<f32>()?;
/// assert!((y[0][0] - 496.0).abs() < 0.1, "0 + 1 + … + 31");
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub enum Weight {
    /// `f32`, not trained.
    Dense(Tensor),
    /// In GGUF blocks as they are in the file, not trained.
    Quantized(Arc<QTensor>),
    /// In GGUF blocks laid out for fast products, not trained.
    Packed(Arc<Packed>),
    /// `f32`, trained.
    Trainable(Var),
}

impl Weight {
    /// A matrix in GGUF blocks, held as they are: on the CPU packed, where the type has a packed form; on
    /// a GPU as `f32`, where candle has no kernels for the type there.
    ///
    /// # Errors
    /// When the bytes do not make up the shape, or the device has no room for them.
    pub fn quantized(
        bytes: &[u8],
        dims: (usize, usize),
        dtype: GgmlDType,
        device: &Device,
    ) -> Result<Self> {
        if device.is_cpu()
            && let Some(packed) = Packed::new(bytes, dtype, dims.0, dims.1)
        {
            return Ok(Self::Packed(Arc::new(packed)));
        }
        let without_kernels = matches!(dtype, GgmlDType::Q8_1 | GgmlDType::Q8K);
        if without_kernels && !device.is_cpu() {
            let blocks = blocks_of(bytes, dims, dtype, &Device::Cpu)?;
            return Ok(Self::Dense(blocks.dequantize(device)?));
        }
        Ok(Self::Quantized(Arc::new(blocks_of(bytes, dims, dtype, device)?)))
    }

    /// Where it is.
    #[must_use]
    pub fn device(&self) -> Device {
        match self {
            Self::Dense(tensor) => tensor.device().clone(),
            Self::Quantized(tensor) => tensor.device(),
            Self::Packed(_) => Device::Cpu,
            Self::Trainable(var) => var.device().clone(),
        }
    }

    /// The matrix on a device: itself where it is there. Quantised ones move as they are, but for types
    /// that candle has no kernels for there: they are `f32` from then on.
    ///
    /// # Errors
    /// When the device has no room for it.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        match self {
            Self::Dense(tensor) => Ok(Self::Dense(tensor.to_device(device)?)),
            Self::Trainable(var) => Ok(Self::Trainable(moved(var, device)?)),
            Self::Quantized(_) | Self::Packed(_) if self.device().same_device(device) => {
                Ok(self.clone())
            }
            Self::Quantized(_) | Self::Packed(_) => {
                let dims = self.dims()?;
                match self.blocks_of_rows(0..dims.0)? {
                    Some((dtype, bytes)) => Self::quantized(&bytes, dims, dtype, device),
                    None => Ok(self.clone()),
                }
            }
        }
    }

    /// `(outputs, inputs)`.
    ///
    /// # Errors
    /// When the weight is no matrix.
    pub fn dims(&self) -> Result<(usize, usize)> {
        match self {
            Self::Dense(tensor) => tensor.dims2(),
            Self::Quantized(tensor) => tensor.shape().dims2(),
            Self::Packed(packed) => Ok(packed.dims()),
            Self::Trainable(var) => var.dims2(),
        }
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense(tensor) => tensor.elem_count() * 4,
            Self::Quantized(tensor) => tensor.storage_size_in_bytes(),
            Self::Packed(packed) => packed.size(),
            Self::Trainable(var) => var.elem_count() * 4,
        }
    }

    /// The type of the blocks and the bytes of some rows in GGUF's order; `None` unless quantised.
    ///
    /// # Errors
    /// When the bytes cannot be read.
    pub fn blocks_of_rows(
        &self,
        rows: std::ops::Range<usize>,
    ) -> Result<Option<(GgmlDType, Vec<u8>)>> {
        Ok(match self {
            Self::Quantized(tensor) => {
                let row = tensor.storage_size_in_bytes() / self.dims()?.0.max(1);
                let bytes = tensor.data()?[rows.start * row..rows.end * row].to_vec();
                Some((tensor.dtype(), bytes))
            }
            Self::Packed(packed) => Some((packed.dtype(), packed.bytes(rows))),
            Self::Dense(_) | Self::Trainable(_) => None,
        })
    }

    /// The matrix as `f32`.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn dense(&self) -> Result<Tensor> {
        match self {
            Self::Dense(tensor) => Ok(tensor.clone()),
            Self::Quantized(tensor) => tensor.dequantize(&tensor.device()),
            Self::Packed(packed) => some_rows(packed, 0..packed.dims().0),
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
            Self::Packed(packed) => {
                let (rows, columns) = packed.dims();
                let ids = ids.to_vec1::<u32>()?;
                let mut values = vec![0f32; ids.len() * columns];
                for (id, out) in ids.iter().zip(values.chunks_exact_mut(columns)) {
                    let id = *id as usize;
                    if id >= rows {
                        candle_core::bail!("row {id} of a matrix of {rows} rows");
                    }
                    packed.dequantize(id..id + 1, out);
                }
                Tensor::from_vec(values, (ids.len(), columns), &Device::Cpu)
            }
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
            frozen if !train => frozen.product(x),
            frozen if x.device().is_cpu() => x.contiguous()?.apply_op1(Frozen(frozen.clone())),
            frozen => frozen.composed(x),
        }
    }

    /// The differentiable product on a device that has no kernels of ours. With candle's own operations the
    /// graph would hold each dequantised matrix until the backward pass; this holds the quantised one.
    fn composed(&self, x: &Tensor) -> Result<Tensor> {
        let product = x.detach().contiguous()?.matmul(&self.dense()?.t()?)?;
        let weight = self.clone();
        given(x, product, move |_, grad| grad.contiguous()?.matmul(&weight.dense()?))
    }

    /// The product without gradient, quantised ones with rounded activations: of 15 bits where the
    /// weight is packed, of 8 in candle's kernels.
    fn product(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(tensor) => x.matmul(&tensor.t()?),
            // Metal reads from the start of the memory, wherever the tensor begins in it.
            Self::Quantized(tensor) if x.layout().start_offset() > 0 => {
                x.force_contiguous()?.apply_op1_no_bwd(tensor.as_ref())
            }
            Self::Quantized(tensor) => x.contiguous()?.apply_op1_no_bwd(tensor.as_ref()),
            Self::Packed(packed) => x.contiguous()?.apply_op1_no_bwd(&Product(packed.clone())),
            Self::Trainable(var) => x.matmul(&var.t()?),
        }
    }

    /// Calls `f` with the number of the first row and some rows as `f32`, until all have passed.
    fn blocks(&self, mut f: impl FnMut(usize, Rows<'_>)) -> Result<()> {
        let (outputs, width) = self.dims()?;
        if let Self::Dense(_) | Self::Trainable(_) = self {
            return with_values(&self.dense()?, |values| f(0, Rows { values, width }));
        }
        let step = (CHUNK / width).max(1).next_multiple_of(16);
        let mut values = Vec::new();
        for start in (0..outputs).step_by(step) {
            let rows = start..outputs.min(start + step);
            if let Self::Packed(packed) = self {
                values.resize(rows.len() * width, 0.0);
                packed.dequantize(rows, &mut values);
            } else if let Some((dtype, bytes)) = self.blocks_of_rows(rows.clone())? {
                let rows = blocks_of(&bytes, (rows.len(), width), dtype, &Device::Cpu)?;
                values = rows.dequantize(&Device::Cpu)?.flatten_all()?.to_vec1()?;
            }
            f(start, Rows { values: &values, width });
        }
        Ok(())
    }

    fn forward(&self, x: &[f32]) -> Result<Vec<f32>> {
        let (outputs, width) = self.dims()?;
        let rows = x.len() / width;
        if let Self::Packed(packed) = self
            && rows <= FEW_ROWS
        {
            return Ok(packed.multiply(x));
        }
        let mut out = vec![0f32; rows * outputs];
        self.blocks(|start, weight| {
            times_transposed(Rows { values: x, width }, weight, &mut out, outputs, start);
        })?;
        Ok(out)
    }

    fn backward(&self, grad: &Tensor) -> Result<Tensor> {
        let (outputs, inputs) = self.dims()?;
        let rows = grad.dim(0)?;
        let mut out = vec![0f32; rows * inputs];
        with_values(grad, |values| {
            self.blocks(|start, weight| {
                add_times(Rows { values, width: outputs }, start, weight, &mut out);
            })
        })??;
        Tensor::from_vec(out, (rows, inputs), &Device::Cpu)
    }
}

/// The values of a tensor of the CPU, row by row.
fn with_values<T>(tensor: &Tensor, f: impl FnOnce(&[f32]) -> T) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(storage), Some((start, end))) => {
            Ok(f(&storage.as_slice::<f32>()?[start..end]))
        }
        _ => candle_core::bail!("a tensor of another device"),
    }
}

fn some_rows(packed: &Packed, rows: std::ops::Range<usize>) -> Result<Tensor> {
    let shape = (rows.len(), packed.dims().1);
    let mut values = vec![0f32; shape.0 * shape.1];
    packed.dequantize(rows, &mut values);
    Tensor::from_vec(values, shape, &Device::Cpu)
}

fn blocks_of(
    bytes: &[u8],
    dims: (usize, usize),
    dtype: GgmlDType,
    device: &Device,
) -> Result<QTensor> {
    let expected = dims.0 * (dims.1 / dtype.block_size()) * dtype.type_size();
    if !dims.1.is_multiple_of(dtype.block_size()) || bytes.len() != expected {
        candle_core::bail!("{} bytes for a matrix {dims:?} in blocks of {dtype:?}", bytes.len());
    }
    QTensor::new(QStorage::from_data(Cow::Borrowed(bytes), device, dtype)?, dims)
}

struct Product(Arc<Packed>);

impl CustomOp1 for Product {
    fn name(&self) -> &'static str {
        "packed-product"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            return Err(candle_core::Error::RequiresContiguous { op: "packed-product" }.bt());
        };
        let (outputs, inputs) = self.0.dims();
        let (rows, width) = layout.shape().dims2()?;
        if width != inputs {
            candle_core::bail!("rows of {width} values times a matrix of {inputs} columns");
        }
        let y = self.0.multiply(&storage.as_slice::<f32>()?[start..end]);
        Ok((CpuStorage::F32(y), (rows, outputs).into()))
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
        let (rows, width) = layout.shape().dims2()?;
        let (outputs, inputs) = self.0.dims()?;
        if width != inputs {
            candle_core::bail!("rows of {width} values times a matrix of {inputs} columns");
        }
        let y = self.0.forward(&storage.as_slice::<f32>()?[start..end])?;
        Ok((CpuStorage::F32(y), (rows, outputs).into()))
    }

    fn bwd(&self, _x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.0.backward(grad)?))
    }
}

/// The low-rank update of one layer: `scale · B A` (Hu et al., 2021).
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use oxilab_llm::weights::linear::{Adapter, Linear, Weight};
/// use oxilab_nn::Mode;
/// let mut layer = Linear::new(Weight::Dense(Tensor::new(&[[1f32, 0.0]], &Device::Cpu)?), None);
/// let a = Var::new(&[[1f32, 1.0]], &Device::Cpu)?; // (r, inputs)
/// let b = Var::new(&[[0.5f32]], &Device::Cpu)?; // (outputs, r)
/// layer.adapter = Some(Adapter { a, b, scale: 2.0, dropout: 0.0, id: 1 });
/// let x = Tensor::new(&[[3f32, 4.0]], &Device::Cpu)?;
/// // 3, and twice 0.5 · (3 + 4).
/// assert_eq!(layer.forward(&x, Mode::eval())?.to_vec2::<f32>()?, [[10.0]]);
/// layer.merge()?;
/// assert_eq!(layer.forward(&x, Mode::eval())?.to_vec2::<f32>()?, [[10.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
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

impl Adapter {
    fn to_device(&self, device: &Device) -> Result<Self> {
        let (a, b) = (moved(&self.a, device)?, moved(&self.b, device)?);
        Ok(Self { a, b, ..self.clone() })
    }
}

/// `x · Wᵀ + bias`, plus the adapter's update.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_llm::weights::linear::{Linear, Weight};
/// use oxilab_nn::Mode;
/// let weight = Weight::Dense(Tensor::new(&[[3f32, 4.0]], &Device::Cpu)?); // (outputs, inputs)
/// let layer = Linear::new(weight, Some(Tensor::new(&[0.5f32], &Device::Cpu)?));
/// let x = Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?;
/// assert_eq!(layer.forward(&x, Mode::eval())?.to_vec2::<f32>()?, [[11.5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    /// The matrix.
    pub weight: Weight,
    /// `(outputs)`.
    pub bias: Option<Tensor>,
    /// What training makes of the bias; used in its place.
    pub trained_bias: Option<Var>,
    /// The LoRA adapter.
    pub adapter: Option<Adapter>,
}

impl Linear {
    /// A layer without adapter.
    #[must_use]
    pub fn new(weight: Weight, bias: Option<Tensor>) -> Self {
        Self { weight, bias, trained_bias: None, adapter: None }
    }

    /// The layer on a device: its parts themselves where they are there.
    ///
    /// # Errors
    /// When the device has no room for it.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let adapter = self.adapter.as_ref().map(|adapter| adapter.to_device(device));
        Ok(Self {
            weight: self.weight.to_device(device)?,
            bias: self.bias.as_ref().map(|bias| bias.to_device(device)).transpose()?,
            trained_bias: self.trained_bias.as_ref().map(|bias| moved(bias, device)).transpose()?,
            adapter: adapter.transpose()?,
        })
    }

    /// The result `(rows, outputs)` for `x` `(rows, inputs)`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut y = self.weight.apply(x, mode.train)?;
        if let Some(bias) = self.trained_bias.as_deref().or(self.bias.as_ref()) {
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

    /// Adds the adapter's update to the weight, which becomes `f32`, and takes the adapter out; a
    /// trained bias takes the old one's place.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn merge(&mut self) -> Result<()> {
        if let Some(bias) = self.trained_bias.take() {
            self.bias = Some(bias.as_detached_tensor());
        }
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
        Ok(Linear { adapter: Some(adapter), ..Linear::new(weight, None) })
    }

    #[test]
    fn the_gradient_goes_through_a_quantised_weight() -> Result<()> {
        let dense = normal(&[6, 32], 1)?.as_detached_tensor();
        let tensor = QTensor::quantize(&dense, GgmlDType::Q4_1)?;
        let packed = Weight::quantized(&tensor.data()?, (6, 32), GgmlDType::Q4_1, &Device::Cpu)?;
        assert!(matches!(packed, Weight::Packed(_)));
        for weight in [Weight::Quantized(Arc::new(tensor)), packed] {
            let layer = layer(weight)?;
            check(&[normal(&[5, 32], 2)?], |t| {
                layer.forward(&t[0], Mode::train(0))?.affine(0.1, 0.0)
            })?;
        }
        Ok(())
    }

    #[test]
    fn bytes_that_do_not_make_up_a_matrix_are_an_error() {
        for (bytes, dims) in [(34, (1, 64)), (33, (1, 32)), (34, (1, 31)), (0, (1, 32))] {
            let made = Weight::quantized(&vec![0; bytes], dims, GgmlDType::Q8_0, &Device::Cpu);
            let error = made.expect_err("refused").to_string();
            assert!(error.contains(&format!("{bytes} bytes for a matrix {dims:?}")), "{error}");
        }
    }

    #[test]
    fn blocks_of_rows_give_what_the_whole_gives() -> Result<()> {
        // More elements than one block holds.
        let dense = normal(&[CHUNK / 1024 + 8, 1024], 1)?.as_detached_tensor();
        let q = Arc::new(QTensor::quantize(&dense, GgmlDType::Q8_0)?);
        let whole = Weight::Dense(q.dequantize(&Device::Cpu)?);
        let dims = q.shape().dims2()?;
        let parts = Weight::quantized(&q.data()?, dims, GgmlDType::Q8_0, &Device::Cpu)?;
        let x = normal(&[9, 1024], 2)?.as_detached_tensor();
        let y = parts.apply(&x, true)?;
        let far = |a: Tensor, b: Tensor| (a - b)?.abs()?.max_all()?.to_scalar::<f32>();
        assert!(far(y.clone(), whole.apply(&x, true)?)? < 1e-3);
        assert!(far(parts.backward(&y)?, whole.backward(&y)?)? < 0.5);
        Ok(())
    }

    /// What other devices do is done on the CPU here.
    #[test]
    fn composed_products_are_those_of_our_kernels() -> Result<()> {
        let dense = normal(&[6, 32], 1)?.as_detached_tensor();
        let tensor = QTensor::quantize(&dense, GgmlDType::Q5_0)?;
        let packed = Weight::quantized(&tensor.data()?, (6, 32), GgmlDType::Q5_0, &Device::Cpu)?;
        let x = normal(&[5, 32], 2)?;
        for weight in [Weight::Dense(dense), Weight::Quantized(Arc::new(tensor)), packed] {
            let (ours, composed) = (weight.apply(&x, true)?, weight.composed(&x)?);
            let grad = |y: &Tensor| -> Result<Tensor> {
                let grads = y.sqr()?.sum_all()?.backward()?;
                grads.get(&x).cloned().ok_or_else(|| candle_core::Error::Msg("no gradient".into()))
            };
            for (a, b) in [(grad(&ours)?, grad(&composed)?), (ours, composed)] {
                assert!((a - b)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-4, "{weight:?}");
            }
            check(&[normal(&[5, 32], 3)?], |t| weight.composed(&t[0])?.affine(0.1, 0.0)?.sqr())?;
        }
        Ok(())
    }

    #[test]
    fn on_its_own_device_a_layer_is_itself() -> Result<()> {
        let dense = normal(&[6, 32], 1)?.as_detached_tensor();
        let bytes = QTensor::quantize(&dense, GgmlDType::Q4_0)?.data()?.into_owned();
        let packed = Weight::quantized(&bytes, (6, 32), GgmlDType::Q4_0, &Device::Cpu)?;
        let layer = layer(packed)?;
        let same = layer.to_device(&Device::Cpu)?;
        let (Weight::Packed(a), Weight::Packed(b)) = (&layer.weight, &same.weight) else {
            panic!("{:?} and {:?}", layer.weight, same.weight);
        };
        assert!(Arc::ptr_eq(a, b));
        let b = |layer: &Linear| layer.adapter.as_ref().map(|adapter| adapter.b.clone());
        let (Some(old), Some(new)) = (b(&layer), b(&same)) else { panic!("no adapter") };
        new.set(&(new.ones_like()? * 7.5)?)?;
        assert!(old.flatten_all()?.to_vec1::<f32>()?.iter().all(|value| *value == 7.5));
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
