//! What this crate writes is what Python's PEFT, transformers and llama.cpp read. `goldens/circle/` holds
//! adapters, a merged model and its GGUF file as they were written here, and the logits that those programs
//! computed from them (`goldens/tiny.py FOLDER` and `goldens/gguf_circle.py FOLDER` say how). These tests
//! hold both ends: the numbers are the same here, and what is written today is what was read there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, safetensors};
use oxilab_llm::Llm;
use oxilab_llm::error::Result;
use oxilab_llm::model::KvCache;
use oxilab_llm::weights::gguf::Gguf;
use oxilab_nn::Mode;
use serde_json::Value;

const TOKENS: [u32; 16] = [5, 77, 130, 9, 9, 201, 33, 64, 180, 2, 91, 140, 17, 250, 3, 111];
/// Two ranks, rsLoRA, biases of the adapted layers and of all.
const ADAPTERS: [&str; 4] = ["llama-0", "llama-1", "qwen2-0", "qwen2-1"];
const MERGED: &str = "merged-llama-0";

fn goldens(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(folder)
}

fn base(name: &str) -> Result<Llm> {
    Llm::load(goldens("tiny").join(name.split('-').next().unwrap_or_default()))
}

fn adapted(name: &str) -> Result<Llm> {
    let mut llm = base(name)?;
    llm.load_adapter(goldens("circle").join(name))?;
    Ok(llm)
}

fn merged() -> Result<Llm> {
    let mut llm = adapted("llama-0")?;
    llm.merge()?;
    Ok(llm)
}

fn logits(llm: &Llm) -> Result<Tensor> {
    let hidden = llm.model().forward(&TOKENS, &mut KvCache::new(llm.config().layers))?;
    Ok(llm.model().logits(&hidden, Mode::eval())?)
}

fn theirs(name: &str) -> Result<Tensor> {
    Ok(tensors(&goldens("circle").join(name).join("theirs.golden"))?["logits"].clone())
}

fn tensors(path: &Path) -> Result<HashMap<String, Tensor>> {
    Ok(safetensors::load(path, &Device::Cpu)?)
}

fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("readable");
    serde_json::from_str(&text).expect("JSON")
}

fn apart(a: &Tensor, b: &Tensor) -> Result<f32> {
    Ok((a - b)?.abs()?.max_all()?.to_scalar::<f32>()?)
}

/// Products are summed in another order on another processor.
fn same(ours: &HashMap<String, Tensor>, theirs: &HashMap<String, Tensor>) -> Result<()> {
    assert_eq!(ours.len(), theirs.len());
    for (name, tensor) in theirs {
        let far = apart(&ours[name], tensor)?;
        assert!(far < 1e-5, "{name}: {far}");
    }
    Ok(())
}

#[test]
fn peft_computes_our_logits_from_our_adapters() -> Result<()> {
    let out = tempfile::tempdir().expect("a folder");
    for name in ADAPTERS {
        let llm = adapted(name)?;
        let far = apart(&logits(&llm)?, &theirs(name)?)?;
        assert!(far < 1e-3, "{name}: {far}");
        let moved = apart(&logits(&base(name)?)?, &theirs(name)?)?;
        assert!(moved > 0.1, "{name}: the adapter does nothing, {moved}");
        // What PEFT read is what is written.
        llm.save_adapter(out.path().join(name))?;
        let [ours, read] = [out.path().join(name), goldens("circle").join(name)];
        let file = "adapter_model.safetensors";
        let (written, kept) = (tensors(&ours.join(file))?, tensors(&read.join(file))?);
        assert_eq!(written.len(), kept.len());
        for (key, tensor) in &kept {
            assert!(apart(&written[key], tensor)? == 0.0, "{name}: {key}");
        }
        let [mut written, mut kept] =
            [ours, read].map(|path| json(&path.join("adapter_config.json")));
        for config in [&mut written, &mut kept] {
            // Where the base lies is another place on every machine.
            config["base_model_name_or_path"] = Value::Null;
        }
        assert_eq!(written, kept, "{name}");
    }
    Ok(())
}

#[test]
fn transformers_computes_our_logits_from_a_merged_model() -> Result<()> {
    let out = tempfile::tempdir().expect("a folder");
    let llm = merged()?;
    let far = apart(&logits(&llm)?, &theirs(MERGED)?)?;
    assert!(far < 1e-3, "{far}");
    // PEFT with the adapter beside the base gives the same.
    assert!(apart(&theirs("llama-0")?, &theirs(MERGED)?)? < 1e-3);
    llm.save(out.path())?;
    let read = goldens("circle").join(MERGED);
    let file = "model.safetensors";
    same(&tensors(&out.path().join(file))?, &tensors(&read.join(file))?)?;
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        assert_eq!(json(&out.path().join(file)), json(&read.join(file)), "{file}");
    }
    Ok(())
}

#[test]
fn llama_cpp_says_from_a_merged_gguf_what_is_said_here() -> Result<()> {
    let read = goldens("circle").join(format!("{MERGED}.gguf"));
    let said = json(&read.with_extension("json"));
    let numbers =
        |key: &str| -> Vec<u32> { serde_json::from_value(said[key].clone()).expect("token ids") };
    let mut llm = Llm::load(&read)?;
    let text = said["text"].as_str().expect("a text");
    assert_eq!(llm.tokenizer().encode(text, true)?, numbers("ids"));
    let best: Vec<(u32, f32)> = serde_json::from_value(said["best"].clone()).expect("pairs");
    let ours: HashMap<u32, f32> = llm.next_logprobs(&numbers("tokens"), 264)?.into_iter().collect();
    assert_eq!(best.len(), 10);
    for (id, theirs) in best {
        // It holds keys and values in 16 bits.
        assert!((ours[&id] - theirs).abs() < 0.02, "token {id}: {} and {theirs}", ours[&id]);
    }

    let out = tempfile::tempdir().expect("a folder");
    let path = out.path().join("merged.gguf");
    merged()?.save_gguf(&path)?;
    let (written, kept) = (Gguf::open(&path)?, Gguf::open(&read)?);
    assert_eq!(written.metadata(), kept.metadata());
    assert_eq!(written.tensors().len(), kept.tensors().len());
    for (name, info) in kept.tensors() {
        let (ours, bytes) = written.bytes(name)?;
        assert_eq!((&ours.shape, ours.kind), (&info.shape, info.kind), "{name}");
        let floats = |bytes: &[u8]| -> Vec<f32> {
            let four = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
            bytes.chunks_exact(4).map(four).collect()
        };
        let (ours, theirs) = (floats(&bytes), floats(&kept.bytes(name)?.1));
        let far = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(ours.len() == theirs.len() && far < 1e-5, "{name}: {far}");
    }
    Ok(())
}

/// llama.cpp ends with an error of its C++ library where a model whose name holds `phi3` lacks these tokens.
#[test]
fn a_phi_model_without_phi_3_minis_tokens_is_not_called_phi3() -> Result<()> {
    let out = tempfile::tempdir().expect("a folder");
    let path = out.path().join("phi.gguf");
    let llm = base("phi3")?;
    assert!(llm.tokenizer().id("<unk>").is_none());
    llm.save_gguf(&path)?;
    let file = Gguf::open(&path)?;
    let [name, kind] = ["general.name", "general.architecture"].map(|key| file.text(key));
    assert_eq!((name, kind), (Some("phi"), Some("phi3")));
    Ok(())
}
