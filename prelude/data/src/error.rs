//! What can go wrong with data, and what to do about it.

use polars::prelude::PolarsError;

/// Result of the verbs of this crate.
pub type Result<T, E = DataError> = std::result::Result<T, E>;

/// Why a verb of this crate failed; the message names file, line or column and the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Nothing at this path or pattern.
    #[error("reading {path:?}: {problem}; {hint}")]
    NotFound {
        /// The path, pattern or URL as given.
        path: String,
        /// What is missing.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// A file could not be understood.
    #[error("reading {path:?}: {problem}")]
    Read {
        /// The file.
        path: String,
        /// Line or column and what is wrong there.
        problem: String,
    },
    /// The system refused to read or write.
    #[error("{doing} {path:?}: {source}")]
    Io {
        /// "reading" or "writing".
        doing: &'static str,
        /// The file.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A database refused a connection or a query.
    #[error("database {url}: {problem}")]
    Database {
        /// The address without password.
        url: String,
        /// The database's reason.
        problem: String,
    },
    /// A column that is not there.
    #[error("there is no column {column:?}{}; columns are {available}", did_you_mean(.column, .available))]
    NoColumn {
        /// The name asked for.
        column: String,
        /// The names there are, separated by commas.
        available: String,
    },
    /// A column of a type that does not serve.
    #[error("column {column:?} is {found}, {doing} needs {expected}")]
    WrongType {
        /// The column.
        column: String,
        /// Its type.
        found: String,
        /// What it should be.
        expected: String,
        /// Who needs it.
        doing: String,
    },
    /// A frame that differs from the one a pipeline was fitted on.
    #[error("the frame is not what the pipeline was fitted on: {problems}")]
    Schema {
        /// Missing, extra and retyped columns.
        problems: String,
    },
    /// Arguments or data that make no sense.
    #[error("{doing}: {problem}")]
    Invalid {
        /// What was tried.
        doing: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// The user pressed interrupt.
    #[error("{doing}: interrupted")]
    Interrupted {
        /// What was under way.
        doing: String,
    },
    /// polars refused.
    #[error("{doing}: {}", brief(source))]
    Polars {
        /// What was tried.
        doing: String,
        /// polars' reason.
        source: PolarsError,
    },
}

impl From<PolarsError> for DataError {
    fn from(source: PolarsError) -> Self {
        Self::Polars { doing: "polars".to_owned(), source }
    }
}

impl DataError {
    /// Nonsense arguments or data.
    pub(crate) fn invalid(doing: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Invalid { doing: doing.into(), problem: problem.into() }
    }

    /// A column that is not there, and the names there are; of very many, the first and the nearest.
    pub(crate) fn no_column<'a>(column: &str, names: impl Iterator<Item = &'a str>) -> Self {
        const SHOWN: usize = 60;
        let names: Vec<&str> = names.collect();
        let mut shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        if names.len() > SHOWN {
            let nearest = nearest(column, names[SHOWN..].iter().copied());
            let nearest = nearest.map(|name| format!(", {name}")).unwrap_or_default();
            shown = format!("{shown}{nearest}, … ({} in all)", names.len());
        }
        Self::NoColumn { column: column.to_owned(), available: shown }
    }

    /// A file that was not understood.
    pub(crate) fn read(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Read { path: path.into(), problem: problem.into() }
    }

    /// A failed system call on a file.
    pub(crate) fn io(doing: &'static str, path: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { doing, path: path.into(), source }
    }
}

/// polars' reason without the plan that it prints below, whose nodes are no help to read.
pub(crate) fn brief(error: &PolarsError) -> String {
    let text = error.to_string();
    let reason = text.split("\n\nResolved plan until failure").next().unwrap_or(&text);
    reason.trim_end().to_owned()
}

/// Adds to a polars error what was being done.
pub(crate) trait While<T> {
    /// Names the activity.
    fn doing(self, what: impl Into<String>) -> Result<T>;
}

impl<T> While<T> for std::result::Result<T, PolarsError> {
    fn doing(self, what: impl Into<String>) -> Result<T> {
        self.map_err(|source| DataError::Polars { doing: what.into(), source })
    }
}

/// `, did you mean "x"?` when one of the names is close to the one asked for.
fn did_you_mean(column: &str, available: &str) -> String {
    nearest(column, available.split(", "))
        .map(|name| format!(", did you mean {name:?}?"))
        .unwrap_or_default()
}

/// The name that is close to the one asked for, if one is.
fn nearest<'a>(column: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = column.to_lowercase();
    names
        .map(|name| (edits(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance * 3 <= name.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein's distance between two names.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, l) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, r) in right.iter().enumerate() {
            let cost = diagonal + usize::from(l != *r);
            diagonal = row[column + 1];
            row[column + 1] = cost.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_of_polars_are_not_shown() {
        use polars::prelude::*;
        let df = df!("a" => [1]).unwrap();
        let error = df.lazy().select([col("b")]).filter(col("c")).collect().unwrap_err();
        assert!(error.to_string().contains("FAILED HERE"), "{error}");
        let text = DataError::from(error).to_string();
        assert!(text.contains('b') && !text.contains("FAILED HERE"), "{text}");
    }

    #[test]
    fn a_missing_column_suggests_the_nearest_name() {
        let error = DataError::NoColumn { column: "Specis".into(), available: "a, species".into() };
        assert_eq!(
            error.to_string(),
            "there is no column \"Specis\", did you mean \"species\"?; columns are a, species"
        );
        let error = DataError::NoColumn { column: "zzz".into(), available: "a, species".into() };
        assert_eq!(error.to_string(), "there is no column \"zzz\"; columns are a, species");
        let names: Vec<String> = (0..100_000).map(|i| format!("column_{i}")).collect();
        let error = DataError::no_column("colum_99999", names.iter().map(String::as_str));
        let text = error.to_string();
        assert!(text.contains("did you mean \"column_99999\"?"), "{text}");
        assert!(text.len() < 2000 && text.ends_with("(100000 in all)"), "{text}");
    }
}
