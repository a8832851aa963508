//! Tensors of candle: shape, type, device, values and small statistics.

use std::fmt::Write as _;

use candle_core::{DType, Device, DeviceLocation, Tensor, Var};
use oxilab_runtime::MimeBundle;

use crate::render::Render;
use crate::table::{escape, thousands};

/// Beyond this many elements the statistics are left out: they read every value.
const STATISTICS_LIMIT: usize = 1 << 24;
/// Elements converted to `f64` at a time.
const CHUNK: usize = 1 << 16;

/// What the values of a tensor look like, over the values that are not NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TensorStatistics {
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation of the values as a whole population.
    pub std: f64,
    /// How many values are NaN.
    pub nans: usize,
}

impl TensorStatistics {
    /// Statistics of all elements; `None` for an empty tensor or one of NaNs only.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use oxilab_display::TensorStatistics;
    ///
    /// let tensor = Tensor::new(&[[1f32, 2.0], [3.0, f32::NAN]], &Device::Cpu)?;
    /// let statistics = TensorStatistics::of(&tensor)?.expect("has values");
    /// assert_eq!((statistics.min, statistics.max, statistics.mean), (1.0, 3.0, 2.0));
    /// assert_eq!(statistics.nans, 1);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// When the tensor cannot be copied to the CPU or converted to `f64`.
    pub fn of(tensor: &Tensor) -> candle_core::Result<Option<Self>> {
        let flat = tensor.detach().to_device(&Device::Cpu)?.flatten_all()?;
        let length = flat.elem_count();
        let (mut count, mut nans) = (0.0, 0);
        let (mut min, mut max) = (f64::INFINITY, f64::NEG_INFINITY);
        // Welford's update: one pass and no cancellation for values far from zero.
        let (mut mean, mut squares) = (0.0, 0.0);
        let mut start = 0;
        while start < length {
            let size = CHUNK.min(length - start);
            for value in flat.narrow(0, start, size)?.to_dtype(DType::F64)?.to_vec1::<f64>()? {
                if value.is_nan() {
                    nans += 1;
                    continue;
                }
                count += 1.0;
                min = min.min(value);
                max = max.max(value);
                let delta = value - mean;
                mean += delta / count;
                squares += delta * (value - mean);
            }
            start += size;
        }
        let std = f64::sqrt(squares / count);
        Ok((count > 0.0).then_some(Self { min, max, mean, std, nans }))
    }

    fn line(&self) -> String {
        let mut line = format!(
            "min {}  max {}  mean {}  std {}",
            short(self.min),
            short(self.max),
            short(self.mean),
            short(self.std)
        );
        if self.nans > 0 {
            let _ = write!(line, "  NaN {}", thousands(self.nans));
        }
        line
    }
}

impl Render for Tensor {
    fn render(&self) -> MimeBundle {
        let head = format!(
            "Tensor {:?} {} on {}",
            self.dims(),
            self.dtype().as_str(),
            device_name(self.device())
        );
        let values = values(self);
        let statistics = (self.dtype().is_float()
            && self.elem_count() > 1
            && self.elem_count() <= STATISTICS_LIMIT)
            .then(|| TensorStatistics::of(self).ok().flatten())
            .flatten()
            .map(|statistics| statistics.line());
        let mut text = format!("{head}\n{values}");
        let mut html = format!(
            "<div><b>Tensor</b> {}</div><pre style=\"margin:0;padding:2px 8px\">{}</pre>",
            escape(head.trim_start_matches("Tensor ")),
            escape(&values)
        );
        if let Some(line) = statistics {
            text = format!("{text}\n{line}");
            html = format!("{html}<div style=\"font-size:85%;opacity:.7\">{}</div>", escape(&line));
        }
        MimeBundle::text(text).with_html(format!("<div>{html}</div>"))
    }
}

impl Render for Var {
    fn render(&self) -> MimeBundle {
        self.as_tensor().render()
    }
}

/// `cpu`, `cuda:0`, `metal:0`.
#[must_use]
pub fn device_name(device: &Device) -> String {
    match device.location() {
        DeviceLocation::Cpu => "cpu".to_owned(),
        DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
    }
}

/// candle's own layout of the values (as Python's torch cuts them), without its last line, which repeats
/// shape and type.
fn values(tensor: &Tensor) -> String {
    let shown = tensor.to_string();
    match shown.rsplit_once('\n') {
        Some((values, last)) if last.starts_with("Tensor[") => values.to_owned(),
        _ => shown,
    }
}

fn short(value: f64) -> String {
    if value == 0.0 || (1e-3..1e6).contains(&value.abs()) {
        let fixed = format!("{value:.4}");
        fixed.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.3e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_tensor_shows_shape_values_and_statistics() {
        let tensor = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).expect("tensor");
        let bundle = tensor.render();
        let plain = bundle.plain();
        assert!(plain.starts_with("Tensor [2, 2] f32 on cpu\n"), "{plain}");
        assert!(plain.contains("[1., 2.]"), "{plain}");
        assert!(plain.ends_with("min 1  max 4  mean 2.5  std 1.118"), "{plain}");
        assert!(!plain.contains("Tensor[["), "{plain}");
        assert!(bundle.data.contains_key("text/html"));
    }

    #[test]
    fn integers_scalars_and_empty_tensors_have_no_statistics() {
        for tensor in [
            Tensor::new(&[1u8, 2], &Device::Cpu).expect("tensor"),
            Tensor::new(1f32, &Device::Cpu).expect("tensor"),
            Tensor::zeros((0, 3), DType::F32, &Device::Cpu).expect("tensor"),
        ] {
            assert!(!tensor.render().plain().contains("mean"), "{}", tensor.render().plain());
        }
    }

    #[test]
    fn a_large_tensor_is_cut_and_still_summed_up() {
        let tensor = Tensor::arange(0f32, 200_000.0, &Device::Cpu)
            .and_then(|tensor| tensor.reshape((400, 500)))
            .expect("tensor");
        let plain = tensor.t().expect("transposed").render().plain().to_owned();
        assert!(plain.len() < 2000, "{}", plain.len());
        assert!(plain.contains("max 199999  mean 99999.5"), "{plain}");
    }
}
