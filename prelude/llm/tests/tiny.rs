//! Tiny random models and adapters as transformers and PEFT save them: equal logits both ways.
//! `goldens/tiny.py` made them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, safetensors};
use oxilab_llm::error::Result;
use oxilab_llm::model::KvCache;
use oxilab_llm::{Bias, Example, Llm, LlmError, Lora, Quant, Sampling, SftTrainer};
use oxilab_nn::Mode;

const TOKENS: [u32; 16] = [5, 77, 130, 9, 9, 201, 33, 64, 180, 2, 91, 140, 17, 250, 3, 111];
const MODELS: [&str; 7] = ["llama", "llama3", "mistral", "qwen2", "qwen3", "phi3", "gemma"];
const ADAPTERS: [&str; 3] = ["llama-plain", "llama-rank_stabilized", "qwen2-bias"];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny").join(name)
}

fn load(name: &str) -> Result<Llm> {
    Llm::load(folder(name))
}

/// Logits of all positions, read in pieces of these lengths.
fn logits(llm: &Llm, pieces: &[usize]) -> Result<Tensor> {
    let mut cache = KvCache::new(llm.config().layers);
    let (mut parts, mut at) = (Vec::new(), 0);
    for length in pieces {
        let hidden = llm.model().forward(&TOKENS[at..at + length], &mut cache)?;
        parts.push(llm.model().logits(&hidden, Mode::eval())?);
        at += length;
    }
    Ok(Tensor::cat(&parts, 0)?)
}

fn golden(name: &str) -> Result<Tensor> {
    Ok(safetensors::load(folder(name).join("logits.golden"), &Device::Cpu)?["logits"].clone())
}

fn apart(a: &Tensor, b: &Tensor) -> Result<f32> {
    Ok((a - b)?.abs()?.max_all()?.to_scalar::<f32>()?)
}

#[test]
fn logits_of_every_architecture_are_those_of_transformers() -> Result<()> {
    for name in MODELS {
        let llm = load(name)?;
        let golden = golden(name)?;
        for pieces in [&[16][..], &[1; 16], &[5, 1, 10]] {
            let far = apart(&logits(&llm, pieces)?, &golden)?;
            println!("{name} {pieces:?}: {far:.1e}");
            assert!(far < 1e-4, "{name} in pieces of {pieces:?}: {far}");
        }
    }
    Ok(())
}

#[test]
fn logits_with_adapters_are_those_of_peft() -> Result<()> {
    for name in ADAPTERS {
        let base = name.split('-').next().unwrap_or_default();
        let mut llm = load(base)?;
        llm.load_adapter(folder(name))?;
        let far = apart(&logits(&llm, &[16])?, &golden(name)?)?;
        assert!(far < 1e-3, "{name}: {far}");
        assert!(apart(&golden(name)?, &golden(base)?)? > 0.5, "the adapter does something");
        llm.merge()?;
        let far = apart(&logits(&llm, &[16])?, &golden(name)?)?;
        assert!(far < 1e-3, "{name} merged: {far}");
    }
    Ok(())
}

#[test]
fn an_adapter_read_and_written_is_the_same() -> Result<()> {
    let written = tempfile::tempdir().expect("a folder");
    for name in ADAPTERS {
        let mut llm = load(name.split('-').next().unwrap_or_default())?;
        llm.load_adapter(folder(name))?;
        llm.save_adapter(written.path())?;
        let read = |folder: &Path| -> Result<HashMap<String, Tensor>> {
            Ok(safetensors::load(folder.join("adapter_model.safetensors"), &Device::Cpu)?)
        };
        let (ours, theirs) = (read(written.path())?, read(&folder(name))?);
        assert_eq!(ours.len(), theirs.len());
        for (key, tensor) in theirs {
            assert!(apart(&ours[&key], &tensor)? == 0.0, "{key}");
        }
        let json = |folder: &Path| -> serde_json::Value {
            let text = std::fs::read_to_string(folder.join("adapter_config.json")).expect("there");
            serde_json::from_str(&text).expect("JSON")
        };
        let (ours, theirs) = (json(written.path()), json(&folder(name)));
        for key in ["peft_type", "task_type", "r", "use_rslora", "bias", "lora_dropout"] {
            assert_eq!(ours[key], theirs[key], "{key}");
        }
        assert_eq!(ours["lora_alpha"].as_f64(), theirs["lora_alpha"].as_f64());
    }
    Ok(())
}

