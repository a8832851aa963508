//! The methods of Python's `str` that chat templates call.

use minijinja::value::Kwargs;
use minijinja::{Error, ErrorKind, Value};

/// What a method of a text gives; `None` if it is not one of those.
pub(super) fn method(
    text: &str,
    name: &str,
    args: &[Value],
    named: &Kwargs,
) -> Result<Option<Value>, Error> {
    let argument = |number: usize| args.get(number).and_then(Value::as_str);
    let needed = |number: usize| {
        let message = format!("{name} needs {} texts", number + 1);
        argument(number).ok_or_else(|| Error::new(ErrorKind::MissingArgument, message))
    };
    let set: Vec<char> = argument(0).unwrap_or(" \t\r\n").chars().collect();
    Ok(Some(match name {
        "strip" => text.trim_matches(&set[..]).into(),
        "lstrip" => text.trim_start_matches(&set[..]).into(),
        "rstrip" => text.trim_end_matches(&set[..]).into(),
        "upper" => text.to_uppercase().into(),
        "lower" => text.to_lowercase().into(),
        "capitalize" => capitalized(text).into(),
        // A word is what is between other signs than letters.
        "title" => text
            .split_inclusive(|letter: char| !letter.is_alphabetic())
            .map(capitalized)
            .collect::<String>()
            .into(),
        "startswith" => text.starts_with(needed(0)?).into(),
        "endswith" => text.ends_with(needed(0)?).into(),
        "replace" => {
            let (from, to) = (needed(0)?, needed(1)?);
            match count(args.get(2), named, "count")? {
                Some(most) => text.replacen(from, to, most).into(),
                None => text.replace(from, to).into(),
            }
        }
        "split" | "rsplit" => {
            let separator = args.first().cloned().or(named.get("sep")?);
            let most = count(args.get(1), named, "maxsplit")?;
            let separator = separator.as_ref().and_then(Value::as_str);
            let parts = split(text, separator, most, name == "rsplit");
            parts.into_iter().map(Value::from).collect::<Vec<_>>().into()
        }
        _ => return Ok(None),
    }))
}

fn capitalized(word: &str) -> String {
    let mut rest = word.chars();
    let first: String = rest.next().into_iter().flat_map(char::to_uppercase).collect();
    first + &rest.as_str().to_lowercase()
}

/// An optional number of times, of which a negative one means any.
fn count(argument: Option<&Value>, named: &Kwargs, name: &str) -> Result<Option<usize>, Error> {
    let Some(value) = argument.cloned().or(named.get(name)?) else { return Ok(None) };
    let number = value.as_i64().ok_or_else(|| {
        Error::new(ErrorKind::InvalidOperation, format!("{value} is no number of times"))
    })?;
    Ok(usize::try_from(number).ok())
}

/// The parts of a text between separators, or its words, after at most `most` cuts.
fn split<'a>(
    text: &'a str,
    separator: Option<&str>,
    most: Option<usize>,
    from_end: bool,
) -> Vec<&'a str> {
    let pieces = most.map_or(usize::MAX, |most| most.saturating_add(1));
    let mut parts: Vec<&str> = match separator {
        Some(separator) if from_end => text.rsplitn(pieces, separator).collect(),
        Some(separator) => text.splitn(pieces, separator).collect(),
        None => words(text, pieces, from_end),
    };
    if from_end {
        parts.reverse();
    }
    parts
}

/// Words from one end of a text, of which the last piece has the rest as it is.
fn words(text: &str, pieces: usize, from_end: bool) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    loop {
        rest = if from_end { rest.trim_end() } else { rest.trim_start() };
        if rest.is_empty() {
            return parts;
        }
        let cut = if from_end {
            rest.rsplit_once(char::is_whitespace).map(|(rest, word)| (word, rest))
        } else {
            rest.split_once(char::is_whitespace)
        };
        let (word, left) = cut.unwrap_or((rest, ""));
        if parts.len() + 1 == pieces {
            parts.push(rest);
            return parts;
        }
        parts.push(word);
        rest = left;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::Environment;

    /// What CPython 3.11 says.
    #[test]
    fn texts_have_the_methods_of_python() -> Result<(), Error> {
        let mut environment = Environment::new();
        super::super::jinja::extend(&mut environment);
        let said =
            |source: &str| environment.render_str(&format!("{{{{ ({source}) | tojson }}}}"), ());
        for (source, expected) in [
            ("'a-b-c'.split('-', 1)", r#"["a", "b-c"]"#),
            ("'a-b-c'.split('-', maxsplit=1)", r#"["a", "b-c"]"#),
            ("'a-b-c'.split(sep='-')", r#"["a", "b", "c"]"#),
            ("'a-b-c'.split('-', 0)", r#"["a-b-c"]"#),
            ("'a-b-c'.split('-', -1)", r#"["a", "b", "c"]"#),
            ("'a-b-c'.rsplit('-', 1)", r#"["a-b", "c"]"#),
            ("'a-b-c'.rsplit('-')", r#"["a", "b", "c"]"#),
            ("'aaa'.rsplit('aa')", r#"["a", ""]"#),
            ("' a  b  c '.split()", r#"["a", "b", "c"]"#),
            ("' a  b  c '.split(none, 1)", r#"["a", "b  c "]"#),
            ("' a  b  c '.split(maxsplit=0)", r#"["a  b  c "]"#),
            ("' a  b  c '.rsplit(none, 1)", r#"[" a  b", "c"]"#),
            ("' '.split()", "[]"),
            ("'aaa'.replace('a', 'b', 2)", r#""bba""#),
            ("'aaa'.replace('a', 'b')", r#""bbb""#),
            ("'it is THE end'.title()", r#""It Is The End""#),
            ("'it is THE end'.capitalize()", r#""It is the end""#),
            ("'one-two'.title()", r#""One-Two""#),
        ] {
            assert_eq!(said(source)?, expected, "{source}");
        }
        for wrong in ["'a'.split('b', 'c')", "'a'.split(most=1)", "'a'.replace('b')"] {
            assert!(said(wrong).is_err(), "{wrong}");
        }
        Ok(())
    }
}
