//! The runner, which starts while the sockets already answer.

use std::sync::Arc;

use tokio::sync::watch;

use crate::server::handler::{CellError, CellRunner};

/// A runner, or why there is none.
pub type Started = Result<Arc<dyn CellRunner>, CellError>;

/// The place of a runner that is being started.
#[derive(Clone)]
pub(crate) struct RunnerSlot {
    started: watch::Receiver<Option<Started>>,
}

impl RunnerSlot {
    /// Calls `start` on a thread that may block; its result appears in the slot.
    pub(crate) fn start(start: impl FnOnce() -> Started + Send + 'static) -> Self {
        let (started_tx, started) = watch::channel(None);
        tokio::task::spawn_blocking(move || {
            let started = start();
            if let Err(error) = &started {
                tracing::error!(ename = error.ename, evalue = error.evalue, "could not start");
            }
            // Nobody looks if this fails.
            let _ = started_tx.send(Some(started));
        });
        Self { started }
    }

    /// The runner, when it has started.
    pub(crate) async fn get(&self) -> Started {
        let mut started = self.started.clone();
        let failed = || CellError {
            ename: "StartError".to_owned(),
            evalue: "the kernel's engine failed while it started; run `oxilab doctor`".to_owned(),
            ..CellError::default()
        };
        let found = match started.wait_for(Option::is_some).await {
            Ok(found) => found.clone(),
            Err(_) => None,
        };
        found.unwrap_or_else(|| Err(failed()))
    }

    /// The runner, if it has started.
    pub(crate) fn ready(&self) -> Option<Arc<dyn CellRunner>> {
        self.started.borrow().as_ref().and_then(|started| started.as_ref().ok()).cloned()
    }
}
