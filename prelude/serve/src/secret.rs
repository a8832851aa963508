//! What nobody can guess: [`secret`].

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
