//! Choosing the next token.

use std::sync::Arc;

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use serde_json::Value as Json;

use crate::constrain::Constraint;
use crate::error::{LlmError, Result};
use crate::text::Tokenizer;

/// How text is generated; greedy and 256 tokens at most unless set.
///
/// ```
/// use oxilab_llm::Sampling;
/// let sampling = Sampling::greedy()
///     .with_temperature(0.8)
///     .with_top_p(0.95)
///     .with_repetition_penalty(1.1)
///     .with_max_tokens(128)
///     .with_stop("\n\n")
///     .with_seed(7);
/// # drop(sampling);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    pub(crate) max_tokens: usize,
    pub(crate) temperature: f64,
    pub(crate) top_k: usize,
    pub(crate) top_p: f64,
    pub(crate) min_p: f64,
    pub(crate) repetition_penalty: f64,
    pub(crate) seed: u64,
    pub(crate) stop: Vec<String>,
    pub(crate) top_logprobs: usize,
    pub(crate) schema: Option<Arc<Json>>,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            max_tokens: 256,
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            repetition_penalty: 1.0,
            seed: 0,
            stop: Vec::new(),
            top_logprobs: 0,
            schema: None,
        }
    }
}

impl Sampling {
    /// The most likely token each time.
    #[must_use]
    pub fn greedy() -> Self {
        Self::default()
    }

    /// Tokens drawn at this temperature.
    #[must_use]
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.temperature = temperature;
        self
    }

    /// The most tokens to generate.
    #[must_use]
    pub fn with_max_tokens(mut self, tokens: usize) -> Self {
        self.max_tokens = tokens;
        self
    }

    /// Only the `k` most likely tokens; 0 is all.
    #[must_use]
    pub fn with_top_k(mut self, k: usize) -> Self {
        self.top_k = k;
        self
    }

    /// Only the most likely tokens that together have this probability.
    #[must_use]
    pub fn with_top_p(mut self, p: f64) -> Self {
        self.top_p = p;
        self
    }

    /// Only tokens with at least this share of the best one's probability.
    #[must_use]
    pub fn with_min_p(mut self, p: f64) -> Self {
        self.min_p = p;
        self
    }

    /// Makes tokens that have occurred less likely; 1 is off, 1.1 is usual.
    #[must_use]
    pub fn with_repetition_penalty(mut self, penalty: f64) -> Self {
        self.repetition_penalty = penalty;
        self
    }

    /// The seed of the draws.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Ends the text before this one.
    #[must_use]
    pub fn with_stop(mut self, text: impl Into<String>) -> Self {
        self.stop.push(text.into());
        self
    }

    /// Keeps the log-probabilities of the `n` most likely tokens at every place.
    #[must_use]
    pub fn with_top_logprobs(mut self, n: usize) -> Self {
        self.top_logprobs = n;
        self
    }

    /// Holds the output to JSON that fits this JSON Schema; `{}` is any JSON. Objects have their
    /// properties in the schema's order, and no others unless `additionalProperties` is given. Text that
    /// runs into `max_tokens` is cut short.
    ///
    /// Understood: `type`, `properties`, `required`, `additionalProperties`, `items`, `minItems`,
    /// `maxItems`, `minLength`, `maxLength`, `minimum`, `maximum`, `exclusiveMinimum`,
    /// `exclusiveMaximum`, `enum`, `const`, `anyOf`, `oneOf` (as `anyOf`), `allOf` of one, and `$ref` within
    /// the schema. Any other keyword that narrows values, such as `pattern` and `format`, makes generating
    /// an [`LlmError::Schema`] that names it and its place; take it out and check the answer afterwards.
    ///
    /// ```no_run
    /// use oxilab_llm::{Llm, Sampling, models};
    /// use serde_json::json;
    /// let person = json!({"type": "object", "required": ["name", "age"],
    ///     "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}});
    /// let mut llm = Llm::load(models::smollm2()?)?;
    /// let said = llm.chat("Ada is 36. Give name and age as JSON.",
    ///     &Sampling::greedy().with_json_schema(person))?;
    /// let person: serde_json::Value = serde_json::from_str(&said.text).expect("JSON");
    /// # Ok::<(), oxilab_llm::LlmError>(())
    /// ```
    #[must_use]
    pub fn with_json_schema(mut self, schema: Json) -> Self {
        self.schema = Some(Arc::new(schema));
        self
    }

    /// The constraint of the schema.
    pub(crate) fn constraint(&self) -> Result<Option<Constraint>> {
        let grammar = self.schema.as_deref().map(crate::constrain::grammar).transpose()?;
        Ok(grammar.map(Constraint::new))
    }

    pub(crate) fn check(&self) -> Result<()> {
        let ranges = [
            ("temperature", self.temperature, (0.0..=100.0), "it must be in 0..=100"),
            ("top_p", self.top_p, (f64::MIN_POSITIVE..=1.0), "it must be above 0 and at most 1"),
            ("min_p", self.min_p, (0.0..=1.0), "it must be in 0..=1"),
            ("repetition_penalty", self.repetition_penalty, (0.01..=100.0), "it must be positive"),
        ];
        for (setting, value, range, expected) in ranges {
            if !range.contains(&value) {
                let (value, expected) = (value.to_string(), expected.to_owned());
                return Err(LlmError::Setting { setting, value, expected });
            }
        }
        Ok(())
    }
}

