//! Validate: what data must be, said once and checked whenever it comes again.
//!
//! ```
//! use oxilab_data::expect::{Suite, expect};
//! use polars::prelude::*;
//!
//! let df = df!("id" => [1, 2, 2], "age" => [31, 250, 7])?;
//! let report = expect(&df).unique("id").between("age", 0.0, 120.0).warn().run()?;
//! assert_eq!((report.failed(), report.warned()), (1, 1));
//! assert!(report.clone().check().unwrap_err().to_string().contains("\"id\" is unique"));
//!
//! // A suite without a frame is kept as JSON, or inferred from a frame that is known to be good.
//! let suite = Suite::infer(&df)?;
//! let again = Suite::from_json(&suite.to_json()?)?;
//! assert!(again.run(&df)?.passed());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | Great Expectations | here |
//! |---|---|
//! | `expect_table_columns_to_match_ordered_list` | [`columns`](Suite::columns) |
//! | `expect_column_to_exist` | [`column`](Suite::column) |
//! | `expect_table_row_count_to_be_between`, `…_to_equal` | [`rows`](Suite::rows) |
//! | `expect_column_values_to_be_of_type` | [`dtype`](Suite::dtype) |
//! | `expect_column_values_to_not_be_null`, `…_be_null` | [`not_null`](Suite::not_null), [`null`](Suite::null) |
//! | `expect_column_values_to_be_unique`, `expect_compound_columns_to_be_unique` | [`unique`](Suite::unique), [`unique_together`](Suite::unique_together) |
//! | `expect_column_values_to_be_between` | [`between`](Suite::between), of times [`during`](Suite::during) |
//! | `expect_column_pair_values_a_to_be_greater_than_b` | [`at_least`](Suite::at_least), [`row`](Check::row) |
//! | `expect_column_values_to_match_strftime_format` | [`date_format`](Suite::date_format) |
//! | `expect_column_values_to_be_in_set`, `…_not_be_in_set` | [`one_of`](Suite::one_of), [`none_of`](Suite::none_of) |
//! | `expect_column_values_to_match_regex`, `…_not_match_regex` | [`matches`](Suite::matches), [`matches_not`](Suite::matches_not) |
//! | `expect_column_value_lengths_to_be_between` | [`length`](Suite::length) |
//! | `expect_column_values_to_be_increasing`, `…_decreasing` | [`increasing`](Suite::increasing), [`decreasing`](Suite::decreasing) |
//! | `expect_column_mean_to_be_between` and its kin | [`statistic`](Suite::statistic) |
//! | `expect_column_quantile_values_to_be_between` | [`quantile`](Suite::quantile) |
//! | `expect_column_unique_value_count_to_be_between` | [`distinct`](Suite::distinct) |
//! | `expect_column_distinct_values_to_be_in_set`, `…_to_contain_set` | [`one_of`](Suite::one_of), [`contains`](Suite::contains) |
//! | `expect_column_kl_divergence_to_be_less_than` and its kin | [`stable`](Suite::stable), [`same_distribution`](Suite::same_distribution), [`same_shares`](Suite::same_shares) |
//! | `expect_multicolumn_sum_to_equal`, `expect_select_column_values_to_be_unique_within_record` | [`row`](Check::row) |
//! | referential checks | [`references`](Suite::references) |
//! | custom expectations | [`row`](Check::row), [`custom`](Check::custom) |
//! | `mostly=0.95` | [`mostly`](Suite::mostly) |

mod check;
mod evaluate;
mod infer;
mod report;
mod rule;
mod scan;

pub use check::{Check, expect};
pub use report::{Outcome, Report};
pub use rule::{Expectation, Rule, Severity, Statistic};

use polars::prelude::*;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::columns;
use crate::error::{DataError, Result};
use crate::stats::float;

/// The version of the JSON form.
const VERSION: u32 = 1;

/// Expectations without a frame: kept, shared, and run on any frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suite {
    version: u32,
    /// The expectations in their order.
    pub expectations: Vec<Expectation>,
}

impl Default for Suite {
    fn default() -> Self {
        Self { version: VERSION, expectations: vec![] }
    }
}

impl Suite {
    /// Without expectations.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rule.
    #[must_use]
    pub fn with(mut self, rule: Rule) -> Self {
        self.expectations.push(Expectation { rule, severity: Severity::Error, mostly: 1.0 });
        self
    }

