//! Aggregates by groups of text: [`aggregated`].
//!
//! polars groups by text through pointers to it and collects the rows of each group. Here rows get the number
//! of their group first, and what most people ask of a group is added up in arrays that these numbers index.

mod aggregate;
mod codes;

use polars::prelude::*;

use self::aggregate::Aggregate;
use self::codes::Codes;

/// Below so many rows polars is as quick.
const MANY: usize = 50_000;

/// The frame of groups in the order of their first rows, as polars makes it; `None` leaves it to polars: where
/// no key is text, some key is neither text nor Boolean, or an aggregate is not one of the plain ones.
///
/// # Errors
/// On interrupt.
pub(crate) fn aggregated(
    df: &DataFrame,
    keys: &[&str],
    aggregates: &[Expr],
) -> PolarsResult<Option<DataFrame>> {
    if df.height() < MANY {
        return Ok(None);
    }
    let Some(plan) = Plan::of(df, keys, aggregates) else { return Ok(None) };
    let mut codes: Option<Codes> = None;
    for key in &plan.keys {
        let Some(next) = Codes::of(key)? else { return Ok(None) };
        codes = match codes {
            None => Some(next),
            Some(codes) => match codes.and(&next) {
                None => return Ok(None),
                both => both,
            },
        };
    }
    let Some(codes) = codes else { return Ok(None) };
    let first = IdxCa::from_slice(PlSmallStr::EMPTY, &codes.first);
    let mut columns = Vec::with_capacity(keys.len() + aggregates.len());
    for key in &plan.keys {
        columns.push(key.take(&first)?);
    }
    for aggregate in &plan.aggregates {
        if oxilab_runtime::cancel::requested() {
            polars_bail!(ComputeError: "grouping: interrupted");
        }
        columns.push(aggregate.column(&codes));
    }
    DataFrame::new(codes.first.len(), columns).map(Some)
}

struct Plan<'a> {
    keys: Vec<&'a Column>,
    aggregates: Vec<Aggregate<'a>>,
}

