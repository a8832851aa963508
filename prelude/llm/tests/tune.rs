//! Fine-tuning tiny models: all weights, early stopping, settings, what is on disk when it is full.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use candle_core::Tensor;
use oxilab_llm::error::Result;
use oxilab_llm::model::KvCache;
use oxilab_llm::{Example, Llm, Lora, Quant, Sampling, SftTrainer, TextClassifier};
use oxilab_nn::{Consumer, Event, Flow, History, Mode};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny").join(name)
}

fn load(name: &str) -> Result<Llm> {
    Llm::load(folder(name))
}

fn examples() -> Vec<Example> {
    let words = ["the cat ", "a dog ", "my hat "];
    words.map(|start| Example::completion(start, "in the hat")).to_vec()
}

fn logits(llm: &Llm) -> Result<Tensor> {
    let mut cache = KvCache::new(llm.config().layers);
    let hidden = llm.model().forward(&[5, 77, 130, 9, 201, 33], &mut cache)?;
    Ok(llm.model().logits(&hidden, Mode::eval())?)
}

fn apart(a: &Tensor, b: &Tensor) -> Result<f32> {
    Ok((a - b)?.abs()?.max_all()?.to_scalar::<f32>()?)
}

fn full() -> SftTrainer {
    SftTrainer::full().with_epochs(8).with_batch_size(3).with_learning_rate(0.01).quiet()
}

#[test]
fn all_weights_learn_norms_and_biases_too_and_survive_a_folder() -> Result<()> {
    let out = tempfile::tempdir().expect("a folder");
    // Biases, norms of q and k, an untied head, norms around zero.
    for name in ["llama", "qwen2", "qwen3", "phi3", "gemma"] {
        let (mut llm, before) = (load(name)?, load(name)?);
        let history = full().fit(&mut llm, &examples())?;
        let losses = history.metric("train_loss");
        assert!(losses[7] < 0.5 * losses[0], "{name}: {losses:?}");
        llm.save(out.path().join(name))?;
        before.save(out.path().join("before"))?;
        let read = |folder: &str| {
            let path = out.path().join(folder).join("model.safetensors");
            candle_core::safetensors::load(path, &candle_core::Device::Cpu)
        };
        let (after, before) = (read(name)?, read("before")?);
        assert_eq!(after.len(), before.len());
        for (key, tensor) in &after {
            // What is added to all keys alike does not change the softmax over them.
            if !key.ends_with("k_proj.bias") {
                assert!(apart(tensor, &before[key])? > 0.0, "{name}: {key} has learned nothing");
            }
        }
        let mut again = Llm::load(out.path().join(name))?;
        assert!(apart(&logits(&again)?, &logits(&llm)?)? < 1e-4, "{name}");
        let greedy = Sampling::greedy().with_max_tokens(8);
        assert_eq!(
            again.generate("the cat ", &greedy)?.text,
            llm.generate("the cat ", &greedy)?.text
        );
        // It goes on from where it is.
        let more = full().with_epochs(1).fit(&mut llm, &examples())?;
        assert!(more.metric("train_loss")[0] < 0.6 * losses[0], "{name}");
    }
    Ok(())
}

#[test]
fn all_weights_learn_the_same_with_blocks_computed_again() -> Result<()> {
    let run = |recompute: bool| -> Result<(Vec<f64>, Tensor)> {
        let mut llm = load("qwen2")?;
        let trainer = if recompute { full().with_gradient_checkpointing() } else { full() };
        let history = trainer.fit(&mut llm, &examples())?;
        Ok((history.metric("train_loss"), logits(&llm)?))
    };
    let ((kept, kept_logits), (again, again_logits)) = (run(false)?, run(true)?);
    for (a, b) in kept.iter().zip(&again) {
        assert!((a - b).abs() < 1e-3 * a.abs().max(1.0), "{kept:?} {again:?}");
    }
    assert!(apart(&kept_logits, &again_logits)? < 0.05);
    Ok(())
}

#[test]
fn a_quantised_model_is_trained_whole_after_it_is_dequantised() -> Result<()> {
    let mut llm = load("llama")?.quantized(Quant::Q8_0)?;
    let before = llm.model().bytes();
    let losses = full().fit(&mut llm, &examples())?.metric("train_loss");
    assert!(losses[7] < 0.5 * losses[0], "{losses:?}");
    assert!(llm.model().bytes() > before, "in 32 bits");
    Ok(())
}

