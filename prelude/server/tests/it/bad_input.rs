//! What is wrong is told with the right status, and the server lives.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use oxilab_serve::{get_json, get_text, post_json};
use serde_json::{Value, json};

use crate::setting::{Direct, PROGRAM, Setting, old, raw, sample, until};

#[test]
fn bad_requests_are_told_so_and_the_server_lives() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server().with_row_limit(5));
    let said = |path: &str, body: &[u8]| {
        let (status, _, text) = raw(&url, &format!("POST {path} HTTP/1.1"), body);
        assert!(!text.contains(setting.path("").to_str().unwrap()), "{text}");
        (status, serde_json::from_str::<Value>(&text).unwrap_or_default())
    };
    let (status, body) = said("/predict", b"{\"age\": \"x\", \"city\": \"Oslo\"}");
    assert_eq!((status, &body["field"]), (422, &json!("age")));
    let (status, body) = said("/predict", b"{\"age\": 1, \"city\": \"Atlantis\"}");
    assert_eq!((status, &body["field"]), (422, &json!("city")));
    assert_eq!(said("/predict", b"{\"age\": 1}").1["field"], "city");
    assert_eq!(said("/predict", b"{\"age\": NaN}").0, 400);
    assert_eq!(said("/predict", b"{\"age\": 1e999, \"city\": \"Oslo\"}").0, 400);
    assert_eq!(said("/predict", b"\xff\xfe").0, 400);
    assert_eq!(said("/predict", b"").0, 400);
    assert_eq!(said("/invocations", b"{}").0, 400);
    assert_eq!(said("/predict", "[".repeat(200_000).as_bytes()).0, 400);
    let rows = json!({"instances": vec![json!([1, "Oslo"]); 6]}).to_string();
    assert_eq!(said("/invocations", rows.as_bytes()).0, 413);
    assert_eq!(said("/predict", &vec![b' '; (16 << 20) + 1]).0, 413);
    assert_eq!(said("/predict/other", b"{}").0, 404);
    assert_eq!(said("/predict/..%2f..%2fetc%2fpasswd", b"{}").0, 404);
    assert_eq!(said("/v2/models/m/versions/1/infer", b"{}").0, 404);
    assert_eq!(said("/nowhere", b"").0, 404);
    assert_eq!(raw(&url, "GET /predict HTTP/1.1", b"").0, 405);
    assert_eq!(said("/admin/stop", b"{}").0, 401);
    assert_eq!(said("/admin/models/m", b"x").0, 403);
    assert_eq!(said("/feedback", b"{\"id\": 1}").1["field"], "id");
    assert_eq!(said("/v1/chat/completions", b"{\"model\": \"m\"}").0, 404);
    assert_eq!(post_json(format!("{url}/predict"), &old()).unwrap()["prediction"], "old");
}

#[test]
fn slow_clients_and_idle_connections_do_not_keep_others_out() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server().with("--timeout", 1));
    let address = url.trim_start_matches("http://");
    let idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(address).unwrap()).collect();
    // A body that never ends is answered when its time is over.
    let mut slow = TcpStream::connect(address).unwrap();
    slow.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(slow, "POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{{").unwrap();
    let begun = Instant::now();
    for _ in 0..20 {
        post_json(format!("{url}/predict"), &old()).unwrap();
    }
    let mut answer = [0; 12];
    slow.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert!(begun.elapsed() < Duration::from_secs(8));
    let late = "oxilab_errors_total{status=\"408\"} ";
    assert_eq!(sample(&url, late), 1, "no model was asked");
    drop(idle);
}

