//! Results that candle has computed, with a backward pass of ours: [`given`], [`given_of_two`].
//!
//! Whoever brings candle a backward pass has to bring a forward pass for each kind of device, too. Here that
//! is candle's own operations, outside of the graph.

use std::sync::{Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp2, Layout, MetalStorage, Result, Shape, Storage,
    Tensor,
};

/// A result of `x` whose gradient goes back as `backward` says: it is given `x` and the result's gradient,
/// and gives that of `x`.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use oxilab_nn::layers::given;
/// let x = Var::new(&[1f32, 2.0], &Device::Cpu)?;
/// // A step is flat everywhere; the straight-through estimator passes gradients on as they are.
/// let y = given(&x, x.detach().round()?, |_, grad| Ok(grad.clone()))?;
/// let grads = y.sum_all()?.backward()?;
/// assert_eq!(grads.get(&x).expect("a gradient").to_vec1::<f32>()?, [1.0, 1.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the result is on another device than `x`.
pub fn given(
    x: &Tensor,
    result: Tensor,
    backward: impl Fn(&Tensor, &Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    x.apply_op1(Given { result: Mutex::new(Some(result)), backward })
}

/// As [`given`], of two tensors; `backward` gives the gradients of those that have one.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use oxilab_nn::layers::given_of_two;
/// let (x, y) = (Var::new(3f32, &Device::Cpu)?, Var::new(4f32, &Device::Cpu)?);
/// let product = x.detach().mul(&y.detach())?;
/// let product = given_of_two(&x, &y, product, |x, y, grad| {
///     Ok((Some(grad.mul(y)?), Some(grad.mul(x)?)))
/// })?;
/// let grads = product.backward()?;
/// assert_eq!(grads.get(&x).expect("a gradient").to_scalar::<f32>()?, 4.0);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the result is on another device than the tensors.
pub fn given_of_two(
    x: &Tensor,
    y: &Tensor,
    result: Tensor,
    backward: impl Fn(&Tensor, &Tensor, &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)>
    + Send
    + Sync
    + 'static,
) -> Result<Tensor> {
    x.apply_op2(y, Given { result: Mutex::new(Some(result)), backward })
}

struct Given<F> {
    /// Handed out once, so that it is not held beside the graph's.
    result: Mutex<Option<Tensor>>,
    backward: F,
}

impl<F> Given<F> {
    fn hand_out<S: BackendStorage>(
        &self,
        of: impl Fn(&Storage) -> Option<&S>,
    ) -> Result<(S, Shape)> {
        let held = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(result) = held else { candle_core::bail!("a result that was handed out before") };
        // candle takes the storage as it is, so it has to be the result and nothing else.
        let whole = result.is_contiguous() && result.layout().start_offset() == 0;
        let result = if whole { result } else { result.force_contiguous()? };
        let (storage, layout) = result.storage_and_layout();
        match of(&storage) {
            Some(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            None => candle_core::bail!("a result on another device than what it is of"),
        }
    }

    fn on_cpu(&self) -> Result<(CpuStorage, Shape)> {
        self.hand_out(|storage| match storage {
            Storage::Cpu(storage) => Some(storage),
            _ => None,
        })
    }

    fn on_cuda(&self) -> Result<(CudaStorage, Shape)> {
        self.hand_out(|storage| match storage {
            Storage::Cuda(storage) => Some(storage),
            _ => None,
        })
    }

    fn on_metal(&self) -> Result<(MetalStorage, Shape)> {
        self.hand_out(|storage| match storage {
            Storage::Metal(storage) => Some(storage),
            _ => None,
        })
    }
}

impl<F: Fn(&Tensor, &Tensor) -> Result<Tensor>> CustomOp1 for Given<F> {
    fn name(&self) -> &'static str {
        "given"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn metal_fwd(&self, _: &MetalStorage, _: &Layout) -> Result<(MetalStorage, Shape)> {
        self.on_metal()
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        (self.backward)(x, grad).map(Some)
    }
}

impl<F> CustomOp2 for Given<F>
where
    F: Fn(&Tensor, &Tensor, &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)>,
{
    fn name(&self) -> &'static str {
        "given"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.on_cuda()
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        self.on_metal()
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        (self.backward)(x, y, grad)
    }
}
