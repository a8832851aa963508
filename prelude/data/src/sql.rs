//! SQL over frames.

use polars::prelude::*;
use polars::sql::SQLContext;

use crate::error::{DataError, Result};

/// Asks SQL of named frames; the first named frame is also `self`.
///
/// ```
/// use polars::prelude::*;
/// let df = df!("a" => [1, 2, 3])?;
/// let sum = oxilab_data::sql(&[("t", &df)], "select sum(a) as total from t where a > 1")?;
/// assert_eq!(sum.column("total")?.get(0)?.try_extract::<i64>()?, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the query is wrong: the message names the tables there are.
pub fn sql(tables: &[(&str, &DataFrame)], query: &str) -> Result<DataFrame> {
    let mut context = SQLContext::new();
    for (name, df) in tables {
        context.register(name, (*df).clone().lazy());
    }
    if let Some((_, first)) = tables.first() {
        context.register("self", (*first).clone().lazy());
    }
    context.execute(query).and_then(LazyFrame::collect).map_err(|error| {
        let names = tables.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        DataError::invalid("SQL", format!("{error}; tables are {names}"))
    })
}
