//! Types of new variables, read off the `forgetting_references` lint.

use std::collections::BTreeMap;

use super::Message;
use crate::compose::{Mark, SourceMap};

/// Name → type as rustc printed it, for every binding that was asked for.
#[must_use]
pub fn read(messages: &[Message], map: &SourceMap, file: &str) -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    for message in messages.iter().filter(|message| message.code() == "forgetting_references") {
        for span in &message.spans {
            let Some(range) = span.in_file(file) else { continue };
            let Some(Mark::Type(name)) = map.mark(range.start) else { continue };
            if let Some(found) = span.label.as_deref().and_then(argument_type) {
                types.insert(name.clone(), found);
            }
        }
    }
    types
}

/// The type of the tail expression, if there is one and it was told.
#[must_use]
pub fn of_result(messages: &[Message], map: &SourceMap, file: &str) -> Option<String> {
    let lints = messages.iter().filter(|message| message.code() == "forgetting_references");
    lints
        .flat_map(|message| &message.spans)
        .filter(|span| {
            span.in_file(file).is_some_and(|range| map.mark(range.start) == Some(&Mark::Result))
        })
        .find_map(|span| argument_type(span.label.as_deref()?))
}

/// Whether a later cell can write the type down.
#[must_use]
pub fn nameable(type_text: &str) -> bool {
    const UNNAMEABLE: &[&str] =
        &["{closure", "{async", "{coroutine", "{gen", "impl ", "{type error}", "{unknown}"];
    !UNNAMEABLE.iter().any(|part| type_text.contains(part)) && !type_text.contains("} {")
}

/// `fn(i32) -> i32 {name}` is stored as the function pointer before the brace.
#[must_use]
pub fn storable(type_text: &str) -> String {
    match type_text.strip_suffix('}').and_then(|text| text.rsplit_once(" {")) {
        Some((pointer, _)) if pointer.contains("fn(") => pointer.to_owned(),
        _ => type_text.to_owned(),
    }
}

/// The type in the label "argument has type …", without the reference and the quotes.
fn argument_type(label: &str) -> Option<String> {
    let (_, quoted) = label.split_once("argument has type `")?;
    let whole = quoted.strip_suffix('`')?;
    Some(whole.strip_prefix('&')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_stands_behind_the_reference() {
        let label = "argument has type `&std::collections::HashMap<&str, Vec<i32>>`";
        assert_eq!(
            argument_type(label).as_deref(),
            Some("std::collections::HashMap<&str, Vec<i32>>")
        );
        assert_eq!(argument_type("something else"), None);
    }

    #[test]
    fn closures_have_no_name() {
        assert!(!nameable("{closure@cell.rs:1:2: 1:4}"));
        assert!(!nameable("std::vec::IntoIter<impl Fn()>"));
        assert!(nameable("std::boxed::Box<dyn std::ops::Fn(i32) -> i32>"));
    }
}
