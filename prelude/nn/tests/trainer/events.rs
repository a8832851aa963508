//! What a run says, in its order.

use std::sync::{Arc, Mutex};

use oxilab_nn::error::Result;
use oxilab_nn::{Consumer, Event, Flow, History, Loss, Mlp, Optimizer, Trainer};

use super::{loader, trainer, weights};

/// Writes events down in words, and asks for the end at the evaluation of an epoch.
struct Log {
    said: Arc<Mutex<Vec<String>>>,
    stop_at: usize,
}

impl Consumer for Log {
    fn on_event(&mut self, event: &Event, history: &History) -> Result<Flow> {
        let (said, flow) = match event {
            Event::Started { .. } => ("started".to_owned(), Flow::Continue),
            Event::Step { .. } => return Ok(Flow::Continue),
            Event::Evaluated { epoch, step, metrics } => {
                let names: Vec<&str> = metrics.iter().map(|(name, _)| name.as_str()).collect();
                for (name, value) in metrics {
                    assert_eq!(history.last(name), Some(*value), "the history has it");
                }
                let flow = if *epoch == self.stop_at { Flow::Stop } else { Flow::Continue };
                (format!("evaluated {epoch} {step} {}", names.join(" ")), flow)
            }
            Event::Saved { path } => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                (format!("saved {name}"), Flow::Continue)
            }
            Event::EpochEnded { epoch, metrics } => {
                (format!("epoch {epoch} {}", metrics.len()), Flow::Continue)
            }
            Event::Ended { reason } => (format!("{reason:?}"), Flow::Continue),
            _ => ("unknown".to_owned(), Flow::Continue),
        };
        self.said.lock().expect("not poisoned").push(said);
        Ok(flow)
    }
}

#[test]
fn an_evaluation_is_told_before_what_follows_from_it_and_may_end_the_run() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let said = Arc::default();
    let make = || -> Result<Trainer<Mlp>> {
        let net = Mlp::new(1, &[8], 1, 1)?;
        let log = Log { said: Arc::clone(&said), stop_at: 2 };
        Ok(Trainer::new(net, Optimizer::sgd(0.05), Loss::Mse)
            .with_epochs(5)
            .with_consumer(log)
            .quiet())
    };
    make()?.with_validation(loader(false)?).with_checkpoints(folder.path()).fit(&loader(false)?)?;
    let taken: Vec<String> = std::mem::take(&mut *said.lock().expect("not poisoned"));
    let expected = [
        "started",
        "evaluated 1 8 valid_loss valid_mae",
        "saved last",
        "saved best",
        "epoch 1 3",
        "evaluated 2 16 valid_loss valid_mae",
        "saved last",
        "saved best",
        "epoch 2 3",
        "Stopped",
    ];
    assert_eq!(taken, expected);
    // Without validation rows nothing is evaluated.
    make()?.with_epochs(1).fit(&loader(false)?)?;
    assert_eq!(*said.lock().expect("not poisoned"), ["started", "epoch 1 1", "Finished"]);
    Ok(())
}

/// Asks for the end at the first event that it is meant for.
struct StopAt(fn(&Event) -> bool);

impl Consumer for StopAt {
    fn on_event(&mut self, event: &Event, _: &History) -> Result<Flow> {
        Ok(if self.0(event) { Flow::Stop } else { Flow::Continue })
    }
}

#[test]
fn a_run_that_is_ended_at_a_step_goes_on_behind_it() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut whole = trainer(3)?;
    let history = whole.fit(&loader(false)?)?;
    // Three steps an epoch: in the middle of the second, and behind its last.
    let places: [(usize, fn(&Event) -> bool); 2] = [
        (5, |event| matches!(event, Event::Step { step: 5, .. })),
        (6, |event| matches!(event, Event::Step { step: 6, .. })),
    ];
    for (step, place) in places {
        let mut first = trainer(3)?.with_checkpoints(folder.path()).with_consumer(StopAt(place));
        let stopped = first.fit(&loader(false)?)?;
        assert_eq!(stopped.steps(), &history.steps()[..step]);
        assert_eq!(stopped.epochs().len(), 1, "the second is not measured");
        // By another trainer from the disk, and by this one, which is asked to end no more.
        let mut second = trainer(3)?;
        second.resume(folder.path().join("last"))?;
        for mut trainer in [first, second] {
            assert_eq!(trainer.fit(&loader(false)?)?, history, "from step {step}");
            assert_eq!(weights(&trainer)?, weights(&whole)?, "from step {step}");
        }
    }
    Ok(())
}

#[test]
fn a_run_that_is_ended_before_its_first_step_trains_nothing() -> Result<()> {
    let start = |event: &Event| matches!(event, Event::Started { .. });
    let mut trainer = trainer(3)?.with_consumer(StopAt(start));
    let before = weights(&trainer)?;
    assert!(trainer.fit(&loader(false)?)?.steps().is_empty());
    assert_eq!(weights(&trainer)?, before);
    Ok(())
}

#[test]
fn a_run_that_is_ended_at_a_step_has_the_parameters_of_this_step() -> Result<()> {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = || -> Result<Trainer<Mlp>> {
        let net = Mlp::new(1, &[8], 1, 1)?;
        Ok(Trainer::new(net, Optimizer::sgd(0.05), Loss::Mse).with_epochs(3).quiet())
    };
    // Eight steps an epoch; the best so far are those of the first epoch's end.
    let place = |event: &Event| matches!(event, Event::Step { step: 11, .. });
    let mut first = plain()?.with_checkpoints(folder.path()).with_consumer(StopAt(place));
    first.fit(&loader(false)?)?;
    let mut last = plain()?;
    last.resume(folder.path().join("last"))?;
    assert_eq!(weights(&first)?, weights(&last)?);
    let mut best = plain()?;
    best.resume(folder.path().join("best"))?;
    assert_ne!(weights(&first)?, weights(&best)?);

    // What cannot be read changes nothing.
    let damaged = folder.path().join("best/model.safetensors");
    std::fs::write(&damaged, b"{").expect("written");
    let mut untouched = plain()?;
    let before = weights(&untouched)?;
    let error = untouched.resume(folder.path().join("last")).expect_err("the best is damaged");
    assert!(error.to_string().contains("model.safetensors"), "{error}");
    assert_eq!(weights(&untouched)?, before);
    Ok(())
}
