//! Fuzzes the parsers of request bodies that this crate has:
//! `cargo run --release -p oxilab-server --example fuzz_requests -- 600 [PARSER]`; see [`oxilab_fuzz`]. A
//! request of a language model for nothing, or a refusal that is not the client's fault, is a fault. Rows
//! for models of tables are fuzzed by `oxilab-serve`'s `fuzz_bodies`.

use std::path::Path;

use oxilab_fuzz::{Answer, JSON, Target};
use oxilab_server::{BodyOf, read_body};

const PARSERS: [(&str, BodyOf); 4] = [
    ("chat", BodyOf::Chat),
    ("completions", BodyOf::Completions),
    ("embeddings", BodyOf::Embeddings),
    ("feedback", BodyOf::Feedback),
];

const WORDS: [&str; 33] = [
    "-1",
    "0",
    "4294967296",
    "model",
    "prompt",
    "messages",
    "role",
    "user",
    "developer",
    "content",
    "type",
    "text",
    "n",
    "seed",
    "stop",
    "max_tokens",
    "temperature",
    "top_p",
    "logprobs",
    "top_logprobs",
    "stream",
    "stream_options",
    "response_format",
    "json_schema",
    "schema",
    "input",
    "encoding_format",
    "base64",
    "dimensions",
    "id",
    "label",
    "labels",
    "feedback",
];

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let targets = PARSERS.map(|(name, of)| {
        Target::new(name, &folder, move |input| answer(input, of))
            .with_words(JSON)
            .with_words(WORDS)
    });
    oxilab_fuzz::main(&targets)
}

fn answer(input: &[u8], of: BodyOf) -> Answer {
    match read_body(input, of) {
        // A list of labels may be empty.
        Ok(0) if of != BodyOf::Feedback => Err("nothing is asked for".to_owned()),
        Ok(found) => Ok(format!("{} of them", found.min(2))),
        Err((status, message)) if (400..500).contains(&status) => Ok(message),
        Err((status, message)) => Err(format!("{status} {message}")),
    }
}
