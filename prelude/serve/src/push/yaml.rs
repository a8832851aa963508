//! JSON values as YAML, for files that people read: [`text`].

use serde_json::Value;

/// The value as YAML in block style, texts in quotes.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    block(&mut out, value, 0);
    out
}

fn block(out: &mut String, value: &Value, depth: usize) {
    let margin = "  ".repeat(depth);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                out.push_str(&format!("{margin}{}:", word(key)));
                below(out, value, depth + 1);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                block(&mut inner, item, depth + 1);
                // The first line of the item stands behind the dash.
                out.push_str(&format!("{margin}- {}", inner.trim_start()));
            }
        }
        other => out.push_str(&format!("{margin}{other}\n")),
    }
}

fn below(out: &mut String, value: &Value, depth: usize) {
    let nested = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    };
    if nested {
        out.push('\n');
        block(out, value, depth);
    } else {
        out.push_str(&format!(" {value}\n"));
    }
}

/// A key, in quotes where YAML could read it otherwise.
fn word(key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '.');
    let is_plain = key.starts_with(|c: char| c.is_ascii_alphabetic()) && key.chars().all(plain);
    if is_plain { key.to_owned() } else { Value::from(key).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn nested_values_stand_below_each_other() {
        let value = json!({"a": 1, "b": {"c": ["x", {"d": true, "e": []}]}, "7": null});
        let expected = "a: 1\nb:\n  c:\n    - \"x\"\n    - d: true\n      e: []\n\"7\": null\n";
        assert_eq!(super::text(&value), expected);
    }
}
