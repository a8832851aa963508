//! Models that others send: [`take`].
//!
//! A pushed model is `NAME/VERSION.oxm` in the folder of `--accept`; with a reference, which lies beside it,
//! `NAME/VERSION-REFERENCE.oxm`. Both are digests: a file that answers is never written over by other
//! bytes. `NAME.alias` says which version answers, so a restarted server has what it had.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use axum::body::Bytes;
use axum::http::StatusCode;
use oxilab_serve::{Predictor, ServeError, check_name, reference_path};

use crate::app::App;
use crate::args::Args;
use crate::limits::sha256;
use crate::locks::locked;
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

    /// The name of the model's file, which tells it from the same model with another reference.
    fn file(&self) -> String {
        if self.reference.is_empty() {
            return format!("{}.oxm", self.version);
        }
        let reference = hex::encode(sha256(&self.reference));
        format!("{}-{}.oxm", self.version, &reference[..12])
    }

    /// Writes model and reference, and puts them into place if they load: what was there before, which may
    /// answer, is as it was if they do not.
    fn keep(&self, folder: &Path) -> Result<(), Refusal> {
        let folder = folder.join(&self.name);
        let path = folder.join(self.file());
        let keep = |path: &Path, bytes: &[u8]| write(path, bytes).map_err(|e| broken(path, &e));
        let aside = std::fs::create_dir_all(&folder)
            .and_then(|()| tempfile::tempdir_in(&folder))
            .map_err(|error| broken(&folder, &error))?;
        let tried = aside.path().join("model.oxm");
        keep(&tried, &self.model)?;
        if !self.reference.is_empty() {
            keep(&reference_path(&tried), &self.reference)?;
        }
        // Loading lets the model predict its reference, if there is one.
        Predictor::open(&tried).map_err(|error| self.unfit(&error))?;
        // The model last: it is looked for.
        if !self.reference.is_empty() {
            put(&reference_path(&tried), &reference_path(&path))?;
        }
        put(&tried, &path)
    }

    fn unfit(&self, error: &ServeError) -> Refusal {
        if let ServeError::Io { path, source, .. } = error {
            return broken(path, source);
        }
        tracing::error!(model = %self.name, %error, "a pushed model cannot be loaded");
        let message = "this is no model that can be loaded here; the old one keeps answering";
        refuse(StatusCode::UNPROCESSABLE_ENTITY, message)
    }
}

fn put(from: &Path, to: &Path) -> Result<(), Refusal> {
    std::fs::rename(from, to).map_err(|error| broken(to, &error))
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
    // Two that come first at the same time would both be new here.
    let _alone = locked(&app.pushes);
    let alias = alias(folder, &parcel.name);
    let uri = alias.display().to_string();
    let old = app.slot(Some(&parcel.name));
    if let Some(old) = &old
        && old.uri() != uri
    {
        let message = "a model of this name is served from elsewhere; push it under another name";
        return Err(refuse(StatusCode::CONFLICT, message));
    }
    parcel.keep(folder)?;
    let target = format!("{}/{}\n", parcel.name, parcel.file());
    write(&alias, target.as_bytes()).map_err(|error| broken(&alias, &error))?;
    if let Some(slot) = old {
        slot.look();
        if slot.current().version() != parcel.version {
            let message = "the model is kept, but cannot be loaded just now; its log says why. The old one \
                           answers until then";
            return Err(refuse(StatusCode::SERVICE_UNAVAILABLE, message));
        }
        return Ok((slot, false));
    }
    let slot = Slot::load(&parcel.name, &parcel.name, &uri, &app.args).map_err(|error| {
        tracing::error!(model = %parcel.name, "{error:#}");
        // A server that is started again would not start with it.
        let _ = std::fs::remove_file(&alias);
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
