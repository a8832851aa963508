//! `%who`: the variables with their types and sizes.

use futures::FutureExt;
use futures::future::BoxFuture;
use oxilab_protocol::{MimeBundle, VariableInfo};

use super::context::{say, show};
use super::{Done, Invocation, Magic, MagicContext, MagicResult};
use crate::bytes::bytes;

/// `%who`.
pub(super) struct Who;

impl Magic for Who {
    fn names(&self) -> &'static [&'static str] {
        &["who", "whos", "vars"]
    }

    fn summary(&self) -> &'static str {
        "lists the variables, those of the named types only where some are named: name, type, size; %whos \
         shows their values as well"
    }

    fn usage(&self) -> &'static str {
        "%who [TYPE…]\n%whos [TYPE…]"
    }

    fn run<'a>(
        &'a self,
        call: &'a Invocation,
        context: &'a mut dyn MagicContext,
    ) -> BoxFuture<'a, MagicResult<Done>> {
        async move {
            let variables = context.variables().await?;
            let wanted: Vec<&str> = call.arguments.split_whitespace().collect();
            let listed: Vec<&VariableInfo> =
                variables.iter().filter(|variable| is_wanted(variable, &wanted)).collect();
            if !listed.is_empty() {
                show(context.output(), table(&listed, call.name == "whos")).await;
            } else if variables.is_empty() {
                say(context.output(), "No variables.").await;
            } else {
                let none = format!("No variable is a {}.", wanted.join(" or a "));
                say(context.output(), &none).await;
            }
            Ok(Done::default())
        }
        .boxed()
    }
}

/// Whether its type, as people write it, is one of these: `Vec` is any `Vec<T>`.
fn is_wanted(variable: &VariableInfo, wanted: &[&str]) -> bool {
    let name = short(&variable.type_name);
    let outer = name.split('<').next().unwrap_or(&name);
    wanted.is_empty() || wanted.contains(&name.as_str()) || wanted.contains(&outer)
}

fn table(variables: &[&VariableInfo], values: bool) -> MimeBundle {
    let mut head = vec!["name", "type", "size"];
    head.extend(values.then_some("value"));
    let rows: Vec<Vec<String>> = variables
        .iter()
        .map(|variable| {
            let mut row = vec![variable.name.clone(), short(&variable.type_name), size(variable)];
            row.extend(values.then(|| variable.preview.clone()));
            row
        })
        .collect();
    MimeBundle::text(plain(&head, &rows)).with_html(html(&head, &rows))
}

fn plain(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([head[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(head.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

fn html(head: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |tag: &str, cells: Vec<&str>| {
        let cell =
            |cell: &&str| format!("<{tag} style=\"text-align:left\">{}</{tag}>", escape(cell));
        format!("<tr>{}</tr>", cells.iter().map(cell).collect::<Vec<_>>().concat())
    };
    let body: String =
        rows.iter().map(|row| cells("td", row.iter().map(String::as_str).collect())).collect();
    format!("<table><thead>{}</thead><tbody>{body}</tbody></table>", cells("th", head.to_vec()))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Shape where there is one, and the bytes.
fn size(variable: &VariableInfo) -> String {
    let bytes = bytes(variable.bytes);
    variable.shape.as_ref().map_or_else(|| bytes.clone(), |shape| format!("{shape}, {bytes}"))
}

/// A type as people write it: `alloc::vec::Vec<alloc::string::String>` is `Vec<String>`.
fn short(type_name: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    let mut characters = type_name.chars().peekable();
    while let Some(character) = characters.next() {
        if character == ':' && characters.peek() == Some(&':') {
            characters.next();
            word.clear();
        } else if character.is_alphanumeric() || character == '_' {
            word.push(character);
        } else {
            short.push_str(&word);
            word.clear();
            short.push(character);
        }
    }
    short + &word
}

#[cfg(test)]
mod tests {
    use super::super::run;
    use super::super::testing::{Script, call};
    use super::*;
    use crate::server::handler::Output;

    fn script() -> Script {
        let variable = |name: &str, type_name: &str, shape: Option<&str>, bytes| VariableInfo {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            shape: shape.map(str::to_owned),
            bytes,
            preview: "<1>".to_owned(),
            pages: false,
        };
        let variables = vec![
            variable("df", "polars_core::frame::DataFrame", Some("3 × 2"), 2_500),
            variable("names", "alloc::vec::Vec<alloc::string::String>", None, 24),
        ];
        Script { variables, ..Script::default() }
    }

    #[tokio::test]
    async fn variables_are_listed_with_type_and_size() {
        let mut script = script();
        run(&call("%who"), &mut script).await.expect("listed");
        let text = script.text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "name   type         size");
        assert_eq!(lines[1], "df     DataFrame    3 × 2, 2.5 kB");
        assert_eq!(lines[2], "names  Vec<String>  24 B");
    }

    #[tokio::test]
    async fn types_choose_what_is_listed() {
        for wanted in ["Vec", "Vec<String>", "i32 Vec"] {
            let mut script = script();
            run(&call(&format!("%who {wanted}")), &mut script).await.expect("listed");
            assert!(script.text().contains("names") && !script.text().contains("df"), "{wanted}");
        }
        let mut script = script();
        run(&call("%who Tensor"), &mut script).await.expect("listed");
        assert_eq!(script.text(), "No variable is a Tensor.\n");
    }

    #[tokio::test]
    async fn whos_shows_values_and_html_is_escaped() {
        let mut script = script();
        run(&call("%whos"), &mut script).await.expect("listed");
        let shown = script.shown();
        let Output::Display { bundle, .. } = &shown[0] else { panic!("{shown:?}") };
        let json = serde_json::to_string(bundle).expect("JSON");
        assert!(json.contains("&lt;1&gt;") && bundle.plain().contains("<1>"), "{json}");
    }

    #[tokio::test]
    async fn no_variables_is_said() {
        let mut script = Script::default();
        run(&call(":vars"), &mut script).await.expect("listed");
        assert_eq!(script.text(), "No variables.\n");
    }

    #[test]
    fn types_are_shortened() {
        assert_eq!(
            short("alloc::boxed::Box<dyn core::ops::function::Fn(i32) -> i32>"),
            "Box<dyn Fn(i32) -> i32>"
        );
        assert_eq!(short("(i32, &[f64; 3])"), "(i32, &[f64; 3])");
        assert_eq!(short("std::collections::hash::map::HashMap<&str, a::B>"), "HashMap<&str, B>");
    }
}
