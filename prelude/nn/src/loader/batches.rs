//! The batches of one epoch, made where they are asked for or ahead on threads.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use oxilab_runtime::{cancel, panics};

use super::collate::{Collate, Sample};
use super::dataset::{Batch, Dataset};
use crate::error::{NnError, Result, some_of};

/// The batches of one epoch.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_nn::{DataLoader, TensorDataset};
/// let x = Tensor::arange(0f32, 5.0, &Device::Cpu)?.reshape((5, 1))?;
/// let loader = DataLoader::new(TensorDataset::new(x.clone(), x)?, 2).with_shuffle(1);
/// let rows = |epoch| -> oxilab_nn::error::Result<Vec<usize>> {
///     let batches: Vec<_> = loader.epoch(epoch, 0).collect::<Result<_, _>>()?;
///     Ok(batches.into_iter().flat_map(|batch| batch.rows).collect())
/// };
/// assert_eq!(rows(0)?, rows(0)?, "the order follows from seed and epoch");
/// assert_eq!(rows(1)?.len(), 5);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
pub struct Batches {
    plan: Arc<Plan>,
    first: usize,
    next: usize,
    /// Each thread makes every n-th batch, so the order is that of the plan. None: batches are made here.
    threads: Vec<Receiver<Result<Batch>>>,
    refused: Option<NnError>,
}

impl Batches {
    /// The batches of a plan from `first` on, about `ahead` of them made before they are asked for.
    pub(super) fn start(plan: Plan, first: usize, threads: usize, ahead: usize) -> Self {
        let plan = Arc::new(plan);
        let receiver = |number: usize| {
            let (batch_tx, batch_rx) = sync_channel(ahead.div_ceil(threads));
            let plan = Arc::clone(&plan);
            std::thread::spawn(move || plan.make_every(threads, first + number, &batch_tx));
            batch_rx
        };
        let threads = (0..threads).map(receiver).collect();
        Self { plan, first, next: first, threads, refused: None }
    }

    /// One error instead of batches.
    pub(super) fn refused(mut plan: Plan, error: NnError) -> Self {
        plan.batches.clear();
        Self { refused: Some(error), ..Self::start(plan, 0, 0, 0) }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.refused.take() {
            return Some(Err(error));
        }
        // The plan tells where the epoch ends; a thread that is gone is not the end.
        let number = self.next;
        if number >= self.plan.batches.len() {
            return None;
        }
        self.next += 1;
        if self.threads.is_empty() {
            return Some(self.plan.make(number));
        }
        let thread = &self.threads[(number - self.first) % self.threads.len()];
        let ended = |_| Err(self.plan.panicked(number, "its thread has ended".to_owned()));
        Some(thread.recv().unwrap_or_else(ended))
    }
}

/// What the batches of an epoch are made from, on any thread.
pub(super) struct Plan {
    pub(super) dataset: Arc<dyn Dataset>,
    pub(super) collate: Option<Arc<Collate>>,
    /// The rows of each batch.
    pub(super) batches: Vec<Vec<usize>>,
    pub(super) epoch: usize,
    pub(super) train: bool,
}

impl Plan {
    fn make_every(&self, threads: usize, first: usize, batch_tx: &SyncSender<Result<Batch>>) {
        for number in (first..self.batches.len()).step_by(threads) {
            // Nobody wants the rest.
            if batch_tx.send(self.make(number)).is_err() {
                return;
            }
        }
    }

    /// A batch by its number. A panic of the data set is an error that names the batch.
    fn make(&self, number: usize) -> Result<Batch> {
        catch_unwind(AssertUnwindSafe(|| self.batch(&self.batches[number])))
            .unwrap_or_else(|payload| Err(self.unwound(number, &*payload)))
    }

    fn batch(&self, rows: &[usize]) -> Result<Batch> {
        let Some(collate) = &self.collate else {
            return self.dataset.batch_at(rows, self.epoch, self.train);
        };
        let samples = rows.iter().map(|row| self.sample(*row)).collect::<Result<Vec<_>>>()?;
        let (input, target) = collate(&samples)?;
        Ok(Batch { input, target, rows: rows.to_vec() })
    }

    fn sample(&self, row: usize) -> Result<Sample> {
        let one = self.dataset.batch_at(&[row], self.epoch, self.train)?;
        Ok(Sample { input: one.input.squeeze(0)?, target: one.target.squeeze(0)?, row })
    }

    fn unwound(&self, number: usize, payload: &(dyn Any + Send)) -> NnError {
        if cancel::is_interrupt(payload) {
            // A trainer has seen the press itself and knows the step.
            return NnError::Interrupted { epoch: self.epoch + 1, step: 0 };
        }
        self.panicked(number, panics::message(payload))
    }

    fn panicked(&self, number: usize, message: String) -> NnError {
        NnError::DataPanicked {
            epoch: self.train.then_some(self.epoch + 1),
            batch: number + 1,
            rows: some_of(&self.batches[number]),
            message,
        }
    }
}
