//! Supervised fine-tuning: what is learned, at which rate, and how a run goes on that was broken off.

#![expect(clippy::cast_precision_loss, reason = "numbers of steps and tokens are small")]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, safetensors};
use oxilab_llm::error::Result;
use oxilab_llm::{Bias, Example, Llm, Lora, Message, SftTrainer};
use oxilab_nn::{Consumer, Event, Flow, History, Schedule};
use tempfile::TempDir;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny").join(name)
}

fn load(name: &str) -> Result<Llm> {
    Llm::load(folder(name))
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

/// The tiny Llama with a chat template.
fn with_template(template: &str) -> Result<Llm> {
    let copy = temporary();
    for entry in std::fs::read_dir(folder("llama")).expect("there").flatten() {
        std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copied");
    }
    std::fs::write(copy.path().join("chat_template.jinja"), template).expect("written");
    Llm::load(copy.path())
}

const TURNS: &str = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}\n\
                     {% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

/// As Phi-3's: a conversation that is over ends with a token that one that goes on does not have.
const CLOSED: &str = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}\
                      {% endfor %}{% if add_generation_prompt %}<|assistant|>\
                      {% else %}{{ bos_token }}{% endif %}";

/// An example's tokens are those of these parts, and learned where they say so.
fn assert_learned(llm: &Llm, example: &Example, parts: &[(&str, bool)]) -> Result<()> {
    let sequence = example.tokenize(llm, 0, 1000)?;
    let (mut tokens, mut learn) = (Vec::new(), Vec::new());
    for (part, learned) in parts {
        tokens.extend(llm.tokenizer().encode(part, false)?);
        learn.resize(tokens.len(), *learned);
    }
    let shown = |tokens: &[u32]| -> Vec<String> {
        tokens.iter().map(|id| llm.tokenizer().token(*id).unwrap_or_default()).collect()
    };
    assert_eq!(shown(&sequence.tokens), shown(&tokens));
    assert_eq!(sequence.learn, learn, "{:?}", shown(&tokens));
    Ok(())
}

#[test]
fn the_tokens_of_answers_and_those_that_end_them_are_learned() -> Result<()> {
    let llm = with_template(TURNS)?;
    let conversation = Example::Chat {
        messages: vec![
            Message::system("Be brief."),
            Message::user("One?"),
            Message::assistant("Two."),
            Message::user("And?"),
            Message::assistant("Three."),
        ],
    };
    let whole = "<|system|>Be brief.</s>\n<|user|>One?</s>\n<|assistant|>Two.</s>\n\
                 <|user|>And?</s>\n<|assistant|>Three.</s>\n";
    for (example, parts) in [
        (
            Example::chat("Who are you?", "A keeper."),
            vec![
                ("<|user|>Who are you?</s>\n<|assistant|>", false),
                ("A keeper.</s>", true),
                ("\n", false),
            ],
        ),
        (
            conversation.clone(),
            vec![
                ("<|system|>Be brief.</s>\n<|user|>One?</s>\n<|assistant|>", false),
                ("Two.</s>", true),
                ("\n<|user|>And?</s>\n<|assistant|>", false),
                ("Three.</s>", true),
                ("\n", false),
            ],
        ),
        (
            Example::completion("the cat ", "in the hat"),
            vec![("the cat ", false), ("in the hat</s>", true)],
        ),
    ] {
        assert_learned(&llm, &example, &parts)?;
    }
    // The tokens are those of the text in one piece, as the model sees it in a conversation.
    let tokens = conversation.tokenize(&llm, 0, 1000)?.tokens;
    assert_eq!(tokens, llm.tokenizer().encode(whole, false)?);
    // By their numbers: `a`, ` `, `b`; then `!` and `</s>`.
    let plain = Example::completion("a b", "!").tokenize(&llm, 0, 100)?;
    assert_eq!(plain.tokens, [64, 220, 65, 0, 257]);
    assert_eq!(plain.learn, [false, false, false, true, true]);
    Ok(())
}

#[test]
fn a_template_that_closes_a_conversation_is_learned_turn_by_turn() -> Result<()> {
    let llm = with_template(CLOSED)?;
    let messages = ["a", "b", "c", "d"].map(String::from).into_iter().enumerate();
    let messages = messages.map(|(number, text)| match number % 2 {
        0 => Message::user(text),
        _ => Message::assistant(text),
    });
    let conversation = Example::Chat { messages: messages.collect() };
    let parts = [
        ("<|user|>a</s><|assistant|>", false),
        ("b</s>", true),
        ("<|user|>c</s><|assistant|>", false),
        ("d</s>", true),
        ("<s>", false),
    ];
    assert_learned(&llm, &conversation, &parts)
}

