//! Numbers, with and without bounds. Digits are compared as text, place by place from the left, so that
//! what is begun can always be ended within the bounds.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};

use super::keywords::unfit;
use super::range::{Edge, LARGEST, Range, Span};
use super::{Builder, literal};
use crate::constrain::grammar::{Bytes, Part};
use crate::error::Result;

/// Digits behind the point beyond those that the bounds have.
const FINER: usize = 6;

impl Builder<'_> {
    /// A `number`, or without `fraction` an `integer`.
    pub(super) fn number(
        &mut self,
        object: &Map<String, Json>,
        fraction: bool,
        at: &str,
    ) -> Result<usize> {
        let Some(range) = Range::read(object, at)? else { return Ok(self.any_number(fraction)) };
        let mut spans = range.spans();
        if !fraction {
            spans =
                spans.into_iter().filter_map(|(sign, span)| Some((sign, span.whole()?))).collect();
        }
        if spans.is_empty() {
            let kind = if fraction { "number" } else { "integer" };
            return Err(unfit(at, &format!("there is no {kind} {range}")));
        }
        let rule = self.grammar.rule();
        for (sign, span) in spans {
            let part = if fraction {
                self.decimal(&span)
            } else {
                self.whole(span.low.whole, span.high.map_or(LARGEST, |high| high.whole))
            };
            self.grammar.add(rule, [literal(sign.as_bytes()), vec![Part::Rule(part)]].concat());
        }
        Ok(rule)
    }

    /// Without bounds: at most as many digits as an i64 holds, for a model cannot count on for ever.
    pub(super) fn any_number(&mut self, fraction: bool) -> usize {
        let digit = self.digit();
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
            // -0 is no integer to most readers.
            if fraction || sign.is_empty() {
                let zero = [sign.clone(), literal(b"0"), vec![Part::Rule(rest)]].concat();
                self.grammar.add(rule, zero);
            }
            let first =
                vec![Part::One(Bytes::range(b'1', b'9')), Part::Rule(digits), Part::Rule(rest)];
            self.grammar.add(rule, [sign, first].concat());
        }
        rule
    }

    /// The numbers of a span, in plain decimal notation.
    fn decimal(&mut self, span: &Span) -> usize {
        let Span { low, high } = span;
        let rule = self.grammar.rule();
        let top = high.as_ref().map_or(LARGEST + 1, |high| high.whole);
        if low.whole == top {
            self.between(rule, (top, top), (Some(low), high.as_ref()));
            return rule;
        }
        self.between(rule, (low.whole, low.whole), (Some(low), None));
        if low.whole + 1 < top {
            self.between(rule, (low.whole + 1, top - 1), (None, None));
        }
        if let Some(high) = high {
            self.between(rule, (top, top), (None, Some(high)));
        }
        rule
    }

    /// Adds whole numbers with fractions that keep to the edges' fractions, if there are any.
    fn between(
        &mut self,
        rule: usize,
        (first, last): (u64, u64),
        (low, high): (Option<&Edge>, Option<&Edge>),
    ) {
        let digits = |edge: Option<&Edge>| edge.map_or(0, |edge| edge.fraction.len());
        let places = FINER + digits(low).max(digits(high));
        let mut fractions = Fractions { low, high, places, rules: HashMap::new() };
        let (tight_low, tight_high) = (low.is_some(), high.is_some());
        let behind_point = self.digits_after(&mut fractions, 0, tight_low, tight_high, false);
        let alone = fractions.may_end(0, tight_low, tight_high);
        if !alone && behind_point.is_none() {
            return;
        }
        let fraction = self.grammar.rule();
        if alone {
            self.grammar.add(fraction, Vec::new());
        }
        if let Some(digits) = behind_point {
            self.grammar.add(fraction, vec![Part::One(Bytes::of(b".")), Part::Rule(digits)]);
        }
        let whole = self.whole(first, last);
        self.grammar.add(rule, vec![Part::Rule(whole), Part::Rule(fraction)]);
    }

    /// What can follow so many digits of a fraction that are the lower edge's, the higher edge's, or
    /// both; `None` where nothing can. With `end` the fraction may end here if its value allows it.
    fn digits_after(
        &mut self,
        fractions: &mut Fractions<'_>,
        place: usize,
        low: bool,
        high: bool,
        end: bool,
    ) -> Option<usize> {
        let state = (place, low, high, end);
        if let Some(rule) = fractions.rules.get(&state) {
            return *rule;
        }
        let mut alternatives = Vec::new();
        if end && fractions.may_end(place, low, high) {
            alternatives.push(Vec::new());
        }
        if place < fractions.places {
            for (digits, low, high) in fractions.digits(place, low, high) {
                if let Some(rest) = self.digits_after(fractions, place + 1, low, high, true) {
                    alternatives.push(vec![Part::One(digits), Part::Rule(rest)]);
                }
            }
        }
        let rule = (!alternatives.is_empty()).then(|| self.grammar.rule());
        for parts in alternatives {
            self.grammar.add(rule?, parts);
        }
        fractions.rules.insert(state, rule);
        rule
    }

    /// The whole numbers from one to another, without leading zeros.
    fn whole(&mut self, first: u64, last: u64) -> usize {
        let rule = self.grammar.rule();
        let length = |number: u64| number.to_string().len();
        for digits in length(first)..=length(last) {
            let from = first.max(if digits == 1 { 0 } else { 10u64.pow(length_before(digits)) });
            let to = last.min(10u64.pow(length_before(digits + 1)) - 1);
            let part = self.of_one_length(from.to_string().as_bytes(), to.to_string().as_bytes());
            self.grammar.add(rule, vec![Part::Rule(part)]);
        }
        rule
    }

    /// Digits from one text of digits to another as long, which is not smaller.
    fn of_one_length(&mut self, from: &[u8], to: &[u8]) -> usize {
        let rule = self.grammar.rule();
        let (Some((low, lows)), Some((high, highs))) = (from.split_first(), to.split_first())
        else {
            self.grammar.add(rule, Vec::new());
            return rule;
        };
        if from.iter().all(|digit| *digit == b'0') && to.iter().all(|digit| *digit == b'9') {
            self.grammar.add(rule, vec![Part::One(Bytes::range(b'0', b'9')); from.len()]);
            return rule;
        }
        let (zeros, nines) = (vec![b'0'; lows.len()], vec![b'9'; lows.len()]);
        let add = |this: &mut Self, digits: Bytes, from: &[u8], to: &[u8]| {
            let rest = this.of_one_length(from, to);
            this.grammar.add(rule, vec![Part::One(digits), Part::Rule(rest)]);
        };
        if low == high {
            add(self, Bytes::of(&[*low]), lows, highs);
            return rule;
        }
        add(self, Bytes::of(&[*low]), lows, &nines);
        if low + 1 < *high {
            add(self, Bytes::range(low + 1, high - 1), &zeros, &nines);
        }
        add(self, Bytes::of(&[*high]), &zeros, highs);
        rule
    }

    fn digit(&mut self) -> usize {
        let digit = self.grammar.rule();
        self.grammar.add(digit, vec![Part::One(Bytes::range(b'0', b'9'))]);
        digit
    }
}

