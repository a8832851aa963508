//! A disk that is full: records wait, and are written when there is room.
//!
//! A limit on the size of files stands for the full disk; it is the process's, so this is a test program
//! of its own.

use std::time::Duration;

use oxilab_track::{self as track, Journal, TrackError, Tracker};

fn limit(bytes: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: plain calls with a valid pointer; the signal is what the limit sends.
    #[expect(unsafe_code, reason = "std cannot set limits")]
    let set = unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit)
    };
    assert_eq!(set, 0, "the limit is set");
}

#[test]
fn records_wait_for_room() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("t.sqlite");
    track::set_uri(&format!("journal:{}", path.display())).expect("journal");
    let run = track::start_run("a").expect("started");
    run.log_metric("loss", 0.0, 0).expect("logged");
    run.flush().expect("written");

    limit(150_000);
    for step in 1..20_000 {
        run.log_metric("loss", f64::from(step), step).expect("logging goes on");
    }
    std::thread::sleep(Duration::from_millis(600));
    let big = folder.path().join("big");
    let error = run.log_text(&"x".repeat(200_000), "big.txt").expect_err("no room");
    assert!(matches!(error, TrackError::File { .. }), "{error}");
    assert!(!big.exists());
    assert!(run.artifacts().expect("read").is_empty(), "what is not whole is not there");

    limit(libc::RLIM_INFINITY);
    run.end().expect("now there is room");
    let journal = Journal::open(&path).expect("opened");
    let history = journal.history(run.id(), "loss").expect("read");
    assert_eq!(history.len(), 20_000);
    assert!(history.iter().zip(0_i64..).all(|(metric, step)| metric.step == step));
}
