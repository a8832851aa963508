//! What a run found.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Kinds of answers that are told: where answers repeat what was sent there are millions.
const TOLD: usize = 100;

/// What a run found; its text is a line of sums, and one for each of the most frequent kinds of answers.
#[derive(Debug)]
pub struct Report {
    pub(crate) name: String,
    pub(crate) inputs: u64,
    pub(crate) time: Duration,
    pub(crate) slowest: Duration,
    pub(crate) kinds: BTreeMap<String, u64>,
    pub(crate) bad: usize,
    pub(crate) crashes: PathBuf,
}

impl Report {
    /// Whether nothing bad was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.bad == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, inputs, time, slowest, kinds, bad, crashes } = self;
        let mut frequent: Vec<(&String, &u64)> = kinds.iter().collect();
        frequent.sort_by_key(|(_, count)| Reverse(*count));
        for (kind, count) in frequent.into_iter().take(TOLD) {
            writeln!(f, "{count:>12} {kind}")?;
        }
        write!(
            f,
            "{name}: {inputs} inputs in {} s of processor, slowest {slowest:?}, {} kinds of answers, {bad} bad",
            time.as_secs(),
            kinds.len(),
        )?;
        if self.is_clean() { Ok(()) } else { write!(f, ", in {}", crashes.display()) }
    }
}
