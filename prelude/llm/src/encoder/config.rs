//! What `config.json` says of an encoder.

use serde_json::Value as Json;

use crate::error::{LlmError, Result};

/// Which of the family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bert,
    Roberta,
    DistilBert,
}

impl Kind {
    /// By the `model_type` of `config.json`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "bert" => Self::Bert,
            "roberta" | "xlm-roberta" | "camembert" => Self::Roberta,
            "distilbert" => Self::DistilBert,
            _ => return None,
        })
    }

    /// The first part of its tensors' names in a model with a head.
    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Bert => "bert.",
            Self::Roberta => "roberta.",
            Self::DistilBert => "distilbert.",
        }
    }
}

/// The activation of the inner layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    Gelu,
    GeluTanh,
    Relu,
}

/// Sizes and settings.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) kind: Kind,
    pub(crate) vocabulary: usize,
    pub(crate) width: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) inner: usize,
    pub(crate) positions: usize,
    /// The position of the first token: RoBERTa counts from behind the padding's number.
    pub(crate) first_position: usize,
    pub(crate) types: usize,
    pub(crate) eps: f64,
    pub(crate) dropout: f64,
    pub(crate) head_dropout: f64,
    pub(crate) activation: Activation,
    /// One name at least.
    pub(crate) labels: Vec<String>,
    /// Whether a text may have several of them.
    pub(crate) multi_label: bool,
}

/// A size that is larger is not believed: no encoder comes near it.
const LARGEST: u64 = 1 << 20;
/// More classes without names are not believed.
const MOST_CLASSES: u64 = 1 << 16;

impl Config {
    /// Reads the JSON; `bad` makes the error from a reason.
    pub(crate) fn read(json: &Json, bad: impl Fn(String) -> LlmError) -> Result<Self> {
        let name = json.get("model_type").and_then(Json::as_str).unwrap_or("bert");
        let kind = Kind::parse(name).ok_or_else(|| LlmError::Unsupported {
            what: format!("an encoder of type {name:?}"),
            supported: "bert, roberta, xlm-roberta, camembert, distilbert",
        })?;
        let distil = kind == Kind::DistilBert;
        let size = |name: &str, distil_name: &str| -> Result<usize> {
            let name = if distil { distil_name } else { name };
            let value = json.get(name).and_then(Json::as_u64);
            let value = value.filter(|value| (1..=LARGEST).contains(value));
            let value = value.ok_or_else(|| bad(format!("{name} is no size of 1 to {LARGEST}")))?;
            Ok(usize::try_from(value).unwrap_or(usize::MAX))
        };
        let number =
            |name: &str, default: f64| json.get(name).and_then(Json::as_f64).unwrap_or(default);
        let activation = json.get(if distil { "activation" } else { "hidden_act" });
        let activation = match activation.and_then(Json::as_str).unwrap_or("gelu") {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_fast" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            other => return Err(bad(format!("activation {other:?} is not known"))),
        };
        let padding = json.get("pad_token_id").and_then(Json::as_u64).unwrap_or(1);
        let padding = usize::try_from(padding.min(LARGEST)).unwrap_or(1);
        let dropout = number(if distil { "dropout" } else { "hidden_dropout_prob" }, 0.1);
        let head = if distil { "seq_classif_dropout" } else { "classifier_dropout" };
        let config = Self {
            kind,
            vocabulary: size("vocab_size", "vocab_size")?,
            width: size("hidden_size", "dim")?,
            layers: size("num_hidden_layers", "n_layers")?,
            heads: size("num_attention_heads", "n_heads")?,
            inner: size("intermediate_size", "hidden_dim")?,
            positions: size("max_position_embeddings", "max_position_embeddings")?,
            first_position: if kind == Kind::Roberta { padding + 1 } else { 0 },
            types: if distil { 0 } else { size("type_vocab_size", "type_vocab_size")? },
            eps: if distil { 1e-12 } else { number("layer_norm_eps", 1e-12) },
            dropout,
            head_dropout: number(head, if distil { 0.2 } else { dropout }),
            activation,
            labels: labels(json),
            multi_label: json.get("problem_type").and_then(Json::as_str)
                == Some("multi_label_classification"),
        };
        if !config.width.is_multiple_of(config.heads) {
            let Self { width, heads, .. } = config;
            return Err(bad(format!("{heads} heads do not divide a width of {width}")));
        }
        if config.positions <= config.first_position + 1 {
            return Err(bad(format!("there are only {} positions", config.positions)));
        }
        Ok(config)
    }

    /// The longest text in tokens.
    pub(crate) fn longest(&self) -> usize {
        self.positions - self.first_position
    }
}

/// The names of the classes in the order of their numbers. Where the file has none, as transformers writes
/// it for two classes without names, they are transformers' own.
fn labels(json: &Json) -> Vec<String> {
    let names = json.get("id2label").and_then(Json::as_object).into_iter().flatten();
    let text = |name: &Json| name.as_str().map_or_else(|| name.to_string(), str::to_owned);
    let mut numbered: Vec<(usize, String)> =
        names.filter_map(|(id, name)| Some((id.parse().ok()?, text(name)))).collect();
    numbered.sort();
    if numbered.is_empty() {
        let count = json.get("num_labels").and_then(Json::as_u64);
        let count = count.filter(|count| (1..=MOST_CLASSES).contains(count)).unwrap_or(2);
        return (0..count).map(|number| format!("LABEL_{number}")).collect();
    }
    numbered.into_iter().map(|(_, name)| name).collect()
}
