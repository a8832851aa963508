//! Asking the person at the front end for a line of text.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxilab_protocol::Event;
use thiserror::Error;

use crate::{cancel, link};

/// Why no line was read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InputError {
    /// The front end does not answer questions, for example when a notebook runs without a person.
    #[error("input is not possible here: {reason}; give the value in the notebook instead")]
    NotAllowed {
        /// What the front end says, or that it allows no input.
        reason: String,
    },
    /// The user interrupted the cell while it waited.
    #[error("the cell was interrupted while it waited for input")]
    Interrupted,
}

enum Answer {
    Line(String),
    Refused(String),
}

struct Desk {
    allowed: bool,
    answers: VecDeque<Answer>,
}

static DESK: Mutex<Desk> = Mutex::new(Desk { allowed: false, answers: VecDeque::new() });
static ARRIVED: Condvar = Condvar::new();
/// One question at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Asks for a line, without its line break.
///
/// # Errors
/// When the front end allows no input or the cell is interrupted.
pub fn input(prompt: &str) -> Result<String, InputError> {
    ask(prompt, false)
}

/// Asks for a line that is not shown while it is typed.
///
/// # Errors
/// As [`input`].
pub fn password(prompt: &str) -> Result<String, InputError> {
    ask(prompt, true)
}

pub(crate) fn ask(prompt: &str, password: bool) -> Result<String, InputError> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let link = link::get()
        .ok_or_else(|| InputError::NotAllowed { reason: "there is no front end".to_owned() })?;
    {
        let mut desk = desk();
        if !desk.allowed {
            return Err(InputError::NotAllowed {
                reason: "the front end does not allow input in this execution".to_owned(),
            });
        }
        desk.answers.clear();
    }
    link.send_visible(&Event::Input { prompt: prompt.to_owned(), password });
    let mut desk = desk();
    loop {
        match desk.answers.pop_front() {
            Some(Answer::Line(text)) => return Ok(without_break(text)),
            Some(Answer::Refused(reason)) => return Err(InputError::NotAllowed { reason }),
            None if cancel::requested() => return Err(InputError::Interrupted),
            None => {
                desk = ARRIVED
                    .wait_timeout(desk, Duration::from_millis(20))
                    .map_or_else(|poisoned| poisoned.into_inner().0, |(desk, _)| desk);
            }
        }
    }
}

pub(crate) fn allow(allowed: bool) {
    desk().allowed = allowed;
}

pub(crate) fn answer(text: String) {
    desk().answers.push_back(Answer::Line(text));
    ARRIVED.notify_all();
}

pub(crate) fn refuse(reason: String) {
    desk().answers.push_back(Answer::Refused(reason));
    ARRIVED.notify_all();
}

fn desk() -> MutexGuard<'static, Desk> {
    DESK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn without_break(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_front_end_the_error_says_so() {
        let error = input("name? ").expect_err("refused");
        assert!(error.to_string().contains("no front end"), "{error}");
    }

    #[test]
    fn one_line_break_is_taken_off() {
        assert_eq!(without_break("a\n\n".into()), "a\n");
        assert_eq!(without_break("a\r\n".into()), "a");
        assert_eq!(without_break("a".into()), "a");
    }
}
