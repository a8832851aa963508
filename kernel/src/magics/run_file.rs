//! `%run`: runs a Rust file as if it stood in the cell. `%%run`: the rest of the cell as a run of the
//! tracker, which [`super::track`] carries out.

use std::fs;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{
    Done, Invocation, Magic, MagicContext, MagicError, MagicResult, RustCode, track, usage,
};

/// `%run`.
pub(super) struct Run;

impl Magic for Run {
    fn names(&self) -> &'static [&'static str] {
        &["run"]
    }

    fn summary(&self) -> &'static str {
        "runs a Rust file as if it stood in the cell; with %%, logs the rest of the cell as a run"
    }

    fn usage(&self) -> &'static str {
        "%run FILE.rs\n%%run [NAME] [--tag NAME=TEXT]… [--nested]"
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
            if let Some(body) = &call.body {
                return track::run_cell(self, call, body, context).await;
            }
            let path = call.arguments.trim_matches(['"', '\'']);
            if path.is_empty() {
                return Err(usage(self, "no file"));
            }
            let path = context.surroundings().absolute(path);
            let text = fs::read_to_string(&path).map_err(|source| MagicError::File {
                doing: "cannot read",
                path,
                source,
            })?;
            context.run(RustCode::at_line(0, &with_main(text))).await?;
            Ok(Done::default())
        }
        .boxed()
    }
}

/// The text, with a call of its `main` behind it.
fn with_main(text: String) -> String {
    // A byte order mark and a `#!` line are no Rust; the latter's place is kept.
    let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
    let text =
        if text.starts_with("#!") && !text.starts_with("#![") { format!("//{text}") } else { text };
    let Ok(file) = syn::parse_file(&text) else { return text };
    let main = file.items.iter().find_map(|item| match item {
        syn::Item::Fn(function) if function.sig.ident == "main" => Some(&function.sig),
        _ => None,
    });
    let Some(main) = main else { return text };
    let wait = if main.asyncness.is_some() { ".await" } else { "" };
    let fails = if matches!(main.output, syn::ReturnType::Default) { "" } else { "?" };
    format!("{text}\nmain(){wait}{fails};")
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};
    use super::*;

    #[tokio::test]
    async fn a_file_runs_from_the_sessions_directory() {
        let folder = tempfile::tempdir().expect("folder");
        fs::write(folder.path().join("a.rs"), "let x = 1;").expect("written");
        let mut script = Script::default();
        script.surroundings.directory = folder.path().to_owned();
        run(&call("%run a.rs"), &mut script).await.expect("ran");
        assert_eq!(script.ran[0].text, "let x = 1;");
        let error = run(&call("%run b.rs"), &mut script).await.expect_err("no file");
        assert!(error.to_string().contains("b.rs"), "{error}");
    }

    #[test]
    fn main_is_called() {
        assert_eq!(with_main("fn main() {}".to_owned()), "fn main() {}\nmain();");
        let fallible = "fn main() -> Result<(), String> { Ok(()) }";
        assert_eq!(with_main(fallible.to_owned()), format!("{fallible}\nmain()?;"));
        assert_eq!(with_main("#!/bin/x\nfn f() {}".to_owned()), "//#!/bin/x\nfn f() {}");
        assert_eq!(with_main("1 + 1".to_owned()), "1 + 1");
    }
}
