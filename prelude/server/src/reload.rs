//! Takes new versions of models while requests run: [`watch`], [`Mark`].

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use oxilab_serve::{Located, locate, reference_path};

use crate::slot::Slot;

/// Time of change and size.
type Stamp = Option<(SystemTime, u64)>;

/// What tells one version of a model from the next: where it is, and how its files look.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    place: Located,
    model: Stamp,
    reference: Stamp,
}

impl Mark {
    pub(crate) fn place(&self) -> &Located {
        &self.place
    }

    pub(crate) fn is_there(&self) -> bool {
        self.model.is_some()
    }
}

/// How what an address means looks now; `None` if nothing can be found.
pub(crate) fn mark(uri: &str) -> Option<Mark> {
    let place = locate(uri).ok()?;
    let of = |path: &Path| {
        let data = std::fs::metadata(path).ok()?;
        Some((data.modified().ok()?, data.len()))
    };
    let (model, reference) = (of(&place.path), of(&reference_path(&place.path)));
    Some(Mark { place, model, reference })
}

/// Looks at where a model comes from, again and again; loads what changed, and swaps it in when it is
/// whole. What cannot be loaded is tried again when it changes once more.
pub(crate) async fn watch(slot: Arc<Slot>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let worker = Arc::clone(&slot);
        if let Err(error) = tokio::task::spawn_blocking(move || worker.look()).await {
            tracing::error!(%error, "cannot look for a new version");
        }
    }
}
