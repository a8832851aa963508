//! Takes new versions of models while requests run: [`watch`].

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use oxilab_serve::{Predictor, reference_path, resolve};

use crate::app::Slot;

/// What tells one version of a file from the next.
type Mark = (PathBuf, Option<(SystemTime, u64)>, Option<(SystemTime, u64)>);

/// Looks at where a model comes from, again and again; loads what changed, and swaps it in when it is
/// whole. What cannot be loaded is tried again when it changes once more.
pub(crate) async fn watch(slot: Arc<Slot>, every: Duration, mut seen: Option<Mark>) {
    loop {
        tokio::time::sleep(every).await;
        let (worker, before) = (Arc::clone(&slot), seen.clone());
        let look = tokio::task::spawn_blocking(move || look(&worker, before)).await;
        if let Ok(mark) = look {
            seen = mark;
        }
    }
}

/// How the model's files look now.
pub(crate) fn mark(slot: &Slot) -> Option<Mark> {
    let path = resolve(&slot.uri).ok()?;
    let of = |path: &std::path::Path| {
        let data = std::fs::metadata(path).ok()?;
        Some((data.modified().ok()?, data.len()))
    };
    Some((path.clone(), of(&path), of(&reference_path(&path))))
}

fn look(slot: &Slot, before: Option<Mark>) -> Option<Mark> {
    // Nothing to be found, for a moment or for good: what is loaded stays.
    let Some(now) = mark(slot) else { return before };
    if Some(&now) == before.as_ref() || now.1.is_none() {
        return before;
    }
    match Predictor::open(&now.0) {
        Ok(predictor) => slot.swap(predictor),
        Err(error) => slot.reload_failed(&error),
    }
    Some(now)
}