/// Draws tokens from logits.
#[derive(Debug)]
pub(crate) struct Sampler {
    settings: Sampling,
    rng: StdRng,
}

impl Sampler {
    pub(crate) fn new(settings: &Sampling) -> Self {
        Self { settings: settings.clone(), rng: StdRng::seed_from_u64(settings.seed) }
    }

    /// The next token and its log-probability under the model itself (before penalty, temperature,
    /// cuts and constraint); `None` when the constraint leaves no token.
    ///
    /// # Errors
    /// When a logit is not a number: any choice would be as good as any other.
    pub(crate) fn next(
        &mut self,
        logits: &[f32],
        seen: &[u32],
        constraint: Option<(&Constraint, &Tokenizer)>,
    ) -> Result<Option<(u32, f32)>> {
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if !largest.is_finite() || logits.iter().any(|logit| logit.is_nan()) {
            return Err(LlmError::NotFinite { tokens: seen.len() });
        }
        let mut scores = logits.to_vec();
        self.penalise(&mut scores, seen);
        let id = match constraint {
            Some((constraint, tokenizer)) => self.pick_allowed(scores, constraint, tokenizer),
            None => Some(self.pick(&scores)),
        };
        Ok(id.map(|id| (token(id), logits[id] - log_sum_exp(logits))))
    }

    fn pick_allowed(
        &mut self,
        mut scores: Vec<f32>,
        constraint: &Constraint,
        tokenizer: &Tokenizer,
    ) -> Option<usize> {
        // What the model wants is nearly always allowed; only else are all tokens looked at.
        for _ in 0..4 {
            let id = self.pick(&scores);
            if constraint.allows(tokenizer, token(id)) {
                return Some(id);
            }
            scores[id] = f32::NEG_INFINITY;
        }
        let mask = constraint.mask(tokenizer, scores.len());
        for (score, _) in scores.iter_mut().zip(&mask).filter(|(_, allowed)| !**allowed) {
            *score = f32::NEG_INFINITY;
        }
        let id = self.pick(&scores);
        // A model may rule out all that the constraint leaves.
        if mask[id] { Some(id) } else { mask.iter().position(|allowed| *allowed) }
    }

    #[expect(clippy::cast_possible_truncation, reason = "logits are f32")]
    fn penalise(&self, scores: &mut [f32], seen: &[u32]) {
        if (self.settings.repetition_penalty - 1.0).abs() <= f64::EPSILON {
            return;
        }
        let penalty = self.settings.repetition_penalty as f32;
        let mut tokens = seen.to_vec();
        tokens.sort_unstable();
        tokens.dedup();
        for token in tokens {
            if let Some(score) = scores.get_mut(token as usize) {
                *score = if *score > 0.0 { *score / penalty } else { *score * penalty };
            }
        }
    }

    fn pick(&mut self, scores: &[f32]) -> usize {
        if self.settings.temperature <= 0.0 { best(scores) } else { self.draw(scores) }
    }

    #[expect(clippy::cast_possible_truncation, reason = "logits are f32")]
    fn draw(&mut self, scores: &[f32]) -> usize {
        let Sampling { temperature, top_k, top_p, min_p, .. } = self.settings;
        let best = best(scores);
        let temperature = temperature as f32;
        let weights: Vec<f64> = scores
            .iter()
            .map(|score| f64::from((score - scores[best]) / temperature).exp())
            .collect();
        let kept = if top_k == 0 && top_p >= 1.0 {
            (0..weights.len()).filter(|id| weights[*id] >= min_p).collect()
        } else {
            nucleus(&weights, top_k, top_p, min_p)
        };
        let mass: f64 = kept.iter().map(|id| weights[*id]).sum();
        let mut at = self.rng.random::<f64>() * mass;
        for id in kept {
            at -= weights[id];
            if at < 0.0 {
                return id;
            }
        }
        best
    }
}

