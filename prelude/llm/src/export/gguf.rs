//! A model's metadata and tensors as llama.cpp names them.

use std::path::Path;

use candle_core::Tensor;
use candle_core::quantized::GgmlDType;

use super::quantize::{Quant, encode};
use super::vocabulary;
use crate::error::{LlmError, Result};
use crate::llm::Llm;
use crate::model::{Architecture, Block, ModelConfig};
use crate::weights::gguf_writer::{Entry, Meta, write};
use crate::weights::linear::{Linear, Weight};
use crate::weights::source::pair_order;

impl Llm {
    /// Writes the model as one GGUF file that llama.cpp loads: tokenizer and chat template are in it,
    /// quantised weights stay as they are, others are `f32`. Merge adapters first.
    ///
    /// # Errors
    /// When the model still has adapters, its tokenizer has no form in GGUF, or the file cannot be
    /// written; an older file there stays.
    pub fn save_gguf(&self, path: impl AsRef<Path>) -> Result<()> {
        self.write_gguf(path.as_ref(), None)
    }

    /// As [`Llm::save_gguf`], with the matrices rounded to `quant`.
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
    /// use oxilab_llm::{Llm, Quant};
    /// let out = tempfile::tempdir()?;
    /// let path = out.path().join("small.gguf");
    /// let llm = Llm::load(folder)?;
    /// llm.save_gguf_as(&path, Quant::Q8_0)?;
    /// assert!(Llm::load(&path)?.model().bytes() < llm.model().bytes() / 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Llm::save_gguf`].
    pub fn save_gguf_as(&self, path: impl AsRef<Path>, quant: Quant) -> Result<()> {
        self.write_gguf(path.as_ref(), Some(quant))
    }

    fn write_gguf(&self, path: &Path, quant: Option<Quant>) -> Result<()> {
        if self.lora.is_some() {
            return Err(LlmError::AdapterState(
                "the model has an adapter; call `merge` before `save_gguf`, or `save_adapter`",
            ));
        }
        let mut metadata = metadata(self.config(), self.shown_name(), quant)?;
        metadata.extend(vocabulary::metadata(&self.tokenizer, self.config().vocabulary)?);
        if let Some(template) = &self.template {
            metadata.push((
                "tokenizer.chat_template".to_owned(),
                Meta::Text(template.source().to_owned()),
            ));
        }
        write(path, &metadata, &self.entries(quant)?)
    }

    /// What the file says that it is called. llama.cpp looks for tokens of Phi-3-mini's vocabulary in each
    /// model with "phi3" in its name and ends where they are missing, as they are in Phi-4-mini's.
    fn shown_name(&self) -> &'static str {
        let has = |token: &&str| self.tokenizer.id(token).is_some();
        match self.config().architecture {
            Architecture::Phi3 if !["</s>", "<unk>", "<s>", "<|endoftext|>"].iter().all(has) => {
                "phi"
            }
            other => other.name(),
        }
    }

    fn entries(&self, quant: Option<Quant>) -> Result<Vec<Entry<'_>>> {
        let model = &self.model;
        let config = &model.config;
        let mut entries =
            vec![matrix("token_embd.weight", &[&model.embedding], quant, true, None)?];
        if let Some(factors) = &config.rope_factors {
            let bytes: Vec<u8> = factors.iter().flat_map(|x| x.to_le_bytes()).collect();
            entries.push(Entry {
                name: "rope_freqs.weight".to_owned(),
                shape: vec![factors.len()],
                dtype: GgmlDType::F32,
                bytes: Box::new(move || Ok(bytes.clone())),
            });
        }
        for (number, block) in model.blocks.iter().enumerate() {
            self::block(&mut entries, config, &format!("blk.{number}"), block, quant)?;
        }
        entries.push(vector("output_norm.weight", &model.norm));
        if let Some(head) = &model.head {
            entries.push(matrix("output.weight", &[&head.weight], quant, true, None)?);
        }
        Ok(entries)
    }
}

fn block<'a>(
    entries: &mut Vec<Entry<'a>>,
    config: &ModelConfig,
    at: &str,
    block: &'a Block,
    quant: Option<Quant>,
) -> Result<()> {
    // Llama's files hold the rows of q and k in pairs.
    let llama = architecture(config.architecture) == "llama";
    let heads = |count: usize| llama.then_some(count);
    let mut layers: Vec<(&str, Vec<&Linear>, Option<usize>)> = Vec::new();
    if config.architecture == Architecture::Phi3 {
        layers.push(("attn_qkv", vec![&block.q, &block.k, &block.v], None));
        layers.push(("ffn_up", vec![&block.gate, &block.up], None));
    } else {
        layers.push(("attn_q", vec![&block.q], heads(config.heads)));
        layers.push(("attn_k", vec![&block.k], heads(config.kv_heads)));
        layers.push(("attn_v", vec![&block.v], None));
        layers.push(("ffn_gate", vec![&block.gate], None));
        layers.push(("ffn_up", vec![&block.up], None));
    }
    layers.push(("attn_output", vec![&block.o], None));
    layers.push(("ffn_down", vec![&block.down], None));
    for (name, parts, heads) in layers {
        let weights: Vec<&Weight> = parts.iter().map(|part| &part.weight).collect();
        entries.push(matrix(&format!("{at}.{name}.weight"), &weights, quant, false, heads)?);
        if let [Linear { bias: Some(bias), .. }] = parts[..] {
            let mut entry = vector(&format!("{at}.{name}.bias"), bias);
            if let Some(heads) = heads {
                let (rows, plain) = (bias.elem_count(), entry.bytes);
                entry.bytes = Box::new(move || Ok(pair_order(&plain()?, rows, heads)));
            }
            entries.push(entry);
        }
    }
    entries.push(vector(&format!("{at}.attn_norm.weight"), &block.input_norm));
    entries.push(vector(&format!("{at}.ffn_norm.weight"), &block.post_norm));
    for (name, norm) in [("attn_q_norm", &block.q_norm), ("attn_k_norm", &block.k_norm)] {
        if let Some(norm) = norm {
            entries.push(vector(&format!("{at}.{name}.weight"), norm));
        }
    }
    Ok(())
}

