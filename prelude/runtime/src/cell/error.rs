//! Why a step of a cell ended early.

use std::error::Error;
use std::panic::Location;

use oxilab_protocol::{Failure, FailureKind};

/// The error of a cell's step: made by `?` through [`super::Question`], or a quiet end.
#[derive(Debug)]
pub struct CellError {
    failure: Option<Box<Failure>>,
}

impl CellError {
    /// The quiet end of a cell: a top-level `return`.
    #[must_use]
    pub fn stop() -> Self {
        Self { failure: None }
    }

    pub(crate) fn none(location: &Location<'_>) -> Self {
        Self::failed("None", "the value before `?` is None".to_owned(), Vec::new(), location)
    }

    pub(crate) fn new(type_name: &str, error: &dyn Error, location: &Location<'_>) -> Self {
        let (message, details) = chain(error);
        Self::failed(&short(type_name), message, details, location)
    }

    pub(crate) fn into_failure(self) -> Option<Failure> {
        self.failure.map(|failure| *failure)
    }

    fn failed(name: &str, message: String, details: Vec<String>, at: &Location<'_>) -> Self {
        Self {
            failure: Some(Box::new(Failure {
                kind: FailureKind::Error,
                name: name.to_owned(),
                message,
                details,
                location: Some((at.file().to_owned(), at.line(), at.column())),
                frames: Vec::new(),
            })),
        }
    }
}

/// How `bail!` and `ensure!` end a cell.
impl From<anyhow::Error> for CellError {
    #[track_caller]
    fn from(error: anyhow::Error) -> Self {
        Self::new("anyhow::Error", &*error, Location::caller())
    }
}

/// The Display chain `a: b: c`, and its causes one by one. A cause that the text before it already
/// holds is not repeated.
fn chain(error: &dyn Error) -> (String, Vec<String>) {
    let mut message = brief(&error.to_string());
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = brief(&error.to_string());
        if !text.is_empty() && !message.contains(&text) {
            message = format!("{message}: {text}");
            causes.push(format!("caused by: {text}"));
        }
        cause = error.source();
    }
    (message, causes)
}

/// A text without the query plan that polars prints below its reason, once for each of its layers.
fn brief(text: &str) -> String {
    const PLAN: &str = "\n\nResolved plan until failure:";
    text.split_once(PLAN).map_or(text, |(reason, _)| reason.trim_end()).to_owned()
}

/// A type's name without the paths of its parts: `core::num::ParseIntError` → `ParseIntError`.
pub(crate) fn short(type_name: &str) -> String {
    let mut short = String::new();
    let mut word = String::new();
    for c in type_name.chars() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
        } else if c == ':' {
            word.clear();
        } else {
            short.push_str(&word);
            word.clear();
            short.push(c);
        }
    }
    short + &word
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError, bool);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("reading the age")?;
            if self.1 { write!(f, ": {}", self.0) } else { Ok(()) }
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn causes_follow_and_are_not_said_twice() {
        for repeats in [false, true] {
            let inner = "x".parse::<u8>().expect_err("not a number");
            let (message, causes) = chain(&Outer(inner, repeats));
            assert_eq!(message, "reading the age: invalid digit found in string");
            assert_eq!(causes.len(), usize::from(!repeats));
        }
    }

    #[test]
    fn a_reason_of_polars_is_said_once_and_without_its_plan() {
        let reason = "unable to find column \"b\"; valid columns: [\"a\"]";
        let plan =
            "\n\nResolved plan until failure:\n\n\t---> FAILED HERE RESOLVING 'filter' <---\nDF";
        let polars = anyhow::anyhow!("{reason}{plan}{plan}");
        let error = polars.context(format!("polars: {reason}, that is all{plan}"));
        let (message, causes) = chain(&*error);
        assert_eq!(message, format!("polars: {reason}, that is all"));
        assert!(causes.is_empty(), "{causes:?}");
    }

    #[test]
    fn an_error_of_anyhow_is_placed_where_it_was_raised() {
        let line = line!() + 1;
        let failure = CellError::from(anyhow::anyhow!("no rows")).into_failure().expect("failed");
        assert_eq!((failure.name.as_str(), failure.message.as_str()), ("Error", "no rows"));
        assert_eq!(failure.location.map(|(_, line, _)| line), Some(line));
    }

    #[test]
    fn names_lose_their_paths() {
        assert_eq!(short("core::num::error::ParseIntError"), "ParseIntError");
        assert_eq!(
            short("alloc::boxed::Box<dyn core::error::Error + core::marker::Send>"),
            "Box<dyn Error + Send>"
        );
        assert_eq!(short("&str"), "&str");
    }
}
