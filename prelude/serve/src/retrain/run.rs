//! One retraining: notebook, comparison, registration, promotion: [`Retrained`].

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use oxilab_display::Render;
use oxilab_display::table::{Heading, Table};
use oxilab_model::{Evaluation, FittedModel};
use oxilab_runtime::MimeBundle;
use oxilab_runtime::progress::Progress;
use oxilab_track::{Best, Status, TrackError};
use serde_json::{Value, json};

use super::Retrain;
use crate::error::{Result, ServeError};
use crate::locate::locate;
use crate::program::beside;
use crate::reference::{load_reference, reference_path, save_reference};
use crate::registry::promote;

/// Lines of the notebook's words that an error repeats.
const LINES: usize = 12;

/// What a retraining came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Retrained {
    /// The model.
    pub name: String,
    /// What set it off.
    pub reason: String,
    /// The candidate's version in the registry.
    pub version: u32,
    /// The champion's version before; `None` if there was none.
    pub champion: Option<String>,
    /// The metric that decided.
    pub metric: String,
    /// The candidate's value on the holdout rows.
    pub candidate_value: f64,
    /// The champion's value on the same rows.
    pub champion_value: Option<f64>,
    /// Whether the alias points at the candidate now.
    pub promoted: bool,
    /// Why, or why not.
    pub verdict: String,
    /// The run in the tracker.
    pub run: String,
}

impl Retrain {
    /// Runs the notebook, compares, registers and promotes; a run of the tracker holds it all. Only one
    /// retraining of a name runs at a time on this machine.
    ///
    /// # Errors
    /// If another one runs, the notebook fails or saves no model, the holdout rows cannot be read, or the
    /// registry fails. The champion serves on in every case.
    pub fn run(&self, reason: &str) -> Result<Retrained> {
        // Kept to the end.
        let _lock = self.lock()?;
        self.run_alone(reason)
    }

    /// Runs if a trigger holds; `None` if none does. Nobody else's run comes between the look and the run,
    /// so of several services that see one reason only the first runs for it.
    ///
    /// # Errors
    /// As [`Retrain::due`] and [`Retrain::run`].
    pub fn run_if_due(&self) -> Result<Option<Retrained>> {
        // Asking servers may take a while, in which others may run: only the look under the lock counts.
        if self.due()?.is_none() {
            return Ok(None);
        }
        let _lock = self.lock()?;
        let Some(reason) = self.due()? else { return Ok(None) };
        self.run_alone(&reason).map(Some)
    }