#[test]
fn a_body_of_a_hundred_megabytes_is_refused_unread_or_taken_where_that_is_allowed() {
    const SIZE: usize = 100 << 20;
    let mut setting = Setting::new();
    let url = setting.start(setting.server());
    let body = [&br#"{"age": 90,"#[..], &vec![b' '; SIZE], br#""city": "Oslo"}"#].concat();
    let (status, _, text) = raw(&url, "POST /predict HTTP/1.1", &body);
    assert_eq!(status, 413, "{text}");
    assert!(text.contains("16777216"), "the limit is named: {text}");

    // Without a length the limit ends it on the way.
    let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    let mut sent = 0;
    for piece in body.chunks(1 << 20) {
        let whole = write!(stream, "{:x}\r\n", piece.len())
            .and_then(|()| stream.write_all(piece))
            .and_then(|()| write!(stream, "\r\n"));
        if whole.is_err() {
            break;
        }
        sent += piece.len();
    }
    let mut answer = [0; 12];
    let read = stream.read_exact(&mut answer);
    assert!(sent < SIZE, "all of it was taken");
    assert!(read.is_err() || &answer == b"HTTP/1.1 413", "{}", String::from_utf8_lossy(&answer));
    assert_eq!(post_json(format!("{url}/predict"), &old()).unwrap()["prediction"], "old");

    let url = setting.start(setting.server_of("wide", "m.oxi").with("--body-limit", 128 << 20));
    let (status, _, text) = raw(&url, "POST /predict HTTP/1.1", &body);
    assert_eq!(status, 200, "{text}");
    assert!(text.contains(r#""prediction":"old""#), "{text}");
}

/// Opens connections that say nothing; the limit of open files of this process is raised for them.
fn idle_connections(address: &str, count: usize) -> Vec<TcpStream> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain calls with valid pointers; no more is asked for than is allowed.
    #[expect(unsafe_code, reason = "std cannot set limits")]
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
    let connect = |at: usize| match TcpStream::connect(address) {
        Ok(stream) => stream,
        Err(error) => panic!(
            "connection {at} of {count}: {error}; this process may hold {} files open (ulimit -Hn)",
            limit.rlim_max
        ),
    };
    (0..count).map(connect).collect()
}

#[test]
fn ten_thousand_idle_connections_keep_nobody_out() {
    const COUNT: usize = 10_000;
    let mut setting = Setting::new();
    let url = setting.start(setting.server());
    let worker = get_json(format!("{url}/health")).unwrap()["worker"].to_string();
    let begun = Instant::now();
    let idle = idle_connections(url.trim_start_matches("http://"), COUNT);
    let held = || std::fs::read_dir(format!("/proc/{worker}/fd")).unwrap().count();
    until("the server holds them", || held() >= COUNT);
    let (opened, begun) = (begun.elapsed(), Instant::now());
    for _ in 0..20 {
        assert_eq!(post_json(format!("{url}/predict"), &old()).unwrap()["prediction"], "old");
    }
    let waited = begun.elapsed();
    let (count, held) = (idle.len(), held());
    let said = format!("{count} opened in {opened:?}, {held} files held, 20 answers in {waited:?}");
    println!("{said}");
    assert!(count == COUNT && held >= COUNT && waited < Duration::from_secs(10), "{said}");
    drop(idle);
}

/// A disk that is full, for the server's processes only: no file may grow beyond a few kilobytes.
#[test]
fn a_full_disk_costs_captured_rows_and_no_answer() {
    let setting = Setting::new();
    let captured = setting.path("captured");
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 32; exec \"$0\" \"$@\"", PROGRAM]);
    command.args(["--port", "0", "--capture-every", "0.2", "--capture"]).arg(&captured);
    let server = Direct::start(command.arg(setting.path("m.oxi")));
    let url = &server.url;
    let failures = || sample(url, "oxilab_capture_failures_total{model=\"m\"} ");
    // Roots do not compress.
    let rows: Vec<_> = (0..10_000).map(|n| json!([f64::from(n).sqrt(), "Oslo"])).collect();
    let rows = json!({ "instances": rows });
    for round in 1..=2 {
        let answer = post_json(format!("{url}/invocations"), &rows).unwrap();
        assert_eq!(answer["predictions"].as_array().unwrap().len(), 10_000);
        until("the failure is counted", || failures() == round);
    }
    let log = server.log();
    assert!(log.contains("cannot write captured requests"), "{log}");
    assert!(log.contains("File too large") && log.contains("-000000.parquet"), "the cause: {log}");
    assert_eq!(std::fs::read_dir(&captured).unwrap().count(), 0, "no half of a file stays");
    // What fits is written again.
    post_json(format!("{url}/predict"), &old()).unwrap();
    until("a small file", || std::fs::read_dir(&captured).unwrap().count() == 1);
    assert_eq!(failures(), 2);
    server.stop();
}

#[test]
fn a_folder_that_cannot_be_written_costs_no_answer() {
    let mut setting = Setting::new();
    let captured = setting.path("captured");
    let server = setting.server().with_capture(&captured, 1.0).with_row_limit(10_000);
    let url = setting.start(server);
    // What a full or a vanished disk looks like: nothing can be written there any more.
    let _ = std::fs::remove_dir_all(&captured);
    std::fs::write(&captured, "no folder").unwrap();
    let rows = json!({"instances": vec![json!([90, "Oslo"]); 10_000]});
    let answer = post_json(format!("{url}/invocations"), &rows).unwrap();
    assert_eq!(answer["predictions"].as_array().unwrap().len(), 10_000);
    until("the failure is counted", || {
        let metrics = get_text(format!("{url}/metrics")).unwrap();
        metrics.contains("oxilab_capture_failures_total{model=\"m\"} 1\n")
    });
    assert_eq!(post_json(format!("{url}/predict"), &old()).unwrap()["prediction"], "old");
    assert!(setting.started[0].logs().unwrap().contains("cannot write captured requests"));
}

#[test]
fn a_language_model_that_is_asked_with_rows_says_its_route() {
    let mut setting = Setting::new();
    let tiny = concat!(env!("CARGO_MANIFEST_DIR"), "/../llm/tests/goldens/tiny/llama");
    let url = setting.start(setting.server_of("lm", tiny));
    for path in ["/predict", "/predict/lm", "/invocations"] {
        let (status, _, text) = raw(&url, &format!("POST {path} HTTP/1.1"), b"{}");
        assert_eq!(status, 404, "{path}");
        assert!(text.contains("`lm` is a language model: use /v1/chat/completions"), "{text}");
    }
    let (_, _, text) = raw(&url, "POST /predict/other HTTP/1.1", b"{}");
    assert!(text.contains("there is no such model"), "{text}");
}
