//! One model for the whole Llama family: fast with a cache, differentiable without.

mod block;
mod cache;
mod config;
mod load;
mod train;

use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Result, Tensor};
use oxilab_nn::Mode;
use oxilab_nn::layers::{RopeTable, causal_mask, rms_norm};

pub use block::Block;
pub(crate) use block::{Pass, TARGETS};
pub use cache::KvCache;
pub use config::{Architecture, ModelConfig};
pub use train::Sequence;

use crate::weights::linear::{Linear, Weight};

/// A language model.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
/// use oxilab_llm::{Llm, model::KvCache};
/// use oxilab_nn::Mode;
/// let llm = Llm::load(folder)?;
/// let model = llm.model();
/// let hidden = model.forward(&[5, 77, 130], &mut KvCache::new(model.config().layers))?;
/// let logits = model.logits(&hidden, Mode::eval())?;
/// assert_eq!(logits.dims(), [3, model.config().vocabulary]);
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Debug)]
pub struct Model {
    pub(crate) config: ModelConfig,
    pub(crate) embedding: Weight,
    pub(crate) blocks: Vec<Block>,
    pub(crate) norm: Tensor,
    /// `None` when the output shares the input's embedding.
    pub(crate) head: Option<Linear>,
    pub(crate) angles: Mutex<RopeTable>,
}

impl Model {
    /// What the model looks like.
    #[must_use]
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Weights in all, adapters not counted.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.weights().map(|weight| weight.dims().map_or(0, |(a, b)| a * b)).sum()
    }

    /// Bytes of the weights as they are held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.weights().map(Weight::bytes).sum()
    }

    fn weights(&self) -> impl Iterator<Item = &Weight> {
        let blocks = self.blocks.iter().flat_map(Block::linears).map(|(_, _, layer)| &layer.weight);
        blocks.chain([&self.embedding]).chain(self.head.iter().map(|head| &head.weight))
    }

    /// Where all of its tensors are.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.norm.device()
    }

    /// The model on a device: its tensors themselves where they are there.
    ///
    /// # Errors
    /// When the device has no room for it.
    pub(crate) fn to_device(&self, device: &Device) -> Result<Self> {
        let blocks = self.blocks.iter().map(|block| block.to_device(device));
        Ok(Self {
            embedding: self.embedding.to_device(device)?,
            blocks: blocks.collect::<Result<_>>()?,
            norm: self.norm.to_device(device)?,
            head: self.head.as_ref().map(|head| head.to_device(device)).transpose()?,
            angles: Mutex::new(angles(&self.config, self.table(1)?.positions(), device)?),
            config: self.config.clone(),
        })
    }

    /// The hidden states `(tokens, hidden)` after the last norm of tokens that follow what is in the
    /// cache; they are put into it.
    ///
    /// # Errors
    /// When a token is not in the vocabulary.
    pub fn forward(&self, tokens: &[u32], cache: &mut KvCache) -> Result<Tensor> {
        let past = cache.length;
        let mask = if tokens.len() > 1 || self.config.window.is_some_and(|window| past >= window) {
            Some(causal_mask(tokens.len(), past, self.config.window, self.device())?)
        } else {
            None
        };
        let angles = self.table(past + tokens.len())?.range(past, tokens.len())?;
        let pass = Pass { config: &self.config, angles, mask, mode: Mode::eval(), past };
        let mut x = self.embed(tokens)?;
        for (block, cache) in self.blocks.iter().zip(&mut cache.layers) {
            x = block.forward(&x, &pass, Some(cache))?;
        }
        cache.length += tokens.len();
        rms_norm(&x, &self.norm, self.config.eps)
    }

    /// The logits `(rows, vocabulary)` of hidden states.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn logits(&self, hidden: &Tensor, mode: Mode) -> Result<Tensor> {
        match &self.head {
            Some(head) => head.forward(hidden, mode),
            None => self.embedding.apply(hidden, mode.train),
        }
    }

    pub(crate) fn embed(&self, tokens: &[u32]) -> Result<Tensor> {
        if let Some(id) = tokens.iter().find(|id| **id as usize >= self.config.vocabulary) {
            candle_core::bail!("token {id} is not in the vocabulary of {}", self.config.vocabulary);
        }
        let x = self.embedding.rows(&Tensor::new(tokens, self.device())?)?;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        match self.config.architecture {
            Architecture::Gemma => x * (self.config.hidden as f64).sqrt(),
            _ => Ok(x),
        }
    }

    /// The rotary table for at least `positions` positions.
    pub(crate) fn table(&self, positions: usize) -> Result<RopeTable> {
        let mut held = self.angles.lock().unwrap_or_else(PoisonError::into_inner);
        if held.positions() < positions {
            *held = angles(&self.config, positions.next_power_of_two(), self.device())?;
        }
        Ok(held.clone())
    }
}

fn angles(config: &ModelConfig, positions: usize, device: &Device) -> Result<RopeTable> {
    let factors = config.rope_factors.as_deref();
    RopeTable::new(config.rope_dims, positions, config.rope_theta, factors, device)
}
