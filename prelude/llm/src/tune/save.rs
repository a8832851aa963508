//! Whole models on disk in Hugging Face's layout, and all weights as variables for full fine-tuning.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Tensor, Var};
use serde_json::json;

use crate::error::{LlmError, Result};
use crate::files::Together;
use crate::llm::Llm;
use crate::model::Architecture;
use crate::weights::linear::{Linear, Weight};
use crate::weights::source::WHOLE;

impl Llm {
    /// Writes the model as transformers reads it: `config.json`, `model.safetensors` (`f32`, quantised
    /// weights dequantised), `tokenizer.json`, `tokenizer_config.json`. Merge adapters first.
    ///
    /// ```
    /// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
    /// use oxilab_llm::Llm;
    /// let out = tempfile::tempdir()?;
    /// Llm::load(folder)?.save(out.path())?;
    /// assert_eq!(Llm::load(out.path())?.config().layers, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the model still has adapters or the folder cannot be written; an older model there stays.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<()> {
        let folder = folder.as_ref();
        if self.lora.is_some() {
            return Err(LlmError::AdapterState(
                "the model has an adapter; call `merge` before `save`, or `save_adapter`",
            ));
        }
        let mut files = Together::begin(folder)?;
        self.put(&mut files)?;
        files.finish()
    }

    /// The files of [`Llm::save`].
    pub(crate) fn put(&self, files: &mut Together) -> Result<()> {
        files.write_tensors(WHOLE, &self.tensors()?)?;
        let mut config = self.config().to_json(self.tokenizer.bos(), self.tokenizer.ends())?;
        let has_bias = self.model.blocks.first().is_some_and(|block| block.q.bias.is_some());
        config["attention_bias"] = has_bias.into();
        files.write("config.json", format!("{config:#}\n").as_bytes())?;
        files.write("tokenizer.json", self.tokenizer.json()?.as_bytes())?;
        let text = |id: Option<u32>| id.and_then(|id| self.tokenizer.token(id));
        let config = json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": text(self.tokenizer.bos()),
            "eos_token": text(self.tokenizer.eos()),
            "model_max_length": self.config().context,
            "chat_template": self.template.as_ref().map(|template| template.source()),
        });
        files.write("tokenizer_config.json", format!("{config:#}\n").as_bytes())
    }

    /// All tensors as `f32` under Hugging Face's names.
    fn tensors(&self) -> Result<HashMap<String, Tensor>> {
        let config = self.config();
        let mut tensors = HashMap::new();
        // Gemma's safetensors hold norms around zero.
        let norm = |tensor: &Tensor| -> Result<Tensor> {
            let gemma = config.architecture == Architecture::Gemma;
            Ok(if gemma { (tensor - 1.0)? } else { tensor.clone() })
        };
        let mut linear = |name: String, layer: &Linear| -> Result<()> {
            tensors.insert(format!("{name}.weight"), layer.weight.dense()?.contiguous()?);
            if let Some(bias) = &layer.bias {
                tensors.insert(format!("{name}.bias"), bias.clone());
            }
            Ok(())
        };
        let phi = config.architecture == Architecture::Phi3;
        for (number, block) in self.model.blocks.iter().enumerate() {
            let at = format!("model.layers.{number}");
            for (part, name, layer) in block.linears() {
                let joined = phi && !matches!(name, "o_proj" | "down_proj");
                if !joined {
                    linear(format!("{at}.{part}.{name}"), layer)?;
                }
            }
            if phi {
                linear(
                    format!("{at}.self_attn.qkv_proj"),
                    &join(&[&block.q, &block.k, &block.v])?,
                )?;
                linear(format!("{at}.mlp.gate_up_proj"), &join(&[&block.gate, &block.up])?)?;
            }
        }
        if let Some(head) = &self.model.head {
            linear("lm_head".to_owned(), head)?;
        }
        tensors.insert("model.embed_tokens.weight".to_owned(), self.model.embedding.dense()?);
        tensors.insert("model.norm.weight".to_owned(), norm(&self.model.norm)?);
        for (number, block) in self.model.blocks.iter().enumerate() {
            let at = format!("model.layers.{number}");
            tensors.insert(format!("{at}.input_layernorm.weight"), norm(&block.input_norm)?);
            tensors
                .insert(format!("{at}.post_attention_layernorm.weight"), norm(&block.post_norm)?);
            for (name, tensor) in [("q_norm", &block.q_norm), ("k_norm", &block.k_norm)] {
                if let Some(tensor) = tensor {
                    tensors.insert(format!("{at}.self_attn.{name}.weight"), tensor.clone());
                }
            }
        }
        Ok(tensors)
    }

    /// Makes all weights trainable, norms and biases too, quantised ones after they are dequantised.
    pub(crate) fn make_trainable(&mut self) -> Result<Vec<(String, Var)>> {
        if self.lora.is_some() {
            return Err(LlmError::AdapterState(
                "the model has an adapter; merge it or take it out before training all weights",
            ));
        }
        let mut vars = Trained(Vec::new());
        let model = &mut self.model;
        vars.matrix("model.embed_tokens.weight".to_owned(), &mut model.embedding)?;
        for (number, block) in model.blocks.iter_mut().enumerate() {
            let at = format!("model.layers.{number}");
            for (part, name, layer) in block.linears_mut() {
                vars.linear(&format!("{at}.{part}.{name}"), layer)?;
            }
            vars.vector(format!("{at}.input_layernorm.weight"), &mut block.input_norm)?;
            vars.vector(format!("{at}.post_attention_layernorm.weight"), &mut block.post_norm)?;
            for (name, norm) in [("q_norm", &mut block.q_norm), ("k_norm", &mut block.k_norm)] {
                if let Some(norm) = norm {
                    vars.vector(format!("{at}.self_attn.{name}.weight"), norm)?;
                }
            }
        }
        vars.vector("model.norm.weight".to_owned(), &mut model.norm)?;
        if let Some(head) = &mut model.head {
            vars.linear("lm_head", head)?;
        }
        self.weights_changed();
        Ok(vars.0)
    }

    /// Fixes weights that were trained: what is generated from here on keeps no way back to them.
    pub(crate) fn freeze(&mut self) {
        let fix = |weight: &mut Weight| {
            if let Weight::Trainable(var) = weight {
                *weight = Weight::Dense(var.as_detached_tensor());
            }
        };
        let model = &mut self.model;
        fix(&mut model.embedding);
        model.norm = model.norm.detach();
        for block in &mut model.blocks {
            for (_, _, layer) in block.linears_mut() {
                fix(&mut layer.weight);
                layer.bias = layer.bias.take().map(|bias| bias.detach());
            }
            block.input_norm = block.input_norm.detach();
            block.post_norm = block.post_norm.detach();
            for norm in [&mut block.q_norm, &mut block.k_norm] {
                *norm = norm.take().map(|norm| norm.detach());
            }
        }
        if let Some(head) = &mut model.head {
            fix(&mut head.weight);
        }
    }
}

/// Variables that take the place of weights.
struct Trained(Vec<(String, Var)>);

impl Trained {
    fn linear(&mut self, name: &str, layer: &mut Linear) -> Result<()> {
        self.matrix(format!("{name}.weight"), &mut layer.weight)?;
        match &mut layer.bias {
            Some(bias) => self.vector(format!("{name}.bias"), bias),
            None => Ok(()),
        }
    }

    fn matrix(&mut self, name: String, weight: &mut Weight) -> Result<()> {
        let var = Var::from_tensor(&weight.dense()?)?;
        *weight = Weight::Trainable(var.clone());
        self.0.push((name, var));
        Ok(())
    }

    fn vector(&mut self, name: String, tensor: &mut Tensor) -> Result<()> {
        let var = Var::from_tensor(&tensor.detach())?;
        *tensor = var.as_tensor().clone();
        self.0.push((name, var));
        Ok(())
    }
}

fn join(layers: &[&Linear]) -> Result<Linear> {
    let weights = layers.iter().map(|layer| layer.weight.dense()).collect::<Result<Vec<_>, _>>()?;
    Ok(Linear::new(Weight::Dense(Tensor::cat(&weights, 0)?), None))
}
