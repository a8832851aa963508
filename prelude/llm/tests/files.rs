//! Models as they lie on disk and on the hub: weights over several files, in 16 bits, in K-quants, and where
//! the chat template stands.

#![expect(clippy::cast_precision_loss, reason = "files are small")]

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use candle_core::{DType, Device, Tensor, safetensors};
use oxilab_hub::Hub;
use oxilab_llm::error::Result;
use oxilab_llm::model::KvCache;
use oxilab_llm::weights::gguf::{Gguf, Type};
use oxilab_llm::{Llm, LlmError, Message, Quant, Sampling};
use oxilab_nn::Mode;
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

const TOKENS: [u32; 16] = [5, 77, 130, 9, 9, 201, 33, 64, 180, 2, 91, 140, 17, 250, 3, 111];
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny").join(name)
}

fn logits(llm: &Llm) -> Result<Tensor> {
    let hidden = llm.model().forward(&TOKENS, &mut KvCache::new(llm.config().layers))?;
    Ok(llm.model().logits(&hidden, Mode::eval())?)
}

fn apart(a: &Tensor, b: &Tensor) -> Result<f32> {
    Ok((a - b)?.abs()?.max_all()?.to_scalar::<f32>()?)
}

/// The distance of two tensors by the length of the second.
fn off(ours: &Tensor, theirs: &Tensor) -> Result<f32> {
    let length = |tensor: Tensor| tensor.sqr()?.sum_all()?.to_scalar::<f32>().map(f32::sqrt);
    Ok(length((ours - theirs)?)? / length(theirs.clone())?)
}

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// A model's folder without its weights.
fn without_weights(name: &str, to: &Path) {
    for file in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(tiny(name).join(file), to.join(file)).expect("copied");
    }
}

fn tensors(name: &str) -> Result<HashMap<String, Tensor>> {
    Ok(safetensors::load(tiny(name).join("model.safetensors"), &Device::Cpu)?)
}

fn write_json(path: &Path, json: &Value) {
    std::fs::write(path, json.to_string()).expect("written");
}

/// The tiny Llama with its weights over two files, and beside them what is not the model's.
fn sharded(folder: &Path) -> Result<()> {
    without_weights("llama", folder);
    let (mut first, mut second, mut map) = (HashMap::new(), HashMap::new(), HashMap::new());
    for (name, tensor) in tensors("llama")? {
        let one = name.contains("layers.0");
        map.insert(name.clone(), format!("model-0000{}-of-00002.safetensors", 2 - u8::from(one)));
        let shard = if one { &mut first } else { &mut second };
        shard.insert(name, tensor);
    }
    // A tensor that the index does not name in this file, as some tools leave it there.
    second.insert(
        "model.layers.0.mlp.up_proj.weight".to_owned(),
        Tensor::new(&[0f32], &Device::Cpu)?,
    );
    safetensors::save(&first, folder.join("model-00001-of-00002.safetensors"))?;
    safetensors::save(&second, folder.join("model-00002-of-00002.safetensors"))?;
    let index = json!({"metadata": {"total_size": 97_000}, "weight_map": map});
    write_json(&folder.join("model.safetensors.index.json"), &index);
    let zeros =
        tensors("llama")?.into_iter().map(|(name, tensor)| Ok((name, tensor.zeros_like()?)));
    let zeros = zeros.collect::<Result<HashMap<_, _>>>()?;
    safetensors::save(&zeros, folder.join("consolidated.safetensors"))?;
    std::fs::write(folder.join("notes.safetensors"), "no tensors").expect("written");
    Ok(())
}

