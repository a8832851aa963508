//! evcxr's text protocol on standard output: rich values and questions of crates made for evcxr.
//!
//! `EVCXR_BEGIN_CONTENT mime`, lines of content, `EVCXR_END_CONTENT`; several contents in a row, of
//! different types, are one value. `EVCXR_INPUT_REQUEST:prompt` comes before a read of standard input.

use std::mem;

use oxilab_protocol::MimeBundle;
use serde_json::Value;

const MARK: &str = "EVCXR_";
const BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
const END: &str = "EVCXR_END_CONTENT";
const PROMPT: &str = "EVCXR_INPUT_REQUEST:";
const PASSWORD: &str = "EVCXR_INPUT_REQUEST_PASSWORD:";
/// More is no value but a mistake, and is shown as text.
const LARGEST: usize = 256 << 20;

/// A piece of standard output.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Display(MimeBundle),
    /// The prompt of the input request that follows, and whether it asks for a password.
    Prompt(String, bool),
}

/// Takes the protocol out of the text.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// Text that may be the beginning of a mark.
    held: String,
    /// The content that is open: its type, and the text up to now.
    open: Option<(String, String)>,
    /// Contents that may go on with another type.
    bundle: Option<MimeBundle>,
}

impl Parser {
    /// Adds text, returns what is complete.
    pub(super) fn feed(&mut self, text: &str, pieces: &mut Vec<Piece>) {
        let joined = mem::take(&mut self.held) + text;
        let mut rest = joined.as_str();
        while !rest.is_empty() {
            rest = if self.open.is_some() {
                self.content(rest, pieces)
            } else {
                self.text(rest, pieces)
            };
        }
    }

    /// What is held back for a short while: contents that might go on, a text like `EV`.
    pub(super) fn settle(&mut self, pieces: &mut Vec<Piece>) {
        self.close_bundle(pieces);
        if self.open.is_none() && !self.held.starts_with(MARK) {
            push(pieces, &mem::take(&mut self.held));
        }
    }

    /// Nothing comes any more: unfinished marks and contents are text.
    pub(super) fn finish(&mut self, pieces: &mut Vec<Piece>) {
        self.settle(pieces);
        if let Some((mime, mut content)) = self.open.take() {
            // The last line of a process may lack its line break.
            if content.strip_suffix(END).is_some_and(|text| text.is_empty() || text.ends_with('\n'))
            {
                content.truncate((content.len() - END.len()).saturating_sub(1));
                self.add(&mime, content, pieces);
                self.close_bundle(pieces);
                return;
            }
            push(pieces, &format!("{BEGIN}{mime}\n{content}"));
        }
        push(pieces, &mem::take(&mut self.held));
    }

    /// Outside of a content; returns what is left to parse.
    fn text<'a>(&mut self, text: &'a str, pieces: &mut Vec<Piece>) -> &'a str {
        let Some(start) = text.find(MARK) else {
            let keep = beginning_of_a_mark(text);
            let (sure, held) = text.split_at(text.len() - keep);
            self.plain(sure, pieces);
            held.clone_into(&mut self.held);
            return "";
        };
        self.plain(&text[..start], pieces);
        let rest = &text[start..];
        let Some(end) = rest.find('\n') else {
            if [BEGIN, PROMPT, PASSWORD]
                .iter()
                .any(|mark| rest.starts_with(mark) || mark.starts_with(rest))
            {
                rest.clone_into(&mut self.held);
                return "";
            }
            self.plain(MARK, pieces);
            return &rest[MARK.len()..];
        };
        let line = rest[..end].trim_end_matches('\r');
        if let Some(mime) = line.strip_prefix(BEGIN) {
            self.open = Some((mime.trim().to_owned(), String::new()));
        } else if let Some(prompt) = line.strip_prefix(PROMPT) {
            self.close_bundle(pieces);
            pieces.push(Piece::Prompt(prompt.to_owned(), false));
        } else if let Some(prompt) = line.strip_prefix(PASSWORD) {
            self.close_bundle(pieces);
            pieces.push(Piece::Prompt(prompt.to_owned(), true));
        } else {
            self.plain(&rest[..=end], pieces);
        }
        &rest[end + 1..]
    }

    /// Inside a content; returns what is left to parse.
    fn content<'a>(&mut self, text: &'a str, pieces: &mut Vec<Piece>) -> &'a str {
        let Some((mime, content)) = self.open.as_mut() else { return text };
        // The mark may have begun in an earlier read; it counts when its line is complete.
        let mut from = content.len().saturating_sub(END.len() + 2);
        while !content.is_char_boundary(from) {
            from -= 1;
        }
        content.push_str(text);
        let found =
            content[from..].match_indices(END).map(|(index, _)| from + index).find_map(|start| {
                let begins_a_line = start == 0 || content.as_bytes()[start - 1] == b'\n';
                let behind = &content[start + END.len()..];
                let ends_a_line = if behind.starts_with('\n') {
                    Some(1)
                } else if behind.starts_with("\r\n") {
                    Some(2)
                } else {
                    None
                };
                ends_a_line.filter(|_| begins_a_line).map(|length| (start, behind.len() - length))
            });
        if let Some((start, left)) = found {
            content.truncate(start.saturating_sub(1));
            let (mime, content) = (mem::take(mime), mem::take(content));
            self.open = None;
            self.add(&mime, content, pieces);
            return &text[text.len() - left..];
        }
        if content.len() > LARGEST {
            let (mime, content) = (mem::take(mime), mem::take(content));
            self.open = None;
            self.plain(&format!("{BEGIN}{mime}\n{content}"), pieces);
        }
        ""
    }

    fn add(&mut self, mime: &str, content: String, pieces: &mut Vec<Piece>) {
        if self.bundle.as_ref().is_some_and(|bundle| bundle.data.contains_key(mime)) {
            self.close_bundle(pieces);
        }
        let json = mime == "application/json" || mime.ends_with("+json");
        let value = if json {
            serde_json::from_str(&content).unwrap_or(Value::String(content))
        } else if mime.starts_with("image/") && mime != "image/svg+xml" {
            Value::String(content.trim().to_owned())
        } else {
            Value::String(content)
        };
        let mut bundle = self.bundle.take().unwrap_or(MimeBundle {
            data: serde_json::Map::new(),
            metadata: serde_json::Map::new(),
        });
        bundle.data.insert(mime.to_owned(), value);
        self.bundle = Some(bundle);
    }

    fn plain(&mut self, text: &str, pieces: &mut Vec<Piece>) {
        if !text.is_empty() {
            self.close_bundle(pieces);
            push(pieces, text);
        }
    }

    /// Every bundle holds text/plain, also of crates that give none.
    fn close_bundle(&mut self, pieces: &mut Vec<Piece>) {
        if let Some(mut bundle) = self.bundle.take() {
            if !bundle.data.contains_key("text/plain") {
                let types: Vec<&str> = bundle.data.keys().map(String::as_str).collect();
                bundle = bundle.clone().with("text/plain", format!("[{}]", types.join(", ")));
            }
            pieces.push(Piece::Display(bundle));
        }
    }
}

