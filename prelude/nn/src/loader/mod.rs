//! Data sets and the loader that shuffles, batches and prefetches them.

mod batches;
mod collate;
mod dataset;

use std::sync::Arc;

use candle_core::Tensor;
use rand::{SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

use crate::check;
use crate::error::Result;

pub use batches::Batches;
pub use collate::Sample;
pub use dataset::{Batch, Dataset, TensorDataset, frame_to_tensor};

use batches::Plan;
use collate::Collate;

/// Batches of a data set, shuffled anew in every epoch, made ahead on a thread.
///
/// The order depends only on seed and epoch, so that a resumed run sees the same batches.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use oxilab_nn::{DataLoader, TensorDataset};
/// let x = Tensor::arange(0f32, 10.0, &Device::Cpu)?.reshape((10, 1))?;
/// let loader = DataLoader::new(TensorDataset::new(x.clone(), x)?, 4).with_shuffle(7);
/// let sizes: Vec<usize> = loader.epoch(0, 0).map(|batch| Ok(batch?.rows.len())).collect::<Result<_, oxilab_nn::NnError>>()?;
/// assert_eq!(sizes, [4, 4, 2]);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone)]
pub struct DataLoader {
    dataset: Arc<dyn Dataset>,
    collate: Option<Arc<Collate>>,
    batch_size: usize,
    shuffle: Option<u64>,
    drop_last: bool,
    prefetch: usize,
    workers: usize,
}

impl DataLoader {
    /// Batches of `batch_size` rows (the last one may be smaller), in order, two made ahead on a thread.
    #[must_use]
    pub fn new(dataset: impl Dataset + 'static, batch_size: usize) -> Self {
        Self {
            dataset: Arc::new(dataset),
            collate: None,
            batch_size,
            shuffle: None,
            drop_last: false,
            prefetch: 2,
            workers: 1,
        }
    }

    /// Refuses settings that make no batch.
    pub(crate) fn check(&self) -> Result<()> {
        check::at_least_one("the batch size", self.batch_size)?;
        check::at_least_one("the number of workers", self.workers)
    }

    /// Shuffles the rows in every epoch.
    #[must_use]
    pub fn with_shuffle(mut self, seed: u64) -> Self {
        self.shuffle = Some(seed);
        self
    }

    /// Leaves out a last batch that is not full.
    #[must_use]
    pub fn with_drop_last(mut self) -> Self {
        self.drop_last = true;
        self
    }

    /// How many batches are made ahead; 0 makes them on the calling thread.
    #[must_use]
    pub fn with_prefetch(mut self, batches: usize) -> Self {
        self.prefetch = batches;
        self
    }

    /// Makes batches ahead on so many threads, 1 unless set, and at least one batch on each; they come in
    /// the same order. For data sets that take long for a batch on one thread; [`ImageDataset`] uses all
    /// processors for each batch as it is. Nothing is made ahead with a
    /// [prefetch](DataLoader::with_prefetch) of 0.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use oxilab_nn::{DataLoader, TensorDataset};
    /// let x = Tensor::arange(0f32, 10.0, &Device::Cpu)?.reshape((10, 1))?;
    /// let loader = DataLoader::new(TensorDataset::new(x.clone(), x)?, 4).with_workers(3);
    /// let rows: Vec<Vec<usize>> = loader.epoch(0, 0).map(|batch| Ok(batch?.rows)).collect::<Result<_, oxilab_nn::NnError>>()?;
    /// assert_eq!(rows, [vec![0, 1, 2, 3], vec![4, 5, 6, 7], vec![8, 9]]);
    /// # Ok::<(), oxilab_nn::NnError>(())
    /// ```
    ///
    /// [`ImageDataset`]: crate::ImageDataset
    #[must_use]
    pub fn with_workers(mut self, threads: usize) -> Self {
        self.workers = threads;
        self
    }

    /// Joins the rows of a batch by a function of your own, PyTorch's `collate_fn`: it is given the rows
    /// one by one and makes the batch's input and target, for example of series of different lengths. The
    /// data set is asked for one row at a time then.
    ///
    /// ```
    /// use candle_core::{DType, Device, Tensor};
    /// use oxilab_nn::{Batch, DataLoader, Dataset, error::Result};
    ///
    /// /// Series of one, two, three and four values.
    /// struct Growing;
    ///
    /// impl Dataset for Growing {
    ///     fn len(&self) -> usize {
    ///         4
    ///     }
    ///
    ///     fn batch(&self, rows: &[usize]) -> Result<Batch> {
    ///         let input = Tensor::ones((1, rows[0] + 1), DType::F32, &Device::Cpu)?;
    ///         let target = Tensor::new(&[rows[0] as u32], &Device::Cpu)?;
    ///         Ok(Batch { input, target, rows: rows.to_vec() })
    ///     }
    /// }
    ///
    /// // Zeros behind the shorter ones.
    /// let loader = DataLoader::new(Growing, 3).with_collate(|samples| {
    ///     let longest = samples.iter().map(|one| one.input.elem_count()).max().unwrap_or(0);
    ///     let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    ///     for one in samples {
    ///         inputs.push(one.input.pad_with_zeros(0, 0, longest - one.input.elem_count())?);
    ///         targets.push(one.target.clone());
    ///     }
    ///     Ok((Tensor::stack(&inputs, 0)?, Tensor::stack(&targets, 0)?))
    /// });
    /// let batch = loader.epoch(0, 0).next().expect("a batch")?;
    /// assert_eq!(batch.input.to_vec2::<f32>()?[1], [1.0, 1.0, 0.0]);
    /// assert_eq!(batch.target.to_vec1::<u32>()?, [0, 1, 2]);
    /// # Ok::<(), oxilab_nn::NnError>(())
    /// ```
    #[must_use]
    pub fn with_collate(
        mut self,
        collate: impl Fn(&[Sample]) -> Result<(Tensor, Tensor)> + Send + Sync + 'static,
    ) -> Self {
        self.collate = Some(Arc::new(collate));
        self
    }

    /// The number of batches in an epoch.
    #[must_use]
    pub fn batches(&self) -> usize {
        if self.drop_last {
            self.dataset.len() / self.batch_size.max(1)
        } else {
            self.dataset.len().div_ceil(self.batch_size.max(1))
        }
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.dataset.len()
    }

    /// The batches of an epoch from batch `skip` on.
    #[must_use]
    pub fn epoch(&self, epoch: usize, skip: usize) -> Batches {
        self.batches_of(epoch, skip, true)
    }

    /// All batches for evaluation.
    #[must_use]
    pub fn evaluation(&self) -> Batches {
        self.batches_of(0, 0, false)
    }

    fn batches_of(&self, epoch: usize, skip: usize, train: bool) -> Batches {
        let mut rows: Vec<usize> = (0..self.dataset.len()).collect();
        if let Some(seed) = self.shuffle {
            let seed = seed ^ (epoch as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            rows.shuffle(&mut StdRng::seed_from_u64(seed));
        }
        let mut batches: Vec<Vec<usize>> =
            rows.chunks(self.batch_size.max(1)).map(<[usize]>::to_vec).collect();
        batches.truncate(self.batches());
        let plan = Plan {
            dataset: Arc::clone(&self.dataset),
            collate: self.collate.clone(),
            batches,
            epoch,
            train,
        };
        if let Err(error) = self.check() {
            return Batches::refused(plan, error);
        }
        let threads = if self.prefetch == 0 { 0 } else { self.workers };
        Batches::start(plan, skip, threads, self.prefetch)
    }
}

impl std::fmt::Debug for DataLoader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "DataLoader({} rows, {} batches of {})",
            self.rows(),
            self.batches(),
            self.batch_size
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn loader(prefetch: usize) -> Result<DataLoader> {
        let input = Tensor::arange(0f32, 10.0, &Device::Cpu)?.unsqueeze(1)?;
        let target = Tensor::arange(0u32, 10, &Device::Cpu)?;
        let dataset = TensorDataset::new(input, target)?;
        Ok(DataLoader::new(dataset, 4).with_shuffle(7).with_prefetch(prefetch))
    }

    #[test]
    fn more_threads_give_the_same_batches_in_the_same_order() -> Result<()> {
        let values = |batches: Batches| -> Result<Vec<Vec<Vec<f32>>>> {
            batches.map(|batch| Ok(batch?.input.to_vec2()?)).collect()
        };
        let input = Tensor::arange(0f32, 50.0, &Device::Cpu)?.unsqueeze(1)?;
        let data = TensorDataset::new(input.clone(), input)?;
        let loader = DataLoader::new(data, 4).with_shuffle(7);
        for (workers, prefetch) in [(2, 1), (3, 2), (3, 9), (40, 2)] {
            let many = loader.clone().with_workers(workers).with_prefetch(prefetch);
            for skip in [0, 1, 5, 13, 14] {
                let (ours, theirs) = (values(many.epoch(2, skip))?, values(loader.epoch(2, skip))?);
                assert_eq!(ours, theirs, "{workers} threads, {prefetch} ahead, from {skip}");
            }
        }
        // Nobody waits for batches that nobody wants.
        drop(loader.with_workers(3).epoch(0, 0));
        Ok(())
    }

    /// Pictures of different sizes, as rows of one column.
    struct Uneven;

    impl Dataset for Uneven {
        fn len(&self) -> usize {
            5
        }

        fn batch(&self, rows: &[usize]) -> Result<Batch> {
            let [row] = rows else { panic!("sizes differ: {rows:?}") };
            let input = Tensor::full(u8::try_from(*row).unwrap_or(0), (1, row + 1), &Device::Cpu)?;
            let target = Tensor::arange(0u32, 9, &Device::Cpu)?.narrow(0, *row, 1)?;
            Ok(Batch { input, target, rows: rows.to_vec() })
        }
    }

    #[test]
    fn a_function_of_ones_own_joins_rows_of_different_sizes() -> Result<()> {
        let lengths = |samples: &[Sample]| -> Result<(Tensor, Tensor)> {
            let lengths: Vec<u32> =
                samples.iter().map(|one| u32::try_from(one.input.dims()[0]).unwrap_or(0)).collect();
            let classes: Vec<&Tensor> = samples.iter().map(|one| &one.target).collect();
            assert!(samples.iter().all(|one| one.target.rank() == 0));
            Ok((Tensor::new(lengths.as_slice(), &Device::Cpu)?, Tensor::stack(&classes, 0)?))
        };
        let loader = DataLoader::new(Uneven, 2).with_collate(lengths).with_shuffle(1);
        for loader in [loader.clone(), loader.clone().with_prefetch(0), loader.with_workers(2)] {
            let mut seen = Vec::new();
            for batch in loader.epoch(0, 0) {
                let batch = batch?;
                let rows: Vec<u32> =
                    batch.rows.iter().map(|row| u32::try_from(*row).unwrap_or(0)).collect();
                assert_eq!(batch.target.to_vec1::<u32>()?, rows);
                let lengths: Vec<u32> = rows.iter().map(|row| row + 1).collect();
                assert_eq!(batch.input.to_vec1::<u32>()?, lengths);
                seen.extend(rows);
            }
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2, 3, 4]);
        }
        Ok(())
    }

    #[test]
    fn a_panic_is_an_error_in_the_place_of_its_batch() {
        /// Squares that go wrong at one row.
        struct Bad;

        impl Dataset for Bad {
            fn len(&self) -> usize {
                10
            }

            fn batch(&self, rows: &[usize]) -> Result<Batch> {
                assert!(!rows.contains(&5), "row {} is rotten", 5);
                let x = Tensor::zeros(rows.len(), candle_core::DType::F32, &Device::Cpu)?;
                Ok(Batch { target: x.clone(), input: x, rows: rows.to_vec() })
            }
        }

        let loader = DataLoader::new(Bad, 2);
        let loaders = [
            loader.clone(),
            loader.clone().with_prefetch(0),
            loader.clone().with_workers(3),
            loader
                .with_collate(|samples| Ok((samples[0].input.clone(), samples[0].target.clone()))),
        ];
        for loader in loaders {
            let said: Vec<Result<Batch>> = loader.epoch(3, 1).collect();
            assert_eq!(said.len(), 4, "{loader:?}");
            assert!(said.iter().enumerate().all(|(place, batch)| batch.is_ok() == (place != 1)));
            let error = said[1].as_ref().expect_err("a panic").to_string();
            for part in ["batch 3 of epoch 4", "rows 4, 5", "row 5 is rotten"] {
                assert!(error.contains(part), "{part}: {error}");
            }
            let error = loader.evaluation().find_map(Result::err).expect("a panic").to_string();
            assert!(error.contains("batch 3 of the evaluation"), "{error}");
        }
    }

    fn rows(batches: Batches) -> Result<Vec<Vec<usize>>> {
        batches.map(|batch| batch.map(|batch| batch.rows)).collect()
    }

    #[test]
    fn every_row_comes_once_in_an_order_that_epoch_and_seed_fix() -> Result<()> {
        let first = rows(loader(2)?.epoch(0, 0))?;
        assert_eq!(first.iter().map(Vec::len).collect::<Vec<_>>(), [4, 4, 2]);
        let mut all = first.concat();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        assert_eq!(first, rows(loader(0)?.epoch(0, 0))?);
        assert_ne!(first, rows(loader(0)?.epoch(1, 0))?);
        assert_eq!(first[1..], rows(loader(2)?.epoch(0, 1))?);
        assert_eq!(rows(loader(2)?.with_drop_last().epoch(0, 0))?.len(), 2);
        Ok(())
    }
}
