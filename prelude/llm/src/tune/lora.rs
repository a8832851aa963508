//! LoRA adapters: putting them in, taking them out, merging them, and PEFT's files.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use oxilab_nn::init;
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value as Json, json};

use crate::error::{LlmError, Result};
use crate::files::Together;
use crate::llm::Llm;
use crate::model::TARGETS;
use crate::weights::linear::{Adapter, Linear};
use crate::weights::source::damaged;

/// Which biases are trained along with adapters, PEFT's names. Most models of the Llama family have
/// none; Qwen2 has them on q, k and v.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/qwen2");
/// use oxilab_llm::{Bias, Llm, Lora};
/// // Qwen2's q, k and v have biases.
/// Llm::load(folder)?.add_adapter(&Lora::new(4).with_bias(Bias::LoraOnly))?;
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bias {
    /// None.
    #[default]
    None,
    /// Those of all layers of the blocks.
    All,
    /// Those of layers with an adapter.
    LoraOnly,
}

impl Bias {
    const NAMES: [(Self, &'static str); 3] =
        [(Self::None, "none"), (Self::All, "all"), (Self::LoraOnly, "lora_only")];

    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(bias, _)| *bias == self).map_or("none", |(_, name)| *name)
    }
}

/// Settings of a low-rank adapter (Hu et al., 2021).
///
/// ```
/// use oxilab_llm::Lora;
/// let lora = Lora::new(8).with_alpha(16.0).with_targets(&["q_proj", "v_proj"]);
/// assert_eq!(lora.scale(), 2.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// The rank.
    pub r: usize,
    /// The update is scaled by `alpha / r`; twice the rank unless set.
    pub alpha: f64,
    /// Dropout of the adapters' input while training; none unless set.
    pub dropout: f64,
    /// The layers that get an adapter; all seven linear layers of a block unless set.
    pub targets: Vec<String>,
    /// Scale by `alpha / sqrt(r)` instead (rsLoRA: Kalajdzievski, 2023).
    pub rank_stabilized: bool,
    /// The biases that are trained as well; none unless set.
    pub bias: Bias,
    /// The seed of the initial values.
    pub seed: u64,
}

impl Lora {
    /// Adapters of rank `r` on all linear layers.
    #[must_use]
    pub fn new(r: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
        let alpha = 2.0 * r as f64;
        let targets = TARGETS.iter().map(|name| (*name).to_owned()).collect();
        Self { r, alpha, dropout: 0.0, targets, rank_stabilized: false, bias: Bias::None, seed: 0 }
    }

    /// Sets alpha.
    #[must_use]
    pub fn with_alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// Sets the dropout.
    #[must_use]
    pub fn with_dropout(mut self, p: f64) -> Self {
        self.dropout = p;
        self
    }

    /// Sets the layers: of `q_proj`, `k_proj`, `v_proj`, `o_proj`, `gate_proj`, `up_proj`,
    /// `down_proj`.
    #[must_use]
    pub fn with_targets(mut self, targets: &[&str]) -> Self {
        self.targets = targets.iter().map(|name| (*name).to_owned()).collect();
        self
    }

    /// Switches to rsLoRA's scale.
    #[must_use]
    pub fn rank_stabilized(mut self) -> Self {
        self.rank_stabilized = true;
        self
    }

    /// Sets the biases that are trained as well.
    #[must_use]
    pub fn with_bias(mut self, bias: Bias) -> Self {
        self.bias = bias;
        self
    }

    /// Sets the seed of the initial values.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The factor on the update.
    #[must_use]
    pub fn scale(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
        let r = self.r as f64;
        self.alpha / if self.rank_stabilized { r.sqrt() } else { r }
    }

    /// Whether adapters of the one can be trained on as those of the other: all is the same but the seed of
    /// the values that they began with, and the order in which layers are named.
    pub(crate) fn goes_on_with(&self, other: &Self) -> bool {
        let settings = |lora: &Self| {
            let mut lora = lora.clone();
            lora.targets.sort_unstable();
            Self { seed: 0, ..lora }
        };
        settings(self) == settings(other)
    }

