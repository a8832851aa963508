//! Sentence embeddings: sentences as vectors, and search by meaning.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use oxilab_display::{MimeBundle, Render};
use oxilab_nn::{DeviceExt as _, Mode};
use polars::prelude::{Column, DataFrame, DataType, IdxCa, NamedFrom as _, Series};
use serde_json::Value as Json;

use crate::bar::Bar;
use crate::encoder::{Encoder, Files, Kind, Texts, read_json};
use crate::error::Result;

/// A sentence encoder of the BERT family: vectors of length one, from the mean of the tokens' states or
/// from the first one's, as sentence-transformers makes them.
///
/// ```no_run
/// use oxilab_llm::{Embedder, models};
/// let embedder = Embedder::load(models::minilm()?)?;
/// let near = embedder.similarity("a cat on the sofa", "a kitten lies on a couch")?;
/// assert!(near > 0.5);
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
pub struct Embedder {
    encoder: Encoder,
    texts: Texts,
    first_token: bool,
}

/// Texts that are computed at a time.
const BATCH: usize = 32;

impl Embedder {
    /// Whether a model whose `config.json` has this `model_type` is one of the family, which makes vectors
    /// and no text.
    ///
    /// ```
    /// use oxilab_llm::Embedder;
    /// assert!(Embedder::is_for("xlm-roberta") && !Embedder::is_for("llama"));
    /// ```
    #[must_use]
    pub fn is_for(model_type: &str) -> bool {
        Kind::parse(model_type).is_some()
    }

    /// Loads a folder with `config.json`, `model.safetensors` (or `pytorch_model.bin`) and
    /// `tokenizer.json`, or a model of the hub, for example `sentence-transformers/all-MiniLM-L6-v2`.
    /// `sentence_bert_config.json` and `1_Pooling/config.json` are followed where they are. The model is on
    /// the [best device](oxilab_nn::DeviceExt::best).
    ///
    /// # Errors
    /// When a file is missing or damaged, the model is of another family, or the device has no room for it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_on(path, &Device::best())
    }

    /// As [`Embedder::load`], on a device.
    ///
    /// # Errors
    /// As [`Embedder::load`].
    pub fn load_on(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let files = Files::open(path.as_ref())?;
        let encoder = files.encoder()?.to_device(device)?;
        let optional = |name: &str| {
            let path = files.folder.join(name);
            if path.is_file() { read_json(&path) } else { Ok(Json::Null) }
        };
        let longest = optional("sentence_bert_config.json")?;
        let longest = longest.get("max_seq_length").and_then(Json::as_u64);
        let longest = longest.and_then(|n| usize::try_from(n).ok()).unwrap_or(512);
        let texts = Texts::open(&files.folder, longest.min(encoder.config.longest()))?;
        let pooling = optional("1_Pooling/config.json")?;
        let first_token = pooling.get("pooling_mode_cls_token").and_then(Json::as_bool);
        Ok(Self { encoder, texts, first_token: first_token.unwrap_or(false) })
    }

    /// Moves the model to a device, where vectors are computed from here on.
    ///
    /// # Errors
    /// When the device has no room for it.
    pub fn to_device(mut self, device: &Device) -> Result<Self> {
        self.encoder = self.encoder.to_device(device)?;
        Ok(self)
    }

    /// Values of a vector.
    #[must_use]
    pub fn width(&self) -> usize {
        self.encoder.config.width
    }

    /// The vectors `(texts, width)` of texts, each of length one, on the CPU.
    ///
    /// # Errors
    /// When the tokenizer fails or the user interrupts.
    pub fn embed<S: AsRef<str>>(&self, texts: &[S]) -> Result<Tensor> {
        if texts.is_empty() {
            return Ok(Tensor::zeros((0, self.width()), DType::F32, &Device::Cpu)?);
        }
        let ids = self.texts.ids(texts)?;
        // Texts of like length go together, so that the threads are done at the same time.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|row| ids[*row].len());
        let mut vectors = vec![0f32; texts.len() * self.width()];
        let bar = Bar::new("embedding", texts.len());
        for (number, rows) in order.chunks(BATCH).enumerate() {
            bar.set(number * BATCH)?;
            let lengths: Vec<usize> = rows.iter().map(|row| ids[*row].len()).collect();
            let packed: Vec<u32> = rows.iter().flat_map(|row| ids[*row].iter().copied()).collect();
            let states = self.encoder.forward(&packed, &lengths, Mode::eval(), false)?;
            let states = states.flatten_all()?.to_vec1::<f32>()?;
            let mut rest = states.as_slice();
            for (row, length) in rows.iter().zip(lengths) {
                let (text, after) = rest.split_at(length * self.width());
                rest = after;
                self.pool(text, &mut vectors[row * self.width()..][..self.width()]);
            }
        }
        bar.set(texts.len())?;
        Ok(Tensor::from_vec(vectors, (texts.len(), self.width()), &Device::Cpu)?)
    }

    /// How many tokens [`Embedder::embed`] reads of these texts: those that open and close them count, what
    /// is beyond the model's longest text does not.
    ///
    /// # Errors
    /// When the tokenizer fails.
    pub fn count_tokens<S: AsRef<str>>(&self, texts: &[S]) -> Result<usize> {
        Ok(self.texts.ids(texts)?.iter().map(Vec::len).sum())
    }

    /// One vector of length one from the states of a text.
    fn pool(&self, states: &[f32], vector: &mut [f32]) {
        let tokens =
            states.chunks_exact(self.width()).take(if self.first_token { 1 } else { usize::MAX });
        for token in tokens {
            for (sum, value) in vector.iter_mut().zip(token) {
                *sum += value;
            }
        }
        let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12);
        for value in vector.iter_mut() {
            *value /= length;
        }
    }

    /// The cosine of the angle between two texts' vectors: 1 for the same meaning, about 0 for none in
    /// common.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    pub fn similarity(&self, a: &str, b: &str) -> Result<f32> {
        let both = self.embed(&[a, b])?;
        Ok(both.get(0)?.mul(&both.get(1)?)?.sum_all()?.to_scalar()?)
    }

    /// The `k` rows of a frame whose text in `column` is nearest to the query, the nearest first, with
    /// their `similarity`. Rows without text are left out.
    ///
    /// # Errors
    /// When the column is missing, and as [`Embedder::embed`].
    pub fn search(&self, df: &DataFrame, column: &str, query: &str, k: usize) -> Result<DataFrame> {
        let text = df.column(column)?.cast(&DataType::String)?;
        let (rows, texts): (Vec<usize>, Vec<&str>) =
            text.str()?.iter().enumerate().filter_map(|(row, text)| Some((row, text?))).unzip();
        let vectors = self.embed(&texts)?;
        let query = self.embed(&[query])?;
        let scores = vectors.matmul(&query.t()?)?.flatten_all()?.to_vec1::<f32>()?;
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        order.truncate(k);
        let index: Vec<u32> = order.iter().filter_map(|at| u32::try_from(rows[*at]).ok()).collect();
        let nearest: Vec<f32> = order.iter().map(|at| scores[*at]).collect();
        let mut found = df.take(&IdxCa::new("row".into(), index))?;
        found.with_column(Column::from(Series::new("similarity".into(), nearest)))?;
        Ok(found)
    }
}

impl Render for Embedder {
    fn render(&self) -> MimeBundle {
        MimeBundle::text(format!("Embedder(width {}, {} tokens)", self.width(), self.texts.longest))
    }
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.render().plain())
    }
}
