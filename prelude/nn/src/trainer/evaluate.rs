//! Measuring the model without training it.

use candle_core::{DType, Tensor};
use oxilab_runtime::cancel;

use super::Trainer;
use crate::error::{NnError, Result};
use crate::loader::{Batch, DataLoader};
use crate::model::{Mode, Trainable};

impl<M: Trainable> Trainer<M> {
    /// Loss and metric on all rows of a loader.
    ///
    /// # Errors
    /// When the loader is empty, a shape does not fit, or the user interrupts.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    pub fn evaluate(&self, loader: &DataLoader) -> Result<Vec<(String, f64)>> {
        let (mut loss, mut metric, mut rows) = (0.0, None, 0usize);
        for batch in loader.evaluation() {
            if cancel::requested() {
                return Err(self.position.interrupted());
            }
            let batch = batch?;
            let count = batch.rows.len();
            let (input, target) = self.inputs(&batch)?;
            let output = self.model.forward(&input, Mode::eval())?.to_dtype(DType::F32)?;
            let value = self.loss.of(&output, &target)?;
            loss += f64::from(value.to_scalar::<f32>()?) * count as f64;
            if let Some((name, sum)) = self.loss.metric(&output, &target)? {
                metric = Some((name, metric.map_or(0.0, |(_, before)| before) + sum));
            }
            rows += count;
        }
        if rows == 0 {
            return Err(NnError::NoData);
        }
        let mut metrics = vec![("loss".to_owned(), loss / rows as f64)];
        metrics.extend(metric.map(|(name, sum)| (name.to_owned(), sum / rows as f64)));
        Ok(metrics)
    }

    /// The batch where the model is, in the precision that the device computes in.
    pub(super) fn inputs(&self, batch: &Batch) -> Result<(Tensor, Tensor)> {
        let device = self.model.device();
        // Metal has no `f64`.
        let there = |tensor: &Tensor| match tensor.dtype() {
            DType::F64 if device.is_metal() => tensor.to_dtype(DType::F32)?.to_device(&device),
            _ => tensor.to_device(&device),
        };
        let (input, target) = (there(&batch.input)?, there(&batch.target)?);
        let casts = self.casts_on_cpu || !device.is_cpu();
        let casts = casts && self.precision != DType::F32 && input.dtype() == DType::F32;
        Ok((if casts { input.to_dtype(self.precision)? } else { input }, target))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::{Cnn, Loss, Mlp, Optimizer, TensorDataset};

    fn values<M: Trainable>(trainer: &Trainer<M>) -> Result<Vec<f32>> {
        let mut values = Vec::new();
        for (_, var) in trainer.state() {
            assert_eq!(var.dtype(), DType::F32, "parameters are held whole");
            values.extend(var.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(values)
    }

    fn line() -> Result<DataLoader> {
        let x = Tensor::arange(0f32, 32.0, &Device::Cpu)?.reshape((32, 1))?.affine(0.06, -1.0)?;
        Ok(DataLoader::new(TensorDataset::new(x.clone(), x.sqr()?)?, 8).with_shuffle(1))
    }

    fn perceptron() -> Result<Trainer<Mlp>> {
        let net = Mlp::new(1, &[16], 1, 1)?;
        Ok(Trainer::new(net, Optimizer::adam(0.01), Loss::Mse).with_epochs(20).quiet())
    }

    #[test]
    fn mixed_precision_changes_nothing_on_the_cpu() -> Result<()> {
        let (mut whole, mut mixed) = (perceptron()?, perceptron()?.with_mixed_precision());
        assert_eq!(whole.fit(&line()?)?, mixed.fit(&line()?)?);
        assert_eq!(values(&whole)?, values(&mixed)?);
        Ok(())
    }

    /// What other devices do, with `f16` in the place of `bf16`, in which candle's CPU multiplies nothing.
    #[test]
    fn the_cast_path_trains_nearly_as_the_whole_one() -> Result<()> {
        let (mut whole, mut mixed) = (perceptron()?, perceptron()?);
        (mixed.precision, mixed.casts_on_cpu) = (DType::F16, true);
        let (ours, theirs) = (mixed.fit(&line()?)?, whole.fit(&line()?)?);
        let losses = [&ours, &theirs].map(|history| history.metric("train_loss"));
        assert_ne!(losses[0], losses[1], "it was computed in halves");
        let [ours, theirs] = losses.map(|losses| losses[losses.len() - 1]);
        assert!(theirs < 0.1 && (ours - theirs).abs() < 0.1 * theirs, "{ours} {theirs}");
        let ours = mixed.evaluate(&line()?)?[0].1;
        assert!((ours - theirs).abs() < 0.2 * theirs, "{ours} {theirs}");
        let apart = values(&mixed)?.into_iter().zip(values(&whole)?).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f32::max) < 0.05);
        Ok(())
    }

    #[test]
    fn convolutions_and_statistics_are_trained_on_the_cast_path_too() -> Result<()> {
        let pixels: Vec<f32> = (0..24 * 64u16).map(|i| f32::from(i * 37 % 101) / 101.0).collect();
        let pixels = Tensor::from_vec(pixels, (24, 1, 8, 8), &Device::Cpu)?;
        let classes =
            Tensor::from_vec((0..24u32).map(|i| i % 3).collect::<Vec<_>>(), 24, &Device::Cpu)?;
        let loader = DataLoader::new(TensorDataset::new(pixels, classes)?, 8).with_shuffle(1);
        let run = |half: bool| -> Result<Trainer<Cnn>> {
            let net = Cnn::new(1, 8, &[4, 4], 3, 1)?;
            let mut run = Trainer::new(net, Optimizer::sgd(0.05), Loss::CrossEntropy);
            if half {
                (run.precision, run.casts_on_cpu) = (DType::F16, true);
            }
            let mut run = run.with_epochs(3).quiet();
            run.fit(&loader)?;
            Ok(run)
        };
        let (whole, mixed) = (values(&run(false)?)?, values(&run(true)?)?);
        let apart = mixed.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart > 0.0 && apart < 0.05, "{apart}");
        Ok(())
    }
}
