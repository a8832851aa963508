//! SQL over frames.

use polars::prelude::*;
use polars::sql::SQLContext;

use crate::error::{DataError, Result, brief};

/// What SQL can select from: a frame, or a lazy query, which is run as part of the whole.
pub trait Table {
    /// The rows, without copying them.
    fn rows(&self) -> LazyFrame;
}

impl Table for DataFrame {
    fn rows(&self) -> LazyFrame {
        self.clone().lazy()
    }
}

impl Table for LazyFrame {
    fn rows(&self) -> LazyFrame {
        self.clone()
    }
}

/// Asks SQL of named frames; the first named frame is also `self`. A cell can say the same as
/// `%%sql`, which names every frame in scope.
///
/// ```
/// use polars::prelude::*;
/// let df = df!("a" => [1, 2, 3])?;
/// let later = df.clone().lazy().filter(col("a").gt(lit(1)));
/// let sum = oxilab_data::sql(&[("t", &df), ("late", &later)], "select sum(a) as total from late")?;
/// assert_eq!(sum.column("total")?.get(0)?.try_extract::<i64>()?, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the query is wrong: the message names the tables there are.
pub fn sql(tables: &[(&str, &dyn Table)], query: &str) -> Result<DataFrame> {
    let names: Vec<&str> = tables.iter().map(|(name, _)| *name).collect();
    let context = context(tables);
    if let Some((_, first)) = tables.first() {
        context.register("self", first.rows());
    }
    execute(context, &names, query)
}

/// What `%%sql` calls: the tables that the query names, and the names of all frames in scope.
#[doc(hidden)]
pub fn sql_in_scope(
    tables: &[(&str, &dyn Table)],
    in_scope: &[&str],
    query: &str,
) -> Result<DataFrame> {
    execute(context(tables), in_scope, query)
}

fn context(tables: &[(&str, &dyn Table)]) -> SQLContext {
    let context = SQLContext::new();
    for (name, table) in tables {
        context.register(name, table.rows());
    }
    context
}

fn execute(mut context: SQLContext, names: &[&str], query: &str) -> Result<DataFrame> {
    let statement = query.trim_end().trim_end_matches(';');
    context.execute(statement).and_then(LazyFrame::collect).map_err(|error| {
        if let Some(verb) = changes(statement) {
            return DataError::invalid(
                "SQL",
                format!(
                    "{verb} is not supported, only SELECT is: frames do not change. A changed copy is \
                     `df.with_columns([…])?`, fewer rows are `select … where …`"
                ),
            );
        }
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        DataError::invalid("SQL", format!("{}; tables are: {names}", brief(&error)))
    })
}

/// The verb of a statement that would change a table; polars' answer to it is its syntax tree.
fn changes(statement: &str) -> Option<String> {
    let verb = statement.split_whitespace().next()?.to_uppercase();
    ["UPDATE", "INSERT", "DELETE", "ALTER", "MERGE", "CREATE", "DROP", "TRUNCATE", "REPLACE"]
        .contains(&verb.as_str())
        .then_some(verb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_queries_name_place_and_tables() {
        let df = df!("a" => [1, 2]).unwrap();
        let ask = |query: &str| {
            sql_in_scope(&[("t", &df)], &["t", "u"], query).map_err(|error| error.to_string())
        };
        assert_eq!(ask("\nselect a from t\nwhere a > 1;\n").unwrap().height(), 1);
        let error = ask("select a from absent").unwrap_err();
        assert!(error.contains("absent") && error.ends_with("tables are: t, u"), "{error}");
        let error = ask("\n\nselect a fromm t where").unwrap_err();
        assert!(error.contains("Line: 3"), "{error}");
        let error = ask("select b from t").unwrap_err();
        assert!(error.contains('b') && error.starts_with("SQL:"), "{error}");
        let error = ask("update t set a = 1").unwrap_err();
        assert!(error.contains("only SELECT") && !error.contains("Ident"), "{error}");
        let error = ask("select 1; select 2").unwrap_err();
        assert!(error.contains("one statement") || error.contains("only one"), "{error}");
    }
}
