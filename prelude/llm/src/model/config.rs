//! The numbers that describe an architecture, from GGUF metadata or from `config.json`.

use std::path::Path;

use serde_json::Value as Json;

use crate::error::{LlmError, Result};
use crate::weights::gguf::{self, Gguf};

/// Architectures of the Llama family. Others, Phi-2 and Gemma 2 and 3 among them, are refused with an error
/// that lists these.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/qwen3");
/// use oxilab_llm::{Llm, model::Architecture};
/// assert_eq!(Llm::load(folder)?.config().architecture, Architecture::Qwen3);
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// Llama, SmolLM, TinyLlama.
    Llama,
    /// Mistral: a sliding window.
    Mistral,
    /// Qwen2 and Qwen2.5: biases on q, k and v.
    Qwen2,
    /// Qwen3: norms on q and k.
    Qwen3,
    /// Phi-3, not Phi-2: q, k, v and gate, up in one matrix each.
    Phi3,
    /// The first Gemma: scaled embeddings, GELU, norms around one.
    Gemma,
}

const SUPPORTED: &str = "llama (SmolLM too), mistral, qwen2 (Qwen2.5 too), qwen3, phi3 (Phi-3; not Phi-2) \
                         and gemma (the first; not Gemma 2 and 3)";

impl Architecture {
    fn parse(name: &str) -> Result<Self> {
        Ok(match name {
            "llama" => Self::Llama,
            "mistral" => Self::Mistral,
            "qwen2" => Self::Qwen2,
            "qwen3" => Self::Qwen3,
            "phi3" => Self::Phi3,
            "gemma" => Self::Gemma,
            other => {
                return Err(LlmError::Unsupported {
                    what: format!("architecture {other:?}"),
                    supported: SUPPORTED,
                });
            }
        })
    }

    /// Hugging Face's `model_type`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Phi3 => "phi3",
            Self::Gemma => "gemma",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Phi3 => "Phi3ForCausalLM",
            Self::Gemma => "GemmaForCausalLM",
        }
    }
}

/// What a model looks like.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
/// use oxilab_llm::Llm;
/// let llm = Llm::load(folder)?;
/// let config = llm.config();
/// assert_eq!((config.layers, config.hidden, config.heads, config.kv_heads), (2, 32, 4, 2));
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// The architecture.
    pub architecture: Architecture,
    /// Tokens in the vocabulary.
    pub vocabulary: usize,
    /// Width of the hidden states.
    pub hidden: usize,
    /// Width inside the feed-forward layers.
    pub intermediate: usize,
    /// Blocks.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// How many values of a head the rotary embedding turns.
    pub rope_dims: usize,
    /// The rotary embedding's base.
    pub rope_theta: f64,
    /// Divisors of the rotary frequencies.
    pub rope_factors: Option<Vec<f32>>,
    /// The norms' epsilon.
    pub eps: f64,
    /// Positions that the model was trained for.
    pub context: usize,
    /// How far back a position sees.
    pub window: Option<usize>,
    /// Whether input and output embedding are one matrix.
    pub tied: bool,
}

