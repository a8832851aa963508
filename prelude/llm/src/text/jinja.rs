//! What transformers adds to Jinja for chat templates, and the methods of Python's values that they call.

use minijinja::value::{Kwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters};

use super::strings;

pub(super) fn extend(environment: &mut Environment<'static>) {
    environment.set_unknown_method_callback(method);
    environment.add_filter("tojson", to_json);
    environment.add_function("strftime_now", |format: String| date(&format));
    environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
}

/// `strftime` of a fixed date, 26 July 2024, so that the same conversation always gives the same prompt.
fn date(format: &str) -> String {
    let mut text = String::new();
    let mut rest = format.chars();
    while let Some(letter) = rest.next() {
        if letter != '%' {
            text.push(letter);
            continue;
        }
        let code = rest.next().unwrap_or('%');
        match code {
            'd' => text.push_str("26"),
            'm' => text.push_str("07"),
            'y' => text.push_str("24"),
            'Y' => text.push_str("2024"),
            'b' => text.push_str("Jul"),
            'B' => text.push_str("July"),
            'a' => text.push_str("Fri"),
            'A' => text.push_str("Friday"),
            'j' => text.push_str("208"),
            'H' | 'M' | 'S' => text.push_str("00"),
            '%' => text.push('%'),
            // `%-d`: without a leading zero, of which there is only that of the month.
            '-' => match rest.next() {
                Some('m') => text.push('7'),
                Some(code) => text.push_str(&date(&format!("%{code}"))),
                None => text.push_str("%-"),
            },
            other => text.extend(['%', other]),
        }
    }
    text
}

/// JSON as Python's `json.dumps` writes it. The filter that comes with Jinja is for web pages: it escapes
/// `<`, `>`, `&` and `'`, and knows no other arguments than `indent`.
#[expect(clippy::needless_pass_by_value, reason = "as filters are called")]
fn to_json(value: &Value, indent: Option<Value>, args: Kwargs) -> Result<String, Error> {
    let indent = indent.or(args.get("indent")?).filter(|indent| !indent.is_none());
    // Letters beyond ASCII are always written as they are, as transformers does unless told otherwise.
    let _: Option<Value> = args.get("ensure_ascii")?;
    args.assert_all_used()?;
    let others = std::iter::empty::<(&str, Value)>().collect();
    let json = filters::tojson(value, indent, others)?;
    Ok(plain(json.as_str().unwrap_or_default()))
}

/// JSON without escapes that only a web page needs.
fn plain(json: &str) -> String {
    const ESCAPES: [(&str, char); 4] =
        [("\\u003c", '<'), ("\\u003e", '>'), ("\\u0026", '&'), ("\\u0027", '\'')];
    let mut text = String::with_capacity(json.len());
    let mut rest = json;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((escape, letter)) = ESCAPES.iter().find(|(escape, _)| rest.starts_with(escape))
        {
            text.push(*letter);
            rest = &rest[escape.len()..];
        } else {
            // What is escaped is one byte, so that an escaped backslash escapes nothing.
            let two = rest.len().min(2);
            text.push_str(&rest[..two]);
            rest = &rest[two..];
        }
    }
    text + rest
}

/// The methods of Python's strings and dictionaries that templates use.
fn method(
    _state: &mut State<'_, '_>,
    value: &Value,
    name: &str,
    args: &[Value],
) -> Result<Value, Error> {
    let unknown = || Error::new(ErrorKind::UnknownMethod, format!("no method {name}"));
    let (args, named): (&[Value], Kwargs) = from_args(args)?;
    if let Some(text) = value.as_str() {
        let made = strings::method(text, name, args, &named)?.ok_or_else(unknown)?;
        named.assert_all_used()?;
        return Ok(made);
    }
    match name {
        "get" => {
            let found = args.first().map(|key| value.get_item(key)).transpose()?;
            let missing = || args.get(1).cloned().unwrap_or_else(|| Value::from(()));
            Ok(found.filter(|found| !found.is_undefined()).unwrap_or_else(missing))
        }
        "keys" => Ok(value.try_iter()?.collect::<Vec<_>>().into()),
        "items" => {
            let pairs = value.try_iter()?.map(|key| {
                let item = value.get_item(&key)?;
                Ok(Value::from(vec![key, item]))
            });
            Ok(pairs.collect::<Result<Vec<_>, Error>>()?.into())
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_is_written_as_a_template_asks() {
        assert_eq!(date("%d %b %Y"), "26 Jul 2024");
        assert_eq!(
            date("%A, %B %-d, %Y: %Y-%m-%d %-m/%y 100%% %q"),
            "Friday, July 26, 2024: 2024-07-26 7/24 100% %q"
        );
    }

    #[test]
    fn json_is_that_of_python() -> Result<(), Error> {
        let mut environment = Environment::new();
        extend(&mut environment);
        let json = |source: &str| environment.render_str(source, ());
        let source = "{{ {'a': [1, 'é<&>\\\\u003c'], 'b': none} | tojson(ensure_ascii=false) }}";
        assert_eq!(json(source)?, r#"{"a": [1, "é<&>\\u003c"], "b": null}"#);
        assert_eq!(json("{{ {'a': [1]} | tojson(indent=2) }}")?, "{\n  \"a\": [\n    1\n  ]\n}");
        Ok(())
    }
}
