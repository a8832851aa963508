//! Mutated files into every parser of this crate, for a number of seconds of processor: nothing may panic, abort or
//! ask for more memory than a file of that size deserves.
//!
//! ```sh
//! ulimit -v 4000000
//! cargo run --release -p oxilab-llm --example fuzz -- gguf 600 /tmp/fuzz
//! ```
//!
//! Kinds: `gguf`, `safetensors`, `config`, `tokenizer`, `adapter`, `template`, `schema`. The file under
//! test stands in the folder (so that it is there after an abort), and inputs that panicked are kept
//! beside it as `crash-N`. The smallest input for each kind of error goes into `corpus/` in the folder;
//! `tests/corpus/` is made of those, and the test `damaged_files_are_errors` reads it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oxilab_llm::text::ChatTemplate;
use oxilab_llm::{Llm, Message, Sampling};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, kind, seconds, folder] = &arguments[..] else {
        eprintln!("fuzz KIND SECONDS FOLDER");
        return;
    };
    let seconds: u64 = seconds.parse().expect("a number of seconds");
    let folder = PathBuf::from(folder);
    let target = Target::new(kind, &folder);
    // Panics are counted and kept, not printed.
    std::panic::set_hook(Box::new(|_| {}));
    let mut rng = StdRng::seed_from_u64(1);
    let (mut runs, mut loaded, mut crashes, mut slowest) = (0u64, 0u64, 0u32, Duration::ZERO);
    let mut kept: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    while !runs.is_multiple_of(64) || processor_seconds() < seconds {
        let seed = &target.seeds[rng.random_range(0..target.seeds.len())];
        let bytes = mutate(seed, &mut rng);
        std::fs::write(&target.file, &bytes).expect("written");
        let at = Instant::now();
        match catch_unwind(AssertUnwindSafe(|| (target.run)(&target.root, &bytes))) {
            Ok(Ok(())) => loaded += 1,
            Ok(Err(error)) => {
                let smallest = kept.entry(shape(&error)).or_insert_with(|| bytes.clone());
                if bytes.len() < smallest.len() {
                    smallest.clone_from(&bytes);
                }
            }
            Err(_) => {
                crashes += 1;
                std::fs::write(folder.join(format!("crash-{crashes}")), &bytes).expect("kept");
            }
        }
        if at.elapsed() > slowest {
            slowest = at.elapsed();
            std::fs::write(folder.join("slowest"), &bytes).expect("kept");
        }
        runs += 1;
    }
    let corpus = folder.join("corpus");
    std::fs::create_dir_all(&corpus).expect("a folder");
    for (number, (error, bytes)) in kept.iter().enumerate() {
        std::fs::write(corpus.join(format!("{kind}-{number}")), bytes).expect("kept");
        println!("{kind}-{number} ({} bytes): {error}", bytes.len());
    }
    println!("{kind}: {runs} runs, {loaded} accepted, {crashes} panics, slowest {slowest:?}");
}

/// Seconds that this thread has had a processor: the machine may be busy with something else.
fn processor_seconds() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
    nanoseconds.unwrap_or(u64::MAX) / 1_000_000_000
}

/// An error without what differs from file to file: numbers, names, quoted text.
fn shape(error: &str) -> String {
    let mut quoted = false;
    let words = error.split_whitespace().filter(|word| {
        let marks = word.matches(['"', '`', '\'']).count();
        let within = quoted || marks > 0 || word.contains(['/', '[']);
        quoted ^= marks % 2 == 1;
        !within && !word.contains(|c: char| c.is_ascii_digit())
    });
    words.take(8).collect::<Vec<_>>().join(" ")
}

/// Accepted, or the error.
type Outcome = Result<(), String>;

struct Target {
    /// What is loaded.
    root: PathBuf,
    /// The file that is mutated.
    file: PathBuf,
    seeds: Vec<Vec<u8>>,
    run: fn(&Path, &[u8]) -> Outcome,
}

impl Target {
    fn new(kind: &str, folder: &Path) -> Self {
        let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny");
        let root = folder.join(kind);
        std::fs::create_dir_all(&root).expect("a folder");
        let copy = |from: &Path| {
            for entry in std::fs::read_dir(from).expect("there").flatten() {
                std::fs::copy(entry.path(), root.join(entry.file_name())).expect("copied");
            }
        };
        let models = ["llama", "llama3", "qwen2", "qwen3", "phi3", "gemma"];
        let seeds = |file: &str| {
            models.map(|name| std::fs::read(tiny.join(name).join(file)).expect("read")).to_vec()
        };
        let file = |name: &str| root.join(name);
        match kind {
            "gguf" => {
                let path = file("model.gguf");
                let seeds = models.map(|name| {
                    Llm::load(tiny.join(name)).and_then(|llm| llm.save_gguf(&path)).expect("saved");
                    std::fs::read(&path).expect("read")
                });
                Self {
                    root: path.clone(),
                    file: path,
                    seeds: seeds.to_vec(),
                    run: |path, _| model(path),
                }
            }
            "safetensors" => {
                copy(&tiny.join("llama"));
                let seeds =
                    vec![std::fs::read(tiny.join("llama/model.safetensors")).expect("read")];
                Self { file: file("model.safetensors"), root, seeds, run: |path, _| model(path) }
            }
            "config" => {
                copy(&tiny.join("llama"));
                Self {
                    file: file("config.json"),
                    root,
                    seeds: seeds("config.json"),
                    run: |path, _| model(path),
                }
            }
            "tokenizer" => {
                copy(&tiny.join("llama"));
                let seeds = seeds("tokenizer.json");
                Self { file: file("tokenizer.json"), root, seeds, run: |path, _| model(path) }
            }
            "adapter" => {
                copy(&tiny.join("llama"));
                copy(&tiny.join("llama-plain"));
                let seeds = vec![
                    std::fs::read(tiny.join("llama-plain/adapter_model.safetensors"))
                        .expect("read"),
                ];
                Self {
                    file: file("adapter_model.safetensors"),
                    root,
                    seeds,
                    run: |path, _| adapter(path),
                }
            }
            "template" => {
                let seeds = vec![TEMPLATE.as_bytes().to_vec()];
                Self { file: file("template.jinja"), root, seeds, run: |_, bytes| template(bytes) }
            }
            "schema" => {
                let seeds = vec![SCHEMA.as_bytes().to_vec()];
                copy(&tiny.join("qwen2"));
                Self { file: file("schema.json"), root, seeds, run: schema }
            }
            other => panic!("{other} is no kind"),
        }
    }
}

