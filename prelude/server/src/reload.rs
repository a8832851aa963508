//! Where a model comes from, and taking new versions from there while requests run: [`Source`], [`follow`].

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use oxilab_serve::{Located, ModelStatus, locate, reference_path};

use crate::app::App;
use crate::last;
use crate::locks::locked;
use crate::monitoring::metrics::{Metrics, Samples};

/// Time of change and size.
type Stamp = Option<(SystemTime, u64)>;

/// What tells one version of a model from the next: where it is, and how its files look.
#[derive(Clone, Debug, PartialEq)]
struct Mark {
    place: Located,
    model: Stamp,
    reference: Stamp,
}

impl Mark {
    /// How a place looks now.
    fn of(place: Located) -> Self {
        let (model, reference) = (stamp(&place.path), stamp(&reference_path(&place.path)));
        Self { place, model, reference }
    }

    fn is_there(&self) -> bool {
        self.model.is_some()
    }
}

/// Of a folder the latest change of its files and their sizes together: a language model may be one.
fn stamp(path: &Path) -> Stamp {
    let data = std::fs::metadata(path).ok()?;
    let mut stamp = (data.modified().ok()?, data.len());
    if data.is_dir() {
        for entry in std::fs::read_dir(path).ok()?.flatten() {
            // Files of a cache are links.
            let Ok(data) = std::fs::metadata(entry.path()) else { continue };
            stamp.0 = stamp.0.max(data.modified().ok()?);
            stamp.1 += data.len();
        }
    }
    Some(stamp)
}

/// Why the version that answers may not be the one that the address means; for status pages, so without
/// a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// The process was started again with the version of the one before.
    Restored,
    Unresolved,
    Gone,
    Broken,
    Unread,
}

impl Behind {
    fn text(self) -> &'static str {
        match self {
            Self::Restored => {
                "restarted with the version from before; its address is looked at next"
            }
            Self::Unresolved => "its address cannot be resolved; the last version answers",
            Self::Gone => "its address means a file that is not there; the last version answers",
            Self::Broken => {
                "the version that its address means cannot be loaded; the last one answers"
            }
            Self::Unread => {
                "the version that its address means cannot be loaded just now and is tried again; the \
                 last one answers"
            }
        }
    }
}

/// A model's address, and what of it was seen.
pub(crate) struct Source {
    name: String,
    label: String,
    uri: String,
    seen: Mutex<Seen>,
    behind: Mutex<Option<Behind>>,
    swaps: AtomicU64,
    failures: AtomicU64,
}

struct Seen {
    /// What answers.
    loaded: Mark,
    /// What was last tried; something else where that could not be loaded.
    tried: Mark,
    /// What was found by the last look.
    found: Mark,
    /// What could not be read when it was last tried; it is tried again by every look.
    unread: Option<Mark>,
}

/// When a new version is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    AtOnce,
    /// When two looks find the same: it may be gigabytes that are being copied into place.
    Settled,
}

