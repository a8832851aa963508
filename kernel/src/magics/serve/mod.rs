//! `%serve`, `%monitor`, `%push`, `%retrain`, `%rollback`: faces of `oxilab::serve`, one file each.
//!
//! They write Rust and run it, so that a server is the same whether a magic or a cell started it.

mod monitor;
mod push;
mod retrain;
mod serving;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::known::Known;
use super::{Done, Invocation, Magic, MagicContext, MagicResult, RustCode, usage};

pub(super) use monitor::MONITOR;
pub(super) use push::PUSH;
pub(super) use retrain::{RETRAIN, ROLLBACK};
pub(super) use serving::SERVE;

/// A magic whose words become a line of Rust.
pub(super) struct Verb {
    name: &'static [&'static str],
    summary: &'static str,
    usage: &'static str,
    /// The Rust for the words, given what words can name; or what is wrong with them.
    compose: fn(&[&str], &Known) -> Result<String, String>,
}

impl Magic for Verb {
    fn names(&self) -> &'static [&'static str] {
        self.name
    }

    fn summary(&self) -> &'static str {
        self.summary
    }

    fn usage(&self) -> &'static str {
        self.usage
    }

    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            let known = Known::of(context).await?;
            let text = words(&call.arguments)
                .and_then(|words| {
                    let words: Vec<&str> = words.iter().map(String::as_str).collect();
                    (self.compose)(&words, &known)
                })
                .map_err(|reason| usage(self, reason))?;
            context.run(RustCode::standing_for(call.line, &text)).await?;
            Ok(Done::default())
        }
        .boxed()
    }
}

/// Rust that shows the value of an expression.
fn show(expression: &str) -> String {
    format!("::oxilab::display::display(&{expression});")
}

/// Options behind the first words: `--name value`, and the flags in `flags` without a value.
fn options<'a>(
    words: &[&'a str],
    flags: &[&str],
) -> Result<Vec<(&'a str, Option<&'a str>)>, String> {
    let mut out = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if !word.starts_with("--") {
            return Err(format!("`{word}` is not an option"));
        }
        if flags.contains(word) {
            out.push((*word, None));
            continue;
        }
        let value = rest.next().ok_or_else(|| format!("`{word}` wants a value"))?;
        out.push((*word, Some(*value)));
    }
    Ok(out)
}

/// Words between blanks; quotes keep blanks within.
fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use oxilab_protocol::VariableInfo;

    use super::super::run;
    use super::super::testing::{Script, call};

    async fn composed(code: &str) -> String {
        let variable = serde_json::json!({"name": "model", "type_name": "FittedModel", "shape": null, "bytes": 1, "preview": ""});
        let mut script = Script::default();
        script.variables.extend(serde_json::from_value::<VariableInfo>(variable));
        run(&call(code), &mut script).await.expect(code);
        script.ran[0].text.clone()
    }

    #[tokio::test]
    async fn models_are_served_under_their_names() {
        let text = composed("%serve models/churn.oxi --port 8081").await;
        assert!(text.contains("Server::new(\"churn\", \"models/churn.oxi\")"), "{text}");
        assert!(text.contains(".with_port(8081)"), "{text}");
        let text = composed("%serve churn@prod --alert-file a.jsonl --log-json").await;
        assert!(text.contains("Server::new(\"churn\", \"models:/churn@prod\")"), "{text}");
        assert!(text.contains(".with(\"--alert-file\", \"a.jsonl\")"), "{text}");
        assert!(text.contains(".with_flag(\"--log-json\")"), "{text}");
        let text = composed("%serve churn@prod --log-requests --port 8082").await;
        assert!(text.contains(".with_port(8082).with_flag(\"--log-requests\")"), "{text}");
        let text = composed("%serve models:/churn@prod --name \"my-model\"").await;
        assert!(text.contains("Server::new(\"my-model\", \"models:/churn@prod\")"), "{text}");
    }

    #[tokio::test]
    async fn a_variable_is_served_as_it_is() {
        let text = composed("%serve model").await;
        assert!(text.contains("Server::of(\"model\", &model)?.with_port(0).start()?"), "{text}");
        let text = composed("%serve model --replace").await;
        assert!(text.contains(".with_port(0).with_replace(true).start()?"), "{text}");
        let text = composed("%serve model --reference model").await;
        assert!(text.contains("of_with_reference(\"model\", &model, &model)?"), "{text}");
    }

    #[tokio::test]
    async fn servers_are_listed_read_stopped_and_watched() {
        assert!(composed("%serve list").await.contains("serve::list()?"));
        assert!(composed("%serve logs churn").await.contains("serve::logs(\"churn\")?"));
        assert!(composed("%serve stop churn").await.contains("serve::stop(\"churn\")?"));
        assert!(composed("%monitor churn").await.contains("serve::monitor(\"churn\")?"));
    }

    #[tokio::test]
    async fn models_are_pushed_and_trained_again() {
        let text = composed("%push churn@prod to http://host:80 --dry-run --name x").await;
        assert!(text.contains("Push::new(\"churn@prod\", \"http://host:80\")"), "{text}");
        assert!(text.contains(".with_name(\"x\").dry_run()?"), "{text}");
        let text = composed("%push churn@prod to kserve --image r/c:1").await;
        assert!(text.contains("kserve(\"churn@prod\", \"kserve\", \"r/c:1\", false)?"), "{text}");
        let text = composed("%retrain churn.json").await;
        assert!(
            text.contains("Retrain::load(\"churn.json\")?") && text.contains("due()?"),
            "{text}"
        );
        assert!(composed("%retrain churn.json --now").await.contains(".run(\"asked for\")?"));
        assert!(composed("%rollback churn@prod").await.contains("rollback(\"churn\", \"prod\")?"));
    }

    #[tokio::test]
    async fn what_is_written_stays_text() {
        let text = composed("%serve 'a\"b/m.oxi'").await;
        assert!(text.contains(r#""a\"b/m.oxi""#), "{text}");
    }

    #[tokio::test]
    async fn wrong_calls_show_the_usage() {
        for code in [
            "%serve",
            "%serve stop",
            "%serve m.oxi --port x",
            "%serve m.oxi what",
            "%serve m.oxi --what",
            "%serve nope",
            "%monitor",
            "%push a",
            "%push a to b c",
            "%retrain",
            "%rollback churn",
        ] {
            let error = run(&call(code), &mut Script::default()).await.expect_err(code);
            assert!(error.to_string().contains("usage: %"), "{error}");
        }
    }
}
