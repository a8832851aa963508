//! A data set whose code panics: the run stops with an error that names the batch, and goes on from there.

use std::sync::atomic::{AtomicUsize, Ordering};

use candle_core::{Device, Tensor};
use oxilab_nn::error::Result;
use oxilab_nn::{
    Batch, DataLoader, Dataset, Loss, Mlp, NnError, Optimizer, TensorDataset, Trainer,
};

use super::weights;

/// Parabola values; panics when it is asked for a batch for the n-th time.
struct Panics {
    data: TensorDataset,
    left: AtomicUsize,
}

impl Dataset for Panics {
    fn len(&self) -> usize {
        self.data.len()
    }

    fn batch(&self, rows: &[usize]) -> Result<Batch> {
        let once = self.left.fetch_sub(1, Ordering::SeqCst);
        assert!(once != 1, "the disk says no");
        self.data.batch(rows)
    }
}

/// Eight batches an epoch.
fn loader(panic_at: usize) -> Result<DataLoader> {
    let x = Tensor::arange(0f32, 32.0, &Device::Cpu)?.reshape((32, 1))?.affine(0.05, -0.8)?;
    let data = TensorDataset::new(x.clone(), x.sqr()?)?;
    // Counts down to 1; from 0 it wraps round and never gets there.
    let left = AtomicUsize::new(panic_at);
    Ok(DataLoader::new(Panics { data, left }, 4).with_shuffle(3))
}

fn trainer() -> Result<Trainer<Mlp>> {
    let net = Mlp::new(1, &[8], 1, 1)?.with_dropout(0.1);
    Ok(Trainer::new(net, Optimizer::adam(0.01), Loss::Mse)
        .with_epochs(3)
        .with_accumulation(3)
        .quiet())
}

#[test]
fn a_run_stops_at_the_batch_and_goes_on_from_there() -> Result<()> {
    let mut whole = trainer()?;
    let history = whole.fit(&loader(0)?)?;
    for (workers, prefetch) in [(1, 2), (1, 0), (2, 1)] {
        // The eleventh batch made is about the third of the second epoch.
        let bad = loader(11)?.with_workers(workers).with_prefetch(prefetch);
        let mut run = trainer()?;
        let error = run.fit(&bad).expect_err("a panic");
        let NnError::DataPanicked { epoch: Some(2), rows, message, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!((rows.split(", ").count(), message.as_str()), (4, "the disk says no"));
        assert_eq!(run.history().epochs().len(), 1, "the epoch of the panic is not over");
        assert_eq!(run.fit(&bad)?, history);
        assert_eq!(weights(&run)?, weights(&whole)?);
    }
    Ok(())
}

#[test]
fn a_panic_among_the_validation_rows_loses_no_epoch() -> Result<()> {
    let mut whole = trainer()?.with_validation(loader(0)?);
    let history = whole.fit(&loader(0)?)?;
    let mut run = trainer()?.with_validation(loader(12)?.with_prefetch(0));
    let error = run.fit(&loader(0)?).expect_err("a panic").to_string();
    assert!(error.contains("batch 4 of the evaluation"), "{error}");
    assert_eq!(run.history().epochs().len(), 1);
    assert_eq!(run.fit(&loader(0)?)?, history);
    assert_eq!(weights(&run)?, weights(&whole)?);
    Ok(())
}
