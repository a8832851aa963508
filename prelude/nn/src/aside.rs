//! Files are written aside and then renamed: a full disk or a crash leaves the old one as it was.

use std::fs::File;
use std::io;
use std::path::Path;

/// Puts a file into the place of an older one when it is whole and on the disk. `write` gets the file
/// and its path, `failed` makes an error of what the system says. What is left of an attempt that failed
/// is removed. The file may be read by whom the `umask` lets, as any other file.
///
/// ```
/// use std::io::{self, Write as _};
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("notes.txt");
/// oxilab_nn::aside::replace(&path, |e| e, |file, _| file.write_all(b"whole"))?;
/// let half = oxilab_nn::aside::replace(&path, |e| e, |file, _| {
///     file.write_all(b"ha")?;
///     Err(io::Error::other("no space left"))
/// });
/// assert!(half.is_err());
/// assert_eq!(std::fs::read_to_string(&path)?, "whole");
/// # Ok::<(), io::Error>(())
/// ```
///
/// # Errors
/// When `write` fails, or the file cannot be made, written or renamed.
pub fn replace<E>(
    path: &Path,
    failed: impl Fn(io::Error) -> E,
    write: impl FnOnce(&mut File, &Path) -> Result<(), E>,
) -> Result<(), E> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".aside-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let aside = builder.tempfile_in(folder.unwrap_or(Path::new("."))).map_err(&failed)?;
    let (mut file, aside) = aside.into_parts();
    write(&mut file, &aside)?;
    file.sync_all().map_err(&failed)?;
    drop(file);
    aside.persist(path).map_err(|e| failed(e.error))
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_as_readable_as_one_written_plainly() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (ours, plain) = (folder.path().join("ours"), folder.path().join("plain"));
        replace(&ours, |e| e, |file, _| file.write_all(b"x"))?;
        std::fs::write(&plain, b"x")?;
        let mode = |path| std::fs::metadata(path).map(|found| found.permissions().mode());
        assert_eq!(mode(&ours)?, mode(&plain)?);
        Ok(())
    }

    #[test]
    fn an_attempt_that_fails_leaves_nothing() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        let failed = replace(&path, |e| e, |_, _| Err(io::Error::other("full")));
        assert!(failed.is_err());
        assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
        Ok(())
    }
}
