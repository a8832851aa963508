//! The hub's side of a download: what a file is, and its bytes.

use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use oxilab_runtime::{cancel, progress::Progress};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Agent, Body};

use crate::cache::{GLANCE, create, is_commit, parent};
use crate::error::{HubError, Result};
use crate::hub::check_path;

/// A file that somebody asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) kind: &'static str,
    pub(crate) repo: &'a str,
    pub(crate) revision: &'a str,
    pub(crate) file: &'a str,
}

/// What the hub says of a file.
pub(crate) struct Info {
    pub(crate) commit: String,
    /// The name of the content: its SHA-256 for large files.
    pub(crate) etag: String,
    pub(crate) size: Option<u64>,
}

impl Info {
    fn sha256(&self) -> Option<&str> {
        let hex = self.etag.len() == 64 && self.etag.bytes().all(|byte| byte.is_ascii_hexdigit());
        hex.then_some(self.etag.as_str())
    }
}

/// Redirects followed for one request, and attempts at a transfer that brings no byte.
const REDIRECTS: usize = 5;
const ATTEMPTS: usize = 3;
/// A list of files that is longer is not believed.
const LIST_LIMIT: u64 = 64 << 20;

/// A hub that can be asked.
pub(crate) struct Remote<'a> {
    agent: Agent,
    endpoint: &'a str,
    token: Option<&'a str>,
    cache: &'a Path,
    quiet: bool,
}

impl<'a> Remote<'a> {
    pub(crate) fn new(
        endpoint: &'a str,
        token: Option<&'a str>,
        cache: &'a Path,
        quiet: bool,
    ) -> Self {
        // Redirects are followed here, because the token must not follow them.
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_recv_response(Some(Duration::from_secs(30)))
            .timeout_per_read(Some(Duration::from_secs(30)))
            .user_agent("oxilab-hub")
            .build()
            .new_agent();
        Self { agent, endpoint: endpoint.trim_end_matches('/'), token, cache, quiet }
    }

