//! Verbs that people expect of a frame and polars keeps for lazy frames or Python.

use polars::prelude::*;

use crate::columns;
use crate::error::{DataError, Result, While};
use crate::group;
use crate::rng::Rng;
use crate::stats;

/// A column by its bare name: `c!(price)` is `col("price")`.
///
/// ```
/// use oxilab_data::{DataFrameExt, c};
/// use polars::prelude::*;
/// let df = df!("price" => [1.0, 2.0], "n" => [3, 4])?;
/// let df = df.with_columns([(c!(price) * c!(n)).alias("total")])?;
/// assert_eq!(df.column("total")?.f64()?.get(1), Some(8.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[macro_export]
macro_rules! c {
    ($name:ident) => {
        $crate::__private::col(stringify!($name))
    };
}

/// Eager verbs on frames, with the names that Python polars and pandas have for them.
pub trait DataFrameExt {
    /// Adds or replaces columns: `df.with_columns([(col("a") * lit(2)).alias("b")])?`.
    ///
    /// # Errors
    /// When an expression is wrong, for example names a column that is not there.
    fn with_columns(&self, expressions: impl AsRef<[Expr]>) -> Result<DataFrame>;

    /// Columns computed from expressions: `df.select_exprs([col("a").sum()])?`.
    ///
    /// # Errors
    /// As [`with_columns`](Self::with_columns).
    fn select_exprs(&self, expressions: impl AsRef<[Expr]>) -> Result<DataFrame>;

    /// The rows for which an expression holds: `df.filter_expr(col("a").gt(lit(1)))?`.
    ///
    /// # Errors
    /// As [`with_columns`](Self::with_columns).
    fn filter_expr(&self, predicate: Expr) -> Result<DataFrame>;

    /// Aggregates by groups, in order of first appearance:
    /// `df.group_agg(["k"], [col("x").mean()])?`. Many rows by text keys, with the length, counts, sums, means,
    /// extremes, medians and deviations of whole and decimal numbers, take a third of the time of polars'
    /// `group_by`.
    ///
    /// # Errors
    /// As [`with_columns`](Self::with_columns).
    fn group_agg<const N: usize>(
        &self,
        keys: [&str; N],
        aggregates: impl AsRef<[Expr]>,
    ) -> Result<DataFrame>;

    /// Count, nulls, mean, standard deviation, extremes and quartiles of each column, as Python
    /// polars' `describe` shows them; text columns have count, nulls, min and max.
    ///
    /// # Errors
    /// For types that polars cannot aggregate.
    fn describe(&self) -> Result<DataFrame>;

    /// The distinct values of a column with their `count`, most frequent first.
    ///
    /// # Errors
    /// When the column is not there.
    fn value_counts(&self, column: &str) -> Result<DataFrame>;

    /// `rows` random rows without repetition; all of them in random order if there are fewer.
    ///
    /// # Errors
    /// For frames beyond the row limit.
    fn sample(&self, rows: usize, seed: u64) -> Result<DataFrame>;

    /// A row per value of `index`, a column per value of `columns`, and in each cell what `aggregate`
    /// makes of the values that fall there: `df.pivot_table(["city"], "year", "sales", element().sum())?`.
    /// Rows and columns come in order of first appearance; nothing there is null.
    ///
    /// # Errors
    /// As [`with_columns`](Self::with_columns).
    fn pivot_table<const N: usize>(
        &self,
        index: [&str; N],
        columns: &str,
        values: &str,
        aggregate: Expr,
    ) -> Result<DataFrame>;

    /// How many values are missing in each column.
    fn null_counts(&self) -> DataFrame;
}

impl DataFrameExt for DataFrame {
    fn with_columns(&self, expressions: impl AsRef<[Expr]>) -> Result<DataFrame> {
        with_columns(self, expressions.as_ref())
    }

    fn select_exprs(&self, expressions: impl AsRef<[Expr]>) -> Result<DataFrame> {
        select(self, expressions.as_ref())
    }

