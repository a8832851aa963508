//! The tensors of a model under Hugging Face's names and in its layout, from GGUF or safetensors: on the
//! CPU, from where a whole model moves.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;
use candle_core::{DType, Device, Tensor};
use oxilab_nn::error::plain;
use serde::Deserialize;

use super::gguf::{self, Gguf, qtensor};
use super::linear::Weight;
use crate::error::{LlmError, Result};

/// The file of all weights.
pub(crate) const WHOLE: &str = "model.safetensors";
/// What says which file has which weights, where they are spread over several.
const INDEX: &str = "model.safetensors.index.json";

/// Where weights come from.
pub(crate) enum Source {
    /// A GGUF file; the rows of q and k are put back into the order that Hugging Face's models have.
    Gguf { gguf: Gguf, permuted: bool },
    /// Tensors of one or more safetensors files, as `f32`.
    Tensors { path: PathBuf, tensors: HashMap<String, Tensor> },
}

impl Source {
    /// The weights of a folder: `model.safetensors`, or the files that an index names in its place.
    pub(crate) fn open_safetensors(folder: &Path) -> Result<Self> {
        let shards = shards(folder)?;
        let mut tensors = HashMap::new();
        for (file, names) in &shards {
            let path = folder.join(file);
            let mut read = load(&path)?;
            for name in names {
                let tensor = read.remove(name).ok_or_else(|| LlmError::Damaged {
                    path: path.clone(),
                    format: "safetensors",
                    reason: format!("{INDEX} says that it holds {name}, which it does not"),
                })?;
                tensors.insert(name.clone(), tensor.to_dtype(DType::F32)?);
            }
        }
        if shards.is_empty() {
            for (name, tensor) in load(&folder.join(WHOLE))? {
                tensors.insert(name, tensor.to_dtype(DType::F32)?);
            }
        }
        if tensors.is_empty() {
            return Err(LlmError::Damaged {
                path: folder.to_owned(),
                format: "safetensors",
                reason: "the folder holds no tensors".to_owned(),
            });
        }
        Ok(Self::Tensors { path: folder.to_owned(), tensors })
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Self::Gguf { gguf, .. } => {
                gguf_name(name).is_some_and(|name| gguf.tensors().contains_key(&name))
            }
            Self::Tensors { tensors, .. } => tensors.contains_key(name),
        }
    }

    /// A vector of `n` values as `f32`.
    pub(crate) fn vector(&self, name: &str, n: usize) -> Result<Tensor> {
        let tensor = match self {
            Self::Gguf { gguf, .. } => {
                let tensor = gguf::tensor(gguf, &self.translate(name)?)?;
                tensor.dequantize(&Device::Cpu)?.to_dtype(DType::F32)?
            }
            Self::Tensors { tensors, .. } => {
                tensors.get(name).cloned().ok_or_else(|| self.missing(name))?
            }
        };
        self.expect(name, tensor.dims(), &[n])?;
        Ok(tensor)
    }

    /// A bias of `n` values; those of q and k are `heads` groups.
    pub(crate) fn bias(&self, name: &str, n: usize, heads: Option<usize>) -> Result<Tensor> {
        let vector = self.vector(name, n)?;
        let Some(heads) = heads.filter(|_| matches!(self, Self::Gguf { permuted: true, .. }))
        else {
            return Ok(vector);
        };
        let values = vector.to_vec1::<f32>()?;
        let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
        let bytes = rotate_half_order(&bytes, n, heads);
        Ok(Tensor::from_raw_buffer(&bytes, DType::F32, &[n], &Device::Cpu)?)
    }

    /// A matrix `(rows, columns)`; the rows of q and k are `heads` groups.
    pub(crate) fn matrix(
        &self,
        name: &str,
        rows: usize,
        columns: usize,
        heads: Option<usize>,
    ) -> Result<Weight> {
        match self {
            Self::Gguf { gguf, permuted } => {
                let (info, mut bytes) = gguf.bytes(&self.translate(name)?)?;
                self.expect(name, &info.shape, &[rows, columns])?;
                if let Some(heads) = heads.filter(|_| *permuted) {
                    bytes = rotate_half_order(&bytes, rows, heads);
                }
                let dtype = gguf::dtype(info.kind);
                Ok(match dtype {
                    GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16 => {
                        let tensor = qtensor(&bytes, &info.shape, dtype)?;
                        Weight::Dense(tensor.dequantize(&Device::Cpu)?)
                    }
                    _ => Weight::quantized(&bytes, (rows, columns), dtype, &Device::Cpu)?,
                })
            }
            Self::Tensors { tensors, .. } => {
                let tensor = tensors.get(name).ok_or_else(|| self.missing(name))?;
                self.expect(name, tensor.dims(), &[rows, columns])?;
                Ok(Weight::Dense(tensor.clone()))
            }
        }
    }

    fn translate(&self, name: &str) -> Result<String> {
        gguf_name(name).ok_or_else(|| self.missing(name))
    }

    fn path(&self) -> (&Path, &'static str) {
        match self {
            Self::Gguf { gguf, .. } => (gguf.path(), "GGUF"),
            Self::Tensors { path, .. } => (path, "safetensors"),
        }
    }

    fn missing(&self, name: &str) -> LlmError {
        let (path, format) = self.path();
        LlmError::Damaged { path: path.to_owned(), format, reason: format!("{name} is missing") }
    }

    fn expect(&self, name: &str, found: &[usize], wanted: &[usize]) -> Result<()> {
        if found == wanted {
            return Ok(());
        }
        let (path, format) = self.path();
        let reason =
            format!("{name} has shape {found:?}, but the model's numbers ask for {wanted:?}");
        Err(LlmError::Damaged { path: path.to_owned(), format, reason })
    }
}

