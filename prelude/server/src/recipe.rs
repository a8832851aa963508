//! What a model process is started with: [`Recipe`].

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use clap::Parser as _;
use oxilab_serve::Replacement;
use tokio::process::{Child, Command};

use crate::PART;
use crate::args::Args;
use crate::front::{FRONT, TOKEN};
use crate::last::{LAST, Last};
use crate::monitoring::redact::SALT;

/// Milliseconds after which the allocator gives freed memory back. After its own default, a second, what
/// threads hold that do little piles up.
const PURGE_DELAY: &str = "MIMALLOC_PURGE_DELAY";

/// What a front gives to each of its model processes.
pub(crate) struct Gifts<'a> {
    pub(crate) program: &'a Path,
    /// What its owner shows to stop it.
    pub(crate) token: &'a str,
    /// What captured values are hashed with, where the environment says nothing.
    pub(crate) salt: &'a str,
    /// What the process before it had loaded.
    pub(crate) last: &'a Last,
}

/// The command line of a model process, read and checked, and where it runs.
pub(crate) struct Recipe {
    pub(crate) args: Args,
    line: Vec<OsString>,
    /// `None`: as this process has them.
    place: Option<Place>,
}

struct Place {
    environment: BTreeMap<String, String>,
    folder: PathBuf,
}

impl Recipe {
    /// As this process was started.
    pub(crate) fn own(args: Args) -> Self {
        Self { args, line: std::env::args_os().skip(1).collect(), place: None }
    }

    /// As the owner wants it.
    pub(crate) fn of(wanted: Replacement) -> Result<Self> {
        let Replacement { arguments, environment, folder, .. } = wanted;
        let line = std::iter::once("oxilab serve".to_owned()).chain(arguments.iter().cloned());
        let mut args = Args::try_parse_from(line)?;
        args = args.checked_with(environment.get(crate::args::KEY).map(String::as_str))?;
        // This process reads the certificates as well, and stands elsewhere.
        for path in [&mut args.tls_cert, &mut args.tls_key].into_iter().flatten() {
            *path = folder.join(&*path);
        }
        let line = arguments.into_iter().map(OsString::from).collect();
        Ok(Self { args, line, place: Some(Place { environment, folder }) })
    }

    /// Starts the process: the socket that it accepts on is its standard input, `control` its standard
    /// output.
    pub(crate) fn start(
        &self,
        gifts: &Gifts<'_>,
        listener: TcpListener,
        control: StdStream,
    ) -> Result<Child> {
        let program = gifts.program;
        let mut command = Command::new(program);
        command.args(&self.line);
        if let Some(Place { environment, folder }) = &self.place {
            command.env_clear().envs(environment).current_dir(folder);
        }
        if std::env::var_os(PURGE_DELAY).is_none() {
            command.env(PURGE_DELAY, "100");
        }
        command
            .env(PART, "model")
            .env(FRONT, std::process::id().to_string())
            .env(TOKEN, gifts.token)
            .env(SALT, self.own_salt().unwrap_or(gifts.salt))
            .env(LAST, gifts.last.to_text())
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::from(OwnedFd::from(control)))
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))
    }

    /// The salt of another place's environment; [`Gifts`] have that of this one.
    fn own_salt(&self) -> Option<&str> {
        let salt = self.place.as_ref()?.environment.get(SALT)?;
        (!salt.is_empty()).then_some(salt)
    }
}
