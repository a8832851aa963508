//! llama.cpp under a model's generation: `cargo test --release -p oxilab-llm --features llama-cpp`.

#![cfg(feature = "llama-cpp")]

use oxilab_llm::{Llm, Message, Sampling, models};

fn load() -> Llm {
    Llm::load(models::smollm2().expect("the test model")).expect("loads")
}

#[test]
fn it_says_what_candle_says() {
    let mut candle = load();
    let mut llama = load().with_llama_cpp().expect("llama.cpp loads it");
    let sampling = Sampling::greedy().with_max_tokens(16);
    for question in ["What is the capital of Italy?", "Name a colour."] {
        let ours = candle.chat(question, &sampling).expect("answers");
        let theirs = llama.chat(question, &sampling).expect("answers");
        assert_eq!(ours.tokens[..4], theirs.tokens[..4], "{ours} / {theirs}");
        assert!((ours.logprobs[0] - theirs.logprobs[0]).abs() < 0.1);
    }
}

#[test]
fn a_conversation_reuses_its_cache() {
    let mut llama = load().with_llama_cpp().expect("loads");
    let sampling = Sampling::greedy().with_max_tokens(8);
    let first = llama.chat("Name a colour.", &sampling).expect("answers");
    let messages = [
        Message::user("Name a colour."),
        Message::assistant(first.text.clone()),
        Message::user("Another."),
    ];
    let second = llama.answer(&messages, &sampling).expect("answers");
    assert!(second.cached_tokens >= first.prompt_tokens, "{second:?}");
    llama.reset();
    let anew = llama.answer(&messages, &sampling).expect("answers");
    assert_eq!((anew.cached_tokens, &anew.text), (0, &second.text));
    assert_eq!(llama.chat("Name a colour.", &sampling).expect("answers").text, first.text);
}

#[test]
fn other_weights_than_the_files_are_candles() {
    let mut llm = load();
    llm.add_adapter(&oxilab_llm::Lora::new(4)).expect("fits");
    let error = llm.with_llama_cpp().expect_err("refused").to_string();
    assert!(error.contains("no longer those of the file"), "{error}");
}
