//! The journal, the queue, the notebook's functions, the registry, and what is sent to a server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use oxilab_display::Render;
use oxilab_track::{
    self as track, Batch, Best, Goal, Journal, Metric, NewRun, Queue, Search, Status, TrackError,
    Tracker,
};

use crate::setting::turn;

fn new(experiment: &str, name: &str) -> NewRun {
    NewRun { experiment: experiment.to_owned(), name: name.to_owned(), ..NewRun::default() }
}

fn metric(key: &str, value: f64, step: i64) -> Metric {
    Metric { key: key.to_owned(), value, step, timestamp: 7 }
}

fn params(pairs: &[(&str, &str)]) -> Batch {
    let params = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Batch { params, ..Batch::default() }
}

#[test]
fn the_journal_outlives_its_process_and_keeps_what_is_not_finite() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("deep/track.sqlite");
    let journal = Journal::open(&path).expect("opened");
    let run = journal.create_run(&new("ünï \"/\" 🦀", "it's")).expect("made");
    let metrics = vec![
        metric("m", f64::NAN, 3),
        metric("m", f64::INFINITY, 2),
        metric("m", f64::NEG_INFINITY, 1),
        metric("m", 0.1 + 0.2, 0),
    ];
    journal.log_batch(&run, &Batch { metrics, ..params(&[("lr", "0.1")]) }).expect("logged");
    journal.set_status(&run, Status::Failed, Some(9)).expect("ended");
    drop(journal);

    let journal = Journal::open(&path).expect("opened again");
    let history = journal.history(&run, "m").expect("read");
    assert_eq!(history.iter().map(|m| m.step).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(history[0].value.to_bits(), (0.1_f64 + 0.2).to_bits());
    assert!(history[1].value == f64::NEG_INFINITY && history[2].value == f64::INFINITY);
    assert!(history[3].value.is_nan());
    let record = journal.run(&run).expect("read");
    assert!(record.metrics["m"].is_nan(), "the last step counts");
    assert_eq!((record.status, record.end_time), (Status::Failed, Some(9)));
    assert_eq!(record.experiment, "ünï \"/\" 🦀");
}

#[test]
fn a_parameter_is_written_once_and_the_rest_of_its_batch_is_kept() {
    let journal = Journal::in_memory().expect("opened");
    let run = journal.create_run(&new("e", "r")).expect("made");
    journal.log_batch(&run, &params(&[("lr", "0.1")])).expect("logged");
    journal.log_batch(&run, &params(&[("lr", "0.1")])).expect("the same is no harm");
    let mut batch = params(&[("lr", "0.2"), ("depth", "6")]);
    batch.metrics.push(metric("loss", 1.0, 0));
    let error = journal.log_batch(&run, &batch).expect_err("conflict");
    assert!(
        matches!(&error, TrackError::ParamConflict { old, new, .. } if old == "0.1" && new == "0.2")
    );
    let record = journal.run(&run).expect("read");
    assert_eq!(record.params["lr"], "0.1");
    assert_eq!(record.params["depth"], "6");
    assert_eq!(record.metrics.len(), 1);
    let error = journal.log_batch("nobody", &batch).expect_err("no run");
    assert!(matches!(error, TrackError::NotFound { .. }), "{error}");
}

#[test]
fn artifacts_stay_in_their_run() {
    let journal = Journal::in_memory().expect("opened");
    let run = journal.create_run(&new("e", "r")).expect("made");
    let file = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(file.path(), "12345").expect("written");
    for bad in ["../../x", "/tmp/x", "a/../../x", "a\\..\\x", "%2e%2e/x"] {
        let error = journal.put_artifact(&run, file.path(), bad).expect_err(bad);
        assert!(matches!(error, TrackError::ArtifactPath { .. }), "{error}");
    }
    journal.put_artifact("../elsewhere", file.path(), "x").expect_err("no run");
    journal.put_artifact(&run, file.path(), "plots/ä b.bin").expect("put");
    journal.put_artifact(&run, file.path(), "plots/ä b.bin").expect("replaced");
    let listed = journal.artifacts(&run).expect("listed");
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].path.as_str(), listed[0].size), ("plots/ä b.bin", 5));
    let back = tempfile::tempdir().expect("folder");
    journal.get_artifact(&run, "plots/ä b.bin", &back.path().join("b")).expect("got");
    assert_eq!(std::fs::read(back.path().join("b")).expect("read"), b"12345");
    journal.get_artifact(&run, "../track.sqlite", &back.path().join("c")).expect_err("outside");
}