#[test]
fn early_stopping_leaves_the_best_adapter() -> Result<()> {
    // What is learned of the one makes the other unlikely.
    let held_out = [Example::completion("the cat ", "zzz qqq xxx")];
    let mut llm = load("llama")?;
    let history = SftTrainer::new(Lora::new(4))
        .with_epochs(30)
        .with_batch_size(3)
        .with_learning_rate(0.02)
        .with_evaluation(&held_out)
        .with_early_stopping(2)
        .quiet()
        .fit(&mut llm, &examples())?;
    let losses = history.metric("valid_loss");
    assert!(losses.len() < 30, "it never stopped: {losses:?}");
    let best = losses.iter().copied().fold(f64::INFINITY, f64::min);
    // One more epoch that moves nothing measures what is there.
    let lora = llm.adapter().expect("an adapter").clone();
    let still = SftTrainer::new(lora).with_epochs(1).with_learning_rate(0.0).quiet();
    let now = still.with_evaluation(&held_out).fit(&mut llm, &examples())?.metric("valid_loss")[0];
    assert!((now - best).abs() < 1e-5, "{now} {losses:?}");
    Ok(())
}

#[test]
fn settings_that_cannot_be_meant_are_refused_by_name() -> Result<()> {
    let mut llm = load("llama")?;
    let make = || SftTrainer::new(Lora::new(2)).quiet();
    for (trainer, expected) in [
        (make().with_epochs(0), "the number of epochs is 0"),
        (make().with_batch_size(0), "the batch size is 0"),
        (make().with_accumulation(0), "accumulated batches is 0"),
        (make().with_learning_rate(f64::NAN), "the learning rate is NaN"),
        (make().with_learning_rate(-1e-3), "the learning rate is -0.001"),
        (make().with_clip_norm(0.0), "the clip norm is 0"),
        (make().with_warmup(1.5), "warm up is 1.5"),
        (make().with_max_length(1), "the maximum length is 1"),
        (make().with_save_steps(0), "steps between saves is 0"),
        (make().with_early_stopping(1), "with_evaluation"),
        (SftTrainer::new(Lora::new(0)).quiet(), "r is 0"),
        (SftTrainer::new(Lora::new(2).with_alpha(f64::NAN)).quiet(), "alpha is NaN"),
    ] {
        let error = trainer.fit(&mut llm, &examples()).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert!(llm.adapter().is_none(), "nothing was begun");
    Ok(())
}

/// A limit on the size of files stands for a full disk. It holds for the whole process, so the test
/// starts itself anew for it.
#[test]
fn a_full_disk_leaves_what_was_there() -> Result<()> {
    const CHILD: &str = "OXILAB_TEST_FULL_DISK";
    if let Some(disk) = std::env::var_os(CHILD) {
        return on_a_full_disk(disk.as_ref());
    }
    let disk = tempfile::tempdir().expect("a folder");
    let mut llm = load("llama")?;
    llm.load_adapter(folder("llama-plain"))?;
    llm.save_adapter(disk.path().join("adapter"))?;
    llm.merge()?;
    llm.save(disk.path().join("model"))?;
    llm.save_gguf(disk.path().join("model.gguf"))?;
    let whole = logits(&llm)?;
    let child = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["a_full_disk_leaves_what_was_there", "--exact", "--nocapture"])
        .env(CHILD, disk.path())
        .output()
        .expect("started");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    for path in ["model", "model.gguf"] {
        let again = Llm::load(disk.path().join(path))?;
        assert!(apart(&logits(&again)?, &whole)? < 1e-4, "{path}");
    }
    load("llama")?.load_adapter(disk.path().join("adapter"))?;
    for folder in ["", "model", "adapter"] {
        for entry in std::fs::read_dir(disk.path().join(folder)).expect("readable").flatten() {
            let name = entry.file_name();
            assert!(!name.to_string_lossy().starts_with('.'), "{name:?} is left over");
        }
    }
    Ok(())
}

fn on_a_full_disk(disk: &Path) -> Result<()> {
    let mut other = load("llama")?;
    limit_files(2048);
    let mut errors = vec![
        other.save(disk.join("model")).expect_err("full"),
        other.save_gguf(disk.join("model.gguf")).expect_err("full"),
    ];
    other.add_adapter(&Lora::new(8))?;
    errors.push(other.save_adapter(disk.join("adapter")).expect_err("full"));
    for error in errors {
        let text = error.to_string();
        assert!(text.contains("cannot write") && text.contains("large"), "{text}");
    }
    // The adapter in memory is still there to be saved elsewhere.
    assert!(other.adapter().is_some());
    Ok(())
}

