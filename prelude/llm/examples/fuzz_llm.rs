//! Fuzzes every reader of files of this crate: nothing may panic, abort or ask for more memory than a file
//! of that size deserves; see [`oxilab_fuzz`].
//!
//! ```sh
//! ulimit -v 4000000
//! cargo run --release -p oxilab-llm --example fuzz_llm -- 600 [TARGET]
//! ```
//!
//! The file under test stands in a temporary folder, `oxilab-fuzz-llm/TARGET`, so that it is there after an
//! abort. The test `damaged_files_are_errors` reads the corpus.

use std::path::{Path, PathBuf};

use oxilab_fuzz::{Answer, Target};
use oxilab_llm::text::ChatTemplate;
use oxilab_llm::{Llm, LlmError, Message, Sampling};

/// Models of each architecture, made by transformers.
const MODELS: [&str; 6] = ["llama", "llama3", "qwen2", "qwen3", "phi3", "gemma"];

fn main() {
    let (tiny, home) = (tiny(), std::env::temp_dir().join("oxilab-fuzz-llm"));
    let read = |file: &str| std::fs::read(tiny.join(file)).expect("committed");
    let each = |file: &str| MODELS.map(|name| read(&format!("{name}/{file}")));
    let targets = [
        of_file("gguf", &home, "model.gguf", &[], |folder| {
            accepted(&Llm::load(folder.join("model.gguf")).map(used))
        })
        .with_seeds(MODELS.map(|name| as_gguf(name, &home))),
        of_file("safetensors", &home, "model.safetensors", &["llama"], model)
            .with_seeds([read("llama/model.safetensors")]),
        of_file("config", &home, "config.json", &["llama"], model).with_seeds(each("config.json")),
        of_file("tokenizer", &home, "tokenizer.json", &["llama"], model)
            .with_seeds(each("tokenizer.json")),
        of_file("adapter", &home, "adapter_model.safetensors", &["llama", "llama-plain"], adapter)
            .with_seeds([read("llama-plain/adapter_model.safetensors")]),
        Target::new("template", corpus(), template).with_seeds([TEMPLATE.into()]),
        Target::new("schema", corpus(), schema).with_seeds([SCHEMA.into()]),
    ];
    oxilab_fuzz::main(&targets)
}

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny")
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

/// What reads a folder: that of a model, with the input as one of its files.
fn of_file<'a>(
    name: &'a str,
    home: &Path,
    file: &'a str,
    models: &[&str],
    read: fn(&Path) -> Answer,
) -> Target<'a> {
    let folder = home.join(name);
    std::fs::create_dir_all(&folder).expect("a folder");
    for model in models {
        for entry in std::fs::read_dir(tiny().join(model)).expect("committed").flatten() {
            std::fs::copy(entry.path(), folder.join(entry.file_name())).expect("copied");
        }
    }
    Target::new(name, corpus(), move |input| {
        std::fs::write(folder.join(file), input).expect("written");
        read(&folder)
    })
}

fn as_gguf(model: &str, home: &Path) -> Vec<u8> {
    let path = home.join(format!("{model}.gguf"));
    std::fs::create_dir_all(home).expect("a folder");
    Llm::load(tiny().join(model)).and_then(|llm| llm.save_gguf(&path)).expect("saved");
    std::fs::read(&path).expect("readable")
}

fn model(folder: &Path) -> Answer {
    accepted(&Llm::load(folder).map(used))
}

fn adapter(folder: &Path) -> Answer {
    accepted(&Llm::load(folder).and_then(|mut llm| {
        let loaded = llm.load_adapter(folder);
        used(llm);
        loaded
    }))
}

fn template(bytes: &[u8]) -> Answer {
    let source = String::from_utf8_lossy(bytes);
    let messages = [Message::system("be brief"), Message::user("hi"), Message::assistant("ho")];
    let template = ChatTemplate::new(&source, "<s>", "</s>");
    accepted(&template.and_then(|template| template.render(&messages, true)))
}

fn schema(bytes: &[u8]) -> Answer {
    let schema = match serde_json::from_slice(bytes) {
        Ok(schema) => schema,
        Err(error) => return Ok(error.to_string()),
    };
    let sampling =
        Sampling::greedy().with_temperature(1.0).with_max_tokens(8).with_json_schema(schema);
    accepted(&Llm::load(tiny().join("qwen2")).and_then(|mut llm| llm.generate("x", &sampling)))
}

/// What is done with a model that was accepted; it may be an error.
fn used(mut llm: Llm) {
    let _ = llm.generate("the cat", &Sampling::greedy().with_max_tokens(3));
    let _ = llm.perplexity("the cat in the hat");
}

fn accepted<T>(found: &Result<T, LlmError>) -> Answer {
    Ok(found.as_ref().map_or_else(ToString::to_string, |_| "accepted".to_owned()))
}

const TEMPLATE: &str = "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}\
    {{ '<|im_start|>system\\nhelp<|im_end|>\\n' }}{% endif %}{% set x = message.content.strip() | upper %}\
    {{'<|im_start|>' + message['role'] + '\\n' + x + '<|im_end|>' + '\\n'}}{% endfor %}\
    {% if add_generation_prompt %}{{ range(3) | join(',') }}{{ strftime_now('%d') }}{% endif %}\
    {% macro m(a, b=1) %}{{ a * b }}{% endmacro %}{{ m(2) }}{{ messages | length | tojson }}";

const SCHEMA: &str = r##"{"type":"object","required":["a"],"properties":{"a":{"type":"array","items":{"$ref":
    "#/$defs/n"},"minItems":1,"maxItems":3},"b":{"anyOf":[{"type":["string","null"],"maxLength":4},{"const":1}]}},
    "$defs":{"n":{"type":"object","properties":{"v":{"enum":["x",2.5]},"k":{"$ref":"#/$defs/n"}}}}}"##;