fn model(path: &Path) -> Outcome {
    let mut llm = Llm::load(path).map_err(|e| e.to_string())?;
    let _ = llm.generate("the cat", &Sampling::greedy().with_max_tokens(3));
    let _ = llm.perplexity("the cat in the hat");
    Ok(())
}

fn adapter(root: &Path) -> Outcome {
    let mut llm = Llm::load(root).map_err(|e| e.to_string())?;
    let loaded = llm.load_adapter(root);
    let _ = llm.generate("the", &Sampling::greedy().with_max_tokens(2));
    loaded.map_err(|e| e.to_string())
}

fn template(bytes: &[u8]) -> Outcome {
    let source = String::from_utf8_lossy(bytes);
    let template = ChatTemplate::new(&source, "<s>", "</s>").map_err(|e| e.to_string())?;
    let messages = [Message::system("be brief"), Message::user("hi"), Message::assistant("ho")];
    template.render(&messages, true).map(drop).map_err(|e| e.to_string())
}

fn schema(root: &Path, bytes: &[u8]) -> Outcome {
    let schema = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let sampling =
        Sampling::greedy().with_temperature(1.0).with_max_tokens(8).with_json_schema(schema);
    let said = Llm::load(root).and_then(|mut llm| llm.generate("x", &sampling));
    said.map(drop).map_err(|e| e.to_string())
}

const TEMPLATE: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
    {{ '<|im_start|>system\\nhelp<|im_end|>\\n' }}{% endif %}{% set x = message.content.strip() | upper %}\
    {{'<|im_start|>' + message['role'] + '\\n' + x + '<|im_end|>' + '\\n'}}{% endfor %}\
    {% if add_generation_prompt %}{{ range(3) | join(',') }}{{ strftime_now('%d') }}{% endif %}\
    {% macro m(a, b=1) %}{{ a * b }}{% endmacro %}{{ m(2) }}{{ messages | length | tojson }}";

const SCHEMA: &str = r##"{"type":"object","required":["a"],"properties":{"a":{"type":"array","items":{"$ref":
    "#/$defs/n"},"minItems":1,"maxItems":3},"b":{"anyOf":[{"type":["string","null"],"maxLength":4},{"const":1}]}},
    "$defs":{"n":{"type":"object","properties":{"v":{"enum":["x",2.5]},"k":{"$ref":"#/$defs/n"}}}}}"##;

/// One to four changes: bits, bytes, numbers that are often wrong, cuts, copies.
fn mutate(seed: &[u8], rng: &mut StdRng) -> Vec<u8> {
    const NUMBERS: [u64; 8] = [0, 1, u64::MAX, 1 << 63, 1 << 31, 0xffff_ffff, 1 << 40, 7];
    let mut bytes = seed.to_vec();
    for _ in 0..rng.random_range(1..=4) {
        if bytes.is_empty() {
            break;
        }
        // Headers are where the numbers are.
        let top = if rng.random::<bool>() { bytes.len().min(2048) } else { bytes.len() };
        let at = rng.random_range(0..top);
        let length = rng.random_range(1..=16.min(bytes.len() - at));
        match rng.random_range(0..8) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = rng.random(),
            2 | 3 => {
                let width = if rng.random::<bool>() { 8 } else { 4 };
                let number = NUMBERS[rng.random_range(0..NUMBERS.len())].to_le_bytes();
                let end = bytes.len().min(at + width);
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..at + length)),
            6 => {
                let piece = bytes[at..at + length].to_vec();
                let to = rng.random_range(0..=bytes.len());
                bytes.splice(to..to, piece);
            }
            _ => {
                // A digit for another: JSON's numbers.
                let digits: Vec<usize> =
                    (at..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).take(64).collect();
                if let Some(place) = digits.get(rng.random_range(0..64)) {
                    let many: &[u8] =
                        [&b"99999999999"[..], b"-1", b"0", b"1e300", b"3"][rng.random_range(0..5)];
                    bytes.splice(*place..=*place, many.iter().copied());
                }
            }
        }
    }
    bytes
}