#[test]
fn what_is_cut_off_is_not_learned() -> Result<()> {
    let llm = load("llama")?;
    let example = Example::completion("the cat ", "in the hat");
    let whole = example.tokenize(&llm, 3, 1000)?;
    let asked = whole.learn.iter().filter(|learn| !**learn).count();
    let cut = example.tokenize(&llm, 3, asked + 2)?;
    assert_eq!((cut.tokens.len(), cut.learned()), (asked + 2, 2));
    let error = example.tokenize(&llm, 3, asked).expect_err("nothing left").to_string();
    assert!(error.contains("example 3: nothing to learn"), "{error}");
    Ok(())
}

fn full() -> SftTrainer {
    SftTrainer::full().with_epochs(60).with_learning_rate(0.01).quiet()
}

/// The mean loss of the last tokens of a text, those of `part`.
fn loss_of(llm: &Llm, before: &str, part: &str) -> Result<f64> {
    let start = llm.tokenizer().encode(before, false)?;
    let tokens = [&start[..], &llm.tokenizer().encode(part, false)?].concat();
    let scores = llm.score_tokens(&tokens, 0)?;
    // The first token of a text has no score.
    let scored = &scores[start.len().saturating_sub(1)..];
    let sum: f64 = scored.iter().map(|token| f64::from(token.logprob)).sum();
    Ok(-sum / scored.len() as f64)
}

#[test]
fn the_answer_is_learned_and_the_question_is_not() -> Result<()> {
    let (question, answer) = ("zq xv jk", " the hat");
    let learned = |example: Example| -> Result<(f64, f64)> {
        let mut llm = load("llama")?;
        full().fit(&mut llm, &[example])?;
        Ok((loss_of(&llm, "", question)?, loss_of(&llm, question, answer)?))
    };
    let (question_loss, answer_loss) = learned(Example::completion(question, answer))?;
    // The same text as one answer: then the question is learned too, which this measure would tell.
    let (both_question, both_answer) =
        learned(Example::completion("", format!("{question}{answer}")))?;
    let losses = [question_loss, answer_loss, both_question, both_answer];
    println!("{losses:?}");
    assert!(answer_loss < 0.1 && both_answer < 0.1 && both_question < 0.5, "{losses:?}");
    assert!(question_loss > 2.0, "{losses:?}");
    Ok(())
}

fn examples() -> Vec<Example> {
    let rest = ["in the hat", "runs", "is very warm", "eats a fish", "sleeps"];
    rest.map(|rest| Example::completion("the cat ", rest)).to_vec()
}

fn rates(trainer: SftTrainer) -> Result<Vec<f64>> {
    let history = trainer.quiet().fit(&mut load("llama")?, &examples()[..3])?;
    Ok(history.steps().iter().map(|step| step.learning_rate).collect())
}

fn near(ours: &[f64], expected: &[f64]) {
    let apart = ours.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(ours.len() == expected.len() && apart < 1e-12, "{ours:?} {expected:?}");
}

#[test]
fn the_rate_of_each_step_follows_warm_up_and_schedule() -> Result<()> {
    let trainer = || SftTrainer::new(Lora::new(2)).with_batch_size(1).with_epochs(4);
    // Twelve steps, of them a quarter warm up; then half a cosine.
    let ours = rates(trainer().with_learning_rate(0.01).with_warmup(0.25))?;
    let cosine = |step: usize| {
        let left = (step - 3) as f64 / 9.0;
        0.5 * (1.0 + (std::f64::consts::PI * left).cos())
    };
    let factor = |step: usize| if step < 3 { (step + 1) as f64 / 4.0 } else { cosine(step) };
    let expected: Vec<f64> = (0..12).map(|step| 0.01 * factor(step)).collect();
    near(&ours, &expected);
    let ours = rates(trainer().with_learning_rate(0.01).with_warmup(0.0))?;
    assert!((ours[0] - 0.01).abs() < 1e-12, "{ours:?}");
    near(&rates(trainer().with_schedule(Schedule::Constant))?, &[2e-4; 12]);
    let linear = Schedule::Linear { warmup: 1 };
    let ours = rates(trainer().with_learning_rate(0.03).with_schedule(linear))?;
    let line = |step: usize| if step == 0 { 0.5 } else { 1.0 - (step - 1) as f64 / 11.0 };
    near(&ours, &(0..12).map(|step| 0.03 * line(step)).collect::<Vec<_>>());
    // At this rate the loss stays as it is: after two epochs without a better one the rate drops.
    let plateau = Schedule::Plateau { patience: 0, factor: 0.5 };
    let still = SftTrainer::new(Lora::new(2)).with_batch_size(3).with_epochs(4);
    let ours = rates(still.with_learning_rate(1e-12).with_schedule(plateau))?;
    near(&ours, &[1e-12, 1e-12, 5e-13, 2.5e-13]);
    assert!(ours[3] < 0.3 * ours[0], "{ours:?}");
    Ok(())
}