    fn check(&self) -> Result<()> {
        let setting = |setting, value: String, expected: &str| {
            Err(LlmError::Setting { setting, value, expected: expected.to_owned() })
        };
        if self.r == 0 {
            return setting("r", "0".to_owned(), "the rank must be at least 1");
        }
        if !self.alpha.is_finite() {
            return setting("alpha", self.alpha.to_string(), "it must be a finite number");
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return setting("dropout", self.dropout.to_string(), "it must be in 0..1");
        }
        let unknown = self.targets.iter().find(|name| !TARGETS.contains(&name.as_str()));
        match unknown {
            Some(name) => {
                setting("targets", format!("{name:?}"), &format!("there are {TARGETS:?}"))
            }
            None if self.targets.is_empty() => {
                setting("targets", "empty".to_owned(), "at least one layer must be named")
            }
            None => Ok(()),
        }
    }

    fn config(&self, base: &str) -> Json {
        json!({
            "peft_type": "LORA",
            "task_type": "CAUSAL_LM",
            "base_model_name_or_path": base,
            "r": self.r,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "target_modules": self.targets,
            "use_rslora": self.rank_stabilized,
            "use_dora": false,
            "bias": self.bias.name(),
            "fan_in_fan_out": false,
            "inference_mode": true,
            "init_lora_weights": true,
            "layers_to_transform": null,
            "layers_pattern": null,
            "modules_to_save": null,
            "rank_pattern": {},
            "alpha_pattern": {},
            "revision": null,
        })
    }
}

impl Llm {
    /// Puts fresh adapters into the model: `A` random, `B` zero, so that nothing changes yet.
    ///
    /// # Errors
    /// When a setting is out of range or the model already has adapters.
    pub fn add_adapter(&mut self, lora: &Lora) -> Result<()> {
        lora.check()?;
        if self.lora.is_some() {
            return Err(LlmError::AdapterState(
                "the model already has an adapter; merge it or take it out with `remove_adapter` first",
            ));
        }
        let mut rng = StdRng::seed_from_u64(lora.seed);
        let mut id = 0;
        for block in &mut self.model.blocks {
            for (_, name, layer) in block.linears_mut() {
                let target = lora.targets.iter().any(|target| target == name);
                let biased = lora.bias == Bias::All || lora.bias == Bias::LoraOnly && target;
                if let Some(bias) = layer.bias.as_ref().filter(|_| biased) {
                    layer.trained_bias = Some(Var::from_tensor(bias)?);
                }
                if target {
                    let (outputs, inputs) = layer.weight.dims()?;
                    let a = init::linear((lora.r, inputs), &mut rng, &Device::Cpu)?;
                    let b = Tensor::zeros((outputs, lora.r), DType::F32, &Device::Cpu)?;
                    id += 1;
                    set(layer, &a, &b, lora, id)?;
                }
            }
        }
        self.lora = Some(lora.clone());
        self.weights_changed();
        Ok(())
    }

    /// Takes the adapters out; the model is the base again.
    pub fn remove_adapter(&mut self) {
        for block in &mut self.model.blocks {
            for (_, _, layer) in block.linears_mut() {
                (layer.adapter, layer.trained_bias) = (None, None);
            }
        }
        self.lora = None;
        self.weights_changed();
    }

    /// Adds the adapters to the weights, which become `f32` where they were quantised.
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
    /// # let adapter = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama-plain");
    /// use oxilab_llm::Llm;
    /// let mut llm = Llm::load(folder)?;
    /// llm.load_adapter(adapter)?;
    /// let before = llm.perplexity("the cat")?;
    /// llm.merge()?;
    /// assert!((llm.perplexity("the cat")? / before - 1.0).abs() < 1e-3);
    /// # Ok::<(), oxilab_llm::LlmError>(())
    /// ```
    ///
    /// # Errors
    /// When the model has no adapter.
    pub fn merge(&mut self) -> Result<()> {
        if self.lora.take().is_none() {
            return Err(NO_ADAPTER);
        }
        for block in &mut self.model.blocks {
            for (_, _, layer) in block.linears_mut() {
                layer.merge()?;
            }
        }
        self.weights_changed();
        Ok(())
    }

