//! What fine-tuning says about memory before it starts.

use std::path::Path;
use std::sync::{Arc, Mutex};

use oxilab_llm::error::Result;
use oxilab_llm::{Example, Llm, Lora, Quant, SftTrainer, models};
use oxilab_nn::memory::{megabytes, peak_resident};
use oxilab_nn::{Consumer, Event, Flow, History, Memory};

fn load() -> Result<Llm> {
    Llm::load(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny/llama"))
}

fn examples() -> Vec<Example> {
    vec![Example::completion("the cat ", "in the hat"); 4]
}

/// Keeps the estimate that the start of a run tells.
struct Told(Arc<Mutex<Option<Memory>>>);

impl Consumer for Told {
    fn on_event(&mut self, event: &Event, _: &History) -> oxilab_nn::error::Result<Flow> {
        if let Event::Started { memory, .. } = event {
            *self.0.lock().expect("not poisoned") = Some(*memory);
        }
        Ok(Flow::Continue)
    }
}

fn estimate(trainer: SftTrainer, llm: &mut Llm) -> Result<Memory> {
    let told = Arc::new(Mutex::new(None));
    trainer.with_epochs(1).with_consumer(Told(Arc::clone(&told))).quiet().fit(llm, &examples())?;
    let memory = *told.lock().expect("not poisoned");
    Ok(memory.expect("told"))
}

#[test]
fn the_estimate_counts_what_is_held() -> Result<()> {
    let mut llm = load()?;
    let base = llm.model().bytes();
    let lora = || SftTrainer::new(Lora::new(4).with_targets(&["q_proj", "down_proj"]));
    let whole = estimate(lora(), &mut llm)?;
    // Two blocks of 32 × 32 and 32 × 48 weights, a rank of 4, four bytes.
    let parameters = 4 * 2 * 4 * ((32 + 32) + (48 + 32));
    assert_eq!((whole.parameters, whole.gradients), (parameters, parameters));
    assert_eq!((whole.optimizer, whole.copies, whole.frozen), (2 * parameters, parameters, base));
    assert_eq!(whole.total(), base + 5 * parameters + whole.activations);

    let again = estimate(lora().with_gradient_checkpointing(), &mut load()?)?;
    assert!(again.activations < whole.activations, "{again:?} {whole:?}");
    let single = estimate(lora().with_batch_size(1), &mut load()?)?;
    assert!(single.activations < whole.activations, "{single:?} {whole:?}");
    let quantised = estimate(lora(), &mut load()?.quantized(Quant::Q8_0)?)?;
    assert!(quantised.frozen < whole.frozen / 2, "{quantised:?}");
    let full = estimate(SftTrainer::full(), &mut load()?)?;
    // All matrices and the five norms of 32.
    assert_eq!((full.frozen, full.parameters), (0, base + 4 * 5 * 32));
    Ok(())
}

/// Says on standard output when a step is done.
struct Says;

impl Consumer for Says {
    fn on_event(&mut self, event: &Event, _: &History) -> oxilab_nn::error::Result<Flow> {
        if let Event::Step { step, .. } = event {
            println!("step {step} is done");
        }
        Ok(Flow::Continue)
    }
}

/// This test again, in a process whose standard output can be read.
fn child(test: &str, variable: &str) -> String {
    let child = std::process::Command::new(std::env::current_exe().expect("this test"))
        .args([test, "--exact", "--nocapture"])
        .env(variable, "1")
        .output()
        .expect("started");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    String::from_utf8(child.stdout).expect("text")
}

#[test]
fn the_table_stands_before_the_first_step_and_what_is_held_beside_the_run() -> Result<()> {
    const CHILD: &str = "OXILAB_TEST_MEMORY_TABLE";
    if std::env::var_os(CHILD).is_some() {
        let trainer = SftTrainer::new(Lora::new(4)).with_epochs(2).with_consumer(Says);
        trainer.fit(&mut load()?, &examples())?;
        return Ok(());
    }
    let name = "the_table_stands_before_the_first_step_and_what_is_held_beside_the_run";
    let said = child(name, CHILD);
    let at = |words: &str| said.find(words).unwrap_or_else(|| panic!("no {words:?} in {said}"));
    let first = at("step 1 is done");
    let memory = estimate(SftTrainer::new(Lora::new(4)), &mut load()?)?;
    for (part, bytes) in [
        ("estimated memory", None),
        ("frozen weights", Some(memory.frozen)),
        ("trainable parameters", Some(memory.parameters)),
        ("gradients", Some(memory.gradients)),
        ("optimiser", Some(memory.optimizer)),
        ("copies to go back to", Some(memory.copies)),
        ("activations", Some(memory.activations)),
        ("total", Some(memory.total())),
        ("memory held", None),
        ("at the start", None),
    ] {
        let place = at(part);
        assert!(place < first, "{part} comes after the first step: {said}");
        let line = said[place..].lines().next().unwrap_or_default();
        let figure = bytes.map(megabytes).unwrap_or_default();
        assert!(line.contains(&figure), "{part} is {figure} MB, not {line:?}");
    }
    assert!(first < at("after epoch 1") && at("after epoch 1") < at("after epoch 2"), "{said}");
    Ok(())
}

/// QLoRA of SmolLM2 on one row of about 256 tokens: what was estimated is what the process needs, within
/// half of it either way.
#[test]
fn the_estimate_is_near_what_a_run_needs() -> Result<()> {
    const CHILD: &str = "OXILAB_TEST_MEMORY_NEED";
    if std::env::var_os(CHILD).is_some() {
        let mut llm = Llm::load(models::smollm2()?)?;
        let told = Arc::new(Mutex::new(None));
        let text = "The light of the tower turns once in ten seconds. ".repeat(22);
        SftTrainer::new(Lora::new(8))
            .with_epochs(1)
            .with_batch_size(1)
            .with_consumer(Told(Arc::clone(&told)))
            .quiet()
            .fit(&mut llm, &[Example::completion("Say: ", text)])?;
        let memory = told.lock().expect("not poisoned").expect("told");
        println!("{} {}", memory.total(), peak_resident().unwrap_or(0));
        return Ok(());
    }
    let said = child("the_estimate_is_near_what_a_run_needs", CHILD);
    let numbers = said.lines().find_map(|line| {
        let (estimated, peak) = line.split_once(' ')?;
        Some((estimated.parse::<f64>().ok()?, peak.parse::<f64>().ok()?))
    });
    let (estimated, peak) = numbers.expect("two numbers");
    println!("estimated {:.0} MB, held {:.0} MB", estimated / 1e6, peak / 1e6);
    // Zero where the system does not say.
    assert!(peak == 0.0 || (0.5..1.5).contains(&(estimated / peak)), "{estimated} {peak}");
    Ok(())
}
