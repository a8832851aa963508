//! What the user wrote after `%dep`: lines as in the dependencies of a `Cargo.toml`.
//!
//! Read by hand, because a line is also allowed to be only a name, and paths are made absolute.

use std::fmt;
use std::path::Path;

/// Keys that cargo knows in a dependency and that mean something here.
const KEYS: [&str; 10] = [
    "version",
    "features",
    "default-features",
    "path",
    "git",
    "branch",
    "tag",
    "rev",
    "package",
    "registry",
];

/// One dependency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    name: String,
    value: Value,
}

/// Why a line is not a dependency.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{line}` is not a dependency: {reason}")]
pub struct SpecError {
    line: String,
    reason: String,
}

/// The part of TOML that dependencies are written in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Text(String),
    Flag(bool),
    List(Vec<Value>),
    Table(Vec<(String, Value)>),
}

impl Dependency {
    /// Reads dependencies, one a line; `#` begins a comment, and a line `[dependencies]` says nothing.
    /// Relative paths start at `directory`.
    ///
    /// # Errors
    /// When a line is none.
    pub fn parse(text: &str, directory: &Path) -> Result<Vec<Self>, SpecError> {
        let mut found = Vec::new();
        for line in logical_lines(text) {
            if line.is_empty() || line == "[dependencies]" {
                continue;
            }
            let refuse = |reason: String| SpecError { line: line.clone(), reason };
            let mut dependency = Reader::new(&line).dependency().map_err(refuse)?;
            dependency.check().map_err(refuse)?;
            dependency.make_paths_absolute(directory);
            found.push(dependency);
        }
        Ok(found)
    }

    /// Its name, as cells use it but for `-`, which is `_` in Rust.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name as a crate.
    #[must_use]
    pub fn crate_name(&self) -> String {
        self.name.replace('-', "_")
    }

    /// The folder it lies in, if it is not fetched.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        let Value::Table(pairs) = &self.value else { return None };
        pairs.iter().find_map(|(key, value)| match value {
            Value::Text(path) if key == "path" => Some(Path::new(path.as_str())),
            _ => None,
        })
    }

    /// The same at exactly this version, with these features besides its own.
    pub(super) fn pinned(&self, version: &str, features: &[String]) -> Self {
        let exact = ("version".to_owned(), Value::Text(format!("={version}")));
        let mut pairs = match &self.value {
            Value::Table(pairs) => pairs.clone(),
            _ => Vec::new(),
        };
        pairs.retain(|(key, _)| key != "version");
        pairs.insert(0, exact);
        let own = pairs.iter().position(|(key, _)| key == "features").map(|at| pairs.remove(at).1);
        let mut all = match own {
            Some(Value::List(own)) => own,
            _ => Vec::new(),
        };
        for feature in features.iter().map(|feature| Value::Text(feature.clone())) {
            if !all.contains(&feature) {
                all.push(feature);
            }
        }
        pairs.push(("features".to_owned(), Value::List(all)));
        Self { name: self.name.clone(), value: Value::Table(pairs) }
    }

    fn check(&self) -> Result<(), String> {
        let mut characters = self.name.chars();
        let starts_well = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
        if !starts_well || !characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') {
            return Err(format!("`{}` cannot be the name of a crate", self.name));
        }
        match &self.value {
            Value::Text(_) => Ok(()),
            Value::Table(pairs) => {
                match pairs.iter().find(|(key, _)| !KEYS.contains(&key.as_str())) {
                    Some((key, _)) => {
                        Err(format!("there is no key `{key}`; there are {}", KEYS.join(", ")))
                    }
                    None => Ok(()),
                }
            }
            _ => Err("a version in quotes or a table in braces is expected".to_owned()),
        }
    }

    fn make_paths_absolute(&mut self, directory: &Path) {
        let Value::Table(pairs) = &mut self.value else { return };
        for (key, value) in pairs {
            if let (true, Value::Text(path)) = (key == "path", value) {
                let absolute = directory.join(&*path);
                *path = absolute.canonicalize().unwrap_or(absolute).to_string_lossy().into_owned();
            }
        }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.name, self.value)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // JSON's strings are TOML's, but for DEL, which neither a path nor a version has.
            Self::Text(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(values) => {
                let values: Vec<String> = values.iter().map(ToString::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
            Self::Table(pairs) => {
                let pairs: Vec<String> =
                    pairs.iter().map(|(key, value)| format!("{key} = {value}")).collect();
                write!(f, "{{ {} }}", pairs.join(", "))
            }
        }
    }
}

/// Lines without comments; one with open brackets goes on in the next.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut depth = 0_i32;
    for physical in text.lines() {
        let mut quote = None;
        for character in physical.chars() {
            match (quote, character) {
                (None, '#') => break,
                (None, '"' | '\'') => quote = Some(character),
                (Some(open), _) if open == character => quote = None,
                (None, '{' | '[') => depth += 1,
                (None, '}' | ']') => depth -= 1,
                _ => {}
            }
            line.push(character);
        }
        if depth <= 0 {
            lines.push(std::mem::take(&mut line).trim().to_owned());
            depth = 0;
        } else {
            line.push(' ');
        }
    }
    lines.extend((!line.trim().is_empty()).then(|| line.trim().to_owned()));
    lines
}