    /// Makes the expectation added last a warning, which does not fail the check.
    #[must_use]
    pub fn warn(mut self) -> Self {
        if let Some(last) = self.expectations.last_mut() {
            last.severity = Severity::Warning;
        }
        self
    }

    /// Lets the expectation added last hold for a share of the rows only.
    #[must_use]
    pub fn mostly(mut self, share: f64) -> Self {
        if let Some(last) = self.expectations.last_mut() {
            last.mostly = share;
        }
        self
    }

    /// The frame has these columns in this order.
    #[must_use]
    pub fn columns<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        self.with(Rule::Columns { names: names.into_iter().map(Into::into).collect() })
    }

    /// The frame has a column.
    #[must_use]
    pub fn column(self, column: impl Into<String>) -> Self {
        self.with(Rule::Column { column: column.into() })
    }

    /// The number of rows is in a range, ends included.
    #[must_use]
    pub fn rows(self, low: usize, high: usize) -> Self {
        self.with(Rule::Rows { low, high })
    }

    /// The column has a type, as polars writes it: `i64`, `str`, `date`.
    #[must_use]
    pub fn dtype(self, column: impl Into<String>, dtype: impl Into<String>) -> Self {
        self.with(Rule::Dtype { column: column.into(), dtype: dtype.into() })
    }

    /// No value is missing (null or NaN).
    #[must_use]
    pub fn not_null(self, column: impl Into<String>) -> Self {
        self.with(Rule::NotNull { column: column.into() })
    }

    /// Every value is missing (null or NaN).
    #[must_use]
    pub fn null(self, column: impl Into<String>) -> Self {
        self.with(Rule::Null { column: column.into() })
    }

    /// Dates or times are in a range, ends included: `2024-01-31` or `2024-01-31 12:30:00`.
    #[must_use]
    pub fn during(
        self,
        column: impl Into<String>,
        from: impl Into<String>,
        to: impl Into<String>,
    ) -> Self {
        self.with(Rule::During { column: column.into(), from: from.into(), to: to.into() })
    }

    /// Text is a time written in a format of `strftime`: `%d.%m.%Y`.
    #[must_use]
    pub fn date_format(self, column: impl Into<String>, format: impl Into<String>) -> Self {
        self.with(Rule::DateFormat { column: column.into(), format: format.into() })
    }

    /// The value is at least that of another column, row by row, where both are there.
    #[must_use]
    pub fn at_least(self, column: impl Into<String>, other: impl Into<String>) -> Self {
        self.with(Rule::AtLeast { column: column.into(), other: other.into() })
    }

    /// Each of these values is there at least once.
    #[must_use]
    pub fn contains<S: Into<String>>(
        self,
        column: impl Into<String>,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.with(Rule::Contains { column: column.into(), values })
    }

    /// A quantile (from 0 to 1) of the column is in a range, ends included.
    #[must_use]
    pub fn quantile(self, column: impl Into<String>, quantile: f64, low: f64, high: f64) -> Self {
        self.with(Rule::Quantile { column: column.into(), quantile, low, high })
    }

    /// No value is there twice.
    #[must_use]
    pub fn unique(self, column: impl Into<String>) -> Self {
        self.with(Rule::Unique { columns: vec![column.into()] })
    }

    /// No combination of values is there twice.
    #[must_use]
    pub fn unique_together<S: Into<String>>(self, columns: impl IntoIterator<Item = S>) -> Self {
        self.with(Rule::Unique { columns: columns.into_iter().map(Into::into).collect() })
    }

    /// Values are in a range, ends included; NaN is not.
    #[must_use]
    pub fn between(self, column: impl Into<String>, low: f64, high: f64) -> Self {
        self.with(Rule::Between { column: column.into(), low, high })
    }

    /// Values are among these.
    #[must_use]
    pub fn one_of<S: Into<String>>(
        self,
        column: impl Into<String>,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        self.with(Rule::OneOf {
            column: column.into(),
            values: values.into_iter().map(Into::into).collect(),
        })
    }

    /// Values are not among these.
    #[must_use]
    pub fn none_of<S: Into<String>>(
        self,
        column: impl Into<String>,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        self.with(Rule::NoneOf {
            column: column.into(),
            values: values.into_iter().map(Into::into).collect(),
        })
    }

    /// Values match a regular expression.
    #[must_use]
    pub fn matches(self, column: impl Into<String>, pattern: impl Into<String>) -> Self {
        self.with(Rule::Matches { column: column.into(), pattern: pattern.into() })
    }

    /// Values do not match a regular expression.
    #[must_use]
    pub fn matches_not(self, column: impl Into<String>, pattern: impl Into<String>) -> Self {
        self.with(Rule::MatchesNot { column: column.into(), pattern: pattern.into() })
    }

    /// Text has a number of characters in a range, ends included.
    #[must_use]
    pub fn length(self, column: impl Into<String>, low: usize, high: usize) -> Self {
        self.with(Rule::Length { column: column.into(), low, high })
    }

    /// Values never fall from row to row.
    #[must_use]
    pub fn increasing(self, column: impl Into<String>) -> Self {
        self.with(Rule::Increasing { column: column.into() })
    }

    /// Values never rise from row to row.
    #[must_use]
    pub fn decreasing(self, column: impl Into<String>) -> Self {
        self.with(Rule::Decreasing { column: column.into() })
    }

    /// A statistic of the column is in a range, ends included.
    #[must_use]
    pub fn statistic(
        self,
        column: impl Into<String>,
        statistic: Statistic,
        low: f64,
        high: f64,
    ) -> Self {
        self.with(Rule::Statistic { column: column.into(), statistic, low, high })
    }

    /// The number of different values is in a range, ends included.
    #[must_use]
    pub fn distinct(self, column: impl Into<String>, low: usize, high: usize) -> Self {
        self.with(Rule::Distinct { column: column.into(), low, high })
    }

    /// The population stability index against reference values stays below `most`; 0.1 is stable,
    /// 0.25 a shift.
    #[must_use]
    pub fn stable(self, column: impl Into<String>, reference: &[f64], most: f64) -> Self {
        self.with(Rule::Stable { column: column.into(), reference: reference.to_vec(), most })
    }

    /// The Kolmogorov–Smirnov test against reference values has a p-value of at least `least`.
    #[must_use]
    pub fn same_distribution(
        self,
        column: impl Into<String>,
        reference: &[f64],
        least: f64,
    ) -> Self {
        self.with(Rule::SameDistribution {
            column: column.into(),
            reference: reference.to_vec(),
            least,
        })
    }

    /// The chi-squared test against reference counts of classes has a p-value of at least `least`.
    #[must_use]
    pub fn same_shares<S: Into<String>>(
        self,
        column: impl Into<String>,
        reference: impl IntoIterator<Item = (S, usize)>,
        least: f64,
    ) -> Self {
        let reference =
            reference.into_iter().map(|(class, count)| (class.into(), float(count))).collect();
        self.with(Rule::SameShares { column: column.into(), reference, least })
    }

    /// Values are among those of another frame's column.
    ///
    /// # Errors
    /// When the other column is not there.
    pub fn references(
        self,
        column: impl Into<String>,
        other: &DataFrame,
        key: &str,
    ) -> Result<Self> {
        let (_, values) = columns::codes(columns::column(other, key)?, "expecting references")?;
        let values = values.into_iter().flatten().collect();
        Ok(self.with(Rule::References { column: column.into(), key: key.to_owned(), values }))
    }

    /// Checks a frame.
    ///
    /// # Errors
    /// For a rule that makes no sense, such as a wrong pattern; what the data fails is in the report.
    pub fn run(&self, df: &DataFrame) -> Result<Report> {
        oxilab_runtime::cancel::poll();
        let outcomes = self
            .expectations
            .par_iter()
            .map(|expectation| evaluate::outcome(expectation, df))
            .collect::<Result<_>>()?;
        Ok(Report { rows: df.height(), outcomes })
    }

    /// The suite as JSON.
    ///
    /// # Errors
    /// When a bound is not a finite number.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self)
            .map_err(|e| DataError::invalid("saving expectations", e.to_string()))
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    ///
    /// # Errors
    /// When the text is no suite.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|e| {
            DataError::invalid("loading expectations", format!("line {}: {e}", e.line()))
        })
    }

    /// What a good frame suggests: its columns and types, columns without missing values, ranges of
    /// numbers (widened by a tenth), small sets of classes, and unique columns.
    ///
    /// # Errors
    /// When a column cannot be read as its type says.
    pub fn infer(reference: &DataFrame) -> Result<Self> {
        infer::suite(reference)
    }
}