    /// The adapters' variables under PEFT's names.
    pub(crate) fn adapter_vars(&self) -> Vec<(String, Var)> {
        let mut vars = Vec::new();
        for (number, block) in self.model.blocks.iter().enumerate() {
            for (part, name, layer) in block.linears() {
                if let Some(adapter) = &layer.adapter {
                    let key = key(number, part, name);
                    vars.push((format!("{key}.lora_A.weight"), adapter.a.clone()));
                    vars.push((format!("{key}.lora_B.weight"), adapter.b.clone()));
                }
                if let Some(bias) = &layer.trained_bias {
                    let inside = if layer.adapter.is_some() { ".base_layer" } else { "" };
                    let key = key(number, part, name);
                    vars.push((format!("{key}{inside}.bias"), bias.clone()));
                }
            }
        }
        vars
    }

    /// Writes the adapters as PEFT does: `adapter_config.json` and `adapter_model.safetensors`.
    ///
    /// # Errors
    /// When the model has no adapter or the folder cannot be written; an older adapter there stays.
    pub fn save_adapter(&self, folder: impl AsRef<Path>) -> Result<()> {
        if self.lora.is_none() {
            return Err(NO_ADAPTER);
        }
        let mut files = Together::begin(folder.as_ref())?;
        self.put_adapter(&mut files)?;
        files.finish()
    }

    /// The files of [`Llm::save_adapter`].
    pub(crate) fn put_adapter(&self, files: &mut Together) -> Result<()> {
        let lora = self.lora.as_ref().ok_or(NO_ADAPTER)?;
        let tensors: HashMap<String, Tensor> = self
            .adapter_vars()
            .into_iter()
            .map(|(name, var)| (name, var.as_detached_tensor()))
            .collect();
        files.write_tensors(ADAPTER_MODEL, &tensors)?;
        let json = lora.config(&self.path.to_string_lossy());
        files.write("adapter_config.json", format!("{json:#}\n").as_bytes())
    }

    /// Reads adapters that [`Llm::save_adapter`] or PEFT wrote, and puts them into the model.
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
    /// # let adapter = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama-plain");
    /// use oxilab_llm::Llm;
    /// let mut llm = Llm::load(folder)?;
    /// llm.load_adapter(adapter)?;
    /// let copy = tempfile::tempdir()?;
    /// llm.save_adapter(copy.path())?;
    /// assert!(copy.path().join("adapter_model.safetensors").is_file());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When a file is missing or damaged, does not fit the model, or the model already has adapters.
    pub fn load_adapter(&mut self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        let path = folder.join("adapter_config.json");
        let text = std::fs::read_to_string(&path).map_err(|e| LlmError::file("read", &path, e))?;
        let unfit = |reason: String| LlmError::Adapter { path: folder.to_owned(), reason };
        let json: Json = serde_json::from_str(&text)
            .map_err(|e| unfit(format!("adapter_config.json is damaged: {e}")))?;
        let mut lora = read_config(&json).map_err(unfit)?;
        let path = folder.join(ADAPTER_MODEL);
        let mut tensors =
            candle_core::safetensors::load(&path, &Device::Cpu).map_err(|e| damaged(&path, e))?;
        let (mut found, mut biases) = (Vec::new(), Vec::new());
        for (number, block) in self.model.blocks.iter().enumerate() {
            for (part, name, layer) in block.linears() {
                let key = key(number, part, name);
                for inside in ["", ".base_layer"] {
                    if let Some(bias) = tensors.remove(&format!("{key}{inside}.bias")) {
                        if layer.bias.as_ref().is_none_or(|held| held.shape() != bias.shape()) {
                            return Err(unfit(format!(
                                "{key} has a bias {:?}, which the model's layer has not",
                                bias.shape()
                            )));
                        }
                        biases.push((number, name, bias.to_dtype(DType::F32)?));
                    }
                }
                let mut take = |half: &str| tensors.remove(&format!("{key}.lora_{half}.weight"));
                let (Some(a), Some(b)) = (take("A"), take("B")) else { continue };
                let (outputs, inputs) = layer.weight.dims()?;
                if a.dims() != [lora.r, inputs] || b.dims() != [outputs, lora.r] {
                    return Err(unfit(format!(
                        "{key} has shapes {:?} and {:?}, the model's layer is {outputs} × {inputs}",
                        a.dims(),
                        b.dims()
                    )));
                }
                found.push((number, name, a.to_dtype(DType::F32)?, b.to_dtype(DType::F32)?));
            }
        }
        if let Some(name) = tensors.keys().next() {
            return Err(unfit(format!("{name} has no place in this model")));
        }
        if found.is_empty() {
            return Err(unfit("it holds no tensors".to_owned()));
        }
        // PEFT also takes a pattern, or names with more of the path, for the layers to adapt.
        let adapted = |target: &&str| found.iter().any(|(_, name, _, _)| name == target);
        lora.targets = TARGETS.into_iter().filter(adapted).map(str::to_owned).collect();
        self.add_adapter(&lora)?;
        for (id, (number, name, a, b)) in (1..).zip(found) {
            for (_, place, layer) in self.model.blocks[number].linears_mut() {
                if place == name {
                    set(layer, &a, &b, &lora, id)?;
                }
            }
        }
        for (number, name, bias) in biases {
            for (_, place, layer) in self.model.blocks[number].linears_mut() {
                if place == name {
                    let bias = bias.to_device(&layer.weight.device())?;
                    layer.trained_bias = Some(Var::from_tensor(&bias)?);
                }
            }
        }
        Ok(())
    }
}

