//! Language models: several prompts, tokens as prompts, several answers.
//!
//! The model is a tiny random one, whose answers mean nothing and are always the same.

use oxilab_serve::{ServeError, get_text, post_json};
use oxilab_server::{BodyOf, read_body};
use serde_json::{Value, json};

use crate::setting::{Setting, raw, until};

pub(crate) const TINY: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../llm/tests/goldens/tiny/llama");

struct Tiny {
    url: String,
    _setting: Setting,
}

impl Tiny {
    fn start() -> Self {
        let mut setting = Setting::new();
        let server = setting.server().with_model("tiny", TINY);
        let url = format!("{}/v1/completions", setting.start(server));
        Self { url, _setting: setting }
    }

    fn body(&self, prompt: &Value, more: &Value) -> Value {
        let mut body =
            json!({"model": "tiny", "prompt": prompt, "max_tokens": 6, "temperature": 0});
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        body
    }

    fn ask(&self, prompt: &Value, more: &Value) -> Result<Value, ServeError> {
        post_json(&self.url, &self.body(prompt, more))
    }

    /// Index and text of each choice, in the order of the answer.
    fn texts(&self, prompt: &Value, more: &Value) -> Vec<(u64, String)> {
        choices(&self.ask(prompt, more).unwrap())
    }

    /// The chunks of a streamed answer.
    fn stream(&self, prompt: &Value, more: &Value) -> Vec<Value> {
        let mut body = self.body(prompt, more);
        body["stream"] = json!(true);
        body["stream_options"] = json!({"include_usage": true});
        let url = self.url.trim_end_matches("/v1/completions");
        let (status, _, text) =
            raw(url, "POST /v1/completions HTTP/1.1", body.to_string().as_bytes());
        assert_eq!(status, 200, "{text}");
        assert!(text.contains("data: [DONE]"), "{text}");
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: {"));
        lines.map(|line| serde_json::from_str(&format!("{{{line}")).expect("a chunk")).collect()
    }
}

fn choices(answer: &Value) -> Vec<(u64, String)> {
    let all = answer["choices"].as_array().expect("choices");
    all.iter()
        .map(|choice| (choice["index"].as_u64().unwrap(), choice["text"].as_str().unwrap().into()))
        .collect()
}

/// The tokenizer has a token for every byte.
fn ids(text: &str) -> Value {
    let tokenizer = std::fs::read_to_string(format!("{TINY}/tokenizer.json")).unwrap();
    let tokenizer: Value = serde_json::from_str(&tokenizer).unwrap();
    text.chars().map(|c| tokenizer["model"]["vocab"][c.to_string()].clone()).collect()
}

#[test]
fn each_prompt_of_a_list_gets_its_answer() {
    let tiny = Tiny::start();
    let (a, b) = (tiny.texts(&json!("ab"), &json!({})), tiny.texts(&json!("xyz"), &json!({})));
    assert_ne!(a[0].1, b[0].1);
    let expected = vec![(0, a[0].1.clone()), (1, b[0].1.clone())];

    let both = tiny.ask(&json!(["ab", "xyz"]), &json!({})).unwrap();
    assert_eq!(choices(&both), expected);
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 12, "total_tokens": 17});
    assert_eq!(both["usage"], usage);

    // The same as tokens: one list is one prompt, a list of lists is several.
    assert_eq!(tiny.texts(&ids("ab"), &json!({})), a);
    assert_eq!(tiny.texts(&json!([ids("ab"), ids("xyz")]), &json!({})), expected);
    let echoed = tiny.texts(&json!([ids("ab"), ids("xyz")]), &json!({"echo": true}));
    assert_eq!(echoed, [(0, format!("ab{}", a[0].1)), (1, format!("xyz{}", b[0].1))]);

    let chunks = tiny.stream(&json!(["ab", "xyz"]), &json!({}));
    let mut grown = vec![(0, String::new()), (1, String::new())];
    let mut ended = Vec::new();
    for chunk in &chunks {
        for choice in chunk["choices"].as_array().unwrap() {
            let index = choice["index"].as_u64().unwrap();
            grown[usize::try_from(index).unwrap()].1 += choice["text"].as_str().unwrap();
            if choice["finish_reason"] != Value::Null {
                ended.push((index, choice["finish_reason"].clone()));
            }
        }
    }
    assert_eq!(grown, expected);
    assert_eq!(ended, [(0, json!("length")), (1, json!("length"))]);
    assert_eq!(chunks.last().unwrap()["usage"], usage);
}