    /// Commit, name and size of a file.
    pub(crate) fn head(&self, wanted: &Wanted<'_>) -> Result<Info> {
        let url = self.address(wanted);
        // The hub's own answer holds the headers, the one behind a redirect elsewhere does not.
        let mut response = self.send("HEAD", &url, wanted, None)?;
        let mut at = url;
        for _ in 0..REDIRECTS {
            match Self::next(&at, &response, wanted)? {
                Some(next) if same_host(&next, self.endpoint) => {
                    response = self.send("HEAD", &next, wanted, None)?;
                    at = next;
                }
                _ => break,
            }
        }
        if !response.status().is_success() && !response.status().is_redirection() {
            return Err(self.refusal(wanted, &response));
        }
        let headers = response.headers();
        let etag = header(headers, "x-linked-etag").or_else(|| header(headers, "etag"));
        let etag = etag.map(|tag| tag.trim_start_matches("W/").trim_matches('"').to_owned());
        let plain = |tag: &String| {
            (1..=128).contains(&tag.len())
                && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        let commit = header(headers, "x-repo-commit").map(str::to_owned);
        let (Some(etag), Some(commit)) =
            (etag.filter(plain), commit.filter(|commit| is_commit(commit)))
        else {
            return Err(refused(
                wanted,
                "the answer has no usable ETag and X-Repo-Commit; is the address that of a hub?",
            ));
        };
        let size = header(headers, "x-linked-size").or_else(|| {
            // Behind a redirect the length is that of the redirect's text.
            response.status().is_success().then(|| header(headers, "content-length")).flatten()
        });
        Ok(Info { commit, etag, size: size.and_then(|size| size.parse().ok()) })
    }

    /// The commit of a revision and its files.
    pub(crate) fn list(
        &self,
        kind: &'static str,
        repo: &str,
        revision: &str,
    ) -> Result<(String, Vec<String>)> {
        #[derive(Deserialize)]
        struct Listing {
            sha: String,
            #[serde(default)]
            siblings: Vec<Sibling>,
        }
        #[derive(Deserialize)]
        struct Sibling {
            rfilename: String,
        }
        let wanted = Wanted { kind, repo, revision, file: "" };
        let revision = encode(revision).replace('/', "%2F");
        let url = format!("{}/api/{kind}/{repo}/revision/{revision}", self.endpoint);
        let mut response = self.send("GET", &url, &wanted, None)?;
        if !response.status().is_success() {
            return Err(self.refusal(&wanted, &response));
        }
        let read = move || response.body_mut().with_config().limit(LIST_LIMIT).read_to_vec();
        let body = unless_interrupted(read).ok_or_else(|| interrupted(&wanted))?;
        let body = body.map_err(|e| self.unreachable(&wanted, &e))?;
        let listing: Listing = serde_json::from_slice(&body)
            .map_err(|e| refused(&wanted, format!("its list of files cannot be read: {e}")))?;
        if !is_commit(&listing.sha) {
            return Err(refused(&wanted, "its list of files names no commit"));
        }
        let files: Vec<String> =
            listing.siblings.into_iter().map(|sibling| sibling.rfilename).collect();
        files.iter().try_for_each(|file| check_path("the file", file))?;
        Ok((listing.sha, files))
    }

    /// Loads a file into `blob`, from where an earlier attempt broke off.
    pub(crate) fn download(&self, wanted: &Wanted<'_>, info: &Info, blob: &Path) -> Result<()> {
        create(parent(blob))?;
        let mut partial = blob.as_os_str().to_owned();
        partial.push(".incomplete");
        let partial = Path::new(&partial);
        let failed = |e| HubError::file("write", partial, e);
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(partial)
            .map_err(failed)?;
        let bar = (!self.quiet).then(|| Progress::new(wanted.file, info.size));
        let mut idle = 0;
        loop {
            let start = file.seek(SeekFrom::End(0)).map_err(failed)?;
            if info.size.is_some_and(|size| start > size) {
                file.set_len(0).map_err(failed)?;
                continue;
            }
            if start > 0 && info.size == Some(start) {
                break;
            }
            let pinned = Wanted { revision: &info.commit, ..*wanted };
            match self.transfer(&pinned, info, &mut file, start, bar.as_ref()) {
                Ok(()) => break,
                Err(stop @ (Stop::Fatal(_) | Stop::Interrupted)) => return Err(stop.error(wanted)),
                Err(Stop::Network(reason)) => {
                    let got = file.seek(SeekFrom::End(0)).map_err(failed)?;
                    idle = if got > start { 0 } else { idle + 1 };
                    if idle >= ATTEMPTS {
                        let size = info.size.unwrap_or(got);
                        return Err(HubError::Broken {
                            file: wanted.file.to_owned(),
                            got,
                            size,
                            reason,
                        });
                    }
                    std::thread::sleep(Duration::from_millis(100 << idle));
                }
            }
        }
        file.sync_all().map_err(failed)?;
        drop(file);
        if let Some(expected) = info.sha256()
            && let Err(error) = check_sum(partial, wanted.file, expected)
        {
            std::fs::remove_file(partial).map_err(|e| HubError::file("remove", partial, e))?;
            return Err(error);
        }
        std::fs::rename(partial, blob).map_err(|e| HubError::file("write", blob, e))
    }

    /// One connection: appends what it brings.
    fn transfer(
        &self,
        wanted: &Wanted<'_>,
        info: &Info,
        file: &mut std::fs::File,
        start: u64,
        bar: Option<&Progress>,
    ) -> Result<(), Stop> {
        let mut at = self.address(wanted);
        let mut response = self.open(&at, wanted, start)?;
        for _ in 0..REDIRECTS {
            let Some(next) = Self::next(&at, &response, wanted).map_err(Stop::Fatal)? else {
                break;
            };
            response = self.open(&next, wanted, start)?;
            at = next;
        }
        let mut got = match response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = header(response.headers(), "content-range").unwrap_or_default();
                if !range.starts_with(&format!("bytes {start}-")) {
                    return Err(Stop::Fatal(refused(wanted, "it answered with another range")));
                }
                start
            }
            StatusCode::OK => {
                // The server does not resume: from the start.
                file.set_len(0).map_err(|e| Stop::Network(e.to_string()))?;
                file.seek(SeekFrom::Start(0)).map_err(|e| Stop::Network(e.to_string()))?;
                0
            }
            // There is nothing behind what an earlier attempt brought: all of it, or more than there is.
            StatusCode::RANGE_NOT_SATISFIABLE if start > 0 => {
                let range = header(response.headers(), "content-range").unwrap_or_default();
                let whole = info.size.is_none_or(|size| size == start);
                if whole && range == format!("bytes */{start}") {
                    return Ok(());
                }
                file.set_len(0).map_err(|e| Stop::Network(e.to_string()))?;
                return Err(Stop::Network("what was there is not a part of the file".to_owned()));
            }
            status if is_passing(status) => {
                return Err(Stop::Network(format!("the server says {status}")));
            }
            _ => return Err(Stop::Fatal(self.refusal(wanted, &response))),
        };
        let pieces = pieces(response.into_body());
        loop {
            let piece = match arrived(&pieces) {
                Ok(piece) => piece.map_err(|e| Stop::Network(e.to_string()))?,
                Err(Silence::Ended) => break,
                Err(Silence::Interrupted) => return Err(Stop::Interrupted),
            };
            got += piece.len() as u64;
            if info.size.is_some_and(|size| got > size) {
                let reason = format!("more bytes came than the {:?} announced", info.size);
                return Err(Stop::Fatal(refused(wanted, reason)));
            }
            file.write_all(&piece)
                .map_err(|e| Stop::Fatal(HubError::file("write", self.cache, e)))?;
            if let Some(bar) = bar {
                bar.set(got);
            }
        }
        match info.size {
            Some(size) if got < size => Err(Stop::Network("the connection ended".to_owned())),
            _ => Ok(()),
        }
    }

    fn open(&self, url: &str, wanted: &Wanted<'_>, start: u64) -> Result<Response<Body>, Stop> {
        self.send("GET", url, wanted, Some(start)).map_err(|error| match error {
            HubError::NotCached { reason, .. } => Stop::Network(reason),
            HubError::Interrupted { .. } => Stop::Interrupted,
            other => Stop::Fatal(other),
        })
    }

    fn send(
        &self,
        method: &str,
        url: &str,
        wanted: &Wanted<'_>,
        start: Option<u64>,
    ) -> Result<Response<Body>> {
        let mut request = if method == "HEAD" { self.agent.head(url) } else { self.agent.get(url) };
        request = request.header("accept-encoding", "identity");
        if let Some(token) = self.token.filter(|_| same_host(url, self.endpoint)) {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(start) = start.filter(|start| *start > 0) {
            request = request.header("range", format!("bytes={start}-"));
        }
        let response = unless_interrupted(move || request.call());
        let response = response.ok_or_else(|| interrupted(wanted))?;
        response.map_err(|e| self.unreachable(wanted, &e))
    }

    /// Where a redirect leads. Never from https to http.
    fn next(from: &str, response: &Response<Body>, wanted: &Wanted<'_>) -> Result<Option<String>> {
        if !response.status().is_redirection() {
            return Ok(None);
        }
        let Some(location) = header(response.headers(), "location") else {
            return Err(refused(wanted, "it redirects to nowhere"));
        };
        let next = if location.starts_with('/') {
            format!("{}{location}", origin(from))
        } else {
            location.to_owned()
        };
        let web = next.starts_with("https://")
            || (next.starts_with("http://") && from.starts_with("http://"));
        if web { Ok(Some(next)) } else { Err(refused(wanted, "it redirects to no safe address")) }
    }

    fn address(&self, wanted: &Wanted<'_>) -> String {
        let Wanted { kind, repo, revision, file } = wanted;
        let folder = if *kind == "models" { String::new() } else { format!("{kind}/") };
        let (revision, file) = (encode(revision).replace('/', "%2F"), encode(file));
        format!("{}/{folder}{repo}/resolve/{revision}/{file}", self.endpoint)
    }

    fn unreachable(&self, wanted: &Wanted<'_>, error: &ureq::Error) -> HubError {
        self.gone(wanted, format!("{} cannot be reached: {error}", self.endpoint))
    }

    /// What an answer that is neither a file nor a way to it means. A hub with a fault of its own is as
    /// good as one that cannot be reached.
    fn refusal(&self, wanted: &Wanted<'_>, response: &Response<Body>) -> HubError {
        let status = response.status();
        if is_passing(status) {
            return self.gone(wanted, format!("{} says {status}", self.endpoint));
        }
        refusal(wanted, response, self.token.is_some())
    }

    fn gone(&self, wanted: &Wanted<'_>, reason: String) -> HubError {
        HubError::NotCached {
            file: format!("{}/{}", wanted.repo, wanted.file),
            cache: self.cache.to_owned(),
            reason,
        }
    }
}

