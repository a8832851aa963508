//! JSON Schema to grammar. Objects have their properties in the schema's order and no others, as
//! OpenAI's strict mode has it; there is at most one space after `:` and `,`.
//!
//! Understood: `type` (also a list), `properties`, `required`, `additionalProperties` as a schema,
//! `items`, `minItems`, `maxItems`, `minLength`, `maxLength`, `enum`, `const`, `anyOf`, `oneOf`,
//! `allOf` of one, `$ref` into `$defs` or `definitions`, also recursive. Other keywords that narrow a
//! value (`pattern`, `minimum`, …) are refused rather than passed over.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::grammar::{Bytes, Grammar, Part};
use crate::error::{LlmError, Result};

/// The grammar of the JSON texts that a schema allows; `true` and `{}` allow any JSON.
pub(crate) fn grammar(schema: &Json) -> Result<Grammar> {
    let mut builder = Builder {
        root: schema,
        grammar: Grammar::default(),
        references: HashMap::new(),
        any: None,
        text: None,
    };
    let whole = builder.grammar.rule();
    let value = builder.value(schema, "#")?;
    builder.grammar.add(whole, vec![Part::Rule(value)]);
    if builder.grammar.is_left_recursive() {
        return Err(unfit("#", "a reference that leads back to itself without a value between"));
    }
    Ok(builder.grammar)
}

struct Builder<'a> {
    root: &'a Json,
    grammar: Grammar,
    references: HashMap<String, usize>,
    any: Option<usize>,
    text: Option<usize>,
}

/// More rules than this is a schema that counts to a million.
const MAX_RULES: usize = 100_000;

/// Keywords that say nothing about which values are allowed.
const NOTES: [&str; 11] = [
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "strict",
];

impl<'a> Builder<'a> {
    fn value(&mut self, schema: &'a Json, at: &str) -> Result<usize> {
        if self.grammar.len() > MAX_RULES {
            return Err(unfit(at, "it is too large"));
        }
        let object = match schema {
            Json::Bool(true) => return Ok(self.anything()),
            Json::Object(object) => object,
            _ => return Err(unfit(at, "a schema is an object or true")),
        };
        if let Some(Json::String(reference)) = object.get("$ref") {
            return self.reference(reference, at);
        }
        if let Some(value) = object.get("const") {
            return Ok(self.literal(value.to_string().as_bytes()));
        }
        if let Some(Json::Array(values)) = object.get("enum") {
            let rule = self.grammar.rule();
            for value in values {
                self.grammar.add(rule, literal(value.to_string().as_bytes()));
            }
            return if values.is_empty() { Err(unfit(at, "an empty enum")) } else { Ok(rule) };
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            if let Some(Json::Array(schemas)) = object.get(key) {
                if schemas.is_empty() || (key == "allOf" && schemas.len() > 1) {
                    return Err(unfit(at, &format!("{key} of {} schemas", schemas.len())));
                }
                return self.one_of(schemas, &format!("{at}/{key}"));
            }
        }
        match object.get("type") {
            Some(Json::String(kind)) => self.typed(kind, object, at),
            Some(Json::Array(kinds)) => {
                let rule = self.grammar.rule();
                for kind in kinds {
                    let kind = kind.as_str().ok_or_else(|| unfit(at, "a type that is no text"))?;
                    let part = self.typed(kind, object, at)?;
                    self.grammar.add(rule, vec![Part::Rule(part)]);
                }
                Ok(rule)
            }
            None if object.contains_key("properties") => self.typed("object", object, at),
            None if object.contains_key("items") => self.typed("array", object, at),
            _ => {
                known(object, &[], at)?;
                Ok(self.anything())
            }
        }
    }

    fn one_of(&mut self, schemas: &'a [Json], at: &str) -> Result<usize> {
        let rule = self.grammar.rule();
        for (number, schema) in schemas.iter().enumerate() {
            let part = self.value(schema, &format!("{at}/{number}"))?;
            self.grammar.add(rule, vec![Part::Rule(part)]);
        }
        Ok(rule)
    }

