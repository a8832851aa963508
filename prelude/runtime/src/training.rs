//! What learners and trainers tell about a fit, and who listens.
//!
//! The crates that fit models know no tracker. They call [`started`], tell the [`Fit`] they get about
//! data, metrics and files, and end it; a tracker listens once it is [registered](set_observer). Without
//! one, a fit costs one look at a lock.
//!
//! One fit is observed at a time: what is fitted inside it (the folds of a cross-validation, the trials
//! of a study) belongs to it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// What is known of a fit before it starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The learner or trainer, as in code: `LightGbm`, `Trainer`.
    pub learner: String,
    /// The crate that fits: `oxilab-model`.
    pub library: String,
    /// Parameters by name, the seed among them.
    pub params: Vec<(String, String)>,
}

/// A frame or a set of examples that a fit reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// What it is used for: `training`, `validation`.
    pub context: String,
    /// SHA-256 of its content in hexadecimal.
    pub digest: String,
    /// Its rows.
    pub rows: u64,
    /// Names and types of its columns.
    pub columns: Vec<(String, String)>,
}

/// What a fit leaves: a model that writes itself.
pub trait Fitted {
    /// Writes the model as one file or folder below `folder`; returns its name there.
    ///
    /// # Errors
    /// Why it could not be written.
    fn save(&self, folder: &Path) -> Result<String, String>;

    /// A few rows of its input as JSON: a list of objects, column by name.
    fn input_example(&self) -> Option<String> {
        None
    }

    /// What it says of itself, in Markdown.
    fn card(&self) -> Option<String> {
        None
    }
}

/// How a fit ended.
pub enum Outcome<'a> {
    /// With a model.
    Fitted(&'a dyn Fitted),
    /// Well, without a model to keep.
    Finished,
    /// With an error.
    Failed(String),
    /// By the user.
    Interrupted,
}

impl std::fmt::Debug for Outcome<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Fitted(_) => "Fitted",
            Self::Finished => "Finished",
            Self::Failed(_) => "Failed",
            Self::Interrupted => "Interrupted",
        })
    }
}

/// Listens to fits.
pub trait Observer: Send + Sync {
    /// A fit starts. `None` when it is of no interest.
    fn started(&self, about: &About) -> Option<Box<dyn Recorder>>;
}

/// Listens to one fit.
pub trait Recorder: Send {
    /// Data that the fit reads.
    fn data(&mut self, data: &Data);

    /// Metrics at a step, which counts from 1.
    fn metrics(&mut self, step: u64, metrics: &[(&str, f64)]);

    /// A file or folder that the fit has written, for example a checkpoint.
    fn file(&mut self, path: &Path);

    /// The fit is over.
    fn ended(self: Box<Self>, outcome: Outcome<'_>);
}

static OBSERVER: RwLock<Option<Arc<dyn Observer>>> = RwLock::new(None);
static BUSY: AtomicBool = AtomicBool::new(false);

/// Registers who listens; `None` is nobody. Fits that go on keep their listener.
pub fn set_observer(observer: Option<Arc<dyn Observer>>) {
    *OBSERVER.write().unwrap_or_else(PoisonError::into_inner) = observer;
}

/// Says that a fit starts. `about` is called only when somebody listens.
///
/// ```
/// use oxilab_runtime::training::{self, About, Outcome};
/// let mut fit = training::started(|| About { learner: "Mean".into(), ..About::default() });
/// fit.metrics(1, &[("loss", 0.5)]);
/// fit.ended(Outcome::Finished);
/// ```
#[must_use = "a fit that is dropped has failed"]
pub fn started(about: impl FnOnce() -> About) -> Fit {
    let observer = OBSERVER.read().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(observer) = observer else { return Fit::default() };
    if BUSY.swap(true, Ordering::SeqCst) {
        return Fit::default();
    }
    // Gives the turn back should `about` or the observer panic.
    let mut fit = Fit { recorder: None, holds: true };
    fit.recorder = observer.started(&about());
    fit
}

/// A fit that somebody may listen to.
#[derive(Default)]
pub struct Fit {
    recorder: Option<Box<dyn Recorder>>,
    /// Whether it is the one that is observed.
    holds: bool,
}

impl std::fmt::Debug for Fit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fit").field("observed", &self.is_observed()).finish()
    }
}

impl Fit {
    /// Whether somebody listens: where it does not, what is only told can be left uncomputed.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.recorder.is_some()
    }

    /// Tells of data; `data` is called only when somebody listens.
    pub fn data(&mut self, data: impl FnOnce() -> Data) {
        if let Some(recorder) = &mut self.recorder {
            recorder.data(&data());
        }
    }

    /// Tells metrics at a step, which counts from 1.
    pub fn metrics(&mut self, step: u64, metrics: &[(&str, f64)]) {
        if let Some(recorder) = &mut self.recorder {
            recorder.metrics(step, metrics);
        }
    }

    /// Tells of a file or folder that was written.
    pub fn file(&mut self, path: &Path) {
        if let Some(recorder) = &mut self.recorder {
            recorder.file(path);
        }
    }

    /// Ends the fit.
    pub fn ended(mut self, outcome: Outcome<'_>) {
        if let Some(recorder) = self.recorder.take() {
            recorder.ended(outcome);
        }
    }
}

impl Drop for Fit {
    fn drop(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            recorder.ended(Outcome::Failed("it ended early".to_owned()));
        }
        if self.holds {
            BUSY.store(false, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Log(Mutex<Vec<String>>);

    impl Observer for Arc<Log> {
        fn started(&self, about: &About) -> Option<Box<dyn Recorder>> {
            self.0.lock().expect("lock").push(about.learner.clone());
            Some(Box::new(Line(Arc::clone(self))))
        }
    }

    struct Line(Arc<Log>);

    impl Recorder for Line {
        fn data(&mut self, data: &Data) {
            self.0.0.lock().expect("lock").push(data.context.clone());
        }

        fn metrics(&mut self, step: u64, metrics: &[(&str, f64)]) {
            self.0.0.lock().expect("lock").push(format!("{step} {metrics:?}"));
        }

        fn file(&mut self, path: &Path) {
            self.0.0.lock().expect("lock").push(path.display().to_string());
        }

        fn ended(self: Box<Self>, outcome: Outcome<'_>) {
            self.0.0.lock().expect("lock").push(format!("{outcome:?}"));
        }
    }

    fn about(learner: &str) -> About {
        About { learner: learner.to_owned(), ..About::default() }
    }

    /// The observer is the process's, so this is one test.
    #[test]
    fn one_fit_is_observed_at_a_time_and_one_that_is_dropped_has_failed() {
        let mut fit = started(|| unreachable!("nobody listens"));
        assert!(!fit.is_observed());
        fit.data(|| unreachable!("nobody listens"));
        fit.ended(Outcome::Finished);

        let log = Arc::new(Log::default());
        set_observer(Some(Arc::new(Arc::clone(&log))));
        let mut outer = started(|| about("outer"));
        outer.data(|| Data { context: "training".to_owned(), ..Data::default() });
        let inner = started(|| unreachable!("it belongs to the outer one"));
        assert!(!inner.is_observed());
        drop(inner);
        outer.metrics(1, &[("loss", 0.5)]);
        outer.ended(Outcome::Finished);
        drop(started(|| about("second")));
        set_observer(None);
        drop(started(|| unreachable!("nobody listens any more")));
        let seen = log.0.lock().expect("lock").join("\n");
        assert_eq!(seen, "outer\ntraining\n1 [(\"loss\", 0.5)]\nFinished\nsecond\nFailed");
    }
}
