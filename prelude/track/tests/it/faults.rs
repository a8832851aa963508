//! What breaks on the way to a server: nothing is lost, nothing comes twice, nobody waits for long.

use std::process::Command;
use std::time::{Duration, Instant};

use oxilab_runtime::training::{self, About, Outcome};
use oxilab_track::{self as track, Batch, Journal, Metric, NewRun, TrackError, Tracker};

use crate::fake::{Fake, Fault};
use crate::setting::{listen, new_journal, nobody, turn};

/// A small generator: the same faults in every run of the test.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn connections_that_break_lose_nothing_and_send_nothing_twice() {
    let turn = turn();
    let (_folder, path) = new_journal();
    turn.journal(&path);
    for name in ["a", "b", "c"] {
        let run = track::start_run(name).expect("started");
        run.log_param("name", name).expect("logged");
        for step in 0..2500_u32 {
            // Values repeat: what is equal in all but the step, or in all, is still one record each.
            run.log_metric("loss", f64::from(step % 7), step / 2).expect("logged");
        }
        run.log_text("notes", "notes.md").expect("written");
        run.end().expect("ended");
    }
    let fake = Fake::default();
    let uri = fake.start();
    let mut state = 7;
    let mut broken = 0;
    loop {
        let mut faults: Vec<Fault> = (0..6).map(|_| Fault::None).collect();
        let at = (random(&mut state) % 6) as usize;
        faults[at] =
            if random(&mut state).is_multiple_of(2) { Fault::Before } else { Fault::After };
        fake.fail(faults);
        match track::sync(&uri) {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, TrackError::Unreachable { .. }), "{error}"),
        }
        broken += 1;
        assert!(broken < 200, "it gets on");
    }
    assert!(broken > 3, "{broken} faults are few");
    fake.fail(Vec::new());
    assert_eq!(track::sync(&uri).expect("sent"), track::Report::default(), "nothing is new");
    fake.see(|runs| {
        assert_eq!(runs.len(), 3, "each run is made once");
        for run in runs {
            assert_eq!(run.metrics.len(), 2500, "{}", run.name);
            assert_eq!((run.status.as_str(), &run.params["name"]), ("FINISHED", &run.name));
            assert_eq!(run.files["notes.md"], 5);
        }
    });
}

#[test]
fn what_only_the_server_knows_says_how_to_go_on_without_it() {
    let turn = turn();
    let (folder, path) = new_journal();
    let file = folder.path().join("m.bin");
    std::fs::write(&file, "m").expect("written");
    turn.journal(&path);
    assert_eq!(track::server_note().expect("asked"), None);
    turn.journal_of_a_server(&path, "0.3");
    track::set_uri(&nobody()).expect("set all the same");
    let note = track::server_note().expect("asked").expect("a note");
    assert!(note.contains("cannot be reached"), "{note}");
    let said = [
        track::runs("").expect_err("runs").to_string(),
        track::models().expect_err("models").to_string(),
        track::load_path("m/latest").expect_err("load").to_string(),
        track::register(&file, "m").expect_err("register").to_string(),
    ];
    for error in said {
        assert!(error.contains("cannot be reached") && error.contains("journal:"), "{error}");
        assert!(!error.contains("is sent by"), "{error}");
    }
    let fake = Fake::default();
    track::set_uri(&fake.start()).expect("set");
    assert_eq!(track::server_note().expect("asked"), None);
    turn.journal(&path);
}