/// Whether a server that says this may say something else a little later.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Why a connection ended early.
enum Stop {
    /// Worth another attempt.
    Network(String),
    Fatal(HubError),
    Interrupted,
}

impl Stop {
    fn error(self, wanted: &Wanted<'_>) -> HubError {
        match self {
            Self::Fatal(error) => error,
            _ => interrupted(wanted),
        }
    }
}

fn interrupted(wanted: &Wanted<'_>) -> HubError {
    HubError::Interrupted { file: wanted.file.to_owned() }
}

/// What `work`, which waits for the network, comes to; `None` when the user does not wait for it. On a
/// thread of its own, because ureq goes on with a read that a signal has ended: only a timeout ends it.
fn unless_interrupted<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done_tx, done_rx) = sync_channel(1);
    std::thread::spawn(move || {
        // Nobody listens any more after an interrupt.
        let _ = done_tx.send(work());
    });
    arrived(&done_rx).ok()
}

/// The pieces of a body as they come.
fn pieces(body: Body) -> Receiver<std::io::Result<Vec<u8>>> {
    let (piece_tx, piece_rx) = sync_channel(4);
    std::thread::spawn(move || {
        let mut reader = body.into_with_config().limit(u64::MAX).reader();
        let mut buffer = vec![0u8; 256 << 10];
        loop {
            let read = reader.read(&mut buffer);
            if matches!(read, Ok(0)) {
                return;
            }
            let failed = read.is_err();
            let piece = read.map(|length| buffer[..length].to_vec());
            // Nobody listens any more after an interrupt.
            if piece_tx.send(piece).is_err() || failed {
                return;
            }
        }
    });
    piece_rx
}

