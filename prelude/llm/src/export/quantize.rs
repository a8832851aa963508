//! Post-training quantisation: matrices rounded to GGUF's blocks, without calibration.

use std::sync::Mutex;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use super::dither;
use crate::bar::Bar;
use crate::engine::Engine;
use crate::error::Result;
use crate::llm::Llm;
use crate::model::{KvCache, Model};
use crate::weights::gguf::qtensor;
use crate::weights::linear::{Linear, Weight};

/// How the matrices of a model are stored. The embedding and the output, to which rounding does most
/// harm, keep 8 bits where the others get fewer; vectors stay `f32`.
///
/// The types `Q4K`, `Q5K` and `Q6K` need rows of a multiple of 256 values; narrower matrices get the
/// type of about the same width that does not, as llama.cpp does it.
///
/// ```
/// use oxilab_llm::Quant;
/// assert_eq!((Quant::Q4K.name(), Quant::ALL.len()), ("Q4_K", 10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quant {
    /// 32 bits.
    F32,
    /// 16 bits.
    F16,
    /// 8.5 bits a weight.
    Q8_0,
    /// 6.6 bits.
    Q6K,
    /// 6 bits.
    Q5_1,
    /// 5.5 bits.
    Q5_0,
    /// 5.5 bits.
    Q5K,
    /// 5 bits.
    Q4_1,
    /// 4.5 bits.
    Q4_0,
    /// 4.5 bits.
    Q4K,
}

impl Quant {
    /// All types, the widest first.
    pub const ALL: [Self; 10] = [
        Self::F32,
        Self::F16,
        Self::Q8_0,
        Self::Q6K,
        Self::Q5_1,
        Self::Q5_0,
        Self::Q5K,
        Self::Q4_1,
        Self::Q4_0,
        Self::Q4K,
    ];

    /// The format's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::Q8_0 => "Q8_0",
            Self::Q6K => "Q6_K",
            Self::Q5_1 => "Q5_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5K => "Q5_K",
            Self::Q4_1 => "Q4_1",
            Self::Q4_0 => "Q4_0",
            Self::Q4K => "Q4_K",
        }
    }

    fn dtype(self) -> GgmlDType {
        match self {
            Self::F32 => GgmlDType::F32,
            Self::F16 => GgmlDType::F16,
            Self::Q8_0 => GgmlDType::Q8_0,
            Self::Q6K => GgmlDType::Q6K,
            Self::Q5_1 => GgmlDType::Q5_1,
            Self::Q5_0 => GgmlDType::Q5_0,
            Self::Q5K => GgmlDType::Q5K,
            Self::Q4_1 => GgmlDType::Q4_1,
            Self::Q4_0 => GgmlDType::Q4_0,
            Self::Q4K => GgmlDType::Q4K,
        }
    }

    /// `general.file_type` of GGUF.
    pub(super) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q8_0 => 7,
            Self::Q5_0 => 8,
            Self::Q5_1 => 9,
            Self::Q4K => 14,
            Self::Q5K => 16,
            Self::Q6K => 18,
        }
    }

    /// The type of a matrix with rows of this width; `outer` is the embedding and the output.
    pub(super) fn of(self, columns: usize, outer: bool) -> GgmlDType {
        let wanted = match self {
            Self::F32 | Self::F16 => self.dtype(),
            _ if outer => GgmlDType::Q8_0,
            _ => self.dtype(),
        };
        let narrow = match wanted {
            GgmlDType::Q4K => GgmlDType::Q5_0,
            GgmlDType::Q5K => GgmlDType::Q5_1,
            GgmlDType::Q6K => GgmlDType::Q8_0,
            other => other,
        };
        [wanted, narrow]
            .into_iter()
            .find(|dtype| columns.is_multiple_of(dtype.block_size()))
            .unwrap_or(GgmlDType::F16)
    }
}

