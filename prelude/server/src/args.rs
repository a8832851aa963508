//! The command line: [`Args`].

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Serves fitted models over HTTP.
#[derive(Clone, Debug, Parser)]
#[command(name = "oxilab-server", version)]
pub(crate) struct Args {
    /// A model, `NAME=PATH`; the path of a model file, of a file `*.alias` that holds a path, or
    /// `models:/NAME@alias`. The first one answers where a request names none.
    #[arg(long = "model", required = true, value_name = "NAME=PATH", value_parser = model)]
    pub(crate) models: Vec<(String, String)>,
    /// The server's name.
    #[arg(long, default_value = "oxilab")]
    pub(crate) name: String,
    /// The port; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// The address. Others than loopback need an API key.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// SHA-256 of an API key in hexadecimal; may be given several times.
    #[arg(long, value_name = "SHA256", value_parser = hash)]
    pub(crate) api_key_hash: Vec<[u8; 32]>,
    /// Most bytes of a request.
    #[arg(long, default_value_t = 16 << 20)]
    pub(crate) body_limit: usize,
    /// Most rows of a request.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) row_limit: usize,
    /// Seconds that a request may take, its body included.
    #[arg(long, default_value_t = 30)]
    pub(crate) timeout: u64,
    /// Requests that may be under way; more are answered with 503.
    #[arg(long, default_value_t = 256)]
    pub(crate) queue: usize,
    /// A folder that requests and predictions are written to, as Parquet.
    #[arg(long)]
    pub(crate) capture: Option<PathBuf>,
    /// The share of requests that is written, from 0 to 1.
    #[arg(long, default_value_t = 1.0, value_parser = share)]
    pub(crate) capture_sample: f64,
    /// Rows of the sliding window that drift is measured on.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) window: usize,
    /// Milliseconds between two looks at the model files.
    #[arg(long, default_value_t = 500)]
    pub(crate) watch: u64,
    /// A file that tells where this server is, for as long as it runs.
    #[arg(long)]
    pub(crate) state: Option<PathBuf>,
}

impl Args {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.max(1))
    }
}

fn model(text: &str) -> Result<(String, String), String> {
    let (name, path) = text.split_once('=').ok_or("it must be NAME=PATH")?;
    oxilab_serve::check_name(name).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), path.to_owned()))
}

fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it must be a number")?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("it must be from 0 to 1".to_owned()) }
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
