//! Building a model from its tensors.

use std::sync::Mutex;

use candle_core::{Device, Tensor};

use super::block::Block;
use super::config::{Architecture, ModelConfig};
use super::{Model, angles};
use crate::error::Result;
use crate::weights::linear::{Linear, Weight};
use crate::weights::source::Source;

impl Model {
    /// Reads all weights of a model; they are on the CPU.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape than the configuration asks for.
    pub(crate) fn load(config: ModelConfig, source: &Source) -> Result<Self> {
        let (vocabulary, hidden) = (config.vocabulary, config.hidden);
        let embedding = source.matrix("model.embed_tokens.weight", vocabulary, hidden, None)?;
        let head = if config.tied {
            None
        } else {
            Some(Linear::new(source.matrix("lm_head.weight", vocabulary, hidden, None)?, None))
        };
        let blocks = (0..config.layers)
            .map(|layer| block(&config, source, layer))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            embedding,
            blocks,
            norm: norm(&config, source, "model.norm.weight", hidden)?,
            head,
            angles: Mutex::new(angles(&config, config.context.min(2048), &Device::Cpu)?),
            config,
        })
    }
}

/// Gemma's norms are stored around zero in safetensors, around one in GGUF.
fn norm(config: &ModelConfig, source: &Source, name: &str, n: usize) -> Result<Tensor> {
    let weight = source.vector(name, n)?;
    let shifted =
        config.architecture == Architecture::Gemma && matches!(source, Source::Tensors { .. });
    Ok(if shifted { (weight + 1.0)? } else { weight })
}

fn block(config: &ModelConfig, source: &Source, layer: usize) -> Result<Block> {
    let name = |part: &str| format!("model.layers.{layer}.{part}");
    let (hidden, inner) = (config.hidden, config.intermediate);
    let (wide, narrow) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
    let linear =
        |part: &str, rows: usize, columns: usize, heads: Option<usize>| -> Result<Linear> {
            let weight = source.matrix(&name(&format!("{part}.weight")), rows, columns, heads)?;
            let bias = name(&format!("{part}.bias"));
            let bias =
                if source.has(&bias) { Some(source.bias(&bias, rows, heads)?) } else { None };
            Ok(Linear::new(weight, bias))
        };
    let maybe = |part: &str| -> Result<Option<Tensor>> {
        let name = name(part);
        if source.has(&name) { Ok(Some(source.vector(&name, config.head_dim)?)) } else { Ok(None) }
    };
    let (q, k, v, gate, up);
    if config.architecture == Architecture::Phi3 {
        let joined = linear("self_attn.qkv_proj", wide + 2 * narrow, hidden, None)?;
        [q, k, v] = split(&joined, [wide, narrow, narrow])?;
        let joined = linear("mlp.gate_up_proj", 2 * inner, hidden, None)?;
        [gate, up] = split(&joined, [inner, inner])?;
    } else {
        q = linear("self_attn.q_proj", wide, hidden, Some(config.heads))?;
        k = linear("self_attn.k_proj", narrow, hidden, Some(config.kv_heads))?;
        v = linear("self_attn.v_proj", narrow, hidden, None)?;
        gate = linear("mlp.gate_proj", inner, hidden, None)?;
        up = linear("mlp.up_proj", inner, hidden, None)?;
    }
    Ok(Block {
        input_norm: norm(config, source, &name("input_layernorm.weight"), hidden)?,
        post_norm: norm(config, source, &name("post_attention_layernorm.weight"), hidden)?,
        q,
        k,
        v,
        o: linear("self_attn.o_proj", hidden, wide, None)?,
        q_norm: maybe("self_attn.q_norm.weight")?,
        k_norm: maybe("self_attn.k_norm.weight")?,
        gate,
        up,
        down: linear("mlp.down_proj", hidden, inner, None)?,
    })
}

/// Rows of one matrix as several, quantised ones without touching a value.
fn split<const N: usize>(joined: &Linear, rows: [usize; N]) -> Result<[Linear; N]> {
    let mut start = 0;
    let mut parts = Vec::with_capacity(N);
    for count in rows {
        let columns = joined.weight.dims()?.1;
        let weight = match joined.weight.blocks_of_rows(start..start + count)? {
            Some((dtype, bytes)) => {
                Weight::quantized(&bytes, (count, columns), dtype, &joined.weight.device())?
            }
            None => Weight::Dense(joined.weight.dense()?.narrow(0, start, count)?.contiguous()?),
        };
        let bias = match &joined.bias {
            Some(bias) => Some(bias.narrow(0, start, count)?.contiguous()?),
            None => None,
        };
        parts.push(Linear::new(weight, bias));
        start += count;
    }
    parts.try_into().map_err(|_| {
        candle_core::Error::Msg("a matrix was split into the wrong number of parts".to_owned())
            .into()
    })
}
