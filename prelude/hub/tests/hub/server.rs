//! A small hub: files of one repository, large ones behind a redirect to another host (another port).

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use sha2::{Digest as _, Sha256};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub(crate) const OTHER: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) range: Option<String>,
    /// Whether it came to the host of the large files.
    pub(crate) elsewhere: bool,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    main: String,
    damaged: bool,
    token: Option<String>,
    /// After how many bytes a transfer breaks, and how many more do.
    breaks: (usize, usize),
    refuse_after_break: bool,
    refusing: bool,
    /// The hub itself answers nothing else than 503.
    down: bool,
    /// The hub does not say how large a file is.
    sizeless: bool,
}

/// Two listeners and their state; dropped, both end.
pub(crate) struct Server {
    state: Arc<Mutex<State>>,
    ports: [u16; 2],
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let ports = listeners.each_ref().map(|l| l.local_addr().expect("bound").port());
        let state = Arc::new(Mutex::new(State { main: COMMIT.to_owned(), ..State::default() }));
        let stop = Arc::new(AtomicBool::new(false));
        let threads = listeners
            .into_iter()
            .enumerate()
            .map(|(place, listener)| {
                let (state, stop) = (Arc::clone(&state), Arc::clone(&stop));
                std::thread::spawn(move || {
                    for stream in listener.incoming() {
                        if stop.load(Ordering::SeqCst) {
                            return;
                        }
                        let state = Arc::clone(&state);
                        let stream = stream.expect("a connection");
                        std::thread::spawn(move || serve(&stream, &state, place == 1, ports[1]));
                    }
                })
            })
            .collect();
        Self { state, ports, stop, threads }
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.lock().expect("state").requests.clone()
    }

    #[expect(clippy::unused_self, reason = "reads as the server's file")]
    pub(crate) fn large(&self) -> Vec<u8> {
        large()
    }

    pub(crate) fn damage(&self) {
        self.state.lock().expect("state").damaged = true;
    }

    pub(crate) fn require_token(&self, token: &str) {
        self.state.lock().expect("state").token = Some(format!("Bearer {token}"));
    }

    pub(crate) fn break_after(&self, bytes: usize, times: usize) {
        self.state.lock().expect("state").breaks = (bytes, times);
    }

    pub(crate) fn refuse_after_break(&self) {
        self.state.lock().expect("state").refuse_after_break = true;
    }

    pub(crate) fn heal(&self) {
        let mut state = self.state.lock().expect("state");
        (state.refusing, state.refuse_after_break) = (false, false);
    }

    pub(crate) fn go_down(&self) {
        self.state.lock().expect("state").down = true;
    }

    pub(crate) fn hide_sizes(&self) {
        self.state.lock().expect("state").sizeless = true;
    }

    pub(crate) fn move_main(&self, commit: &str) {
        commit.clone_into(&mut self.state.lock().expect("state").main);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for port in self.ports {
            drop(TcpStream::connect(("127.0.0.1", port)));
        }
        for thread in self.threads.drain(..) {
            drop(thread.join());
        }
    }
}

