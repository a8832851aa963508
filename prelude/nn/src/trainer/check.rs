//! Settings that cannot be meant are refused before anything is trained.

use super::Trainer;
use crate::check;
use crate::error::{NnError, Result};
use crate::event::{no_validation, quoted};
use crate::loader::DataLoader;
use crate::model::Trainable;

impl<M: Trainable> Trainer<M> {
    /// Refuses settings that cannot be meant before anything is trained.
    pub(super) fn check_settings(&self, loader: &DataLoader) -> Result<()> {
        check::at_least_one("the number of epochs", self.epochs)?;
        check::at_least_one("the number of accumulated batches", self.accumulate)?;
        loader.check()?;
        self.validation.as_ref().map_or(Ok(()), DataLoader::check)?;
        self.optimizer.check()?;
        self.clip_norm.map_or(Ok(()), |norm| check::positive("the clip norm", norm))?;
        self.average_decay
            .map_or(Ok(()), |decay| check::share("the decay of the average", decay))?;
        check::not_negative("the least change of early stopping", self.min_delta)
    }

    /// Whether the metric watched is one that this run will have, which would otherwise show only as
    /// a run that never stops and keeps any parameters as the best.
    pub(super) fn check_watch(&self) -> Result<()> {
        if self.watched.is_none() && self.patience.is_none() {
            return Ok(());
        }
        let mut known = vec!["train_loss".to_owned()];
        if self.validation.is_some() {
            known.push("valid_loss".to_owned());
            known.extend(self.loss.metric_name().map(|name| format!("valid_{name}")));
        }
        let (metric, _) = self.watch();
        if known.iter().any(|name| name == metric) {
            return Ok(());
        }
        let names = || known.iter().map(String::as_str);
        Err(NnError::Watched {
            metric: metric.to_owned(),
            known: quoted(names()),
            hint: no_validation(names()),
        })
    }
}