    /// What only one retraining of a name holds.
    fn lock(&self) -> Result<File> {
        let path = self.file("retraining")?;
        let lock = File::create(&path).map_err(ServeError::io("making the lock", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(_) => Err(self.failed("another one runs already; wait for its end")),
        }
    }

    fn run_alone(&self, reason: &str) -> Result<Retrained> {
        let memory = self.remember();
        let run = oxilab_track::start_run(&format!("retrain {}", self.name))?;
        let done = self.run_locked(reason, &run);
        // Also when it failed: what failed is not tried again until there is something new.
        let kept = self.keep(&memory);
        match done {
            Ok(done) => {
                run.end()?;
                kept?;
                Ok(done)
            }
            Err(error) => {
                // The error is what the user has to know.
                drop(run.set_tag("oxilab.retrain.error", &error));
                drop(run.end_as(Status::Failed));
                Err(error)
            }
        }
    }

    fn run_locked(&self, reason: &str, run: &oxilab_track::Run) -> Result<Retrained> {
        run.set_tag("oxilab.retrain", &self.name)?;
        run.log_param("reason", reason)?;
        run.log_param("notebook", self.notebook.display())?;
        let holdout = oxilab_data::read(&self.holdout)
            .map_err(|error| self.failed(format!("the holdout rows cannot be read: {error}")))?;
        let folder = tempfile::tempdir()
            .map_err(ServeError::io("making a folder in", std::env::temp_dir()))?;
        let candidate = folder.path().join("model").join("model.oxm");
        let made = folder.path().join("model");
        std::fs::create_dir(&made).map_err(ServeError::io("making", &made))?;
        let executed = folder.path().join("executed.ipynb");
        let finished = self.execute(&candidate, &executed, reason);
        if executed.is_file() {
            run.log_artifact(&executed)?;
        }
        finished?;
        if !candidate.is_file() {
            let hint =
                "the notebook ended well and saved no model; it must `model.save(&candidate)?`";
            return Err(self.failed(hint));
        }
        let model = FittedModel::load(&candidate)?;
        let evaluation = model.evaluate(&holdout)?;
        let metric = self.metric.clone().unwrap_or_else(|| evaluation.main.clone());
        let candidate_value = self.value(&evaluation, &metric)?;
        for (name, value) in &evaluation {
            if value.is_finite() {
                run.log_metric(&name, value, 0)?;
            }
        }
        let champion = self.champion()?;
        let champion_value = match &champion {
            None => None,
            Some((version, model)) => {
                run.log_param("champion", version)?;
                let value = self.value(&model.evaluate(&holdout)?, &metric)?;
                run.log_metric(&format!("champion_{metric}"), value, 0)?;
                Some(value)
            }
        };
        if load_reference(&candidate)?.is_none() {
            // Better drift against the holdout rows than none.
            save_reference(&candidate, &holdout)?;
        }
        debug_assert!(reference_path(&candidate).is_file());
        run.flush()?;
        let version = oxilab_track::register(&made, &self.name)?.version;
        let better = self.better(&metric, candidate_value, champion_value);
        let (promoted, verdict) = match better {
            Err(why) => (false, why),
            Ok(why) => match promote(&self.name, version, &self.alias) {
                Ok(()) => (true, why),
                Err(ServeError::Track(gate @ TrackError::Gate { .. })) => (false, gate.to_string()),
                Err(error) => return Err(error),
            },
        };
        run.log_param("version", version)?;
        run.set_tag("oxilab.retrain.promoted", promoted)?;
        run.set_tag("oxilab.retrain.verdict", &verdict)?;
        Ok(Retrained {
            name: self.name.clone(),
            reason: reason.to_owned(),
            version,
            champion: champion.map(|(version, _)| version),
            metric,
            candidate_value,
            champion_value,
            promoted,
            verdict,
            run: run.id().to_owned(),
        })
    }

    /// Runs the notebook with `oxilab run`.
    fn execute(&self, candidate: &Path, executed: &Path, reason: &str) -> Result<()> {
        let program = self.program.clone().or_else(find_oxilab).ok_or_else(|| {
            self.failed("the program `oxilab` is not found; `oxilab install` puts it into place, or set OXILAB to its path")
        })?;
        let mut command = Command::new(&program);
        command.arg("run").arg(&self.notebook).arg("--output").arg(executed);
        let text = |path: &Path| json!(path.display().to_string());
        let own = [("candidate", text(candidate)), ("reason", json!(reason))];
        let own = own.iter().map(|(name, value)| (*name, value));
        let given = self.parameters.iter().map(|(name, value)| (name.as_str(), value));
        for (name, value) in own.chain(given) {
            command.arg("--param").arg(format!("{name}={value}"));
        }
        let log = executed.with_extension("log");
        let output = File::create(&log).map_err(ServeError::io("writing", &log))?;
        let errors = output.try_clone().map_err(ServeError::io("writing", &log))?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let mut child = command.spawn().map_err(ServeError::io("starting", program.as_path()))?;
        let mut bar: Option<Progress> = None;
        let status = loop {
            if let Some((done, total)) = cells_run(&log) {
                let label = || Progress::new(format!("retraining {}", self.name), Some(total));
                bar.get_or_insert_with(label).tell(done, "cells of the notebook");
            }
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if oxilab_runtime::cancel::requested() => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(ServeError::Interrupted);
                }
                Ok(None) => std::thread::sleep(Duration::from_millis(50)),
                Err(error) => return Err(ServeError::io("waiting for", program)(error)),
            }
        };
        if status.success() {
            return Ok(());
        }
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
        Err(self.failed(format!("the notebook {} failed:\n{last}", self.notebook.display())))
    }

    /// The version that the alias points at, and its model; `None` only where the registry says that there
    /// is none.
    fn champion(&self) -> Result<Option<(String, FittedModel)>> {
        let uri = format!("models:/{}@{}", self.name, self.alias);
        match oxilab_track::resolve(&uri) {
            Ok(_) => {}
            Err(error) if is_absent(&error) => return Ok(None),
            // Whether there is a champion is not known, and nothing may take its place unmeasured.
            Err(error) => return Err(error.into()),
        }
        let place = locate(&uri)?;
        let model = FittedModel::load(&place.path)?;
        Ok(Some((place.version.unwrap_or_default(), model)))
    }

    fn value(&self, evaluation: &Evaluation, metric: &str) -> Result<f64> {
        evaluation.get(metric).filter(|value| value.is_finite()).ok_or_else(|| {
            let names: Vec<&str> =
                evaluation.metrics.iter().map(|(name, _)| name.as_str()).collect();
            self.failed(format!(
                "the holdout rows give no {metric}; there are {}",
                names.join(", ")
            ))
        })
    }

    fn better(
        &self,
        metric: &str,
        candidate: f64,
        champion: Option<f64>,
    ) -> std::result::Result<String, String> {
        let Some(champion) = champion else { return Ok("there was no champion".to_owned()) };
        let gain = match Best::of(metric) {
            Best::Lowest => champion - candidate,
            Best::Highest => candidate - champion,
        };
        let text = format!("{metric} {candidate:.4} against the champion's {champion:.4}");
        if gain >= self.margin {
            Ok(text)
        } else if self.margin > 0.0 {
            Err(format!("{text}: not better by {}", self.margin))
        } else {
            Err(format!("{text}: worse"))
        }
    }

    fn failed(&self, problem: impl Into<String>) -> ServeError {
        ServeError::retrain(&self.name, problem)
    }
}