#[test]
fn weights_over_several_files_are_those_that_the_index_names() -> Result<()> {
    let out = temporary();
    sharded(out.path())?;
    let whole = logits(&Llm::load(tiny("llama"))?)?;
    assert!(apart(&logits(&Llm::load(out.path())?)?, &whole)? == 0.0);
    let refused = |expected: &str| {
        let error = Llm::load(out.path()).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    };
    let index = out.path().join("model.safetensors.index.json");
    let good: Value =
        serde_json::from_str(&std::fs::read_to_string(&index).expect("there")).expect("JSON");
    let norm = "model.norm.weight";
    for (file, expected) in [
        ("model-00001-of-00002.safetensors", "says that it holds model.norm.weight"),
        ("../llama/model.safetensors", "is said to be in \"../llama/model.safetensors\""),
        ("model-00003-of-00002.safetensors", "model-00003-of-00002.safetensors"),
    ] {
        let mut bad = good.clone();
        bad["weight_map"][norm] = file.into();
        write_json(&index, &bad);
        refused(expected);
    }
    write_json(&index, &json!({"weight_map": {}}));
    refused("it names no tensors");
    std::fs::write(&index, "{\"weight_map\": [").expect("written");
    refused("model.safetensors.index.json is not a usable index file");
    write_json(&index, &good);
    // What is saved over it counts, though the old index is still there.
    let other = Llm::load(tiny("llama3"))?;
    other.save(out.path())?;
    assert!(apart(&logits(&Llm::load(out.path())?)?, &logits(&other)?)? < 1e-4);
    // Other files are no weights.
    for file in ["model.safetensors", "model.safetensors.index.json"] {
        std::fs::remove_file(out.path().join(file)).expect("removed");
    }
    refused("model.safetensors");
    Ok(())
}

#[test]
fn weights_of_16_bits_are_read_as_they_are() -> Result<()> {
    let out = temporary();
    let write = |name: &str, dtype: DType, back: bool| -> Result<Llm> {
        let folder = out.path().join(name);
        std::fs::create_dir(&folder).expect("made");
        without_weights("llama", &folder);
        let rounded = tensors("llama")?.into_iter().map(|(name, tensor)| {
            let tensor = tensor.to_dtype(dtype)?;
            Ok((name, if back { tensor.to_dtype(DType::F32)? } else { tensor }))
        });
        let rounded = rounded.collect::<Result<HashMap<_, _>>>()?;
        safetensors::save(&rounded, folder.join("model.safetensors"))?;
        Llm::load(&folder)
    };
    let whole = logits(&Llm::load(tiny("llama"))?)?;
    // A weight is off by at most 2⁻⁹ of itself in bf16 and by 2⁻¹² in f16.
    for (name, dtype, bound) in [("bf16", DType::BF16, 0.02), ("f16", DType::F16, 0.0025)] {
        let ours = logits(&write(name, dtype, false)?)?;
        let same = logits(&write(&format!("{name} as f32"), dtype, true)?)?;
        assert!(apart(&ours, &same)? == 0.0, "{name}: only the rounding of the file");
        let off = off(&ours, &whole)?;
        println!("{name}: {off:.5}");
        assert!(off > 0.0 && off < bound, "{name}: {off}");
    }
    Ok(())
}

/// A random Llama with rows of 256 values, which K-quants need.
fn wide(folder: &Path) -> Result<Llm> {
    let (hidden, inner, vocabulary) = (256, 512, 264);
    without_weights("llama", folder);
    let path = folder.join("config.json");
    let text = std::fs::read_to_string(&path).expect("there");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    for (key, value) in [("hidden_size", hidden), ("intermediate_size", inner), ("head_dim", 64)] {
        config[key] = value.into();
    }
    write_json(&path, &config);
    let mut rng = StdRng::seed_from_u64(3);
    let mut tensors = HashMap::new();
    let mut matrix = |name: String, rows: usize, columns: usize| -> Result<()> {
        let matrix = oxilab_nn::init::normal(&[rows, columns], 0.1, &mut rng, &Device::Cpu)?;
        tensors.insert(name, matrix);
        Ok(())
    };
    matrix("model.embed_tokens.weight".to_owned(), vocabulary, hidden)?;
    let norms = (0..2).flat_map(|layer| {
        ["input", "post_attention"].map(|at| format!("model.layers.{layer}.{at}_layernorm.weight"))
    });
    for layer in 0..2 {
        for (name, rows, columns) in [
            ("self_attn.q_proj", 256, hidden),
            ("self_attn.k_proj", 128, hidden),
            ("self_attn.v_proj", 128, hidden),
            ("self_attn.o_proj", hidden, 256),
            ("mlp.gate_proj", inner, hidden),
            ("mlp.up_proj", inner, hidden),
            ("mlp.down_proj", hidden, inner),
        ] {
            matrix(format!("model.layers.{layer}.{name}.weight"), rows, columns)?;
        }
    }
    for norm in norms.chain(["model.norm.weight".to_owned()]) {
        tensors.insert(norm, Tensor::ones(hidden, DType::F32, &Device::Cpu)?);
    }
    safetensors::save(&tensors, folder.join("model.safetensors"))?;
    Llm::load(folder)
}

