//! Long jobs show how far they are, short ones nothing. Bars are seen in a kernel's worker only, so each job
//! runs in a process that becomes one, with a file in the kernel's place.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::IntoRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use candle_core::{DType, Device, Tensor, safetensors};
use oxilab_llm::error::Result;
use oxilab_llm::{Embedder, Llm, Quant, TextClassifier, benchmark};
use oxilab_runtime::worker::{self, Start};

const JOB: &str = "OXILAB_TEST_JOB";
const EVENTS: &str = "OXILAB_TEST_EVENTS";

#[test]
fn long_jobs_show_how_far_they_are_and_short_ones_nothing() {
    if let Some(events) = std::env::var_os(EVENTS) {
        let events = File::create(events).expect("made").into_raw_fd();
        let requests = File::open("/dev/null").expect("there").into_raw_fd();
        let start = Start { requests, events, note: -1, set_hooks: None };
        panic!("no worker: {}", worker::main(&start, job));
    }
    for (job, label) in [
        ("embed", "embedding "),
        ("classify", "classifying "),
        ("perplexity", "perplexity "),
        ("benchmark", "benchmark "),
        ("quantise", "rounding to Q6_K "),
    ] {
        let shown = shown(job);
        assert!(shown.contains("<progress") && shown.contains(label), "{job}: {shown}");
        assert!(shown.contains("100%"), "{job}: {shown}");
    }
    let shown = shown("short");
    assert!(!shown.contains("<progress"), "{shown}");
}

/// What a kernel would have been sent.
fn shown(job: &str) -> String {
    let events = tempfile::NamedTempFile::new().expect("a file");
    let child = Command::new(std::env::current_exe().expect("this test"))
        .args(["long_jobs_show_how_far_they_are_and_short_ones_nothing", "--exact", "--nocapture"])
        .env(JOB, job)
        .env(EVENTS, events.path())
        .output()
        .expect("started");
    assert!(child.status.success(), "{job}: {}", String::from_utf8_lossy(&child.stderr));
    String::from_utf8_lossy(&std::fs::read(events.path()).expect("there")).into_owned()
}

fn job() {
    let job = std::env::var(JOB).expect("a job");
    let done = match job.as_str() {
        "embed" => Embedder::load(goldens("encoders/bert")).and_then(|model| {
            model.embed(&vec!["a good film"; 20_000])?;
            Ok(())
        }),
        "classify" => TextClassifier::load(goldens("encoders/bert")).and_then(|model| {
            model.logits(&vec!["a good film"; 20_000])?;
            Ok(())
        }),
        "perplexity" => Llm::load(goldens("tiny/llama")).and_then(|llm| {
            llm.perplexity(&"the cat in the hat ".repeat(6000))?;
            Ok(())
        }),
        "benchmark" => wide(12).and_then(|mut llm| {
            benchmark(&mut llm)?;
            Ok(())
        }),
        "quantise" => wide(40).and_then(|llm| {
            llm.quantized(Quant::Q6K)?;
            Ok(())
        }),
        _ => short(),
    };
    done.expect(&job);
}

fn short() -> Result<()> {
    Embedder::load(goldens("encoders/bert"))?.similarity("a film", "the end")?;
    let llm = Llm::load(goldens("tiny/llama"))?;
    llm.perplexity("the cat")?;
    Ok(())
}

fn goldens(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens").join(name)
}

/// A model of blocks wide enough to take a tenth of a second for anything.
fn wide(layers: usize) -> Result<Llm> {
    let out = tempfile::tempdir().expect("a folder");
    let read = |file: &str| {
        let text = std::fs::read_to_string(goldens("tiny/llama").join(file)).expect("there");
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
    };
    let mut config = read("config.json");
    for (key, value) in [("hidden_size", 256), ("intermediate_size", 512), ("head_dim", 64)] {
        config[key] = value.into();
    }
    config["num_hidden_layers"] = layers.into();
    for (file, json) in [("config.json", config), ("tokenizer.json", read("tokenizer.json"))] {
        std::fs::write(out.path().join(file), json.to_string()).expect("written");
    }
    let mut tensors = HashMap::new();
    let mut put = |name: String, shape: &[usize]| -> Result<()> {
        tensors.insert(name, Tensor::ones(shape, DType::F32, &Device::Cpu)?.affine(0.01, 0.0)?);
        Ok(())
    };
    put("model.embed_tokens.weight".to_owned(), &[264, 256])?;
    put("model.norm.weight".to_owned(), &[256])?;
    for layer in 0..layers {
        for (name, shape) in [
            ("self_attn.q_proj", &[256, 256][..]),
            ("self_attn.k_proj", &[128, 256]),
            ("self_attn.v_proj", &[128, 256]),
            ("self_attn.o_proj", &[256, 256]),
            ("mlp.gate_proj", &[512, 256]),
            ("mlp.up_proj", &[512, 256]),
            ("mlp.down_proj", &[256, 512]),
            ("input_layernorm", &[256]),
            ("post_attention_layernorm", &[256]),
        ] {
            put(format!("model.layers.{layer}.{name}.weight"), shape)?;
        }
    }
    safetensors::save(&tensors, out.path().join("model.safetensors"))?;
    Llm::load(out.path())
}