/// Whether the registry answered that it has no such model, version or alias.
fn is_absent(error: &TrackError) -> bool {
    match error {
        TrackError::NotFound { .. } => true,
        // MLflow's word for a model that was never registered.
        TrackError::Server { code, .. } => code == "RESOURCE_DOES_NOT_EXIST",
        _ => false,
    }
}

fn find_oxilab() -> Option<PathBuf> {
    let given = std::env::var_os("OXILAB").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|folder| folder.join("oxilab"));
    given.into_iter().chain(beside("oxilab")).chain(on_path).find(|place| place.is_file())
}

impl Render for Retrained {
    fn render(&self) -> MimeBundle {
        let names = ["", "version", self.metric.as_str()];
        let mut table = Table::new(names.map(Heading::new).to_vec());
        let outcome = if self.promoted { "promoted" } else { "not promoted" };
        table.title = format!("{}: {outcome}; {} ({})", self.name, self.verdict, self.reason);
        let number = |value: f64| format!("{value:.4}");
        let candidate = self.version.to_string();
        table.push(vec![
            Some("candidate".to_owned()),
            Some(candidate),
            Some(number(self.candidate_value)),
        ]);
        table.push(vec![
            Some("champion before".to_owned()),
            self.champion.clone(),
            self.champion_value.map(number),
        ]);
        let title = oxilab_display::table::escape(&table.title);
        let html = format!("<div><b>{title}</b></div>{}", table.to_html());
        MimeBundle::text(table.to_text()).with_html(html)
    }
}

impl Retrained {
    /// The outcome as JSON, for scripts.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name, "reason": self.reason, "version": self.version,
            "champion": self.champion, "metric": self.metric,
            "candidate_value": self.candidate_value, "champion_value": self.champion_value,
            "promoted": self.promoted, "verdict": self.verdict, "run": self.run,
        })
    }
}