    fn filter_expr(&self, predicate: Expr) -> Result<DataFrame> {
        self.clone().lazy().filter(predicate).collect().map_err(|e| explain(e, self))
    }

    fn group_agg<const N: usize>(
        &self,
        keys: [&str; N],
        aggregates: impl AsRef<[Expr]>,
    ) -> Result<DataFrame> {
        group_agg(self, &keys, aggregates.as_ref())
    }

    fn pivot_table<const N: usize>(
        &self,
        index: [&str; N],
        columns: &str,
        values: &str,
        aggregate: Expr,
    ) -> Result<DataFrame> {
        pivot_table(self, &index, columns, values, aggregate)
    }

    fn describe(&self) -> Result<DataFrame> {
        const ROWS: [&str; 9] =
            ["count", "null_count", "mean", "std", "min", "25%", "50%", "75%", "max"];
        let mut described = vec![Column::new("statistic".into(), ROWS)];
        for column in self.columns() {
            oxilab_runtime::cancel::poll();
            described.push(if columns::is_number(column.dtype()) || column.dtype().is_bool() {
                Column::new(column.name().clone(), describe_numbers(column)?)
            } else {
                Column::new(column.name().clone(), describe_others(column))
            });
        }
        DataFrame::new_infer_height(described).doing("describing")
    }

    fn value_counts(&self, column: &str) -> Result<DataFrame> {
        let name = if column == "count" { "n" } else { "count" };
        let counts = columns::column(self, column)?
            .as_materialized_series()
            .value_counts(false, false, name.into(), false)
            .doing("counting values")?;
        let order = SortMultipleOptions::default().with_order_descending_multi([true, false]);
        counts.sort([name, column], order).or(Ok(counts))
    }

    fn sample(&self, rows: usize, seed: u64) -> Result<DataFrame> {
        let mut order = Rng::new(seed).permutation(columns::height(self, "sampling")?);
        order.truncate(rows);
        columns::rows(self, &order)
    }

    fn null_counts(&self) -> DataFrame {
        self.null_count()
    }
}

// What generic verbs do, compiled here and not in the cell that calls them.

#[inline(never)]
fn with_columns(df: &DataFrame, expressions: &[Expr]) -> Result<DataFrame> {
    df.clone().lazy().with_columns(expressions).collect().map_err(|e| explain(e, df))
}

#[inline(never)]
fn select(df: &DataFrame, expressions: &[Expr]) -> Result<DataFrame> {
    df.clone().lazy().select(expressions).collect().map_err(|e| explain(e, df))
}

#[inline(never)]
fn group_agg(df: &DataFrame, keys: &[&str], aggregates: &[Expr]) -> Result<DataFrame> {
    if let Some(grouped) = group::aggregated(df, keys, aggregates).map_err(|e| explain(e, df))? {
        return Ok(grouped);
    }
    let keys: Vec<Expr> = keys.iter().copied().map(col).collect();
    let grouped = df.clone().lazy().group_by_stable(keys).agg(aggregates);
    grouped.collect().map_err(|e| explain(e, df))
}

#[inline(never)]
fn pivot_table(
    df: &DataFrame,
    index: &[&str],
    columns: &str,
    values: &str,
    aggregate: Expr,
) -> Result<DataFrame> {
    for name in index.iter().chain([&columns, &values]) {
        columns::column(df, name)?;
    }
    let there = df.select([columns])?.unique_stable(None, UniqueKeepStrategy::First, None)?;
    df.clone()
        .lazy()
        .pivot(
            cols([columns]),
            there.into(),
            cols(index.iter().copied()),
            cols([values]),
            aggregate,
            true,
            "_".into(),
            polars::frame::PivotColumnNaming::Auto,
        )
        .collect()
        .doing(format!("a pivot table of {values:?} by {columns:?}"))
}

