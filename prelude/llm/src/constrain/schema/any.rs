//! Any JSON at all.

use super::{Builder, literal};
use crate::constrain::grammar::Part;

impl Builder<'_> {
    pub(super) fn anything(&mut self) -> usize {
        if let Some(rule) = self.any {
            return rule;
        }
        let rule = self.grammar.rule();
        self.any = Some(rule);
        let (string, number) = (self.string(), self.any_number(true));
        for text in [&b"true"[..], b"false", b"null", b"[]", b"{}"] {
            self.grammar.add(rule, literal(text));
        }
        for part in [string, number] {
            self.grammar.add(rule, vec![Part::Rule(part)]);
        }
        let (comma, colon) = (self.comma(), self.colon());
        for (open, item, close) in [
            (b"[", vec![Part::Rule(rule)], b"]"),
            (b"{", [vec![Part::Rule(string)], colon, vec![Part::Rule(rule)]].concat(), b"}"),
        ] {
            let more = self.grammar.rule();
            self.grammar.add(more, literal(close));
            self.grammar.add(more, [comma.clone(), item.clone(), vec![Part::Rule(more)]].concat());
            self.grammar.add(rule, [literal(open), item, vec![Part::Rule(more)]].concat());
        }
        rule
    }
}
