//! The command line: `install`, `uninstall`, `doctor`, `kernel`, `run`, `serve`, `track`.
//!
//! One file per group of commands; errors are printed with their causes and end with status 1.

pub mod engine;
mod kernel;
mod manage;
mod run;
mod serve;
mod track;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use engine::Engine;
use tracing_subscriber::EnvFilter;

/// Jupyter kernel and machine-learning workbench for Rust.
#[derive(Debug, Parser)]
#[command(name = "oxilab", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build what is missing and tell Jupyter about the kernel.
    Install(InstallArgs),
    /// Remove the kernel from Jupyter.
    Uninstall(UninstallArgs),
    /// Check the toolchain, the linker, the prelude and Jupyter.
    Doctor,
    /// Run a notebook without Jupyter.
    Run(RunArgs),
    /// Serve models over HTTP; list, stop, push, retrain (`oxilab serve --help`).
    #[command(disable_help_flag = true)]
    Serve(ServeArgs),
    /// Send tracked runs and models to a server.
    #[command(subcommand)]
    Track(TrackCommand),
    /// Serve a connection file; Jupyter calls this.
    Kernel(KernelArgs),
}

#[derive(Debug, Subcommand)]
enum TrackCommand {
    /// Send a journal's runs and models to an MLflow server; again sends what is new.
    Sync(SyncArgs),
}

#[derive(Debug, Args)]
struct SyncArgs {
    /// The server, `http://HOST:PORT`; else `MLFLOW_TRACKING_URI`.
    uri: Option<String>,
    /// The journal.
    #[arg(long, value_name = "FILE", default_value = ".oxilab/track.sqlite")]
    journal: PathBuf,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct PlaceArgs {
    /// Install for the current user (the default).
    #[arg(long)]
    user: bool,
    /// Install into the active Python environment.
    #[arg(long)]
    sys_prefix: bool,
    /// Install below this folder.
    #[arg(long, value_name = "FOLDER")]
    prefix: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct InstallArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Build from this checkout instead of the one this program was built from.
    #[arg(long, value_name = "FOLDER")]
    source: Option<PathBuf>,
    /// Install the JupyterLab extension as well: variables, frames, formatting.
    #[arg(long)]
    lab: bool,
    /// Build the prelude with these of its cargo features: `cuda`, `metal`, `llama-cpp`.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    features: Vec<String>,
}

#[derive(Debug, Args)]
struct UninstallArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Remove the built libraries and the cache as well.
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The notebook.
    notebook: PathBuf,
    /// Write the executed notebook here.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a page of HTML here.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Set a parameter: a JSON value, or else a text.
    #[arg(short, long = "param", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Go on after a cell that fails.
    #[arg(long)]
    allow_errors: bool,
    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// What `oxilab-server` is given.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

#[derive(Debug, Args)]
struct KernelArgs {
    /// The connection file that Jupyter wrote.
    #[arg(short = 'f', long, value_name = "FILE")]
    connection_file: PathBuf,
    #[command(flatten)]
    engine: EngineArgs,
}

#[derive(Clone, Copy, Debug, Args)]
struct EngineArgs {
    /// What runs the cells.
    #[arg(long, value_enum, default_value = "oxilab")]
    engine: Engine,
}

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Install(args) => manage::install(args),
        Command::Uninstall(args) => manage::uninstall(args),
        Command::Doctor => Ok(manage::doctor()),
        Command::Run(args) => {
            log_to_stderr("warn");
            run::run(&args)
        }
        Command::Serve(args) => serve::run(&args),
        Command::Track(TrackCommand::Sync(args)) => {
            log_to_stderr("warn");
            track::sync(&args)
        }
        Command::Kernel(args) => {
            log_to_stderr("warn,oxilab_kernel=info,zeromq=error");
            kernel::run(&args)
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("oxilab: {error:#}");
        ExitCode::FAILURE
    })
}

/// The log goes to standard error; `OXILAB_LOG` overrides what is in it.
fn log_to_stderr(default: &str) {
    let filter = EnvFilter::try_from_env("OXILAB_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn places_exclude_each_other() {
        assert!(Cli::try_parse_from(["oxilab", "install", "--user", "--prefix", "x"]).is_err());
        assert!(Cli::try_parse_from(["oxilab", "install", "--sys-prefix"]).is_ok());
    }
}
