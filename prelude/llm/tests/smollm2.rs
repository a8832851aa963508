//! SmolLM2-135M: equal to llama.cpp, fine-tuned, saved and loaded. `cargo xtask setup` fetches the
//! model.

use oxilab_llm::error::Result;
use oxilab_llm::{
    Example, Finish, Llm, LlmError, Lora, Message, Quant, Sampling, SftTrainer, models,
};
use serde_json::Value;

fn llm() -> Result<Llm> {
    Llm::load(models::smollm2()?)
}

fn goldens() -> Value {
    serde_json::from_str(include_str!("goldens/llama_cpp.json")).expect("committed JSON")
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).expect("token ids")
}

#[test]
fn tokens_are_those_of_llama_cpp() -> Result<()> {
    let llm = llm()?;
    for golden in goldens()["tokenized"].as_array().expect("a list") {
        let text = golden["text"].as_str().expect("a text");
        assert_eq!(llm.tokenizer().encode(text, false)?, ids(&golden["tokens"]), "{text:?}");
    }
    Ok(())
}

/// Fed with llama.cpp's own tokens, the model is asked for the next one at 168 places.
///
/// llama.cpp rounds activations to 8 bits before each product and holds keys and values in 16 bits. So
/// `exact.json` has the same model in plain `f32`: llama.cpp finds its best token at 161 places and its
/// log-probabilities are 0.036 from it in the mean. What is asked of this side, with activations of 15
/// bits, is to be far closer to `f32`, to differ from llama.cpp only where the two best tokens lie closer
/// together than its errors, and to have the model's own best token everywhere.
#[test]
fn greedy_text_is_that_of_llama_cpp_up_to_its_rounding() -> Result<()> {
    let mut llm = llm()?;
    let exact: Value = serde_json::from_str(include_str!("goldens/exact.json")).expect("JSON");
    let number = |value: &Value| value.as_f64().expect("a number");
    let (mut all, mut same, mut right, mut theirs_right) = (0.0, 0.0, 0.0, 0.0);
    let (mut ours_off, mut theirs_off, mut apart) = (0.0, 0.0, 0.0);
    let completions = goldens()["completions"].as_array().expect("a list").clone();
    for (golden, exact) in completions.iter().zip(exact["completions"].as_array().expect("a list"))
    {
        let prompt = llm.tokenizer().encode(golden["prompt"].as_str().expect("a text"), false)?;
        let theirs = ids(&golden["tokens"]);
        for (at, token) in theirs.iter().enumerate() {
            let fed = [&prompt[..], &theirs[..at]].concat();
            let scored = llm.next_logprobs(&fed, 50)?;
            let (best, _) = scored[0];
            let logprob = scored.iter().find(|(id, _)| id == token).map(|(_, logprob)| *logprob);
            let logprob = f64::from(logprob.expect("llama.cpp's token is among the best 50"));
            let [exact_best, exact_theirs] = [number(&exact[at][0]), number(&exact[at][2])];
            let (first, second) = (&golden["best"][at][0], &golden["best"][at][1]);
            all += 1.0;
            same += f64::from(u8::from(best == *token));
            right += f64::from(u8::from((f64::from(best) - exact_best).abs() < 0.5));
            theirs_right += f64::from(u8::from((f64::from(*token) - exact_best).abs() < 0.5));
            ours_off += (logprob - exact_theirs).abs();
            theirs_off += (number(&first[1]) - exact_theirs).abs();
            apart += (logprob - number(&first[1])).abs();
            if best != *token {
                let gap = number(&first[1]) - number(&second[1]);
                println!("token {at} of {:?}: {best} for {token}, gap {gap:.3}", golden["prompt"]);
                assert!(gap < 0.4, "token {at} of {}: a gap of {gap}", golden["prompt"]);
            }
        }
    }
    println!("of {all}: {same} as llama.cpp, {right} as f32 (llama.cpp {theirs_right})");
    let (ours, theirs, apart) = (ours_off / all, theirs_off / all, apart / all);
    println!(
        "mean distance: {ours:.4} from f32 (llama.cpp {theirs:.4}), {apart:.4} from llama.cpp"
    );
    assert!(same >= 160.0 && right + 1.0 >= all, "{same} {right} {theirs_right}");
    assert!(ours < 0.1 * theirs && apart < 0.05, "{ours} {theirs} {apart}");
    Ok(())
}

