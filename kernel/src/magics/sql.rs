//! `%%sql` and `%sql`: a query over the frames in scope, or over a database.
//!
//! It stands for a line of Rust: `data::sql` with the frames that the query names, or `data::read_sql`.

use futures::FutureExt;
use futures::future::BoxFuture;
use oxilab_protocol::VariableInfo;

use super::{Done, Invocation, Magic, MagicContext, MagicResult, RustCode, usage};

/// `%%sql`.
pub(super) struct Sql;

/// Types of variables that a query can name.
const FRAMES: [&str; 2] = ["DataFrame", "LazyFrame"];

impl Magic for Sql {
    fn names(&self) -> &'static [&'static str] {
        &["sql"]
    }

    fn summary(&self) -> &'static str {
        "asks SQL of the frames in scope or of a database, shows the rows and keeps them in a variable"
    }

    fn usage(&self) -> &'static str {
        "%%sql [VARIABLE]\n\
         %%sql postgres://USER:PASSWORD@HOST:PORT/DATABASE [VARIABLE]\n\
         %%sql sqlite:PATH [VARIABLE]\n\
         %%sql $ENVIRONMENT_VARIABLE_WITH_URL [VARIABLE]\n\
         %sql QUERY"
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
            let variables = context.variables().await?;
            let text = compose(call, &variables).map_err(|reason| usage(self, reason))?;
            context.run(RustCode::standing_for(call.line, &text)).await?;
            Ok(Done::default())
        }
        .boxed()
    }
}

/// The Rust that the call stands for, or why it cannot be understood.
fn compose(call: &Invocation, variables: &[VariableInfo]) -> Result<String, String> {
    // The query keeps its lines, so that a database's `line 3` is the cell's.
    let (arguments, query) = match &call.body {
        Some(body) => (call.arguments.as_str(), "\n".repeat(call.line + 1) + body),
        None => ("", "\n".repeat(call.line) + &" ".repeat(call.column) + &call.arguments),
    };
    let query = query.trim_end();
    if query.trim().is_empty() {
        return Err("there is no query".to_owned());
    }
    let (url, variable) = targets(arguments)?;
    let rows = match url {
        Some(url) => format!("::oxilab::data::read_sql({url:?}, {query:?})?"),
        None => over_frames(query, variables),
    };
    Ok(match variable {
        Some(name) => format!("let {name} = {rows};{name}"),
        None => rows,
    })
}

/// The database's address and the variable, in any order.
fn targets(arguments: &str) -> Result<(Option<&str>, Option<&str>), String> {
    let (mut url, mut variable) = (None, None);
    for word in arguments.split_whitespace() {
        let is_url = word.starts_with('$') || word.contains([':', '/', '.']);
        let place = if is_url { &mut url } else { &mut variable };
        if let Some(first) = place.replace(word) {
            return Err(format!(
                "`{first}` and `{word}`: only one database and one variable; the query stands below"
            ));
        }
    }
    if let Some(name) = variable
        && syn::parse_str::<syn::Ident>(name).is_err()
    {
        return Err(format!("`{name}` cannot name a variable"));
    }
    Ok((url, variable))
}

/// `data::sql` with the frames whose names are words of the query.
fn over_frames(query: &str, variables: &[VariableInfo]) -> String {
    let frames: Vec<&str> = variables
        .iter()
        .filter(|variable| {
            FRAMES.contains(&variable.type_name.rsplit("::").next().unwrap_or_default())
        })
        .map(|variable| variable.name.as_str())
        .collect();
    let words: Vec<&str> = query.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
    let tables: Vec<String> = frames
        .iter()
        .filter(|frame| words.contains(frame))
        .map(|frame| format!("({frame:?}, &{frame})"))
        .collect();
    // The names of all are for the message about a table that is not there.
    format!("::oxilab::data::sql_in_scope(&[{}], &{frames:?}, {query:?})?", tables.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Script, call};
    use super::super::{MagicError, run};
    use super::*;

    fn frame(name: &str, type_name: &str) -> VariableInfo {
        VariableInfo {
            name: name.to_owned(),
            type_name: type_name.to_owned(),
            shape: None,
            bytes: 0,
            preview: String::new(),
            pages: false,
        }
    }

    async fn rust(code: &str) -> Result<String, MagicError> {
        let mut script = Script {
            variables: vec![
                frame("cars", "DataFrame"),
                frame("later", "polars::prelude::LazyFrame"),
                frame("mpg", "Vec<f64>"),
                frame("other", "DataFrame"),
            ],
            ..Script::default()
        };
        run(&call(code), &mut script).await?;
        Ok(script.ran.remove(0).text)
    }

    #[tokio::test]
    async fn a_query_names_the_frames_it_needs() {
        assert_eq!(
            rust("%%sql best\nselect mpg, 'it''s' from cars\njoin later using (id);\n")
                .await
                .expect("runs"),
            "let best = ::oxilab::data::sql_in_scope(&[(\"cars\", &cars), (\"later\", &later)], \
             &[\"cars\", \"later\", \"other\"], \
             \"\\nselect mpg, 'it''s' from cars\\njoin later using (id);\")?;best"
        );
        assert_eq!(
            rust("%sql select 1 as one").await.expect("runs"),
            "::oxilab::data::sql_in_scope(&[], &[\"cars\", \"later\", \"other\"], \"     select 1 as one\")?"
        );
    }

    #[tokio::test]
    async fn a_database_is_named_in_the_first_line() {
        for (first, url) in [
            ("sqlite:shop.db rows", "sqlite:shop.db"),
            ("rows data/shop.db", "data/shop.db"),
            ("$SHOP rows", "$SHOP"),
        ] {
            let expected =
                format!("let rows = ::oxilab::data::read_sql({url:?}, \"\\nselect 1\")?;rows");
            assert_eq!(rust(&format!("%%sql {first}\nselect 1")).await.expect(first), expected);
        }
    }

    #[tokio::test]
    async fn what_cannot_be_meant_is_refused() {
        for (code, reason) in [
            ("%%sql\n\n", "there is no query"),
            ("%%sql a b\nselect 1", "`a` and `b`"),
            ("%%sql 1a\nselect 1", "`1a` cannot name a variable"),
            ("%sql", "there is no query"),
        ] {
            let error = rust(code).await.expect_err(code).to_string();
            assert!(error.contains(reason) && error.contains("usage: %%sql"), "{error}");
        }
    }
}
