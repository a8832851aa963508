//! Completion and inspection from what the session knows: variables, items, magics, keywords.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use oxilab_protocol::MimeBundle;

use super::state::State;
use crate::cell::ItemKind;
use crate::diagnostics::paths::shorten;
use crate::magics;
use crate::server::handler::{Completion, Completions};

/// What can be completed and inspected, as of the end of the last cell.
#[derive(Debug, Default)]
pub(crate) struct Assist {
    known: Mutex<BTreeMap<String, Known>>,
}

#[derive(Clone, Debug)]
struct Known {
    kind: &'static str,
    signature: String,
    source: Option<String>,
}

const KEYWORDS: &[&str] = &[
    "as", "async", "await", "break", "const", "continue", "else", "enum", "false", "fn", "for",
    "if", "impl", "in", "let", "loop", "match", "mod", "move", "mut", "pub", "ref", "return",
    "self", "static", "struct", "trait", "true", "type", "unsafe", "use", "where", "while",
];

impl Assist {
    /// Takes over the state after a cell.
    pub(crate) fn update(&self, state: &State) {
        let mut known = BTreeMap::new();
        for piece in state.items.pieces() {
            let kind = match piece.item.kind {
                ItemKind::Function => "function",
                ItemKind::Type => "struct",
                ItemKind::Trait { .. } => "interface",
                ItemKind::Constant | ItemKind::Static => "constant",
                ItemKind::Module => "module",
                ItemKind::Macro => "macro",
                ItemKind::Impl { .. } | ItemKind::Use { .. } | ItemKind::Made => continue,
            };
            let source = piece.text[piece.item.range.clone()].to_owned();
            let signature = source.split('{').next().unwrap_or_default().trim().to_owned();
            for name in &piece.item.names {
                known.insert(
                    name.clone(),
                    Known { kind, signature: signature.clone(), source: Some(source.clone()) },
                );
            }
        }
        for (name, variable) in &state.variables {
            let signature = shorten(&variable.type_text);
            known.insert(name.clone(), Known { kind: "variable", signature, source: None });
        }
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    /// Completions at a cursor in code points.
    #[must_use]
    pub(crate) fn complete(&self, code: &str, cursor: usize) -> Completions {
        let (start, word) = word_before(code, cursor);
        let line_start = code
            .chars()
            .take(start)
            .collect::<Vec<_>>()
            .iter()
            .rposition(|c| *c == '\n')
            .map_or(0, |at| at + 1);
        let prefix: String = code.chars().skip(line_start).take(start - line_start).collect();
        let mut items = Vec::new();
        if matches!(prefix.trim(), "%" | "%%" | ":") {
            let marks = prefix.trim();
            let spellings = magics::spellings();
            let names = spellings.iter().filter_map(|spelling| {
                spelling.strip_prefix(if marks == ":" { "%" } else { marks })
            });
            for name in names.filter(|name| name.starts_with(&word) && !name.starts_with('%')) {
                items.push(Completion {
                    text: name.to_owned(),
                    kind: "magic".to_owned(),
                    signature: String::new(),
                });
            }
            return Completions { start, end: start + word.chars().count(), items };
        }
        // Behind a dot or a path stand members, which only the type knows.
        if !prefix.ends_with('.') && !prefix.ends_with("::") {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            for (name, entry) in known.iter().filter(|(name, _)| name.starts_with(&word)) {
                items.push(Completion {
                    text: name.clone(),
                    kind: entry.kind.to_owned(),
                    signature: entry.signature.clone(),
                });
            }
            if !word.is_empty() {
                for keyword in KEYWORDS.iter().filter(|keyword| keyword.starts_with(&word)) {
                    items.push(Completion {
                        text: (*keyword).to_owned(),
                        kind: "keyword".to_owned(),
                        signature: String::new(),
                    });
                }
            }
        }
        Completions { start, end: start + word.chars().count(), items }
    }

    /// What is known of the name at a cursor.
    #[must_use]
    pub(crate) fn inspect(&self, code: &str, cursor: usize, detail: u8) -> Option<MimeBundle> {
        let chars: Vec<char> = code.chars().collect();
        let mut end = cursor.min(chars.len());
        while chars.get(end).is_some_and(|c| is_word(*c)) {
            end += 1;
        }
        let (_, word) = word_before(code, end);
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = known.get(&word)?;
        let body = match (&entry.source, detail) {
            (Some(source), 1..) => source.clone(),
            (_, _) if entry.kind == "variable" => format!("{word}: {}", entry.signature),
            _ => entry.signature.clone(),
        };
        Some(MimeBundle::text(body.clone()).with("text/markdown", format!("```rust\n{body}\n```")))
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The word that ends at a cursor, and where it starts; code points.
fn word_before(code: &str, cursor: usize) -> (usize, String) {
    let chars: Vec<char> = code.chars().take(cursor).collect();
    let start = chars.iter().rposition(|c| !is_word(*c)).map_or(0, |at| at + 1);
    (start, chars[start..].iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_count_code_points() {
        assert_eq!(word_before("let é = ab", 10), (8, "ab".to_owned()));
        assert_eq!(word_before("", 0), (0, String::new()));
        assert_eq!(word_before("x", 99), (0, "x".to_owned()));
    }

    #[test]
    fn magics_are_completed_behind_their_marks() {
        let completions = Assist::default().complete("%wh", 3);
        assert!(completions.items.iter().any(|item| item.text == "who"), "{completions:?}");
        assert_eq!((completions.start, completions.end), (1, 3));
    }
}
