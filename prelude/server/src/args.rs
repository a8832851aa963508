//! The command line of a server: [`Args`].

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use oxilab_serve::{address, check_name, default_name};

use crate::llm::Engine;
use crate::monitoring::redact::Rule;

/// The environment variable of an API key.
pub(crate) const KEY: &str = "OXILAB_API_KEY";

/// Serves models over HTTP.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "oxilab serve",
    version,
    after_help = "Other forms:\n  oxilab serve list | logs NAME | stop NAME\n  oxilab serve push \
                  MODEL to URL\n  oxilab serve retrain FILE\n  oxilab serve rollback NAME@ALIAS\n\
                  Each has --help."
)]
pub(crate) struct Args {
    /// Models: `models:/NAME@alias`, `NAME@alias`, a model file, a file `*.alias` that holds a path; for
    /// language models a GGUF file or a folder with `config.json`. The first one answers where a
    /// request names none.
    #[arg(value_name = "MODEL")]
    pub(crate) positional: Vec<String>,
    /// A model under a name of your choice; a name given again adds a version, reached by its number.
    #[arg(long = "model", value_name = "NAME=MODEL", value_parser = model)]
    pub(crate) named: Vec<(String, String)>,
    /// The server's name; by default that of its first model.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// The address. Others than loopback need an API key.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// SHA-256 of an API key in hexadecimal (`printf %s KEY | sha256sum`); may be given several times.
    /// A key in the environment variable `OXILAB_API_KEY` counts as well.
    #[arg(long, value_name = "SHA256", value_parser = hash)]
    pub(crate) api_key_hash: Vec<[u8; 32]>,
    /// A certificate chain in PEM: connections are TLS then.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of the certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Most bytes of a request.
    #[arg(long, default_value_t = 16 << 20)]
    pub(crate) body_limit: usize,
    /// Most rows of a request.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) row_limit: usize,
    /// What language models compute with: `candle` is built in, `llama-cpp` reads GGUF files and needs a
    /// server with the cargo feature of that name.
    #[arg(long, value_enum, default_value_t = Engine::Candle)]
    pub(crate) engine: Engine,
    /// Most tokens of an answer of a language model.
    #[arg(long, default_value_t = 2_048)]
    pub(crate) token_limit: usize,
    /// Seconds that a request may take, its body included; a pushed model has at least 600.
    #[arg(long, default_value_t = 30)]
    pub(crate) timeout: u64,
    /// Requests that may be under way; more are answered with 503.
    #[arg(long, default_value_t = 1_024)]
    pub(crate) queue: usize,
    /// Requests a second of one API key (without keys: of all); more are answered with 429. 0: any.
    #[arg(long, default_value_t = 0)]
    pub(crate) rate_limit: u32,
    /// Threads that predict; 0: all processors but one.
    #[arg(long, default_value_t = 0)]
    pub(crate) threads: usize,
    /// Most rows that are predicted at once when several requests are under way.
    #[arg(long, default_value_t = 256)]
    pub(crate) batch_rows: usize,
    /// Milliseconds that a request may wait for others that are on their way.
    #[arg(long, default_value_t = 0.0, value_parser = milliseconds)]
    pub(crate) batch_wait: f64,
    /// A folder that requests and predictions are written to, as Parquet.
    #[arg(long)]
    pub(crate) capture: Option<PathBuf>,
    /// The share of requests that is written, from 0 to 1.
    #[arg(long, default_value_t = 1.0, value_parser = share)]
    pub(crate) capture_sample: f64,
    /// Seconds after which captured rows are written, if no 10,000 came before: a crash loses no more.
    #[arg(long, default_value_t = 30.0, value_parser = seconds)]
    pub(crate) capture_every: f64,
    /// What captured columns hide: `COLUMN=drop`, `COLUMN=hash` or `COLUMN=mask`; `*` at the end of
    /// COLUMN stands for any rest. Values are hashed with a secret that is drawn when the server starts
    /// and kept in memory: equal values hash equally within one run of the server. A secret in the
    /// environment variable `OXILAB_REDACT_SALT` makes them equal over several runs.
    #[arg(long, value_name = "COLUMN=RULE", value_parser = Rule::parse)]
    pub(crate) redact: Vec<Rule>,
    /// Rows of the sliding window that drift and performance are measured on.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) window: usize,
    /// Milliseconds between two looks at where models come from.
    #[arg(long, default_value_t = 500)]
    pub(crate) watch: u64,
    /// An address that alerts are posted to, as JSON; what it does not take is sent again with the next look.
    #[arg(long, value_name = "URL")]
    pub(crate) alert_webhook: Option<String>,
    /// A file that alerts are appended to, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) alert_file: Option<PathBuf>,
    /// A shell command that gets each alert as JSON on its standard input. It is ended after 30 seconds.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) alert_command: Option<String>,
    /// Seconds between two looks for alerts.
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub(crate) alert_every: f64,
    /// An alert when performance on labelled rows is worse: a floor of accuracy, a ceiling of RMSE.
    #[arg(long, value_name = "BOUND")]
    pub(crate) alert_performance: Option<f64>,
    /// An alert when more than this share of the requests since the last look failed on our side, or took
    /// longer than --timeout once they were read.
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    pub(crate) alert_errors: f64,
    /// A folder for models that `%push` sends; without it none are taken. Needs an API key.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) accept: Option<PathBuf>,
    /// Writes a line to the log for each request: method, path, model, status, milliseconds (of a stream
    /// until it begins), rows and id. It costs some microseconds a request.
    #[arg(long)]
    pub(crate) log_requests: bool,
    /// Writes the log as one JSON object a line.
    #[arg(long)]
    pub(crate) log_json: bool,
    /// A file that tells where this server is, for as long as it runs.
    ///
    /// Without it, a file in the user's folder of servers, which `oxilab serve list` shows.
    #[arg(long)]
    pub(crate) state: Option<PathBuf>,
    /// Whether that is a file in the user's folder: the log is the shell's then.
    #[arg(skip)]
    pub(crate) of_shell: bool,
    /// What captured values are hashed with; no option, since command lines can be seen by others.
    #[arg(skip)]
    pub(crate) salt: String,
}

