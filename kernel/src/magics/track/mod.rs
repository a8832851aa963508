//! Tracking and registry, one file per family: here what concerns runs, in [`best`] `%best`, in
//! [`registry`] what concerns models, in [`cell`] `%%run`.
//!
//! Each is a line that stands for a line of Rust, which calls a function of `oxilab::track` that does the
//! same without a magic.

mod best;
mod cell;
mod registry;

pub(super) use best::BEST;
pub(super) use cell::run_cell;
pub(super) use registry::{LINEAGE, LOAD, MODELS, PROMOTE, REGISTER};

use futures::FutureExt;
use futures::future::BoxFuture;

use super::known::Known;
use super::{Done, Invocation, Magic, MagicContext, MagicResult, RustCode, usage};

/// A magic that is a face of a function.
pub(super) struct Face {
    names: &'static [&'static str],
    summary: &'static str,
    usage: &'static str,
    /// The Rust for the arguments, given what words can name; or what is wrong with them.
    compose: fn(&str, &Known) -> Result<String, String>,
}

pub(super) static EXPERIMENT: Face = Face {
    names: &["experiment"],
    summary: "starts later runs in an experiment, which is made unless it exists",
    usage: "%experiment NAME",
    compose: |name, _| {
        let name = literal(required(name, "the experiment's name")?);
        Ok(format!("oxilab::track::experiment({name})?;"))
    },
};

pub(super) static LOG: Face = Face {
    names: &["log"],
    summary: "logs metrics, parameters, tags or files to the active run",
    usage: "%log METRIC=EXPRESSION … [--step N]\n%log param NAME=TEXT|VARIABLE|{EXPRESSION} …\n\
            %log tag NAME=TEXT …\n%log artifact PATH",
    compose: compose_log,
};

/// The run is named first: one that was left by a cell that failed, or started by this line, is not what
/// anybody has in mind.
fn compose_log(arguments: &str, known: &Known) -> Result<String, String> {
    Ok(format!("oxilab::track::say_run(true)?; {}", logged(arguments, known)?))
}

fn logged(arguments: &str, known: &Known) -> Result<String, String> {
    let (kind, rest) = arguments.split_once(char::is_whitespace).unwrap_or((arguments, ""));
    match kind {
        "artifact" => {
            let path = literal(required(rest.trim(), "the path")?);
            Ok(format!("oxilab::track::log_artifact({path})?;"))
        }
        "param" => pairs(rest, |key, value| {
            format!("oxilab::track::log_param({key}, {})?;", value_of(value, known))
        }),
        "tag" => {
            pairs(rest, |key, value| format!("oxilab::track::set_tag({key}, {})?;", literal(value)))
        }
        _ => {
            let (metrics, step) = match arguments.rsplit_once("--step") {
                Some((metrics, step)) => (metrics, required(step.trim(), "the step")?),
                None => (arguments, "0"),
            };
            pairs(metrics, |key, value| {
                format!("oxilab::track::log_metric({key}, ({value}) as f64, ({step}) as i64)?;")
            })
        }
    }
}

/// One statement for each `NAME=VALUE`.
fn pairs(text: &str, statement: impl Fn(&str, &str) -> String) -> Result<String, String> {
    let words = words(text)?;
    if words.is_empty() {
        return Err("`NAME=VALUE` is missing".to_owned());
    }
    let each = words.iter().map(|word| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() && !value.is_empty() => {
            Ok(statement(&literal(key), value))
        }
        _ => Err(format!("`{word}` is not NAME=VALUE")),
    });
    Ok(each.collect::<Result<Vec<_>, _>>()?.join(" "))
}

/// The value of a variable or of Rust in braces; any other is text.
fn value_of(value: &str, known: &Known) -> String {
    let braced = value.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    match braced {
        Some(expression) => format!("({expression}).to_string()"),
        None if known.has(value) => format!("&{value}"),
        None => literal(value),
    }
}

/// Words between blanks; quotes keep blanks within and go.
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

pub(super) static RUNS: Face = Face {
    names: &["runs"],
    summary: "shows the runs of the experiment as a frame, with MLflow's filter syntax",
    usage: "%runs\n%runs metrics.accuracy > 0.9 and params.depth = '6'",
    compose: |query, _| Ok(show(&format!("oxilab::track::runs({})?", literal(query)))),
};

