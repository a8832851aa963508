//! The versions that were loaded last: a model process tells the front, which tells the next one: [`Last`].
//!
//! So a process that is started after a crash has what the one before it had, also while the registry is
//! out or its alias means what is no model.

use std::collections::BTreeMap;
use std::io::Write as _;

use oxilab_serve::Located;
use serde::{Deserialize, Serialize};

use crate::front::FRONT;

/// The word on the control socket before a version.
const LOADED: &str = "loaded: ";

/// The environment variable that holds the versions.
pub(crate) const LAST: &str = "OXILAB_SERVE_LAST";

/// No process starts with a variable that is much longer.
const LONGEST: usize = 100_000;

/// By the label of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Last(BTreeMap<String, Loaded>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Loaded {
    uri: String,
    #[serde(flatten)]
    place: Located,
}

impl Last {
    /// Takes note of a word of the model process; whether it was one of these.
    pub(crate) fn hear(&mut self, word: &str) -> bool {
        let Some(text) = word.strip_prefix(LOADED) else { return false };
        match serde_json::from_str(text) {
            Ok((label, version)) => {
                self.0.insert(label, version);
            }
            Err(error) => tracing::warn!(%error, "cannot read what the model process has loaded"),
        }
        true
    }

    /// For the environment of the next process.
    pub(crate) fn to_text(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        if text.len() <= LONGEST { text } else { String::new() }
    }

    /// As the front wrote it; nothing where there is none.
    pub(crate) fn of_environment() -> Self {
        let text = std::env::var(LAST).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// What a model's address meant when its last version was loaded.
    pub(crate) fn of(&self, label: &str, uri: &str) -> Option<Located> {
        let known = self.0.get(label).filter(|known| known.uri == uri)?;
        Some(known.place.clone())
    }
}

/// Tells the front that a version is loaded.
pub(crate) fn tell(label: &str, uri: &str, place: &Located) {
    if std::env::var_os(FRONT).is_none() {
        return;
    }
    let loaded = Loaded { uri: uri.to_owned(), place: place.clone() };
    let Ok(text) = serde_json::to_string(&(label, loaded)) else { return };
    // At once, so that no other word comes between. Where the front is gone this process ends as well.
    let _ = std::io::stdout().lock().write_all(format!("{LOADED}{text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_loaded_is_known_to_the_next_process() {
        let mut last = Last::default();
        let word = |path: &str| {
            format!("{LOADED}[\"m\",{{\"uri\":\"u\",\"path\":\"{path}\",\"version\":\"3\"}}]")
        };
        assert!(last.hear(&word("/one")) && last.hear(&word("/two")));
        assert!(!last.hear("ready") && last.hear("loaded: {}"), "what is broken is passed over");
        let next: Last = serde_json::from_str(&last.to_text()).expect("read");
        assert_eq!(next, last);
        let place = next.of("m", "u").expect("known");
        assert_eq!((place.path, place.version.as_deref()), ("/two".into(), Some("3")));
        assert_eq!(next.of("m", "another address"), None);
        assert_eq!(next.of("n", "u"), None);
    }
}
