//! Packing: examples that lie in one batch do not see each other, and batches are filled.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use oxilab_llm::error::Result;
use oxilab_llm::model::Sequence;
use oxilab_llm::{Example, Llm, Lora, SftTrainer};
use oxilab_nn::{Consumer, Event, Flow, History};

fn load(name: &str) -> Result<Llm> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny");
    Llm::load(folder.join(name))
}

fn sequence(tokens: &[u32]) -> Sequence {
    Sequence { tokens: tokens.to_vec(), learn: vec![true; tokens.len()] }
}

#[test]
fn packed_sequences_do_not_attend_to_each_other() -> Result<()> {
    let first = sequence(&[5, 77, 130, 9, 201, 33, 64]);
    let second = sequence(&[180, 2, 91, 140, 17, 250, 3, 111, 60]);
    let other = sequence(&[44, 1, 90, 90, 12]);
    // Whole attention, and a window of six tokens.
    for name in ["llama", "mistral", "qwen3", "gemma"] {
        let llm = load(name)?;
        let loss = |sequences: &[&Sequence]| -> Result<f64> {
            let (sum, learned) = llm.model().evaluate(sequences)?;
            // The first token of each has nothing before it, wherever it lies.
            let expected: usize = sequences.iter().map(|sequence| sequence.tokens.len() - 1).sum();
            assert_eq!(learned, expected);
            Ok(sum)
        };
        let alone = loss(&[&second])?;
        for neighbours in [vec![&first], vec![&other], vec![&first, &other, &first]] {
            let behind = [&neighbours[..], &[&second]].concat();
            let before = [&[&second], &neighbours[..]].concat();
            for packed in [behind, before] {
                let rest = loss(&packed)? - loss(&neighbours)?;
                assert!((rest - alone).abs() < 1e-3, "{name}: {rest} beside others, {alone} alone");
            }
        }
        // In one text the second would see the first: the loss of the very same tokens is another one.
        let mut joined = sequence(&[&first.tokens[..], &second.tokens[..]].concat());
        joined.learn[first.tokens.len()] = false;
        let (seen, learned) = llm.model().evaluate(&[&joined])?;
        assert_eq!(learned, first.learned() + second.learned());
        let apart = (seen - loss(&[&first])? - alone).abs();
        assert!(apart > 0.1, "{name}: nothing to tell them apart by, {apart}");
    }
    Ok(())
}

fn examples() -> Vec<Example> {
    let rest = ["in the hat", "runs", "is very warm", "eats a fish"];
    rest.map(|rest| Example::completion("the cat ", rest)).to_vec()
}

fn trainer() -> SftTrainer {
    SftTrainer::new(Lora::new(4)).with_epochs(3).with_learning_rate(0.01).quiet()
}

/// One forward and backward pass of four examples in a row, against four passes of one.
#[test]
fn a_packed_step_is_the_step_of_its_examples_one_by_one() -> Result<()> {
    let run = |trainer: SftTrainer| -> Result<(History, f64)> {
        let mut llm = load("llama")?;
        let history = trainer.fit(&mut llm, &examples())?;
        Ok((history, llm.perplexity("the cat in the hat")?))
    };
    let (packed, packed_after) = run(trainer().with_packing())?;
    let (single, single_after) = run(trainer().with_batch_size(1).with_accumulation(4))?;
    assert_eq!((packed.steps().len(), single.steps().len()), (3, 3));
    for (a, b) in packed.steps().iter().zip(single.steps()) {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-3 * a.abs().max(1.0);
        assert!(near(a.loss, b.loss) && near(a.grad_norm, b.grad_norm), "{a:?} {b:?}");
    }
    assert!((packed_after / single_after - 1.0).abs() < 0.02, "{packed_after} {single_after}");
    Ok(())
}

#[test]
fn batches_are_filled_up_to_the_maximum_length() -> Result<()> {
    let one = Example::completion("the cat ", "in the hat");
    let length = one.tokenize(&load("llama")?, 0, 100)?.tokens.len();
    let examples = vec![one; 7];
    let steps = |max_length: usize| -> Result<usize> {
        let mut llm = load("llama")?;
        let trainer = trainer().with_epochs(1).with_packing().with_max_length(max_length);
        Ok(trainer.fit(&mut llm, &examples)?.steps().len())
    };
    // Three fit, then two, then one.
    assert_eq!(steps(4 * length - 1)?, 3);
    assert_eq!(steps(3 * length)?, 3);
    assert_eq!(steps(3 * length - 1)?, 4);
    assert_eq!(steps(length)?, 7);
    // Shorter than an example: it is cut, and still is a batch of its own.
    assert_eq!(steps(length - 1)?, 7);
    Ok(())
}

/// Writes down how many steps a run plans.
struct Planned(Arc<AtomicUsize>);

impl Consumer for Planned {
    fn on_event(&mut self, event: &Event, _: &History) -> oxilab_nn::error::Result<Flow> {
        if let Event::Started { steps, .. } = event {
            self.0.store(*steps, Ordering::Relaxed);
        }
        Ok(Flow::Continue)
    }
}

/// Each epoch's order fills other batches.
#[test]
fn a_packed_run_has_as_many_steps_as_it_plans() -> Result<()> {
    let lengths = [1, 2, 5, 1, 4, 3, 2, 5, 1];
    let examples = lengths.map(|n| Example::completion("the cat ", "sat ".repeat(n)));
    let mut counts = Vec::new();
    for seed in 0..8 {
        let planned = Arc::default();
        let trainer = trainer().with_packing().with_max_length(40).with_seed(seed).with_epochs(2);
        let trainer = trainer.with_consumer(Planned(Arc::clone(&planned)));
        let history = trainer.fit(&mut load("llama")?, &examples)?;
        assert_eq!(planned.load(Ordering::Relaxed), history.steps().len(), "seed {seed}");
        assert!(history.steps().iter().all(|step| step.learning_rate > 0.0), "seed {seed}");
        counts.push(history.steps().len());
    }
    assert!(counts.iter().any(|count| *count != counts[0]), "orders that tell nothing: {counts:?}");
    Ok(())
}
