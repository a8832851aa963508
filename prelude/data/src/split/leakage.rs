//! Whether test rows are known while training.

use std::hash::{BuildHasher as _, RandomState};

use polars::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Finding, chronological};
use crate::columns;
use crate::error::Result;
use crate::stats;

/// A single feature that predicts the target at least this well is reported.
const TELLING: f64 = 0.98;

/// What [`leakage`] found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Leakage {
    /// The findings, worst first.
    pub findings: Vec<Finding>,
    /// What was looked at.
    pub checked: Vec<String>,
}

impl Leakage {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, kind: &str, what: String, advice: &str) {
        self.findings.push(Finding { kind: kind.to_owned(), what, advice: advice.to_owned() });
    }
}

/// Duplicate and near-duplicate rows between two parts; see [`LeakageCheck`] for groups, time and
/// target.
///
/// ```
/// use polars::prelude::*;
/// let train = df!("x" => [1.0, 2.0, 3.0])?;
/// let test = df!("x" => [2.0, 9.0])?;
/// let found = oxilab_data::split::leakage(&train, &test)?;
/// assert!(found.findings[0].what.starts_with("1 of 2 test rows"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the parts have different columns.
pub fn leakage(train: &DataFrame, test: &DataFrame) -> Result<Leakage> {
    LeakageCheck::new().check(train, test)
}

/// What to look at for leakage.
#[derive(Clone, Debug, Default)]
pub struct LeakageCheck {
    groups: Option<String>,
    time: Option<String>,
    target: Option<String>,
}

impl LeakageCheck {
    /// Duplicate and near-duplicate rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also values of this column that are in both parts, for example a patient.
    #[must_use]
    pub fn with_groups(mut self, column: impl Into<String>) -> Self {
        self.groups = Some(column.into());
        self
    }

    /// Also training rows that are not earlier than the first test row.
    #[must_use]
    pub fn with_time(mut self, column: impl Into<String>) -> Self {
        self.time = Some(column.into());
        self
    }

    /// Also single features that predict this column too well.
    #[must_use]
    pub fn with_target(mut self, column: impl Into<String>) -> Self {
        self.target = Some(column.into());
        self
    }

    /// Looks.
    ///
    /// # Errors
    /// When the parts have different columns or a named column is not there.
    pub fn check(&self, train: &DataFrame, test: &DataFrame) -> Result<Leakage> {
        let mut found = Leakage::default();
        for name in test.get_column_names() {
            columns::column(train, name)?;
        }
        if let Some(target) = &self.target {
            self.telling(train, test, target, &mut found)?;
        }
        duplicates(train, test, &mut found)?;
        if let Some(column) = &self.groups {
            shared(train, test, column, &mut found)?;
        }
        if let Some(column) = &self.time {
            overlap(train, test, column, &mut found)?;
        }
        Ok(found)
    }

    fn telling(
        &self,
        train: &DataFrame,
        test: &DataFrame,
        target: &str,
        found: &mut Leakage,
    ) -> Result<()> {
        found.checked.push(format!("each feature against {target}"));
        let (goal, goal_test) = (columns::column(train, target)?, columns::column(test, target)?);
        for feature in train.columns() {
            oxilab_runtime::cancel::poll();
            let name = feature.name();
            let aside = [self.groups.as_deref(), self.time.as_deref(), Some(target)];
            if aside.contains(&Some(name.as_str())) {
                continue;
            }
            let Ok(feature_test) = test.column(name) else { continue };
            let Some(score) = stats::single_feature_score(feature, goal, feature_test, goal_test)?
            else {
                continue;
            };
            if score >= TELLING {
                found.add(
                    "telling feature",
                    format!("{name:?} alone predicts {target:?} in the test rows with a score of {score:.3} of 1"),
                    "check that it is known before the target is, else drop it",
                );
            }
        }
        Ok(())
    }
}

fn duplicates(train: &DataFrame, test: &DataFrame, found: &mut Leakage) -> Result<()> {
    let names: Vec<PlSmallStr> = test.get_column_names_owned();
    // One state for both parts: only then equal rows have equal keys.
    let state = RandomState::new();
    let both = |near| -> Result<usize> {
        Ok(common(&keys(train, &names, near, &state)?, &keys(test, &names, near, &state)?))
    };
    let (exact, near) = (both(false)?, both(true)?);
    found.checked.push("duplicate rows".to_owned());
    found
        .checked
        .push("near-duplicate rows (numbers to 3 digits, text without case and spaces)".to_owned());
    let rows = test.height();
    if exact > 0 {
        found.add(
            "duplicate rows",
            format!("{exact} of {rows} test rows are training rows too"),
            "drop duplicates before splitting, or split by group",
        );
    }
    if near > exact {
        found.add(
            "near-duplicate rows",
            format!("{} of {rows} test rows differ from a training row only in case, spaces or past the third digit", near - exact),
            "split by what makes them alike",
        );
    }
    Ok(())
}