impl ModelConfig {
    /// From the metadata of a GGUF file.
    ///
    /// # Errors
    /// When the architecture is not supported or a number is missing or impossible.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let name = gguf.text("general.architecture").unwrap_or_default();
        let architecture = Architecture::parse(name)?;
        let number = |key: &str| gguf.number(&format!("{name}.{key}"));
        let need = |key: &str| {
            number(key).ok_or_else(|| gguf.bad(format!("metadata {name}.{key} is missing")))
        };
        let (hidden, heads) = (need("embedding_length")?, need("attention.head_count")?);
        let head_dim = number("attention.key_length")
            .or_else(|| hidden.checked_div(heads))
            .unwrap_or_default();
        let rope_dims = number("rope.dimension_count").unwrap_or(head_dim);
        refuse_long_scaling(gguf, name)?;
        let rope_factors = if gguf.tensors().contains_key("rope_freqs.weight") {
            let factors =
                gguf::tensor(gguf, "rope_freqs.weight")?.dequantize(&candle_core::Device::Cpu)?;
            Some(factors.flatten_all()?.to_vec1()?)
        } else {
            gguf_scaling(gguf, name, rope_dims)?
        };
        let vocabulary = gguf.tensors().get("token_embd.weight").map(|info| info.shape[0]);
        let config = Self {
            architecture,
            vocabulary: vocabulary
                .ok_or_else(|| gguf.bad("tensor \"token_embd.weight\" is missing"))?,
            hidden,
            intermediate: need("feed_forward_length")?,
            layers: need("block_count")?,
            heads,
            kv_heads: number("attention.head_count_kv").unwrap_or(heads),
            head_dim,
            rope_dims,
            rope_theta: gguf.float(&format!("{name}.rope.freq_base")).unwrap_or(10_000.0),
            rope_factors,
            eps: gguf.float(&format!("{name}.attention.layer_norm_rms_epsilon")).unwrap_or(1e-5),
            context: need("context_length")?,
            window: number("attention.sliding_window").filter(|window| *window > 0),
            tied: !gguf.tensors().contains_key("output.weight"),
        };
        config.check(gguf.path(), "GGUF")
    }

    /// From the text of `config.json`.
    ///
    /// # Errors
    /// When the architecture is not supported or a number is missing or impossible.
    pub fn from_json(text: &str, path: &Path) -> Result<Self> {
        let bad = |reason: String| LlmError::Damaged {
            path: path.to_owned(),
            format: "config.json",
            reason,
        };
        let json: Json = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
        let number =
            |key: &str| json.get(key).and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok());
        let need = |key: &str| number(key).ok_or_else(|| bad(format!("{key} is missing")));
        let kind = json.get("model_type").and_then(Json::as_str).unwrap_or_default();
        let architecture = Architecture::parse(kind)?;
        let (hidden, heads) = (need("hidden_size")?, need("num_attention_heads")?);
        let head_dim = number("head_dim").or_else(|| hidden.checked_div(heads)).unwrap_or_default();
        // transformers 5 moved theta, scaling and the turned part of a head into `rope_parameters`.
        let rope = json.get("rope_parameters").or_else(|| json.get("rope_scaling"));
        let theta = json
            .get("rope_theta")
            .or_else(|| rope.and_then(|rope| rope.get("rope_theta")))
            .and_then(Json::as_f64)
            .unwrap_or(10_000.0);
        #[expect(clippy::cast_precision_loss, reason = "heads are narrow")]
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "within a head"
        )]
        let rope_dims = [Some(&json), rope]
            .into_iter()
            .flatten()
            .find_map(|place| place.get("partial_rotary_factor")?.as_f64())
            .map_or(head_dim, |part| (part * head_dim as f64) as usize);
        check_activation(&json, architecture)?;
        let tied = json.get("tie_word_embeddings").and_then(Json::as_bool);
        let config = Self {
            architecture,
            vocabulary: need("vocab_size")?,
            hidden,
            intermediate: need("intermediate_size")?,
            layers: need("num_hidden_layers")?,
            heads,
            kv_heads: number("num_key_value_heads").unwrap_or(heads),
            head_dim,
            rope_dims,
            rope_theta: theta,
            rope_factors: rope.map_or(Ok(None), |rope| rope_factors(rope, rope_dims, theta))?,
            eps: json.get("rms_norm_eps").and_then(Json::as_f64).unwrap_or(1e-6),
            context: need("max_position_embeddings")?,
            window: window(&json, architecture, need("num_hidden_layers")?)?,
            tied: tied.unwrap_or(architecture == Architecture::Gemma),
        };
        config.check(path, "config.json")
    }

    fn check(self, path: &Path, format: &'static str) -> Result<Self> {
        let sound = self.heads > 0
            && self.kv_heads > 0
            && self.heads.is_multiple_of(self.kv_heads)
            && self.head_dim > 0
            && self.rope_dims <= self.head_dim
            && self.rope_dims.is_multiple_of(2)
            && self.hidden > 0
            && self.vocabulary > 0
            && self.context > 0
            && self.layers < 10_000
            && self.heads.checked_mul(self.head_dim).is_some_and(|width| width < 1 << 24)
            && self.rope_factors.as_ref().is_none_or(|f| f.len() == self.rope_dims / 2);
        if sound {
            return Ok(self);
        }
        let reason = format!("the model's numbers do not fit together: {self:?}");
        Err(LlmError::Damaged { path: path.to_owned(), format, reason })
    }

    /// `config.json` for a model saved in Hugging Face's layout.
    ///
    /// # Errors
    /// When the rotary scaling, read from a GGUF file, is none that `config.json` can say.
    pub fn to_json(&self, bos: Option<u32>, eos: &[u32]) -> Result<Json> {
        let scaling = self.scaling()?;
        let mut json = serde_json::json!({
            "architectures": [self.architecture.class()],
            "model_type": self.architecture.name(),
            "vocab_size": self.vocabulary,
            "hidden_size": self.hidden,
            "intermediate_size": self.intermediate,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "hidden_act": if self.architecture == Architecture::Gemma { "gelu_pytorch_tanh" } else { "silu" },
            "max_position_embeddings": self.context,
            "rms_norm_eps": self.eps,
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tied,
            "attention_bias": false,
            "mlp_bias": false,
            "torch_dtype": "float32",
            // Some classes have a default beyond small vocabularies.
            "pad_token_id": eos.last(),
        });
        if let Some(scaling) = &scaling {
            json["rope_scaling"] = scaling.clone();
        }
        if self.rope_dims != self.head_dim {
            #[expect(clippy::cast_precision_loss, reason = "heads are narrow")]
            let part = self.rope_dims as f64 / self.head_dim as f64;
            json["partial_rotary_factor"] = part.into();
        }
        if let Some(window) = self.window {
            json["sliding_window"] = window.into();
            json["use_sliding_window"] = true.into();
            json["max_window_layers"] = 0.into();
        }
        if let Some(bos) = bos {
            json["bos_token_id"] = bos.into();
        }
        match eos {
            [] => {}
            [one] => json["eos_token_id"] = (*one).into(),
            many => json["eos_token_id"] = many.into(),
        }
        Ok(json)
    }

    /// The settings that give the divisors of the rotary frequencies; GGUF only has the divisors.
    fn scaling(&self) -> Result<Option<Json>> {
        let Some(factors) = &self.rope_factors else { return Ok(None) };
        let last = factors.last().copied().unwrap_or(1.0);
        if factors.iter().all(|factor| (factor - last).abs() < 1e-6) {
            return Ok(Some(serde_json::json!({"rope_type": "linear", "factor": last})));
        }
        for power in 4..24 {
            let llama3 = serde_json::json!({
                "rope_type": "llama3", "factor": last, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 1u64 << power,
            });
            let made = rope_factors(&llama3, self.rope_dims, self.rope_theta)?.unwrap_or_default();
            if made.iter().zip(factors).all(|(a, b)| (a - b).abs() < 1e-3 * b.abs()) {
                return Ok(Some(llama3));
            }
        }
        Err(LlmError::Unsupported {
            what: "this rotary scaling in config.json".to_owned(),
            supported: "linear and llama3; save the model as GGUF",
        })
    }
}