/// The bytes of a matrix in a type; blocks that have it already are not rounded again.
pub(super) fn encode(weight: &Weight, dtype: GgmlDType) -> Result<Vec<u8>> {
    if let Some((held, bytes)) = weight.blocks_of_rows(0..weight.dims()?.0)?
        && held == dtype
    {
        return Ok(bytes);
    }
    let dense = weight.dense()?;
    if dtype == GgmlDType::F32 {
        let values = dense.flatten_all()?.to_vec1::<f32>()?;
        return Ok(values.into_iter().flat_map(f32::to_le_bytes).collect());
    }
    let (rows, columns) = dense.dims2()?;
    let mut values = dense.flatten_all()?.to_vec1::<f32>()?;
    dither::onto_grid(&mut values, columns, dtype);
    let dense = Tensor::from_vec(values, (rows, columns), &Device::Cpu)?;
    Ok(QTensor::quantize(&dense, dtype)?.data()?.into_owned())
}

/// The matrix rounded to a type, where it is, and the bytes it has in a file.
fn rounded(weight: &Weight, quant: Quant, outer: bool) -> Result<(Weight, usize)> {
    let dims = weight.dims()?;
    let dtype = quant.of(dims.1, outer);
    let bytes = encode(weight, dtype)?;
    let size = bytes.len();
    let device = weight.device();
    let weight = match dtype {
        GgmlDType::F32 | GgmlDType::F16 => {
            Weight::Dense(qtensor(&bytes, &[dims.0, dims.1], dtype)?.dequantize(&device)?)
        }
        _ => Weight::quantized(&bytes, dims, dtype, &device)?,
    };
    Ok((weight, size))
}

impl Llm {
    /// The model with its matrices rounded to `quant`; this one stays as it is. Adapters stay in place
    /// and are not rounded.
    ///
    /// ```no_run
    /// use oxilab_llm::{Llm, Quant};
    /// let small = Llm::load("my-model")?.quantized(Quant::Q4_0)?;
    /// small.save_gguf("my-model-q4_0.gguf")?;
    /// # Ok::<(), oxilab_llm::LlmError>(())
    /// ```
    ///
    /// # Errors
    /// When there is not enough memory, or the user interrupts.
    pub fn quantized(&self, quant: Quant) -> Result<Self> {
        Ok(self.quantized_with_size(quant)?.0)
    }

    pub(super) fn quantized_with_size(&self, quant: Quant) -> Result<(Self, usize)> {
        let model = &self.model;
        let matrices = 7 * model.blocks.len() + 1 + usize::from(model.head.is_some());
        let bar = Bar::new(format!("rounding to {}", quant.name()), matrices);
        let (mut total, mut done) = (0, 0);
        let mut round = |weight: &Weight, outer: bool| -> Result<Weight> {
            bar.set(done)?;
            let (weight, size) = rounded(weight, quant, outer)?;
            (total, done) = (total + size, done + 1);
            Ok(weight)
        };
        let embedding = round(&model.embedding, true)?;
        let mut blocks = model.blocks.clone();
        for block in &mut blocks {
            for (_, _, layer) in block.linears_mut() {
                layer.weight = round(&layer.weight, false)?;
            }
        }
        let head = match &model.head {
            Some(head) => Some(Linear { weight: round(&head.weight, true)?, ..head.clone() }),
            None => None,
        };
        bar.set(matrices)?;
        let table = model.table(1)?;
        let model = Model {
            config: model.config.clone(),
            embedding,
            blocks,
            norm: model.norm.clone(),
            head,
            angles: Mutex::new(table),
        };
        let llm = Self {
            path: self.path.clone(),
            cache: KvCache::new(model.config.layers),
            model,
            tokenizer: self.tokenizer.clone(),
            template: self.template.clone(),
            lora: self.lora.clone(),
            engine: Engine::Candle,
            changed: true,
            cached: Vec::new(),
        };
        Ok((llm, total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_matrices_get_a_type_that_fits() {
        assert_eq!(Quant::Q4K.of(512, false), GgmlDType::Q4K);
        assert_eq!(Quant::Q4K.of(576, false), GgmlDType::Q5_0);
        assert_eq!(Quant::Q6K.of(576, false), GgmlDType::Q8_0);
        assert_eq!(Quant::Q4_0.of(24, false), GgmlDType::F16);
        assert_eq!(Quant::Q4_0.of(64, true), GgmlDType::Q8_0);
        assert_eq!(Quant::F16.of(64, true), GgmlDType::F16);
    }
}
