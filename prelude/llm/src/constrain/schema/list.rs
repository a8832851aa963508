//! Arrays, and repetition.

use serde_json::{Map, Value as Json};

use super::Builder;
use super::keywords::{count, unfit};
use super::literal;
use crate::constrain::grammar::Part;
use crate::error::Result;

impl<'a> Builder<'a> {
    pub(super) fn array(&mut self, object: &'a Map<String, Json>, at: &str) -> Result<usize> {
        let (least, most) = (count(object, "minItems", at)?, count(object, "maxItems", at)?);
        let item = match object.get("items") {
            Some(items) => self.value(items, &format!("{at}/items"))?,
            None => self.anything(),
        };
        self.list(item, least.unwrap_or(0), most, at)
    }

    fn list(&mut self, item: usize, least: usize, most: Option<usize>, at: &str) -> Result<usize> {
        bounds(least, most, at)?;
        let separated = self.grammar.rule();
        let mut parts = self.comma();
        parts.push(Part::Rule(item));
        self.grammar.add(separated, parts);
        let close = self.literal(b"]");
        let rule = self.grammar.rule();
        if least == 0 {
            self.grammar.add(rule, literal(b"[]"));
        }
        if most != Some(0) {
            let less = |n: usize| n.saturating_sub(1);
            let rest = self.repeat(separated, less(least), most.map(less));
            let mut parts = literal(b"[");
            parts.extend([Part::Rule(item), Part::Rule(rest), Part::Rule(close)]);
            self.grammar.add(rule, parts);
        }
        Ok(rule)
    }

    /// `least` to `most` times a rule.
    pub(super) fn repeat(&mut self, item: usize, least: usize, most: Option<usize>) -> usize {
        let mut rest = self.grammar.rule();
        self.grammar.add(rest, Vec::new());
        if most.is_none() {
            self.grammar.add(rest, vec![Part::Rule(item), Part::Rule(rest)]);
        }
        let optional = most.map_or(0, |most| most - least);
        for number in 0..optional + least {
            let longer = self.grammar.rule();
            self.grammar.add(longer, vec![Part::Rule(item), Part::Rule(rest)]);
            if number < optional {
                self.grammar.add(longer, Vec::new());
            }
            rest = longer;
        }
        rest
    }
}

/// Refuses what cannot be counted.
pub(super) fn bounds(least: usize, most: Option<usize>, at: &str) -> Result<()> {
    let top = most.unwrap_or(least);
    if top < least || top > 10_000 {
        return Err(unfit(at, &format!("between {least} and {top}; at most 10000 are counted")));
    }
    Ok(())
}
