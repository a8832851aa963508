//! What a run will hold in memory, and in which batches it goes through the examples.

use candle_core::Var;
use oxilab_nn::memory::Memory;
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use super::run::tokens;
use super::{Method, SftTrainer};
use crate::llm::Llm;
use crate::model::Sequence;

/// What all epochs come to.
pub(super) struct Plan {
    /// Optimiser steps.
    pub(super) steps: usize,
    /// Tokens of the largest batch.
    pub(super) longest: usize,
}

impl SftTrainer {
    /// Packed examples fill other batches in each epoch.
    pub(super) fn plan(&self, sequences: &[Sequence]) -> Plan {
        let mut plan = Plan { steps: 0, longest: 0 };
        for epoch in 1..=self.epochs {
            let batches = self.batches(sequences, epoch);
            plan.steps += batches.len().div_ceil(self.accumulate);
            let longest = batches.iter().map(|batch| tokens(batch, sequences)).max();
            plan.longest = plan.longest.max(longest.unwrap_or(0));
        }
        plan
    }

    /// An estimate for batches of at most `longest` tokens.
    pub(super) fn memory(&self, llm: &Llm, vars: &[(String, Var)], longest: usize) -> Memory {
        let config = llm.config();
        let parameters = 4 * vars.iter().map(|(_, var)| var.elem_count()).sum::<usize>();
        // Kept for each token in a block: about fourteen hidden and six feed-forward states, and three
        // times the scores of each head.
        let kept = longest * (14 * config.hidden + 6 * config.intermediate)
            + 3 * config.heads * longest * longest;
        let blocks = if self.recompute { 1 } else { config.layers };
        let inputs = if self.recompute { config.layers * longest * config.hidden } else { 0 };
        let logits = 2 * longest * config.vocabulary;
        let frozen = llm.model.bytes();
        Memory {
            frozen: if matches!(self.method, Method::Full) { 0 } else { frozen },
            parameters,
            gradients: parameters,
            optimizer: 2 * parameters,
            copies: if self.patience.is_some() { 2 * parameters } else { parameters },
            activations: 4 * (kept * blocks + inputs + logits),
        }
    }

    /// The batches of an epoch, as numbers of examples.
    pub(super) fn batches(&self, sequences: &[Sequence], epoch: usize) -> Vec<Vec<usize>> {
        let mut order: Vec<usize> = (0..sequences.len()).collect();
        let seed = self.seed ^ (epoch as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        order.shuffle(&mut StdRng::seed_from_u64(seed));
        if !self.packing {
            return order.chunks(self.batch_size).map(<[usize]>::to_vec).collect();
        }
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut filled = usize::MAX;
        for row in order {
            let length = sequences[row].tokens.len();
            match batches.last_mut() {
                Some(batch) if filled.saturating_add(length) <= self.max_length => {
                    batch.push(row);
                    filled += length;
                }
                _ => {
                    batches.push(vec![row]);
                    filled = length;
                }
            }
        }
        batches
    }
}