#[test]
fn saved_models_give_the_same_logits_in_both_formats() -> Result<()> {
    let out = tempfile::tempdir().expect("a folder");
    for name in MODELS {
        let llm = load(name)?;
        llm.save(out.path().join(name))?;
        let again = Llm::load(out.path().join(name))?;
        assert!(apart(&logits(&again, &[16])?, &golden(name)?)? < 1e-4, "{name} saved");
        let path = out.path().join(format!("{name}.gguf"));
        if name == "mistral" {
            let error = llm.save_gguf(&path).expect_err("a window").to_string();
            assert!(error.contains("window of 6"), "{error}");
            continue;
        }
        llm.save_gguf(&path)?;
        let again = Llm::load(&path)?;
        let far = apart(&logits(&again, &[16])?, &golden(name)?)?;
        assert!(far < 1e-4, "{name} as GGUF: {far}");
        let text = "the cat in the hat, éß 12";
        let ids = llm.tokenizer().encode(text, true)?;
        assert_eq!(again.tokenizer().encode(text, true)?, ids, "{name}");
        assert_eq!(again.tokenizer().ends(), llm.tokenizer().ends());
    }
    Ok(())
}

#[test]
fn quantising_shrinks_and_the_logits_move_with_the_bits() -> Result<()> {
    let llm = load("qwen3")?;
    let mut before = 0.0;
    for quant in [Quant::F16, Quant::Q8_0, Quant::Q5_1, Quant::Q4_1] {
        let far = apart(&logits(&llm.quantized(quant)?, &[16])?, &golden("qwen3")?)?;
        assert!(far > before && far < 4.0, "{}: {far}", quant.name());
        before = far;
    }
    let report = llm.compare_quants("the cat in the hat", &[Quant::F16, Quant::Q8_0])?;
    let bytes: Vec<usize> = report.rows.iter().map(|row| row.bytes).collect();
    assert!(bytes[1] * 2 == bytes[0] && bytes[2] < bytes[1], "{bytes:?}");
    assert!((report.rows[1].perplexity / report.rows[0].perplexity - 1.0).abs() < 0.01);
    Ok(())
}

#[test]
fn pieces_add_up_and_the_seed_repeats() -> Result<()> {
    let mut llm = load("llama")?;
    let hot = Sampling::greedy().with_temperature(1.2).with_max_tokens(40).with_top_logprobs(3);
    let hot = hot.with_seed(7).with_stop("zzz");
    let whole = llm.generate("the", &hot)?;
    let mut pieces = llm.pieces("the", &hot)?;
    let (mut text, mut ids) = (String::new(), Vec::new());
    for piece in &mut pieces {
        let piece = piece?;
        text.push_str(&piece.text);
        for token in piece.tokens {
            assert_eq!(token.top.len(), 3);
            assert!(token.top[0].1 >= token.top[1].1 && token.top[0].1 >= token.logprob);
            ids.push(token.id);
        }
    }
    assert_eq!((&text, &ids, pieces.finish()), (&whole.text, &whole.tokens, Some(whole.finish)));
    assert_eq!(whole.top_logprobs.len(), whole.tokens.len());
    let other = llm.generate("the", &hot.clone().with_seed(8))?;
    assert_ne!(other.tokens, whole.tokens);
    Ok(())
}

#[test]
fn a_random_model_is_held_to_a_schema() -> Result<()> {
    let mut llm = load("qwen2")?;
    let schema = serde_json::json!({"type": "object", "required": ["name", "tags", "age"],
        "properties": {"name": {"type": "string", "maxLength": 6},
            "tags": {"type": "array", "items": {"enum": ["red", "grün"]}, "minItems": 1, "maxItems": 2},
            "age": {"type": "integer"}}});
    for seed in 0..8 {
        let hot = Sampling::greedy().with_temperature(1.5).with_seed(seed).with_max_tokens(120);
        let said = llm.generate("x", &hot.with_json_schema(schema.clone()))?;
        let value: serde_json::Value = serde_json::from_str(&said.text).expect("JSON");
        assert!(value["age"].is_i64() && value["tags"][0].is_string(), "{}", said.text);
        assert!(value["name"].as_str().is_some_and(|name| name.chars().count() <= 6));
    }
    let odd = Sampling::greedy()
        .with_json_schema(serde_json::json!({"type": "string", "format": "date"}));
    assert!(matches!(llm.generate("x", &odd), Err(LlmError::Schema { .. })));
    Ok(())
}

