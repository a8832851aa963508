//! One block: attention and feed-forward layers, differentiable, with or without cache.

use candle_core::{Device, Result, Tensor};
use oxilab_nn::Mode;
use oxilab_nn::layers::{attention, gelu_tanh, rms_norm, rope, swiglu};

use super::cache::LayerCache;
use super::config::{Architecture, ModelConfig};
use crate::weights::linear::Linear;

/// What all blocks of a pass share.
pub(crate) struct Pass<'a> {
    pub(crate) config: &'a ModelConfig,
    /// Cosines and sines of the positions.
    pub(crate) angles: (Tensor, Tensor),
    /// `(length, total)`, added to the scores.
    pub(crate) mask: Option<Tensor>,
    pub(crate) mode: Mode,
    /// Positions already in the cache.
    pub(crate) past: usize,
}

/// The layers of a block, under Hugging Face's names.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
/// use oxilab_llm::{Llm, Lora};
/// // The names that an adapter's targets have: `q_proj`, `k_proj`, `v_proj`, `o_proj`, `gate_proj`,
/// // `up_proj`, `down_proj`.
/// let mut llm = Llm::load(folder)?;
/// llm.add_adapter(&Lora::new(4).with_targets(&["q_proj", "down_proj"]))?;
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Block {
    pub(crate) input_norm: Tensor,
    pub(crate) post_norm: Tensor,
    pub(crate) q: Linear,
    pub(crate) k: Linear,
    pub(crate) v: Linear,
    pub(crate) o: Linear,
    pub(crate) q_norm: Option<Tensor>,
    pub(crate) k_norm: Option<Tensor>,
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

/// The layers that an adapter can sit on, in order.
pub(crate) const TARGETS: [&str; 7] =
    ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

impl Block {
    /// Layers by name, with the part of the block they are in.
    pub(crate) fn linears(&self) -> [(&'static str, &'static str, &Linear); 7] {
        [
            ("self_attn", "q_proj", &self.q),
            ("self_attn", "k_proj", &self.k),
            ("self_attn", "v_proj", &self.v),
            ("self_attn", "o_proj", &self.o),
            ("mlp", "gate_proj", &self.gate),
            ("mlp", "up_proj", &self.up),
            ("mlp", "down_proj", &self.down),
        ]
    }

    pub(crate) fn linears_mut(&mut self) -> [(&'static str, &'static str, &mut Linear); 7] {
        [
            ("self_attn", "q_proj", &mut self.q),
            ("self_attn", "k_proj", &mut self.k),
            ("self_attn", "v_proj", &mut self.v),
            ("self_attn", "o_proj", &mut self.o),
            ("mlp", "gate_proj", &mut self.gate),
            ("mlp", "up_proj", &mut self.up),
            ("mlp", "down_proj", &mut self.down),
        ]
    }

    pub(crate) fn to_device(&self, device: &Device) -> Result<Self> {
        let optional = |tensor: &Option<Tensor>| {
            tensor.as_ref().map(|tensor| tensor.to_device(device)).transpose()
        };
        Ok(Self {
            input_norm: self.input_norm.to_device(device)?,
            post_norm: self.post_norm.to_device(device)?,
            q: self.q.to_device(device)?,
            k: self.k.to_device(device)?,
            v: self.v.to_device(device)?,
            o: self.o.to_device(device)?,
            q_norm: optional(&self.q_norm)?,
            k_norm: optional(&self.k_norm)?,
            gate: self.gate.to_device(device)?,
            up: self.up.to_device(device)?,
            down: self.down.to_device(device)?,
        })
    }

    /// `x` is `(length, hidden)`.
    pub(crate) fn forward(
        &self,
        x: &Tensor,
        pass: &Pass<'_>,
        cache: Option<&mut LayerCache>,
    ) -> Result<Tensor> {
        let eps = pass.config.eps;
        let attended = self.attend(&rms_norm(x, &self.input_norm, eps)?, pass, cache)?;
        let x = (x + attended)?;
        let normed = rms_norm(&x, &self.post_norm, eps)?;
        let gate = self.gate.forward(&normed, pass.mode)?;
        let up = self.up.forward(&normed, pass.mode)?;
        let inner = match pass.config.architecture {
            Architecture::Gemma => (gelu_tanh(&gate)? * up)?,
            _ => swiglu(&gate, &up)?,
        };
        x + self.down.forward(&inner, pass.mode)?
    }

    fn attend(
        &self,
        x: &Tensor,
        pass: &Pass<'_>,
        cache: Option<&mut LayerCache>,
    ) -> Result<Tensor> {
        let config = pass.config;
        let length = x.dim(0)?;
        let heads = |layer: &Linear, count: usize| {
            let y = layer.forward(x, pass.mode)?.reshape((1, length, count, config.head_dim))?;
            y.transpose(1, 2)?.contiguous()
        };
        let (mut q, mut k) = (heads(&self.q, config.heads)?, heads(&self.k, config.kv_heads)?);
        let v = heads(&self.v, config.kv_heads)?;
        if let Some(norm) = &self.q_norm {
            q = rms_norm(&q, norm, config.eps)?;
        }
        if let Some(norm) = &self.k_norm {
            k = rms_norm(&k, norm, config.eps)?;
        }
        let (cos, sin) = &pass.angles;
        let (q, k) = (rope(&q, cos, sin)?, rope(&k, cos, sin)?);
        let (k, v) = match cache {
            Some(cache) => cache.append(&k, &v, pass.past)?,
            None => (k, v),
        };
        #[expect(clippy::cast_precision_loss, reason = "heads are narrow")]
        let scale = (config.head_dim as f64).sqrt().recip();
        let y = attention(&q, &k, &v, pass.mask.as_ref(), scale)?;
        let y = y.transpose(1, 2)?.reshape((length, config.heads * config.head_dim))?;
        self.o.forward(&y, pass.mode)
    }
}