impl Source {
    /// Loads the version that was loaded `last` where there is one, else what the address means: a process
    /// that is started again needs no registry.
    pub(crate) fn open<T>(
        name: &str,
        label: &str,
        uri: &str,
        last: Option<Located>,
        load: impl Fn(&Located) -> Result<T>,
    ) -> Result<(Self, T)> {
        let doing = || format!("cannot load model {name}");
        let restored = last.and_then(|place| {
            let mark = Mark::of(place);
            match load(&mark.place) {
                Ok(model) => {
                    let version = mark.place.version.as_deref();
                    tracing::warn!(model = %name, version, "goes on with the version from before");
                    Some((mark, model))
                }
                Err(error) => {
                    tracing::error!(model = %name, "the version from before is lost: {error:#}");
                    None
                }
            }
        });
        let behind = restored.as_ref().map(|_| Behind::Restored);
        let (loaded, model) = if let Some(restored) = restored {
            restored
        } else {
            let mark = Mark::of(locate(uri).with_context(doing)?);
            let model = load(&mark.place).with_context(doing)?;
            (mark, model)
        };
        let source = Self {
            name: name.to_owned(),
            label: label.to_owned(),
            uri: uri.to_owned(),
            seen: Mutex::new(Seen {
                tried: loaded.clone(),
                found: loaded.clone(),
                unread: None,
                loaded,
            }),
            behind: Mutex::new(behind),
            swaps: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        };
        Ok((source, model))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Tells the model from others of its name in metrics.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// What answers.
    pub(crate) fn loaded(&self) -> Located {
        locked(&self.seen).loaded.place.clone()
    }

    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// Has what the address means taken, if that is new. Who calls at the same time waits, and finds it
    /// taken.
    pub(crate) fn look(&self, when: When, take: impl FnOnce(&Located) -> Result<()>) {
        let now = match locate(&self.uri).map(Mark::of) {
            Ok(now) if now.is_there() => now,
            // Nothing to be found, for a moment or for good: what is loaded stays.
            Ok(_) => return self.fall_behind(Behind::Gone, None),
            Err(error) => return self.fall_behind(Behind::Unresolved, Some(&error)),
        };
        let mut seen = locked(&self.seen);
        if now == seen.loaded {
            seen.tried = now;
            return self.catch_up();
        }
        if now == seen.tried {
            // It is tried again when it changes once more.
            *locked(&self.behind) = Some(Behind::Broken);
            return;
        }
        let found = std::mem::replace(&mut seen.found, now.clone());
        if when == When::Settled && found != now {
            return;
        }
        match take(&now.place) {
            Ok(()) => {
                self.swaps.fetch_add(1, Ordering::Relaxed);
                last::tell(&self.label, &self.uri, &now.place);
                seen.loaded = now.clone();
                self.catch_up();
            }
            Err(error) if is_passing(&error) => {
                *locked(&self.behind) = Some(Behind::Unread);
                if seen.unread.as_ref() != Some(&now) {
                    self.fail(&error, "cannot load the new version just now; the old one answers");
                    seen.unread = Some(now);
                }
                return;
            }
            Err(error) => {
                *locked(&self.behind) = Some(Behind::Broken);
                self.fail(&error, "cannot load the new version; the old one answers");
            }
        }
        seen.unread = None;
        seen.tried = now;
    }

    /// Counts a version that was not loaded.
    fn fail(&self, error: &anyhow::Error, what: &str) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        tracing::error!(model = %self.name, error = format!("{error:#}"), "{what}");
    }

    fn fall_behind(&self, why: Behind, error: Option<&oxilab_serve::ServeError>) {
        let before = locked(&self.behind).replace(why);
        if before != Some(why) {
            let error = error.map(ToString::to_string);
            tracing::warn!(model = %self.name, error, "{}", why.text());
        }
    }

    fn catch_up(&self) {
        if locked(&self.behind).take().is_some() {
            tracing::info!(model = %self.name, "the version that its address means answers");
        }
    }

    /// Tells the front what is loaded.
    fn tell(&self) {
        last::tell(&self.label, &self.uri, &self.loaded());
    }

    /// Why the version that answers may not be the one that the address means.
    pub(crate) fn behind(&self) -> Option<&'static str> {
        locked(&self.behind).map(Behind::text)
    }

    pub(crate) fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::Relaxed)
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// What is said of a model of either kind, under the name that it is known by.
    pub(crate) fn status(&self, model: &str, version: &str, metrics: &Metrics) -> ModelStatus {
        ModelStatus {
            model: model.to_owned(),
            version: version.to_owned(),
            requests: metrics.requests(),
            errors: metrics.errors(),
            rows: metrics.rows(),
            swaps: self.swaps(),
            reload_failures: self.failures(),
            behind: self.behind().map(str::to_owned),
            p50_ms: metrics.quantile_ms(50),
            p99_ms: metrics.quantile_ms(99),
            history: metrics.history(),
            drift: None,
            performance: None,
            labels: 0,
            usual: None,
            language: None,
        }
    }

    pub(crate) fn write_metrics(&self, out: &mut Samples) {
        let model = format!("model=\"{}\"", self.label);
        out.add("oxilab_model_swaps_total", &model, self.swaps());
        out.add("oxilab_model_reload_failures_total", &model, self.failures());
        out.add("oxilab_model_behind", &model, u8::from(self.behind().is_some()));
    }
}

/// Whether the system did not give a file, which says nothing of what is in it: memory, open files or a disk
/// may be back in a moment.
fn is_passing(error: &anyhow::Error) -> bool {
    let of_content = |error: &io::Error| {
        matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
    };
    let mut systems = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    systems.next().is_some_and(|error| !of_content(error))
}

/// A model that takes new versions.
pub(crate) trait Follow: Send + Sync + 'static {
    fn source(&self) -> &Source;

    /// Takes what the address means now, if that is new.
    fn look(&self);
}

/// Tells the front what is loaded, and looks at where the model comes from from now on.
pub(crate) fn follow(slot: &Arc<impl Follow>, app: &App) {
    slot.source().tell();
    let every = Duration::from_millis(app.args.watch.max(10));
    tokio::spawn(watch(Arc::clone(slot), every));
}