#[test]
fn a_server_that_never_answers_keeps_nobody_waiting() {
    let turn = turn();
    let (_folder, path) = new_journal();
    let (listener, uri) = listen();
    turn.journal_of_a_server(&path, "0.3");
    track::set_uri(&uri).expect("address");
    let start = Instant::now();
    let run = track::start_run("stalled").expect("started all the same");
    for step in 0..1000 {
        run.log_metric("loss", 0.5, step).expect("logged");
    }
    run.end().expect("ended all the same");
    let waited = start.elapsed();
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    let journal = Journal::open(&path).expect("opened");
    assert_eq!(journal.history(run.id(), "loss").expect("read").len(), 1000);
    track::set_uri("memory:").expect("memory");
    drop(listener);

    // Later, to a server that answers.
    let fake = Fake::default();
    let uri = fake.start();
    turn.journal(&path);
    let report = track::sync(&uri).expect("sent");
    assert_eq!((report.runs, report.metrics), (1, 1000), "{report}");
    fake.see(|runs| assert_eq!(runs[0].metrics.len(), 1000));
}

#[test]
fn a_fit_that_is_logged_waits_for_no_server() {
    let turn = turn();
    let (_folder, path) = new_journal();
    let (listener, uri) = listen();
    turn.journal_of_a_server(&path, "30");
    track::set_uri(&uri).expect("address");
    track::autolog(true);
    let start = Instant::now();
    let about = || About { learner: "Slow".into(), library: "test".into(), params: Vec::new() };
    let mut fit = training::started(about);
    fit.metrics(1, &[("loss", 0.5)]);
    fit.ended(Outcome::Finished);
    let waited = start.elapsed();
    track::autolog(false);
    assert!(waited < Duration::from_secs(2), "{waited:?}");
    track::set_uri("memory:").expect("memory");
    drop(listener);

    // Later, to a server that answers.
    let fake = Fake::default();
    let uri = fake.start();
    turn.journal(&path);
    assert_eq!(track::sync(&uri).expect("sent").runs, 1);
    fake.see(|runs| {
        assert_eq!((runs[0].name.as_str(), runs[0].status.as_str()), ("Slow", "FINISHED"));
        assert!(runs[0].metrics.iter().any(|metric| metric["key"] == "loss"));
    });
}

#[test]
fn expired_credentials_cost_nothing_and_are_not_told() {
    let turn = turn();
    let (_folder, path) = new_journal();
    let fake = Fake::default();
    fake.fail_always(Fault::Denied);
    let uri = fake.start();
    turn.journal_of_a_server(&path, "2");
    track::set_uri(&uri.replace("//", "//me:s3cret@")).expect("address");
    assert_eq!(track::uri().expect("uri"), uri);
    let run = track::start_run("a").expect("the journal has it");
    run.log_metric("loss", 1.0, 0).expect("logged");
    run.end().expect("kept");
    let error = track::search("").expect_err("denied").to_string();
    assert!(error.contains("MLFLOW_TRACKING_TOKEN") && !error.contains("s3cret"), "{error}");
    fake.fail_always(Fault::None);
    let run = track::start_run("b").expect("started");
    run.end().expect("ended");
    fake.see(|runs| {
        assert_eq!(runs.len(), 2);
        assert!(runs.iter().any(|run| run.metrics.len() == 1), "what waited was sent");
    });
    track::set_uri("memory:").expect("memory");
    let written = std::fs::read(&path).expect("journal");
    assert!(!written.windows(6).any(|bytes| bytes == b"s3cret"));
}

#[test]
fn what_a_server_refuses_is_named_and_holds_up_nothing() {
    let turn = turn();
    let (_folder, path) = new_journal();
    turn.journal(&path);
    let run = track::start_run("a").expect("started");
    for step in 0..100 {
        run.log_metric(if step == 42 { "poison" } else { "loss" }, 1.0, step).expect("logged");
    }
    run.log_param("lr", 0.1).expect("logged");
    run.end().expect("ended");
    let fake = Fake::default();
    let report = track::sync(&fake.start()).expect("sent");
    assert_eq!(report.refused.len(), 1, "{report}");
    assert!(report.refused[0].contains("metric \"poison\" at step 42"), "{report}");
    fake.see(|runs| assert_eq!((runs[0].metrics.len(), runs[0].params.len()), (99, 1)));
}