#[test]
fn k_quants_are_saved_loaded_and_run() -> Result<()> {
    let out = temporary();
    let llm = wide(out.path())?;
    let whole = logits(&llm)?;
    let weights = safetensors::load(out.path().join("model.safetensors"), &Device::Cpu)?;
    let mut before = 0.0;
    // Each type's bits, and how far off weights and logits may be. The weights are noise, so that their
    // errors add up over the fourteen matrices as those of a trained model do not.
    for (quant, kind, bits, weight_bound, bound) in [
        (Quant::Q6K, Type::Q6K, 6.5625, 0.025, 0.15),
        (Quant::Q5K, Type::Q5K, 5.5, 0.045, 0.3),
        (Quant::Q4K, Type::Q4K, 4.5, 0.09, 0.6),
    ] {
        let path = out.path().join("model.gguf");
        llm.save_gguf_as(&path, quant)?;
        let file = Gguf::open(&path)?;
        for name in ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
        {
            let (info, bytes) = file.bytes(&format!("blk.1.{name}.weight"))?;
            assert_eq!(info.kind, kind, "{name}");
            let values: usize = info.shape.iter().product();
            assert!((8.0 * bytes.len() as f64 / values as f64 - bits).abs() < 1e-9, "{name}");
        }
        assert_eq!(file.tensors()["token_embd.weight"].kind, Type::Q8_0);
        let mut again = Llm::load(&path)?;
        let off_by = off(&logits(&again)?, &whole)?;
        // The same weights in 32 bits: what is left is the rounding of what they are multiplied with.
        let dense = out.path().join("dense");
        again.save(&dense)?;
        let rounding = off(&logits(&again)?, &logits(&Llm::load(&dense)?)?)?;
        let dense = safetensors::load(dense.join("model.safetensors"), &Device::Cpu)?;
        let mut worst = 0f32;
        for (name, weight) in weights.iter().filter(|(name, _)| name.contains("_proj")) {
            worst = worst.max(off(&dense[name], weight)?);
        }
        println!("{}: weights {worst:.4}, logits {off_by:.4}, {rounding:.4}", quant.name());
        assert!(worst > before && worst < weight_bound, "{}: {worst}", quant.name());
        assert!(off_by < bound && rounding < 0.05, "{}: {off_by} {rounding}", quant.name());
        before = worst;
        // One by one, as a text is generated, and rounded in memory.
        let said = again.generate("the cat", &Sampling::greedy().with_max_tokens(6))?;
        assert!(!said.tokens.is_empty() && said.logprobs.iter().all(|logprob| logprob.is_finite()));
        let near = apart(&logits(&llm.quantized(quant)?)?, &logits(&again)?)?;
        assert!(near < 1e-3, "{}: {near}", quant.name());
        // Saved again nothing is rounded.
        let copy = out.path().join("copy.gguf");
        again.save_gguf(&copy)?;
        let copied = Gguf::open(&copy)?;
        for name in file.tensors().keys() {
            assert_eq!(copied.bytes(name)?.1, file.bytes(name)?.1, "{name}");
        }
    }
    Ok(())
}