fn tensors(path: &Path) -> Result<HashMap<String, Tensor>> {
    Ok(safetensors::load(path, &Device::Cpu)?)
}

fn apart(a: &Tensor, b: &Tensor) -> Result<f32> {
    Ok((a - b)?.abs()?.max_all()?.to_scalar::<f32>()?)
}

/// After one step, `AdamW`'s first moment is a tenth of the gradient that it was given.
#[test]
fn the_gradient_is_scaled_down_to_the_clip_norm() -> Result<()> {
    let out = temporary();
    let step = |clip_norm: f64| -> Result<(f64, f64)> {
        let trainer = SftTrainer::new(Lora::new(4)).with_epochs(1).with_batch_size(5);
        let trainer = trainer.with_clip_norm(clip_norm).with_checkpoints(out.path()).quiet();
        let history = trainer.fit(&mut load("llama")?, &examples())?;
        let mut sum = 0.0;
        for (name, moment) in tensors(&out.path().join("epoch-1/trainer_state.safetensors"))? {
            if name.starts_with("optimizer.first.") {
                sum += f64::from(moment.sqr()?.sum_all()?.to_scalar::<f32>()?);
            }
        }
        Ok((history.steps()[0].grad_norm, 10.0 * sum.sqrt()))
    };
    let (norm, given) = step(1e9)?;
    assert!(norm > 0.0 && (given / norm - 1.0).abs() < 1e-4, "{norm} {given}");
    let (same, given) = step(norm / 4.0)?;
    assert!((same / norm - 1.0).abs() < 1e-6, "the norm before clipping is told: {same} {norm}");
    assert!((given / (norm / 4.0) - 1.0).abs() < 1e-4, "{norm} {given}");
    Ok(())
}

#[test]
fn decay_shrinks_matrices_and_spares_norms_and_biases() -> Result<()> {
    let out = temporary();
    let step = |name: &str, decay: f64| -> Result<HashMap<String, Tensor>> {
        let trainer = SftTrainer::full().with_epochs(1).with_batch_size(5).with_learning_rate(0.01);
        let trainer = trainer.with_schedule(Schedule::Constant).with_weight_decay(decay).quiet();
        let mut llm = load("qwen2")?;
        trainer.fit(&mut llm, &examples())?;
        llm.save(out.path().join(name))?;
        tensors(&out.path().join(name).join("model.safetensors"))
    };
    load("qwen2")?.save(out.path().join("before"))?;
    let before = tensors(&out.path().join("before/model.safetensors"))?;
    let (plain, decayed) = (step("plain", 0.0)?, step("decayed", 0.5)?);
    let (mut shrunk, mut spared) = (0, 0);
    for (name, plain) in &plain {
        let expected = if name.contains("norm") || name.contains("bias") {
            spared += 1;
            plain.clone()
        } else {
            shrunk += 1;
            // Decoupled: half of the rate of what was there before the step.
            (plain - (&before[name] * 0.005)?)?
        };
        let far = apart(&decayed[name], &expected)?;
        assert!(far < 1e-6, "{name}: {far}");
    }
    assert!(shrunk > 10 && spared > 10, "{shrunk} {spared}");
    Ok(())
}

