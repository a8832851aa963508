//! `%%writefile`: writes the rest of the cell to a file.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::context::say;
use super::{Done, Invocation, Magic, MagicContext, MagicError, MagicResult, usage};

/// `%%writefile`.
pub(super) struct WriteFile;

impl Magic for WriteFile {
    fn names(&self) -> &'static [&'static str] {
        &["writefile", "file"]
    }

    fn summary(&self) -> &'static str {
        "writes the rest of the cell to a file, or (-a) appends it"
    }

    fn usage(&self) -> &'static str {
        "%%writefile [-a] PATH"
    }

    fn takes_body(&self) -> bool {
        true
    }

    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            let body = call
                .body
                .as_deref()
                .ok_or_else(|| usage(self, "the text stands in the lines below"))?;
            let (append, path) = match call.arguments.strip_prefix("-a ") {
                Some(path) => (true, path),
                None => (false, call.arguments.as_str()),
            };
            let path = path.trim().trim_matches(['"', '\'']);
            if path.is_empty() {
                return Err(usage(self, "no path"));
            }
            let path = context.surroundings().absolute(path);
            let text = if body.ends_with('\n') { body.to_owned() } else { format!("{body}\n") };
            let existed = path.exists();
            let written = if append { add(&path, &text) } else { replace(&path, &text) };
            written.map_err(|source| MagicError::File {
                doing: "cannot write",
                path: path.clone(),
                source,
            })?;
            let done = match (append, existed) {
                (true, true) => "Appended to",
                (false, true) => "Overwrote",
                (_, false) => "Wrote",
            };
            say(context.output(), &format!("{done} {}", path.display())).await;
            Ok(Done::default())
        }
        .boxed()
    }
}

fn add(path: &Path, text: &str) -> io::Result<()> {
    fs::File::options().create(true).append(true).open(path)?.write_all(text.as_bytes())
}

/// Aside and renamed: a full disk leaves the old file. A link is written through.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder =
        target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let permissions = fs::metadata(&target).map(|data| data.permissions());
    let mut aside = tempfile::NamedTempFile::new_in(folder)?;
    aside.write_all(text.as_bytes())?;
    aside.as_file().set_permissions(permissions.unwrap_or(fs::Permissions::from_mode(0o644)))?;
    aside.persist(&target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};
    use super::*;

    #[tokio::test]
    async fn files_are_written_and_appended() {
        let folder = tempfile::tempdir().expect("folder");
        let mut script = Script::default();
        script.surroundings.directory = folder.path().to_owned();
        run(&call("%%writefile a.txt\none\n%who"), &mut script).await.expect("written");
        run(&call("%%writefile -a a.txt\ntwo\n"), &mut script).await.expect("appended");
        let read = || fs::read_to_string(folder.path().join("a.txt")).expect("read");
        assert_eq!(read(), "one\n%who\ntwo\n");
        run(&call("%%writefile \"a.txt\"\nnew"), &mut script).await.expect("overwritten");
        assert_eq!(read(), "new\n");
        let text = script.text();
        assert!(
            text.contains("Wrote") && text.contains("Appended to") && text.contains("Overwrote"),
            "{text}"
        );
        let error =
            run(&call("%%writefile no/a.txt\nx"), &mut script).await.expect_err("no folder");
        assert!(error.to_string().contains("no/a.txt"), "{error}");
        run(&call("%%writefile\nx"), &mut script).await.expect_err("no path");
    }
}
