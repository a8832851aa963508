//! `%serve`.

use super::{Known, Verb, options, show};
use crate::magics::known::Meant;

pub(in super::super) static SERVE: Verb = Verb {
    name: &["serve"],
    summary: "serves a model over HTTP in a process of its own; lists, stops and reads the servers",
    usage: "%serve VARIABLE [--reference FRAME] [--port N] [--name X] [--replace]\n\
            %serve PATH [--port N] [--name X] [--replace]\n\
            %serve NAME@ALIAS [--port N] [--name X] [--replace]\n\
            %serve list\n\
            %serve logs NAME\n\
            %serve stop NAME",
    compose: |words, known| {
        Ok(match words {
            [] => {
                return Err("a model is needed: a variable, a path, or NAME@ALIAS of the registry"
                    .to_owned());
            }
            ["list"] => show("::oxilab::serve::list()?"),
            ["logs", name] => {
                format!("::std::print!(\"{{}}\", ::oxilab::serve::logs({name:?})?);")
            }
            ["stop", name] => format!("::oxilab::serve::stop({name:?})?;"),
            ["logs" | "stop" | "list", ..] => {
                return Err(format!("`{}` does not go on like this", words[0]));
            }
            [model, rest @ ..] => start(model, rest, known)?,
        })
    },
};

/// Options that have no value; `--replace` is this side's own, the others are those of `oxilab serve --help`.
const FLAGS: [&str; 3] = ["--log-json", "--log-requests", "--replace"];

fn start(model: &str, rest: &[&str], known: &Known) -> Result<String, String> {
    let is_variable = known.model(model)? == Meant::Variable;
    if is_variable {
        known.fitted(model)?;
    }
    let (mut port, mut name, mut reference, mut more) = (0_u16, None, None, String::new());
    for option in options(rest, &FLAGS)? {
        match option {
            ("--port", Some(value)) => {
                port = value.parse().map_err(|_| format!("`{value}` is not a port"))?;
            }
            ("--name", Some(value)) => name = Some(value.to_owned()),
            ("--reference", Some(frame)) if is_variable => {
                if !known.has(frame) {
                    return Err(format!("there is no variable `{frame}`"));
                }
                reference = Some(frame);
            }
            (option, Some(value)) => more.push_str(&format!(".with({option:?}, {value:?})")),
            ("--replace", None) => more.push_str(".with_replace(true)"),
            (flag, None) => more.push_str(&format!(".with_flag({flag:?})")),
        }
    }
    let name = name.unwrap_or_else(|| default_name(model));
    let server = match (is_variable, reference) {
        (true, None) => format!("::oxilab::serve::Server::of({name:?}, &{model})?"),
        (true, Some(frame)) => {
            format!("::oxilab::serve::Server::of_with_reference({name:?}, &{model}, &{frame})?")
        }
        (false, _) => {
            let is_file = model.contains('/') || model.contains('.');
            let registered = model.contains('@') && !is_file;
            let uri = if registered { format!("models:/{model}") } else { model.to_owned() };
            format!("::oxilab::serve::Server::new({name:?}, {uri:?})")
        }
    };
    Ok(show(&format!("{server}.with_port({port}){more}.start()?")))
}

/// `models/churn.oxi` and `churn@prod` are called `churn`.
fn default_name(model: &str) -> String {
    let last = match model.strip_prefix("models:/") {
        Some(text) => text.split('/').next().unwrap_or(text),
        None => model.rsplit('/').next().unwrap_or(model),
    };
    let stem = last.split(['@', '.']).next().unwrap_or(last);
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = stem.chars().map(fits).collect();
    if name.is_empty() { "model".to_owned() } else { name }
}