#[test]
fn dropout_acts_while_training_and_not_in_evaluation() -> Result<()> {
    let one = &examples()[..1];
    for dropout in [0.0, 0.5] {
        let mut llm = load("llama")?;
        let lora = Lora::new(4).with_dropout(dropout);
        // Fresh adapters give nothing, and half of nothing is nothing.
        let taught = SftTrainer::new(lora.clone()).with_epochs(5).with_learning_rate(0.05).quiet();
        taught.fit(&mut llm, one)?;
        let still = SftTrainer::new(lora).with_epochs(4).with_learning_rate(0.0).quiet();
        let history = still.with_evaluation(one).fit(&mut llm, one)?;
        let train: Vec<f64> = history.steps().iter().map(|step| step.loss).collect();
        let valid = history.metric("valid_loss");
        assert!(valid.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 1e-9), "{valid:?}");
        let spread = train.iter().map(|loss| (loss - valid[0]).abs()).fold(0.0, f64::max);
        println!("dropout {dropout}: {train:?} {valid:?}");
        assert_eq!(spread > 1e-3, dropout > 0.0, "{train:?} {valid:?}");
        // Merged, the adapter has nothing left to drop.
        llm.merge()?;
        let whole = loss_of(&llm, "the cat ", "in the hat</s>")?;
        assert!((whole - valid[0]).abs() < 1e-3, "{whole} {valid:?}");
        let other = train.windows(2).all(|pair| (pair[0] - pair[1]).abs() > 1e-6);
        assert_eq!(other, dropout > 0.0, "each step drops others: {train:?}");
    }
    Ok(())
}

/// Three epochs of three steps, the last of each of a single batch.
fn long(trainer: SftTrainer, out: &Path) -> SftTrainer {
    trainer
        .with_epochs(3)
        .with_batch_size(1)
        .with_accumulation(2)
        .with_learning_rate(0.01)
        .with_weight_decay(0.1)
        .with_evaluation(&[Example::completion("the dog ", "in the hat")])
        .with_early_stopping(9)
        .with_checkpoints(out)
        .quiet()
}

/// All files of two checkpoints hold the same bytes: weights, optimiser, history, best.
fn assert_same(ours: &Path, theirs: &Path) {
    let names = |folder: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a checkpoint").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(names(ours), names(theirs));
    for name in names(ours) {
        let [ours, theirs] = [ours, theirs].map(|f| std::fs::read(f.join(&name)).expect("read"));
        assert!(ours == theirs, "{name} differs");
    }
}

/// Asks for the end at a step.
struct StopAt(usize);

impl Consumer for StopAt {
    fn on_event(&mut self, event: &Event, _: &History) -> oxilab_nn::error::Result<Flow> {
        let here = matches!(event, Event::Step { step, .. } if *step == self.0);
        Ok(if here { Flow::Stop } else { Flow::Continue })
    }
}

#[test]
fn a_run_that_was_broken_off_becomes_the_one_that_was_not() -> Result<()> {
    let lora = || Lora::new(2).with_dropout(0.3);
    let makers: [(&str, &dyn Fn() -> SftTrainer); 5] = [
        ("llama", &|| SftTrainer::new(lora())),
        ("qwen2", &|| {
            SftTrainer::new(lora().with_bias(Bias::All)).with_packing().with_max_length(40)
        }),
        ("llama", &SftTrainer::full),
        ("phi3", &|| SftTrainer::full().with_gradient_checkpointing()),
        ("gemma", &SftTrainer::full),
    ];
    for (name, make) in makers {
        let out = temporary();
        let whole = out.path().join("whole");
        let run =
            |trainer: SftTrainer| -> Result<History> { trainer.fit(&mut load(name)?, &examples()) };
        let history = run(long(make(), &whole).with_save_steps(1))?;
        let steps = history.steps().len();
        let last = format!("step-{steps}");
        // In the middle of an epoch, behind its last step, and right before the end.
        for step in [1, steps / 3, steps - 1] {
            let again = out.path().join(format!("from-{step}"));
            let trainer = long(make(), &again).with_save_steps(1);
            let trainer = trainer.with_resume(whole.join(format!("step-{step}")));
            let resumed = run(trainer)?;
            assert_eq!(resumed, history, "{name} from step {step}");
            assert_same(&again.join(&last), &whole.join(&last));
        }
        // Where a listener ended it, between two checkpoints and behind an epoch's last step.
        for step in [2, steps / 3] {
            let stopped = out.path().join(format!("stopped-{step}"));
            let history_then = run(long(make(), &stopped).with_consumer(StopAt(step)))?;
            assert_eq!(history_then.steps(), &history.steps()[..step]);
            let place = format!("step-{step}");
            assert_same(&stopped.join(&place), &whole.join(&place));
        }
        // From the end of an epoch.
        let epochs = out.path().join("epochs");
        run(long(make(), &epochs))?;
        let again = out.path().join("from-epoch");
        let resumed = run(long(make(), &again).with_resume(epochs.join("epoch-2")))?;
        assert_eq!(resumed, history, "{name} from epoch 2");
        assert_same(&again.join("epoch-3"), &epochs.join("epoch-3"));
        assert!(!again.join("epoch-2").exists(), "what was done is not done again");
    }
    Ok(())
}