/// Why nothing comes.
enum Silence {
    /// There is no more.
    Ended,
    /// The user does not wait for it.
    Interrupted,
}

fn arrived<T>(from: &Receiver<T>) -> std::result::Result<T, Silence> {
    loop {
        if cancel::requested() {
            return Err(Silence::Interrupted);
        }
        match from.recv_timeout(GLANCE) {
            Ok(found) => return Ok(found),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Silence::Ended),
        }
    }
}

/// Refuses a file with another SHA-256.
pub(crate) fn check_sum(path: &Path, file: &str, expected: &str) -> Result<()> {
    let failed = |e| HubError::file("read", path, e);
    let mut reader = std::fs::File::open(path).map_err(failed)?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0u8; 1 << 20];
    loop {
        let read = reader.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        sum.update(&buffer[..read]);
    }
    let got = hex::encode(sum.finalize());
    if got.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(HubError::Checksum { file: file.to_owned(), expected: expected.to_owned(), got })
}

/// Percent-encodes all but the characters of plain paths.
fn encode(path: &str) -> String {
    use std::fmt::Write as _;
    path.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn same_host(url: &str, endpoint: &str) -> bool {
    origin(url).eq_ignore_ascii_case(origin(endpoint))
}

/// Scheme, host and port.
fn origin(url: &str) -> &str {
    let Some(start) = url.find("://").map(|at| at + 3) else { return url };
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    &url[..end]
}

fn refusal(wanted: &Wanted<'_>, response: &Response<Body>, token: bool) -> HubError {
    let code = header(response.headers(), "x-error-code").unwrap_or_default();
    let status = response.status();
    let reason = match (code, status.as_u16()) {
        ("EntryNotFound", _) => "there is no such file".to_owned(),
        ("RevisionNotFound", _) => "there is no such branch, tag or commit".to_owned(),
        ("GatedRepo", _) => {
            "it is gated: accept its conditions on the hub, then give a token (HF_TOKEN)".to_owned()
        }
        ("RepoNotFound", _) | (_, 401 | 403) if token => {
            "there is no such repository, or this token may not read it".to_owned()
        }
        ("RepoNotFound", _) | (_, 401 | 403) => {
            "there is no such repository, or it is private: give a token (HF_TOKEN)".to_owned()
        }
        (_, 404) => "not found".to_owned(),
        _ => format!("the server says {status}"),
    };
    refused(wanted, reason)
}

fn refused(wanted: &Wanted<'_>, reason: impl Into<String>) -> HubError {
    HubError::Refused {
        file: format!("{}/{} at revision {}", wanted.repo, wanted.file, wanted.revision),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded() {
        assert_eq!(encode("a b/ü.json"), "a%20b/%C3%BC.json");
    }

    #[test]
    fn the_token_stays_with_scheme_host_and_port() {
        assert!(same_host("http://hub:80/a?b", "http://hub:80"));
        for other in ["https://hub:80/a", "http://hub:81/a", "http://hub.evil/a", "http://evil/hub"]
        {
            assert!(!same_host(other, "http://hub:80"), "{other}");
        }
        assert!(!same_host("http://hub:80@evil/a", "http://hub:80"));
    }
}