    fn reference(&mut self, reference: &str, at: &str) -> Result<usize> {
        if let Some(rule) = self.references.get(reference) {
            return Ok(*rule);
        }
        let target = reference.strip_prefix('#').and_then(|path| self.root.pointer(path));
        let target =
            target.ok_or_else(|| unfit(at, &format!("{reference} is not within the schema")))?;
        let rule = self.grammar.rule();
        self.references.insert(reference.to_owned(), rule);
        let inner = self.value(target, reference)?;
        self.grammar.add(rule, vec![Part::Rule(inner)]);
        Ok(rule)
    }

    fn typed(&mut self, kind: &str, object: &'a Map<String, Json>, at: &str) -> Result<usize> {
        let keys: &[&str] = match kind {
            "object" => &["properties", "required", "additionalProperties"],
            "array" => &["items", "minItems", "maxItems"],
            "string" => &["minLength", "maxLength"],
            _ => &[],
        };
        // With a list of types the keywords of all of them may stand there.
        if object.get("type").is_some_and(Json::is_string) {
            known(object, keys, at)?;
        }
        let count = |key: &str| {
            object.get(key).and_then(Json::as_u64).and_then(|n| usize::try_from(n).ok())
        };
        match kind {
            "object" => self.object(object, at),
            "array" => {
                let item = match object.get("items") {
                    Some(items) => self.value(items, &format!("{at}/items"))?,
                    None => self.anything(),
                };
                self.list(item, count("minItems").unwrap_or(0), count("maxItems"), at)
            }
            "string" => {
                let (least, most) = (count("minLength").unwrap_or(0), count("maxLength"));
                if least == 0 && most.is_none() {
                    Ok(self.string())
                } else {
                    self.bounded(least, most, at)
                }
            }
            "number" => Ok(self.number(true)),
            "integer" => Ok(self.number(false)),
            "boolean" => {
                let rule = self.literal(b"true");
                self.grammar.add(rule, literal(b"false"));
                Ok(rule)
            }
            "null" => Ok(self.literal(b"null")),
            other => Err(unfit(at, &format!("the type {other:?}"))),
        }
    }

