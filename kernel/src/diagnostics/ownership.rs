//! What borrow errors in generated code say of a cell: which statement moves a variable, which
//! binding borrows from another. The composed cell is amended and compiled once more.

use super::Message;
use crate::cell::Cell;
use crate::compose::cell::Ownership;
use crate::compose::{Mark, SourceMap};

/// Errors that the cut into steps, or putting a variable back, can cause by itself.
const BORROWCK: &[&str] = &[
    "E0282", "E0373", "E0381", "E0382", "E0499", "E0501", "E0502", "E0503", "E0505", "E0506",
    "E0515", "E0521", "E0594", "E0596", "E0597", "E0700", "E0712", "E0713", "E0716", "E0310",
    "E0309",
];

/// How the cell is to be composed once more after these errors; `None` when they are the user's.
#[must_use]
pub fn amended(
    messages: &[Message],
    map: &SourceMap,
    file: &str,
    cell: &Cell,
    ownership: &Ownership,
) -> Option<Ownership> {
    if let Some(amended) = without_looks(messages, map, file, ownership) {
        return Some(amended);
    }
    if !may_be_ours(messages) {
        return None;
    }
    let merged = || {
        let merged_from = Some(0);
        (ownership.merged_from != merged_from)
            .then(|| Ownership { merged_from, ..ownership.clone() })
    };
    amend(messages, map, file, cell, ownership).or_else(merged)
}

/// Whether every error may come from composing rather than from the user's code.
fn may_be_ours(messages: &[Message]) -> bool {
    let mut errors = messages
        .iter()
        .filter(|message| message.is_error() && !message.spans.is_empty())
        .peekable();
    errors.peek().is_some()
        && errors.all(|message| {
            BORROWCK.contains(&message.code())
                || (message.code().is_empty() && message.message.contains("borrowed data"))
                || message.message.contains("lifetime may not live long enough")
        })
}

/// Amends `ownership` by the bindings that must be stored without a look at them; `None` when there are
/// none, or no more.
fn without_looks(
    messages: &[Message],
    map: &SourceMap,
    file: &str,
    ownership: &Ownership,
) -> Option<Ownership> {
    let mut amended = ownership.clone();
    let unseen = messages.iter().filter(|message| message.code() == "E0277");
    amended.unseen.extend(unseen.flat_map(|message| &message.spans).filter_map(|span| {
        match map.mark(span.in_file(file)?.start) {
            Some(Mark::Put(name)) => Some(name.clone()),
            _ => None,
        }
    }));
    (amended != *ownership).then_some(amended)
}

/// Amends `ownership` by what the errors say; `None` when they say nothing new.
fn amend(
    messages: &[Message],
    map: &SourceMap,
    file: &str,
    cell: &Cell,
    ownership: &Ownership,
) -> Option<Ownership> {
    let mut amended = ownership.clone();
    for message in messages.iter().filter(|message| message.is_error()) {
        let put = message.spans.iter().find_map(|span| match map.mark(span.in_file(file)?.start) {
            Some(Mark::Put(name)) => Some((name.clone(), span.is_primary)),
            _ => None,
        });
        match message.code() {
            // Putting the variable back is the move, or the use; a binding still borrows from it.
            "E0503" | "E0505" if put.as_ref().is_some_and(|(_, primary)| *primary) => {
                if let Some(statement) = lender(message, map, file, cell) {
                    let bindings = &cell.statements[statement].bindings;
                    amended.borrowing.extend(bindings.iter().map(|binding| binding.name.clone()));
                }
            }
            "E0382" | "E0505" => {
                let name = put.map(|(name, _)| name).or_else(|| assigned_name(message, cell));
                if let Some(name) = name
                    && let Some(statement) = mover(message, map, file, cell, &name)
                {
                    amended.consumed.entry(statement).or_default().insert(name);
                }
            }
            _ => {
                if let Some((name, _)) = put {
                    amended.borrowing.insert(name);
                } else if let Some(statement) = borrower(message, map, file, cell) {
                    let bindings = &cell.statements[statement].bindings;
                    amended.borrowing.extend(bindings.iter().map(|binding| binding.name.clone()));
                }
            }
        }
    }
    (amended != *ownership).then_some(amended)
}

/// The binding statement in which "borrow of `x` occurs here" stands, or "`x` is borrowed here".
fn lender(message: &Message, map: &SourceMap, file: &str, cell: &Cell) -> Option<usize> {
    let borrow = message.spans.iter().find(|span| {
        let label = span.label.as_deref().unwrap_or_default();
        !span.is_primary && (label.starts_with("borrow of") || label.ends_with("is borrowed here"))
    })?;
    let (_, range) = map.locate(&borrow.in_file(file)?)?;
    binding_at(cell, range.start)
}

/// The binding statement that a borrow error stands in: its value borrows from another variable.
fn borrower(message: &Message, map: &SourceMap, file: &str, cell: &Cell) -> Option<usize> {
    let (_, range) = map.locate(&message.primary()?.in_file(file)?)?;
    binding_at(cell, range.start)
}

fn binding_at(cell: &Cell, at: usize) -> Option<usize> {
    cell.statements
        .iter()
        .position(|statement| !statement.bindings.is_empty() && statement.range.contains(&at))
}

/// The name in "use of moved value: `x`", if some statement assigns it: then a step may hand it back.
fn assigned_name(message: &Message, cell: &Cell) -> Option<String> {
    let name = message.message.split('`').nth(1)?.to_owned();
    cell.statements.iter().any(|statement| statement.assigns.contains(&name)).then_some(name)
}

/// The statement that a label "moved" stands in, the last one that mentions the variable.
fn mover(message: &Message, map: &SourceMap, file: &str, cell: &Cell, name: &str) -> Option<usize> {
    message
        .spans
        .iter()
        .filter(|span| {
            span.label.as_deref().is_some_and(|label| {
                label.contains("move") || label.contains("due to use in closure")
            })
        })
        .filter_map(|span| map.locate(&span.in_file(file)?))
        .filter_map(|(_, range)| {
            cell.statements.iter().position(|statement| {
                statement.range.start <= range.start
                    && range.start < statement.range.end
                    && statement.values.contains(name)
            })
        })
        .max()
}