/// A disk that fills up between two files of one save: weights go through, and what describes them does not.
#[test]
fn a_disk_that_fills_up_between_files_leaves_the_old_ones_together() -> Result<()> {
    const CHILD: &str = "OXILAB_TEST_FILLING_DISK";
    if let Some(disk) = std::env::var_os(CHILD) {
        return on_a_filling_disk(disk.as_ref());
    }
    let disk = tempfile::tempdir().expect("a folder");
    let at = |name: &str| disk.path().join(name);
    let mut llm = load("llama")?;
    SftTrainer::new(Lora::new(4))
        .with_epochs(1)
        .with_learning_rate(0.01)
        .with_checkpoints(at("runs"))
        .quiet()
        .fit(&mut llm, &examples())?;
    llm.save_adapter(at("adapter"))?;
    let adapted = logits(&llm)?;
    llm.merge()?;
    llm.save(at("model"))?;
    let merged = logits(&llm)?;
    let texts = ["a good film", "bad"];
    let mood = TextClassifier::load(encoder("bert"))?;
    mood.save(at("mood"))?;
    std::fs::write(at("model").join("notes.txt"), "mine").expect("written");
    // What is saved instead has a long template, or a long configuration.
    copy(&folder("llama"), &at("wordy"));
    let template = format!("{{# {} #}}", "word ".repeat(40_000));
    std::fs::write(at("wordy").join("chat_template.jinja"), template).expect("written");
    copy(&encoder("distilbert"), &at("wordy-mood"));
    let path = at("wordy-mood").join("config.json");
    let config = std::fs::read_to_string(&path).expect("there");
    let config = config.replacen('{', &format!("{{\"note\": {:?},", "word ".repeat(10_000)), 1);
    std::fs::write(&path, config).expect("written");

    let child = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args(["a_disk_that_fills_up_between_files_leaves_the_old_ones_together", "--exact"])
        .arg("--nocapture")
        .env(CHILD, disk.path())
        .output()
        .expect("started");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert!(apart(&logits(&Llm::load(at("model"))?)?, &merged)? < 1e-4);
    for adapter in ["adapter", "runs/epoch-1"] {
        let mut llm = load("llama")?;
        llm.load_adapter(at(adapter))?;
        assert!(apart(&logits(&llm)?, &adapted)? < 1e-5, "{adapter}");
    }
    // The run can be taken up from its checkpoint as if nothing had been tried.
    let more = SftTrainer::new(Lora::new(4)).with_epochs(2).with_resume(at("runs/epoch-1")).quiet();
    assert_eq!(more.fit(&mut load("llama")?, &examples())?.epochs().len(), 2);
    let again = TextClassifier::load(at("mood"))?;
    assert!(apart(&again.logits(&texts)?, &mood.logits(&texts)?)? < 1e-6);
    for folder in ["model", "adapter", "runs/epoch-1", "mood"] {
        for entry in std::fs::read_dir(at(folder)).expect("readable").flatten() {
            let name = entry.file_name();
            assert!(!name.to_string_lossy().starts_with('.'), "{name:?} is left over");
        }
    }
    assert!(at("model").join("notes.txt").is_file(), "it is not ours");
    Ok(())
}

fn on_a_filling_disk(disk: &Path) -> Result<()> {
    let wordy = Llm::load(disk.join("wordy"))?;
    let mood = TextClassifier::load(disk.join("wordy-mood"))?;
    // Rank 1 on one layer is a small file, and naming that layer again and again makes a long one.
    let lora = Lora::new(1).with_targets(&["q_proj"; 200]);
    let mut adapted = load("llama")?;
    adapted.add_adapter(&lora)?;
    let trainer = SftTrainer::new(lora).with_epochs(1).with_checkpoints(disk.join("runs")).quiet();
    limit_files(150_000);
    let mut errors = vec![wordy.save(disk.join("model")).expect_err("full")];
    limit_files(40_000);
    errors.push(mood.save(disk.join("mood")).expect_err("full"));
    limit_files(2048);
    errors.push(adapted.save_adapter(disk.join("adapter")).expect_err("full"));
    errors.push(trainer.fit(&mut adapted, &examples()).expect_err("full"));
    let named =
        ["tokenizer_config.json", "config.json", "adapter_config.json", "adapter_config.json"];
    for (error, file) in errors.iter().zip(named) {
        let text = error.to_string();
        assert!(text.contains("cannot write") && text.contains("large"), "{text}");
        assert!(text.contains(file), "the first file was whole: {text}");
    }
    assert!(adapted.adapter().is_some());
    Ok(())
}

/// No file may become larger; a limit can be lifted again.
#[expect(unsafe_code, reason = "the limit is the system's")]
fn limit_files(bytes: u64) {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the calls take plain values; the limit is read or written before they return.
    let set = unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::getrlimit(libc::RLIMIT_FSIZE, &raw mut limit);
        limit.rlim_cur = bytes;
        libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit)
    };
    assert_eq!(set, 0);
}

