//! What a run says, in its order.

use std::sync::{Arc, Mutex};

use oxilab_nn::error::Result;
use oxilab_nn::{Consumer, Event, Flow, History, Loss, Mlp, Optimizer, Trainer};

use super::loader;

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
