//! What the command does besides serving: `list`, `logs`, `stop`, `push`, `kserve`, `retrain`,
//! `promote`, `rollback`.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use oxilab_display::Render;
use oxilab_serve::{Push, Retrain};

/// The first words that mean a chore.
pub(crate) const NAMES: [&str; 8] =
    ["list", "logs", "stop", "push", "kserve", "retrain", "promote", "rollback"];

/// Servers, models and retraining.
#[derive(Debug, Parser)]
#[command(name = "oxilab serve", version)]
pub(crate) enum Chores {
    /// The servers of this user that run.
    List,
    /// The log of a server.
    Logs {
        /// Its name.
        name: String,
    },
    /// Stops a server: it answers what it has begun, then ends.
    Stop {
        /// Its name.
        name: String,
    },
    /// Sends a model to another server, which checks, loads and tries it before it answers. The API key
    /// is `OXILAB_API_KEY` of the environment.
    Push {
        /// A file, `NAME@alias` or `models:/NAME/VERSION`, then `to URL`.
        #[arg(required = true, num_args = 2..=3, value_name = "MODEL to URL")]
        what: Vec<String>,
        /// Another name at the other side.
        #[arg(long)]
        name: Option<String>,
        /// Says what would be sent, and sends nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Writes a folder that Kubernetes with `KServe` can run a model from.
    Kserve {
        /// A file, `NAME@alias` or `models:/NAME/VERSION`.
        model: String,
        /// The folder.
        #[arg(long, default_value = "kserve")]
        folder: PathBuf,
        /// What the built image is called.
        #[arg(long, default_value = "registry.example/model:latest")]
        image: String,
        /// Names the files, and writes none.
        #[arg(long)]
        dry_run: bool,
    },
    /// Runs a declared retraining if one of its triggers holds.
    Retrain {
        /// The declaration (see `serve::Retrain`).
        file: PathBuf,
        /// Runs whether a trigger holds or not.
        #[arg(long)]
        now: bool,
        /// Goes on looking every so many seconds.
        #[arg(long, value_name = "SECONDS")]
        every: Option<f64>,
    },
    /// Points an alias at a version; `rollback` goes back.
    Promote {
        /// `NAME/VERSION`.
        model: String,
        /// The alias.
        alias: String,
    },
    /// Points an alias back at the version before.
    Rollback {
        /// `NAME@alias`.
        model: String,
    },
}

impl Chores {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::List => println!("{}", oxilab_serve::list()?.render().plain()),
            Self::Logs { name } => print!("{}", oxilab_serve::logs(&name)?),
            Self::Stop { name } => oxilab_serve::stop(&name)?,
            Self::Push { what, name, dry_run } => {
                let (model, url) = match what.as_slice() {
                    [model, url] => (model, url),
                    [model, to, url] if to == "to" => (model, url),
                    _ => bail!("write it as: oxilab serve push MODEL to URL"),
                };
                let mut push = Push::new(model, url);
                if let Some(name) = name {
                    push = push.with_name(name);
                }
                let sent = if dry_run { push.dry_run()? } else { push.send()? };
                println!("{}", sent.render().plain());
            }
            Self::Kserve { model, folder, image, dry_run } => {
                for path in oxilab_serve::kserve(&model, &folder, &image, dry_run)? {
                    println!("{}", path.display());
                }
            }
            Self::Retrain { file, now, every } => retrain(&Retrain::load(file)?, now, every)?,
            Self::Promote { model, alias } => {
                let (name, version) = model.split_once('/').context("write it as NAME/VERSION")?;
                let version = version.parse().context("the version must be a number")?;
                oxilab_serve::promote(name, version, &alias)?;
                println!("{name}@{alias} is version {version}");
            }
            Self::Rollback { model } => {
                let (name, alias) = model.split_once('@').context("write it as NAME@alias")?;
                let version = oxilab_serve::rollback(name, alias)?.version;
                println!("{name}@{alias} is version {version} again");
            }
        }
        Ok(())
    }
}

fn retrain(declared: &Retrain, now: bool, every: Option<f64>) -> Result<()> {
    let mut done = if now { declared.run("asked for").map(Some) } else { declared.run_if_due() };
    loop {
        match done {
            Ok(Some(done)) => {
                // A service goes on where nobody reads it, or the disk is full.
                let _ = writeln!(std::io::stdout(), "{}", done.to_json());
            }
            Ok(None) if every.is_none() => println!("{}: no trigger holds", declared.name()),
            Ok(None) => {}
            // A service goes on; a single run says so with its status.
            Err(error) if every.is_some() => tracing::error!(%error, "retraining failed"),
            Err(error) => return Err(error.into()),
        }
        let Some(seconds) = every else { return Ok(()) };
        std::thread::sleep(Duration::from_secs_f64(seconds.clamp(0.1, 86_400.0)));
        done = declared.run_if_due();
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_chore_is_known_by_its_first_word() {
        let command = Chores::command();
        command.clone().debug_assert();
        let mut names: Vec<&str> = command.get_subcommands().map(|c| c.get_name()).collect();
        let mut known = NAMES.to_vec();
        names.sort_unstable();
        known.sort_unstable();
        assert_eq!(names, known);
    }
}
