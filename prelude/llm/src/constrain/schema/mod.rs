//! JSON Schema to grammar. Objects have their properties in the schema's order, as OpenAI's strict mode
//! has it, and no others unless `additionalProperties` is given; there is at most one space after `:` and
//! `,`.
//!
//! Understood: `type` (also a list), `properties`, `required`, `additionalProperties`, `items`,
//! `minItems`, `maxItems`, `minLength`, `maxLength`, `minimum`, `maximum`, `exclusiveMinimum`,
//! `exclusiveMaximum`, `enum`, `const`, `anyOf`, `oneOf` (as `anyOf`: that no second schema fits is not
//! looked at), `allOf` of one, `$ref` into `$defs` or `definitions`, also recursive. Other keywords that
//! narrow a value (`pattern`, `format`, `multipleOf`, …) are refused rather than passed over, wherever
//! they stand.
//!
//! A kind of value has a file; `keywords` says what each may have.

mod any;
mod keywords;
mod list;
mod number;
mod object;
mod range;
mod text;
mod words;

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use self::keywords::{is_a, is_within, kinds, known, of_kind, unfit};
use super::grammar::{Bytes, Grammar, Part};
use crate::error::Result;

/// The grammar of the JSON texts that a schema allows; `true` and `{}` allow any JSON.
pub(crate) fn grammar(schema: &Json) -> Result<Grammar> {
    let mut builder = Builder {
        root: schema,
        grammar: Grammar::default(),
        references: HashMap::new(),
        any: None,
        text: None,
        depth: 0,
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
    depth: usize,
}

/// More rules than this is a schema that counts to a million.
const MAX_RULES: usize = 100_000;

/// Schemas within schemas, references followed: more would not fit on a thread's stack.
const MAX_DEPTH: usize = 200;

/// All choices are followed at once.
const MAX_CHOICES: usize = 1000;

impl<'a> Builder<'a> {
    /// The rule of a schema.
    fn value(&mut self, schema: &'a Json, at: &str) -> Result<usize> {
        self.check_size(at)?;
        if self.depth == MAX_DEPTH {
            return Err(unfit(
                at,
                &format!("schemas stand more than {MAX_DEPTH} deep in each other"),
            ));
        }
        self.depth += 1;
        let rule = self.described(schema, at);
        self.depth -= 1;
        rule
    }

    fn check_size(&self, at: &str) -> Result<()> {
        if self.grammar.len() > MAX_RULES { Err(unfit(at, "it is too large")) } else { Ok(()) }
    }

    fn described(&mut self, schema: &'a Json, at: &str) -> Result<usize> {
        let object = match schema {
            Json::Bool(true) => return Ok(self.anything()),
            Json::Object(object) => object,
            _ => return Err(unfit(at, "a schema is an object or true")),
        };
        if let Some(reference) = object.get("$ref") {
            known(object, &["$ref"], at)?;
            let text = reference.as_str();
            return self.reference(text.ok_or_else(|| unfit(at, "$ref is no text"))?, at);
        }
        let kinds = kinds(object, at)?;
        for key in ["const", "enum"] {
            if let Some(value) = object.get(key) {
                known(object, &[key, "type"], at)?;
                return self.listed(key, value, kinds.as_deref(), at);
            }
        }
        for key in ["anyOf", "oneOf", "allOf"] {
            if let Some(schemas) = object.get(key) {
                known(object, &[key, "type"], at)?;
                return self.one_of(key, schemas, kinds.as_deref(), at);
            }
        }
        let Some(kinds) = kinds else {
            known(object, &[], at)?;
            return Ok(self.anything());
        };
        let mut keys = vec!["type"];
        keys.extend(kinds.iter().flat_map(|kind| of_kind(kind)));
        known(object, &keys, at)?;
        if let [kind] = kinds[..] {
            return self.typed(kind, object, at);
        }
        let rule = self.grammar.rule();
        for kind in kinds {
            let part = self.typed(kind, object, at)?;
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

    /// The values that are written out, those left out that are not of the type.
    fn listed(
        &mut self,
        key: &str,
        value: &Json,
        kinds: Option<&[&str]>,
        at: &str,
    ) -> Result<usize> {
        let values: &[Json] = match value {
            Json::Array(values) if key == "enum" => values,
            _ if key == "enum" => return Err(unfit(at, "enum is no list")),
            value => std::slice::from_ref(value),
        };
        let fits =
            |value: &&Json| kinds.is_none_or(|kinds| kinds.iter().any(|kind| is_a(value, kind)));
        let fitting: Vec<String> = values.iter().filter(fits).map(Json::to_string).collect();
        if values.is_empty() {
            return Err(unfit(at, "an empty enum"));
        }
        if fitting.is_empty() {
            return Err(unfit(at, &format!("no value of its {key} is of its type")));
        }
        Ok(self.one_text_of(fitting))
    }

    /// One of several schemas; with a type beside them each must say one within it.
    fn one_of(
        &mut self,
        key: &str,
        schemas: &'a Json,
        outer: Option<&[&str]>,
        at: &str,
    ) -> Result<usize> {
        let schemas = schemas.as_array().ok_or_else(|| unfit(at, &format!("{key} is no list")))?;
        let most = if key == "allOf" { 1 } else { MAX_CHOICES };
        if schemas.is_empty() || schemas.len() > most {
            return Err(unfit(
                at,
                &format!("{key} of {} schemas, and it must be 1 to {most}", schemas.len()),
            ));
        }
        let rule = self.grammar.rule();
        for (number, schema) in schemas.iter().enumerate() {
            let at = format!("{at}/{key}/{number}");
            if outer.is_some_and(|outer| !is_within(schema, outer)) {
                return Err(unfit(&at, &format!("its type is not within that beside {key}")));
            }
            let part = self.value(schema, &at)?;
            self.grammar.add(rule, vec![Part::Rule(part)]);
        }
        Ok(rule)
    }

    fn typed(&mut self, kind: &str, object: &'a Map<String, Json>, at: &str) -> Result<usize> {
        match kind {
            "object" => self.object(object, at),
            "array" => self.array(object, at),
            "string" => self.text(object, at),
            "number" => self.number(object, true, at),
            "integer" => self.number(object, false, at),
            "boolean" => {
                let rule = self.literal(b"true");
                self.grammar.add(rule, literal(b"false"));
                Ok(rule)
            }
            "null" => Ok(self.literal(b"null")),
            other => Err(unfit(at, &format!("the type {other:?}"))),
        }
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

#[cfg(test)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
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
    fn bounds_of_integers_are_kept_exactly() {
        for (least, most) in [(0, 10), (-5, 7), (17, 1203), (-1010, -99), (8, 8), (99, 100)] {
            let closed = json!({"type": "integer", "minimum": least, "maximum": most});
            let open = json!({"type": "integer", "exclusiveMinimum": least - 1, "exclusiveMaximum": most + 1});
            let halves = json!({"type": "integer", "minimum": f64::from(least) - 0.5,
                "maximum": f64::from(most) + 0.5, "exclusiveMaximum": 5000});
            let schemas = [closed, open, halves].map(|schema| grammar(&schema).expect("a schema"));
            for number in -1300..1400 {
                let text = number.to_string();
                for grammar in &schemas {
                    let state = grammar.after(&grammar.start(), text.as_bytes());
                    let fits = state.is_some_and(|state| state.may_end());
                    assert_eq!(fits, (least..=most).contains(&number), "{number} {least} {most}");
                }
            }
        }
        let positive = json!({"type": "integer", "minimum": 1});
        assert!(fits(&positive, "999999999999999999") && !fits(&positive, "0"));
        assert!(!fits(&positive, "01") && !fits(&positive, "-1") && !fits(&positive, "1.0"));
        let id = json!({"type": "integer", "minimum": 0, "maximum": u64::MAX});
        assert!(fits(&id, "123456789012345678") && !fits(&id, "-0"));
    }

    #[test]
    fn bounds_of_numbers_are_kept_exactly() {
        let grid: Vec<String> = (-350..350)
            .flat_map(|n: i32| {
                let (sign, n) = (if n < 0 { "-" } else { "" }, n.abs());
                [format!("{sign}{}.{:02}", n / 100, n % 100), format!("{sign}{}.{:03}", n / 100, n)]
            })
            .chain((-4..5).map(|n| n.to_string()))
            .collect();
        for (least, most) in [(0.0, 1.0), (-1.25, 2.5), (0.05, 0.051), (-3.0, -0.75), (2.0, 2.0)] {
            for (open_least, open_most) in
                [(false, false), (true, false), (false, true), (true, true)]
            {
                if least >= most && (open_least || open_most) {
                    continue;
                }
                let mut schema = json!({"type": "number"});
                schema[if open_least { "exclusiveMinimum" } else { "minimum" }] = json!(least);
                schema[if open_most { "exclusiveMaximum" } else { "maximum" }] = json!(most);
                let grammar = grammar(&schema).expect("a schema");
                for text in &grid {
                    let number: f64 = text.parse().expect("a number");
                    let above = if open_least { number > least } else { number >= least };
                    let below = if open_most { number < most } else { number <= most };
                    // -0 is left to 0.
                    let wanted = above && below && !(number == 0.0 && text.starts_with('-'));
                    let state = grammar.after(&grammar.start(), text.as_bytes());
                    let fits = state.is_some_and(|state| state.may_end());
                    assert_eq!(fits, wanted, "{text} {schema}");
                }
            }
        }
        let share = json!({"type": "number", "minimum": 0, "exclusiveMaximum": 1});
        assert!(fits(&share, "0.999999") && !fits(&share, "1") && !fits(&share, "1e-3"));
    }

    /// Whatever a model begins within the grammar it can end: no way leads to a place where no byte
    /// comes next.
    #[test]
    fn no_way_ends_in_the_middle() {
        let mut rng = StdRng::seed_from_u64(7);
        for schema in [
            json!({"type": "number", "minimum": 9.5, "exclusiveMaximum": 10}),
            json!({"type": "number", "exclusiveMinimum": -0.001, "exclusiveMaximum": 0.001}),
            json!({"type": "integer", "minimum": 95, "maximum": 1005}),
            json!({"type": ["integer", "null", "string"], "maximum": -7, "maxLength": 3}),
            json!({"properties": {"a": {"const": 1}, "ab": {"type": "null"}, "ä\n": true},
                   "required": ["ab"], "additionalProperties": {"type": "boolean"}}),
        ] {
            let grammar = grammar(&schema).expect("a schema");
            for _ in 0..200 {
                let (mut state, mut text) = (grammar.start(), Vec::new());
                while text.len() < 200 && !state.must_end() {
                    let next: Vec<(u8, super::super::State)> = (0..=255)
                        .filter_map(|byte| Some((byte, grammar.after(&state, &[byte])?)))
                        .collect();
                    assert!(!next.is_empty(), "{schema}: {}", String::from_utf8_lossy(&text));
                    let (byte, behind) = next[rng.random_range(0..next.len())].clone();
                    text.push(byte);
                    state = behind;
                }
                if state.must_end() {
                    let value: Json = serde_json::from_slice(&text).expect("JSON");
                    let free = value.as_object().into_iter().flatten();
                    for (name, value) in free {
                        let named = name == "a" && *value == json!(1)
                            || name == "ab" && value.is_null()
                            || name == "ä\n";
                        assert!(named || value.is_boolean(), "{value}");
                    }
                }
            }
        }
    }

    #[test]
    fn free_members_never_take_the_name_of_another() {
        let schema = json!({"type": "object", "properties": {"age": {"type": "integer"}, "ä": true},
            "additionalProperties": {"type": "string"}});
        for good in [r#"{"age": 1, "b": "x"}"#, r#"{"ag": "x", "ages": "y", "x\u00e9": "z"}"#, "{}"]
        {
            assert!(fits(&schema, good), "{good}");
        }
        for bad in [
            r#"{"age": "x"}"#,
            r#"{"age": 1, "age": "x"}"#,
            r#"{"a\u0067e": "x"}"#,
            r#"{"age": 1, "b": 2}"#,
            r#"{"b": "x", "age": 1}"#,
        ] {
            assert!(!fits(&schema, bad), "{bad}");
        }
    }

    #[test]
    fn enums_keep_to_their_type_and_optional_values_to_their_notes() {
        let schema =
            json!({"type": "string", "enum": ["a", 1, null], "title": "T", "default": "a"});
        assert!(fits(&schema, r#""a""#) && !fits(&schema, "1") && !fits(&schema, "null"));
        let either = json!({"type": "number", "oneOf": [{"type": "integer"}, {"type": "number"}]});
        assert!(fits(&either, "1.5") && !fits(&either, "null"));
        let optional = json!({"anyOf": [{"type": "integer"}, {"type": "null"}], "default": null});
        assert!(fits(&optional, "null") && fits(&optional, "3"));
    }

    /// A schema comes from a request too: it must take neither the thread's stack nor all time.
    #[test]
    fn deep_schemas_and_texts_need_no_stack_and_no_time() {
        let count = 900;
        let mut chain = Map::new();
        for number in 0..count {
            chain.insert(format!("a{number}"), json!({"$ref": format!("#/$defs/a{}", number + 1)}));
        }
        chain.insert(format!("a{count}"), json!({"type": "null"}));
        let forward = json!({"$ref": "#/$defs/a0", "$defs": chain.clone()});
        let error = grammar(&forward).expect_err("refused").to_string();
        assert!(error.contains("200 deep"), "{error}");
        // From the end: no schema is deep, but the first rule opens all others.
        let backward: Vec<Json> =
            (0..count).rev().map(|n| json!({"$ref": format!("#/$defs/a{n}")})).collect();
        let schema = json!({"anyOf": backward, "$defs": chain});
        assert!(fits(&schema, "null"));
        // Each rule leads to the next on two ways.
        let mut twice = Map::new();
        for number in 0..150 {
            let next = json!({"$ref": format!("#/$defs/a{}", number + 1)});
            twice.insert(format!("a{number}"), json!({"anyOf": [next.clone(), next]}));
        }
        twice.insert("a150".to_owned(), json!({"type": "null"}));
        let last_first: Vec<Json> =
            (0..150).rev().map(|n| json!({"$ref": format!("#/$defs/a{n}")})).collect();
        assert!(fits(&json!({"anyOf": last_first, "$defs": twice}), "null"));
        let many: Vec<String> = (0..50_000).map(|n| format!("value {n}")).collect();
        let schema = json!({"enum": many});
        assert!(fits(&schema, "\"value 49999\"") && !fits(&schema, "\"value 50000\""));
        let open = vec![b'['; 200_000];
        let any = grammar(&json!({})).expect("a schema");
        assert!(any.after(&any.start(), &open).is_some());
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_its_place() {
        for (schema, expected) in [
            (json!({"type": "string", "pattern": "a+"}), "#: the keyword \"pattern\""),
            (json!({"type": "string", "format": "date"}), "#: the keyword \"format\""),
            (json!({"type": ["string", "null"], "pattern": "a+"}), "#: the keyword \"pattern\""),
            (json!({"properties": {}, "minProperties": 2}), "#: the keyword \"minProperties\""),
            (json!({"type": "integer", "multipleOf": 3}), "#: the keyword \"multipleOf\""),
            (
                json!({"$ref": "#/$defs/a", "minimum": 3, "$defs": {"a": true}}),
                "\"minimum\" beside \"$ref\"",
            ),
            (
                json!({"anyOf": [true], "properties": {"a": true}}),
                "\"properties\" beside \"anyOf\"",
            ),
            (
                json!({"type": "object", "anyOf": [{"type": "object"}, {"type": ["object", "null"]}]}),
                "#/anyOf/1: its type is not within that beside anyOf",
            ),
            (json!({"const": 1, "minimum": 3}), "the keyword \"minimum\""),
            (json!({"const": 1, "type": "string"}), "no value of its const is of its type"),
            (json!({"enum": "a"}), "enum is no list"),
            (json!({"type": 5}), "the type 5"),
            (json!({"type": []}), "the type []"),
            (json!({"type": "string", "minLength": "3"}), "minLength is \"3\""),
            (json!({"type": "array", "maxItems": 2.5}), "maxItems is 2.5"),
            (json!({"type": "integer", "minimum": "0"}), "minimum is \"0\", which is no number"),
            (json!({"type": "integer", "exclusiveMinimum": true}), "exclusiveMinimum is true"),
            (json!({"type": "integer", "minimum": 5, "maximum": 2}), "no integer from 5 to 2"),
            (
                json!({"type": "integer", "exclusiveMinimum": 0.25, "exclusiveMaximum": 1}),
                "no integer above 0.25 below 1",
            ),
            (json!({"type": "number", "minimum": 1e-300}), "digits behind the point"),
            (json!({"type": "object", "required": "a"}), "required is no list"),
            (json!({"type": "object", "additionalProperties": 1}), "additionalProperties is no"),
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
