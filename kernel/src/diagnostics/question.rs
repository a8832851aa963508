//! A `?` of the cell behind what cannot have one. Composed, it is a method's call, and rustc speaks of a
//! method that nobody wrote.

use std::borrow::Cow;

use super::rustc::{Code, Message};

/// The error as rustc words it for a `?` in a function; others as they are.
pub(super) fn reworded(message: &Message) -> Cow<'_, Message> {
    let mut quoted = message.message.split('`').skip(1).step_by(2);
    let (Some("__q"), Some(of), true) = (quoted.next(), quoted.next(), message.is_error()) else {
        return Cow::Borrowed(message);
    };
    let mut reworded = message.clone();
    reworded.message = format!("the `?` operator cannot be applied to type `{of}`");
    reworded.code = Some(Code { code: "E0277".to_owned(), explanation: None });
    reworded.spans.retain(|span| span.is_primary);
    let label = if of.starts_with("Result<") || of.contains("::Result<") {
        "the error in it implements no `std::error::Error`"
    } else {
        "this is neither a `Result` nor an `Option`"
    };
    for span in &mut reworded.spans {
        span.label = Some(label.to_owned());
    }
    // Of the method.
    reworded.children.clear();
    Cow::Owned(reworded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        let json = serde_json::json!({
            "message": text, "level": "error", "code": {"code": "E0599", "explanation": null},
            "spans": [{"file_name": "cell.rs", "byte_start": 4, "byte_end": 7, "is_primary": true,
                       "label": "method not found in `Tensor`"}],
            "children": [], "rendered": null,
        });
        Message::parse(&json.to_string()).expect("a message")
    }

    #[test]
    fn a_method_that_nobody_wrote_is_the_question_mark() {
        for (text, of, label) in [
            (
                "no method named `__q` found for struct `Tensor` in the current scope",
                "Tensor",
                "neither",
            ),
            (
                "can't call method `__q` on ambiguous numeric type `{integer}`",
                "{integer}",
                "neither",
            ),
            (
                "the method `__q` exists for enum `Result<i32, E1>`, but its trait bounds were not satisfied",
                "Result<i32, E1>",
                "implements no",
            ),
        ] {
            let message = message(text);
            let reworded = reworded(&message);
            assert_eq!(
                reworded.message,
                format!("the `?` operator cannot be applied to type `{of}`")
            );
            assert_eq!(reworded.code(), "E0277");
            let said = reworded.spans[0].label.as_deref().unwrap_or_default();
            assert!(said.contains(label), "{said}");
        }
        let other = message("no method named `q` found for struct `__q` in the current scope");
        assert_eq!(reworded(&other).message, other.message);
    }
}
