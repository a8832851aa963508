//! What tests share: turns, journals of their own, the environment, ports.

use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxilab_track as track;

static TURN: Mutex<()> = Mutex::new(());

/// The session and the environment are the process's: tests that use them hold this.
pub(crate) struct Turn(#[expect(dead_code, reason = "held, not read")] MutexGuard<'static, ()>);

pub(crate) fn turn() -> Turn {
    Turn(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Turn {
    /// The journal that a session with a server has, and how many seconds a flush waits for that server.
    pub(crate) fn journal_of_a_server(&self, path: &str, patience: &str) {
        self.set("OXILAB_JOURNAL", Some(path));
        self.set("OXILAB_TRACK_PATIENCE", Some(patience));
    }

    /// The token that servers are shown.
    pub(crate) fn token(&self, token: Option<&str>) {
        self.set("MLFLOW_TRACKING_TOKEN", token);
    }

    #[expect(clippy::unused_self, reason = "who has no turn changes nothing")]
    fn set(&self, name: &str, value: Option<&str>) {
        // SAFETY: tests that look at the environment hold the turn.
        #[expect(
            unsafe_code,
            clippy::disallowed_methods,
            reason = "the environment is how users set it"
        )]
        unsafe {
            match value {
                Some(value) => std::env::set_var(name, value),
                None => std::env::remove_var(name),
            }
        }
    }

    /// The session goes to this journal from now on.
    #[expect(clippy::unused_self, reason = "who has no turn changes nothing")]
    pub(crate) fn journal(&self, path: &str) {
        track::set_uri(&format!("journal:{path}")).expect("journal");
    }
}

/// A folder and the path of a journal in it.
pub(crate) fn new_journal() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("t.sqlite").display().to_string();
    (folder, path)
}

/// A free port of the loopback, and its address.
pub(crate) fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("port");
    let uri = format!("http://{}", listener.local_addr().expect("address"));
    (listener, uri)
}

/// An address where nobody listens any more.
pub(crate) fn nobody() -> String {
    listen().1
}
