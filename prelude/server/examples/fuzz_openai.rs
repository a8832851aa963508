//! Fuzzes the parsers of language models' request bodies:
//! `cargo run --release -p oxilab-server --example fuzz_openai -- 600 [PARSER]`; see [`oxilab_fuzz`]. A request
//! for nothing, or a refusal that is not the client's fault, is a fault.

use std::path::Path;

use oxilab_fuzz::{Answer, JSON, Target};
use oxilab_server::read_openai;

const WORDS: [&str; 25] = [
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
];

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let targets = [("chat", true), ("completions", false)].map(|(name, chat)| {
        Target::new(name, &folder, move |input| answer(input, chat))
            .with_words(JSON)
            .with_words(WORDS)
    });
    oxilab_fuzz::main(&targets)
}

fn answer(input: &[u8], chat: bool) -> Answer {
    match read_openai(input, chat) {
        Ok(0) => Err("nothing is asked for".to_owned()),
        Ok(answers) => Ok(format!("answers {}", if answers > 1 { "many" } else { "one" })),
        Err((status, message)) if (400..500).contains(&status) => Ok(message),
        Err((status, message)) => Err(format!("{status} {message}")),
    }
}