#[test]
fn the_template_makes_the_prompt_that_the_model_was_trained_with() -> Result<()> {
    let llm = llm()?;
    let prompt = llm.template()?.render(&[Message::user("Hi")], true)?;
    assert_eq!(
        prompt,
        "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face\
         <|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    );
    Ok(())
}

#[test]
fn a_conversation_reuses_its_cache_and_stops_where_told() -> Result<()> {
    let mut llm = llm()?;
    let sampling = Sampling::greedy().with_max_tokens(24);
    let mut messages = vec![Message::user("What is the capital of France?")];
    let first = llm.answer(&messages, &sampling)?;
    assert!(first.text.contains("Paris"), "{}", first.text);
    assert_eq!((first.cached_tokens, first.finish), (0, Finish::End));
    messages.push(Message::assistant(first.text.clone()));
    messages.push(Message::user("And of Italy?"));
    let second = llm.answer(&messages, &sampling)?;
    assert!(second.cached_tokens >= first.prompt_tokens, "{}", second.cached_tokens);
    // The same without a cache.
    llm.reset();
    assert_eq!(llm.answer(&messages, &sampling)?.text, second.text);
    let stopped = llm.generate("1, 2, 3, 4,", &Sampling::greedy().with_stop("7"))?;
    assert_eq!((stopped.text.trim(), stopped.finish), ("5, 6,", Finish::Stop));
    Ok(())
}

#[test]
fn prompts_that_cannot_be_read_are_errors() -> Result<()> {
    let mut llm = llm()?;
    let context = llm.config().context;
    let greedy = Sampling::greedy().with_max_tokens(1);
    let long = llm.generate_tokens(&vec![5; context], &greedy);
    assert!(matches!(long, Err(LlmError::PromptTooLong { tokens: 8192, .. })));
    let outside = llm.generate_tokens(&[60_000], &greedy);
    assert!(matches!(outside, Err(LlmError::TokenOutOfRange { id: 60_000, vocabulary: 49_152 })));
    assert!(matches!(llm.generate("", &greedy), Err(LlmError::EmptyPrompt)));
    Ok(())
}

#[test]
fn likely_text_has_a_low_perplexity_and_logprobs_agree_with_generation() -> Result<()> {
    let mut llm = llm()?;
    let plain = llm.perplexity("The cat sat on the mat and looked out of the window.")?;
    let mixed = llm.perplexity("Window mat the looked cat of on the sat out and the.")?;
    assert!(plain < 60.0 && mixed > 4.0 * plain, "{plain} {mixed}");
    let prompt = "The capital of France is";
    let said = llm.generate(prompt, &Sampling::greedy().with_max_tokens(1))?;
    let scored = llm.logprobs(&format!("{prompt}{}", said.text))?;
    let (id, logprob) = scored[scored.len() - 1];
    assert_eq!(id, said.tokens[0]);
    assert!((logprob - said.logprobs[0]).abs() < 0.05, "{logprob} {}", said.logprobs[0]);
    Ok(())
}

fn examples() -> Vec<Example> {
    ["red", "green", "blue", "black"]
        .map(|colour| Example::chat(format!("Say {colour}."), format!("Zork {colour} zork!")))
        .to_vec()
}

#[test]
fn qlora_teaches_and_its_adapter_is_saved_loaded_and_merged() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let (adapter, merged) = (folder.path().join("adapter"), folder.path().join("merged"));
    let mut model = llm()?;
    let held = model.model().bytes();
    let lora = Lora::new(8).with_targets(&["q_proj", "v_proj", "down_proj"]);
    let history = SftTrainer::new(lora)
        .with_epochs(6)
        .with_batch_size(1)
        .with_learning_rate(3e-3)
        .with_gradient_checkpointing()
        .quiet()
        .fit(&mut model, &examples())?;
    let losses = history.metric("train_loss");
    assert!(losses[5] < 0.1 * losses[0], "{losses:?}");
    // The base is still held in four bits.
    assert_eq!(model.model().bytes(), held);
    let greedy = Sampling::greedy().with_max_tokens(12);
    let taught = model.chat("Say white.", &greedy)?.text;
    assert!(taught.contains("Zork white zork!"), "{taught}");
    model.save_adapter(&adapter)?;

    let mut again = llm()?;
    assert!(!again.chat("Say white.", &greedy)?.text.contains("ork "));
    again.load_adapter(&adapter)?;
    assert_eq!(again.chat("Say white.", &greedy)?.text, taught);
    again.merge()?;
    again.save(&merged)?;

    let mut whole = Llm::load(&merged)?;
    assert_eq!(whole.chat("Say white.", &greedy)?.text, taught);
    // As GGUF in the types of the original: as small, and still taught, although the adapter moved the
    // weights by less than half a step of their grid.
    let file = folder.path().join("merged.gguf");
    whole.save_gguf_as(&file, Quant::Q4_1)?;
    let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |found| found.len());
    let (ours, original) = (size(&file), size(&models::smollm2()?));
    assert!(ours.abs_diff(original) < original / 100, "{ours} {original}");
    let mut small = Llm::load(&file)?;
    let said = small.chat("Say white.", &greedy)?.text;
    assert_eq!(said, taught);
    Ok(())
}

