//! Objects: properties in the schema's order, then free ones where the schema has them.

use serde_json::{Map, Value as Json};

use super::keywords::unfit;
use super::text::quote;
use super::{Builder, literal};
use crate::constrain::grammar::Part;
use crate::error::Result;

/// Longer names of properties are not told from free ones.
const LONGEST_NAME: usize = 256;

impl<'a> Builder<'a> {
    pub(super) fn object(&mut self, object: &'a Map<String, Json>, at: &str) -> Result<usize> {
        let properties = match object.get("properties") {
            Some(Json::Object(properties)) => Some(properties),
            Some(_) => return Err(unfit(at, "properties is no object")),
            None => None,
        };
        let required = required(object, properties, at)?;
        let free = match object.get("additionalProperties") {
            Some(schema @ Json::Object(_)) => {
                Some(self.value(schema, &format!("{at}/additionalProperties"))?)
            }
            Some(Json::Bool(true)) => Some(self.anything()),
            Some(Json::Bool(false)) => None,
            Some(_) => return Err(unfit(at, "additionalProperties is no schema")),
            None => properties.is_none().then(|| self.anything()),
        };
        let mut members = Vec::new();
        for (name, schema) in properties.into_iter().flatten() {
            let value = self.value(schema, &format!("{at}/properties/{name}"))?;
            let mut parts = literal(Json::String(name.clone()).to_string().as_bytes());
            parts.extend(self.colon());
            parts.push(Part::Rule(value));
            let member = self.grammar.rule();
            self.grammar.add(member, parts);
            members.push((member, required.contains(&name.as_str())));
        }
        let names: Vec<&str> =
            properties.into_iter().flatten().map(|(name, _)| &name[..]).collect();
        let (head, tail) = self.ends(free, &names, at)?;
        // `first`: the rest from a member on where none has come; `later`: where one has.
        let (mut first, mut later) = (head, tail);
        for (member, needed) in members.into_iter().rev() {
            let (begin, go_on) = (self.grammar.rule(), self.grammar.rule());
            self.grammar.add(begin, vec![Part::Rule(member), Part::Rule(later)]);
            let mut more = self.comma();
            more.extend([Part::Rule(member), Part::Rule(later)]);
            self.grammar.add(go_on, more);
            if !needed {
                self.grammar.add(begin, vec![Part::Rule(first)]);
                self.grammar.add(go_on, vec![Part::Rule(later)]);
            }
            (first, later) = (begin, go_on);
        }
        let rule = self.grammar.rule();
        let mut parts = literal(b"{");
        parts.push(Part::Rule(first));
        self.grammar.add(rule, parts);
        Ok(rule)
    }

    /// The end of an object, free members before it where there are any: where no member has come, and
    /// where one has.
    fn ends(&mut self, free: Option<usize>, names: &[&str], at: &str) -> Result<(usize, usize)> {
        let (head, tail) = (self.literal(b"}"), self.literal(b"}"));
        if let Some(value) = free {
            let name = self.other_name(names, at)?;
            let mut member = vec![Part::Rule(name)];
            member.extend(self.colon());
            member.extend([Part::Rule(value), Part::Rule(tail)]);
            self.grammar.add(head, member.clone());
            let mut more = self.comma();
            more.extend(member);
            self.grammar.add(tail, more);
        }
        Ok((head, tail))
    }

    /// A string that is none of these: a second member of the name would take the place of the first.
    fn other_name(&mut self, names: &[&str], at: &str) -> Result<usize> {
        if names.is_empty() {
            return Ok(self.string());
        }
        if names.iter().any(|name| name.chars().count() > LONGEST_NAME) {
            return Err(unfit(
                at,
                &format!("additionalProperties beside a name of more than {LONGEST_NAME} letters"),
            ));
        }
        let any = self.up_to_the_quote();
        let rest = self.other_rest(names, any, at)?;
        let rule = self.grammar.rule();
        self.grammar.add(rule, vec![quote(), Part::Rule(rest)]);
        Ok(rule)
    }

    /// The rest of such a string, where it has begun as names do; `left` is what would complete them.
    /// So far nothing is escaped, so that no name comes in disguise.
    fn other_rest(&mut self, left: &[&str], any: usize, at: &str) -> Result<usize> {
        self.check_size(at)?;
        let rule = self.grammar.rule();
        if left.iter().all(|left| !left.is_empty()) {
            self.grammar.add(rule, vec![quote()]);
        }
        let mut firsts: Vec<char> = left.iter().filter_map(|left| left.chars().next()).collect();
        firsts.sort_unstable();
        firsts.dedup();
        let begins: Vec<u8> = firsts.iter().map(|first| first.to_string().as_bytes()[0]).collect();
        let other = self.character_but(&begins);
        self.grammar.add(rule, vec![Part::Rule(other), Part::Rule(any)]);
        // Those that only an escape can write are left out with the escapes.
        let plain = |first: &char| !matches!(first, '"' | '\\' | '\0'..='\x1f');
        for first in firsts.into_iter().filter(plain) {
            let left: Vec<&str> = left.iter().filter_map(|left| left.strip_prefix(first)).collect();
            let rest = self.other_rest(&left, any, at)?;
            let mut parts = literal(first.to_string().as_bytes());
            parts.push(Part::Rule(rest));
            self.grammar.add(rule, parts);
        }
        Ok(rule)
    }
}

fn required<'a>(
    object: &'a Map<String, Json>,
    properties: Option<&Map<String, Json>>,
    at: &str,
) -> Result<Vec<&'a str>> {
    let names = match object.get("required") {
        Some(Json::Array(names)) => names.as_slice(),
        Some(_) => return Err(unfit(at, "required is no list")),
        None => &[],
    };
    let named = |name: &'a Json| {
        let text = name.as_str().ok_or_else(|| unfit(at, "required holds what is no text"))?;
        if properties.is_some_and(|properties| properties.contains_key(text)) {
            return Ok(text);
        }
        Err(unfit(at, &format!("required {text:?} is not among the properties")))
    };
    names.iter().map(named).collect()
}
