//! Threads with connections of their own: [`Lanes`].
//!
//! A runtime of several threads hands tasks from one to another and wakes a thread for each: a lone request
//! then changes threads, which takes longer than its answer. A connection stays in its lane.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::memory;

/// What a lane's own computations have to end when it does.
const PATIENCE: Duration = Duration::from_secs(1);

/// The lanes end when this is dropped, and with them the connections that are left.
pub(crate) struct Lanes(Vec<Lane>);

struct Lane {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    /// Ends the lane when dropped.
    _end: oneshot::Sender<()>,
}

impl Lanes {
    /// A lane for every core.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start() -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (0..cores).map(Lane::start).collect::<Result<_>>().map(Self)
    }

    /// Holds a connection in the lane that has the fewest.
    pub(crate) fn hold(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let fewest = self.0.iter().min_by_key(|lane| lane.connections.load(Ordering::Relaxed));
        let Some(lane) = fewest else { return };
        let counted = Counted::new(&lane.connections);
        lane.runtime.spawn(async move {
            let _counted = counted;
            connection.await;
        });
    }
}

impl Lane {
    fn start(number: usize) -> Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_all().build().context("cannot start a thread")?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        let work = move || {
            runtime.spawn(keep_little());
            // An error says that the sender is gone, which ends the lane.
            let _ = runtime.block_on(ended);
            runtime.shutdown_timeout(PATIENCE);
        };
        std::thread::Builder::new()
            .name(format!("lane-{number}"))
            .spawn(work)
            .context("cannot start a thread")?;
        Ok(Self { runtime: handle, connections: Arc::default(), _end: end })
    }
}

async fn keep_little() {
    loop {
        tokio::time::sleep(memory::EVERY).await;
        memory::give_back();
    }
}

/// A connection among those of a lane.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
