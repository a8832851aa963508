//! Cuts a cell into magics and Rust.
//!
//! [`split`] is pure. A line is a magic when it starts with `%`, `%%`, `!`, `:` or `//%` and a letter
//! and stands between whole statements; everything else is Rust. A chunk of Rust keeps its place: line
//! breaks stand for all lines before it, so that its line numbers are the cell's.

use super::scanner::Scanner;

/// A part of a cell, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Rust, with as many line breaks before it as there are lines before it in the cell.
    Rust(String),
    /// A magic.
    Magic(Invocation),
}

/// A magic as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Its name without marks: `time`, `dep`; `!` for a shell command.
    pub name: String,
    /// The rest of its line.
    pub arguments: String,
    /// The lines below a `%%magic`.
    pub body: Option<String>,
    /// Its line in the cell, from 0.
    pub line: usize,
    /// Where the arguments start in that line, in characters from 0.
    pub column: usize,
    /// How it was written: `%time`, `%%time`, `:dep`.
    pub spelling: String,
}

/// Cuts a cell. Joined again, the segments cover every line once.
#[must_use]
pub fn split(code: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut chunk = Chunk::new(0);
    let lines: Vec<&str> =
        code.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    for (index, line) in lines.iter().enumerate() {
        let magic =
            if chunk.scanner.is_between_statements() { invocation(line, index) } else { None };
        let Some(mut magic) = magic else {
            chunk.push(line);
            continue;
        };
        segments.extend(std::mem::replace(&mut chunk, Chunk::new(index + 1)).finish());
        if takes_rest(&magic) {
            magic.body = Some(lines[index + 1..].join("\n"));
            segments.push(Segment::Magic(magic));
            return segments;
        }
        segments.push(Segment::Magic(magic));
    }
    segments.extend(chunk.finish());
    segments
}

/// A `%%magic` takes the rest of the cell; a bare `%fmt` means the rest as well.
fn takes_rest(magic: &Invocation) -> bool {
    magic.spelling.trim_start_matches('/').starts_with("%%")
        || (magic.name == "fmt" && magic.arguments.is_empty())
}

/// Lines of Rust that follow each other.
struct Chunk {
    start: usize,
    lines: Vec<String>,
    scanner: Scanner,
}

impl Chunk {
    fn new(start: usize) -> Self {
        Self { start, lines: Vec::new(), scanner: Scanner::new() }
    }

    fn push(&mut self, line: &str) {
        self.scanner.line(line);
        self.lines.push(line.to_owned());
    }

    fn finish(self) -> Option<Segment> {
        let blank = self.lines.iter().all(|line| line.trim().is_empty());
        (!blank).then(|| Segment::Rust("\n".repeat(self.start) + &self.lines.join("\n")))
    }
}

fn invocation(line: &str, index: usize) -> Option<Invocation> {
    let text = line.trim_start();
    let (marks, name_at) = marks(text)?;
    let after = &text[name_at..];
    let (name, rest) = if marks == "!" {
        ("!", after)
    } else {
        let end = after
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
            .unwrap_or(after.len());
        after.split_at(end)
    };
    let arguments = rest.trim_start();
    let column = line.len() - arguments.len();
    let spelling = if marks == "!" { "!".to_owned() } else { format!("{marks}{name}") };
    Some(Invocation {
        name: name.to_owned(),
        arguments: arguments.trim_end().to_owned(),
        body: None,
        line: index,
        column: line[..column].chars().count(),
        spelling,
    })
}

/// The marks that a line starts with, and where the name begins; `None` when it is Rust.
fn marks(text: &str) -> Option<(&'static str, usize)> {
    for mark in ["//%%", "//%", "%%", "%", ":"] {
        if let Some(rest) = text.strip_prefix(mark) {
            return rest.starts_with(char::is_alphabetic).then_some((mark, mark.len()));
        }
    }
    let command = text.strip_prefix('!')?;
    is_command(command).then_some(("!", 1))
}

