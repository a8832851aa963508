//! Gates of promotion: [`check`], and what refuses a version.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::goal::{self, GATE, Goal};
use crate::record::{ModelVersion, RunRecord, check_key, check_name};
use crate::session::{Session, session};
use crate::{Result, registry};

/// The tag of a registered model that declares a check.
const CHECK: &str = "oxilab.check.";

/// A version that is to be promoted.
#[derive(Clone, Debug)]
pub struct Candidate {
    version: ModelVersion,
    run: Option<RunRecord>,
    path: std::path::PathBuf,
}

impl Candidate {
    /// Its version.
    #[must_use]
    pub fn version(&self) -> &ModelVersion {
        &self.version
    }

    /// The run that it came from; `None` when that is gone.
    #[must_use]
    pub fn run(&self) -> Option<&RunRecord> {
        self.run.as_ref()
    }

    /// Its file or folder on this machine: `model::load(candidate.path())`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

type Check = Arc<dyn Fn(&Candidate) -> std::result::Result<(), String> + Send + Sync>;
type Checks = HashMap<(String, String), Check>;

static CHECKS: Mutex<Option<Checks>> = Mutex::new(None);

fn checks() -> MutexGuard<'static, Option<Checks>> {
    CHECKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Declares a check that a version of a model has to pass before [`promote`](crate::promote) points an
/// alias at it; an error is the reason why it does not. The declaration is kept with the model: a session
/// that does not define the check does not promote.
///
/// ```
/// use oxilab_track as track;
/// track::set_uri("memory:")?;
/// let folder = tempfile::tempdir().expect("folder");
/// std::fs::write(folder.path().join("weights.bin"), b"1234").expect("written");
/// track::register(folder.path().join("weights.bin"), "demo")?;
/// track::check("demo", "size", |candidate| {
///     let size = std::fs::metadata(candidate.path()).map_err(|error| error.to_string())?.len();
///     if size <= 3 { Ok(()) } else { Err(format!("it has {size} bytes, 3 are allowed")) }
/// })?;
/// let error = track::promote("demo", 1, "champion").unwrap_err().to_string();
/// assert!(error.contains("size: it has 4 bytes"));
/// # Ok::<(), track::TrackError>(())
/// ```
///
/// # Errors
/// If a name cannot be used, or the backend fails.
pub fn check<E: Display>(
    model: &str,
    name: &str,
    check: impl Fn(&Candidate) -> std::result::Result<(), E> + Send + Sync + 'static,
) -> Result<()> {
    check_name("model", model)?;
    check_key("check", name)?;
    let check: Check = Arc::new(move |candidate| check(candidate).map_err(|e| e.to_string()));
    let key = (model.to_owned(), name.to_owned());
    checks().get_or_insert_default().insert(key, check);
    session()?.tracker().set_model_tag(model, &format!("{CHECK}{name}"), "declared")
}

/// Why a version may not be promoted; empty when it may.
pub(crate) fn refusals(session: &Session, version: &ModelVersion) -> Result<Vec<String>> {
    let tracker = session.tracker();
    let tags = tracker.model_tags(&version.name)?;
    let run = match version.run_id.as_str() {
        "" => None,
        id => match tracker.run(id) {
            Err(error) if error.is_transient() => return Err(error),
            run => run.ok(),
        },
    };
    let mut goals: Vec<Goal> =
        tags.iter().filter_map(|(key, rule)| Goal::parse(key.strip_prefix(GATE)?, rule)).collect();
    goals.extend(run.iter().flat_map(|run| goal::of_run(&run.tags)));
    let value = |metric: &str| run.as_ref().and_then(|run| run.metrics.get(metric).copied());
    let mut reasons: Vec<String> =
        goals.iter().filter_map(|goal| goal.refusal(value(&goal.metric))).collect();
    let declared: Vec<&str> = tags.iter().filter_map(|(key, _)| key.strip_prefix(CHECK)).collect();
    if !declared.is_empty() {
        let path = registry::files_of(session, version)?;
        let candidate = Candidate { version: version.clone(), run, path };
        for name in declared {
            let key = (version.name.clone(), name.to_owned());
            let check = checks().as_ref().and_then(|checks| checks.get(&key).cloned());
            let verdict = match check {
                Some(check) => check(&candidate),
                None => Err("it is declared for this model but not defined in this session; \
                             define it with `track::check`"
                    .to_owned()),
            };
            reasons.extend(verdict.err().map(|reason| format!("{name}: {reason}")));
        }
    }
    reasons.dedup();
    Ok(reasons)
}