/// Reads a dependency from left to right.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    fn dependency(mut self) -> Result<Dependency, String> {
        let name = self.key()?;
        self.space();
        let value = if self.rest.is_empty() {
            Value::Text("*".to_owned())
        } else {
            self.expect('=')?;
            self.value()?
        };
        self.space();
        if self.rest.is_empty() {
            Ok(Dependency { name, value })
        } else {
            Err(format!("`{}` is too much", self.rest))
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        self.space();
        match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => Ok(Value::Text(self.text(quote)?)),
            Some('[') => Ok(Value::List(self.sequence('[', ']', Self::value)?)),
            Some('{') => Ok(Value::Table(self.sequence('{', '}', Self::pair)?)),
            _ => match self.key()?.as_str() {
                "true" => Ok(Value::Flag(true)),
                "false" => Ok(Value::Flag(false)),
                other => Err(format!("`{other}` is neither in quotes nor true or false")),
            },
        }
    }

    fn pair(&mut self) -> Result<(String, Value), String> {
        let key = self.key()?;
        self.expect('=')?;
        // Cargo's old spelling.
        let key = if key == "default_features" { "default-features".to_owned() } else { key };
        Ok((key, self.value()?))
    }

    fn sequence<T>(
        &mut self,
        open: char,
        close: char,
        mut item: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        self.expect(open)?;
        let mut items = Vec::new();
        loop {
            self.space();
            if self.take(close) {
                return Ok(items);
            }
            items.push(item(self)?);
            self.space();
            if !self.take(',') {
                self.expect(close)?;
                return Ok(items);
            }
        }
    }

    fn text(&mut self, quote: char) -> Result<String, String> {
        self.expect(quote)?;
        let mut text = String::new();
        let mut characters = self.rest.char_indices();
        while let Some((index, character)) = characters.next() {
            match character {
                _ if character == quote => {
                    self.rest = &self.rest[index + 1..];
                    return Ok(text);
                }
                '\\' if quote == '"' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                    _ => {
                        return Err(
                            "only \\\" and \\\\ are understood after a backslash".to_owned()
                        );
                    }
                },
                _ => text.push(character),
            }
        }
        Err(format!("a {quote} is missing"))
    }

    fn key(&mut self) -> Result<String, String> {
        self.space();
        let end = self
            .rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
            .unwrap_or(self.rest.len());
        if end == 0 {
            return Err(match self.rest.chars().next() {
                Some(found) => format!("a name is expected where `{found}` stands"),
                None => "it ends too early".to_owned(),
            });
        }
        let (key, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(key.to_owned())
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.rest.strip_prefix(wanted);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        self.space();
        if self.take(wanted) {
            return Ok(());
        }
        match self.rest.chars().next() {
            Some(found) => Err(format!("`{wanted}` is expected where `{found}` stands")),
            None => Err(format!("`{wanted}` is missing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<String>, String> {
        Dependency::parse(text, Path::new("/home/me"))
            .map(|found| found.iter().map(ToString::to_string).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn dependencies_are_read_as_cargo_reads_them() {
        for (text, canonical) in [
            ("heck = \"0.5\"", "heck = \"0.5\""),
            ("heck='0.5' # case", "heck = \"0.5\""),
            ("heck", "heck = \"*\""),
            (
                "a = {version=\"1\",features=[\"x\",'y',],}",
                "a = { version = \"1\", features = [\"x\", \"y\"] }",
            ),
            (
                "a = { git = \"https://x/#y\", default_features = false }",
                "a = { git = \"https://x/#y\", default-features = false }",
            ),
            ("a = { path = \"../lib\" }", "a = { path = \"/home/me/../lib\" }"),
            ("a = { path = \"/no/lib\" }", "a = { path = \"/no/lib\" }"),
        ] {
            assert_eq!(parse(text), Ok(vec![canonical.to_owned()]), "{text}");
        }
    }

    #[test]
    fn several_lines_make_several_dependencies() {
        let text = "[dependencies]\n# crates\nheck = \"0.5\"\n\nserde_with = { version = \"3\",\n  features = [\n  \"json\",\n] }\n";
        let expected =
            ["heck = \"0.5\"", "serde_with = { version = \"3\", features = [\"json\"] }"];
        assert_eq!(parse(text), Ok(expected.map(str::to_owned).to_vec()));
        assert_eq!(parse("\n # nothing\n"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_dependency_is_named() {
        for (text, part) in [
            ("heck = 0.5", "`0`"),
            ("heck = \"0.5", "missing"),
            ("heck = { version = \"1\"", "`}` is missing"),
            ("heck \"0.5\"", "`=` is expected where `\"` stands"),
            ("heck = { verison = \"1\" }", "no key `verison`"),
            ("heck = true", "quotes"),
            ("1heck = \"1\"", "name of a crate"),
            ("heck = \"1\" \"2\"", "too much"),
            ("heck = { features = [\"a\" \"b\"] }", "`]` is expected"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn a_crate_is_named_as_rust_names_it() {
        let found =
            Dependency::parse("serde-with = { path = \"/x\" }", Path::new("/")).expect("read");
        assert_eq!((found[0].name(), found[0].crate_name().as_str()), ("serde-with", "serde_with"));
        assert_eq!(found[0].path(), Some(Path::new("/x")));
    }
}
