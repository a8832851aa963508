//! SmolLM2-135M: equal to llama.cpp, fine-tuned, saved and loaded. `cargo xtask setup` fetches the
//! model.

use oxilab_llm::error::Result;
use oxilab_llm::{Example, Finish, Llm, LlmError, Lora, Message, Sampling, SftTrainer, models};
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

/// Fed with llama.cpp's own tokens, the model finds the same next token wherever llama.cpp's two best
/// are further apart than the rounding of quantised dot products (activations are rounded to 8 bits
/// there and here, and summed in another order), and its log-probabilities are as near as that rounding
/// allows.
#[test]
fn greedy_text_is_that_of_llama_cpp() -> Result<()> {
    let mut llm = llm()?;
    let (mut same, mut all, mut apart, mut worst) = (0, 0, 0.0, 0.0f64);
    for golden in goldens()["completions"].as_array().expect("a list") {
        let prompt = llm.tokenizer().encode(golden["prompt"].as_str().expect("a text"), false)?;
        let theirs = ids(&golden["tokens"]);
        let ends = theirs.iter().position(|id| llm.tokenizer().is_end(*id));
        for at in 0..ends.unwrap_or(theirs.len()) {
            let fed = [&prompt[..], &theirs[..at]].concat();
            let said = llm.generate_tokens(&fed, &Sampling::greedy().with_max_tokens(1))?;
            let best = &golden["best"][at];
            let number = |rank: usize| best[rank][1].as_f64().expect("a number");
            all += 1;
            if said.tokens[..] == theirs[at..=at] {
                same += 1;
                let far = (f64::from(said.logprobs[0]) - number(0)).abs();
                apart += far;
                worst = worst.max(far);
            } else {
                let gap = number(0) - number(1);
                println!("token {at} of {:?}: gap {gap:.3}", golden["prompt"]);
                assert!(gap < 0.35, "token {at} of {}: gap {gap}", golden["prompt"]);
            }
        }
    }
    println!("{same} of {all} tokens, mean {:.4}, worst {worst:.4}", apart / f64::from(same));
    assert!(same * 100 >= all * 97, "{same} of {all} tokens are those of llama.cpp");
    assert!(apart / f64::from(same) < 0.06, "log-probabilities are {apart} apart");
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
        .with_epochs(10)
        .with_batch_size(2)
        .with_learning_rate(2e-3)
        .with_gradient_checkpointing()
        .quiet()
        .fit(&mut model, &examples())?;
    let losses = history.metric("train_loss");
    assert!(losses[9] < 0.1 * losses[0], "{losses:?}");
    // The base is still held in four bits.
    assert_eq!(model.model().bytes(), held);
    let greedy = Sampling::greedy().with_max_tokens(12);
    let taught = model.chat("Say white.", &greedy)?.text;
    assert!(taught.contains("ork white zork!"), "{taught}");
    model.save_adapter(&adapter)?;

    let mut again = llm()?;
    assert!(!again.chat("Say white.", &greedy)?.text.contains("ork"));
    again.load_adapter(&adapter)?;
    assert_eq!(again.chat("Say white.", &greedy)?.text, taught);
    again.merge()?;
    again.save(&merged)?;

    let mut whole = Llm::load(&merged)?;
    assert_eq!(whole.chat("Say white.", &greedy)?.text, taught);
    Ok(())
}

#[test]
fn adapter_files_have_pefts_names_and_shapes() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut model = llm()?;
    model.add_adapter(&Lora::new(4).with_alpha(6.0).with_targets(&["k_proj", "up_proj"]))?;
    model.save_adapter(folder.path())?;
    let path = folder.path().join("adapter_model.safetensors");
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