#[test]
fn two_writers_to_one_run_lose_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("track.sqlite");
    let run = Journal::open(&path).expect("opened").create_run(&new("e", "r")).expect("made");
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (path, run) = (&path, &run);
            scope.spawn(move || {
                let journal = Journal::open(path).expect("opened");
                for step in 0..100 {
                    let metrics = vec![metric(&format!("w{writer}"), 1.0, step)];
                    journal.log_batch(run, &Batch { metrics, ..Batch::default() }).expect("logged");
                }
            });
        }
    });
    let journal = Journal::open(&path).expect("opened");
    for key in ["w0", "w1"] {
        assert_eq!(journal.history(&run, key).expect("read").len(), 100);
    }
}

#[test]
fn queued_metrics_cost_the_caller_little_and_all_arrive_in_order() {
    const COUNT: u32 = 100_000;
    let journal = Arc::new(Journal::in_memory().expect("opened"));
    let run: Arc<str> = journal.create_run(&new("e", "r")).expect("made").into();
    let queue = Queue::new(Arc::clone(&journal) as Arc<dyn Tracker>, || {}).expect("queue");
    let start = Instant::now();
    for step in 0..COUNT {
        queue.metric(&run, metric("loss", f64::from(step), i64::from(step))).expect("queued");
    }
    let each = start.elapsed() / COUNT;
    assert!(each < Duration::from_micros(50), "{each:?} a metric");
    queue.flush(Duration::from_mins(1)).expect("flushed");
    let history = journal.history(&run, "loss").expect("read");
    assert_eq!(history.len(), COUNT as usize);
    assert!(history.iter().zip(0..).all(|(metric, step)| metric.step == step));
    println!("{each:?} a metric on the caller, {:?} until all were written", start.elapsed());
}

#[test]
fn a_queue_says_what_was_refused_and_writes_when_it_is_dropped() {
    let journal = Arc::new(Journal::in_memory().expect("opened"));
    let run: Arc<str> = journal.create_run(&new("e", "r")).expect("made").into();
    journal.log_batch(&run, &params(&[("lr", "1")])).expect("logged");
    let queue = Queue::new(Arc::clone(&journal) as Arc<dyn Tracker>, || {}).expect("queue");
    queue.param(&run, "lr".to_owned(), "2".to_owned()).expect("queued");
    let error = queue.flush(Duration::from_secs(5)).expect_err("refused");
    assert!(matches!(error, TrackError::ParamConflict { .. }), "{error}");
    queue.flush(Duration::from_secs(5)).expect("said once");
    queue.metric(&run, metric("last", 1.0, 0)).expect("queued");
    drop(queue);
    assert_eq!(journal.history(&run, "last").expect("read").len(), 1);
}

/// The functions of a notebook share one session, so this is one test.
#[test]
fn a_notebooks_day() {
    let _turn = turn();
    let folder = tempfile::tempdir().expect("folder");
    let journal = folder.path().join("track.sqlite");
    track::set_uri(&format!("journal:{}", journal.display())).expect("journal");
    track::experiment("sweep").expect("experiment");

    let mut ids = Vec::new();
    for depth in [2_u32, 4, 8] {
        let run = track::start_run(&format!("depth {depth}")).expect("started");
        run.log_param("depth", depth).expect("logged");
        assert!(matches!(run.log_param("depth", 99), Err(TrackError::ParamConflict { .. })));
        for step in 0..5_usize {
            run.log_metric("accuracy", 0.7 + f64::from(depth) / 100.0, step).expect("logged");
        }
        run.set_tag("team", "blue").expect("tagged");
        run.log_text("notes", "notes.md").expect("written");
        let child = run.child("fold 1").expect("nested");
        child.end().expect("ended");
        assert_eq!(child.record().expect("read").tags["mlflow.parentRunId"], run.id());
        run.end().expect("ended");
        run.end().expect("again is no harm");
        let error = run.log_metric("accuracy", 1.0, 9).expect_err("ended");
        assert!(matches!(error, TrackError::Ended { .. }), "{error}");
        ids.push(run.id().to_owned());
    }

    let query = Search::new("metrics.accuracy > 0.73").with_order("metrics.accuracy DESC");
    let frame = track::runs(query).expect("read");
    assert_eq!(frame.height(), 2);
    let best = frame.column("params.depth").expect("column").str().expect("text").get(0);
    assert_eq!(best, Some("8"));
    assert_eq!(track::best("accuracy", Best::Lowest).expect("found").params["depth"], "2");
    track::best("nothing", Best::Highest).expect_err("no such metric");
    let add = |loss: f64, status: Status| {
        let run = track::start_run("loss").expect("started");
        run.log_metric("val_loss", loss, 0).expect("logged");
        run.end_as(status).expect("ended");
    };
    add(0.3, Status::Failed);
    add(f64::NEG_INFINITY, Status::Finished);
    let error = track::best("val_loss", Best::of("val_loss")).expect_err("none is usable");
    assert!(error.to_string().contains("not finite"), "{error}");
    for loss in [0.9, 0.5, f64::NAN, 0.7] {
        add(loss, Status::Finished);
    }
    let found = track::best("val_loss", Best::of("val_loss")).expect("found");
    assert_eq!(found.metrics["val_loss"].to_bits(), 0.5_f64.to_bits());
    assert!(matches!(track::runs("metrics.accuracy >"), Err(TrackError::Query { .. })));
    let shown = track::compare(&ids).expect("compared").render();
    assert!(shown.plain().contains("params.depth") && shown.plain().contains("depth 8"));
    track::compare(&["missing"]).expect_err("no such run");

    // A run that is dropped has ended.
    let run = track::start_run("forgotten").expect("started");
    run.log_metric("loss", f64::NAN, 0).expect("logged");
    let id = run.id().to_owned();
    assert_eq!(track::active_run().expect("active").id(), id);
    drop(run);
    assert!(track::active_run().is_none());
    let seen = Journal::open(&journal).expect("opened").run(&id).expect("read");
    assert_eq!(seen.status, Status::Finished);
    assert!(seen.metrics["loss"].is_nan());

    registry(folder.path());
}