fn encoder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/encoders").join(name)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).expect("made");
    for entry in std::fs::read_dir(from).expect("there").flatten() {
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// Writes down which steps it hears of and what is saved.
struct Heard(Arc<Mutex<Vec<String>>>);

impl Consumer for Heard {
    fn on_event(&mut self, event: &Event, _: &History) -> oxilab_nn::error::Result<Flow> {
        let line = match event {
            Event::Step { step, .. } => format!("step {step}"),
            Event::Saved { path } => {
                format!("saved {}", path.file_name().unwrap_or_default().display())
            }
            Event::Evaluated { epoch, step, metrics } => {
                let names: Vec<&str> = metrics.iter().map(|(name, _)| name.as_str()).collect();
                format!("evaluated epoch {epoch}, step {step}: {}", names.join(" "))
            }
            _ => return Ok(Flow::Continue),
        };
        self.0.lock().expect("not poisoned").push(line);
        Ok(Flow::Continue)
    }
}

#[test]
fn what_is_saved_and_told_follows_the_settings() -> Result<()> {
    let out = tempfile::tempdir().expect("a folder");
    let run = |trainer: SftTrainer, llm: &mut Llm| -> Result<(Vec<String>, History)> {
        let heard = Arc::default();
        let trainer = trainer
            .with_epochs(2)
            .with_batch_size(1)
            .with_learning_rate(0.02)
            .with_checkpoints(out.path())
            .with_consumer(Heard(Arc::clone(&heard)))
            .quiet();
        let history = trainer.fit(llm, &examples())?;
        let heard = heard.lock().expect("not poisoned").clone();
        Ok((heard, history))
    };
    // Three examples: three steps an epoch.
    let mut llm = load("llama")?;
    let lora = || SftTrainer::new(Lora::new(2));
    let (heard, history) = run(lora().with_save_steps(2).with_logging_steps(3), &mut llm)?;
    assert_eq!(heard, ["saved step-2", "step 3", "saved step-4", "step 6", "saved step-6"]);
    assert_eq!(history.steps().len(), 6, "the history has them all");
    let saved = |name: &str| -> Result<Tensor> {
        let mut saved = load("llama")?;
        saved.load_adapter(out.path().join(name))?;
        logits(&saved)
    };
    assert!(apart(&saved("step-6")?, &logits(&llm)?)? < 1e-5);
    assert!(apart(&saved("step-4")?, &logits(&llm)?)? > 1e-3, "it went on from there");

    let mut llm = load("llama")?;
    let (heard, _) = run(lora().with_logging_steps(100), &mut llm)?;
    assert_eq!(heard, ["saved epoch-1", "step 6", "saved epoch-2"], "the last step is always told");
    assert!(apart(&saved("epoch-2")?, &logits(&llm)?)? < 1e-5);

    // An evaluation is told with what it found, before the checkpoint is.
    let held_out = lora().with_logging_steps(3).with_evaluation(&examples()[..1]);
    let (heard, _) = run(held_out, &mut load("llama")?)?;
    let told = |epoch: usize, step: usize| {
        [
            format!("step {step}"),
            format!("evaluated epoch {epoch}, step {step}: valid_loss"),
            format!("saved epoch-{epoch}"),
        ]
    };
    assert_eq!(heard, [told(1, 3), told(2, 6)].concat());

    // All weights: a checkpoint is a whole model.
    let mut llm = load("qwen2")?;
    let (heard, _) = run(SftTrainer::full().with_save_steps(6).with_logging_steps(100), &mut llm)?;
    assert_eq!(heard, ["step 6", "saved step-6"]);
    let again = Llm::load(out.path().join("step-6"))?;
    assert!(apart(&logits(&again)?, &logits(&llm)?)? < 1e-4);
    Ok(())
}

#[test]
fn a_loaded_adapter_is_trained_on_whatever_its_seed_and_the_order_of_its_layers() -> Result<()> {
    let out = tempfile::tempdir().expect("a folder");
    let train = |lora: Lora, llm: &mut Llm| {
        SftTrainer::new(lora).with_epochs(1).quiet().fit(llm, &examples())
    };
    let mut llm = load("llama")?;
    train(Lora::new(2).with_targets(&["q_proj", "v_proj"]), &mut llm)?;
    llm.save_adapter(out.path())?;
    let mut again = load("llama")?;
    again.load_adapter(out.path())?;
    let before = logits(&again)?;
    train(Lora::new(2).with_targets(&["v_proj", "q_proj"]).with_seed(7), &mut again)?;
    assert!(apart(&before, &logits(&again)?)? > 0.0);
    let error = train(Lora::new(4).with_targets(&["q_proj", "v_proj"]), &mut again);
    assert!(error.is_err_and(|error| error.to_string().contains("already has an adapter")));
    Ok(())
}