impl Args {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.max(1))
    }

    /// Names and addresses of all models, in the order of the command line.
    pub(crate) fn models(&self) -> Vec<(String, String)> {
        let positional = self.positional.iter().map(|text| match text.split_once('=') {
            Some((name, rest)) if check_name(name).is_ok() => (name.to_owned(), address(rest)),
            _ => (default_name(text), address(text)),
        });
        let named = self.named.iter().map(|(name, text)| (name.clone(), address(text)));
        positional.chain(named).collect()
    }

    /// The server's name.
    pub(crate) fn server_name(&self) -> String {
        let first = || self.models().into_iter().next().map(|(name, _)| name);
        self.name.clone().or_else(first).unwrap_or_else(|| "oxilab".to_owned())
    }

    /// What can be known to be wrong before anything is started; reads the key of the environment.
    pub(crate) fn checked(self) -> Result<Self> {
        let key = std::env::var(KEY).ok();
        self.checked_with(key.as_deref())
    }

    /// As [`Args::checked`] with the key of another environment.
    pub(crate) fn checked_with(mut self, key: Option<&str>) -> Result<Self> {
        if let Some(key) = key.filter(|key| !key.is_empty()) {
            self.api_key_hash.push(crate::limits::sha256(key.as_bytes()));
        }
        ensure!(
            !self.models().is_empty() || self.accept.is_some(),
            "a model is needed: a file, models:/NAME@alias, or --accept FOLDER for models that are pushed"
        );
        check_name(&self.server_name()).context("--name")?;
        for (name, _) in self.models() {
            check_name(&name)?;
        }
        ensure!(
            self.host.is_loopback() || !self.api_key_hash.is_empty(),
            "{} can be reached by others: give --api-key-hash, the SHA-256 of a key",
            self.host
        );
        ensure!(
            self.accept.is_none() || !self.api_key_hash.is_empty(),
            "--accept lets others put models here: give --api-key-hash, the SHA-256 of a key"
        );
        Ok(self)
    }
}

fn model(text: &str) -> Result<(String, String), String> {
    let (name, path) = text.split_once('=').ok_or("it must be NAME=MODEL")?;
    check_name(name).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), path.to_owned()))
}

fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it must be a number")?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("it must be from 0 to 1".to_owned()) }
}

fn milliseconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it must be a number")?;
    let fits = (0.0..=1_000.0).contains(&value);
    if fits { Ok(value) } else { Err("it must be from 0 to 1000".to_owned()) }
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it must be a number")?;
    let fits = (0.05..=86_400.0).contains(&value);
    if fits { Ok(value) } else { Err("it must be from 0.05 to 86400".to_owned()) }
}

fn hash(text: &str) -> Result<[u8; 32], String> {
    let problem = || "it must be 64 hexadecimal digits, the SHA-256 of the key".to_owned();
    if text.len() != 64 || !text.is_ascii() {
        return Err(problem());
    }
    let mut out = [0; 32];
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| problem())?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn models_have_names() {
        let args = Args::parse_from(["x", "churn@prod", "a=/m.oxi", "--model", "a=models:/a/2"]);
        let expected = [("churn", "models:/churn@prod"), ("a", "/m.oxi"), ("a", "models:/a/2")];
        let expected = expected.map(|(name, uri)| (name.to_owned(), uri.to_owned()));
        assert_eq!(args.models(), expected);
        assert_eq!(args.server_name(), "churn");
    }

    #[test]
    fn what_others_reach_needs_a_key() {
        let checked = |args: &[&str]| {
            Args::parse_from(["x"].iter().chain(args)).checked().map_err(|e| e.to_string())
        };
        assert!(checked(&[]).unwrap_err().contains("a model is needed"));
        assert!(checked(&["m.oxi", "--host", "0.0.0.0"]).unwrap_err().contains("--api-key-hash"));
        assert!(checked(&["--accept", "x"]).unwrap_err().contains("--api-key-hash"));
        assert!(checked(&["m.oxi"]).is_ok());
    }
}