#[test]
fn a_repeated_prompt_has_its_log_probabilities() {
    let tiny = Tiny::start();
    let llm = oxilab_llm::Llm::load(TINY).unwrap();
    let expected: Vec<f64> =
        llm.logprobs("xyz").unwrap().iter().map(|(_, logprob)| f64::from(*logprob)).collect();
    let close = |found: &Value, expected: f64| {
        let found = found.as_f64().expect("a number");
        assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
    };
    let check = |logprobs: &Value| {
        assert_eq!(logprobs["token_logprobs"][0], Value::Null, "nothing stands before it");
        assert_eq!(logprobs["top_logprobs"][0], Value::Null);
        close(&logprobs["token_logprobs"][1], expected[0]);
        close(&logprobs["token_logprobs"][2], expected[1]);
        let best = logprobs["top_logprobs"][1].as_object().expect("a table");
        assert_eq!(best.len(), 2);
        assert!(best.values().all(|p| p.as_f64().unwrap() >= expected[0] - 1e-4));
    };
    let more = json!({"echo": true, "logprobs": 2});
    let whole = &tiny.ask(&json!("xyz"), &more).unwrap()["choices"][0];
    let logprobs = &whole["logprobs"];
    check(logprobs);
    assert_eq!(logprobs["tokens"].as_array().unwrap()[..3], [json!("x"), json!("y"), json!("z")]);
    assert_eq!(logprobs["text_offset"].as_array().unwrap()[..4], [0, 1, 2, 3]);
    assert_eq!(logprobs["tokens"].as_array().unwrap().len(), 3 + 6, "prompt and answer");
    let alone = &tiny.ask(&json!("xyz"), &json!({"logprobs": 2})).unwrap()["choices"][0];
    let of_answer = &logprobs["token_logprobs"].as_array().unwrap()[3..];
    assert_eq!(of_answer, alone["logprobs"]["token_logprobs"].as_array().unwrap());

    // The prompt alone, as who measures texts asks for it.
    let more = json!({"echo": true, "logprobs": 2, "max_tokens": 0});
    for prompt in [json!(["xyz", "ab"]), json!([ids("xyz"), ids("ab")])] {
        let scored = tiny.ask(&prompt, &more).unwrap();
        assert_eq!(choices(&scored), [(0, "xyz".to_owned()), (1, "ab".to_owned())]);
        check(&scored["choices"][0]["logprobs"]);
        assert_eq!(scored["choices"][0]["finish_reason"], "length");
        assert_eq!(scored["choices"][1]["logprobs"]["tokens"], json!(["a", "b"]));
        let usage = json!({"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5});
        assert_eq!(scored["usage"], usage);
    }
    let chunks = tiny.stream(&json!("xyz"), &more);
    check(&chunks[0]["choices"][0]["logprobs"]);
    assert_eq!(chunks[0]["choices"][0]["text"], "xyz");
    assert_eq!(chunks[1]["choices"][0]["finish_reason"], "length");
    let error = tiny.ask(&json!("xyz"), &json!({"max_tokens": 0})).unwrap_err();
    assert_eq!(error.status(), 400, "{error}");
}

#[test]
fn several_answers_have_seeds_of_their_own() {
    let tiny = Tiny::start();
    let more = json!({"n": 3, "temperature": 1.5, "seed": 7, "max_tokens": 12});
    let said = tiny.texts(&json!(["ab", "xyz"]), &more);
    assert_eq!(said.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert!(said[0].1 != said[1].1 || said[1].1 != said[2].1, "{said:?}");
    assert_eq!(said, tiny.texts(&json!(["ab", "xyz"]), &more), "the seed decides");
    let first = tiny.texts(&json!("ab"), &json!({"temperature": 1.5, "seed": 7, "max_tokens": 12}));
    assert_eq!(first[0].1, said[0].1);
}

#[test]
fn prompts_that_cannot_be_read_are_named_before_any_is_answered() {
    let tiny = Tiny::start();
    let refused = |prompt: &Value, more: &Value| match tiny.ask(prompt, more) {
        Err(ServeError::Status { status, message, .. }) => {
            let body: Value = serde_json::from_str(&message).unwrap();
            (status, body["error"]["param"].clone(), body["error"]["message"].to_string())
        }
        other => panic!("{prompt}: {other:?}"),
    };
    let long = "a".repeat(500);
    for (prompt, said) in [
        (json!(["ab", 5]), "5 does not belong"),
        (json!([]), "the list is empty"),
        (json!([[]]), "the prompt has no tokens"),
        (json!(["ab", ""]), "the prompt has no tokens"),
        (json!([[5], [264]]), "264 is out of range"),
        (json!(["ab", long]), "500"),
        (json!({"text": "ab"}), "`prompt` must be a text"),
    ] {
        for stream in [false, true] {
            let (status, param, message) = refused(&prompt, &json!({"stream": stream}));
            assert_eq!((status, param), (400, json!("prompt")), "{message}");
            assert!(message.contains(said), "{prompt}: {message}");
        }
    }
    let (status, param, message) = refused(&json!("ab"), &json!({"best_of": 2}));
    assert_eq!((status, param), (400, json!("best_of")), "{message}");
    let (status, param, _) = refused(&json!(["a", "b"]), &json!({"n": 100}));
    assert_eq!((status, param), (400, json!("n")));
    assert_eq!(tiny.texts(&json!("ab"), &json!({})).len(), 1, "it answers on");
}

#[test]
fn the_monitor_shows_what_language_models_made() {
    let tiny = Tiny::start();
    let answer = tiny.ask(&json!("ab"), &json!({})).unwrap();
    let server = tiny.url.trim_end_matches("/v1/completions");
    let status = || {
        let monitor = oxilab_serve::monitor(server).unwrap();
        monitor.models.into_iter().find(|status| status.model == "tiny").unwrap()
    };
    // They are counted when the answer is on its way.
    until("the tokens are counted", || status().language.is_some_and(|made| made.tokens > 0));
    let status = status();
    assert_eq!((&*status.version, status.requests, status.rows), ("llama", 1, 1));
    let made = status.language.unwrap();
    assert_eq!(json!(made.tokens), answer["usage"]["completion_tokens"]);
    assert!(made.tokens_per_second().is_some_and(|speed| speed > 0.0));
    let page = get_text(format!("{server}/monitor")).unwrap();
    assert!(page.contains("tokens/s"), "{page}");
    assert_eq!(page.matches("No drift is measured").count(), 1, "of the model of rows: {page}");
}

#[test]
#[cfg(not(feature = "llama-cpp"))]
fn an_engine_that_is_not_built_in_is_named() {
    let setting = Setting::new();
    let server = setting.server().with_model("tiny", TINY).with("--engine", "llama-cpp");
    let error = server.start().unwrap_err().to_string();
    assert!(error.contains("built without llama.cpp"), "{error}");
    let error = setting.server().with("--engine", "steam").start().unwrap_err().to_string();
    assert!(error.contains("'steam'") && error.contains("llama-cpp"), "{error}");
}

#[test]
fn requests_of_the_fuzzers_corpus_are_read_or_refused() {
    for (name, of) in [
        ("chat", BodyOf::Chat),
        ("completions", BodyOf::Completions),
        ("embeddings", BodyOf::Embeddings),
        ("feedback", BodyOf::Feedback),
    ] {
        let folder = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let (mut read, mut refused) = (0, 0);
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match read_body(&std::fs::read(entry.path()).unwrap(), of) {
                Ok(found) => read += usize::from(found > 0),
                Err((status, message)) => {
                    assert!((400..500).contains(&status), "{}: {message}", entry.path().display());
                    refused += 1;
                }
            }
        }
        assert!(read >= 4, "{name}: {read} read, {refused} refused");
    }
}
