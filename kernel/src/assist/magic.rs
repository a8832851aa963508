//! Lines that are magics: their names and arguments.

use super::text;
use crate::magics::{self, Invocation, Segment};

/// The Rust that a cursor stands in, or the magic.
pub(super) enum Before {
    /// Rust before the cursor, magics left out.
    Rust(String),
    /// The name of a magic is being typed; with its marks.
    Name(String),
    /// Arguments of a magic.
    Arguments(Invocation),
    /// Text that a magic takes and that is not Rust.
    Body(Invocation),
}

/// Magics whose arguments and body are Rust.
const RUN_RUST: &[&str] = &["time", "timeit", "capture"];

/// Cuts the text before the cursor.
pub(super) fn before(text: &str) -> Before {
    let line = text.rsplit('\n').next().unwrap_or_default().trim_start();
    let segments = magics::split(text);
    let magic_last = matches!(segments.last(), Some(Segment::Magic(_)));
    // A magic that has only its marks so far is no magic yet.
    if is_marks(line) && (magic_last || between_statements(text)) {
        return Before::Name(line.to_owned());
    }
    let mut rust = String::new();
    let count = segments.len();
    for (index, segment) in segments.into_iter().enumerate() {
        match segment {
            Segment::Rust(part) => {
                rust.push_str(part.trim_start_matches('\n'));
                rust.push('\n');
            }
            Segment::Magic(magic) if index + 1 == count => {
                if let Some(body) = &magic.body
                    && text.matches('\n').count() > magic.line
                {
                    if RUN_RUST.contains(&magic.name.as_str()) {
                        return Before::Rust(rust + body);
                    }
                    return Before::Body(magic);
                }
                if text.matches('\n').count() > magic.line {
                    return Before::Rust(rust);
                }
                let before_name = line.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_');
                if is_marks(before_name) && magic.name != "!" {
                    return Before::Name(line.to_owned());
                }
                if RUN_RUST.contains(&magic.name.as_str()) {
                    let code = line.split_once(' ').map_or("", |(_, code)| code);
                    return Before::Rust(rust + code);
                }
                return Before::Arguments(Invocation {
                    // The split trims the arguments; what is being typed may end in a space.
                    arguments: line.split_once([' ', '!']).map_or("", |(_, rest)| rest).to_owned(),
                    ..magic
                });
            }
            Segment::Magic(_) => {}
        }
    }
    rust.pop();
    Before::Rust(rust)
}

fn is_marks(text: &str) -> bool {
    matches!(text, "%" | "%%" | ":" | "//%" | "//%%")
}

/// Whether a magic could start on the last line.
fn between_statements(text: &str) -> bool {
    let probe = format!("{text}who");
    matches!(magics::split(&probe).last(), Some(Segment::Magic(_)))
}

/// Names of magics for marks and the start of a name: names without marks.
pub(super) fn names(typed: &str) -> Vec<(&'static str, &'static str)> {
    let name = typed.trim_start_matches(['/', '%', ':']);
    let marks = typed.trim_start_matches('/');
    let marks = &marks[..marks.len() - name.len()];
    let wanted = if marks == ":" { "%" } else { marks };
    let mut found = Vec::new();
    for magic in magics::REGISTRY {
        let forms: Vec<&str> = magic.usage().split_whitespace().collect();
        for one in magic.names() {
            let spelled = format!("{wanted}{one}");
            if one.starts_with(name) && forms.contains(&spelled.as_str()) {
                found.push((*one, magic.summary()));
            }
        }
    }
    found
}

/// What an argument of a magic can be.
pub(super) enum Argument {
    /// Words out of its usage.
    Words(Vec<String>),
    /// A path; the flag says that only folders count.
    Path(bool),
    /// A variable.
    Variable,
}

/// What can stand where an argument of this magic is being typed.
pub(super) fn argument(magic: &Invocation) -> Argument {
    match magic.name.as_str() {
        "!" | "run" | "writefile" | "load" => return Argument::Path(false),
        "cd" => return Argument::Path(true),
        "help" | "h" => {
            let names = magics::REGISTRY.iter().flat_map(|magic| magic.names());
            return Argument::Words(names.map(|name| (*name).to_owned()).collect());
        }
        "env" => {
            let mut names: Vec<String> =
                std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
            names.sort();
            return Argument::Words(names);
        }
        _ => {}
    }
    let Some(found) = magics::find(&magic.name) else { return Argument::Words(Vec::new()) };
    let typed = magic.arguments.rsplit(' ').next().unwrap_or_default();
    if text::looks_like_path(typed) {
        return Argument::Path(false);
    }
    let words = words_of(found.usage());
    if words.is_empty() && found.usage().contains("VARIABLE") {
        return Argument::Variable;
    }
    Argument::Words(words)
}

/// Literal words of a usage: flags and alternatives, not the names of placeholders.
fn words_of(usage: &str) -> Vec<String> {
    let mut found: Vec<String> = usage
        .split(|c: char| c.is_whitespace() || matches!(c, '[' | ']' | '|' | '(' | ')' | ','))
        .map(|word| word.split('=').next().unwrap_or_default())
        .filter(|word| {
            let bare = word.trim_start_matches('-');
            !bare.is_empty()
                && !word.starts_with(['%', ':', '!', '#', '/'])
                && bare
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        })
        .map(str::to_owned)
        .collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> String {
        match before(text) {
            Before::Rust(text) => format!("rust {text}"),
            Before::Name(typed) => format!("name {typed}"),
            Before::Arguments(magic) => format!("arguments of {}: {}", magic.name, magic.arguments),
            Before::Body(magic) => format!("body of {}", magic.name),
        }
    }

    #[test]
    fn the_cursor_is_in_rust_or_in_a_magic() {
        for (text, expected) in [
            ("let x = d", "rust let x = d"),
            ("%", "name %"),
            ("%ti", "name %ti"),
            ("%%", "name %%"),
            ("let a = 1;\n:de", "name :de"),
            ("%time df.", "rust df."),
            ("%%time\nlet a = b", "rust let a = b"),
            ("%who\nlet x", "rust let x"),
            ("%run no", "arguments of run: no"),
            ("%cd ", "arguments of cd: "),
            ("!ls dat", "arguments of !: ls dat"),
            ("%%bash\nls", "body of bash"),
            ("a\n%", "rust a\n%"),
        ] {
            assert_eq!(kind(text), expected, "{text}");
        }
    }

    #[test]
    fn names_have_the_marks_of_their_usage() {
        let found: Vec<&str> = names("%%b").into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, ["bash"]);
        assert!(names("%b").iter().all(|(name, _)| *name != "bash"));
        assert!(names(":de").iter().any(|(name, _)| *name == "dep"));
    }

    #[test]
    fn words_come_from_the_usage() {
        assert_eq!(words_of("%opt [0|1|2|3|auto]"), ["0", "1", "2", "3", "auto"]);
        assert_eq!(words_of("%timeit [-n LOOPS] [-r RUNS] EXPRESSION"), ["-n", "-r"]);
        assert_eq!(words_of("%timing on\n%timing off"), ["off", "on"]);
    }
}