pub(super) static COMPARE: Face = Face {
    names: &["compare"],
    summary: "shows runs side by side: parameters, metrics, charts",
    usage: "%compare RUN RUN …\n(a run: its identifier, the beginning of it, or its name in quotes)",
    compose: |arguments, _| {
        let ids: Vec<String> = words(arguments)?.iter().map(|run| literal(run)).collect();
        if ids.is_empty() {
            return Err("the runs are missing".to_owned());
        }
        Ok(show(&format!("oxilab::track::compare(&[{}])?", ids.join(", "))))
    },
};

pub(super) static ARTIFACTS: Face = Face {
    names: &["artifacts"],
    summary: "shows the files of a run: of the active one, or the newest",
    usage: "%artifacts\n%artifacts RUN",
    compose: |run, _| {
        let run = words(run)?.join(" ");
        Ok(show(&format!("oxilab::track::artifacts({})?", literal(&run))))
    },
};

pub(super) static AUTOLOG: Face = Face {
    names: &["autolog"],
    summary: "logs every fit of a learner or trainer by itself: parameters, metrics, data, model",
    usage: "%autolog\n%autolog off",
    compose: |arguments, _| match arguments {
        "" | "on" => Ok("oxilab::track::autolog(true);".to_owned()),
        "off" => Ok("oxilab::track::autolog(false);".to_owned()),
        other => Err(format!("`{other}` is neither `on` nor `off`")),
    },
};

pub(super) static TRACK: Face = Face {
    names: &["track"],
    summary: "shows or sets where runs go; starts MLflow's server, shows it, sends the journal to one",
    usage: "%track\n%track uri [http://HOST:PORT | journal:PATH | memory:]\n%track start\n%track ui\n\
            %track stop\n%track sync http://HOST:PORT",
    compose: |arguments, _| match arguments.split_once(char::is_whitespace) {
        None => match arguments {
            "" | "uri" => Ok("println!(\"{}\", oxilab::track::uri()?);".to_owned()),
            "start" => Ok(show("oxilab::track::start_server()?")),
            "ui" => Ok(show("oxilab::track::ui()?")),
            "stop" => Ok("oxilab::track::stop_server()?;".to_owned()),
            other => Err(format!("`{other}` is not known")),
        },
        Some(("uri", uri)) => {
            let uri = uri.trim();
            // A server may be started later: it is set, and said.
            let note =
                "if let Some(note) = oxilab::track::server_note()? { println!(\"{note}\"); }";
            let note = if uri.starts_with("http") { format!(" {note}") } else { String::new() };
            Ok(format!("oxilab::track::set_uri({})?;{note}", literal(uri)))
        }
        Some(("sync", uri)) => {
            Ok(format!("println!(\"{{}}\", oxilab::track::sync({})?);", literal(uri.trim())))
        }
        Some((word, _)) => Err(format!("`{word}` is not known")),
    },
};

fn required<'a>(text: &'a str, what: &str) -> Result<&'a str, String> {
    if text.is_empty() { Err(format!("{what} is missing")) } else { Ok(text) }
}

fn none(arguments: &str) -> Result<(), String> {
    if arguments.is_empty() { Ok(()) } else { Err("it takes no arguments".to_owned()) }
}

/// Text as a Rust literal.
fn literal(text: &str) -> String {
    format!("{text:?}")
}

fn show(expression: &str) -> String {
    format!("oxilab::display::display(&{expression});")
}