/// The files that a folder's weights are spread over, and the tensors in each; none where they are in one
/// file, which counts even if there is an index: it may be older.
pub(crate) fn shards(folder: &Path) -> Result<BTreeMap<String, Vec<String>>> {
    let path = folder.join(INDEX);
    if folder.join(WHOLE).is_file() || !path.is_file() {
        return Ok(BTreeMap::new());
    }
    let bad = |reason: String| LlmError::Damaged { path: path.clone(), format: "index", reason };
    let text = std::fs::read_to_string(&path).map_err(|e| LlmError::file("read", &path, e))?;
    let index: Index = serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
    let mut shards = BTreeMap::<String, Vec<String>>::new();
    for (name, file) in index.weight_map {
        // A file beside the index, and nothing else.
        if file.contains(['/', '\\']) || !file.ends_with(".safetensors") {
            return Err(bad(format!("{name} is said to be in {file:?}")));
        }
        shards.entry(file).or_default().push(name);
    }
    if shards.is_empty() { Err(bad("it names no tensors".to_owned())) } else { Ok(shards) }
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// candle's reader checks the header's sizes against the file before it allocates.
fn load(path: &Path) -> Result<HashMap<String, Tensor>> {
    candle_core::safetensors::load(path, &Device::Cpu).map_err(|e| damaged(path, e))
}

pub(crate) fn damaged(path: &Path, error: candle_core::Error) -> LlmError {
    let reason = plain(error).to_string();
    LlmError::Damaged { path: path.to_owned(), format: "safetensors", reason }
}

/// GGUF's name of a tensor, `None` for names that it does not have.
pub(crate) fn gguf_name(name: &str) -> Option<String> {
    if let Some(top) = match name {
        "model.embed_tokens.weight" => Some("token_embd.weight"),
        "model.norm.weight" => Some("output_norm.weight"),
        "lm_head.weight" => Some("output.weight"),
        _ => None,
    } {
        return Some(top.to_owned());
    }
    let (layer, rest) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let (part, kind) = rest.rsplit_once('.')?;
    let part = match part {
        "input_layernorm" => "attn_norm",
        "post_attention_layernorm" => "ffn_norm",
        "self_attn.q_proj" => "attn_q",
        "self_attn.k_proj" => "attn_k",
        "self_attn.v_proj" => "attn_v",
        "self_attn.o_proj" => "attn_output",
        "self_attn.qkv_proj" => "attn_qkv",
        "self_attn.q_norm" => "attn_q_norm",
        "self_attn.k_norm" => "attn_k_norm",
        "mlp.gate_proj" => "ffn_gate",
        "mlp.up_proj" | "mlp.gate_up_proj" => "ffn_up",
        "mlp.down_proj" => "ffn_down",
        _ => return None,
    };
    Some(format!("blk.{layer}.{part}.{kind}"))
}

/// Llama's GGUF files hold the rows of a head of q and k as pairs `0, d/2, 1, d/2 + 1, …`; rows are
/// whole numbers of blocks, so that the order changes without touching a value.
fn rotate_half_order(bytes: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    let row = bytes.len() / rows;
    let dim = rows / heads;
    let mut ordered = Vec::with_capacity(bytes.len());
    for head in 0..heads {
        for half in 0..2 {
            for pair in 0..dim / 2 {
                let from = (head * dim + 2 * pair + half) * row;
                ordered.extend_from_slice(&bytes[from..from + row]);
            }
        }
    }
    ordered
}

/// The reverse of [`rotate_half_order`].
pub(crate) fn pair_order(bytes: &[u8], rows: usize, heads: usize) -> Vec<u8> {
    let row = bytes.len() / rows;
    let dim = rows / heads;
    let mut ordered = Vec::with_capacity(bytes.len());
    for head in 0..heads {
        for pair in 0..dim / 2 {
            for half in 0..2 {
                let from = (head * dim + half * (dim / 2) + pair) * row;
                ordered.extend_from_slice(&bytes[from..from + row]);
            }
        }
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_in_halves_of_each_head() {
        let rows: Vec<u8> = (0..16).collect();
        let ordered = rotate_half_order(&rows, 16, 2);
        assert_eq!(ordered[..8], [0, 2, 4, 6, 1, 3, 5, 7]);
        assert_eq!(ordered[8..], [8, 10, 12, 14, 9, 11, 13, 15]);
        assert_eq!(pair_order(&ordered, 16, 2), rows);
    }

    #[test]
    fn names_translate() {
        assert_eq!(
            gguf_name("model.layers.7.self_attn.o_proj.weight").as_deref(),
            Some("blk.7.attn_output.weight")
        );
        assert_eq!(gguf_name("model.layers.7.what.weight"), None);
    }
}
