//! The control socket: on it the owner tells a running server of other models: [`open`], [`Request`].
//!
//! It lies beside the state file, where only the owner can write, and whoever speaks on it shows the token
//! of that file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use oxilab_serve::{Replaced, Replacement};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

use crate::limits::sha256;

/// The owner sends one line at once.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of that line: a command line and an environment.
const LONGEST: u64 = 4 << 20;

/// The socket, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Control {
    path: PathBuf,
}

impl Control {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What the owner wants, and the owner.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) wanted: Replacement,
    pub(crate) owner: Owner,
}

/// Whoever asked; the connection lasts until the answer.
#[derive(Debug)]
pub(crate) struct Owner {
    words: BufReader<tokio::io::Take<OwnedReadHalf>>,
    answer: OwnedWriteHalf,
}

impl Owner {
    /// Done when nobody waits for the answer any more.
    pub(crate) async fn gone(&mut self) {
        let mut rest = [0; 64];
        while self.words.read(&mut rest).await.is_ok_and(|length| length > 0) {}
    }

    pub(crate) async fn answer(mut self, outcome: Replaced) {
        let text = serde_json::to_string(&outcome).unwrap_or_default();
        // They may be gone.
        let _ = self.answer.write_all(format!("{text}\n").as_bytes()).await;
    }
}

/// Opens the socket beside a state file; what comes in is sent on.
pub(crate) fn open(state: &Path, token: &str) -> Result<(Control, mpsc::Receiver<Request>)> {
    // The process's number and not the server's name, which may be longer than a socket's path.
    let path = state.with_file_name(format!("{}.socket", std::process::id()));
    let path = std::path::absolute(&path).unwrap_or(path);
    let doing = || format!("cannot make the socket {}", path.display());
    // Of a process of that number that was killed.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(doing)?;
    let (sender, requests) = mpsc::channel(1);
    let token = token.to_owned();
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (sender, token) = (sender.clone(), token.clone());
            tokio::spawn(async move {
                match tokio::time::timeout(PATIENCE, read(stream, &token)).await {
                    Ok(Ok(request)) => drop(sender.send(request).await),
                    Ok(Err(error)) => tracing::warn!("the control socket: {error:#}"),
                    Err(_) => tracing::warn!("the control socket: nothing was said"),
                }
            });
        }
    });
    Ok((Control { path }, requests))
}

async fn read(stream: UnixStream, token: &str) -> Result<Request> {
    let (words, answer) = stream.into_split();
    let mut words = BufReader::new(words.take(LONGEST));
    let mut line = String::new();
    words.read_line(&mut line).await.context("cannot read")?;
    // Nothing of the line is in the error: it holds an environment.
    let wanted: Replacement = serde_json::from_str(&line)
        .map_err(|error| anyhow!("what was said is no request: {:?}", error.classify()))?;
    // Hashes are compared, which tells nothing about the token.
    let fits = sha256(wanted.token.as_bytes()) == sha256(token.as_bytes());
    ensure!(fits && !token.is_empty(), "the token is wrong");
    Ok(Request { wanted, owner: Owner { words, answer } })
}
