//! Tracking and registry: `%experiment`, `%runs`, `%best`, `%compare`, `%register`, `%models`,
//! `%promote`, `%load`, `%track`.
//!
//! Each is a line that stands for a line of Rust, which calls a function of `oxilab::track` that does the
//! same without a magic.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Done, Invocation, Magic, MagicContext, MagicResult, RustCode, usage};

/// A magic that is a face of a function.
pub(super) struct Face {
    names: &'static [&'static str],
    summary: &'static str,
    usage: &'static str,
    /// The Rust for the arguments, given the names of all variables; or what is wrong with them.
    compose: fn(&str, &[String]) -> Result<String, String>,
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

pub(super) static RUNS: Face = Face {
    names: &["runs"],
    summary: "shows the runs of the experiment as a frame, with MLflow's filter syntax",
    usage: "%runs\n%runs metrics.accuracy > 0.9 and params.depth = '6'",
    compose: |query, _| Ok(show(&format!("oxilab::track::runs({})?", literal(query)))),
};

pub(super) static BEST: Face = Face {
    names: &["best"],
    summary: "shows the run that is best by a metric: the highest, with `min` the lowest",
    usage: "%best METRIC [min|max]",
    compose: |arguments, _| {
        let (metric, which) = match arguments.rsplit_once(char::is_whitespace) {
            Some((metric, "min")) => (metric, "Lowest"),
            Some((metric, "max")) => (metric, "Highest"),
            _ => (arguments, "Highest"),
        };
        let metric = literal(required(metric.trim(), "the metric's name")?);
        Ok(show(&format!("oxilab::track::best({metric}, oxilab::track::Best::{which})?")))
    },
};

pub(super) static COMPARE: Face = Face {
    names: &["compare"],
    summary: "shows runs side by side: parameters and metrics",
    usage: "%compare RUN RUN …",
    compose: |arguments, _| {
        let ids: Vec<String> = arguments.split_whitespace().map(literal).collect();
        if ids.is_empty() {
            return Err("the runs' identifiers are missing".to_owned());
        }
        Ok(show(&format!("oxilab::track::compare(&[{}])?", ids.join(", "))))
    },
};

pub(super) static REGISTER: Face = Face {
    names: &["register"],
    summary: "registers a model (a variable, a file or a folder) as the next version of a name",
    usage: "%register VARIABLE as NAME [@ALIAS]\n%register PATH as NAME [@ALIAS]",
    compose: |arguments, variables| {
        let (what, rest) = arguments.rsplit_once(" as ").ok_or("`as NAME` is missing")?;
        let (name, alias) = match rest.split_once('@') {
            Some((name, alias)) => (name.trim(), Some(alias.trim())),
            None => (rest.trim(), None),
        };
        let what = required(what.trim(), "the model")?;
        let name = literal(required(name, "the model's name")?);
        let register = if variables.iter().any(|variable| variable == what) {
            format!("oxilab::track::register_with({name}, |path| {what}.save(path))?")
        } else {
            format!("oxilab::track::register({}, {name})?", literal(what))
        };
        let promote = alias.map_or_else(String::new, |alias| {
            let alias = literal(alias);
            format!(" oxilab::track::promote({name}, version.version, {alias})?;")
        });
        let shown = show(&format!(
            "oxilab::track::resolve(&format!(\"models:/{{}}/{{}}\", {name}, version.version))?"
        ));
        Ok(format!("{{ let version = {register};{promote} {shown} }}"))
    },
};

pub(super) static MODELS: Face = Face {
    names: &["models"],
    summary: "shows the registered models with versions and aliases",
    usage: "%models",
    compose: |arguments, _| {
        none(arguments)?;
        Ok(show("oxilab::track::models()?"))
    },
};

pub(super) static PROMOTE: Face = Face {
    names: &["promote"],
    summary: "points an alias at a version of a model, after its goals are met",
    usage: "%promote NAME/VERSION @ALIAS",
    compose: |arguments, _| {
        let (model, alias) = arguments.rsplit_once('@').ok_or("`@ALIAS` is missing")?;
        let (name, version) = model.trim().rsplit_once('/').ok_or("`NAME/VERSION` is missing")?;
        let version: u32 =
            version.parse().map_err(|_| format!("{version:?} is no version: 1, 2, …"))?;
        let (name, alias) = (literal(name), literal(alias.trim()));
        Ok(format!("oxilab::track::promote({name}, {version}, {alias})?;"))
    },
};

pub(super) static LOAD: Face = Face {
    names: &["load"],
    summary: "loads a registered model into a variable",
    usage: "%load NAME@ALIAS into VARIABLE\n%load NAME/VERSION into VARIABLE",
    compose: |arguments, _| {
        let (model, variable) =
            arguments.rsplit_once(" into ").ok_or("`into VARIABLE` is missing")?;
        let variable = variable.trim();
        if syn::parse_str::<syn::Ident>(variable).is_err() {
            return Err(format!("{variable:?} is no name of a variable"));
        }
        let model = literal(required(model.trim(), "the model's address")?);
        Ok(format!("let {variable} = oxilab::model::load(oxilab::track::load_path({model})?)?;"))
    },
};

pub(super) static TRACK: Face = Face {
    names: &["track"],
    summary: "shows or sets where runs go, or sends the journal's runs to an MLflow server",
    usage: "%track\n%track uri http://HOST:PORT | journal:PATH | memory:\n%track sync http://HOST:PORT",
    compose: |arguments, _| match arguments.split_once(char::is_whitespace) {
        None if arguments.is_empty() => Ok("println!(\"{}\", oxilab::track::uri()?);".to_owned()),
        Some(("uri", uri)) => Ok(format!("oxilab::track::set_uri({})?;", literal(uri.trim()))),
        Some(("sync", uri)) => {
            Ok(format!("println!(\"{{}}\", oxilab::track::sync({})?);", literal(uri.trim())))
        }
        _ => Err("only `uri ADDRESS` and `sync ADDRESS` are known".to_owned()),
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
            let variables = context.variables().await?;
            let variables: Vec<String> =
                variables.into_iter().map(|variable| variable.name).collect();
            let text = (self.compose)(call.arguments.trim(), &variables)
                .map_err(|reason| usage(self, reason))?;
            context.run(RustCode::at_line(call.line, &text)).await?;
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
            ("%promote fraud/2 @champion", "oxilab::track::promote(\"fraud\", 2, \"champion\")?;"),
            (
                "%load fraud@champion into best",
                "let best = oxilab::model::load(oxilab::track::load_path(\"fraud@champion\")?)?;",
            ),
            ("%track uri memory:", "oxilab::track::set_uri(\"memory:\")?;"),
            ("%track", "println!(\"{}\", oxilab::track::uri()?);"),
        ] {
            let text = rust(magic).await.expect(magic);
            assert_eq!(text, expected);
            assert!(syn::parse_str::<syn::Block>(&format!("{{{text}}}")).is_ok(), "{text}");
        }
        for magic in [
            "%register a b.bin as fraud @champion",
            "%compare a b",
            "%models",
            "%track sync http://h:1",
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
            "%load a@b into 1x",
            "%track no",
        ] {
            let error = rust(magic).await.expect_err(magic);
            assert!(error.contains("usage: %"), "{error}");
        }
    }
}
