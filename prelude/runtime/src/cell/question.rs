//! `?` at the top level of a cell: the composer writes `.__q()` before it.

use std::error::Error;
use std::panic::Location;

use super::CellError;

/// What a top-level `?` can be applied to: an `Option`, and a `Result` whose error turns into a
/// `Box<dyn Error>`: errors of std and of crates, `anyhow::Error`, `String`, `&str`, `Box<dyn Error>`.
#[diagnostic::on_unimplemented(
    message = "`?` cannot be applied to a value of type `{Self}`",
    label = "`?` needs a `Result` or an `Option`, with an error that implements `Error`"
)]
pub trait Question {
    /// What `?` evaluates to.
    type Output;

    /// Turns the error into the cell's error, with the place of the `?`.
    ///
    /// # Errors
    /// When the value is an `Err` or `None`.
    #[track_caller]
    fn __q(self) -> Result<Self::Output, CellError>;
}

impl<T, E: Into<Box<dyn Error>>> Question for Result<T, E> {
    type Output = T;

    #[track_caller]
    fn __q(self) -> Result<T, CellError> {
        let location = Location::caller();
        self.map_err(|error| {
            let error: Box<dyn Error> = error.into();
            CellError::new(std::any::type_name::<E>(), &*error, location)
        })
    }
}

impl<T> Question for Option<T> {
    type Output = T;

    #[track_caller]
    fn __q(self) -> Result<T, CellError> {
        let location = Location::caller();
        self.ok_or_else(|| CellError::none(location))
    }
}

/// [`Question`] for boxed errors that are `Send`: they do not turn into `Box<dyn Error>`, and std may
/// make them do so one day, which is why they cannot stand in the same trait. Method lookup comes here
/// when the other does not apply.
pub trait QuestionSend {
    /// What `?` evaluates to.
    type Output;

    /// As [`Question::__q`].
    ///
    /// # Errors
    /// When the value is an `Err`.
    #[track_caller]
    fn __q(self) -> Result<Self::Output, CellError>;
}

macro_rules! boxed {
    ($($error:ty),*) => {$(
        impl<T> QuestionSend for &mut Result<T, $error> {
            type Output = T;

            #[track_caller]
            fn __q(self) -> Result<T, CellError> {
                let location = Location::caller();
                std::mem::replace(self, Err(Box::new(std::fmt::Error))).map_err(|error| {
                    CellError::new(std::any::type_name::<$error>(), &*error, location)
                })
            }
        }
    )*};
}

boxed!(Box<dyn Error + Send + Sync>, Box<dyn Error + Send>);

#[cfg(test)]
mod tests {
    use super::*;

    fn failure<T>(result: Result<T, CellError>) -> (String, String, u32) {
        let failure = result.err().and_then(CellError::into_failure).expect("failed");
        (failure.name, failure.message, failure.location.map_or(0, |(_, line, _)| line))
    }

    #[test]
    fn every_kind_of_error_is_taken() {
        let plain: Result<(), &str> = Err("plain");
        let text: Result<(), String> = Err("text".to_owned());
        let boxed = || -> Result<u8, Box<dyn Error>> { Err("boxed".into()) };
        let sent = || -> Result<u8, Box<dyn Error + Send + Sync>> { Err("sent".into()) };
        assert_eq!(failure(plain.__q()).1, "plain");
        assert_eq!(failure(text.__q()).0, "String");
        assert_eq!(failure(boxed().__q()).1, "boxed");
        let (name, message, _) = failure(sent().__q());
        assert_eq!((name.as_str(), message.as_str()), ("Box<dyn Error + Send + Sync>", "sent"));
        assert_eq!(failure(None::<u8>.__q()).0, "None");
        assert_eq!(Ok::<_, String>(3).__q().ok(), Some(3));
    }

    #[test]
    fn the_line_is_that_of_the_question_mark_and_types_are_inferred_through_it() {
        let line = line!() + 1;
        let result = "x".parse::<i32>().__q();
        assert_eq!(failure(result).2, line);
        let inferred: Result<u16, CellError> = (|| {
            let number: u16 = "12".parse().__q()?;
            Ok(number)
        })();
        assert_eq!(inferred.ok(), Some(12));
    }
}