/// How many cells `oxilab run` has done by its log, and of how many: from its last `[2/7] 0.3 s ok`.
fn cells_run(log: &Path) -> Option<(u64, u64)> {
    /// Bytes at the log's end, for a notebook may say much.
    const END: u64 = 4096;
    let mut file = File::open(log).ok()?;
    let size = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(END))).ok()?;
    let mut end = Vec::new();
    file.read_to_end(&mut end).ok()?;
    String::from_utf8_lossy(&end).lines().rev().find_map(|line| {
        let (place, _) = line.strip_prefix('[')?.split_once("] ")?;
        let (done, total) = place.split_once('/')?;
        Some((done.parse().ok()?, total.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_the_notebook_is_stands_in_its_log() {
        let folder = tempfile::tempdir().expect("folder");
        let log = folder.path().join("run.log");
        assert_eq!(cells_run(&log), None, "not there yet");
        std::fs::write(&log, "starts\n").expect("writes");
        assert_eq!(cells_run(&log), None);
        let said = format!("{}\n[3/7] 0.1 s ok\n[4/7] 12.0 s ok\n[a list]\n", "x".repeat(9999));
        std::fs::write(&log, said).expect("writes");
        assert_eq!(cells_run(&log), Some((4, 7)));
    }

    #[test]
    fn a_look_counts_only_while_nobody_else_runs() {
        let folder = tempfile::tempdir().expect("folder");
        let retrain = Retrain::new("late", "no.ipynb", "no.csv")
            .with_state_folder(folder.path())
            .with_trigger(crate::Trigger::every(Duration::from_hours(1)));
        let path = retrain.file("retraining").expect("a path");
        let other = File::create(&path).expect("a file");
        other.lock().expect("another process holds it");
        let error = retrain.run_if_due().expect_err("due, and another one runs").to_string();
        assert!(error.contains("another one runs already"), "{error}");
        // It ran for the same reason.
        retrain.keep(&retrain.remember()).expect("kept");
        drop(other);
        assert_eq!(retrain.run_if_due().expect("looked"), None);
    }

    /// A registry that knows no model `new`, and fails for every other one.
    fn registry() -> String {
        use std::io::{BufRead as _, BufReader, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let uri = format!("http://{}", listener.local_addr().expect("an address"));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let lines = BufReader::new(&stream).lines().map_while(std::result::Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let is_new = head.first().is_some_and(|line| line.contains("name=new "));
                let (status, code) = if is_new {
                    ("404 Not Found", "RESOURCE_DOES_NOT_EXIST")
                } else {
                    ("500 Internal Server Error", "INTERNAL_ERROR")
                };
                let body = json!({"error_code": code, "message": "as told"}).to_string();
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\
                     content-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        uri
    }

    #[test]
    fn a_registry_that_fails_is_not_one_without_a_champion() {
        let folder = tempfile::tempdir().expect("folder");
        let child = Command::new(std::env::current_exe().expect("itself"))
            .args(["--exact", "retrain::run::tests::asks_a_failing_registry", "--ignored"])
            .env("MLFLOW_TRACKING_URI", registry())
            .env("OXILAB_JOURNAL", folder.path().join("journal.sqlite"))
            .output()
            .expect("it starts");
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        assert!(String::from_utf8_lossy(&child.stdout).contains("1 passed"));
    }

    #[test]
    #[ignore = "has a tracker of its own, in a process that the test above starts"]
    fn asks_a_failing_registry() {
        let champion = |name: &str| Retrain::new(name, "no.ipynb", "no.csv").champion();
        assert!(champion("new").expect("it answers").is_none());
        let error = champion("old").map(|found| found.is_some()).expect_err("it fails").to_string();
        assert!(error.contains("as told"), "{error}");
    }

    #[test]
    fn a_retraining_of_a_name_runs_once_at_a_time() {
        let folder = tempfile::tempdir().expect("folder");
        let retrain = Retrain::new("churn", "no.ipynb", "no.csv").with_state_folder(folder.path());
        let other = File::create(retrain.file("retraining").expect("a path")).expect("a file");
        other.lock().expect("another process holds it");
        let error = retrain.run("drift").expect_err("refused").to_string();
        assert!(error.contains("another one runs already"), "{error}");
        drop(other);
        oxilab_track::set_uri("memory:").expect("a tracker");
        let error = retrain.run("drift").expect_err("no rows").to_string();
        assert!(error.contains("the holdout rows cannot be read"), "{error}");
        let runs = oxilab_track::search("").expect("read");
        assert_eq!(runs[0].status, Status::Failed, "what failed is a run that says so");
        assert!(runs[0].tags["oxilab.retrain.error"].contains("holdout"));
    }
}
