//! From what a user writes to a model's file: [`locate`], [`resolve`].

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Result, ServeError};

/// A model's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// The file (for a language model the file or folder).
    pub path: PathBuf,
    /// The registry's number of the version, if it comes from there.
    pub version: Option<String>,
}

/// The file that a user means and its version: a path, a file `*.alias` that holds a path, or
/// `models:/NAME@alias`, `models:/NAME/VERSION` or `models:/NAME/Production` of the registry.
///
/// # Errors
/// If an alias file or the registry cannot be read.
pub fn locate(uri: &str) -> Result<Located> {
    if uri.starts_with("models:/") {
        let failed = |problem: String| ServeError::Registry { uri: uri.to_owned(), problem };
        let version = oxilab_track::resolve(uri).map_err(|error| failed(error.to_string()))?;
        let exact = format!("models:/{}/{}", version.name, version.version);
        let path = oxilab_track::load_path(&exact).map_err(|error| failed(error.to_string()))?;
        return Ok(Located { path, version: Some(version.version.to_string()) });
    }
    let path = PathBuf::from(uri);
    if path.extension().is_none_or(|extension| extension != "alias") {
        return Ok(Located { path, version: None });
    }
    let text = std::fs::read_to_string(&path)
        .map_err(ServeError::io("reading the alias", path.as_path()))?;
    if text.trim().is_empty() {
        let problem = "the alias file is empty".to_owned();
        return Err(ServeError::Registry { uri: uri.to_owned(), problem });
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    Ok(Located { path: folder.join(text.trim()), version: None })
}

/// The file of [`locate`].
///
/// # Errors
/// As there.
pub fn resolve(uri: &str) -> Result<PathBuf> {
    locate(uri).map(|located| located.path)
}

/// The address that a user's short form means: `churn@prod` is `models:/churn@prod`, and what is no
/// address of the registry is a path, made absolute.
#[must_use]
pub fn address(text: &str) -> String {
    if text.starts_with("models:/") {
        return text.to_owned();
    }
    let is_file = text.contains('/') || text.contains('.') || Path::new(text).exists();
    if text.contains('@') && !is_file {
        return format!("models:/{text}");
    }
    std::path::absolute(text).map_or_else(|_| text.to_owned(), |path| path.display().to_string())
}

/// What a model is called if nobody says: `models/churn.oxi` and `churn@prod` are `churn`.
#[must_use]
pub fn default_name(address: &str) -> String {
    let text = address.strip_prefix("models:/").map(|text| text.split('/').next().unwrap_or(text));
    let last = text.or_else(|| address.rsplit('/').next()).unwrap_or(address);
    let stem = last.split(['@', '.']).next().unwrap_or(last);
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = stem.chars().map(fits).collect();
    if name.is_empty() { "model".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses() {
        assert_eq!(address("churn@prod"), "models:/churn@prod");
        assert_eq!(address("models:/churn/3"), "models:/churn/3");
        assert!(address("models/churn.oxi").starts_with('/'));
        for text in ["models/churn.oxi", "churn@prod", "models:/churn/3", "models:/churn@prod"] {
            assert_eq!(default_name(text), "churn", "{text}");
        }
        assert_eq!(default_name("/a/b c.oxi"), "b-c");
    }
}