/// Whether what follows a `!` is a command rather than a Rust expression that is negated.
fn is_command(text: &str) -> bool {
    let text = text.trim_start();
    if !text.starts_with(|c: char| c.is_alphabetic() || matches!(c, '/' | '.' | '~' | '$')) {
        return false;
    }
    // `!done(x)`, `!list.is_empty()`, `!flags[0]`, `!a::b`: no command's name goes on like this.
    let name_end =
        text.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.'))).unwrap_or(text.len());
    let rest = &text[name_end..];
    !(rest.starts_with(['(', '[', '{']) || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The segments, written short: `R<text>` or `M<spelling>|<arguments>|<body>`.
    fn cut(code: &str) -> Vec<String> {
        split(code)
            .into_iter()
            .map(|segment| match segment {
                Segment::Rust(text) => format!("R{text}"),
                Segment::Magic(magic) => {
                    format!(
                        "M{}|{}|{}",
                        magic.spelling,
                        magic.arguments,
                        magic.body.unwrap_or_default()
                    )
                }
            })
            .collect()
    }

    #[test]
    fn plain_rust_is_one_chunk() {
        for code in ["1 + 1", "let x = 1;\nx", "fn f() {\n    1\n}", "// note\n\nx"] {
            assert_eq!(cut(code), [format!("R{code}")]);
        }
        assert!(cut("").is_empty());
        assert!(cut(" \n\n").is_empty());
    }

    #[test]
    fn line_magics_are_cut_out_and_line_numbers_stay() {
        assert_eq!(
            cut("%dep heck = \"0.5\"\nlet x = 1;\n%who\nx"),
            ["M%dep|heck = \"0.5\"|", "R\nlet x = 1;", "M%who||", "R\n\n\nx"]
        );
    }

    #[test]
    fn a_cell_magic_takes_the_rest() {
        assert_eq!(cut("%%bash\nls\n%who\n"), ["M%%bash||ls\n%who\n"]);
        assert_eq!(cut("let x = 1;\n%%time\nx"), ["Rlet x = 1;", "M%%time||x"]);
        assert_eq!(cut("%%capture text"), ["M%%capture|text|"]);
    }

    #[test]
    fn spellings_of_others_are_understood() {
        assert_eq!(cut(":dep heck = \"0.5\""), ["M:dep|heck = \"0.5\"|"]);
        assert_eq!(cut(":vars"), ["M:vars||"]);
        assert_eq!(cut("//%time x"), ["M//%time|x|"]);
        assert_eq!(cut("//%%html\n<b>"), ["M//%%html||<b>"]);
    }

    #[test]
    fn shell_commands_and_negations_are_told_apart() {
        assert_eq!(cut("!ls -l | wc"), ["M!|ls -l | wc|"]);
        assert_eq!(cut("!pwd; ls"), ["M!|pwd; ls|"]);
        assert_eq!(cut("! pip list"), ["M!|pip list|"]);
        assert_eq!(cut("!./run.sh (1)"), ["M!|./run.sh (1)|"]);
        assert_eq!(cut("!python3.11 -V"), ["M!|python3.11 -V|"]);
        for code in ["!list.is_empty()", "!done(x)", "!flags[0]", "!(a)", "!a::B", "!!x", "!=1"] {
            assert_eq!(cut(code), [format!("R{code}")], "{code}");
        }
    }

    #[test]
    fn marks_inside_rust_are_rust() {
        for code in [
            "let x = a\n% b;",
            "let x = a\n%b;",
            "let x = (a\n%b);",
            "let s = \"\n%who\n\";",
            "let s = r#\"\n%who\n!ls\n:dep a\n\"#;",
            "/*\n%who\n*/",
            "fn f() {\n    %who\n}",
            "vec![\n!a,\n!b,\n]",
            "let x\n:u8 = 1;",
            "::std::process::id()",
            "% who",
            "#[derive(Debug)]\n%who",
            "items\n!ls",
            "//! ls",
            "// %who",
            "match x {\n    1 => 2,\n    _ =>\n:a\n}",
            "println!(\n\"\n%who\")",
        ] {
            assert_eq!(cut(code), [format!("R{code}")], "{code}");
        }
    }

    #[test]
    fn magics_follow_finished_statements() {
        assert_eq!(cut("struct A { x: u8 }\n%who"), ["Rstruct A { x: u8 }", "M%who||"]);
        assert_eq!(cut("let c = '\"'; // note\n%who"), ["Rlet c = '\"'; // note", "M%who||"]);
        assert_eq!(cut("// only a comment\n%who"), ["R// only a comment", "M%who||"]);
        assert_eq!(cut("let a = '{';\n!ls"), ["Rlet a = '{';", "M!|ls|"]);
    }

    #[test]
    fn indentation_line_ends_and_places_are_kept() {
        let segments = split("  %time  f(1) \r\nx\r\n");
        let Segment::Magic(magic) = &segments[0] else { panic!("{segments:?}") };
        assert_eq!((magic.arguments.as_str(), magic.line, magic.column), ("f(1)", 0, 9));
        assert_eq!(segments[1], Segment::Rust("\nx\n".to_owned()));
        let Segment::Magic(magic) = &split("let x = 1;\n%ü ö")[1] else { panic!() };
        assert_eq!((magic.name.as_str(), magic.line, magic.column), ("ü", 1, 3));
    }

    #[test]
    fn a_bare_fmt_means_the_rest() {
        assert_eq!(cut("%fmt\nlet x=1;"), ["M%fmt||let x=1;"]);
        assert_eq!(cut("%fmt let x=1;\nx"), ["M%fmt|let x=1;|", "R\nx"]);
    }

    #[test]
    fn every_line_is_covered_once() {
        let code = "let a = 1;\n%who\n\n!ls\nfn f() {\n}\n%time a\na";
        let mut lines = 0;
        for segment in split(code) {
            lines += match segment {
                Segment::Rust(text) => text.trim_start_matches('\n').lines().count(),
                Segment::Magic(_) => 1,
            };
        }
        assert_eq!(lines, code.lines().filter(|line| !line.is_empty()).count());
    }
}