fn length_before(digits: usize) -> u32 {
    u32::try_from(digits.saturating_sub(1)).unwrap_or(u32::MAX)
}

/// The fractions between two edges.
struct Fractions<'a> {
    low: Option<&'a Edge>,
    high: Option<&'a Edge>,
    /// The most digits.
    places: usize,
    /// Rules by what [`Builder::digits_after`] was asked.
    rules: HashMap<(usize, bool, bool, bool), Option<usize>>,
}

impl Fractions<'_> {
    /// Whether a fraction of so many digits, equal to those of the low edge or of the high one, lies
    /// between them.
    fn may_end(&self, place: usize, low: bool, high: bool) -> bool {
        // Equal: no digits follow; they are kept without zeros at their end.
        let equal = |edge: &Edge| edge.fraction.len() <= place;
        let above = !low || self.low.is_none_or(|edge| equal(edge) && !edge.open);
        let below = !high || self.high.is_none_or(|edge| !equal(edge) || !edge.open);
        above && below
    }

    /// The digits that may come at a place, those together that lead to the same: whether the fraction
    /// is then still equal to the low edge and to the high one.
    fn digits(&self, place: usize, low: bool, high: bool) -> Vec<(Bytes, bool, bool)> {
        let digit = |edge: Option<&Edge>, tight: bool| {
            let edge = edge.filter(|_| tight)?;
            Some(edge.fraction.get(place).copied().unwrap_or(b'0'))
        };
        let (least, most) = (digit(self.low, low), digit(self.high, high));
        let mut groups: Vec<(Vec<u8>, bool, bool)> = Vec::new();
        for digit in least.unwrap_or(b'0')..=most.unwrap_or(b'9') {
            let (low, high) = (least == Some(digit), most == Some(digit));
            match groups.last_mut() {
                Some((digits, l, h)) if (*l, *h) == (low, high) => digits.push(digit),
                _ => groups.push((vec![digit], low, high)),
            }
        }
        groups.into_iter().map(|(digits, low, high)| (Bytes::of(&digits), low, high)).collect()
    }
}