#[test]
fn a_run_that_ends_early_after_it_was_taken_up_has_the_best_weights() -> Result<()> {
    let out = temporary();
    // What is learned of the examples makes this one unlikely.
    let held_out = [Example::completion("the cat ", "zzz qqq xxx")];
    let trainer = |folder: &str, epochs: usize| {
        SftTrainer::new(Lora::new(4))
            .with_epochs(epochs)
            .with_learning_rate(0.02)
            .with_schedule(Schedule::Constant)
            .with_evaluation(&held_out)
            .with_early_stopping(2)
            .with_checkpoints(out.path().join(folder))
            .quiet()
    };
    let mut llm = load("llama")?;
    let history = trainer("whole", 30).fit(&mut llm, &examples())?;
    let losses = history.metric("valid_loss");
    assert!((3..30).contains(&losses.len()), "{losses:?}");
    let mut again = load("llama")?;
    let last = out.path().join("whole").join(format!("epoch-{}", losses.len() - 1));
    let resumed = trainer("again", 30).with_resume(last).fit(&mut again, &examples())?;
    assert_eq!(resumed, history);
    assert!(adapter(&llm)? == adapter(&again)?);
    // Whoever ends a run at a step has that step's, also where an earlier epoch was better.
    let mut stopped = load("llama")?;
    let history = trainer("stopped", 30).with_consumer(StopAt(3)).fit(&mut stopped, &examples())?;
    let losses = history.metric("valid_loss");
    assert_eq!((history.steps().len(), losses.len()), (3, 1), "in the middle of the second epoch");
    let place = out.path().join("stopped/step-3");
    let saved = std::fs::read(place.join("adapter_model.safetensors")).expect("a checkpoint");
    assert!(adapter(&stopped)? == saved);
    Ok(())
}

/// The adapter's file.
fn adapter(llm: &Llm) -> Result<Vec<u8>> {
    let folder = temporary();
    llm.save_adapter(folder.path())?;
    Ok(std::fs::read(folder.path().join("adapter_model.safetensors")).expect("written"))
}

#[test]
fn what_a_run_cannot_go_on_from_is_refused_and_the_model_is_as_before() -> Result<()> {
    let out = temporary();
    let trainer = || SftTrainer::new(Lora::new(2)).with_epochs(1).quiet();
    let mut llm = load("llama")?;
    trainer().with_checkpoints(out.path()).fit(&mut llm, &examples())?;
    llm.save_adapter(out.path().join("weights"))?;
    let from = out.path().join("epoch-1");
    let damaged = out.path().join("damaged");
    std::fs::create_dir(&damaged).expect("made");
    for entry in std::fs::read_dir(&from).expect("there").flatten() {
        std::fs::copy(entry.path(), damaged.join(entry.file_name())).expect("copied");
    }
    let path = damaged.join("trainer_state.safetensors");
    let bytes = std::fs::read(&path).expect("there");
    std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("written");
    let (ours, other) = (examples(), [Example::completion("the cat ", "in the hut")]);
    let lora = SftTrainer::new(Lora::new(3)).quiet();
    for (trainer, folder, examples, expected) in [
        (trainer(), &from, &other[..], "examples is 5 in it and 1 in this run"),
        (trainer().with_batch_size(2), &from, &ours[..], "batch_size is 4 in it and 2"),
        (lora, &from, &ours[..], "method is Lora"),
        (trainer(), &out.path().join("nowhere"), &ours[..], "cannot read"),
        (trainer(), &out.path().join("weights"), &ours[..], "holds weights only"),
        (trainer(), &damaged, &ours[..], "trainer_state.safetensors cannot be read"),
    ] {
        let mut llm = load("llama")?;
        let trainer = trainer.with_epochs(2).with_resume(folder);
        let error = trainer.fit(&mut llm, examples).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
        assert!(llm.adapter().is_none(), "{expected}");
    }
    // Another base, whose layers have other shapes.
    let mut llm = load("gemma")?;
    let error = trainer().with_resume(&from).fit(&mut llm, &examples()).expect_err("other shapes");
    assert!(error.to_string().contains("the model's is"), "{error}");
    assert!(llm.adapter().is_none());
    Ok(())
}