#[test]
fn a_list_of_templates_has_one_for_conversations() -> Result<()> {
    let out = temporary();
    without_weights("llama", out.path());
    let weights = "model.safetensors";
    std::fs::copy(tiny("llama").join(weights), out.path().join(weights)).expect("copied");
    let path = out.path().join("tokenizer_config.json");
    let prompt = || -> Result<String> {
        Llm::load(out.path())?.template()?.render(&[Message::user("Hi")], true)
    };
    let text = |word: &str| format!("{word}: {{{{ messages[0].content }}}}{{{{ eos_token }}}}");
    let named = |name: &str, word: &str| json!({"name": name, "template": text(word)});
    let config = |templates: Value| json!({"eos_token": "</s>", "chat_template": templates});
    write_json(&path, &config(json!([named("tool_use", "tools"), named("default", "plain")])));
    assert_eq!(prompt()?, "plain: Hi</s>");
    write_json(&path, &config(json!(text("one"))));
    assert_eq!(prompt()?, "one: Hi</s>");
    write_json(&path, &config(json!([named("tool_use", "tools")])));
    assert!(matches!(prompt(), Err(LlmError::NoTemplate)));
    // The file beside it comes first, as in transformers.
    std::fs::write(out.path().join("chat_template.jinja"), text("beside")).expect("written");
    assert_eq!(prompt()?, "beside: Hi</s>");
    Ok(())
}

/// A hub on loopback with one repository, whose files are those of a folder; dropped, it ends.
struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(folder: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let (asked, stop) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let (told, ends) = (Arc::clone(&asked), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                answer(&stream, &folder, &told);
            }
        });
        Self { port, asked, stop, thread: Some(thread) }
    }

    /// The files whose content was sent.
    fn sent(&self) -> Vec<String> {
        let mut sent = self.asked.lock().expect("asked").clone();
        sent.sort_unstable();
        sent
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn answer(mut stream: &TcpStream, folder: &Path, asked: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).expect("a request");
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    while !line.trim().is_empty() {
        line.clear();
        reader.read_line(&mut line).expect("a header");
    }
    let body = if path.starts_with("/api/models/someone/sharded/revision/") {
        let names = std::fs::read_dir(folder).expect("there").flatten();
        let names = names.map(|entry| json!({"rfilename": entry.file_name().to_string_lossy()}));
        json!({"sha": COMMIT, "siblings": names.collect::<Vec<_>>()}).to_string().into_bytes()
    } else {
        let file = path.rsplit('/').next().unwrap_or_default();
        assert!(path.starts_with("/someone/sharded/resolve/"), "{path}");
        if method == "GET" {
            asked.lock().expect("asked").push(file.to_owned());
        }
        let mut bytes = Vec::new();
        let opened = std::fs::File::open(folder.join(file)).expect("a file of the list");
        (&opened).read_to_end(&mut bytes).expect("read");
        bytes
    };
    let etag = path.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let head = format!(
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\nX-Repo-Commit: {COMMIT}\r\n\
         ETag: \"{etag}\"\r\n\r\n",
        body.len()
    );
    let body = if method == "HEAD" { Vec::new() } else { body };
    stream.write_all(&[head.into_bytes(), body].concat()).expect("sent");
}

#[test]
fn of_a_model_on_the_hub_only_its_own_weights_are_fetched() -> Result<()> {
    let (repository, cache) = (temporary(), temporary());
    sharded(repository.path())?;
    let server = Server::start(repository.path().to_owned());
    let hub = Hub::new()
        .with_endpoint(format!("http://127.0.0.1:{}", server.port))
        .with_cache(cache.path())
        .with_token("")
        .with_offline(false)
        .quiet();
    let whole = logits(&Llm::load(tiny("llama"))?)?;
    let llm = Llm::from_hub(&hub, "someone/sharded")?;
    assert!(apart(&logits(&llm)?, &whole)? == 0.0);
    let mut files = vec![
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(server.sent(), files);
    // From the cache alone, and nothing is fetched twice.
    let again = Llm::from_hub(&hub.clone().with_offline(true), "someone/sharded")?;
    assert!(apart(&logits(&again)?, &whole)? == 0.0);
    assert_eq!(server.sent(), files);
    // A repository with all weights in one file has no need of the others.
    let weights = "model.safetensors";
    std::fs::copy(tiny("llama").join(weights), repository.path().join(weights)).expect("copied");
    let cache = temporary();
    Llm::from_hub(&hub.with_cache(cache.path()), "someone/sharded")?;
    files.retain(|file| !file.starts_with("model-"));
    files.push(weights);
    files.sort_unstable();
    assert_eq!(server.sent().len(), 6 + files.len());
    assert!(server.sent().iter().any(|file| file == weights));
    Ok(())
}
