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
    /// The user interrupted the cell while it waited. The cell's own thread unwinds instead.
    #[error("the cell was interrupted while it waited for input")]
    Interrupted,
}

enum Answer {
    Line(String),
    Refused(String),
}

struct Desk {
    allowed: bool,
    /// Changes where a cell begins or ends: a question of before is answered no more.
    period: u64,
    answers: VecDeque<Answer>,
}

static DESK: Mutex<Desk> = Mutex::new(Desk { allowed: false, period: 0, answers: VecDeque::new() });
static ARRIVED: Condvar = Condvar::new();
/// What a thread is told that waits longer than its cell runs.
const ENDED: &str = "the cell that asked ended before there was an answer";
/// One question at a time.
static TURN: Mutex<()> = Mutex::new(());

/// Asks for a line, without its line break. An interrupt unwinds the cell, as any poll does.
///
/// # Errors
/// When the front end allows no input; on a thread of the cell's also when the cell is interrupted, or
/// ends before the answer.
pub fn input(prompt: &str) -> Result<String, InputError> {
    ask_or_unwind(prompt, false)
}

/// Asks for a line that is not shown while it is typed. An interrupt unwinds the cell, as any poll does.
///
/// # Errors
/// As [`input`].
pub fn password(prompt: &str) -> Result<String, InputError> {
    ask_or_unwind(prompt, true)
}

fn ask_or_unwind(prompt: &str, password: bool) -> Result<String, InputError> {
    let answer = ask(prompt, password);
    if matches!(answer, Err(InputError::Interrupted)) {
        cancel::poll();
    }
    answer
}

/// For C's side too, through which nothing may unwind: an interrupt is an error on every thread.
pub(crate) fn ask(prompt: &str, password: bool) -> Result<String, InputError> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let link = link::get()
        .ok_or_else(|| InputError::NotAllowed { reason: "there is no front end".to_owned() })?;
    let period = {
        let mut desk = desk();
        if !desk.allowed {
            return Err(InputError::NotAllowed {
                reason: "the front end does not allow input in this execution".to_owned(),
            });
        }
        desk.answers.clear();
        desk.period
    };
    // A question is the running cell's, whichever thread asks.
    if cancel::pressed() {
        return Err(InputError::Interrupted);
    }
    link.send_visible(&Event::Input { prompt: prompt.to_owned(), password });
    let mut desk = desk();
    loop {
        if desk.period != period {
            return Err(InputError::NotAllowed { reason: ENDED.to_owned() });
        }
        match desk.answers.pop_front() {
            Some(Answer::Line(text)) => return Ok(without_break(text)),
            Some(Answer::Refused(reason)) => return Err(InputError::NotAllowed { reason }),
            None if cancel::pressed() => return Err(InputError::Interrupted),
            None => {
                desk = ARRIVED
                    .wait_timeout(desk, Duration::from_millis(20))
                    .map_or_else(|poisoned| poisoned.into_inner().0, |(desk, _)| desk);
            }
        }
    }
}

/// A cell begins or has ended. The front end answers the questions of a running cell only, so a thread
/// that still waits is told, and lets go of the locks that the next question needs.
pub(crate) fn allow(allowed: bool) {
    let mut desk = desk();
    desk.allowed = allowed;
    desk.period += 1;
    drop(desk);
    ARRIVED.notify_all();
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
