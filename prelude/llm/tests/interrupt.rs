//! One press of the interrupt button: fine-tuning and generating end, and the model is usable. The flag is
//! one for the process, so this is one test in a process of its own.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use oxilab_llm::error::Result;
use oxilab_llm::{Example, Llm, LlmError, Lora, Sampling, SftTrainer};
use oxilab_nn::{Consumer, Event, Flow, History, NnError};
use oxilab_runtime::cancel::{self, Pressed};

/// Presses the button at a step.
struct PressAt(usize, Option<Pressed>);

impl Consumer for PressAt {
    fn on_event(&mut self, event: &Event, _: &History) -> oxilab_nn::error::Result<Flow> {
        if matches!(event, Event::Step { step, .. } if *step == self.0) {
            self.1 = Some(cancel::press());
        }
        Ok(Flow::Continue)
    }
}

/// A listener as of a cell, which a poll unwinds.
struct Polls;

impl Consumer for Polls {
    fn on_event(&mut self, event: &Event, _: &History) -> oxilab_nn::error::Result<Flow> {
        if matches!(event, Event::Step { .. }) {
            resume_unwind(Box::new(cancel::Interrupted));
        }
        Ok(Flow::Continue)
    }
}

/// A listener with a mistake.
struct Panics;

impl Consumer for Panics {
    fn on_event(&mut self, event: &Event, _: &History) -> oxilab_nn::error::Result<Flow> {
        assert!(!matches!(event, Event::Step { step: 3, .. }), "a mistake");
        Ok(Flow::Continue)
    }
}

#[test]
fn an_interrupt_leaves_a_usable_model() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens/tiny/llama");
    let out = tempfile::tempdir().expect("a folder");
    let mut llm = Llm::load(&folder)?;
    let greedy = Sampling::greedy().with_max_tokens(8);
    let before = llm.generate("the cat", &greedy)?;

    let pressed = cancel::press();
    assert!(matches!(llm.generate("a dog", &greedy), Err(LlmError::Interrupted)));
    assert!(matches!(llm.perplexity("the cat in the hat"), Err(LlmError::Interrupted)));
    drop(pressed);
    assert_eq!(llm.generate("the cat", &greedy)?.tokens, before.tokens);

    let examples = vec![Example::completion("the cat ", "in the hat"); 4];
    let error = SftTrainer::new(Lora::new(2))
        .with_epochs(5)
        .with_batch_size(1)
        .with_learning_rate(0.05)
        .with_checkpoints(out.path())
        .with_consumer(PressAt(6, None))
        .quiet()
        .fit(&mut llm, &examples)
        .expect_err("interrupted");
    let LlmError::Training(NnError::Interrupted { epoch, step }) = error else { panic!("{error}") };
    assert_eq!((epoch, step), (2, 6));
    // What was learned is there, and so are the checkpoints of the first epoch and of the last step.
    assert_ne!(llm.generate("the cat", &greedy)?.tokens, before.tokens);
    let learned = llm.perplexity("the cat in the hat")?;
    llm.remove_adapter();
    llm.load_adapter(out.path().join("epoch-1"))?;
    assert!(llm.perplexity("the cat in the hat")? > learned);
    llm.remove_adapter();
    llm.load_adapter(out.path().join("step-6"))?;
    assert!((llm.perplexity("the cat in the hat")? - learned).abs() < 1e-3 * learned);

    // A listener with polls of its own ends it no less in good order.
    let mut llm = Llm::load(&folder)?;
    let error = SftTrainer::new(Lora::new(2))
        .with_batch_size(1)
        .with_consumer(Polls)
        .quiet()
        .fit(&mut llm, &examples)
        .expect_err("interrupted");
    let LlmError::Training(NnError::Interrupted { epoch, step }) = error else { panic!("{error}") };
    assert_eq!((epoch, step), (1, 1));
    let kept = llm.generate("the cat", &greedy)?.tokens;
    llm.merge()?;
    assert_eq!(llm.generate("the cat", &greedy)?.tokens, kept);

    // One that panics does so behind a model that is as usable.
    let mut llm = Llm::load(folder)?;
    assert_eq!(llm.generate("the cat", &greedy)?.tokens, before.tokens);
    let trainer = SftTrainer::new(Lora::new(2)).with_batch_size(1).with_learning_rate(0.05);
    let trainer = trainer.with_consumer(Panics).quiet();
    let fit = || drop(trainer.fit(&mut llm, &examples));
    catch_unwind(AssertUnwindSafe(fit)).expect_err("it panics");
    let kept = llm.generate("the cat", &greedy)?.tokens;
    assert_ne!(kept, before.tokens, "the keys and values of the old weights are gone");
    llm.merge()?;
    assert_eq!(llm.generate("the cat", &greedy)?.tokens, kept);
    Ok(())
}
