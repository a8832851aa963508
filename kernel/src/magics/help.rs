//! `%help` and `%lsmagic`, made from the registry.

use std::fmt::Write as _;

use futures::FutureExt;
use futures::future::BoxFuture;
use oxilab_protocol::MimeBundle;

use super::context::{say, show};
use super::{
    Done, Invocation, Magic, MagicContext, MagicError, MagicResult, REGISTRY, find, nearest,
};

/// `%help`.
pub(super) struct Help;

/// `%lsmagic`.
pub(super) struct List;

impl Magic for Help {
    fn names(&self) -> &'static [&'static str] {
        &["help", "h"]
    }

    fn summary(&self) -> &'static str {
        "lists the magics, or explains one"
    }

    fn usage(&self) -> &'static str {
        "%help\n%help NAME"
    }

    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            let name = call.arguments.trim_start_matches(['%', ':']);
            let bundle = if name.is_empty() {
                overview()
            } else {
                explanation(find(name).ok_or_else(|| unknown(name))?)
            };
            show(context.output(), bundle).await;
            Ok(Done::default())
        }
        .boxed()
    }
}

impl Magic for List {
    fn names(&self) -> &'static [&'static str] {
        &["lsmagic"]
    }

    fn summary(&self) -> &'static str {
        "lists the names of the magics"
    }

    fn usage(&self) -> &'static str {
        "%lsmagic"
    }

    fn run<'a>(
        &'a self,
        _call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            let spellings = super::spellings();
            let (cell, line): (Vec<_>, Vec<_>) =
                spellings.into_iter().partition(|name| name.starts_with("%%"));
            say(context.output(), &format!("{}  !command\n{}", line.join("  "), cell.join("  ")))
                .await;
            Ok(Done::default())
        }
        .boxed()
    }
}

fn unknown(name: &str) -> MagicError {
    let call =
        Invocation { name: name.to_owned(), spelling: format!("%{name}"), ..Invocation::default() };
    MagicError::Unknown { nearest: nearest(&call), spelling: call.spelling }
}

fn first_form(magic: &dyn Magic) -> &'static str {
    magic.usage().lines().next().unwrap_or_default()
}

fn overview() -> MimeBundle {
    let width = REGISTRY.iter().map(|magic| first_form(*magic).len()).max().unwrap_or_default();
    let mut plain = String::from("Magics:\n");
    let mut markdown = String::from("| magic | |\n|:--|:--|\n");
    for magic in REGISTRY {
        let form = first_form(*magic);
        // Writing to a string does not fail.
        let _ = writeln!(plain, "  {form:<width$}  {}", magic.summary());
        let _ = writeln!(markdown, "| `{}` | {} |", form.replace('|', "\\|"), magic.summary());
    }
    let last =
        "`%help NAME` says more. evcxr's spellings (`:dep`, `:vars`, …) and `//%name` work too.";
    plain += &last.replace('`', "");
    markdown.extend(["\n", last]);
    MimeBundle::text(plain).with("text/markdown", markdown)
}

fn explanation(magic: &dyn Magic) -> MimeBundle {
    let names = magic.names();
    let mut plain = format!("{}: {}\n\n{}", names[0], magic.summary(), magic.usage());
    if names.len() > 1 {
        plain.extend(["\n\nalso: ", &names[1..].join(", ")]);
    }
    MimeBundle::text(plain)
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};

    #[tokio::test]
    async fn help_lists_every_magic() {
        let mut script = Script::default();
        run(&call("%help"), &mut script).await.expect("help");
        let text = script.text();
        for form in ["%time EXPRESSION", "%dep", "%%writefile", "!COMMAND"] {
            assert!(text.contains(form), "{form} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn help_explains_one_magic_under_any_of_its_names() {
        for written in ["%help who", ":help vars", "%help %whos"] {
            let mut script = Script::default();
            run(&call(written), &mut script).await.expect(written);
            assert!(script.text().contains("variables"), "{written}");
        }
        let error = super::super::run(&call("%help wo"), &mut Script::default())
            .await
            .expect_err("unknown");
        assert!(error.to_string().contains("%who"), "{error}");
    }

    #[tokio::test]
    async fn lsmagic_lists_names() {
        let mut script = Script::default();
        run(&call("%lsmagic"), &mut script).await.expect("list");
        let text = script.text();
        assert!(
            text.contains("%timeit") && text.contains("%%timeit") && text.contains("%%html"),
            "{text}"
        );
    }
}
