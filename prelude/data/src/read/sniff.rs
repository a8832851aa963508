//! What a sample of text says about its dialect: separator, header, decimal comma.

use super::infer::{Kind, kind};

/// How a text table is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dialect {
    pub separator: u8,
    pub header: bool,
    pub decimal_comma: bool,
}

const SEPARATORS: [u8; 4] = *b",;\t|";

/// Guesses the dialect from whole lines of text.
pub(super) fn sniff(sample: &str, separator: Option<u8>, header: Option<bool>) -> Dialect {
    let separator = separator.unwrap_or_else(|| best_separator(sample));
    let rows: Vec<Vec<String>> =
        Records::new(sample, separator).take(200).map(|(_, row)| row).collect();
    Dialect {
        separator,
        header: header.unwrap_or_else(|| has_header(&rows)),
        decimal_comma: separator != b',' && decimal_comma(&rows),
    }
}

/// The separator that cuts the most rows into the same number (above one) of fields.
fn best_separator(sample: &str) -> u8 {
    let score = |separator: u8| {
        let counts: Vec<usize> =
            Records::new(sample, separator).take(50).map(|(_, row)| row.len()).collect();
        let Some(first) = counts.first().copied().filter(|count| *count > 1) else { return (0, 0) };
        let same = counts.iter().filter(|count| **count == first).count();
        (same * 100 / counts.len(), first)
    };
    // `max_by_key` takes the last of equals; reversed, that is the comma.
    SEPARATORS.into_iter().rev().max_by_key(|separator| score(*separator)).unwrap_or(b',')
}

/// The first row is a header unless it is of the same kind as the rows below it.
fn has_header(rows: &[Vec<String>]) -> bool {
    let Some((first, below)) = rows.split_first() else { return true };
    if below.is_empty() {
        return !first.iter().any(|field| matches!(kind(field), Kind::Number | Kind::Date));
    }
    let years: Vec<i32> = first.iter().filter_map(|field| field.parse().ok()).collect();
    if years.len() > 1
        && years.windows(2).all(|pair| pair[0] < pair[1])
        && (1000..3000).contains(&years[0])
    {
        return true;
    }
    let mut typed = false;
    for (column, field) in first.iter().enumerate() {
        let own = kind(field);
        let kinds = below.iter().filter_map(|row| row.get(column)).map(|field| kind(field));
        let mut others = kinds.filter(|kind| *kind != Kind::Missing).peekable();
        if others.peek().is_none() {
            continue;
        }
        let same = others.all(|other| other == own);
        match own {
            Kind::Number | Kind::Date if same => typed = true,
            Kind::Text if same => {}
            _ => return true,
        }
    }
    !typed
}

/// Whether numbers are written `1,5`: some field is so, none is written `1.5`.
fn decimal_comma(rows: &[Vec<String>]) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = |field: &str, mark: char| {
        let field = field.trim().trim_start_matches(['-', '+']);
        field.split_once(mark).is_some_and(|(whole, rest)| digits(whole) && digits(rest))
    };
    let any = |mark| rows.iter().flatten().any(|field| parts(field, mark));
    any(',') && !any('.')
}

/// The records of a text with the line each starts at, quotes respected.
pub(super) struct Records<'a> {
    text: &'a str,
    separator: u8,
    line: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(text: &'a str, separator: u8) -> Self {
        Self { text, separator, line: 1 }
    }
}

impl Iterator for Records<'_> {
    type Item = (usize, Vec<String>);

    fn next(&mut self) -> Option<Self::Item> {
        // Blank lines are no records.
        while let Some(rest) =
            self.text.strip_prefix("\r\n").or_else(|| self.text.strip_prefix('\n'))
        {
            self.text = rest;
            self.line += 1;
        }
        if self.text.is_empty() {
            return None;
        }
        let start = self.line;
        let bytes = self.text.as_bytes();
        let (mut fields, mut field, mut quoted) = (Vec::new(), Vec::new(), false);
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            match byte {
                b'"' if quoted && bytes.get(at) == Some(&b'"') => {
                    field.push(b'"');
                    at += 1;
                }
                b'"' if quoted => quoted = false,
                b'"' if field.is_empty() => quoted = true,
                b'\n' => {
                    self.line += 1;
                    if !quoted {
                        break;
                    }
                    field.push(byte);
                }
                b'\r' if !quoted && bytes.get(at) == Some(&b'\n') => {}
                _ if byte == self.separator && !quoted => fields.push(take(&mut field)),
                _ => field.push(byte),
            }
        }
        fields.push(take(&mut field));
        self.text = &self.text[at..];
        Some((start, fields))
    }
}

fn take(field: &mut Vec<u8>) -> String {
    String::from_utf8_lossy(&std::mem::take(field)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects_are_told_apart() {
        let dialect = sniff("a;b\n1,5;x\n2,5;y\n", None, None);
        assert_eq!(dialect, Dialect { separator: b';', header: true, decimal_comma: true });
        let dialect = sniff("1\t2\n3\t4\n", None, None);
        assert_eq!(dialect, Dialect { separator: b'\t', header: false, decimal_comma: false });
        let dialect = sniff("name,text\n\"a, b; c; d\",\"x; y\"\n", None, None);
        assert_eq!(dialect, Dialect { separator: b',', header: true, decimal_comma: false });
        assert!(sniff("country,1990,1991\nPeru,1,2\n", None, None).header);
        assert!(!sniff("2024-01-01,a\n2024-01-02,b\n", None, None).header);
        assert!(sniff("x\nlonely\n", None, None).header);
        // A separator asked for is kept.
        assert_eq!(sniff("a,b|c\n", Some(b'|'), None).separator, b'|');
    }

    #[test]
    fn records_know_their_line() {
        let text = "a,b\r\n\"two\nlines\",\"say \"\"x\"\"\"\n\nlast,1";
        let records: Vec<_> = Records::new(text, b',').collect();
        assert_eq!(records[1], (2, vec!["two\nlines".to_owned(), "say \"x\"".to_owned()]));
        assert_eq!(records[2], (5, vec!["last".to_owned(), "1".to_owned()]));
    }
}