/// A number per row that is equal for equal rows: eight bytes a row, however long its text is.
fn keys(df: &DataFrame, names: &[PlSmallStr], near: bool, state: &RandomState) -> Result<Vec<u64>> {
    let mut keys = vec![0; df.height()];
    for name in names {
        oxilab_runtime::cancel::poll();
        let column = columns::column(df, name)?;
        if columns::is_number(column.dtype()) {
            for (key, value) in keys.iter_mut().zip(columns::dense(column, "comparing rows")?) {
                // Integers and floats of one value are equal, as are both zeros and all NaNs.
                *key = if near {
                    state.hash_one((*key, format!("{value:.2e}")))
                } else if value.is_nan() {
                    state.hash_one((*key, "missing"))
                } else {
                    state.hash_one((*key, (value + 0.0).to_bits()))
                };
            }
        } else {
            for (key, value) in
                keys.iter_mut().zip(columns::texts(column, "comparing rows")?.iter())
            {
                *key = match value {
                    Some(value) if near => {
                        let letters = value.chars().filter(|c| !c.is_whitespace());
                        let plain: String = letters.flat_map(char::to_lowercase).collect();
                        state.hash_one((*key, Some(plain.as_str())))
                    }
                    value => state.hash_one((*key, value)),
                };
            }
        }
    }
    Ok(keys)
}

/// How many of `test` are in `train`.
fn common(train: &[u64], test: &[u64]) -> usize {
    let known: PlHashSet<u64> = train.iter().copied().collect();
    test.iter().filter(|key| known.contains(*key)).count()
}

fn shared(train: &DataFrame, test: &DataFrame, column: &str, found: &mut Leakage) -> Result<()> {
    found.checked.push(format!("groups of {column}"));
    let values = |df: &DataFrame| -> Result<PlHashSet<String>> {
        let (_, names) = columns::codes(columns::column(df, column)?, "comparing groups")?;
        Ok(names.into_iter().flatten().collect())
    };
    let (train, test) = (values(train)?, values(test)?);
    let mut both: Vec<&String> = test.intersection(&train).collect();
    both.sort();
    if let Some(first) = both.first() {
        found.add(
            "shared groups",
            format!("{} of {} values of {column:?} in the test rows are in the training rows too, for example {first:?}", both.len(), test.len()),
            "split with Split::new(…).with_groups(…)",
        );
    }
    Ok(())
}

fn overlap(train: &DataFrame, test: &DataFrame, column: &str, found: &mut Leakage) -> Result<()> {
    found.checked.push(format!("time in {column}"));
    let (_, train_times) = chronological(train, column)?;
    let (order, times) = chronological(test, column)?;
    let Some(first) = order.first().map(|row| times[*row as usize]) else { return Ok(()) };
    let late = train_times.iter().filter(|time| **time >= first).count();
    if late > 0 {
        found.add(
            "time overlap",
            format!(
                "{late} of {} training rows are not earlier than the first test row",
                train.height()
            ),
            "split with Split::new(…).with_time(…)",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxilab_display::Render as _;

    #[test]
    fn every_kind_of_leak_is_found_and_clean_parts_are_clean() {
        let train = df!(
            "who" => ["a", "a", "b", "c", "d", "e"], "t" => [1, 2, 3, 4, 5, 6],
            "x" => [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], "copy" => [0, 0, 0, 1, 1, 1],
            "noise" => [3, 1, 4, 1, 5, 9], "y" => [0, 0, 0, 1, 1, 1],
        )
        .unwrap();
        let test = df!(
            "who" => ["a", "B ", "z", "y"], "t" => [2, 3, 20, 21], "x" => [2.0, 3.0001, 1.5, 5.5],
            "copy" => [0, 0, 0, 1], "noise" => [1, 4, 9, 3], "y" => [0, 0, 0, 1],
        )
        .unwrap();
        let check = LeakageCheck::new().with_groups("who").with_time("t").with_target("y");
        let found = check.check(&train, &test).unwrap();
        let kinds: Vec<&str> = found.findings.iter().map(|f| f.kind.as_str()).collect();
        for kind in [
            "telling feature",
            "duplicate rows",
            "near-duplicate rows",
            "shared groups",
            "time overlap",
        ] {
            assert!(kinds.contains(&kind), "{kind} in {found}");
        }
        assert!(found.to_string().contains("\"copy\" alone"), "{found}");
        assert!(!found.to_string().contains("\"noise\" alone"), "{found}");
        assert!(found.render().data["text/html"].as_str().unwrap().contains("shared groups"));
        let far = df!("x" => [100.0]).unwrap();
        assert!(leakage(&train.select(["x"]).unwrap(), &far).unwrap().is_clean());
    }
}
