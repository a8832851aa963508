//! Choices among texts that are written out.

use super::{Builder, literal};
use crate::constrain::grammar::Part;

/// Places where texts part that are followed into each other; beyond them texts stand side by side.
const DEEPEST: usize = 200;

impl Builder<'_> {
    /// One of these texts. They branch where they part: side by side, thousands would be followed at once.
    pub(super) fn one_text_of(&mut self, mut texts: Vec<String>) -> usize {
        texts.sort_unstable();
        texts.dedup();
        let texts: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
        self.branch(&texts, 0)
    }

    /// Texts in order, each once.
    fn branch(&mut self, texts: &[&[u8]], depth: usize) -> usize {
        let rule = self.grammar.rule();
        for same in texts.chunk_by(|a, b| a.first() == b.first()) {
            if same.len() == 1 || depth == DEEPEST {
                for text in same {
                    self.grammar.add(rule, literal(text));
                }
                continue;
            }
            // In order, the first and the last have in common what all have.
            let (first, last) = (same[0], same[same.len() - 1]);
            let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
            let rests: Vec<&[u8]> = same.iter().map(|text| &text[common..]).collect();
            let rest = self.branch(&rests, depth + 1);
            let mut parts = literal(&first[..common]);
            parts.push(Part::Rule(rest));
            self.grammar.add(rule, parts);
        }
        rule
    }
}
