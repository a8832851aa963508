//! [`Hub`]: files of a repository by name and revision.

use std::path::{Path, PathBuf};

use crate::cache::{self, RepoCache};
use crate::error::{HubError, Result};
use crate::fetch::{Remote, Wanted};

/// The file of a model on the hub, loaded unless it is in the cache. See [`Hub`] for revisions, tokens
/// and mirrors.
///
/// ```no_run
/// let weights = oxilab_hub::get("HuggingFaceTB/SmolLM2-135M-Instruct", "model.safetensors")?;
/// # Ok::<(), oxilab_hub::HubError>(())
/// ```
///
/// # Errors
/// When the hub has no such file, cannot be reached, or the content is not what it promised.
pub fn get(repo: &str, file: &str) -> Result<PathBuf> {
    Hub::new().get(repo, file)
}

/// The folder with all files of a model, loaded unless they are in the cache.
///
/// ```no_run
/// let folder = oxilab_hub::snapshot("sentence-transformers/all-MiniLM-L6-v2")?;
/// assert!(folder.join("config.json").is_file());
/// # Ok::<(), oxilab_hub::HubError>(())
/// ```
///
/// # Errors
/// As [`get`].
pub fn snapshot(repo: &str) -> Result<PathBuf> {
    Hub::new().snapshot(repo, |_| true)
}

/// What kind of repository a name stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A model.
    #[default]
    Model,
    /// A data set.
    Dataset,
    /// A space.
    Space,
}

impl Kind {
    /// The word in addresses and folder names.
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Model => "models",
            Self::Dataset => "datasets",
            Self::Space => "spaces",
        }
    }
}

/// A hub with its cache. Settings not given come from the variables that `huggingface_hub` reads:
/// `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HUB_OFFLINE`.
///
/// The token goes to the hub's own host only, never to the host a download is redirected to, and is
/// shown by no message and by no `{:?}`.
///
/// ```no_run
/// use oxilab_hub::Hub;
/// let hub = Hub::new().with_revision("fbd1d2ca2cc8c87f3e8b8b1a4f2dd6a0a8e4e5a1");
/// let weights = hub.get("HuggingFaceTB/SmolLM2-135M-Instruct", "model.safetensors")?;
/// # Ok::<(), oxilab_hub::HubError>(())
/// ```
#[derive(Clone)]
pub struct Hub {
    endpoint: String,
    cache: PathBuf,
    token: Option<String>,
    offline: bool,
    revision: String,
    kind: Kind,
    sha256: Option<String>,
    quiet: bool,
}

impl Default for Hub {
    fn default() -> Self {
        Self::new()
    }
}

