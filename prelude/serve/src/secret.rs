//! What nobody can guess: [`secret`]; what only some know: [`api_key`], [`Key`].

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::error::{Result, ServeError};

/// 32 random bytes from the system, in hexadecimal.
///
/// ```
/// let (one, another) = (oxilab_serve::secret()?, oxilab_serve::secret()?);
/// assert!(one.len() == 64 && one != another);
/// # Ok::<(), oxilab_serve::ServeError>(())
/// ```
///
/// # Errors
/// If the system has none.
pub fn secret() -> Result<String> {
    let path = Path::new("/dev/urandom");
    let mut bytes = [0_u8; 32];
    File::open(path)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(ServeError::io("reading", path))?;
    Ok(hex::encode(bytes))
}

/// The key for servers that ask for one: `OXILAB_API_KEY` of the environment, as their own.
pub(crate) fn api_key() -> Option<String> {
    std::env::var("OXILAB_API_KEY").ok().filter(|key| !key.is_empty())
}

/// An API key, which does not show itself where what holds it is shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(pub(crate) String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}
