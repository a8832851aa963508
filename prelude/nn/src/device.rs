//! The fastest device at hand: [`DeviceExt::best`].

use candle_core::Device;

/// What candle's [`Device`] lacks.
pub trait DeviceExt {
    /// CUDA's first device, else Metal's, else the CPU. The first two want this crate's features `cuda`
    /// and `metal`.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use oxilab_nn::DeviceExt as _;
    /// let x = Tensor::new(&[1f32, 2.0], &Device::best())?;
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    fn best() -> Device;
}

impl DeviceExt for Device {
    fn best() -> Device {
        Device::new_cuda(0).or_else(|_| Device::new_metal(0)).unwrap_or(Device::Cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_gpu_it_is_the_cpu() {
        let gpu = cfg!(any(feature = "cuda", feature = "metal"));
        assert!(Device::best().is_cpu() || gpu);
    }
}