/// Writes merged models with what they say for `gguf_circle.py FOLDER`, which asks llama.cpp:
/// `OXILAB_CIRCLE=FOLDER`.
#[test]
#[ignore = "needs llama.cpp afterwards"]
fn write_merged_models_for_llama_cpp() -> Result<()> {
    let out = std::env::var_os("OXILAB_CIRCLE").expect("OXILAB_CIRCLE is a folder");
    let mut model = llm()?;
    SftTrainer::new(Lora::new(8).with_targets(&["q_proj", "v_proj", "down_proj"]))
        .with_epochs(6)
        .with_batch_size(1)
        .with_learning_rate(3e-3)
        .quiet()
        .fit(&mut model, &examples())?;
    model.merge()?;
    let prompt = model.template()?.render(&[Message::user("Say white.")], true)?;
    for quant in [Quant::Q4_1, Quant::Q8_0] {
        let path = std::path::Path::new(&out).join(format!("smollm2-{}.gguf", quant.name()));
        model.save_gguf_as(&path, quant)?;
        let mut again = Llm::load(&path)?;
        let tokens = again.tokenizer().encode(&prompt, false)?;
        let said = again.generate_tokens(&tokens, &Sampling::greedy().with_max_tokens(12))?.text;
        assert!(said.contains("Zork white zork!"), "{said}");
        let json =
            serde_json::json!({"tokens": tokens, "said": said, "text": prompt, "ids": tokens});
        std::fs::write(path.with_extension("json"), json.to_string()).expect("written");
    }
    Ok(())
}

#[test]
fn a_model_written_again_is_the_same_and_types_cost_what_they_should() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("again.gguf");
    let model = llm()?;
    model.save_gguf(&path)?;
    let again = Llm::load(&path)?;
    let text = "The cat sat on the mat and looked out of the window at the rain.";
    let bits = |llm: &Llm| llm.perplexity(text).map(f64::to_bits);
    assert_eq!(bits(&again)?, bits(&model)?);
    assert_eq!(again.model().bytes(), model.model().bytes());
    assert_eq!(again.template()?.source(), model.template()?.source());
    let report = model.compare_quants(text, &[Quant::Q8_0, Quant::Q4_0])?;
    let [before, eight, four] = &report.rows[..] else { panic!("three rows") };
    assert!((eight.perplexity / before.perplexity - 1.0).abs() < 0.01, "{report:?}");
    assert!(four.bytes < before.bytes && before.bytes < eight.bytes, "{report:?}");
    assert!(four.perplexity < 2.0 * before.perplexity, "{report:?}");
    Ok(())
}

