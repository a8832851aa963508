//! Language models: clients that stop reading, a full queue, limits, new versions.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use oxilab_serve::get_text;
use serde_json::{Value, json};

use crate::completions::TINY;
use crate::setting::{Setting, crash, raw, sample, until};

const QWEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../llm/tests/goldens/tiny/qwen2");

fn ask(url: &str, more: &Value) -> (u16, String, Value) {
    let mut body = json!({"model": "lm", "prompt": "ab", "max_tokens": 6, "temperature": 0});
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    let (status, head, text) =
        raw(url, "POST /v1/completions HTTP/1.1", body.to_string().as_bytes());
    (status, head, serde_json::from_str(&text).unwrap_or_default())
}

/// A connection on which little is on its way at once: the server's system keeps as much as some packets
/// hold, and one over the loopback is large.
fn narrow(url: &str) -> TcpStream {
    let address: SocketAddrV4 = url.trim_start_matches("http://").parse().unwrap();
    let size = |bytes: usize| libc::socklen_t::try_from(bytes).unwrap();
    let place = libc::sockaddr_in {
        sin_family: libc::sa_family_t::try_from(libc::AF_INET).unwrap(),
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
        sin_zero: [0; 8],
    };
    // SAFETY: plain calls on a socket that is owned from the first line on, with valid pointers and their
    // lengths.
    #[expect(unsafe_code, reason = "std cannot set a socket's sizes before it is connected")]
    unsafe {
        let socket = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
        assert!(socket >= 0);
        let socket = OwnedFd::from_raw_fd(socket);
        for (level, name, bytes) in
            [(libc::SOL_SOCKET, libc::SO_RCVBUF, 4_096), (libc::IPPROTO_TCP, libc::TCP_MAXSEG, 536)]
        {
            let value: libc::c_int = bytes;
            let (length, value) = (size(size_of_val(&value)), &raw const value);
            assert_eq!(libc::setsockopt(socket.as_raw_fd(), level, name, value.cast(), length), 0);
        }
        let (length, place) = (size(size_of_val(&place)), &raw const place);
        assert_eq!(libc::connect(socket.as_raw_fd(), place.cast(), length), 0);
        TcpStream::from(socket)
    }
}

/// A client that asks for more than fits on the way to it, and reads nothing of it.
fn stalled(url: &str) -> TcpStream {
    let mut stream = narrow(url);
    let body =
        json!({"model": "lm", "prompt": "ab", "max_tokens": 120, "temperature": 1.0, "seed": 1,
        "n": 128, "logprobs": 5, "stream": true})
        .to_string();
    let head = "POST /v1/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length:";
    write!(stream, "{head} {}\r\n\r\n{body}", body.len()).unwrap();
    until("its answer has begun", || in_flight(url) == 1);
    stream
}

fn in_flight(url: &str) -> u64 {
    sample(url, "oxilab_requests_in_flight ")
}

#[test]
fn a_client_that_stops_reading_does_not_keep_others_from_the_model() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server_of("lm", TINY).with("--timeout", 1));
    let mut silent = stalled(&url);
    let begun = Instant::now();
    let (status, _, answer) = ask(&url, &json!({}));
    assert_eq!(status, 200, "after {:?}: {answer}", begun.elapsed());
    until("its place is free", || in_flight(&url) == 0);
    let log = setting.started[0].logs().unwrap();
    assert!(log.contains("a client has stopped to read"), "{log}");

    // What it reads now ends as what is not whole.
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut rest = String::new();
    silent.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("data: {"), "{}", rest.len());
    assert!(!rest.contains("[DONE]"), "it was broken off");
}

#[test]
fn a_full_queue_says_when_to_come_again() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server_of("lm", TINY).with("--queue", 1));
    let silent = stalled(&url);
    assert_eq!(sample(&url, "oxilab_queue_length "), 0, "it waits for no batch");
    let (status, head, answer) = ask(&url, &json!({}));
    assert_eq!(status, 503, "{answer}");
    assert!(head.contains("retry-after: 1"), "{head}");
    assert_eq!(answer["error"]["type"], "server_error");
    assert!(answer["error"]["message"].as_str().unwrap().contains("too many"), "{answer}");
    let name = "oxilab_errors_total{model=\"lm\",route=\"/v1/completions\",status=\"503\"} ";
    assert_eq!(sample(&url, name), 1);
    drop(silent);
    until("the place of one that is gone is free", || ask(&url, &json!({})).0 == 200);
}

#[test]
fn no_answer_is_longer_than_the_limit_of_tokens() {
    let mut setting = Setting::new();
    let url = setting.start(setting.server_of("lm", TINY).with("--token-limit", 3));
    for wanted in [json!(50), json!(2), Value::Null] {
        let (status, _, answer) = ask(&url, &json!({"max_tokens": wanted, "n": 2}));
        assert_eq!(status, 200, "{answer}");
        let most = wanted.as_u64().unwrap_or(16).min(3);
        assert_eq!(answer["usage"]["completion_tokens"], 2 * most, "{answer}");
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
    }
    let metrics = get_text(format!("{url}/metrics")).unwrap();
    let speed = metrics.lines().find_map(|line| {
        line.strip_prefix("oxilab_tokens_per_second{model=\"lm\"} ")?.parse::<f64>().ok()
    });
    assert!(speed.is_some_and(|speed| speed > 0.0), "{metrics}");
    assert_eq!(sample(&url, "oxilab_tokens_total{model=\"lm\"} "), 2 * (3 + 2 + 3));
}

#[test]
fn a_language_model_is_followed_without_a_failed_request() {
    let mut setting = Setting::new();
    setting.point(TINY);
    let url = setting.start(setting.server_of("lm", "live.alias").with("--watch", 50));
    let says = || {
        let (status, _, answer) = ask(&url, &json!({}));
        assert_eq!(status, 200, "no request fails: {answer}");
        answer["choices"][0]["text"].as_str().unwrap().to_owned()
    };
    let first = says();
    let done = AtomicBool::new(false);
    let second = std::thread::scope(|scope| {
        // Also if this thread panics.
        struct Done<'a>(&'a AtomicBool);
        impl Drop for Done<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _done = Done(&done);
        let client = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                says();
                count += 1;
            }
            count
        });
        setting.point(QWEN);
        until("the new model answers", || says() != first);
        let second = says();
        // What is no model is not taken.
        fs::create_dir(setting.path("broken")).unwrap();
        fs::write(setting.path("broken/config.json"), "{}").unwrap();
        setting.point("broken");
        let failures = "oxilab_model_reload_failures_total{model=\"lm\"} ";
        until("it is refused", || sample(&url, failures) == 1);
        assert_eq!(says(), second);
        done.store(true, Ordering::Relaxed);
        assert!(client.join().expect("no request failed") > 0);
        second
    });
    assert_eq!(sample(&url, "oxilab_model_swaps_total{model=\"lm\"} "), 1);
    assert_eq!(sample(&url, "oxilab_model_behind{model=\"lm\"} "), 1);
    crash(&url);
    assert_eq!(says(), second, "a crash changes nothing");
    setting.point(TINY);
    until("the first one is back", || says() == first);
}
