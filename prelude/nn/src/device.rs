//! The fastest device at hand: [`DeviceExt::best`]; variables on another one: [`moved`].

use std::panic::catch_unwind;
use std::sync::OnceLock;

use candle_core::{Device, Result, Var};

/// What candle's [`Device`] lacks.
pub trait DeviceExt {
    /// CUDA's first device, else Metal's, else the CPU. The first two want this crate's features `cuda`
    /// and `metal`. It is one device however often it is asked for: candle does not bring tensors of two
    /// together.
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
        static BEST: OnceLock<Device> = OnceLock::new();
        BEST.get_or_init(find).clone()
    }
}

fn find() -> Device {
    // One stream for all threads: loaders and language models compute on others than the cell's, and what is
    // done in two streams has no order.
    if let Ok(cuda) = Device::new_cuda_with_stream(0) {
        return cuda;
    }
    // candle's list of Metal devices panics where there is none.
    let metal = catch_unwind(|| Device::new_metal(0));
    metal.ok().and_then(Result::ok).unwrap_or(Device::Cpu)
}

/// The variable on a device: itself where it is there, else a copy.
///
/// ```
/// use candle_core::{Device, Var};
/// use oxilab_nn::device::moved;
/// let var = Var::new(&[1f32], &Device::Cpu)?;
/// moved(&var, &Device::Cpu)?.set(&var.affine(2.0, 0.0)?)?;
/// assert_eq!(var.to_vec1::<f32>()?, [2.0], "both are one variable");
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the device has no room for it.
pub fn moved(var: &Var, device: &Device) -> Result<Var> {
    if var.device().same_device(device) {
        return Ok(var.clone());
    }
    Var::from_tensor(&var.as_detached_tensor().to_device(device)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Trainable;
    use crate::{Cnn, Mlp, ResNet};

    #[test]
    fn without_a_gpu_it_is_the_cpu() {
        let gpu = cfg!(any(feature = "cuda", feature = "metal"));
        assert!(Device::best().is_cpu() || gpu);
        assert!(Device::best().same_device(&Device::best()));
    }

    #[test]
    fn nets_are_made_on_the_best_device_and_move_whole() -> crate::error::Result<()> {
        fn moves<N: Trainable>(net: &N, to: impl Fn(&N) -> Result<N>) -> Result<()> {
            let every = |net: &N| net.vars().into_iter().chain(net.buffers()).collect::<Vec<_>>();
            let there = to(net)?;
            assert!(!net.vars().is_empty() && net.device().same_device(&Device::best()));
            for ((name, var), (same, copy)) in every(net).into_iter().zip(every(&there)) {
                assert_eq!(name, same);
                assert!(var.device().same_device(&Device::best()) && copy.device().is_cpu());
                // On the device that they are on already, both are one variable.
                copy.set(&(copy.ones_like()? * 7.5)?)?;
                let values = var.flatten_all()?.to_vec1::<f32>()?;
                let shared = values.into_iter().all(|value| value > 7.0);
                assert_eq!(shared, Device::best().is_cpu(), "{name}");
            }
            Ok(())
        }

        moves(&Mlp::new(2, &[3], 1, 0)?.with_dropout(0.1), |net| net.to_device(&Device::Cpu))?;
        moves(&Cnn::new(1, 4, &[2, 3], 2, 0)?, |net| net.to_device(&Device::Cpu))?;
        moves(&ResNet::small(1, &[2, 3], 1, 2, 0)?, |net| net.to_device(&Device::Cpu))?;
        Ok(())
    }
}