#[test]
fn answers_are_held_to_a_schema() -> Result<()> {
    let mut llm = llm()?;
    let schema = serde_json::json!({"type": "object", "required": ["city", "country", "population"],
        "properties": {"city": {"type": "string"}, "country": {"enum": ["France", "Italy"]},
            "population": {"type": "integer"}}});
    let sampling = Sampling::greedy().with_max_tokens(60).with_json_schema(schema);
    let said = llm.chat("Tell me about Paris as JSON.", &sampling)?;
    let value: Value = serde_json::from_str(&said.text).expect("JSON");
    assert_eq!((&value["city"], &value["country"]), (&"Paris".into(), &"France".into()));
    assert!(value["population"].is_i64() && said.finish == Finish::End, "{}", said.text);
    Ok(())
}

#[test]
fn adapter_files_have_pefts_names_and_shapes() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut model = llm()?;
    model.add_adapter(&Lora::new(4).with_alpha(6.0).with_targets(&["k_proj", "up_proj"]))?;
    model.save_adapter(folder.path())?;
    let path = folder.path().join("adapter_model.safetensors");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("there").permissions();
    assert_eq!(
        mode(&path),
        mode(&folder.path().join("adapter_config.json")),
        "whoever may read one"
    );
    let tensors = candle_core::safetensors::load(path, &candle_core::Device::Cpu)?;
    assert_eq!(tensors.len(), 30 * 2 * 2);
    let shape = |name: &str| tensors[name].dims().to_vec();
    let at = "base_model.model.model.layers.29";
    assert_eq!(shape(&format!("{at}.self_attn.k_proj.lora_A.weight")), [4, 576]);
    assert_eq!(shape(&format!("{at}.self_attn.k_proj.lora_B.weight")), [192, 4]);
    assert_eq!(shape(&format!("{at}.mlp.up_proj.lora_B.weight")), [1536, 4]);
    let config = std::fs::read_to_string(folder.path().join("adapter_config.json")).expect("there");
    let config: Value = serde_json::from_str(&config).expect("JSON");
    assert_eq!((&config["peft_type"], &config["lora_alpha"]), (&"LORA".into(), &6.0.into()));
    Ok(())
}

#[test]
fn computing_blocks_again_gives_the_same_run() -> Result<()> {
    let run = |recompute: bool| -> Result<Vec<f64>> {
        let mut model = llm()?;
        let lora = Lora::new(2).with_targets(&["q_proj", "gate_proj"]).with_dropout(0.1);
        let mut trainer = SftTrainer::new(lora).with_epochs(2).with_learning_rate(1e-2).quiet();
        if recompute {
            trainer = trainer.with_gradient_checkpointing();
        }
        let history = trainer.fit(&mut model, &examples()[..2])?;
        Ok(history.steps().iter().flat_map(|step| [step.loss, step.grad_norm]).collect())
    };
    for (a, b) in run(false)?.iter().zip(run(true)?) {
        assert!((a - b).abs() < 1e-4 * a.abs().max(1.0), "{a} {b}");
    }
    Ok(())
}

#[test]
fn examples_that_teach_nothing_are_named() -> Result<()> {
    let mut model = llm()?;
    let bad = vec![Example::chat("a", "b"), Example::completion("only a prompt", "")];
    let trainer = SftTrainer::new(Lora::new(2)).with_max_length(3).quiet();
    let error = trainer.fit(&mut model, &bad).expect_err("refused").to_string();
    assert!(error.starts_with("example 0: nothing to learn within 3 tokens"), "{error}");
    let error =
        SftTrainer::new(Lora::new(2).with_targets(&["query"])).quiet().fit(&mut model, &examples());
    assert!(error.expect_err("refused").to_string().contains("q_proj"));
    Ok(())
}

#[test]
fn a_model_cut_short_is_an_error() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.gguf");
    let whole = std::fs::read(models::smollm2()?).expect("read");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    let error = Llm::load(&path).expect_err("refused").to_string();
    assert!(error.contains("cut short"), "{error}");
    Ok(())
}