/// Looks at where a model comes from, again and again; loads what changed, and swaps it in when it is
/// whole. What cannot be loaded is tried again when it changes once more, what cannot be read at the next look.
async fn watch(slot: Arc<impl Follow>, every: Duration) {
    // Of a process that was started again nobody knows what the address means by now.
    let mut pause = if slot.source().behind().is_some() { Duration::ZERO } else { every };
    loop {
        tokio::time::sleep(pause).await;
        pause = every;
        let worker = Arc::clone(&slot);
        if let Err(error) = tokio::task::spawn_blocking(move || worker.look()).await {
            tracing::error!(%error, "cannot look for a new version");
        }
    }
}

/// Work on a thread of its own: what a thread has allocated goes back to the system when it is freed after
/// the thread's end, and stays with a thread that goes on. Threads that wait for work would each keep the
/// most that some work once needed.
pub(crate) fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use anyhow::bail;

    use super::*;

    #[test]
    fn what_is_being_written_is_taken_when_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model");
        fs::create_dir(&path).expect("a folder");
        let grow = |bytes: usize| fs::write(path.join("weights"), vec![0; bytes]).expect("written");
        grow(1);
        let uri = path.to_str().expect("text");
        let (source, ()) = Source::open("m", "m", uri, None, |_| Ok(())).expect("loaded");
        let taken = Cell::new(0);
        let look = |when| source.look(when, |_| Ok(taken.set(taken.get() + 1)));
        look(When::Settled);
        assert_eq!(taken.get(), 0, "it is what is loaded");
        // Each look finds more of it.
        for bytes in 2..5 {
            grow(bytes);
            look(When::Settled);
        }
        assert_eq!(taken.get(), 0);
        look(When::Settled);
        look(When::Settled);
        assert_eq!((taken.get(), source.swaps()), (1, 1));
        grow(9);
        look(When::AtOnce);
        assert_eq!((taken.get(), source.behind()), (2, None));

        grow(10);
        let fail = || source.look(When::AtOnce, |_| bail!("it is broken"));
        fail();
        fail();
        assert_eq!(source.failures(), 1, "it is tried once");
        assert!(source.behind().is_some_and(|why| why.contains("cannot be loaded")));
        fs::remove_dir_all(&path).expect("removed");
        fail();
        assert!(source.behind().is_some_and(|why| why.contains("is not there")));
        assert_eq!((source.failures(), source.swaps()), (1, 2));
    }

    #[test]
    fn what_the_system_did_not_give_is_tried_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model");
        let uri = path.to_str().expect("text");
        fs::write(&path, "1").expect("written");
        let (source, ()) = Source::open("m", "m", uri, None, |_| Ok(())).expect("loaded");
        fs::write(&path, "22").expect("written");
        let tried = Cell::new(0);
        let fail = |kind: ErrorKind| {
            source.look(When::AtOnce, |_| {
                tried.set(tried.get() + 1);
                Err(anyhow::Error::new(io::Error::from(kind)).context("loading"))
            });
        };
        (0..3).for_each(|_| fail(ErrorKind::OutOfMemory));
        assert_eq!((tried.get(), source.failures()), (3, 1), "it is told of once");
        assert!(source.behind().is_some_and(|why| why.contains("tried again")));
        source.look(When::AtOnce, |_| Ok(()));
        assert_eq!((source.swaps(), source.behind()), (1, None));

        fs::write(&path, "333").expect("written");
        (0..3).for_each(|_| fail(ErrorKind::UnexpectedEof));
        assert_eq!((tried.get(), source.failures()), (4, 2), "its content is at fault");
    }

    #[test]
    fn what_was_loaded_last_comes_before_the_address() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| folder.path().join(name);
        fs::write(file("one"), "1").expect("written");
        let last = |name: &str| Some(Located { path: file(name), version: Some("1".to_owned()) });
        let nowhere = file("missing.alias").display().to_string();
        let open = |last| {
            Source::open("m", "m", &nowhere, last, |place| Ok(fs::read_to_string(&place.path)?))
        };
        let (source, text) = open(last("one")).expect("the registry is not needed");
        assert_eq!(text, "1");
        assert!(source.behind().is_some());
        // Where that is lost as well, the address is to blame.
        for last in [last("gone"), None] {
            let error = format!("{:#}", open(last).err().expect("nothing to load"));
            assert!(error.starts_with("cannot load model m: reading the alias"), "{error}");
        }
    }
}
