//! Models that others send: [`take`].
//!
//! A pushed model is `NAME/VERSION.oxm` in the folder of `--accept`, with its reference beside it;
//! `NAME.alias` says which version answers, so a restarted server has what it had.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::http::StatusCode;
use oxilab_serve::{Predictor, check_name, reference_path};

use crate::app::App;
use crate::args::Args;
use crate::limits::sha256;
use crate::reload::Follow as _;
use crate::slot::Slot;

/// Why a model was not taken.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

fn refuse(status: StatusCode, message: impl Into<String>) -> Refusal {
    Refusal { status, message: message.into() }
}

fn broken(path: &Path, error: &std::io::Error) -> Refusal {
    tracing::error!(path = %path.display(), %error, "cannot keep a pushed model");
    let message = "the server cannot write the model; its log says why";
    refuse(StatusCode::INSUFFICIENT_STORAGE, message)
}

/// A model that arrived whole, and the reference sent behind it.
pub(crate) struct Parcel {
    name: String,
    version: String,
    model: Bytes,
    reference: Bytes,
}

impl Parcel {
    /// Checks name and checksum. `size` is how many bytes are the model; the rest is its reference.
    pub(crate) fn open(
        name: &str,
        bytes: Bytes,
        sum: Option<&str>,
        size: Option<&str>,
    ) -> Result<Self, Refusal> {
        let bad = |message: &str| refuse(StatusCode::UNPROCESSABLE_ENTITY, message);
        check_name(name).map_err(|error| bad(&error.to_string()))?;
        let sum = sum.ok_or_else(|| bad("the header x-oxilab-sha256 is missing"))?;
        let found = hex::encode(sha256(&bytes));
        if !found.eq_ignore_ascii_case(sum) {
            return Err(bad(&format!(
                "the checksum is {found}, announced was {sum}: send it again"
            )));
        }
        let size = match size {
            None => bytes.len(),
            Some(text) => {
                text.parse().ok().filter(|size| *size <= bytes.len()).ok_or_else(|| {
                    bad("x-oxilab-model-bytes must be at most the size of the body")
                })?
            }
        };
        let mut model = bytes;
        let reference = model.split_off(size);
        let version = hex::encode(sha256(&model))[..12].to_owned();
        Ok(Self { name: name.to_owned(), version, model, reference })
    }
}

/// Names and addresses of the models that were pushed earlier.
pub(crate) fn known(args: &Args) -> Result<Vec<(String, String)>> {
    let Some(folder) = &args.accept else { return Ok(Vec::new()) };
    let doing = || format!("cannot use {}", folder.display());
    std::fs::create_dir_all(folder).with_context(doing)?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(doing)? {
        let name = entry.with_context(doing)?.file_name();
        let name = name.to_str().and_then(|name| name.strip_suffix(".alias"));
        names.extend(name.filter(|name| check_name(name).is_ok()).map(str::to_owned));
    }
    names.sort();
    let address = |name: String| {
        let uri = alias(folder, &name).display().to_string();
        (name, uri)
    };
    Ok(names.into_iter().map(address).collect())
}

fn alias(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(format!("{name}.alias"));
    std::path::absolute(&path).unwrap_or(path)
}

/// Keeps a model, loads it, lets it predict once, and lets it answer. The second part is whether the
/// name is new here.
pub(crate) fn take(
    app: &App,
    folder: &Path,
    parcel: &Parcel,
) -> Result<(Arc<Slot>, bool), Refusal> {
    let alias = alias(folder, &parcel.name);
    let uri = alias.display().to_string();
    let old = app.slot(Some(&parcel.name));
    if let Some(old) = &old
        && old.uri() != uri
    {
        let message = "a model of this name is served from elsewhere; push it under another name";
        return Err(refuse(StatusCode::CONFLICT, message));
    }
    let path = folder.join(&parcel.name).join(format!("{}.oxm", parcel.version));
    let keep = |path: &Path, bytes: &[u8]| write(path, bytes).map_err(|e| broken(path, &e));
    if !parcel.reference.is_empty() {
        keep(&reference_path(&path), &parcel.reference)?;
    }
    keep(&path, &parcel.model)?;
    // Loading lets the model predict a row, and its reference if there is one.
    if let Err(error) = Predictor::open(&path) {
        tracing::error!(model = %parcel.name, %error, "a pushed model cannot be loaded");
        let _ = std::fs::remove_file(&path);
        let _ = std::fs::remove_file(reference_path(&path));
        let message = "this is no model that can be loaded here; the old one keeps answering";
        return Err(refuse(StatusCode::UNPROCESSABLE_ENTITY, message));
    }
    let target = format!("{}/{}.oxm\n", parcel.name, parcel.version);
    keep(&alias, target.as_bytes())?;
    if let Some(slot) = old {
        slot.look();
        return Ok((slot, false));
    }
    let slot = Slot::load(&parcel.name, &parcel.name, &uri, &app.args).map_err(|error| {
        tracing::error!(model = %parcel.name, "{error:#}");
        refuse(StatusCode::UNPROCESSABLE_ENTITY, "the model cannot be loaded")
    })?;
    let slot = Arc::new(slot);
    app.add(Arc::clone(&slot));
    Ok((slot, true))
}

/// Aside, then renamed.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
