//! The net: embeddings, layers of attention and feed-forward with the norm behind each.

use std::collections::HashMap;
use std::path::PathBuf;

use candle_core::{Device, Error, Result as TensorResult, Tensor, Var};
use oxilab_nn::Mode;
use oxilab_nn::device::moved;
use oxilab_nn::layers::{attention_by_text, dropout, gelu, gelu_tanh, layer_norm, linear};

use super::config::{Activation, Config, Kind};
use crate::error::LlmError;

/// An affine map's weight and bias, or a norm's.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    name: String,
    weight: Var,
    bias: Var,
}

impl Pair {
    /// Variables are followed while training; else nothing is kept for a backward pass.
    fn parts(&self, train: bool) -> (Tensor, Tensor) {
        let part = |var: &Var| {
            if train { var.as_tensor().clone() } else { var.as_detached_tensor() }
        };
        (part(&self.weight), part(&self.bias))
    }

    pub(super) fn linear(&self, x: &Tensor, train: bool) -> TensorResult<Tensor> {
        let (weight, bias) = self.parts(train);
        linear(x, &weight, &bias)
    }

    fn norm(&self, x: &Tensor, eps: f64, train: bool) -> TensorResult<Tensor> {
        let (weight, bias) = self.parts(train);
        layer_norm(x, &weight, Some(&bias), eps)
    }

    pub(super) fn new(name: &str, weight: Var, bias: Var) -> Self {
        Self { name: name.to_owned(), weight, bias }
    }

    pub(super) fn to_device(&self, device: &Device) -> TensorResult<Self> {
        Ok(Self::new(&self.name, moved(&self.weight, device)?, moved(&self.bias, device)?))
    }

    pub(super) fn vars(&self) -> [(String, Var); 2] {
        [
            (format!("{}.weight", self.name), self.weight.clone()),
            (format!("{}.bias", self.name), self.bias.clone()),
        ]
    }
}

/// Takes tensors out of a file by name, with their shapes checked.
pub(super) struct Source {
    path: PathBuf,
    tensors: HashMap<String, Tensor>,
}

impl Source {
    pub(super) fn new(path: PathBuf, tensors: HashMap<String, Tensor>) -> Self {
        Self { path, tensors }
    }

    /// The error that says what is wrong with the file.
    pub(super) fn damaged(&self, reason: String) -> LlmError {
        LlmError::Damaged { path: self.path.clone(), format: "weights", reason }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn var(&self, name: &str, shape: &[usize]) -> Result<Var, String> {
        let tensor = self.tensors.get(name).ok_or_else(|| format!("{name} is missing"))?;
        if tensor.dims() != shape {
            return Err(format!("{name} is {:?}, expected {shape:?}", tensor.dims()));
        }
        let tensor = tensor.to_dtype(candle_core::DType::F32).map_err(|e| e.to_string())?;
        Var::from_tensor(&tensor).map_err(|e| e.to_string())
    }

    pub(super) fn linear(&self, name: &str, to: usize, from: usize) -> Result<Pair, String> {
        let weight = self.var(&format!("{name}.weight"), &[to, from])?;
        Ok(Pair::new(name, weight, self.var(&format!("{name}.bias"), &[to])?))
    }

    /// Old files call the two `gamma` and `beta`.
    fn norm(&self, name: &str, width: usize) -> Result<Pair, String> {
        let old = self.has(&format!("{name}.gamma"));
        let names = if old { ["gamma", "beta"] } else { ["weight", "bias"] };
        let [weight, bias] = names.map(|part| self.var(&format!("{name}.{part}"), &[width]));
        Ok(Pair::new(name, weight?, bias?))
    }
}

#[derive(Clone, Debug)]
struct Layer {
    query: Pair,
    key: Pair,
    value: Pair,
    output: Pair,
    attention_norm: Pair,
    inner: Pair,
    outer: Pair,
    norm: Pair,
}

impl Layer {
    fn load(source: &Source, prefix: &str, number: usize, config: &Config) -> Result<Self, String> {
        let (width, inner) = (config.width, config.inner);
        let square = |name: String| source.linear(&name, width, width);
        if config.kind == Kind::DistilBert {
            let at = format!("{prefix}transformer.layer.{number}.");
            return Ok(Self {
                query: square(format!("{at}attention.q_lin"))?,
                key: square(format!("{at}attention.k_lin"))?,
                value: square(format!("{at}attention.v_lin"))?,
                output: square(format!("{at}attention.out_lin"))?,
                attention_norm: source.norm(&format!("{at}sa_layer_norm"), width)?,
                inner: source.linear(&format!("{at}ffn.lin1"), inner, width)?,
                outer: source.linear(&format!("{at}ffn.lin2"), width, inner)?,
                norm: source.norm(&format!("{at}output_layer_norm"), width)?,
            });
        }
        let at = format!("{prefix}encoder.layer.{number}.");
        Ok(Self {
            query: square(format!("{at}attention.self.query"))?,
            key: square(format!("{at}attention.self.key"))?,
            value: square(format!("{at}attention.self.value"))?,
            output: square(format!("{at}attention.output.dense"))?,
            attention_norm: source.norm(&format!("{at}attention.output.LayerNorm"), width)?,
            inner: source.linear(&format!("{at}intermediate.dense"), inner, width)?,
            outer: source.linear(&format!("{at}output.dense"), width, inner)?,
            norm: source.norm(&format!("{at}output.LayerNorm"), width)?,
        })
    }