/// One matrix, or several of the same width one below the other.
fn matrix<'a>(
    name: &str,
    parts: &[&'a Weight],
    quant: Option<Quant>,
    outer: bool,
    heads: Option<usize>,
) -> Result<Entry<'a>> {
    let dims = parts.iter().map(|part| part.dims()).collect::<Result<Vec<_>, _>>()?;
    let (rows, columns) = (dims.iter().map(|dims| dims.0).sum(), dims[0].1);
    let held = |weight: &Weight| match weight {
        Weight::Quantized(tensor) => tensor.dtype(),
        Weight::Packed(packed) => packed.dtype(),
        Weight::Dense(_) | Weight::Trainable(_) => GgmlDType::F32,
    };
    let dtype = match quant {
        Some(quant) => quant.of(columns, outer),
        None if parts.iter().all(|part| held(part) == held(parts[0])) => held(parts[0]),
        None => GgmlDType::F32,
    };
    let parts: Vec<&'a Weight> = parts.to_vec();
    let bytes = move || -> Result<Vec<u8>> {
        let parts =
            parts.iter().map(|part| encode(part, dtype)).collect::<Result<Vec<_>>>()?.concat();
        Ok(match heads {
            Some(heads) => pair_order(&parts, rows, heads),
            None => parts,
        })
    };
    Ok(Entry { name: name.to_owned(), shape: vec![rows, columns], dtype, bytes: Box::new(bytes) })
}

fn vector<'a>(name: &str, tensor: &'a Tensor) -> Entry<'a> {
    let bytes = move || -> Result<Vec<u8>> {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        Ok(values.into_iter().flat_map(f32::to_le_bytes).collect())
    };
    Entry {
        name: name.to_owned(),
        shape: vec![tensor.elem_count()],
        dtype: GgmlDType::F32,
        bytes: Box::new(bytes),
    }
}

/// llama.cpp has no architecture of its own for Mistral.
fn architecture(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Mistral => "llama",
        other => other.name(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the format has f32")]
fn metadata(
    config: &ModelConfig,
    shown: &str,
    quant: Option<Quant>,
) -> Result<Vec<(String, Meta)>> {
    let name = architecture(config.architecture);
    if let Some(window) = config.window.filter(|window| *window < config.context)
        && name == "llama"
    {
        return Err(LlmError::Unsupported {
            what: format!("a window of {window} positions in a GGUF file of kind llama"),
            supported: "Mistral models without sliding window; save this one with `save`",
        });
    }
    let number = |key: &str, value: usize| -> Result<(String, Meta)> {
        let small = u32::try_from(value).map_err(|_| LlmError::Setting {
            setting: "a number of the model",
            value: value.to_string(),
            expected: "GGUF's numbers have 32 bits".to_owned(),
        })?;
        Ok((format!("{name}.{key}"), Meta::U32(small)))
    };
    let float = |key: &str, value: f64| (format!("{name}.{key}"), Meta::F32(value as f32));
    let text = |key: &str, value: &str| (key.to_owned(), Meta::Text(value.to_owned()));
    let mut metadata = vec![
        text("general.architecture", name),
        text("general.type", "model"),
        text("general.name", shown),
        ("general.quantization_version".to_owned(), Meta::U32(2)),
        number("vocab_size", config.vocabulary)?,
        number("context_length", config.context)?,
        number("embedding_length", config.hidden)?,
        number("block_count", config.layers)?,
        number("feed_forward_length", config.intermediate)?,
        number("attention.head_count", config.heads)?,
        number("attention.head_count_kv", config.kv_heads)?,
        number("attention.key_length", config.head_dim)?,
        number("attention.value_length", config.head_dim)?,
        number("rope.dimension_count", config.rope_dims)?,
        float("rope.freq_base", config.rope_theta),
        float("attention.layer_norm_rms_epsilon", config.eps),
    ];
    if let Some(quant) = quant {
        metadata.push(("general.file_type".to_owned(), Meta::U32(quant.file_type())));
    }
    if let Some(window) = config.window {
        metadata.push(number("attention.sliding_window", window)?);
    }
    Ok(metadata)
}