/// The feed-forward layers' function, which each architecture has one of here. Another one would compute
/// other numbers without a word.
fn check_activation(json: &Json, architecture: Architecture) -> Result<()> {
    let keys = ["hidden_activation", "hidden_act"];
    let Some(named) = keys.iter().find_map(|key| json.get(key).and_then(Json::as_str)) else {
        return Ok(());
    };
    let (known, supported): (&[&str], _) = match architecture {
        // Its first files say `gelu` and mean the approximation, as transformers reads them.
        Architecture::Gemma => (&["gelu", "gelu_pytorch_tanh", "gelu_new"], "gelu_pytorch_tanh"),
        _ => (&["silu", "swish"], "silu"),
    };
    if known.contains(&named) {
        return Ok(());
    }
    let what = format!("the activation {named:?} in a model of kind {}", architecture.name());
    Err(LlmError::Unsupported { what, supported })
}

/// How far back every layer sees, as transformers reads it: Qwen's have a window only where
/// `use_sliding_window` says so, and there from layer `max_window_layers` on.
fn window(json: &Json, architecture: Architecture, layers: usize) -> Result<Option<usize>> {
    let number =
        |key: &str| json.get(key).and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok());
    let qwen = matches!(architecture, Architecture::Qwen2 | Architecture::Qwen3);
    let used = json.get("use_sliding_window").and_then(Json::as_bool).unwrap_or(!qwen);
    let Some(window) = number("sliding_window").filter(|window| used && *window > 0) else {
        return Ok(None);
    };
    let full = match json.get("layer_types").and_then(Json::as_array) {
        Some(types) => types.iter().filter(|kind| **kind == "full_attention").count(),
        None if qwen => number("max_window_layers").unwrap_or(28).min(layers),
        None => 0,
    };
    match full {
        0 => Ok(Some(window)),
        full if full == layers => Ok(None),
        full => Err(LlmError::Unsupported {
            what: format!("a window of {window} positions in all but {full} of {layers} layers"),
            supported: "models whose layers all see equally far back",
        }),
    }
}