    fn object(&mut self, object: &'a Map<String, Json>, at: &str) -> Result<usize> {
        let empty = Map::new();
        let properties = match object.get("properties") {
            Some(Json::Object(properties)) => Some(properties),
            Some(_) => return Err(unfit(at, "properties is no object")),
            None => None,
        };
        let required: Vec<&str> = match object.get("required") {
            Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        };
        if let Some(name) =
            required.iter().find(|name| !properties.unwrap_or(&empty).contains_key(**name))
        {
            return Err(unfit(at, &format!("required {name:?} is not among the properties")));
        }
        let free = match object.get("additionalProperties") {
            Some(schema @ Json::Object(_)) => {
                Some(self.value(schema, &format!("{at}/additionalProperties"))?)
            }
            Some(Json::Bool(true)) => Some(self.anything()),
            None if properties.is_none() => Some(self.anything()),
            _ => None,
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
        // `first[i]`: the rest from member i on where none has come; `later[i]`: where one has.
        let tail = self.grammar.rule();
        self.grammar.add(tail, literal(b"}"));
        let head = self.grammar.rule();
        self.grammar.add(head, literal(b"}"));
        if let Some(value) = free {
            let string = self.string();
            let mut member = vec![Part::Rule(string)];
            member.extend(self.colon());
            member.extend([Part::Rule(value), Part::Rule(tail)]);
            self.grammar.add(head, member.clone());
            let mut more = self.comma();
            more.extend(member);
            self.grammar.add(tail, more);
        }
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
    fn repeat(&mut self, item: usize, least: usize, most: Option<usize>) -> usize {
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

    fn bounded(&mut self, least: usize, most: Option<usize>, at: &str) -> Result<usize> {
        bounds(least, most, at)?;
        let character = self.character();
        let rest = self.repeat(character, least, most);
        let rule = self.grammar.rule();
        let quote = Part::One(Bytes::of(b"\""));
        self.grammar.add(rule, vec![quote, Part::Rule(rest), quote]);
        Ok(rule)
    }

    fn string(&mut self) -> usize {
        if let Some(rule) = self.text {
            return rule;
        }
        let character = self.character();
        let rest = self.repeat(character, 0, None);
        let rule = self.grammar.rule();
        let quote = Part::One(Bytes::of(b"\""));
        self.grammar.add(rule, vec![quote, Part::Rule(rest), quote]);
        self.text = Some(rule);
        rule
    }

    /// One character of a string: UTF-8 or an escape.
    fn character(&mut self) -> usize {
        let rule = self.grammar.rule();
        let one = |first, last| Part::One(Bytes::range(first, last));
        let more = one(0x80, 0xbf);
        let add = |grammar: &mut Grammar, parts: &[Part]| grammar.add(rule, parts.to_vec());
        let plain = Bytes::range(0x20, 0x7f).without(b"\"\\");
        add(&mut self.grammar, &[Part::One(plain)]);
        add(&mut self.grammar, &[one(0xc2, 0xdf), more]);
        add(&mut self.grammar, &[one(0xe0, 0xe0), one(0xa0, 0xbf), more]);
        add(&mut self.grammar, &[one(0xe1, 0xec), more, more]);
        add(&mut self.grammar, &[one(0xed, 0xed), one(0x80, 0x9f), more]);
        add(&mut self.grammar, &[one(0xee, 0xef), more, more]);
        add(&mut self.grammar, &[one(0xf0, 0xf0), one(0x90, 0xbf), more, more]);
        add(&mut self.grammar, &[one(0xf1, 0xf3), more, more, more]);
        add(&mut self.grammar, &[one(0xf4, 0xf4), one(0x80, 0x8f), more, more]);
        let backslash = Part::One(Bytes::of(b"\\"));
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

    fn number(&mut self, fraction: bool) -> usize {
        let digit = self.grammar.rule();
        self.grammar.add(digit, vec![Part::One(Bytes::range(b'0', b'9'))]);
        // At most as many digits as a double or an i64 holds: a model cannot count on for ever.
        let digits = self.repeat(digit, 0, Some(17));
        let rest = self.grammar.rule();
        self.grammar.add(rest, Vec::new());
        if fraction {
            let decimals = self.repeat(digit, 1, Some(17));
            let exponent = self.repeat(digit, 1, Some(3));
            let (e, sign) = (Part::One(Bytes::of(b"eE")), Part::One(Bytes::of(b"+-")));
            let power = self.grammar.rule();
            self.grammar.add(power, Vec::new());
            self.grammar.add(power, vec![e, Part::Rule(exponent)]);
            self.grammar.add(power, vec![e, sign, Part::Rule(exponent)]);
            let point = Part::One(Bytes::of(b"."));
            self.grammar.add(rest, vec![point, Part::Rule(decimals), Part::Rule(power)]);
        }
        let rule = self.grammar.rule();
        for sign in [Vec::new(), literal(b"-")] {
            let zero = [sign.clone(), literal(b"0"), vec![Part::Rule(rest)]].concat();
            self.grammar.add(rule, zero);
            let first =
                vec![Part::One(Bytes::range(b'1', b'9')), Part::Rule(digits), Part::Rule(rest)];
            self.grammar.add(rule, [sign, first].concat());
        }
        rule
    }

    fn anything(&mut self) -> usize {
        if let Some(rule) = self.any {
            return rule;
        }
        let rule = self.grammar.rule();
        self.any = Some(rule);
        let (string, number) = (self.string(), self.number(true));
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

    fn literal(&mut self, bytes: &[u8]) -> usize {
        let rule = self.grammar.rule();
        self.grammar.add(rule, literal(bytes));
        rule
    }

    fn colon(&mut self) -> Vec<Part> {
        self.spaced(b":")
    }

    fn comma(&mut self) -> Vec<Part> {
        self.spaced(b",")
    }

    fn spaced(&mut self, sign: &[u8]) -> Vec<Part> {
        let space = self.grammar.rule();
        self.grammar.add(space, Vec::new());
        self.grammar.add(space, literal(b" "));
        let mut parts = literal(sign);
        parts.push(Part::Rule(space));
        parts
    }
}

fn literal(bytes: &[u8]) -> Vec<Part> {
    bytes.iter().map(|byte| Part::One(Bytes::of(&[*byte]))).collect()
}

fn bounds(least: usize, most: Option<usize>, at: &str) -> Result<()> {
    let top = most.unwrap_or(least);
    if top < least || top > 10_000 {
        return Err(unfit(at, &format!("between {least} and {top}; at most 10000 are counted")));
    }
    Ok(())
}

fn known(object: &Map<String, Json>, keys: &[&str], at: &str) -> Result<()> {
    let unknown = object.keys().find(|key| {
        let key = key.as_str();
        key != "type" && !NOTES.contains(&key) && !keys.contains(&key)
    });
    match unknown {
        Some(key) => Err(unfit(at, &format!("the keyword {key:?}"))),
        None => Ok(()),
    }
}

fn unfit(at: &str, what: &str) -> LlmError {
    LlmError::Schema { at: at.to_owned(), reason: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fits(schema: &Json, text: &str) -> bool {
        let grammar = grammar(schema).expect("a schema");
        grammar.after(&grammar.start(), text.as_bytes()).is_some_and(|state| state.may_end())
    }

    #[test]
    fn objects_have_their_members_in_order_and_no_others() {
        let schema = json!({"type": "object", "required": ["name", "age"], "properties": {
            "name": {"type": "string", "maxLength": 5}, "nick": {"type": ["string", "null"]},
            "age": {"type": "integer"}}});
        assert!(fits(&schema, r#"{"name": "Ada", "nick": null, "age": 36}"#));
        assert!(fits(&schema, r#"{"name":"Адааа","age":-1}"#));
        for bad in [
            r#"{"age": 36, "name": "Ada"}"#,
            r#"{"name": "Ada"}"#,
            r#"{"name": "Ada", "age": 3.5}"#,
            r#"{"name": "Adaada", "age": 36}"#,
            r#"{"name": "Ada", "age": 36, "x": 1}"#,
            r#"{"name": "Ada",  "age": 36}"#,
            r#"{"name": "Ada", "age": 036}"#,
        ] {
            assert!(!fits(&schema, bad), "{bad}");
        }
    }

    #[test]
    fn lists_enums_references_and_free_members() {
        let list =
            json!({"type": "array", "items": {"enum": ["a", 1]}, "minItems": 1, "maxItems": 2});
        assert!(fits(&list, r#"["a", 1]"#) && fits(&list, r#"["a"]"#));
        assert!(!fits(&list, "[]") && !fits(&list, r#"["a","a","a"]"#) && !fits(&list, r#"["b"]"#));
        let tree = json!({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "required": ["v"],
            "properties": {"v": {"type": "number"},
                           "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}}});
        assert!(fits(&tree, r#"{"v": 1, "kids": [{"v": 2.5e3}, {"v": 3, "kids": []}]}"#));
        assert!(!fits(&tree, r#"{"v": 1, "kids": [{}]}"#));
        let map = json!({"type": "object", "additionalProperties": {"type": "boolean"}});
        assert!(fits(&map, "{}") && fits(&map, r#"{"a": true, "b": false}"#));
        assert!(!fits(&map, r#"{"a": 1}"#));
        assert!(fits(&json!({}), r#"{"a": [1, {"b": "\u00e9\n"}], "c": null}"#));
        assert!(!fits(&json!({}), "{\"a\": \"\n\"}") && !fits(&json!({}), r#""\ud800""#));
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_its_place() {
        for (schema, expected) in [
            (json!({"type": "string", "pattern": "a+"}), "#: the keyword \"pattern\""),
            (json!({"properties": {"a": {"type": "int"}}}), "#/properties/a: the type \"int\""),
            (json!({"$ref": "#/nowhere"}), "#/nowhere is not within the schema"),
            (json!({"type": "object", "required": ["a"]}), "required \"a\""),
            (json!({"$ref": "#"}), "leads back to itself"),
            (json!({"type": "array", "minItems": 5, "maxItems": 2}), "between 5 and 2"),
        ] {
            let error = grammar(&schema).expect_err("refused").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
