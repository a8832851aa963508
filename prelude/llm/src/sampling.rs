//! Choosing the next token.

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::error::{LlmError, Result};

/// How text is generated; greedy and 256 tokens at most unless set.
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
pub(crate) struct Sampler {
    settings: Sampling,
    rng: StdRng,
}

impl Sampler {
    pub(crate) fn new(settings: &Sampling) -> Self {
        Self { settings: settings.clone(), rng: StdRng::seed_from_u64(settings.seed) }
    }

    /// The next token and its log-probability under the model itself (before penalty, temperature and
    /// cuts).
    #[expect(clippy::cast_possible_truncation, reason = "logits are f32, ids are u32")]
    pub(crate) fn next(&mut self, logits: &[f32], seen: &[u32]) -> (u32, f32) {
        let settings = &self.settings;
        let log_sum = log_sum_exp(logits);
        let mut scores = logits.to_vec();
        if (settings.repetition_penalty - 1.0).abs() > f64::EPSILON {
            let penalty = settings.repetition_penalty as f32;
            let mut tokens = seen.to_vec();
            tokens.sort_unstable();
            tokens.dedup();
            for token in tokens {
                if let Some(score) = scores.get_mut(token as usize) {
                    *score = if *score > 0.0 { *score / penalty } else { *score * penalty };
                }
            }
        }
        let id = if settings.temperature <= 0.0 { best(&scores) } else { self.draw(&scores) };
        (id as u32, logits[id] - log_sum)
    }

    #[expect(clippy::cast_possible_truncation, reason = "logits are f32")]
    fn draw(&mut self, scores: &[f32]) -> usize {
        let settings = &self.settings;
        let mut order: Vec<usize> = (0..scores.len()).collect();
        let by_score = |a: &usize, b: &usize| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b));
        let k = if settings.top_k == 0 { order.len() } else { settings.top_k.min(order.len()) };
        if k < order.len() {
            order.select_nth_unstable_by(k, by_score);
            order.truncate(k);
        }
        order.sort_unstable_by(by_score);
        let max = scores[order[0]];
        let temperature = settings.temperature as f32;
        let mut weights: Vec<f64> =
            order.iter().map(|id| f64::from((scores[*id] - max) / temperature).exp()).collect();
        let total: f64 = weights.iter().sum();
        let mut kept = 0;
        let mut mass = 0.0;
        for weight in &weights {
            if kept > 0 && (mass >= settings.top_p * total || *weight < settings.min_p) {
                break;
            }
            mass += weight;
            kept += 1;
        }
        weights.truncate(kept);
        let mut at = self.rng.random::<f64>() * mass;
        for (place, weight) in weights.iter().enumerate() {
            at -= weight;
            if at < 0.0 {
                return order[place];
            }
        }
        order[kept - 1]
    }
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
        let mut tokens: Vec<u32> =
            (0..400).map(|_| sampler.next(&[2.0, 1.0, 0.0, -1.0], &[]).0).collect();
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
    fn the_seed_repeats_and_the_penalty_turns_away() {
        let draw = |seed| {
            let mut sampler =
                Sampler::new(&Sampling::greedy().with_temperature(1.0).with_seed(seed));
            (0..20).map(|_| sampler.next(&[1.0, 1.0, 1.0], &[]).0).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        let mut sampler = Sampler::new(&Sampling::greedy().with_repetition_penalty(2.0));
        assert_eq!(sampler.next(&[1.0, 0.9], &[0]).0, 1);
        assert!(Sampling::greedy().with_top_p(0.0).check().is_err());
    }
}
