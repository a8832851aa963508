//! `%serve` and `%monitor`: faces of `oxilab::serve`.
//!
//! They write Rust and run it, so that a server is the same whether a magic or a cell started it.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Done, Invocation, Magic, MagicContext, MagicResult, RustCode, usage};

/// `%serve`.
pub(super) struct Serve;

impl Magic for Serve {
    fn names(&self) -> &'static [&'static str] {
        &["serve"]
    }

    fn summary(&self) -> &'static str {
        "serves a model over HTTP in a process of its own; lists, stops and reads the servers"
    }

    fn usage(&self) -> &'static str {
        "%serve PATH [--port N] [--name X]\n\
         %serve NAME@ALIAS [--port N] [--name X]\n\
         %serve list\n\
         %serve logs NAME\n\
         %serve stop NAME"
    }

    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            let text = compose(&call.arguments).map_err(|reason| usage(self, reason))?;
            context.run(RustCode::at_line(call.line, &text)).await?;
            Ok(Done::default())
        }
        .boxed()
    }
}

/// `%monitor`.
pub(super) struct Monitor;

impl Magic for Monitor {
    fn names(&self) -> &'static [&'static str] {
        &["monitor"]
    }

    fn summary(&self) -> &'static str {
        "shows requests, latency and drift of a server"
    }

    fn usage(&self) -> &'static str {
        "%monitor NAME"
    }

    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            let words = words(&call.arguments).map_err(|reason| usage(self, reason))?;
            let [name] = words.as_slice() else {
                return Err(usage(self, "the name of a server is needed; `%serve list` shows all"));
            };
            let text = format!("::oxilab::display::display(&::oxilab::serve::monitor({name:?})?);");
            context.run(RustCode::at_line(call.line, &text)).await?;
            Ok(Done::default())
        }
        .boxed()
    }
}

/// The Rust that does what the arguments say, or why they cannot be understood.
fn compose(arguments: &str) -> Result<String, String> {
    let words = words(arguments)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(match words.as_slice() {
        [] => return Err("a model is needed: a path, or NAME@ALIAS of the registry".to_owned()),
        ["list"] => "::oxilab::display::display(&::oxilab::serve::list()?);".to_owned(),
        ["logs", name] => format!("::std::print!(\"{{}}\", ::oxilab::serve::logs({name:?})?);"),
        ["stop", name] => format!("::oxilab::serve::stop({name:?})?;"),
        ["logs" | "stop" | "list", ..] => {
            return Err(format!("`{}` does not go on like this", words[0]));
        }
        [model, options @ ..] => start(model, options)?,
    })
}

fn start(model: &str, options: &[&str]) -> Result<String, String> {
    let (mut port, mut name) = (0_u16, None);
    for pair in options.chunks(2) {
        match pair {
            ["--port", value] => {
                port = value.parse().map_err(|_| format!("`{value}` is not a port"))?;
            }
            ["--name", value] => name = Some((*value).to_owned()),
            ["--port" | "--name"] => return Err(format!("`{}` wants a value", pair[0])),
            _ => return Err(format!("`{}` is not an option", pair[0])),
        }
    }
    let is_file = model.contains('/') || model.contains('.');
    let registered = model.contains('@') && !is_file;
    let uri = if registered { format!("models:/{model}") } else { model.to_owned() };
    let name = name.unwrap_or_else(|| default_name(model));
    Ok(format!(
        "::oxilab::display::display(&::oxilab::serve::Server::new({name:?}, {uri:?})\
         .with_port({port}).start()?);"
    ))
}

/// `models/churn.oxi` and `churn@prod` are called `churn`.
fn default_name(model: &str) -> String {
    let last = model.rsplit('/').next().unwrap_or(model);
    let stem = last.split(['@', '.']).next().unwrap_or(last);
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = stem.chars().map(fits).collect();
    if name.is_empty() { "model".to_owned() } else { name }
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