#[test]
fn a_model_of_the_hubs_cache_is_found_by_its_name() -> Result<()> {
    let cache = tempfile::tempdir().expect("a folder");
    let root = cache.path().join("models--someone--tiny");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let snapshot = root.join("snapshots").join(commit);
    std::fs::create_dir_all(&snapshot).expect("made");
    std::fs::create_dir_all(root.join("refs")).expect("made");
    std::fs::write(root.join("refs/main"), commit).expect("written");
    for entry in std::fs::read_dir(folder("qwen3")).expect("there").flatten() {
        std::fs::copy(entry.path(), snapshot.join(entry.file_name())).expect("copied");
    }
    load("llama")?.save_gguf(snapshot.join("llama.gguf"))?;
    let hub = oxilab_hub::Hub::new().with_cache(cache.path()).with_offline(true).quiet();
    let llm = Llm::from_hub(&hub, "someone/tiny")?;
    assert!(apart(&logits(&llm, &[16])?, &golden("qwen3")?)? < 1e-4);
    let llm = Llm::from_hub(&hub, "someone/tiny/llama.gguf")?;
    assert!(apart(&logits(&llm, &[16])?, &golden("llama")?)? < 1e-4);
    let error = Llm::from_hub(&hub, "someone/else").expect_err("not there").to_string();
    assert!(error.contains("no file or folder \"someone/else\""), "{error}");
    Ok(())
}

#[test]
fn a_loss_that_is_no_number_ends_training_and_keeps_the_last_good_adapter() -> Result<()> {
    let mut llm = load("llama")?;
    let examples = vec![Example::completion("the cat ", "in the hat"); 4];
    let trainer = SftTrainer::new(Lora::new(2)).with_batch_size(1).with_learning_rate(1e30).quiet();
    let error = trainer.fit(&mut llm, &examples).expect_err("diverges").to_string();
    assert!(error.contains("epoch 1") && error.contains("batch 2"), "{error}");
    assert!(llm.perplexity("the cat in the hat")?.is_finite());
    assert!(apart(&logits(&llm, &[16])?, &golden("llama")?)? < 1e-4, "as before the step");
    // All weights likewise.
    let mut llm = load("llama")?;
    let trainer = SftTrainer::full().with_batch_size(1).with_learning_rate(1e30).quiet();
    let error = trainer.fit(&mut llm, &examples).expect_err("diverges").to_string();
    assert!(error.contains("epoch 1") && error.contains("batch 2"), "{error}");
    assert!(apart(&logits(&llm, &[16])?, &golden("llama")?)? < 1e-4, "as before the step");
    Ok(())
}

/// PEFT's files may name the adapted layers by a pattern, by more of their path, or not at all.
#[test]
fn the_adapted_layers_are_those_that_the_file_holds() -> Result<()> {
    let out = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(folder("llama-plain")).expect("there").flatten() {
        std::fs::copy(entry.path(), out.path().join(entry.file_name())).expect("copied");
    }
    let path = out.path().join("adapter_config.json");
    let text = std::fs::read_to_string(&path).expect("there");
    for targets in [
        serde_json::json!(".*(q_proj|v_proj|down_proj)"),
        serde_json::json!(["self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj"]),
        serde_json::Value::Null,
    ] {
        let mut config: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        config["target_modules"] = targets;
        std::fs::write(&path, config.to_string()).expect("written");
        let mut llm = load("llama")?;
        llm.load_adapter(out.path())?;
        assert!(apart(&logits(&llm, &[16])?, &golden("llama-plain")?)? < 1e-3);
        llm.save_adapter(out.path().join("again"))?;
        let again = std::fs::read_to_string(out.path().join("again/adapter_config.json"));
        let again: serde_json::Value = serde_json::from_str(&again.expect("there")).expect("JSON");
        assert_eq!(again["target_modules"], serde_json::json!(["q_proj", "v_proj", "down_proj"]));
    }
    Ok(())
}

