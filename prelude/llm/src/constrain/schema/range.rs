//! `minimum`, `maximum` and their exclusive forms, as decimal digits.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value as Json};

use super::keywords::unfit;
use crate::error::Result;

/// The largest whole part that is generated: as many nines as an i64 holds.
pub(super) const LARGEST: u64 = 999_999_999_999_999_999;

/// Digits of a fraction that bounds may have; those of a double near 1.
const MOST_PLACES: usize = 17;

/// Where a range of magnitudes begins or ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    /// The part before the point.
    pub(super) whole: u64,
    /// The digits behind it, no zero at their end.
    pub(super) fraction: Vec<u8>,
    /// Whether the edge itself is left out.
    pub(super) open: bool,
}

impl Edge {
    const ZERO: Self = Self { whole: 0, fraction: Vec::new(), open: false };

    fn order(&self, other: &Self) -> Ordering {
        self.whole.cmp(&other.whole).then_with(|| self.fraction.cmp(&other.fraction))
    }
}

/// Magnitudes from an edge to another, or to the largest.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) low: Edge,
    pub(super) high: Option<Edge>,
}

impl Span {
    /// `None` where nothing lies between. No edge beyond the largest is kept.
    fn new(low: Edge, high: Option<Edge>) -> Option<Self> {
        let high = high.filter(|high| high.whole <= LARGEST);
        let order = high.as_ref().map_or(Ordering::Less, |high| low.order(high));
        let open = low.open || high.as_ref().is_some_and(|high| high.open);
        let some = order == Ordering::Less || order == Ordering::Equal && !open;
        (some && low.whole <= LARGEST).then_some(Self { low, high })
    }

    /// The whole numbers of it; the edges belong to it then.
    pub(super) fn whole(self) -> Option<Self> {
        let Self { low, high } = self;
        let up = u64::from(low.open || !low.fraction.is_empty());
        let low = Edge { whole: low.whole + up, ..Edge::ZERO };
        let high = match high {
            Some(high) => {
                let down = u64::from(high.open && high.fraction.is_empty());
                Some(Edge { whole: high.whole.checked_sub(down)?, ..Edge::ZERO })
            }
            None => None,
        };
        Self::new(low, high)
    }
}

/// A bound: its edge and whether it lies below zero.
#[derive(Clone, Debug)]
struct Bound {
    negative: bool,
    edge: Edge,
}

impl Bound {
    fn read(object: &Map<String, Json>, key: &str, open: bool, at: &str) -> Result<Option<Self>> {
        let Some(value) = object.get(key) else { return Ok(None) };
        let Json::Number(number) = value else {
            return Err(unfit(at, &format!("{key} is {value}, which is no number")));
        };
        match Self::parse(&number.to_string(), open) {
            Some(bound) => Ok(Some(bound)),
            None => Err(unfit(
                at,
                &format!(
                    "{key} is {value}, which has more than {MOST_PLACES} digits behind the point"
                ),
            )),
        }
    }

