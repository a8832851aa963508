//! Writes captured rows on a thread of its own, so that no prediction waits for a disk: [`Writer`].

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use oxilab_serve::{Result, write_parquet};
use polars::prelude::DataFrame;

use super::metrics::Metrics;
use super::watch::Captured;
use super::window::joined;
use crate::locks::locked;
use crate::memory;

/// Files that may wait for a slow disk. What comes beyond is lost, and counted: memory has an end.
const WAITING: usize = 8;

/// A queue of files and the thread that writes them.
#[derive(Debug)]
pub(crate) struct Writer {
    files: SyncSender<Captured>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts the thread. What cannot be written is counted in `metrics`.
    pub(crate) fn start(model: &str, metrics: Arc<Mutex<Metrics>>) -> std::io::Result<Self> {
        let (files, waiting) = sync_channel::<Captured>(WAITING);
        let model = model.to_owned();
        let work = move || {
            for (path, frames) in waiting {
                if let Err(error) = write(&path, frames) {
                    locked(&metrics).capture_failed();
                    let path = path.display();
                    tracing::error!(%model, %path, %error, "cannot write captured requests");
                }
                memory::give_back();
            }
        };
        let thread = Builder::new().name("capture".to_owned()).spawn(work)?;
        Ok(Self { files, thread })
    }

    /// Has rows written, soon; `false` if too many wait already.
    pub(crate) fn write(&self, rows: Captured) -> bool {
        self.files.try_send(rows).is_ok()
    }

    /// Waits until the `rest` and what came before it is written.
    pub(crate) fn finish(self, rest: Option<Captured>) {
        if let Some(rest) = rest {
            // The thread ends only with the sender.
            let _ = self.files.send(rest);
        }
        drop(self.files);
        let _ = self.thread.join();
    }
}

fn write(path: &Path, frames: Vec<Arc<DataFrame>>) -> Result<()> {
    match joined(frames) {
        Some(frame) => write_parquet(path, &frame),
        None => Ok(()),
    }
}
