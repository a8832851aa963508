//! [`redact`]: text without credentials, before it is kept.

/// Names of environment variables that hold secrets.
const SECRETS: [&str; 5] = ["TOKEN", "PASSWORD", "SECRET", "API_KEY", "ACCESS_KEY"];
/// Shorter values may be ordinary words.
const SHORTEST: usize = 6;
const MASK: &str = "***";

/// Takes out `user:password@` of addresses, bearer tokens, and the values of environment variables
/// whose names say that they are secret.
pub(crate) fn redact(text: &str) -> String {
    let secret = |name: &str| SECRETS.iter().any(|part| name.to_uppercase().contains(part));
    let values = std::env::vars_os().filter_map(|(name, value)| {
        let value = value.into_string().ok()?;
        (secret(&name.to_string_lossy()) && value.len() >= SHORTEST).then_some(value)
    });
    let text = values.fold(text.to_owned(), |text, value| text.replace(&value, MASK));
    bearers(&addresses(&text))
}

fn addresses(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let ends = |c: char| c == '/' || c.is_whitespace() || "\"'<>\\`".contains(c);
        let host = after.find(ends).unwrap_or(after.len());
        rest = match after[..host].rfind('@') {
            Some(sign) => {
                out.push_str(MASK);
                &after[sign..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

fn bearers(text: &str) -> String {
    const WORD: &str = "Bearer ";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(WORD) {
        let (before, after) = rest.split_at(at + WORD.len());
        out.push_str(before);
        let token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
        let end = after.find(|c| !token(c)).unwrap_or(after.len());
        if end >= SHORTEST {
            out.push_str(MASK);
            rest = &after[end..];
        } else {
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_do_not_stay() {
        let text =
            "set_uri(\"https://me:s3@cret@host:5000/x\")?; // http://h/a@b, Bearer abc.def-123";
        assert_eq!(
            redact(text),
            "set_uri(\"https://***@host:5000/x\")?; // http://h/a@b, Bearer ***"
        );
        assert_eq!(redact("Bearer x://"), "Bearer x://");
    }
}