    fn parse(text: &str, open: bool) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let exponent: i32 = exponent.parse().ok()?;
        let mut digits: Vec<u8> = [whole, fraction].concat().into_bytes();
        let mut point = i32::try_from(whole.len()).ok()? + exponent;
        if digits.iter().all(|digit| *digit == b'0') {
            return Some(Self { negative: false, edge: Edge { open, ..Edge::ZERO } });
        }
        while point < 1 && point > -400 {
            digits.insert(0, b'0');
            point += 1;
        }
        let point = usize::try_from(point).ok()?;
        while digits.len() < point && digits.len() < 400 {
            digits.push(b'0');
        }
        let mut fraction = digits.split_off(point.min(digits.len()));
        while fraction.last() == Some(&b'0') {
            fraction.pop();
        }
        if fraction.len() > MOST_PLACES {
            return None;
        }
        // What is too large for a u64 is beyond all that is generated.
        let whole = std::str::from_utf8(&digits).ok()?.parse().unwrap_or(u64::MAX);
        Some(Self { negative, edge: Edge { whole, fraction, open } })
    }

    /// Of two bounds in the same direction the tighter one.
    fn tighter(a: Option<Self>, b: Option<Self>, lower: bool) -> Option<Self> {
        let (Some(a), Some(b)) = (a.clone(), b.clone()) else { return a.or(b) };
        let order = a.order(&b);
        let first = match if lower { order.reverse() } else { order } {
            Ordering::Less => true,
            Ordering::Equal => a.edge.open,
            Ordering::Greater => false,
        };
        Some(if first { a } else { b })
    }

    fn order(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.edge.order(&other.edge),
            (true, true) => other.edge.order(&self.edge),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

/// What a schema says of a number's size.
#[derive(Debug)]
pub(super) struct Range {
    least: Option<Bound>,
    most: Option<Bound>,
}

impl Range {
    /// `None` where there are no bounds.
    pub(super) fn read(object: &Map<String, Json>, at: &str) -> Result<Option<Self>> {
        let read = |key, open| Bound::read(object, key, open, at);
        let least = Bound::tighter(read("minimum", false)?, read("exclusiveMinimum", true)?, true);
        let most = Bound::tighter(read("maximum", false)?, read("exclusiveMaximum", true)?, false);
        let some = least.is_some() || most.is_some();
        Ok(some.then_some(Self { least, most }))
    }

    /// The magnitudes with either sign.
    pub(super) fn spans(&self) -> Vec<(&'static str, Span)> {
        let (least, most) = (self.least.as_ref(), self.most.as_ref());
        let positive = match most {
            Some(most) if most.negative => None,
            _ => {
                let low = least.filter(|least| !least.negative);
                let low = low.map_or(Edge::ZERO, |least| least.edge.clone());
                Span::new(low, most.map(|most| most.edge.clone()))
            }
        };
        let negative = match least {
            Some(least) if !least.negative => None,
            _ => {
                let low = most.filter(|most| most.negative).map(|most| most.edge.clone());
                let low = low.unwrap_or(Edge { open: true, ..Edge::ZERO });
                Span::new(low, least.map(|least| least.edge.clone()))
            }
        };
        let named = [("", positive), ("-", negative)];
        named.into_iter().filter_map(|(sign, span)| Some((sign, span?))).collect()
    }
}

/// `from 1 to 5`, `above 0`, `below -2.5`.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = |f: &mut fmt::Formatter<'_>, word: &str, bound: &Bound| {
            let sign = if bound.negative { "-" } else { "" };
            write!(f, "{word} {sign}{}", bound.edge.whole)?;
            if !bound.edge.fraction.is_empty() {
                write!(f, ".{}", String::from_utf8_lossy(&bound.edge.fraction))?;
            }
            Ok(())
        };
        if let Some(least) = &self.least {
            bound(f, if least.edge.open { "above" } else { "from" }, least)?;
        }
        if let Some(most) = &self.most {
            if self.least.is_some() {
                f.write_str(" ")?;
            }
            bound(f, if most.edge.open { "below" } else { "to" }, most)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_digit_by_digit() {
        for (text, negative, whole, fraction) in [
            ("0", false, 0, ""),
            ("-0.0", false, 0, ""),
            ("12.50", false, 12, "5"),
            ("-3", true, 3, ""),
            ("1e-7", false, 0, "0000001"),
            ("1.5e3", false, 1500, ""),
            ("1.25e1", false, 12, "5"),
            ("1e300", false, u64::MAX, ""),
        ] {
            let bound = Bound::parse(text, false).expect(text);
            assert_eq!((bound.negative, bound.edge.whole), (negative, whole), "{text}");
            assert_eq!(bound.edge.fraction, fraction.as_bytes(), "{text}");
        }
        assert!(Bound::parse("1e-300", false).is_none());
    }
}
