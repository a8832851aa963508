//! The model without cache, for training: sequences lie one behind the other in one row (no padding),
//! each seeing only itself, and blocks can be computed again instead of kept (gradient checkpointing:
//! Chen et al., 2016).

use candle_core::{Result, Tensor, Var};
use oxilab_nn::Mode;
use oxilab_nn::layers::{cross_entropy, rms_norm};
use oxilab_nn::optim::{self, Gradients};

use super::{Model, Pass};

/// Tokens, and for each whether the model is to learn to say it.
///
/// ```
/// use oxilab_llm::model::Sequence;
/// let answer = Sequence { tokens: vec![5, 77, 130], learn: vec![false, true, true] };
/// assert_eq!(answer.learned(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Same length: true where the token is part of an answer.
    pub learn: Vec<bool>,
}

impl Sequence {
    /// How many tokens are learned; the first of a sequence has nothing before it and never is.
    #[must_use]
    pub fn learned(&self) -> usize {
        self.learn.iter().skip(1).filter(|learn| **learn).count()
    }
}

/// Where each learned token is predicted from, and which token it is.
fn targets(sequences: &[&Sequence]) -> (Vec<u32>, Vec<u32>) {
    let (mut at, mut targets) = (Vec::new(), Vec::new());
    let mut start = 0u32;
    for sequence in sequences {
        for (place, (token, learn)) in (0u32..).zip(sequence.tokens.iter().zip(&sequence.learn)) {
            if *learn && place > 0 {
                at.push(start + place - 1);
                targets.push(*token);
            }
            if place as usize + 1 == sequence.tokens.len() {
                start += place + 1;
            }
        }
    }
    (at, targets)
}

impl Model {
    fn pass(&self, sequences: &[&Sequence], mode: Mode) -> Result<Pass<'_>> {
        let longest = sequences.iter().map(|sequence| sequence.tokens.len()).max().unwrap_or(0);
        let positions: Vec<u32> = sequences
            .iter()
            .flat_map(|sequence| (0u32..).zip(&sequence.tokens).map(|(position, _)| position))
            .collect();
        let total = positions.len();
        let window = self.config.window.unwrap_or(usize::MAX);
        let mut mask = vec![f32::NEG_INFINITY; total * total];
        let mut start = 0;
        for sequence in sequences {
            for row in 0..sequence.tokens.len() {
                let first = (row + 1).saturating_sub(window);
                let at = (start + row) * total + start;
                mask[at + first..=at + row].fill(0.0);
            }
            start += sequence.tokens.len();
        }
        let mask = Some(Tensor::from_vec(mask, (total, total), self.device())?);
        let angles = self.table(longest)?.at(&positions)?;
        Ok(Pass { config: &self.config, angles, mask, mode, past: 0 })
    }

    /// The sum of the cross entropies of the learned tokens, and their number.
    ///
    /// # Errors
    /// When a token is not in the vocabulary.
    pub fn evaluate(&self, sequences: &[&Sequence]) -> Result<(f64, usize)> {
        let pass = self.pass(sequences, Mode::eval())?;
        let mut x = self.embed_all(sequences)?;
        for block in &self.blocks {
            x = block.forward(&x, &pass, None)?.detach();
        }
        match self.loss(&x, sequences, Mode::eval())? {
            Some((loss, count)) => {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
                let sum = f64::from(loss.to_scalar::<f32>()?) * count as f64;
                Ok((sum, count))
            }
            None => Ok((0.0, 0)),
        }
    }

    fn embed_all(&self, sequences: &[&Sequence]) -> Result<Tensor> {
        let tokens: Vec<u32> = sequences.iter().flat_map(|s| s.tokens.iter().copied()).collect();
        self.embed(&tokens)
    }

    /// The mean loss of the learned tokens; only their rows go through the output layer.
    fn loss(
        &self,
        x: &Tensor,
        sequences: &[&Sequence],
        mode: Mode,
    ) -> Result<Option<(Tensor, usize)>> {
        let (at, targets) = targets(sequences);
        if targets.is_empty() {
            return Ok(None);
        }
        let rows = x.index_select(&Tensor::new(at.as_slice(), self.device())?, 0)?;
        let hidden = rms_norm(&rows, &self.norm, self.config.eps)?;
        let loss = cross_entropy(&self.logits(&hidden, mode)?, &targets)?;
        Ok(Some((loss, targets.len())))
    }

    /// Adds the gradients of `vars`, of the sum of the learned tokens' cross entropies, to `grads`;
    /// gives that sum and the number of tokens. With `recompute` every block is computed twice and
    /// only its input is kept.
    ///
    /// # Errors
    /// When a token is not in the vocabulary.
    pub(crate) fn backward(
        &self,
        sequences: &[&Sequence],
        vars: &[(String, Var)],
        grads: &mut Gradients,
        mode: Mode,
        recompute: bool,
    ) -> oxilab_nn::error::Result<(f64, usize)> {
        let pass = self.pass(sequences, mode)?;
        let mut x = self.embed_all(sequences)?;
        let embedded = x.clone();
        let mut inputs = Vec::new();
        for block in &self.blocks {
            if recompute {
                let input = Var::from_tensor(&x.detach())?;
                x = block.forward(&x.detach(), &pass, None)?.detach();
                inputs.push(input);
            } else {
                x = block.forward(&x, &pass, None)?;
            }
        }
        let last = if recompute { Some(Var::from_tensor(&x)?) } else { None };
        let top = last.as_ref().map_or(&x, |last| last.as_tensor());
        let Some((loss, count)) = self.loss(top, sequences, mode)? else { return Ok((0.0, 0)) };
        #[expect(clippy::cast_precision_loss, reason = "far below 2^24 tokens")]
        let (sum, factor) = (f64::from(loss.to_scalar::<f32>()?) * count as f64, count as f32);
        let store = loss.backward()?;
        optim::accumulate(grads, vars, &store, factor)?;
        let Some(last) = last else { return Ok((sum, count)) };
        let mut grad = store.get(&last).cloned();
        drop(store);
        for (block, input) in self.blocks.iter().zip(inputs).rev() {
            let Some(above) = grad.take() else { break };
            let y = block.forward(&input, &pass, None)?;
            // The gradient of Σ y · g, with g held fixed, is g pulled back through the block.
            let store = y.mul(&above.detach())?.sum_all()?.backward()?;
            optim::accumulate(grads, vars, &store, factor)?;
            grad = store.get(&input).cloned();
        }
        if let Some(grad) =
            grad.filter(|_| vars.iter().any(|(name, _)| name.contains("embed_tokens")))
        {
            let store = embedded.mul(&grad.detach())?.sum_all()?.backward()?;
            optim::accumulate(grads, vars, &store, factor)?;
        }
        Ok((sum, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_the_learned_tokens_seen_from_the_one_before() {
        let one = Sequence { tokens: vec![5, 6, 7], learn: vec![true, false, true] };
        let two = Sequence { tokens: vec![8, 9], learn: vec![false, true] };
        assert_eq!(targets(&[&one, &two]), (vec![1, 3], vec![7, 9]));
        assert_eq!((one.learned(), two.learned()), (1, 1));
    }
}