fn push(pieces: &mut Vec<Piece>, text: &str) {
    if text.is_empty() {
        return;
    }
    if let Some(Piece::Text(last)) = pieces.last_mut() {
        last.push_str(text);
    } else {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

/// How many bytes at the end of a text are the beginning of [`MARK`].
fn beginning_of_a_mark(text: &str) -> usize {
    (1..MARK.len()).rev().find(|length| text.ends_with(&MARK[..*length])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "before\nEVCXR_BEGIN_CONTENT text/html\n<b>é</b>\n<i>EVCXR_END_CONTENT</i>\nEVCXR_END_CONTENT\nEVCXR_BEGIN_CONTENT text/plain\nbold\nEVCXR_END_CONTENT\nEVCXR_BEGIN_CONTENT image/png\nAAAA\nEVCXR_END_CONTENT\nEVCXR_BEGIN_CONTENT image/png\nBBBB\nEVCXR_END_CONTENT\nafter EVCXR_X\nEVCXR_INPUT_REQUEST_PASSWORD:key? \nEV";

    fn parse(chunks: &[&str]) -> Vec<Piece> {
        let mut parser = Parser::default();
        let mut pieces = Vec::new();
        for chunk in chunks {
            parser.feed(chunk, &mut pieces);
        }
        parser.finish(&mut pieces);
        let mut joined: Vec<Piece> = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => push(&mut joined, &text),
                other => joined.push(other),
            }
        }
        joined
    }

    #[test]
    fn contents_in_a_row_are_one_value_wherever_the_reads_are_cut() {
        let whole = parse(&[OUTPUT]);
        let [
            Piece::Text(before),
            Piece::Display(first),
            Piece::Display(second),
            Piece::Text(after),
            Piece::Prompt(prompt, true),
            Piece::Text(end),
        ] = whole.as_slice()
        else {
            panic!("{whole:#?}")
        };
        assert_eq!((before.as_str(), after.as_str()), ("before\n", "after EVCXR_X\n"));
        assert_eq!(first.data["text/html"], "<b>é</b>\n<i>EVCXR_END_CONTENT</i>");
        assert_eq!((first.plain(), &first.data["image/png"]), ("bold", &Value::from("AAAA")));
        assert_eq!(second.plain(), "[image/png]");
        assert_eq!((prompt.as_str(), end.as_str()), ("key? ", "EV"));
        for cut in (0..=OUTPUT.len()).filter(|cut| OUTPUT.is_char_boundary(*cut)) {
            let (one, two) = OUTPUT.split_at(cut);
            assert_eq!(parse(&[one, two]), whole, "cut at {cut}");
        }
        let letters: Vec<&str> = OUTPUT.split_inclusive(|_: char| true).collect();
        assert_eq!(parse(&letters), whole);
    }

    #[test]
    fn json_is_json_and_empty_and_unfinished_contents_are_no_harm() {
        let pieces = parse(&[
            "EVCXR_BEGIN_CONTENT application/vnd.vegalite.v5+json\n{\"a\":1}\nEVCXR_END_CONTENT\n",
            "EVCXR_BEGIN_CONTENT text/plain\nEVCXR_END_CONTENT\nEVCXR_BEGIN_CONTENT text/html\n<b>",
        ]);
        let [Piece::Display(bundle), Piece::Text(rest)] = pieces.as_slice() else {
            panic!("{pieces:#?}")
        };
        assert_eq!(bundle.data["application/vnd.vegalite.v5+json"]["a"], 1);
        assert_eq!(bundle.data["text/plain"], "");
        assert_eq!(rest, "EVCXR_BEGIN_CONTENT text/html\n<b>");
    }

    #[test]
    fn ordinary_text_is_not_held_back_for_long() {
        let mut parser = Parser::default();
        let mut pieces = Vec::new();
        parser.feed("name: E", &mut pieces);
        assert_eq!(pieces, [Piece::Text("name: ".into())]);
        parser.settle(&mut pieces);
        assert_eq!(pieces, [Piece::Text("name: E".into())]);
    }
}
