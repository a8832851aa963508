//! Throws broken requests at the parsers of language models' request bodies: `fuzz_openai SECONDS [PARSER]`; see
//! [`harness`]. An answer that asks for nothing, or a refusal that is not the client's fault, is a crash.

#[path = "../../serve/examples/fuzz/harness.rs"]
mod harness;

use std::path::Path;

use oxilab_server::read_openai;

const WORDS: [&str; 44] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "null",
    "true",
    "false",
    "NaN",
    "1e999",
    "-1",
    "0.1",
    "0",
    "18446744073709551616",
    "4294967296",
    "\\u0000",
    "\\ud800",
    "é",
    "\r\n",
    "[[[[[[[[",
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
    let parser = |chat: bool| {
        move |input: &[u8]| match read_openai(input, chat) {
            Ok(0) => Err("nothing is asked for".to_owned()),
            Ok(answers) => Ok(format!("answers {}", if answers > 1 { "many" } else { "one" })),
            Err((status, message)) if (400..500).contains(&status) => Ok(message),
            Err((status, message)) => Err(format!("{status} {message}")),
        }
    };
    harness::main(&folder, &WORDS, [("chat", parser(true)), ("completions", parser(false))]);
}
