//! Settings that cannot be meant are refused before anything is trained.

use oxilab_nn::check;

use super::SftTrainer;
use crate::error::{LlmError, Result};

impl SftTrainer {
    pub(super) fn check(&self) -> Result<()> {
        check::at_least_one("the number of epochs", self.epochs)?;
        check::at_least_one("the batch size", self.batch_size)?;
        check::at_least_one("the number of accumulated batches", self.accumulate)?;
        check::at_least_one("the number of logging steps", self.logging_steps)?;
        check::at_least_one("the number of steps between saves", self.save_steps.unwrap_or(1))?;
        check::not_negative("the learning rate", self.learning_rate)?;
        check::not_negative("the weight decay", self.weight_decay)?;
        check::positive("the clip norm", self.clip_norm)?;
        if !(0.0..=1.0).contains(&self.warmup) {
            return Err(LlmError::Setting {
                setting: "the share of steps that warm up",
                value: self.warmup.to_string(),
                expected: "it must be in 0..=1".to_owned(),
            });
        }
        if self.max_length < 2 {
            return Err(LlmError::Setting {
                setting: "the maximum length",
                value: self.max_length.to_string(),
                expected: "an example has at least 2 tokens, one to learn and one before it"
                    .to_owned(),
            });
        }
        if self.patience.is_some() && self.evaluation.is_empty() {
            return Err(LlmError::Setting {
                setting: "the number of examples for evaluation",
                value: "0".to_owned(),
                expected: "early stopping needs some: add them with `with_evaluation`".to_owned(),
            });
        }
        Ok(())
    }
}
