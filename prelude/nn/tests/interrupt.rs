//! One press of the interrupt button: the run ends in good order, checkpoints are on disk and the model is
//! usable. The flag is one for the process, so this is one test in a process of its own.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Device, Tensor};
use oxilab_nn::error::Result;
use oxilab_nn::{
    Consumer, DataLoader, Event, Flow, History, Loss, Mlp, NnError, Optimizer, StopReason,
    TensorDataset, Trainable as _, Trainer,
};
use oxilab_runtime::cancel::{self, Pressed};

/// Presses the button at a step, and lets go when the run has ended.
struct PressAt(usize, Option<Pressed>);

impl Consumer for PressAt {
    fn on_event(&mut self, event: &Event, _: &History) -> Result<Flow> {
        match event {
            Event::Step { step, .. } if *step == self.0 => self.1 = Some(cancel::press()),
            Event::Ended { reason } if self.1.take().is_some() => {
                assert_eq!(*reason, StopReason::Interrupted);
            }
            _ => {}
        }
        Ok(Flow::Continue)
    }
}

/// Runs of [`Unwinds`] that have ended before they were done.
static ENDED: AtomicUsize = AtomicUsize::new(0);

/// Unwinds at a step, once: as a poll does, or with a message.
struct Unwinds(usize, Option<&'static str>);

impl Consumer for Unwinds {
    fn on_event(&mut self, event: &Event, _: &History) -> Result<Flow> {
        match event {
            Event::Step { step, .. } if *step == self.0 => {
                self.0 = 0;
                match self.1 {
                    None => resume_unwind(Box::new(cancel::Interrupted)),
                    Some(message) => resume_unwind(Box::new(message.to_owned())),
                }
            }
            Event::Ended { reason: StopReason::Interrupted | StopReason::Failed } => {
                ENDED.fetch_add(1, Ordering::SeqCst);
            }
            _ => {}
        }
        Ok(Flow::Continue)
    }
}

fn loader() -> Result<DataLoader> {
    let x = Tensor::arange(0f32, 32.0, &Device::Cpu)?.reshape((32, 1))?.affine(0.05, -0.8)?;
    let y = x.sqr()?;
    Ok(DataLoader::new(TensorDataset::new(x, y)?, 8).with_shuffle(3))
}

fn trainer() -> Result<Trainer<Mlp>> {
    let net = Mlp::new(1, &[16], 1, 1)?.with_dropout(0.1);
    let trainer = Trainer::new(net, Optimizer::adam(0.01), Loss::Mse).with_epochs(5).with_seed(2);
    Ok(trainer.with_validation(loader()?).quiet())
}

fn bits(trainer: &Trainer<Mlp>) -> Result<Vec<u32>> {
    let mut bits = Vec::new();
    for (_, var) in trainer.model().vars() {
        bits.extend(var.flatten_all()?.to_vec1::<f32>()?.into_iter().map(f32::to_bits));
    }
    Ok(bits)
}

/// An interrupted run comes to what a whole one does: another process takes its checkpoint up, the same one
/// goes on by `fit`.
fn goes_on_as(whole: &[u32], mut run: Trainer<Mlp>, checkpoints: &Path) -> Result<()> {
    let mut later = trainer()?;
    later.resume(checkpoints.join("last"))?;
    later.fit(&loader()?)?;
    run.fit(&loader()?)?;
    assert_eq!(bits(&later)?, whole);
    assert_eq!(bits(&run)?, whole);
    Ok(())
}

#[test]
fn an_interrupt_leaves_checkpoints_and_a_usable_model() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut whole = trainer()?;
    whole.fit(&loader()?)?;

    // Four steps an epoch: the press comes in the third one.
    let mut run = trainer()?.with_checkpoints(folder.path()).with_consumer(PressAt(10, None));
    let error = run.fit(&loader()?).expect_err("interrupted");
    let NnError::Interrupted { epoch, step } = error else { panic!("{error}") };
    assert_eq!((epoch, step), (3, 10));
    assert!(run.evaluate(&loader()?)?[0].1.is_finite(), "the model is usable");
    for name in ["last", "best"] {
        assert!(folder.path().join(name).join("model.safetensors").is_file(), "{name}");
    }

    goes_on_as(&bits(&whole)?, run, folder.path())?;

    // A listener of a cell, which a poll unwinds in the same step.
    let mut run = trainer()?.with_checkpoints(folder.path()).with_consumer(Unwinds(10, None));
    let error = run.fit(&loader()?).expect_err("interrupted");
    assert!(matches!(error, NnError::Interrupted { epoch: 3, step: 10 }), "{error}");
    goes_on_as(&bits(&whole)?, run, folder.path())?;

    // Any other panic goes on, once those who listen have been told.
    let mut run = trainer()?.with_consumer(Unwinds(10, Some("a mistake")));
    let loader = loader()?;
    let panic = catch_unwind(AssertUnwindSafe(|| run.fit(&loader))).expect_err("panics");
    assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("a mistake"));
    assert_eq!(ENDED.load(Ordering::SeqCst), 2);
    Ok(())
}
