//! Generating with a tiny random model: forms that are kept, templates that refuse, what is measured.

use std::path::{Path, PathBuf};

use oxilab_llm::error::Result;
use oxilab_llm::{Llm, LlmError, Sampling, benchmark};
use serde_json::{Value, json};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny").join(name)
}

#[test]
fn a_random_model_keeps_to_bounds_and_names() -> Result<()> {
    let mut llm = Llm::load(folder("qwen2"))?;
    let schema = json!({"type": "object", "required": ["age", "share"], "properties": {
        "age": {"type": "integer", "minimum": 18, "exclusiveMaximum": 66},
        "share": {"type": "number", "minimum": -0.5, "maximum": 0.75}},
        "additionalProperties": {"enum": ["red", "grün"]}});
    for seed in 0..12 {
        let hot = Sampling::greedy().with_temperature(1.5).with_seed(seed).with_max_tokens(160);
        let said = llm.generate("x", &hot.with_json_schema(schema.clone()))?.text;
        // Free members can run into the limit of tokens; the first two never do.
        let Ok(value) = serde_json::from_str::<Value>(&said) else { continue };
        let (age, share) = (value["age"].as_i64(), value["share"].as_f64());
        assert!(age.is_some_and(|age| (18..66).contains(&age)), "{said}");
        assert!(share.is_some_and(|share| (-0.5..=0.75).contains(&share)), "{said}");
        let free = value.as_object().expect("an object").iter().skip(2);
        assert!(free.into_iter().all(|(_, word)| word == "red" || word == "grün"), "{said}");
    }
    for (schema, place) in [
        (json!({"type": "string", "pattern": "^a"}), "pattern"),
        (json!({"type": "object", "properties": {"a": {"format": "date"}}}), "#/properties/a"),
    ] {
        let refused = llm.generate("x", &Sampling::greedy().with_json_schema(schema));
        let error = refused.expect_err("refused");
        assert!(matches!(error, LlmError::Schema { .. }) && error.to_string().contains(place));
    }
    Ok(())
}

#[test]
fn a_template_that_refuses_loses_nothing() -> Result<()> {
    let out = tempfile::tempdir().expect("a folder");
    for entry in std::fs::read_dir(folder("llama")).expect("there").flatten() {
        std::fs::copy(entry.path(), out.path().join(entry.file_name())).expect("copied");
    }
    let template = "{% for m in messages %}{% if m.content == 'bad' %}\
                    {{ raise_exception('not that word') }}{% endif %}{{ m.content }} {% endfor %}";
    std::fs::write(out.path().join("chat_template.jinja"), template).expect("written");
    let mut llm = Llm::load(out.path())?;
    let mut chat = llm.conversation().with_sampling(Sampling::greedy().with_max_tokens(4));
    let first = chat.say("the cat")?;
    let error = chat.say("bad").expect_err("refused");
    assert!(matches!(error, LlmError::Template(_)), "{error}");
    assert!(error.to_string().contains("not that word"), "{error}");
    assert_eq!(chat.messages().len(), 2, "the conversation is as before");
    assert_eq!(chat.messages()[1].content, first.text);
    assert!(chat.say("in the hat")?.cached_tokens > 0, "and so is its cache");
    // What is no template fails where it is asked for; everything else goes on.
    std::fs::write(out.path().join("chat_template.jinja"), "{% for %}").expect("written");
    let mut llm = Llm::load(out.path())?;
    let error = llm.chat("the cat", &Sampling::greedy()).expect_err("refused");
    assert!(matches!(error, LlmError::Template(_)), "{error}");
    llm.generate("the cat", &Sampling::greedy().with_max_tokens(2))?;
    assert_eq!(llm.template()?.source(), "{% for %}");
    Ok(())
}

#[test]
fn a_benchmark_measures_what_it_says() -> Result<()> {
    let mut llm = Llm::load(folder("llama"))?;
    let measured = benchmark(&mut llm)?;
    let room = llm.config().context / 2;
    assert_eq!((measured.prompt_tokens, measured.tokens), (256.min(room), 64.min(room)));
    assert_eq!(measured.weights, llm.model().bytes());
    assert!(measured.speed > 0.0 && measured.prompt_speed > 0.0);
    assert!(measured.peak.is_none_or(|peak| peak > measured.weights));
    Ok(())
}
