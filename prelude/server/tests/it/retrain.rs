//! What sets a retraining off, and what comes of it. The notebook is played by a script, which gets what
//! `oxilab run` gets: `notebooks/09-serve-and-monitor.ipynb` runs a real one.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;

use oxilab_model::{FittedModel, LogisticRegression};
use oxilab_serve::{Retrain, Trigger, load_reference, monitor, post_json, promote, register};
use polars::prelude::*;
use serde_json::{Value, json};

use crate::setting::{Setting, crash, fit, old, raw, rows, until};

/// A registry for all tests of this process.
fn registry() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        let journal = format!("journal:{}", folder.join("registry.sqlite").display());
        oxilab_track::set_uri(&journal).unwrap();
    });
}

/// A program that is called as `oxilab run NOTEBOOK --output … --param candidate="PATH" …`, puts the model
/// in place (none: it fails), and counts its runs in a file beside itself.
fn program(setting: &Setting, candidate: Option<&FittedModel>) -> PathBuf {
    let (path, model) = (setting.path("oxilab"), setting.path("made.oxm"));
    let end = match candidate {
        None => "echo 'cell 3 failed' >&2; exit 1".to_owned(),
        Some(candidate) => {
            candidate.save(&model).unwrap();
            format!("cp '{}' \"$candidate\"", model.display())
        }
    };
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> '{}'\nfor word; do case \"$word\" in candidate=*) \
         candidate=${{word#candidate=\\\"}}; candidate=${{candidate%\\\"}};; esac; done\n{end}\n",
        setting.path("runs").display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn runs(setting: &Setting) -> usize {
    fs::read_to_string(setting.path("runs")).unwrap_or_default().lines().count()
}

fn declared(setting: &Setting, name: &str, program: PathBuf) -> Retrain {
    let holdout = setting.path("holdout.parquet");
    oxilab_serve::write_parquet(&holdout, &rows("young", "old")).unwrap();
    Retrain::new(name, setting.path("train.ipynb"), holdout)
        .with_metric("accuracy")
        .with_state_folder(setting.path("retraining"))
        .with_program(program)
}

fn send(url: &str, count: i32, age: fn(i32) -> i32) {
    let rows: Vec<Value> =
        (0..count).map(|i| json!([age(i), if i % 2 == 0 { "Rome" } else { "Oslo" }])).collect();
    post_json(format!("{url}/invocations"), &json!({"instances": rows})).unwrap();
}

fn only_old(i: i32) -> i32 {
    60 + i % 40
}

#[test]
fn drift_sets_off_no_second_run_until_there_is_something_new() {
    registry();
    let mut setting = Setting::new();
    let url = setting.start(setting.server().with_window(200));
    let retrain = declared(&setting, "drifting", program(&setting, None))
        .with_trigger(Trigger::drift(url.as_str()));
    let soon = retrain.clone().with_cooldown(Duration::ZERO);
    assert_eq!(retrain.due().unwrap(), None, "nothing came");
    send(&url, 200, |i| i * 7 % 100);
    assert_eq!(retrain.due().unwrap(), None, "nothing drifts");
    send(&url, 200, only_old);
    let reason = retrain.due().unwrap().expect("drift");
    assert_eq!(reason, "drift of age, prediction");
    let error = retrain.run(&reason).unwrap_err().to_string();
    assert!(error.contains("cell 3 failed"), "{error}");
    assert_eq!(runs(&setting), 1);

    // The server says what it said. Neither then, nor with a few new rows, is there a reason.
    assert!(monitor(&url).unwrap().drift("m").unwrap().drifted());
    assert_eq!((retrain.due().unwrap(), soon.due().unwrap()), (None, None));
    send(&url, 150, only_old);
    assert_eq!((retrain.due().unwrap(), soon.due().unwrap()), (None, None));
    // As many new rows as were looked at are one, after some time.
    send(&url, 260, only_old);
    assert_eq!(retrain.due().unwrap(), None, "an hour has not passed");
    assert_eq!(soon.due().unwrap().as_deref(), Some("drift of age, prediction"));
    assert!(soon.run("drift").is_err());
    assert_eq!(soon.due().unwrap(), None);
    // A server that was started again counts from zero; what it counts is new.
    crash(&url);
    assert_eq!(soon.due().unwrap(), None);
    send(&url, 100, only_old);
    assert_eq!(soon.due().unwrap(), None);
    send(&url, 400, only_old);
    assert_eq!(soon.due().unwrap().as_deref(), Some("drift of age, prediction"));
    // One that watches does not run again and again.
    let watched = retrain.with_state_folder(setting.path("watched"));
    let before = runs(&setting);
    assert!(watched.watch(Duration::from_millis(10), 1).is_err(), "the first run fails");
    assert_eq!(runs(&setting), before + 1);
    assert_eq!(watched.due().unwrap(), None);
}

#[test]
fn labels_that_disagree_set_off_a_run() {
    registry();
    let mut setting = Setting::new();
    let url = setting.start(setting.server());
    let retrain = declared(&setting, "disagreeing", program(&setting, None))
        .with_trigger(Trigger::performance(url.as_str(), 0.8))
        .with_cooldown(Duration::ZERO);
    let label = |id: &str, truth: &str| {
        let head = format!("POST /predict HTTP/1.1\r\nx-request-id: {id}");
        assert_eq!(raw(&url, &head, old().to_string().as_bytes()).0, 200);
        let label = json!({"id": id, "label": truth});
        until("its answer is noted", || {
            post_json(format!("{url}/feedback/m"), &label).unwrap()["taken"] == 1
        });
    };
    assert_eq!(retrain.due().unwrap(), None, "there are no labels");
    label("a", "old");
    assert_eq!(retrain.due().unwrap(), None, "it is right");
    label("b", "young");
    let reason = retrain.due().unwrap().expect("a reason");
    assert_eq!(reason, "accuracy is 0.5000, the bound is 0.8");
    assert!(retrain.run(&reason).is_err());
    assert_eq!(retrain.due().unwrap(), None, "the labels are those from before");
    label("c", "young");
    assert_eq!(retrain.due().unwrap(), None, "one is new, two were looked at");
    label("d", "young");
    let reason = retrain.due().unwrap();
    assert_eq!(reason.as_deref(), Some("accuracy is 0.2500, the bound is 0.8"));
    let hourly = retrain.with_cooldown(Duration::from_hours(1));
    assert_eq!(hourly.due().unwrap(), None);
}

/// A model that is right half of the time.
fn poor() -> FittedModel {
    let frame = rows("young", "old");
    let groups: Vec<&str> = (0..frame.height()).map(|i| ["young", "old"][i / 2 % 2]).collect();
    let frame = frame.clone().with_column(Column::new("group".into(), groups)).unwrap().clone();
    LogisticRegression::new().fit(&frame, "group").unwrap()
}

fn champion(name: &str) -> u32 {
    oxilab_track::resolve(&format!("models:/{name}@champion")).unwrap().version
}

#[test]
fn only_a_better_candidate_is_promoted() {
    registry();
    let setting = Setting::new();
    let first = register(&fit("young", "old"), "people", &rows("young", "old")).unwrap().version;
    promote("people", first, "champion").unwrap();

    let worse = declared(&setting, "people", program(&setting, Some(&poor()))).run("test").unwrap();
    assert!(!worse.promoted && worse.verdict.ends_with("worse"), "{worse:?}");
    assert!(worse.candidate_value < 0.7 && worse.champion_value.unwrap() > 0.9, "{worse:?}");
    assert_eq!((worse.version, worse.champion.as_deref()), (first + 1, Some("1")));
    assert_eq!(champion("people"), first, "the alias stays");
    let path = oxilab_track::load_path(&format!("models:/people/{}", worse.version)).unwrap();
    assert!(load_reference(Path::new(&path)).unwrap().is_some(), "it is kept, with a reference");

    // As good is not better by a margin; without one it is good enough.
    let program = program(&setting, Some(&fit("young", "old")));
    let same = declared(&setting, "people", program);
    let held = same.clone().with_margin(0.01).run("test").unwrap();
    assert!(!held.promoted && held.verdict.contains("not better by 0.01"), "{held:?}");
    assert_eq!(champion("people"), first);
    let taken = same.run("test").unwrap();
    assert!(taken.promoted, "{taken:?}");
    assert_eq!(champion("people"), taken.version);
}

#[test]
fn a_candidate_must_be_better_by_the_margin() {
    registry();
    let setting = Setting::new();
    let first = register(&poor(), "margin", &rows("young", "old")).unwrap().version;
    promote("margin", first, "champion").unwrap();
    let better = declared(&setting, "margin", program(&setting, Some(&fit("young", "old"))));
    let held = better.clone().with_margin(0.9).run("test").unwrap();
    assert!(!held.promoted, "{held:?}");
    assert_eq!(champion("margin"), first);
    let taken = better.with_margin(0.1).run("test").unwrap();
    assert!(taken.promoted, "{taken:?}");
    assert_eq!(champion("margin"), taken.version);
}