fn describe_numbers(column: &Column) -> Result<Vec<Option<f64>>> {
    let floats = columns::floats(column, "describing")?;
    let nulls = floats.null_count();
    let mut values: Vec<f64> = floats.iter().flatten().collect();
    let count = stats::float(values.len());
    let mut described = vec![Some(count), Some(stats::float(nulls))];
    if values.is_empty() {
        described.resize(9, None);
        return Ok(described);
    }
    let moments = stats::moments(&values);
    let quantiles = stats::quantiles(&mut values, &[0.0, 0.25, 0.5, 0.75, 1.0]);
    described.extend([Some(moments.mean), (values.len() > 1).then_some(moments.std)]);
    described.extend(quantiles.into_iter().map(Some));
    Ok(described)
}

fn describe_others(column: &Column) -> Vec<Option<String>> {
    let nulls = column.null_count();
    let mut described = vec![Some((column.len() - nulls).to_string()), Some(nulls.to_string())];
    described.resize(9, None);
    let extreme = |scalar: PolarsResult<Scalar>| {
        scalar.ok().map(Scalar::into_value).filter(|value| !value.is_null()).map(
            |value| match value {
                AnyValue::String(text) => text.to_owned(),
                AnyValue::StringOwned(text) => text.to_string(),
                other => other.to_string(),
            },
        )
    };
    let series = column.as_materialized_series();
    if series.dtype().is_ord() {
        described[4] = extreme(series.min_reduce());
        described[8] = extreme(series.max_reduce());
    }
    described
}

/// Names the columns there are when an expression named one that is not.
fn explain(error: PolarsError, df: &DataFrame) -> DataError {
    match error {
        PolarsError::Context { error, .. } => explain(*error, df),
        PolarsError::ColumnNotFound(name) => {
            let name = name.to_string();
            let wanted = name.split('"').nth(1).unwrap_or(&name).to_owned();
            match columns::column(df, &wanted) {
                Err(error) => error,
                Ok(_) => DataError::invalid("evaluating an expression", name),
            }
        }
        error => DataError::Polars { doing: "evaluating an expression".to_owned(), source: error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describe_agrees_with_numpy_and_counts_nulls() {
        let df = df!("x" => [Some(1.0), None, Some(2.0), Some(4.0)], "s" => ["b", "a", "c", "d"])
            .unwrap();
        let described = df.describe().unwrap();
        let x: Vec<f64> = described.column("x").unwrap().f64().unwrap().iter().flatten().collect();
        assert_eq!(x[..3], [3.0, 1.0, 7.0 / 3.0]);
        assert!((x[3] - 1.527_525_231_651_946_6).abs() < 1e-12);
        assert_eq!(x[4..], [1.0, 1.5, 2.0, 3.0, 4.0]);
        let s = described.column("s").unwrap().str().unwrap();
        assert_eq!((s.get(4), s.get(8), s.get(2)), (Some("a"), Some("d"), None));
    }

    #[test]
    fn verbs_work_eagerly_and_misspelt_columns_are_explained() {
        let df = df!("k" => ["a", "b", "a"], "x" => [1, 2, 3]).unwrap();
        let counts = df.value_counts("k").unwrap();
        assert_eq!(counts.column("k").unwrap().str().unwrap().get(0), Some("a"));
        assert_eq!(df.filter_expr(crate::c!(x).gt(lit(1))).unwrap().height(), 2);
        let sums = df.group_agg(["k"], [col("x").sum()]).unwrap();
        assert_eq!(sums.column("x").unwrap().i32().unwrap().get(0), Some(4));
        assert_eq!(df.sample(2, 1).unwrap().height(), 2);
        let long = df!("k" => ["a", "a", "b"], "t" => ["u", "v", "u"], "x" => [1, 2, 3]).unwrap();
        let wide = long.pivot_table(["k"], "t", "x", element().sum()).unwrap();
        assert_eq!(wide.get_column_names(), ["k", "u", "v"]);
        assert_eq!(wide.column("u").unwrap().i32().unwrap().get(1), Some(3));
        let error = long.pivot_table(["k"], "T", "x", element().sum()).unwrap_err().to_string();
        assert!(error.contains("did you mean \"t\"?"), "{error}");
        let error = df.with_columns([col("X") + lit(1)]).unwrap_err().to_string();
        assert!(error.contains("did you mean \"x\"?"), "{error}");
    }
}