impl<'a> Plan<'a> {
    fn of(df: &'a DataFrame, keys: &[&str], aggregates: &[Expr]) -> Option<Self> {
        let keys: Vec<&Column> =
            keys.iter().map(|key| df.column(key).ok()).collect::<Option<_>>()?;
        let aggregates: Vec<Aggregate> = aggregates
            .iter()
            .map(|expression| Aggregate::of(expression, df))
            .collect::<Option<_>>()?;
        let mut names: Vec<&PlSmallStr> = keys.iter().map(|key| key.name()).collect();
        names.extend(aggregates.iter().map(Aggregate::name));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        let text = keys.iter().any(|key| key.dtype() == &DataType::String);
        (text && names.len() == count).then_some(Self { keys, aggregates })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(rows: usize) -> DataFrame {
        let key = |row: usize| match row * 7_919 % 1_000 {
            0 => None,
            1 => Some(String::new()),
            n if n % 3 == 0 => Some(format!("a name longer than a view holds, {n}")),
            n => Some(format!("n{n}")),
        };
        let keys: Vec<Option<String>> = (0..rows).map(key).collect();
        let few: Vec<&str> = (0..rows).map(|row| ["x", "y", "z"][row % 97 % 3]).collect();
        let flag: Vec<Option<bool>> =
            (0..rows).map(|row| (row % 11 != 0).then_some(row % 5 == 0)).collect();
        // All values of some groups are missing, and one of them has nothing but NaN.
        let f: Vec<Option<f64>> = (0..rows)
            .map(|row| match row * 7_919 % 1_000 {
                17 => None,
                18 => Some(f64::NAN),
                n if n % 7 == 0 => Some(if row % 2 == 0 { f64::NAN } else { row as f64 }),
                n => (row % 13 != 0).then_some((n as f64).sin() * row as f64),
            })
            .collect();
        let i: Vec<Option<i64>> =
            (0..rows as i64).map(|row| (row % 17 != 0).then_some(row % 1_000 - 500)).collect();
        let whole: Vec<i64> = (0..rows as i64).collect();
        let mut df =
            df!("key" => keys, "few" => few, "flag" => flag, "f" => f, "i" => i, "whole" => whole)
                .unwrap();
        // In chunks, as files are read.
        let end = df.slice(i64::try_from(rows).unwrap() / 3, rows);
        df = df.slice(0, rows / 3);
        df.vstack_mut(&end).unwrap();
        df
    }

    fn both(df: &DataFrame, keys: &[&str], aggregates: &[Expr]) -> (DataFrame, DataFrame) {
        let ours = aggregated(df, keys, aggregates).unwrap().expect("not for polars");
        let by: Vec<Expr> = keys.iter().copied().map(col).collect();
        (ours, df.clone().lazy().group_by_stable(by).agg(aggregates).collect().unwrap())
    }

    fn assert_alike(ours: &DataFrame, polars: &DataFrame) {
        assert_eq!(ours.schema(), polars.schema());
        assert_eq!(ours.height(), polars.height());
        for (a, b) in ours.columns().iter().zip(polars.columns()) {
            let (Ok(a), Ok(b)) = (a.f64(), b.f64()) else {
                assert!(a.equals_missing(b), "{a:?} {b:?}");
                continue;
            };
            for (a, b) in a.iter().zip(b.iter()) {
                let alike = match (a, b) {
                    (Some(a), Some(b)) => {
                        (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-10 * a.abs().max(1.0)
                    }
                    (a, b) => a.is_none() && b.is_none(),
                };
                assert!(alike, "{a:?} {b:?}\n{ours}\n{polars}");
            }
        }
    }

    #[test]
    fn groups_are_those_of_polars() {
        let df = frame(MANY + 7);
        for keys in [&["key"][..], &["few", "flag"], &["flag", "few"], &["few", "key", "flag"]] {
            let mut aggregates = vec![len(), len().alias("n")];
            for name in ["f", "i", "whole"] {
                let named = |of: Expr, kind: &str| of.alias(format!("{name} {kind}"));
                let column = || col(name);
                aggregates.extend([
                    named(column().sum(), "sum"),
                    named(column().mean(), "mean"),
                    named(column().min(), "min"),
                    named(column().max(), "max"),
                    named(column().median(), "median"),
                    named(column().std(1), "std"),
                    named(column().std(0), "std of all"),
                    named(column().var(1), "var"),
                    named(column().count(), "count"),
                ]);
            }
            aggregates.push(col("f").sum());
            let (ours, polars) = both(&df, keys, &aggregates);
            assert_alike(&ours, &polars);
        }
    }

    #[test]
    fn every_row_its_own_group() {
        let rows = MANY + 1;
        let keys: Vec<String> = (0..rows).map(|row| format!("key number {row}")).collect();
        let df = df!("k" => keys, "x" => (0..rows as i64).collect::<Vec<_>>()).unwrap();
        let (ours, polars) = both(&df, &["k"], &[col("x").median(), col("x").std(1).alias("s")]);
        assert_alike(&ours, &polars);
        assert_eq!(ours.column("s").unwrap().null_count(), rows);
    }

    #[test]
    fn other_groupings_are_left_to_polars() {
        let df = frame(MANY + 7);
        let left = |keys: &[&str], aggregate: Expr| {
            assert!(aggregated(&df, keys, &[aggregate]).unwrap().is_none());
        };
        left(&["i"], col("f").sum());
        left(&["key", "i"], col("f").sum());
        left(&["flag"], col("f").sum());
        left(&[], col("f").sum());
        left(&["nope"], col("f").sum());
        left(&["key"], col("nope").sum());
        left(&["key"], col("few").max());
        left(&["key"], col("f").first());
        left(&["key"], col("f").sum() + lit(1));
        left(&["key"], col("f").sum().alias("key"));
        assert!(aggregated(&df.slice(0, 100), &["key"], &[len()]).unwrap().is_none());
    }
}