fn large() -> Vec<u8> {
    (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn small(file: &str) -> Option<&'static str> {
    match file {
        "config.json" => Some("{\"small\": true}"),
        "1_Pooling/config.json" => Some("{}"),
        _ => None,
    }
}

fn serve(stream: &TcpStream, state: &Mutex<State>, elsewhere: bool, other: u16) {
    let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
    let mut line = String::new();
    if reader.read_line(&mut line).is_err() || line.is_empty() {
        return;
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut token, mut range) = (None, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() || line.trim().is_empty() {
            break;
        }
        let Some((name, value)) = line.split_once(':') else { continue };
        match name.to_lowercase().as_str() {
            "authorization" => token = Some(value.trim().to_owned()),
            "range" => range = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let request = Request { method, path, token, range, elsewhere };
    let mut state = state.lock().expect("state");
    state.requests.push(request.clone());
    let answer =
        if elsewhere { content(&mut state, &request) } else { page(&state, &request, other) };
    drop(state);
    let mut stream = stream;
    // A client that has gone away is no matter of the server's.
    drop(stream.write_all(&answer));
    drop(stream.flush());
    drop(stream.shutdown(Shutdown::Both));
}

fn answer(status: &str, headers: &[(&str, String)], body: &[u8], head: bool) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !headers.iter().any(|(name, _)| *name == "Content-Length") {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    let mut bytes = (text + "\r\n").into_bytes();
    if !head {
        bytes.extend_from_slice(body);
    }
    bytes
}

fn page(state: &State, request: &Request, other: u16) -> Vec<u8> {
    let head = request.method == "HEAD";
    let fail = |status: &str, code: &str| {
        answer(status, &[("X-Error-Code", code.to_owned())], b"no", head)
    };
    if state.down {
        return fail("503 Service Unavailable", "");
    }
    if state.token.is_some() && state.token != request.token {
        return fail("401 Unauthorized", "RepoNotFound");
    }
    if let Some(rest) = request.path.strip_prefix("/api/models/org/tiny/revision/") {
        let commit = match rest {
            "main" => state.main.as_str(),
            COMMIT | OTHER => rest,
            _ => return fail("404 Not Found", "RevisionNotFound"),
        };
        let files = ["config.json", "1_Pooling/config.json", "model.safetensors"];
        let files: Vec<String> =
            files.iter().map(|file| format!("{{\"rfilename\": \"{file}\"}}")).collect();
        let body = format!("{{\"sha\": \"{commit}\", \"siblings\": [{}]}}", files.join(","));
        return answer("200 OK", &[], body.as_bytes(), head);
    }
    let path = request.path.strip_prefix("/datasets").unwrap_or(&request.path);
    let Some(rest) = path.strip_prefix("/org/tiny/resolve/") else {
        return fail("404 Not Found", "RepoNotFound");
    };
    let Some((revision, file)) = rest.split_once('/') else {
        return fail("404 Not Found", "EntryNotFound");
    };
    let commit = match revision {
        "main" => state.main.clone(),
        COMMIT | OTHER => revision.to_owned(),
        _ => return fail("404 Not Found", "RevisionNotFound"),
    };
    let commit = ("X-Repo-Commit", commit);
    if let Some(text) = small(file) {
        let etag = ("ETag", format!("\"{}\"", &hex::encode(Sha256::digest(text))[..40]));
        return answer("200 OK", &[commit, etag], text.as_bytes(), head);
    }
    if file != "model.safetensors" {
        return fail("404 Not Found", "EntryNotFound");
    }
    let etag = hex::encode(Sha256::digest(large()));
    let mut headers = vec![
        commit,
        ("X-Linked-ETag", format!("\"{etag}\"")),
        ("Location", format!("http://127.0.0.1:{other}/{etag}?signature=secret")),
    ];
    if !state.sizeless {
        headers.push(("X-Linked-Size", large().len().to_string()));
    }
    answer("302 Found", &headers, b"moved", head)
}

fn content(state: &mut State, request: &Request) -> Vec<u8> {
    if state.refusing {
        return answer("503 Service Unavailable", &[], b"", false);
    }
    let mut body = large();
    if state.damaged {
        body[1000] ^= 1;
    }
    let whole = body.len();
    let start = request
        .range
        .as_deref()
        .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    if start.is_some_and(|start| start >= whole) {
        let range = ("Content-Range", format!("bytes */{whole}"));
        return answer("416 Range Not Satisfiable", &[range], b"", false);
    }
    let body = &body[start.unwrap_or(0)..];
    let mut headers = vec![("Content-Length", body.len().to_string())];
    let status = if let Some(start) = start {
        headers.push(("Content-Range", format!("bytes {start}-{}/{whole}", whole - 1)));
        "206 Partial Content"
    } else {
        "200 OK"
    };
    let sent = if state.breaks.1 > 0 {
        state.breaks.1 -= 1;
        state.refusing = state.refuse_after_break;
        &body[..state.breaks.0.min(body.len())]
    } else {
        body
    };
    answer(status, &headers, sent, false)
}
