//! [`autolog`]: every fit of a learner or trainer becomes a run by itself.
//!
//! A fit goes to the active run, or to a run of its own; a second fit within one run becomes a child of
//! it. Logged are parameters with the seed, metrics per step, system metrics, digest and schema of the
//! data, plots, environment, the difference from the git commit, and the model with its card, signature
//! and input example.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oxilab_runtime::training::{self, About, Data, Observer, Outcome, Recorder};
use serde_json::json;

use crate::chart::{self, Series};
use crate::record::Input;
use crate::session::{Making, active_run, start};
use crate::system::Sampler;
use crate::{Result, Run, Status, TrackError, mlmodel};

/// Points of a metric that are kept for its plot; then every second one is.
const POINTS: usize = 4000;

/// Logs all fits from now on, or, with `false`, none.
///
/// ```
/// oxilab_track::autolog(true);
/// oxilab_track::autolog(false);
/// ```
pub fn autolog(on: bool) {
    set_autolog(on);
}

static ON: AtomicBool = AtomicBool::new(false);

/// As [`autolog`]. Returns whether that changed something.
pub(crate) fn set_autolog(on: bool) -> bool {
    let changed = ON.swap(on, Ordering::SeqCst) != on;
    if changed {
        training::set_observer(on.then(|| Arc::new(Auto) as Arc<dyn Observer>));
    }
    changed
}

struct Auto;

impl Observer for Auto {
    fn started(&self, about: &About) -> Option<Box<dyn Recorder>> {
        match Recording::start(about) {
            Ok(recording) => Some(Box::new(recording)),
            Err(error) => {
                // A fit does not fail because it cannot be logged.
                eprintln!("oxilab: this fit is not logged: {error}");
                None
            }
        }
    }
}

struct Recording {
    run: Run,
    /// Whether the run is the fit's own and ends with it.
    own: bool,
    sampler: Option<Sampler>,
    learner: String,
    lines: BTreeMap<String, Line>,
    files: BTreeMap<String, PathBuf>,
    /// The first problem; one is enough to say.
    problem: Option<TrackError>,
}

/// A metric's points, thinned where they are many.
#[derive(Default)]
struct Line {
    points: Vec<(f64, f64)>,
    every: usize,
    seen: usize,
}

impl Line {
    fn push(&mut self, step: u64, value: f64) {
        self.every = self.every.max(1);
        if self.seen.is_multiple_of(self.every) {
            #[expect(clippy::cast_precision_loss, reason = "a place on a plot")]
            self.points.push((step as f64, value));
        }
        self.seen += 1;
        if self.points.len() >= POINTS {
            let mut keep = false;
            self.points.retain(|_| {
                keep = !keep;
                keep
            });
            self.every *= 2;
        }
    }
}

impl Recording {
    fn start(about: &About) -> Result<Self> {
        let (run, own) = match active_run() {
            Some(run) if run.take_fit() => (run, false),
            Some(run) => (run.child_made(&about.learner, Making::Later)?, true),
            None => (start(&about.learner, Making::Later)?, true),
        };
        run.set_tag("oxilab.learner", &about.learner)?;
        run.set_tag("oxilab.library", &about.library)?;
        let mut problem = None;
        for (key, value) in &about.params {
            // One that cannot be kept does not keep the others away.
            if let Err(error) = run.log_param(key, value) {
                problem.get_or_insert(error);
            }
        }
        describe_surroundings(&run)?;
        let sampler = own.then(|| Sampler::start(&run));
        let (lines, files) = (BTreeMap::new(), BTreeMap::new());
        let learner = about.learner.clone();
        Ok(Self { run, own, sampler, learner, lines, files, problem })
    }

    fn try_to(&mut self, act: impl FnOnce(&Run) -> Result<()>) {
        if let Err(error) = act(&self.run) {
            self.problem.get_or_insert(error);
        }
    }

    fn plots(&mut self) {
        // What is measured together is drawn together: train_loss and valid_loss.
        let mut plots: BTreeMap<String, Vec<Series>> = BTreeMap::new();
        for (name, line) in std::mem::take(&mut self.lines) {
            if line.points.len() > 1 {
                let group = name.rsplit(['_', '/', ' ']).next().unwrap_or(&name).to_owned();
                plots.entry(group).or_default().push((name, line.points));
            }
        }
        for (group, series) in plots {
            let svg = chart::lines(&group, &series);
            let file: String = group.chars().filter(|c| c.is_alphanumeric()).collect();
            self.try_to(|run| run.log_text(&svg, &format!("plots/{file}.svg")));
        }
    }
}

/// What a run's surroundings are: environment, and what differs from the commit.
pub(crate) fn describe_surroundings(run: &Run) -> Result<()> {
    run.log_text(&crate::surroundings::environment(), "environment.json")?;
    for (name, version) in crate::surroundings::crates() {
        run.set_tag(&format!("oxilab.crate.{name}"), version)?;
    }
    run.log_diff();
    Ok(())
}

impl Recorder for Recording {
    fn data(&mut self, data: &Data) {
        let columns: Vec<_> = data
            .columns
            .iter()
            .map(|(name, dtype)| json!({ "name": name, "type": mlmodel::type_of(dtype, false) }))
            .collect();
        let input = Input {
            name: format!("{} data", data.context),
            digest: data.digest.clone(),
            context: data.context.clone(),
            source: String::new(),
            schema: serde_json::Value::from(columns).to_string(),
            rows: data.rows,
        };
        self.try_to(|run| {
            run.log_input(&input)?;
            run.set_tag(&format!("oxilab.data.{}.digest", input.context), &input.digest)?;
            run.set_tag(&format!("oxilab.data.{}.rows", input.context), input.rows)
        });
    }

    fn metrics(&mut self, step: u64, metrics: &[(&str, f64)]) {
        for (name, value) in metrics {
            if let Some(line) = self.lines.get_mut(*name) {
                line.push(step, *value);
            } else {
                self.lines.entry((*name).to_owned()).or_default().push(step, *value);
            }
            self.try_to(|run| run.log_metric(name, *value, step));
        }
    }

    fn file(&mut self, path: &Path) {
        if let Some(name) = path.file_name() {
            self.files.insert(name.to_string_lossy().into_owned(), path.to_owned());
        }
    }

    fn ended(mut self: Box<Self>, outcome: Outcome<'_>) {
        self.plots();
        for (_, path) in std::mem::take(&mut self.files) {
            self.try_to(|run| run.log_artifact_under(path, "checkpoints"));
        }
        let status = match outcome {
            Outcome::Fitted(model) => {
                self.try_to(|run| mlmodel::log(run, model, "model"));
                Status::Finished
            }
            Outcome::Finished => Status::Finished,
            Outcome::Failed(reason) => {
                self.try_to(|run| run.set_tag("oxilab.error", crate::redact::redact(&reason)));
                Status::Failed
            }
            Outcome::Interrupted => Status::Killed,
        };
        drop(self.sampler.take());
        if self.own {
            self.try_to(|run| run.end_soon(status));
        }
        if let Some(problem) = self.problem.take() {
            eprintln!("oxilab: not all of this fit of {} is logged: {problem}", self.learner);
        }
    }
}
