//! `expect(&df)`: a suite together with the frame, and checks that are Rust.

use polars::prelude::*;

use super::Suite;
use super::evaluate::{self, Seen};
use super::report::Report;
use super::rule::{Expectation, Rule, Severity, Statistic};
use super::scan;
use crate::error::{DataError, Result};

/// Starts a check of a frame; expectations follow, [`run`](Check::run) ends it.
pub fn expect(df: &DataFrame) -> Check<'_> {
    Check { df, suite: Suite::new(), custom: vec![], after: 0 }
}

type Test<'a> = Box<dyn Fn(&DataFrame) -> Result<Seen> + 'a>;

/// A suite in the making for one frame; see [`Suite`] for what each expectation means.
#[must_use = "call run() to check"]
pub struct Check<'a> {
    df: &'a DataFrame,
    suite: Suite,
    custom: Vec<(Expectation, String, Test<'a>)>,
    /// Expectations of the suite when the last custom one was added.
    after: usize,
}

/// The builders of the suite, on a check.
macro_rules! forward {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => {
        $(
            #[doc = concat!("As [`Suite::", stringify!($name), "`].")]
            pub fn $name(mut self, $($argument: $type),*) -> Self {
                self.suite = self.suite.$name($($argument),*);
                self
            }
        )*
    };
}

impl<'a> Check<'a> {
    forward! {
        with(rule: Rule);
        column(column: &str);
        rows(low: usize, high: usize);
        dtype(column: &str, dtype: &str);
        not_null(column: &str);
        unique(column: &str);
        null(column: &str);
        between(column: &str, low: f64, high: f64);
        during(column: &str, from: &str, to: &str);
        date_format(column: &str, format: &str);
        at_least(column: &str, other: &str);
        quantile(column: &str, quantile: f64, low: f64, high: f64);
        matches(column: &str, pattern: &str);
        matches_not(column: &str, pattern: &str);
        length(column: &str, low: usize, high: usize);
        increasing(column: &str);
        decreasing(column: &str);
        statistic(column: &str, statistic: Statistic, low: f64, high: f64);
        distinct(column: &str, low: usize, high: usize);
        stable(column: &str, reference: &[f64], most: f64);
        same_distribution(column: &str, reference: &[f64], least: f64);
    }

    /// Makes the expectation added last a warning, which does not fail the check.
    pub fn warn(mut self) -> Self {
        self.last(|expectation| expectation.severity = Severity::Warning);
        self
    }

    /// Lets the expectation added last hold for a share of the rows only.
    pub fn mostly(mut self, share: f64) -> Self {
        self.last(|expectation| expectation.mostly = share);
        self
    }

    fn last(&mut self, change: impl FnOnce(&mut Expectation)) {
        let custom = self.after == self.suite.expectations.len();
        let last = match self.custom.last_mut() {
            Some((expectation, ..)) if custom => Some(expectation),
            _ => self.suite.expectations.last_mut(),
        };
        if let Some(last) = last {
            change(last);
        }
    }

    /// As [`Suite::columns`].
    pub fn columns<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.suite = self.suite.columns(names);
        self
    }

    /// As [`Suite::unique_together`].
    pub fn unique_together<S: Into<String>>(
        mut self,
        columns: impl IntoIterator<Item = S>,
    ) -> Self {
        self.suite = self.suite.unique_together(columns);
        self
    }

    /// As [`Suite::one_of`].
    pub fn one_of<S: Into<String>>(
        mut self,
        column: &str,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        self.suite = self.suite.one_of(column, values);
        self
    }

    /// As [`Suite::contains`].
    pub fn contains<S: Into<String>>(
        mut self,
        column: &str,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        self.suite = self.suite.contains(column, values);
        self
    }

    /// As [`Suite::none_of`].
    pub fn none_of<S: Into<String>>(
        mut self,
        column: &str,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        self.suite = self.suite.none_of(column, values);
        self
    }

    /// As [`Suite::same_shares`].
    pub fn same_shares<S: Into<String>>(
        mut self,
        column: &str,
        reference: impl IntoIterator<Item = (S, usize)>,
        least: f64,
    ) -> Self {
        self.suite = self.suite.same_shares(column, reference, least);
        self
    }

    /// As [`Suite::references`].
    ///
    /// # Errors
    /// When the other column is not there.
    pub fn references(mut self, column: &str, other: &DataFrame, key: &str) -> Result<Self> {
        self.suite = self.suite.references(column, other, key)?;
        Ok(self)
    }

    /// An expression is true in every row; null counts as true. Not part of a saved suite.
    pub fn row(self, name: &str, holds: Expr) -> Self {
        let doing = name.to_owned();
        self.own(name, move |df| {
            let part = df.clone().lazy().select([holds.clone().alias("holds")]).collect();
            let part = part.map_err(|source| DataError::Polars {
                doing: format!("expecting {doing:?}"),
                source,
            })?;
            let holds = part.column("holds")?.bool()?;
            let held = holds.sum().unwrap_or(0) as usize + holds.null_count();
            if held == df.height() {
                return Ok(Seen::Rows { checked: held, failing: vec![], count: 0 });
            }
            let rows = holds.iter().enumerate().filter(|(_, holds)| *holds == Some(false));
            Ok(scan::gather(df.height(), rows.map(|(row, _)| (row, String::new()))))
        })
    }

    /// A function that gives the numbers of failing rows. Not part of a saved suite.
    pub fn custom(
        self,
        name: &str,
        failing: impl Fn(&DataFrame) -> Result<Vec<usize>> + 'a,
    ) -> Self {
        self.own(name, move |df| {
            Ok(scan::gather(df.height(), failing(df)?.into_iter().map(|row| (row, String::new()))))
        })
    }

    fn own(mut self, name: &str, test: impl Fn(&DataFrame) -> Result<Seen> + 'a) -> Self {
        let rule = Rule::Columns { names: vec![] };
        let expectation = Expectation { rule, severity: Severity::Error, mostly: 1.0 };
        self.after = self.suite.expectations.len();
        self.custom.push((expectation, name.to_owned(), Box::new(test)));
        self
    }

    /// The expectations without the frame, to save them.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite.clone()
    }

    /// Checks.
    ///
    /// # Errors
    /// For a rule that makes no sense, such as a wrong pattern; what the data fails is in the report.
    pub fn run(&self) -> Result<Report> {
        let mut report = self.suite.run(self.df)?;
        for (expectation, name, test) in &self.custom {
            oxilab_runtime::cancel::poll();
            report.outcomes.push(evaluate::judge(name.clone(), expectation, test(self.df)?));
        }
        Ok(report)
    }
}
