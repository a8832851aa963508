//! Aliases on their way from version to version: [`promote`], [`demote`], [`rollback`].
//!
//! A registered model remembers each alias's last move as a tag, `oxilab.promoted.ALIAS` = `2 after 1`,
//! so that [`rollback`] knows what a promotion replaced, whoever asks and from where.

use std::collections::HashMap;

use crate::record::ModelVersion;
use crate::registry::{no_version, resolve};
use crate::session::session;
use crate::tracker::Tracker;
use crate::{Result, TrackError, gates};

/// The tag of a registered model that holds the last move of an alias.
pub(crate) const MOVED: &str = "oxilab.promoted.";

/// The last move of an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Move {
    from: u32,
    to: u32,
}

impl Move {
    fn parse(text: &str) -> Option<Self> {
        let (to, from) = text.split_once(" after ")?;
        Some(Self { from: from.parse().ok()?, to: to.parse().ok()? })
    }

    fn text(self) -> String {
        format!("{} after {}", self.to, self.from)
    }

    /// What to go back to from `now`. An alias that others have moved since goes back to where the last
    /// known move had put it.
    fn before(self, now: u32) -> u32 {
        if self.to == now { self.from } else { self.to }
    }
}

/// The same move where versions have the numbers of `known`; `None` if a number is not among them.
pub(crate) fn renumbered(text: &str, known: &HashMap<u32, u32>) -> Option<String> {
    let moved = Move::parse(text)?;
    let there = Move { from: *known.get(&moved.from)?, to: *known.get(&moved.to)? };
    Some(there.text())
}

/// Checks that an alias can be used, for whoever registers first and promotes then.
///
/// # Errors
/// If it cannot.
pub fn check_alias(alias: &str) -> Result<()> {
    let numbered = alias.strip_prefix('v').is_some_and(|rest| rest.parse::<u64>().is_ok());
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if alias.is_empty() || alias == "latest" || numbered || !alias.chars().all(plain) {
        return Err(TrackError::Name {
            what: "alias",
            name: alias.chars().take(60).collect(),
            reason: "use letters, digits, _ and -, and neither `latest` nor v1, v2, …".to_owned(),
        });
    }
    Ok(())
}

/// Points an alias at a version, after the version has passed the model's gates: its
/// [`goal`](fn@crate::goal)s, the goal that its run carries, and its [`check`](crate::check)s. The version
/// that it replaces is remembered for [`rollback`].
///
/// # Errors
/// If a gate refuses (all reasons are named), there is no such version, the alias cannot be used, or
/// the backend fails.
pub fn promote(name: &str, version: u32, alias: &str) -> Result<()> {
    check_alias(alias)?;
    let session = session()?;
    session.flush()?;
    let tracker = session.tracker();
    let known = tracker.versions(name).map_err(|error| error.needed("promoting a model"))?;
    let found = known.iter().find(|known| known.version == version);
    let found = found.ok_or_else(|| no_version(name, '/', &version.to_string(), &known))?;
    let reasons = gates::refusals(&session, found)?;
    if !reasons.is_empty() {
        return Err(TrackError::Gate { name: name.to_owned(), version, reasons });
    }
    let before = holder(&known, alias).map(|before| before.version);
    point(&*tracker, name, alias, before, version)
        .map_err(|error| error.needed("promoting a model"))
}

/// Takes an alias away from a model.
///
/// # Errors
/// If there is no such model, or the backend fails.
pub fn demote(name: &str, alias: &str) -> Result<()> {
    session()?.tracker().delete_alias(name, alias)
}

/// Points an alias back at the version that its last [`promote`] replaced. Rolling back twice is rolling
/// forward again. Gates are not asked again: the version had the alias before. Where no promotion is
/// remembered, the alias goes to the version below, which must pass them.
///
/// ```
/// use oxilab_track as track;
/// track::set_uri("memory:")?;
/// let folder = tempfile::tempdir().expect("folder");
/// std::fs::write(folder.path().join("weights.bin"), b"1234").expect("written");
/// for _ in 0..3 {
///     track::register(folder.path().join("weights.bin"), "demo")?;
/// }
/// track::promote("demo", 1, "champion")?;
/// track::promote("demo", 3, "champion")?;
/// assert_eq!(track::rollback("demo", "champion")?.version, 1);
/// assert_eq!(track::rollback("demo", "champion")?.version, 3);
/// # Ok::<(), track::TrackError>(())
/// ```
///
/// # Errors
/// If there is no such alias or no version to go back to, or the backend fails.
pub fn rollback(name: &str, alias: &str) -> Result<ModelVersion> {
    let uri = format!("models:/{name}@{alias}");
    let now = resolve(&uri)?.version;
    let tracker = session()?.tracker();
    let known = tracker.versions(name).map_err(|error| error.needed("rolling back a model"))?;
    let tag = format!("{MOVED}{alias}");
    let tags = tracker.model_tags(name).map_err(|error| error.needed("rolling back a model"))?;
    let moved = tags.iter().find(|(key, _)| *key == tag).and_then(|(_, text)| Move::parse(text));
    let back = moved.map(|moved| moved.before(now));
    // A version may have been deleted since.
    if let Some(back) = back.filter(|back| known.iter().any(|known| known.version == *back)) {
        point(&*tracker, name, alias, Some(now), back)
            .map_err(|error| error.needed("rolling back a model"))?;
        return resolve(&uri);
    }
    let below = known.iter().filter(|known| known.version < now).max_by_key(|v| v.version);
    let below = below.ok_or_else(|| TrackError::NotFound {
        what: "version before",
        name: format!("{name}@{alias}"),
        hint: format!(", which is version {now}: no promotion is remembered that replaced another"),
    })?;
    promote(name, below.version, alias)?;
    resolve(&uri)
}

fn holder<'a>(known: &'a [ModelVersion], alias: &str) -> Option<&'a ModelVersion> {
    known.iter().find(|known| known.aliases.iter().any(|own| own == alias))
}

/// Moves an alias and remembers from where. The alias goes first: a note that could not be written is
/// told, and one of a move that never was would mislead.
fn point(
    tracker: &dyn Tracker,
    name: &str,
    alias: &str,
    before: Option<u32>,
    version: u32,
) -> Result<()> {
    tracker.set_alias(name, alias, version)?;
    match before {
        Some(from) if from != version => {
            let moved = Move { from, to: version };
            tracker.set_model_tag(name, &format!("{MOVED}{alias}"), &moved.text())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_is_read_as_it_was_written_and_known_elsewhere_by_other_numbers() {
        let moved = Move { from: 1, to: 3 };
        assert_eq!(Move::parse(&moved.text()), Some(moved));
        assert_eq!((moved.before(3), moved.before(5)), (1, 3));
        for broken in ["", "3", "3 after", "x after 1", "3 after -1"] {
            assert_eq!(Move::parse(broken), None, "{broken}");
        }
        let known = HashMap::from([(1, 4), (3, 7)]);
        assert_eq!(renumbered("3 after 1", &known).as_deref(), Some("7 after 4"));
        assert_eq!(renumbered("3 after 2", &known), None);
    }
}
