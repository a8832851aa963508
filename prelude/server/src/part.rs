//! A model process from the front's side: [`Part`].

use std::net::TcpListener;
use std::os::unix::net::UnixStream as StdStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::control::Request;
use crate::front::{FAILED, READY, STOP, STOPPING};
use crate::last::Last;
use crate::recipe::{Gifts, Recipe};

/// What a model process has beyond the time of a request.
const GRACE: Duration = Duration::from_secs(5);

/// A model process, and how to talk with it.
pub(crate) struct Part {
    child: Child,
    words: tokio::io::Lines<BufReader<OwnedReadHalf>>,
    control: OwnedWriteHalf,
    /// What it has loaded.
    loaded: Last,
}

/// How a model process went.
pub(crate) enum End {
    /// Somebody wanted it.
    Stopped,
    /// Nobody wanted it.
    Crashed(String),
    /// It goes on, and somebody wants other models.
    Asked(Request),
}

impl Part {
    /// Starts a process that accepts on `listener`.
    pub(crate) fn start(
        recipe: &Recipe,
        gifts: &Gifts<'_>,
        listener: &TcpListener,
    ) -> Result<Self> {
        let (ours, theirs) = StdStream::pair().context("cannot make a pair of sockets")?;
        ours.set_nonblocking(true).context("cannot make a pair of sockets")?;
        let listener = listener.try_clone().context("cannot share the socket")?;
        let child = recipe.start(gifts, listener, theirs)?;
        let (read, control) = UnixStream::from_std(ours).context("cannot talk")?.into_split();
        let words = BufReader::new(read).lines();
        Ok(Self { child, words, control, loaded: Last::default() })
    }

    /// What it has loaded, or had.
    pub(crate) fn loaded(&self) -> &Last {
        &self.loaded
    }

    /// Whether it is ready; not if it was stopped before. An error if it ended.
    pub(crate) async fn until_ready(&mut self, stop: &Notify) -> Result<bool> {
        loop {
            tokio::select! {
                word = self.words.next_line() => match word {
                    Ok(Some(word)) if word == READY => return Ok(true),
                    Ok(Some(word)) if word.starts_with(FAILED) => {
                        bail!("{}", word.trim_start_matches(FAILED));
                    }
                    Ok(Some(word)) => self.hear(&word),
                    Ok(None) | Err(_) => {
                        let status = self.child.wait().await.context("cannot wait")?;
                        bail!("the model process did not start ({status})");
                    }
                },
                () = stop.notified() => {
                    let _ = self.child.kill().await;
                    // Who waits for the end in `until_end` is told as well.
                    stop.notify_one();
                    return Ok(false);
                }
            }
        }
    }

    pub(crate) async fn until_end(
        &mut self,
        stop: &Notify,
        patience: Duration,
        requests: &mut Option<mpsc::Receiver<Request>>,
    ) -> End {
        let mut wanted = false;
        loop {
            tokio::select! {
                request = next(requests), if !wanted => return End::Asked(request),
                word = self.words.next_line(), if !wanted => match word {
                    Ok(Some(word)) if word == STOPPING => wanted = true,
                    Ok(Some(word)) => self.hear(&word),
                    Ok(None) | Err(_) => {
                        let status = self.child.wait().await;
                        return End::Crashed(status.map_or_else(|e| e.to_string(), |s| format!("ended ({s})")));
                    }
                },
                () = stop.notified(), if !wanted => {
                    wanted = true;
                    // It may have ended already.
                    let _ = self.control.write_all(format!("{STOP}\n").as_bytes()).await;
                }
                () = std::future::ready(()), if wanted => {
                    self.finish(patience).await;
                    return End::Stopped;
                }
            }
        }
    }

    fn hear(&mut self, word: &str) {
        if !self.loaded.hear(word) {
            // What C libraries print.
            tracing::info!("{word}");
        }
    }

    /// Accepts no more connections from here on; those under way are finished in the background.
    pub(crate) async fn retire(mut self, patience: Duration, retired: &mut JoinSet<()>) {
        // It may have ended already.
        let _ = self.control.write_all(format!("{STOP}\n").as_bytes()).await;
        let told = async {
            while let Ok(Some(word)) = self.words.next_line().await {
                if word == STOPPING {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(GRACE, told).await;
        while retired.try_join_next().is_some() {}
        retired.spawn(async move { self.finish(patience).await });
    }

    async fn finish(&mut self, patience: Duration) {
        if tokio::time::timeout(patience + GRACE, self.child.wait()).await.is_err() {
            tracing::warn!("the model process did not end in time and is killed");
            let _ = self.child.kill().await;
        }
    }
}

/// What is asked for next; never done where nothing can be asked.
pub(crate) async fn next(requests: &mut Option<mpsc::Receiver<Request>>) -> Request {
    if let Some(open) = requests
        && let Some(request) = open.recv().await
    {
        return request;
    }
    std::future::pending().await
}