/// Files that once made trouble, found by `examples/fuzz_llm.rs`.
#[test]
fn damaged_files_are_errors() {
    for (kind, file) in [
        ("gguf", "model.gguf"),
        ("safetensors", "model.safetensors"),
        ("config", "config.json"),
        ("tokenizer", "tokenizer.json"),
        ("adapter", "adapter_model.safetensors"),
    ] {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(kind);
        let mut count = 0;
        for entry in std::fs::read_dir(corpus).expect("the corpus").flatten() {
            let out = tempfile::tempdir().expect("a folder");
            for from in ["llama", "llama-plain"] {
                for entry in std::fs::read_dir(folder(from)).expect("there").flatten() {
                    let to = out.path().join(entry.file_name());
                    std::fs::copy(entry.path(), to).expect("copied");
                }
            }
            std::fs::copy(entry.path(), out.path().join(file)).expect("copied");
            let root = if kind == "gguf" { out.path().join(file) } else { out.path().to_owned() };
            let tried = Llm::load(&root).and_then(|mut llm| {
                if kind == "adapter" {
                    llm.load_adapter(&root)?;
                }
                llm.generate("the", &Sampling::greedy().with_max_tokens(2))
            });
            println!("{kind}: {}", tried.expect_err(&entry.path().display().to_string()));
            count += 1;
        }
        assert!(count > 2, "{count} of {kind}");
    }
}

/// Writes what `tiny.py FOLDER` loads into PEFT and transformers: `OXILAB_CIRCLE=FOLDER`.
#[test]
#[ignore = "needs Python's PEFT afterwards"]
fn write_what_peft_and_transformers_load() -> Result<()> {
    let out = PathBuf::from(std::env::var_os("OXILAB_CIRCLE").expect("OXILAB_CIRCLE is a folder"));
    let write = |llm: &Llm, folder: &Path| -> Result<()> {
        let logits = logits(llm, &[16])?;
        let tensors = HashMap::from([("logits".to_owned(), logits)]);
        safetensors::save(&tensors, folder.join("logits.golden"))?;
        Ok(())
    };
    let gguf = |llm: &mut Llm, name: &str, quant: Option<Quant>| -> Result<()> {
        let path = out.join(format!("{name}.gguf"));
        match quant {
            Some(quant) => llm.save_gguf_as(&path, quant)?,
            None => llm.save_gguf(&path)?,
        }
        let mut again = Llm::load(&path)?;
        // llama.cpp's server tells nothing of a token that is half a character or an end; and
        // that must not hang on its rounding.
        let mut tokens = TOKENS;
        let mut best = again.next_logprobs(&tokens, 10)?;
        let told = |llm: &Llm, id: u32| {
            let bytes = llm.tokenizer().bytes(id);
            bytes.is_ascii() && !bytes.is_empty() && !llm.tokenizer().is_end(id)
        };
        while !told(&again, best[0].0) || best[0].1 - best[1].1 < 0.3 {
            tokens.rotate_left(1);
            tokens[0] = (tokens[0] + 17) % 256;
            best = again.next_logprobs(&tokens, 10)?;
        }
        let text = "the cat in the hat, éß 12";
        let ids = llm.tokenizer().encode(text, true)?;
        let json = serde_json::json!({"tokens": tokens, "best": best, "text": text, "ids": ids});
        std::fs::write(out.join(format!("{name}.json")), json.to_string()).expect("written");
        Ok(())
    };
    let loras = [
        ("llama-0", Lora::new(3).with_alpha(5.0).with_targets(&["q_proj", "up_proj"])),
        (
            "llama-1",
            Lora::new(4).with_targets(&["k_proj", "o_proj", "down_proj"]).rank_stabilized(),
        ),
        ("qwen2-0", Lora::new(2).with_bias(Bias::LoraOnly)),
        ("qwen2-1", Lora::new(2).with_targets(&["q_proj"]).with_bias(Bias::All)),
    ];
    for (name, lora) in loras {
        let mut llm = load(name.split('-').next().unwrap_or_default())?;
        // A few steps, so that B is not zero.
        let examples = [Example::completion("the cat ", "in the hat")];
        SftTrainer::new(lora)
            .with_epochs(20)
            .with_learning_rate(0.05)
            .quiet()
            .fit(&mut llm, &examples)?;
        let folder = out.join(name);
        llm.save_adapter(&folder)?;
        write(&llm, &folder)?;
        llm.merge()?;
        let folder = out.join(format!("merged-{name}"));
        llm.save(&folder)?;
        write(&llm, &folder)?;
        gguf(&mut llm, &format!("merged-{name}"), None)?;
    }
    for name in MODELS {
        let mut llm = load(name)?;
        llm.save(out.join(name))?;
        write(&llm, &out.join(name))?;
        if name != "mistral" {
            gguf(&mut llm, name, None)?;
            gguf(&mut llm, &format!("{name}-q8_0"), Some(Quant::Q8_0))?;
        }
    }
    for quant in Quant::ALL {
        gguf(&mut load("llama3")?, &format!("llama3-{}", quant.name()), Some(quant))?;
    }
    Ok(())
}
