//! Measuring the model without training it.

use candle_core::{DType, Device, Tensor};
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
            let batch = batch?;
            if cancel::requested() {
                let (epoch, step) = (self.position.epoch, self.position.step);
                return Err(NnError::Interrupted { epoch, step });
            }
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
        let device = self.model.vars().first().map_or(Device::Cpu, |(_, var)| var.device().clone());
        let (input, target) = (batch.input.to_device(&device)?, batch.target.to_device(&device)?);
        let cast = self.precision != DType::F32 && !device.is_cpu() && input.dtype() == DType::F32;
        Ok((if cast { input.to_dtype(self.precision)? } else { input }, target))
    }
}