    fn to_device(&self, device: &Device) -> TensorResult<Self> {
        Ok(Self {
            query: self.query.to_device(device)?,
            key: self.key.to_device(device)?,
            value: self.value.to_device(device)?,
            output: self.output.to_device(device)?,
            attention_norm: self.attention_norm.to_device(device)?,
            inner: self.inner.to_device(device)?,
            outer: self.outer.to_device(device)?,
            norm: self.norm.to_device(device)?,
        })
    }

    fn pairs(&self) -> [&Pair; 8] {
        let Self { query, key, value, output, attention_norm, inner, outer, norm } = self;
        [query, key, value, output, attention_norm, inner, outer, norm]
    }
}

/// An encoder without a head.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    pub(crate) config: Config,
    words: (String, Var),
    positions: (String, Var),
    types: Option<(String, Var)>,
    norm: Pair,
    layers: Vec<Layer>,
}

impl Encoder {
    /// Takes the encoder's tensors; `prefix` is `bert.` or empty.
    pub(super) fn load(source: &Source, config: Config) -> Result<Self, String> {
        let with = config.kind.prefix();
        let known =
            |prefix: &str| source.has(&format!("{prefix}embeddings.word_embeddings.weight"));
        let prefix = if known(with) { with } else { "" };
        // A vocabulary that would not fit into the file never reaches an allocation: shapes are those
        // of tensors that were read.
        let table = |name: &str, rows: usize| -> Result<(String, Var), String> {
            let name = format!("{prefix}embeddings.{name}_embeddings.weight");
            let var = source.var(&name, &[rows, config.width])?;
            Ok((name, var))
        };
        let layers = (0..config.layers)
            .map(|number| Layer::load(source, prefix, number, &config))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            words: table("word", config.vocabulary)?,
            positions: table("position", config.positions)?,
            types: if config.types > 0 { Some(table("token_type", config.types)?) } else { None },
            norm: source.norm(&format!("{prefix}embeddings.LayerNorm"), config.width)?,
            layers,
            config,
        })
    }

    /// Where all of its variables are.
    pub(crate) fn device(&self) -> &Device {
        self.words.1.device()
    }

    /// The encoder on a device: its variables themselves where they are there.
    pub(crate) fn to_device(&self, device: &Device) -> TensorResult<Self> {
        let table =
            |(name, var): &(String, Var)| Ok::<_, Error>((name.clone(), moved(var, device)?));
        let layers = self.layers.iter().map(|layer| layer.to_device(device));
        Ok(Self {
            config: self.config.clone(),
            words: table(&self.words)?,
            positions: table(&self.positions)?,
            types: self.types.as_ref().map(table).transpose()?,
            norm: self.norm.to_device(device)?,
            layers: layers.collect::<TensorResult<_>>()?,
        })
    }

    /// The prefix of its names.
    pub(super) fn prefix(&self) -> &str {
        self.words.0.strip_suffix("embeddings.word_embeddings.weight").unwrap_or_default()
    }

    /// The last states `(tokens, width)` of texts whose token ids stand one behind the other. With
    /// `train` the variables are followed; dropout is on in training mode.
    ///
    /// # Errors
    /// When an id is not in the vocabulary or a text is too long.
    pub(crate) fn forward(
        &self,
        ids: &[u32],
        lengths: &[usize],
        mode: Mode,
        train: bool,
    ) -> TensorResult<Tensor> {
        let Config { vocabulary, heads, first_position, dropout: p, eps, .. } = self.config;
        if let Some(id) = ids.iter().find(|id| **id as usize >= vocabulary) {
            candle_core::bail!("token id {id} is not below the vocabulary of {vocabulary}");
        }
        if let Some(long) = lengths.iter().find(|length| **length > self.config.longest()) {
            candle_core::bail!("a text of {long} tokens; {} are the most", self.config.longest());
        }
        let select = |table: &(String, Var), ids: &[u32]| {
            let table = &table.1;
            let table = if train { table.as_tensor().clone() } else { table.as_detached_tensor() };
            table.index_select(&Tensor::new(ids, self.device())?, 0)
        };
        let first = u32::try_from(first_position).unwrap_or(0);
        let places: Vec<u32> = lengths.iter().flat_map(|length| (first..).take(*length)).collect();
        let mut x = (select(&self.words, ids)? + select(&self.positions, &places)?)?;
        if let Some(types) = &self.types {
            x = x.broadcast_add(&select(types, &[0])?)?;
        }
        let mut layer_number = 0u64;
        let mut drop = |x: Tensor| {
            layer_number += 1;
            if mode.train && train && p > 0.0 {
                dropout(&x, p, &mut mode.rng(layer_number))
            } else {
                Ok(x)
            }
        };
        x = drop(self.norm.norm(&x, eps, train)?)?;
        for layer in &self.layers {
            let (query, key) = (layer.query.linear(&x, train)?, layer.key.linear(&x, train)?);
            let mixed =
                attention_by_text(&query, &key, &layer.value.linear(&x, train)?, lengths, heads)?;
            let mixed = drop(layer.output.linear(&mixed, train)?)?;
            x = layer.attention_norm.norm(&(x + mixed)?, eps, train)?;
            let inner = layer.inner.linear(&x, train)?;
            let inner = match self.config.activation {
                Activation::Gelu => gelu(&inner)?,
                Activation::GeluTanh => gelu_tanh(&inner)?,
                Activation::Relu => inner.relu()?,
            };
            let outer = drop(layer.outer.linear(&inner, train)?)?;
            x = layer.norm.norm(&(x + outer)?, eps, train)?;
        }
        Ok(x)
    }

    /// All variables under their names in the file.
    pub(crate) fn vars(&self) -> Vec<(String, Var)> {
        let mut vars = vec![self.words.clone(), self.positions.clone()];
        vars.extend(self.types.clone());
        vars.extend(self.norm.vars());
        vars.extend(self.layers.iter().flat_map(Layer::pairs).flat_map(Pair::vars));
        vars
    }
}

/// What stands behind the end of a text in a batch.
pub(crate) const FILLER: u32 = u32::MAX;

/// Token ids one behind the other, and the tokens of each text, of a batch `(texts, longest)`.
pub(crate) fn lengths_of(batch: &Tensor) -> TensorResult<(Vec<u32>, Vec<usize>)> {
    let rows = batch.to_vec2::<u32>()?;
    let mut ids = Vec::new();
    let mut lengths = Vec::with_capacity(rows.len());
    for row in rows {
        let before = ids.len();
        ids.extend(row.into_iter().take_while(|id| *id != FILLER));
        lengths.push(ids.len() - before);
    }
    Ok((ids, lengths))
}