fn registry(folder: &std::path::Path) {
    let weights = folder.join("weights.bin");
    std::fs::write(&weights, "one").expect("written");
    track::goal("fraud", &[Goal::at_least("auc", 0.9), Goal::at_most("loss", 0.5)]).expect("goal");
    let first = track::register(&weights, "fraud").expect("registered");
    assert_eq!(first.version, 1);
    let error = track::promote("fraud", 1, "champion").expect_err("no metrics").to_string();
    assert!(error.contains("auc >= 0.9") && error.contains("loss <= 0.5"), "{error}");

    let run = track::start_run("better").expect("started");
    run.log_metric("auc", 0.95, 0).expect("logged");
    run.log_metric("loss", 0.4, 0).expect("logged");
    std::fs::write(&weights, "two").expect("written");
    let second = track::register(&weights, "fraud").expect("registered");
    run.end().expect("ended");
    assert_eq!((second.version, second.run_id.as_str()), (2, run.id()));
    track::promote("fraud", 2, "champion").expect("promoted");
    track::promote("fraud", 2, "Production").expect("promoted");
    track::promote("fraud", 3, "champion").expect_err("no such version");
    for bad in ["latest", "v3", "a b", ""] {
        track::promote("fraud", 2, bad).expect_err(bad);
    }

    for (uri, content) in [
        ("models:/fraud@champion", "two"),
        ("fraud@champion", "two"),
        ("models:/fraud/1", "one"),
        ("models:/fraud/latest", "two"),
        ("models:/fraud/Production", "two"),
        ("models:/fraud/production", "two"),
    ] {
        let path = track::load_path(uri).expect(uri);
        assert_eq!(std::fs::read_to_string(path).expect(uri), content, "{uri}");
    }
    let error = track::load_path("models:/fraud@nobody").expect_err("alias").to_string();
    assert!(error.contains("2 @Production @champion"), "{error}");
    assert!(error.contains("there is no alias \"fraud@nobody\""), "{error}");
    track::check_alias("latest").expect_err("no alias");
    // Nothing is left of what cannot be registered.
    let runs = track::runs("").expect("read").height();
    track::register(folder.join("missing.bin"), "fraud").expect_err("no file");
    assert_eq!(track::runs("").expect("read").height(), runs);
    track::load_path("models:/nothing/1").expect_err("no model");
    track::load_path("models:/fraud").expect_err("no version");
    let models = track::models().expect("listed").render();
    assert!(models.plain().contains("fraud") && models.plain().contains("@champion"));

    let described = std::path::Path::new(&second.source).join("MLmodel");
    let text = std::fs::read_to_string(described).expect("MLmodel");
    assert!(
        text.contains("flavors:\n  oxilab:\n") && text.contains("data: \"weights.bin\""),
        "{text}"
    );

    let saved = track::register_with("saved", |path| std::fs::write(path, "three")).expect("saved");
    assert_eq!(track::resolve("models:/saved/latest").expect("found").version, saved.version);
    let failing = track::register_with("saved", |_| Err::<(), _>("the disk is full"));
    assert!(failing.expect_err("failed").to_string().contains("disk is full"));
}
