//! Sentence embeddings: sentences as vectors, and search by meaning.

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config};
use oxilab_display::{MimeBundle, Render};
use polars::prelude::{Column, DataFrame, DataType, IdxCa, NamedFrom as _, Series};
use serde_json::Value as Json;
use tokenizers::Tokenizer;

use crate::error::{LlmError, Result};

/// A BERT-family sentence encoder: mean pooling over the words and vectors of length one, as
/// sentence-transformers does for all-MiniLM-L6-v2.
///
/// ```no_run
/// use oxilab_llm::{Embedder, models};
/// let embedder = Embedder::load(models::minilm()?)?;
/// let near = embedder.similarity("a cat on the sofa", "a kitten lies on a couch")?;
/// assert!(near > 0.5);
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
pub struct Embedder {
    model: BertModel,
    tokenizer: Tokenizer,
    width: usize,
    max_length: usize,
}

/// Sentences that are computed at a time.
const BATCH: usize = 32;

impl Embedder {
    /// Loads a folder with `config.json`, `model.safetensors` and `tokenizer.json`.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the model is no BERT.
    pub fn load(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let path = folder.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|e| LlmError::file("read", &path, e))?;
        let damaged =
            |format, reason: String| LlmError::Damaged { path: path.clone(), format, reason };
        let config: Config =
            serde_json::from_str(&text).map_err(|e| damaged("config.json", e.to_string()))?;
        if let Some(other) = config.model_type.as_deref().filter(|kind| *kind != "bert") {
            return Err(LlmError::Unsupported {
                what: format!("a sentence encoder of type {other:?}"),
                supported: "bert",
            });
        }
        let path = folder.join("model.safetensors");
        let bytes = std::fs::read(&path).map_err(|e| LlmError::file("read", &path, e))?;
        let weights = VarBuilder::from_buffered_safetensors(bytes, DType::F32, &Device::Cpu)
            .map_err(|e| damaged("safetensors", e.to_string()))?;
        let model =
            BertModel::load(weights, &config).map_err(|e| damaged("safetensors", e.to_string()))?;
        let path = folder.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(|e| LlmError::file("read", &path, e))?;
        let mut tokenizer =
            Tokenizer::from_bytes(&bytes).map_err(|e| damaged("tokenizer.json", e.to_string()))?;
        // Batches are padded here, and cut at the length that the model was trained with.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| LlmError::Tokenizer(e.to_string()))?;
        let settings = std::fs::read_to_string(folder.join("sentence_bert_config.json"));
        let settings: Json =
            serde_json::from_str(&settings.unwrap_or_default()).unwrap_or(Json::Null);
        let max_length = settings.get("max_seq_length").and_then(Json::as_u64);
        let max_length = max_length.and_then(|n| usize::try_from(n).ok());
        let max_length = max_length.unwrap_or(512).clamp(2, config.max_position_embeddings);
        Ok(Self { model, tokenizer, width: config.hidden_size, max_length })
    }

    /// Values of a vector.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The vectors `(texts, width)` of texts, each of length one.
    ///
    /// # Errors
    /// When the tokenizer fails or the user interrupts.
    pub fn embed<S: AsRef<str>>(&self, texts: &[S]) -> Result<Tensor> {
        if texts.is_empty() {
            return Ok(Tensor::zeros((0, self.width), DType::F32, &Device::Cpu)?);
        }
        // Texts of like length go together, so that little is padded.
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|row| texts[*row].as_ref().len());
        let mut parts = Vec::new();
        for rows in order.chunks(BATCH) {
            if oxilab_runtime::cancel::requested() {
                return Err(LlmError::Interrupted);
            }
            let batch: Vec<&str> = rows.iter().map(|row| texts[*row].as_ref()).collect();
            parts.push(self.batch(&batch)?);
        }
        let sorted = Tensor::cat(&parts, 0)?;
        let mut places = vec![0u32; texts.len()];
        for (place, row) in (0u32..).zip(order) {
            places[row] = place;
        }
        Ok(sorted.index_select(&Tensor::new(places.as_slice(), &Device::Cpu)?, 0)?)
    }

    fn batch(&self, texts: &[&str]) -> Result<Tensor> {
        let mut rows = Vec::with_capacity(texts.len());
        for text in texts {
            let encoded = self
                .tokenizer
                .encode(*text, true)
                .map_err(|e| LlmError::Tokenizer(e.to_string()))?;
            let mut ids = encoded.get_ids().to_vec();
            if ids.len() > self.max_length
                && let Some(end) = ids.last().copied()
            {
                ids.truncate(self.max_length - 1);
                ids.push(end);
            }
            rows.push(ids);
        }
        let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
        let shape = (texts.len(), longest);
        let mask: Vec<f32> = rows
            .iter()
            .flat_map(|row| (0..longest).map(|at| if at < row.len() { 1.0 } else { 0.0 }))
            .collect();
        let ids: Vec<u32> = rows
            .iter()
            .flat_map(|row| (0..longest).map(|at| row.get(at).copied().unwrap_or(0)))
            .collect();
        let (ids, mask) = (
            Tensor::from_vec(ids, shape, &Device::Cpu)?,
            Tensor::from_vec(mask, shape, &Device::Cpu)?,
        );
        let states = self.model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let weights = mask.unsqueeze(2)?;
        let sum = states.broadcast_mul(&weights)?.sum(1)?;
        let mean = sum.broadcast_div(&weights.sum(1)?)?;
        let length = mean.sqr()?.sum_keepdim(1)?.sqrt()?.maximum(1e-12)?;
        Ok(mean.broadcast_div(&length)?)
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
        MimeBundle::text(format!("Embedder(width {}, {} tokens)", self.width, self.max_length))
    }
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.render().plain())
    }
}