/// The most likely tokens, at most `k` of them (0 is any number), that together have the share `top_p`
/// of the weight, none below `min_p`; the best is always among them. Only as many are sorted as need be.
fn nucleus(weights: &[f64], k: usize, top_p: f64, min_p: f64) -> Vec<usize> {
    let all = weights.len();
    let most = if k == 0 { all } else { k.min(all) };
    let mut count = most.min(256);
    loop {
        let order = largest(all, count, |id| weights[id]);
        let total: f64 = match k {
            0 => weights.iter().sum(),
            _ => largest(all, most, |id| weights[id]).iter().map(|id| weights[*id]).sum(),
        };
        let (mut kept, mut mass) = (0, 0.0);
        for id in &order {
            if kept > 0 && (mass >= top_p * total || weights[*id] < min_p) {
                return order[..kept].to_vec();
            }
            mass += weights[*id];
            kept += 1;
        }
        if count == most {
            return order;
        }
        count = most.min(count * 4);
    }
}

/// The `n` ids with the largest values, the largest first, of equal ones the first.
fn largest(all: usize, n: usize, value: impl Fn(usize) -> f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..all).collect();
    // Of numbers and what is none: weights of a damaged model give NaN.
    let by_value = |a: &usize, b: &usize| value(*b).total_cmp(&value(*a)).then(a.cmp(b));
    if n == 0 {
        return Vec::new();
    }
    if n < all {
        order.select_nth_unstable_by(n - 1, by_value);
        order.truncate(n);
    }
    order.sort_unstable_by(by_value);
    order
}

/// The `n` most likely tokens with their log-probabilities, the best first.
pub(crate) fn top(logits: &[f32], n: usize) -> Vec<(u32, f32)> {
    let n = n.min(logits.len());
    if n == 0 {
        return Vec::new();
    }
    let sum = log_sum_exp(logits);
    let order = largest(logits.len(), n, |id| f64::from(logits[id]));
    order.into_iter().map(|id| (token(id), logits[id] - sum)).collect()
}

fn token(id: usize) -> u32 {
    u32::try_from(id).unwrap_or(u32::MAX)
}

pub(crate) fn best(scores: &[f32]) -> usize {
    let mut best = 0;
    for (id, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = id;
        }
    }
    best
}

pub(crate) fn log_sum_exp(logits: &[f32]) -> f32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    max + logits.iter().map(|x| (x - max).exp()).sum::<f32>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(settings: &Sampling) -> Vec<u32> {
        let mut sampler = Sampler::new(settings);
        let mut tokens: Vec<u32> = (0..400)
            .filter_map(|_| sampler.next(&[2.0, 1.0, 0.0, -1.0], &[], None).expect("logits"))
            .map(|(id, _)| id)
            .collect();
        tokens.sort_unstable();
        tokens.dedup();
        tokens
    }

    #[test]
    fn each_cut_keeps_what_it_should() {
        let hot = Sampling::greedy().with_temperature(1.0);
        assert_eq!(drawn(&hot), [0, 1, 2, 3]);
        assert_eq!(drawn(&hot.clone().with_top_k(2)), [0, 1]);
        // Probabilities 0.64, 0.24, 0.09, 0.03.
        assert_eq!(drawn(&hot.clone().with_top_p(0.7)), [0, 1]);
        assert_eq!(drawn(&hot.clone().with_min_p(0.1)), [0, 1, 2]);
        assert_eq!(drawn(&Sampling::greedy()), [0]);
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        for logits in [[1.0, f32::NAN, 2.0], [1.0, f32::INFINITY, 2.0], [f32::NEG_INFINITY; 3]] {
            let next = Sampler::new(&Sampling::greedy()).next(&logits, &[0; 5], None);
            let error = next.expect_err("refused").to_string();
            assert!(error.contains("behind 5 tokens is not finite"), "{error}");
        }
    }

    #[test]
    fn the_seed_repeats_and_the_penalty_turns_away() {
        let draw = |seed| {
            let mut sampler =
                Sampler::new(&Sampling::greedy().with_temperature(1.0).with_seed(seed));
            (0..20)
                .map(|_| sampler.next(&[1.0, 1.0, 1.0], &[], None).expect("logits"))
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mut sampler = Sampler::new(&Sampling::greedy().with_repetition_penalty(2.0));
        let next = sampler.next(&[1.0, 0.9], &[0], None).expect("logits");
        assert_eq!(next.map(|(id, _)| id), Some(1));
        assert_eq!(top(&[0.0, 3.0, 1.0], 2).iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2]);
        assert!(Sampling::greedy().with_top_p(0.0).check().is_err());
    }
}