impl Magic for Face {
    fn names(&self) -> &'static [&'static str] {
        self.names
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
            let text = (self.compose)(call.arguments.trim(), &known)
                .map_err(|reason| usage(self, reason))?;
            context.run(RustCode::standing_for(call.line, &text)).await?;
            Ok(Done::default())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};

    async fn rust(code: &str) -> Result<String, String> {
        let mut script = Script::default();
        run(&call(code), &mut script).await.map_err(|error| error.to_string())?;
        Ok(script.ran.remove(0).text)
    }

    #[tokio::test]
    async fn each_is_a_line_of_rust() {
        for (magic, expected) in [
            ("%experiment it's \"mine\"", "oxilab::track::experiment(\"it's \\\"mine\\\"\")?;"),
            ("%runs", "oxilab::display::display(&oxilab::track::runs(\"\")?);"),
            (
                "%runs metrics.a > 0.9 and params.b = 'c'",
                "oxilab::display::display(&oxilab::track::runs(\"metrics.a > 0.9 and params.b = 'c'\")?);",
            ),
            (
                "%best loss min",
                "oxilab::display::display(&oxilab::track::best(\"loss\", oxilab::track::Best::Lowest)?);",
            ),
            (
                "%best val_loss",
                "oxilab::display::display(&oxilab::track::best(\"val_loss\", oxilab::track::Best::of(\"val_loss\"))?);",
            ),
            (
                "%best of max",
                "oxilab::display::display(&oxilab::track::best(\"of\", oxilab::track::Best::Highest)?);",
            ),
            (
                "%best \"of a kind\"",
                "oxilab::display::display(&oxilab::track::best(\"of a kind\", oxilab::track::Best::of(\"of a kind\"))?);",
            ),
            (
                "%load fraud into best",
                "let best = oxilab::model::load(oxilab::track::load_path(\"fraud/latest\")?)?;",
            ),
            ("%track uri", "println!(\"{}\", oxilab::track::uri()?);"),
            (
                "%load fraud@champion into best",
                "let best = oxilab::model::load(oxilab::track::load_path(\"fraud@champion\")?)?;",
            ),
            (
                "%log param kind=linear n={1+1}",
                "oxilab::track::say_run(true)?; oxilab::track::log_param(\"kind\", \"linear\")?; \
                 oxilab::track::log_param(\"n\", (1+1).to_string())?;",
            ),
            (
                "%log loss=x --step 3",
                "oxilab::track::say_run(true)?; \
                 oxilab::track::log_metric(\"loss\", (x) as f64, (3) as i64)?;",
            ),
            (
                "%compare \"first run\" ab12",
                "oxilab::display::display(&oxilab::track::compare(&[\"first run\", \"ab12\"])?);",
            ),
            ("%track uri memory:", "oxilab::track::set_uri(\"memory:\")?;"),
            ("%track", "println!(\"{}\", oxilab::track::uri()?);"),
        ] {
            let text = rust(magic).await.expect(magic);
            assert_eq!(text, expected);
            assert!(syn::parse_str::<syn::Block>(&format!("{{{text}}}")).is_ok(), "{text}");
        }
        for magic in [
            "%promote fraud/2 @champion",
            "%promote fraud 2 champion",
            "%promote fraud/2 champion",
            "%promote fraud 2 @champion",
        ] {
            let text = rust(magic).await.expect(magic);
            let expected = "oxilab::track::promote(\"fraud\", 2, \"champion\")?; \
                oxilab::display::display(&oxilab::track::resolve(\"models:/fraud@champion\")?);";
            assert_eq!(text, expected, "{magic}");
        }
        let text = rust("%register a.bin as fraud @latest").await.expect("composed");
        let checked = text.find("check_alias(\"latest\")?").expect("the alias is checked");
        assert!(checked < text.find("register(").expect("then it is registered"), "{text}");
        for magic in [
            "%track uri http://127.0.0.1:1",
            "%register a b.bin as fraud @champion",
            "%compare a b",
            "%models",
            "%track sync http://h:1",
            "%track start",
            "%track ui",
            "%artifacts \"a run\"",
            "%autolog",
            "%lineage fraud@champion",
            "%log loss=0.5 f1=1.0-loss --step epoch",
            "%log param lr=0.1 name=some/path",
            "%log tag team=\"the blue ones\"",
            "%log artifact a b.txt",
        ] {
            let text = rust(magic).await.expect(magic);
            assert!(syn::parse_str::<syn::Block>(&format!("{{{text}}}")).is_ok(), "{text}");
        }
    }

    #[tokio::test]
    async fn wrong_calls_say_how_it_is_written() {
        for magic in [
            "%experiment",
            "%best",
            "%compare",
            "%register x",
            "%register  as y",
            "%models x",
            "%promote fraud @c",
            "%promote fraud/x @c",
            "%promote fraud/1",
            "%promote fraud 1",
            "%best loss sideways",
            "%best max",
            "%register nonvar as m",
            "%load a@b into 1x",
            "%track no",
            "%log",
            "%log x",
            "%log x=\"1",
            "%log artifact",
            "%autolog maybe",
            "%lineage",
        ] {
            let error = rust(magic).await.expect_err(magic);
            assert!(error.contains("usage: %"), "{error}");
        }
    }
}