pub(super) const ADAPTER_MODEL: &str = "adapter_model.safetensors";

const NO_ADAPTER: LlmError =
    LlmError::AdapterState("the model has no adapter; train one or load it with `load_adapter`");

fn key(layer: usize, part: &str, name: &str) -> String {
    format!("base_model.model.model.layers.{layer}.{part}.{name}")
}

fn set(layer: &mut Linear, a: &Tensor, b: &Tensor, lora: &Lora, id: u64) -> Result<()> {
    let device = layer.weight.device();
    layer.adapter = Some(Adapter {
        a: Var::from_tensor(&a.to_device(&device)?)?,
        b: Var::from_tensor(&b.to_device(&device)?)?,
        scale: lora.scale(),
        dropout: lora.dropout,
        id,
    });
    Ok(())
}

fn read_config(json: &Json) -> Result<Lora, String> {
    if json.get("peft_type").and_then(Json::as_str) != Some("LORA") {
        return Err("adapter_config.json is not of a LoRA adapter".to_owned());
    }
    let r = json.get("r").and_then(Json::as_u64).and_then(|r| usize::try_from(r).ok());
    let r = r.filter(|r| *r > 0).ok_or("adapter_config.json has no rank r")?;
    for key in ["rank_pattern", "alpha_pattern"] {
        if json.get(key).and_then(Json::as_object).is_some_and(|pattern| !pattern.is_empty()) {
            return Err(format!("{key} is not supported: all layers must have one rank and alpha"));
        }
    }
    for key in ["use_dora", "use_bdlora", "use_qalora", "lora_bias", "fan_in_fan_out"] {
        if json.get(key).and_then(Json::as_bool) == Some(true) {
            return Err(format!("{key} is not supported: only plain LoRA and rsLoRA are"));
        }
    }
    let mut lora = Lora::new(r);
    if let Some(Json::Array(targets)) = json.get("target_modules") {
        lora.targets = targets.iter().filter_map(Json::as_str).map(str::to_owned).collect();
    }
    if let Some(name) = json.get("bias").and_then(Json::as_str) {
        let known = Bias::NAMES.iter().find(|(_, known)| *known == name);
        lora.bias = known.ok_or_else(|| format!("a bias of {name:?}"))?.0;
    }
    lora.alpha = json.get("lora_alpha").and_then(Json::as_f64).unwrap_or(8.0);
    lora.dropout = json.get("lora_dropout").and_then(Json::as_f64).unwrap_or(0.0);
    lora.rank_stabilized = json.get("use_rslora").and_then(Json::as_bool).unwrap_or(false);
    Ok(lora)
}
