//! Strings.

use serde_json::{Map, Value as Json};

use super::Builder;
use super::keywords::count;
use super::list::bounds;
use crate::constrain::grammar::{Bytes, Grammar, Part};
use crate::error::Result;

impl Builder<'_> {
    pub(super) fn text(&mut self, object: &Map<String, Json>, at: &str) -> Result<usize> {
        let (least, most) = (count(object, "minLength", at)?, count(object, "maxLength", at)?);
        match (least.unwrap_or(0), most) {
            (0, None) => Ok(self.string()),
            (least, most) => self.bounded(least, most, at),
        }
    }

    fn bounded(&mut self, least: usize, most: Option<usize>, at: &str) -> Result<usize> {
        bounds(least, most, at)?;
        let character = self.character();
        let rest = self.repeat(character, least, most);
        let rule = self.grammar.rule();
        self.grammar.add(rule, vec![quote(), Part::Rule(rest), quote()]);
        Ok(rule)
    }

    pub(super) fn string(&mut self) -> usize {
        if let Some(rule) = self.text {
            return rule;
        }
        let character = self.character();
        let rest = self.repeat(character, 0, None);
        let rule = self.grammar.rule();
        self.grammar.add(rule, vec![quote(), Part::Rule(rest), quote()]);
        self.text = Some(rule);
        rule
    }

    /// One character of a string: UTF-8 or an escape.
    fn character(&mut self) -> usize {
        let rule = self.character_but(&[]);
        let backslash = Part::One(Bytes::of(b"\\"));
        let add = |grammar: &mut Grammar, parts: &[Part]| grammar.add(rule, parts.to_vec());
        add(&mut self.grammar, &[backslash, Part::One(Bytes::of(b"\"\\/bfnrt"))]);
        // \uXXXX outside the surrogates, which would need a partner.
        let hex = Part::One(Bytes::of(b"0123456789abcdefABCDEF"));
        let letter = Part::One(Bytes::of(b"u"));
        let first = Part::One(Bytes::of(b"0123456789abcefABCEF"));
        let low = Part::One(Bytes::of(b"01234567"));
        let d = Part::One(Bytes::of(b"dD"));
        add(&mut self.grammar, &[backslash, letter, first, hex, hex, hex]);
        add(&mut self.grammar, &[backslash, letter, d, low, hex, hex]);
        rule
    }

    /// One character as it is, not as an escape, that does not begin with one of these bytes.
    pub(super) fn character_but(&mut self, bytes: &[u8]) -> usize {
        let rule = self.grammar.rule();
        let first = |from, to| Part::One(Bytes::range(from, to).without(bytes));
        let one = |from, to| Part::One(Bytes::range(from, to));
        let more = one(0x80, 0xbf);
        let add = |grammar: &mut Grammar, parts: &[Part]| grammar.add(rule, parts.to_vec());
        let plain = Bytes::range(0x20, 0x7f).without(b"\"\\").without(bytes);
        add(&mut self.grammar, &[Part::One(plain)]);
        add(&mut self.grammar, &[first(0xc2, 0xdf), more]);
        add(&mut self.grammar, &[first(0xe0, 0xe0), one(0xa0, 0xbf), more]);
        add(&mut self.grammar, &[first(0xe1, 0xec), more, more]);
        add(&mut self.grammar, &[first(0xed, 0xed), one(0x80, 0x9f), more]);
        add(&mut self.grammar, &[first(0xee, 0xef), more, more]);
        add(&mut self.grammar, &[first(0xf0, 0xf0), one(0x90, 0xbf), more, more]);
        add(&mut self.grammar, &[first(0xf1, 0xf3), more, more, more]);
        add(&mut self.grammar, &[first(0xf4, 0xf4), one(0x80, 0x8f), more, more]);
        rule
    }

    /// Any characters and the closing quote.
    pub(super) fn up_to_the_quote(&mut self) -> usize {
        let character = self.character();
        let rest = self.repeat(character, 0, None);
        let rule = self.grammar.rule();
        self.grammar.add(rule, vec![Part::Rule(rest), quote()]);
        rule
    }
}

pub(super) fn quote() -> Part {
    Part::One(Bytes::of(b"\""))
}