/// What Phi-3's files for long contexts have: llama.cpp's converter writes no kind of scaling there, but
/// these tensors and a factor of the attention. Passed over, the model would compute other numbers.
fn refuse_long_scaling(gguf: &Gguf, name: &str) -> Result<()> {
    let tensors = ["rope_factors_long.weight", "rope_factors_short.weight"];
    if let Some(tensor) = tensors.into_iter().find(|name| gguf.tensors().contains_key(*name)) {
        return Err(scaling_refused(format!(
            "rotary scaling for long contexts (longrope: the file has the tensor {tensor})"
        )));
    }
    let key = format!("{name}.rope.scaling.attn_factor");
    match gguf.float(&key).filter(|factor| (factor - 1.0).abs() > 1e-6) {
        Some(factor) => {
            Err(scaling_refused(format!("rotary scaling of the attention ({key} is {factor})")))
        }
        None => Ok(()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "factors are kept as f32")]
fn gguf_scaling(gguf: &Gguf, name: &str, dims: usize) -> Result<Option<Vec<f32>>> {
    match gguf.text(&format!("{name}.rope.scaling.type")) {
        Some("none") => Ok(None),
        // llama.cpp takes a factor without a kind for a linear one, and 0 for none.
        None | Some("linear") => {
            let factor = gguf.float(&format!("{name}.rope.scaling.factor"));
            let factor = factor.or_else(|| gguf.float(&format!("{name}.rope.scale_linear")));
            let factor = factor.filter(|factor| *factor > 0.0);
            Ok(factor.map(|factor| vec![factor as f32; dims.min(1 << 16) / 2]))
        }
        Some(other) => Err(scaling_refused(format!("rotary scaling {other:?}"))),
    }
}

fn scaling_refused(what: String) -> LlmError {
    LlmError::Unsupported {
        what,
        supported: "none, linear and that of Llama 3; a model for shorter contexts, as Phi-3-mini-4k is, \
                    needs none of it",
    }
}

/// Llama 3's scaling: long wavelengths are divided by `factor`, short ones stay, between them the
/// divisor goes over smoothly.
#[expect(clippy::cast_precision_loss, reason = "heads are narrow")]
#[expect(clippy::cast_possible_truncation, reason = "factors are kept as f32")]
fn rope_factors(rope: &Json, dims: usize, theta: f64) -> Result<Option<Vec<f32>>> {
    let kind = rope.get("rope_type").or_else(|| rope.get("type")).and_then(Json::as_str);
    let float = |key: &str, default: f64| rope.get(key).and_then(Json::as_f64).unwrap_or(default);
    match kind {
        None | Some("default") => Ok(None),
        Some("linear") => Ok(Some(vec![float("factor", 1.0) as f32; dims / 2])),
        Some("llama3") => {
            let (low, high) = (float("low_freq_factor", 1.0), float("high_freq_factor", 4.0));
            let (factor, original) =
                (float("factor", 8.0), float("original_max_position_embeddings", 8192.0));
            let divisor = |pair: usize| {
                let length = std::f64::consts::TAU * theta.powf(2.0 * pair as f64 / dims as f64);
                if length < original / high {
                    1.0
                } else if length > original / low {
                    factor
                } else {
                    let smooth = (original / length - low) / (high - low);
                    1.0 / ((1.0 - smooth) / factor + smooth)
                }
            };
            Ok(Some((0..dims / 2).map(|pair| divisor(pair) as f32).collect()))
        }
        Some(other) => Err(LlmError::Unsupported {
            what: format!("rotary scaling {other:?}"),
            supported: "default, linear and llama3",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Llm;
    use crate::weights::gguf_writer::{Entry, Meta, write};

    const QWEN: &str = r#"{"model_type": "qwen2", "vocab_size": 10, "hidden_size": 8,
        "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 64, "rope_theta": 1e6,
        "sliding_window": 32, "use_sliding_window": false, "tie_word_embeddings": true}"#;

    #[test]
    fn a_config_is_read_and_an_impossible_one_refused() -> Result<()> {
        let config = ModelConfig::from_json(QWEN, Path::new("config.json"))?;
        assert_eq!((config.head_dim, config.window, config.tied), (2, None, true));
        let bad = QWEN.replace("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3");
        let error = ModelConfig::from_json(&bad, Path::new("x")).expect_err("refused").to_string();
        assert!(error.contains("do not fit together"), "{error}");
        let other = QWEN.replace("qwen2", "mamba");
        let error = ModelConfig::from_json(&other, Path::new("x")).expect_err("no").to_string();
        assert!(error.contains("\"mamba\"") && error.contains("llama"), "{error}");
        // Relatives in name only are told which ones can be loaded.
        for (name, known) in [("phi", "Phi-3; not Phi-2"), ("gemma2", "not Gemma 2 and 3")] {
            let other = QWEN.replace("qwen2", name);
            let error = ModelConfig::from_json(&other, Path::new("x")).expect_err("no").to_string();
            assert!(error.contains(&format!("{name:?}")) && error.contains(known), "{error}");
        }
        Ok(())
    }

    #[test]
    fn another_activation_is_refused() -> Result<()> {
        let read = |kind: &str, more: &str| {
            let text = QWEN.replace("qwen2", kind);
            let text = text.replacen('{', &format!("{{{more}, "), 1);
            ModelConfig::from_json(&text, Path::new("config.json"))
        };
        read("llama", r#""hidden_act": "silu""#)?;
        read("gemma", r#""hidden_act": "gelu", "hidden_activation": null"#)?;
        read("gemma", r#""hidden_act": "gelu", "hidden_activation": "gelu_pytorch_tanh""#)?;
        for (kind, named) in [("llama", "gelu"), ("mistral", "relu"), ("gemma", "silu")] {
            let error = read(kind, &format!(r#""hidden_act": "{named}""#)).expect_err("refused");
            let expected = format!("activation {named:?} in a model of kind {kind}");
            assert!(error.to_string().contains(&expected), "{error}");
        }
        Ok(())
    }

    #[test]
    fn the_window_is_that_of_all_layers() -> Result<()> {
        let read = |kind: &str, settings: &str| {
            let text = QWEN.replace("qwen2", kind);
            let text = text.replace("\"use_sliding_window\": false", settings);
            ModelConfig::from_json(&text, Path::new("config.json")).map(|config| config.window)
        };
        let on = "\"use_sliding_window\": true";
        // Unless it is said otherwise, Qwen's have none and the others' is used.
        assert_eq!(read("qwen2", "\"x\": 0")?, None);
        assert_eq!(read("mistral", "\"x\": 0")?, Some(32));
        assert_eq!(read("qwen2", on)?, None, "from layer 28 on, of two");
        let from = |layer: usize| format!("{on}, \"max_window_layers\": {layer}");
        assert_eq!(read("qwen2", &from(0))?, Some(32));
        assert_eq!(read("qwen3", &from(2))?, None);
        let types = |types: [&str; 2]| {
            format!(
                "{on}, \"layer_types\": [\"{}_attention\", \"{}_attention\"]",
                types[0], types[1]
            )
        };
        assert_eq!(read("qwen2", &types(["full", "full"]))?, None);
        assert_eq!(read("qwen2", &types(["sliding", "sliding"]))?, Some(32));
        for mixed in [from(1), types(["full", "sliding"])] {
            let error = read("qwen2", &mixed).expect_err("refused").to_string();
            assert!(error.contains("in all but 1 of 2 layers"), "{error}");
        }
        Ok(())
    }

    #[test]
    fn llama3_scaling_keeps_short_waves_and_divides_long_ones() -> Result<()> {
        let rope = serde_json::json!({"rope_type": "llama3", "factor": 32.0});
        let factors = rope_factors(&rope, 64, 500_000.0)?.unwrap_or_default();
        assert!((factors[0] - 1.0).abs() < 1e-6 && (factors[31] - 32.0).abs() < 1e-6);
        assert!(factors.windows(2).all(|pair| pair[0] <= pair[1]));
        // The settings are found again from the divisors alone.
        let mut config = ModelConfig::from_json(QWEN, Path::new("config.json"))?;
        (config.rope_factors, config.rope_dims) = (Some(factors), 64);
        (config.head_dim, config.rope_theta) = (64, 500_000.0);
        let scaling = &config.to_json(None, &[])?["rope_scaling"];
        assert_eq!(scaling["original_max_position_embeddings"], 8192);
        assert_eq!((&scaling["factor"], &scaling["rope_type"]), (&32.0.into(), &"llama3".into()));
        Ok(())
    }

    #[test]
    fn the_turned_part_of_a_head_is_read_from_both_places() -> Result<()> {
        let wide = QWEN.replace("\"hidden_size\": 8", "\"hidden_size\": 16");
        for place in [
            r#""partial_rotary_factor": 0.5, "model_type""#,
            r#""rope_parameters": {"partial_rotary_factor": 0.5}, "model_type""#,
        ] {
            let text = wide.replace("\"model_type\"", place);
            let config = ModelConfig::from_json(&text, Path::new("config.json"))?;
            assert_eq!((config.head_dim, config.rope_dims), (4, 2), "{place}");
        }
        Ok(())
    }

    /// Saves the tiny Phi-3 as GGUF with more in it, as llama.cpp's converter would, and loads that.
    fn phi3_with(more: &[(&str, Meta)], tensor: Option<&str>) -> Result<Llm> {
        let folder =
            tempfile::tempdir().map_err(|e| LlmError::file("create", Path::new("."), e))?;
        let (plain, path) = (folder.path().join("plain.gguf"), folder.path().join("phi3.gguf"));
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny/phi3");
        Llm::load(tiny)?.save_gguf(&plain)?;
        let read = &Gguf::open(&plain)?;
        let kept = read.metadata().iter();
        let kept = kept.filter_map(|(key, value)| Some((key.clone(), gguf::meta(value)?)));
        let more = more.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        let metadata: Vec<(String, Meta)> = kept.chain(more).collect();
        let entry = |name: &str, from: &str| -> Result<Entry<'static>> {
            let (info, bytes) = read.bytes(from)?;
            let (name, dtype) = (name.to_owned(), gguf::dtype(info.kind));
            Ok(Entry { name, shape: info.shape, dtype, bytes: Box::new(move || Ok(bytes.clone())) })
        };
        let mut entries =
            read.tensors().keys().map(|name| entry(name, name)).collect::<Result<Vec<_>>>()?;
        // Any vector will do.
        entries.extend(tensor.map(|name| entry(name, "output_norm.weight")).transpose()?);
        write(&path, &metadata, &entries)?;
        Llm::load(&path)
    }

    #[test]
    fn scaling_for_long_contexts_is_refused_where_no_kind_of_it_is_named() -> Result<()> {
        assert_eq!(phi3_with(&[], None)?.config().rope_factors, None);
        let factor = |factor: f32| [("phi3.rope.scaling.attn_factor", Meta::F32(factor))];
        assert_eq!(phi3_with(&factor(1.0), None)?.config().rope_factors, None);
        let long = ["rope_factors_long.weight", "rope_factors_short.weight"];
        let tensors = long.map(|name| (name, phi3_with(&[], Some(name))));
        let attention = ("phi3.rope.scaling.attn_factor is 1.19", phi3_with(&factor(1.19), None));
        for (expected, loaded) in tensors.into_iter().chain([attention]) {
            let error = loaded.expect_err(expected).to_string();
            assert!(error.contains(expected) && error.contains("Phi-3-mini-4k"), "{error}");
        }
        // A factor alone is linear scaling.
        for key in ["phi3.rope.scaling.factor", "phi3.rope.scale_linear"] {
            let llm = phi3_with(&[(key, Meta::F32(4.0))], None)?;
            assert_eq!(llm.config().rope_factors, Some(vec![4.0; 4]), "{key}");
        }
        Ok(())
    }
}
