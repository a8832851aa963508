//! `oxilab-server`: models over HTTP, in processes of their own.
//!
//! The protocols of `MLflow`, the Open Inference Protocol, `TensorFlow` Serving and `TorchServe` on one
//! predictor, `OpenAI`'s for language models; metrics, drift and capture; new versions without a failed
//! request.
//!
//! Two processes: the [`front`] holds the socket and starts the model process ([`serving`]), which
//! accepts connections on the same socket. When a model takes its process down, the front answers 503
//! until another one is ready. Told of other models ([`control`], [`recipe`]) it starts their process beside
//! the one that answers, which ends when they do.
//!
//! * [`args`]: the command line; [`chores`]: `list`, `stop`, `push`, `retrain` and their like.
//! * [`app`], [`slot`]: models and their state; [`batch`]: predictions of several requests at once;
//!   [`reload`]: hot swap; [`last`]: what a restart goes on with; [`pushed`]: models that others send;
//!   [`llm`]: language models.
//! * [`routes`]: what is answered; [`listen`], [`lanes`], [`descriptors`], [`tls`], [`limits`]: connections
//!   and who may come; [`listed`]: where others of the user's find the server.
//! * [`monitoring`]: metrics, the window for drift, capture, labels, alerts; [`log`]: structured logs.

mod app;
mod args;
mod batch;
mod chores;
mod control;
mod descriptors;
mod front;
mod lanes;
mod last;
mod limits;
mod listed;
mod listen;
mod llm;
mod locks;
mod log;
mod memory;
mod monitoring;
mod part;
mod pushed;
mod recipe;
mod reload;
mod routes;
mod serving;
mod slot;
#[cfg(test)]
mod testing;
mod tls;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use args::Args;
use chores::Chores;

/// Set for the model process.
const PART: &str = "OXILAB_SERVE_PART";

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let chore = std::env::args().nth(1).is_some_and(|word| chores::NAMES.contains(&word.as_str()));
    if chore {
        log::start(false);
        return Chores::parse().run();
    }
    let args = Args::parse();
    log::start(args.log_json);
    descriptors::raise();
    if std::env::var_os(PART).is_none() {
        return front::run(args);
    }
    if let Err(error) = serving::run(args) {
        let said = format!("{}{error:#}", front::FAILED).replace('\n', " ");
        // The front logs it. It may be gone.
        let _ = writeln!(std::io::stdout(), "{said}");
        std::process::exit(1);
    }
    Ok(())
}

/// What a body is for, of those that are read here and not in `oxilab-serve`.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyOf {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Completions,
    /// `/v1/embeddings`.
    Embeddings,
    /// `/feedback`.
    Feedback,
}

/// Reads a body as its route does: how many answers, vectors or labels it is about, or the status and the
/// message of the refusal. For `examples/fuzz_requests.rs`.
///
/// # Errors
/// If the body cannot be read.
#[doc(hidden)]
pub fn read_body(body: &[u8], of: BodyOf) -> Result<usize, (u16, String)> {
    match of {
        BodyOf::Chat => routes::openai::count_answers(body, true),
        BodyOf::Completions => routes::openai::count_answers(body, false),
        BodyOf::Embeddings => routes::openai::count_texts(body),
        BodyOf::Feedback => routes::count_labels(body),
    }
}