impl Hub {
    /// The hub that the environment names, huggingface.co unless set; revision `main`.
    #[must_use]
    pub fn new() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        let token = text("HF_TOKEN").or_else(|| {
            let path = text("HF_TOKEN_PATH").map(PathBuf::from);
            let path = path.unwrap_or_else(|| cache::home().join("token"));
            std::fs::read_to_string(path).ok()
        });
        let offline = text("HF_HUB_OFFLINE").is_some_and(|value| {
            ["1", "on", "yes", "true"].contains(&value.to_lowercase().as_str())
        });
        Self {
            endpoint,
            cache: cache::default_folder(),
            token: None,
            offline,
            revision: "main".to_owned(),
            kind: Kind::Model,
            sha256: None,
            quiet: false,
        }
        .with_token(token.unwrap_or_default())
    }

    /// Another hub or mirror, for example `https://hub.example.org`.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// Another cache folder.
    #[must_use]
    pub fn with_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = folder.into();
        self
    }

    /// The token for private and gated repositories; an empty one is none.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        let token = token.into();
        self.token = Some(token.trim().to_owned()).filter(|token| !token.is_empty());
        self
    }

    /// A branch, a tag, or a commit. A full commit of 40 digits is pinned: once in the cache, the hub is
    /// not asked again.
    #[must_use]
    pub fn with_revision(mut self, revision: impl Into<String>) -> Self {
        self.revision = revision.into();
        self
    }

    /// Data sets or spaces instead of models.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Only the cache, no network.
    #[must_use]
    pub fn with_offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    /// Refuses a file whose SHA-256 is not this, in hexadecimal; cached files are checked as well. It is
    /// one file's: [`Hub::snapshot`] refuses it, where a commit as the revision pins all of them.
    /// Without it large files are checked against the sum that the hub names.
    #[must_use]
    pub fn with_sha256(mut self, sum: impl Into<String>) -> Self {
        self.sha256 = Some(sum.into().to_lowercase());
        self
    }

    /// No progress bars.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    /// A file of a repository, for example `get("bert-base-uncased", "tokenizer.json")`: from the cache
    /// if it is there at that revision, else from the hub. Where the hub cannot be reached, what the
    /// cache knows of the revision is taken.
    ///
    /// # Errors
    /// When a name is malformed, the hub has no such file or wants a token, the transfer breaks off, or
    /// the content is not what the hub promised.
    pub fn get(&self, repo: &str, file: &str) -> Result<PathBuf> {
        check_repo(repo)?;
        check_path("the file", file)?;
        check_path("the revision", &self.revision)?;
        let cache = RepoCache::new(&self.cache, self.kind.plural(), repo);
        let path = self.locate(&cache, repo, file)?;
        if let Some(expected) = &self.sha256 {
            crate::fetch::check_sum(&path, file, expected)?;
        }
        Ok(path)
    }

    /// The snapshot folder after all files that `wanted` accepts are in it. Where the hub cannot be reached,
    /// or is switched off, the folder that the cache has of the revision is taken as it is, as
    /// `huggingface_hub` does.
    ///
    /// # Errors
    /// As [`Hub::get`], and when there is a sum, which all of the files cannot have.
    pub fn snapshot(&self, repo: &str, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
        if let Some(sum) = &self.sha256 {
            return Err(HubError::Name {
                what: "the SHA-256",
                given: sum.clone(),
                reason: "it is one file's and a snapshot has several; pin them with a commit as revision",
            });
        }
        check_repo(repo)?;
        check_path("the revision", &self.revision)?;
        let cache = RepoCache::new(&self.cache, self.kind.plural(), repo);
        let kept = cache.folder(&self.revision);
        if self.offline {
            let off = "the hub is switched off (offline)";
            return kept.ok_or_else(|| self.absent(repo, "any file", off));
        }
        let (commit, files) = match self.list(&cache, repo) {
            Ok(found) => found,
            Err(error @ HubError::NotCached { .. }) => return kept.ok_or(error),
            Err(error) => return Err(error),
        };
        let pinned = Self { revision: commit.clone(), ..self.clone() };
        for file in files.iter().filter(|file| wanted(file)) {
            pinned.get(repo, file)?;
        }
        // Only now: a branch whose new files did not all come still stands for the old ones.
        cache.remember(&self.revision, &commit)?;
        Ok(cache.snapshot(&commit))
    }

    /// The commit of the revision and its files; of a pinned one that is known, the hub is not asked.
    fn list(&self, cache: &RepoCache, repo: &str) -> Result<(String, Vec<String>)> {
        if cache::is_commit(&self.revision)
            && let Some(files) = cache.files(&self.revision)
        {
            return Ok((self.revision.clone(), files));
        }
        let (commit, files) = self.remote().list(self.kind.plural(), repo, &self.revision)?;
        cache.remember_files(&commit, &files);
        Ok((commit, files))
    }

    fn locate(&self, cache: &RepoCache, repo: &str, file: &str) -> Result<PathBuf> {
        let cached = cache.find(&self.revision, file);
        if let Some(path) = &cached
            && (self.offline || cache::is_commit(&self.revision))
        {
            return Ok(path.clone());
        }
        if self.offline {
            return Err(self.absent(repo, file, "the hub is switched off (offline)"));
        }
        let wanted = Wanted { kind: self.kind.plural(), repo, revision: &self.revision, file };
        let remote = self.remote();
        let info = match remote.head(&wanted) {
            Ok(info) => info,
            Err(error @ HubError::NotCached { .. }) => return cached.ok_or(error),
            Err(error) => return Err(error),
        };
        let lock = cache.lock(file, &info.etag)?;
        if !cache.blob(&info.etag).is_file() {
            remote.download(&wanted, &info, &cache.blob(&info.etag))?;
        }
        drop(lock);
        cache.remember(&self.revision, &info.commit)?;
        cache.link(&info.commit, file, &info.etag)
    }

    fn absent(&self, repo: &str, file: &str, reason: &str) -> HubError {
        HubError::NotCached {
            file: format!("{repo}/{file}"),
            cache: self.cache.clone(),
            reason: reason.to_owned(),
        }
    }

    fn remote(&self) -> Remote<'_> {
        Remote::new(&self.endpoint, self.token.as_deref(), &self.cache, self.quiet)
    }

    /// The folder of the cache.
    #[must_use]
    pub fn cache(&self) -> &Path {
        &self.cache
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", if self.token.is_some() { &"set" } else { &"none" })
            .field("offline", &self.offline)
            .field("revision", &self.revision)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// `name` or `organisation/name`.
fn check_repo(repo: &str) -> Result<()> {
    let parts: Vec<&str> = repo.split('/').collect();
    let plain = |part: &&str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !part.is_empty()
            && part.len() <= 96
            && part.bytes().all(known)
            && !part.starts_with(['.', '-'])
            && !part.contains("--")
            && !part.contains("..")
    };
    if parts.len() <= 2 && parts.iter().all(plain) {
        return Ok(());
    }
    Err(HubError::Name {
        what: "the repository",
        given: repo.to_owned(),
        reason: "it must be `name` or `organisation/name` of letters, digits, `-`, `_` and `.`",
    })
}

/// A relative path that stays inside its folder.
pub(crate) fn check_path(what: &'static str, path: &str) -> Result<()> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    let known = |c: char| !c.is_control() && !"\\?#%:".contains(c);
    if path.len() <= 512 && path.split('/').all(plain) && path.chars().all(known) {
        return Ok(());
    }
    Err(HubError::Name {
        what,
        given: path.to_owned(),
        reason: "it must be a path with `/`, without `..` and without `\\ ? # % :`",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_cache_are_refused() {
        for repo in ["", "a/b/c", "../x", "a/..", "a--b", "-a", "a b", "a/b?"] {
            assert!(check_repo(repo).is_err(), "{repo}");
        }
        assert!(check_repo("sentence-transformers/all-MiniLM-L6-v2").is_ok());
        for file in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a\\b", "a?b", "a\nb"] {
            assert!(check_path("the file", file).is_err(), "{file}");
        }
        assert!(check_path("the file", "1_Pooling/config.json").is_ok());
    }

    #[test]
    fn the_token_is_not_shown() {
        let hub = Hub::new().with_token("hf_secret");
        assert!(!format!("{hub:?}").contains("secret"));
    }
}
