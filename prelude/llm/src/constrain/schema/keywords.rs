//! Which keywords a schema may have, and reading those that count. What narrows values and is not
//! understood is refused: passed over, it would let through what the schema forbids.

use serde_json::{Map, Value as Json};

use crate::error::{LlmError, Result};

/// Keywords that say nothing about which values are allowed.
const NOTES: [&str; 14] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "example",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "strict",
];

/// The keywords that are understood for a type.
pub(super) fn of_kind(kind: &str) -> &'static [&'static str] {
    match kind {
        "object" => &["properties", "required", "additionalProperties"],
        "array" => &["items", "minItems", "maxItems"],
        "string" => &["minLength", "maxLength"],
        "number" | "integer" => &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
        _ => &[],
    }
}

/// Refuses keywords that are neither among these nor notes.
pub(super) fn known(object: &Map<String, Json>, keys: &[&str], at: &str) -> Result<()> {
    let unknown =
        object.keys().find(|key| !NOTES.contains(&key.as_str()) && !keys.contains(&key.as_str()));
    match (unknown, keys.first()) {
        (Some(key), None | Some(&"type")) => Err(unfit(at, &format!("the keyword {key:?}"))),
        (Some(key), Some(main)) => Err(unfit(at, &format!("the keyword {key:?} beside {main:?}"))),
        (None, _) => Ok(()),
    }
}

/// The types that a schema names, or that its other keywords mean; `None` where it says nothing.
pub(super) fn kinds<'a>(object: &'a Map<String, Json>, at: &str) -> Result<Option<Vec<&'a str>>> {
    match object.get("type") {
        Some(Json::String(kind)) => Ok(Some(vec![kind.as_str()])),
        Some(Json::Array(kinds)) if !kinds.is_empty() => {
            let text = |kind: &'a Json| {
                kind.as_str()
                    .ok_or_else(|| unfit(at, &format!("the type {kind}, which is no text")))
            };
            kinds.iter().map(text).collect::<Result<_>>().map(Some)
        }
        Some(other) => Err(unfit(at, &format!("the type {other}"))),
        None if object.contains_key("properties")
            || object.contains_key("additionalProperties") =>
        {
            Ok(Some(vec!["object"]))
        }
        None if object.contains_key("items") => Ok(Some(vec!["array"])),
        None => Ok(None),
    }
}

/// Whether a schema says a type, and only such as are among these.
pub(super) fn is_within(schema: &Json, outer: &[&str]) -> bool {
    let inner = schema.as_object().and_then(|object| kinds(object, "").ok().flatten());
    let known =
        |kind: &&str| outer.contains(kind) || *kind == "integer" && outer.contains(&"number");
    inner.is_some_and(|inner| inner.iter().all(known))
}

/// Whether a value is of a type.
pub(super) fn is_a(value: &Json, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    }
}

/// A number of things; `2.0` is 2.
pub(super) fn count(object: &Map<String, Json>, key: &str, at: &str) -> Result<Option<usize>> {
    let Some(value) = object.get(key) else { return Ok(None) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
    let whole = |number: f64| {
        (number.fract() == 0.0 && (0.0..1e15).contains(&number)).then_some(number as u64)
    };
    let found = value.as_u64().or_else(|| value.as_f64().and_then(whole));
    match found.and_then(|number| usize::try_from(number).ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(unfit(at, &format!("{key} is {value}, which is no count"))),
    }
}

pub(super) fn unfit(at: &str, what: &str) -> LlmError {
    LlmError::Schema { at: at.to_owned(), reason: what.to_owned() }
}
