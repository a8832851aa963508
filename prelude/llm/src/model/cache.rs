//! The keys and values of the positions seen so far.

use candle_core::{DType, Result, Tensor};

/// One layer's keys and values `(1, kv heads, capacity, head dim)`, grown by doubling.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayerCache {
    pair: Option<(Tensor, Tensor)>,
}

/// All layers' caches.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
/// use oxilab_llm::{Llm, model::KvCache};
/// let llm = Llm::load(folder)?;
/// let mut cache = KvCache::new(llm.config().layers);
/// llm.model().forward(&[5, 77, 130], &mut cache)?;
/// llm.model().forward(&[9], &mut cache)?;
/// assert_eq!(cache.len(), 4);
/// cache.truncate(3);
/// assert_eq!(cache.len(), 3, "the last token is forgotten");
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct KvCache {
    pub(crate) layers: Vec<LayerCache>,
    pub(crate) length: usize,
}

impl KvCache {
    /// An empty cache.
    #[must_use]
    pub fn new(layers: usize) -> Self {
        Self { layers: vec![LayerCache::default(); layers], length: 0 }
    }

    /// Positions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether no position is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Forgets the positions from `length` on.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl LayerCache {
    /// Puts keys and values `(1, kv heads, n, head dim)` at position `at` and gives those of all
    /// positions.
    pub(crate) fn append(&mut self, k: &Tensor, v: &Tensor, at: usize) -> Result<(Tensor, Tensor)> {
        let (_, heads, n, dim) = k.dims4()?;
        let total = at + n;
        let room = |held: &(Tensor, Tensor)| held.0.dim(2).is_ok_and(|capacity| capacity >= total);
        if !self.pair.as_ref().is_some_and(room) {
            let capacity = total.next_power_of_two().max(256);
            let grown = || Tensor::zeros((1, heads, capacity, dim), DType::F32, k.device());
            let (new_k, new_v) = (grown()?, grown()?);
            if let Some((old_k, old_v)) = self.pair.take().filter(|_| at > 0) {
                new_k.slice_set(&old_k.narrow(2, 0, at)?.contiguous()?, 2, 0)?;
                new_v.slice_set(&old_v.narrow(2, 0, at)?.contiguous()?, 2, 0)?;
            }
            self.pair = Some((new_k, new_v));
        }
        let Some((all_k, all_v)) = &self.pair else {
            candle_core::bail!("the cache has no room");
        };
        all_k.slice_set(&k.contiguous()?, 2, at)?;
        all_v.slice_set(&v.contiguous()?, 2, at)?;
        Ok((all_k.narrow(2, 0, total)?, all_v.narrow(2, 0, total)?))
    }
}