#[test]
fn a_clock_that_is_set_back_reorders_nothing() {
    let journal = std::sync::Arc::new(Journal::in_memory().expect("opened"));
    let new = NewRun { experiment: "e".to_owned(), name: "r".to_owned(), ..NewRun::default() };
    let run: std::sync::Arc<str> = journal.create_run(&new).expect("made").into();
    let tracker = std::sync::Arc::clone(&journal) as std::sync::Arc<dyn Tracker>;
    let queue = track::Queue::new(tracker, || {}).expect("queue");
    for (value, timestamp) in [(1.0, 1000), (2.0, 400), (2.0, 400), (f64::NAN, 5), (f64::NAN, 5)] {
        let metric = Metric { key: "m".to_owned(), value, step: 0, timestamp };
        queue.metric(&run, metric).expect("queued");
    }
    queue.flush(Duration::from_secs(5)).expect("written");
    let history = journal.history(&run, "m").expect("read");
    assert_eq!(history.len(), 5, "equal records are one record each");
    assert!(history.iter().is_sorted_by_key(|metric| metric.timestamp), "{history:?}");
    assert!(history.iter().all(|metric| metric.timestamp >= 1000));
    assert!(journal.run(&run).expect("read").metrics["m"].is_nan(), "the last one counts");
}

#[test]
fn two_kernels_log_to_one_run() {
    const COUNT: usize = 600;
    let turn = turn();
    if let Ok(name) = std::env::var("TRACK_TEST_KERNEL") {
        let run = track::resume_run(&std::env::var("TRACK_TEST_RUN").expect("run")).expect("run");
        for step in 0..COUNT {
            run.log_metric("loss", 1.0, step).expect("logged");
            run.log_metric(&name, 1.0, step).expect("logged");
        }
        run.end().expect("ended");
        return;
    }
    let (_folder, path) = new_journal();
    let fake = Fake::default();
    let uri = fake.start();
    let journal = Journal::open(&path).expect("opened");
    let new = NewRun { experiment: "e".to_owned(), name: "r".to_owned(), ..NewRun::default() };
    let run = journal.create_run(&new).expect("made");
    let kernels: Vec<_> = ["first", "second"]
        .into_iter()
        .map(|name| {
            let mut kernel = Command::new(std::env::current_exe().expect("test"));
            kernel
                .args(["--exact", "faults::two_kernels_log_to_one_run"])
                .env("TRACK_TEST_KERNEL", name);
            kernel.env("TRACK_TEST_RUN", &run).env("OXILAB_JOURNAL", &path);
            kernel.env("MLFLOW_TRACKING_URI", &uri).spawn().expect("started")
        })
        .collect();
    for mut kernel in kernels {
        assert!(kernel.wait().expect("ended").success());
    }
    // Equal records of both kernels at one moment are two records.
    assert_eq!(journal.history(&run, "loss").expect("read").len(), 2 * COUNT);
    turn.journal(&path);
    track::sync(&uri).expect("the rest is sent");
    fake.see(|runs| {
        assert_eq!(runs.len(), 1, "the run is made once");
        assert_eq!(runs[0].metrics.len(), 4 * COUNT);
    });
}

#[test]
fn a_batch_is_a_record_each_whatever_it_repeats() {
    let journal = Journal::in_memory().expect("opened");
    let new = NewRun { experiment: "e".to_owned(), name: "r".to_owned(), ..NewRun::default() };
    let run = journal.create_run(&new).expect("made");
    let metric = |value| Metric { key: "m".to_owned(), value, step: 0, timestamp: 5 };
    let metrics = vec![metric(1.0), metric(2.0), metric(1.0), metric(2.0), metric(1.0)];
    journal.log_batch(&run, &Batch { metrics, ..Batch::default() }).expect("logged");
    assert_eq!(journal.history(&run, "m").expect("read").len(), 5);
}
