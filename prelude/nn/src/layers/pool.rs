//! Max pooling with any kernel, stride and padding. candle's own has a backward pass only where kernel
//! and stride are the same, and gives a `kernel²`th of the gradient there (0.11).

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::kernel::{fused, slice, with_slice};
use super::windows::every;

/// The largest value under a `kernel` × `kernel` window of `(rows, channels, height, width)`; nothing
/// beyond the edge counts.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::arange(0f32, 16.0, &Device::Cpu)?.reshape((1, 1, 4, 4))?;
/// let y = oxilab_nn::layers::max_pool2d(&x, 2, 2, 0)?.flatten_all()?.to_vec1::<f32>()?;
/// assert_eq!(y, [5.0, 7.0, 13.0, 15.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the window is larger than the padded picture.
pub fn max_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    let size =
        |size: usize| (size + 2 * padding).checked_sub(kernel).map(|n| n / stride.max(1) + 1);
    let (Some(out_h), Some(out_w)) = (size(height), size(width)) else {
        candle_core::bail!("max_pool2d: a window of {kernel} on pictures of {height} × {width}");
    };
    if stride == 0 || kernel == 0 || padding >= kernel {
        candle_core::bail!("max_pool2d: window {kernel}, stride {stride}, padding {padding}");
    }
    if !fused(x) {
        return composed(x, kernel, stride, padding, (out_h, out_w));
    }
    x.contiguous()?.apply_op1(PoolOp {
        kernel,
        stride,
        padding,
        size: (height, width),
        out: (out_h, out_w),
    })
}

/// The largest of the places under the window, one place for all windows at a time.
fn composed(
    x: &Tensor,
    kernel: usize,
    stride: usize,
    padding: usize,
    (out_h, out_w): (usize, usize),
) -> Result<Tensor> {
    let padded = |x: Tensor, dim: usize| -> Result<Tensor> {
        if padding == 0 {
            return Ok(x);
        }
        let mut shape = x.dims().to_vec();
        shape[dim] = padding;
        let edge = Tensor::full(f32::NEG_INFINITY, shape, x.device())?.to_dtype(x.dtype())?;
        Tensor::cat(&[&edge, &x, &edge], dim)
    };
    let x = padded(padded(x.clone(), 2)?, 3)?;
    let mut largest: Option<Tensor> = None;
    for ky in 0..kernel {
        let lines = every(&x, 2, ky, stride, out_h)?;
        for kx in 0..kernel {
            let values = every(&lines, 3, kx, stride, out_w)?;
            largest = Some(match largest {
                Some(largest) => largest.maximum(&values)?,
                None => values,
            });
        }
    }
    // The kernel is not empty.
    largest.map_or_else(|| Ok(x), Ok)
}

/// The mean of each picture: `(rows, channels)`.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[1f32, 2.0, 3.0, 6.0], &Device::Cpu)?.reshape((1, 1, 2, 2))?;
/// assert_eq!(oxilab_nn::layers::global_mean(&x)?.to_vec2::<f32>()?, [[3.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the tensor has not four dimensions.
pub fn global_mean(x: &Tensor) -> Result<Tensor> {
    x.flatten_from(2)?.mean(2)
}

struct PoolOp {
    kernel: usize,
    stride: usize,
    padding: usize,
    size: (usize, usize),
    out: (usize, usize),
}

impl PoolOp {
    /// Calls `f(place, input place of the largest value)` for every window of a plane.
    fn windows(&self, plane: &[f32], mut f: impl FnMut(usize, usize)) {
        let (height, width) = self.size;
        let range = |at: usize, size: usize| {
            let (start, end) = (at * self.stride, at * self.stride + self.kernel);
            // The padding is less than the kernel, so that a window always holds a value.
            start.saturating_sub(self.padding)..(end - self.padding).min(size)
        };
        for oy in 0..self.out.0 {
            let ys = range(oy, height);
            for ox in 0..self.out.1 {
                let xs = range(ox, width);
                let mut best = ys.start * width + xs.start;
                for y in ys.clone() {
                    for place in y * width + xs.start..y * width + xs.end {
                        // Not a number is passed on, as in PyTorch.
                        if plane[place] > plane[best] || plane[place].is_nan() {
                            best = place;
                        }
                    }
                }
                f(oy * self.out.1 + ox, best);
            }
        }
    }
}

impl CustomOp1 for PoolOp {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout)?;
        let dims = layout.dims();
        let (size, places) = (self.size.0 * self.size.1, self.out.0 * self.out.1);
        let mut out = vec![0f32; dims[0] * dims[1] * places];
        if size > 0 && places > 0 {
            x.par_chunks_exact(size).zip(out.par_chunks_exact_mut(places)).for_each(|(x, out)| {
                self.windows(x, |place, best| out[place] = x[best]);
            });
        }
        Ok((CpuStorage::F32(out), Shape::from((dims[0], dims[1], self.out.0, self.out.1))))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (size, places) = (self.size.0 * self.size.1, self.out.0 * self.out.1);
        let mut dx = vec![0f32; x.elem_count()];
        with_slice(x, |x| {
            with_slice(grad, |grad| {
                if size > 0 && places > 0 {
                    dx.par_chunks_exact_mut(size)
                        .zip(x.par_chunks_exact(size).zip(grad.par_chunks_exact(places)))
                        .for_each(|(dx, (x, grad))| {
                            self.windows(x, |place, best| dx[best] += grad[place]);
                        });
                }
                Ok(())
            })
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;

    use crate::gradcheck::{check, normal};

    #[test]
    fn pooling_has_the_right_values_and_gradients() -> Result<()> {
        let x = normal(&[2, 2, 6, 4], 1)?;
        let theirs = x.max_pool2d_with_stride(2, 2)?;
        let apart = (max_pool2d(&x, 2, 2, 0)? - theirs)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(apart < 1e-9);
        assert_eq!(max_pool2d(&x, 3, 2, 1)?.dims(), [2, 2, 3, 2]);
        check(std::slice::from_ref(&x), |t| max_pool2d(&t[0], 2, 2, 0)?.tanh())?;
        check(&[x], |t| max_pool2d(&t[0], 3, 2, 1)?.tanh())
    }

    #[test]
    fn what_is_composed_for_other_devices_has_the_same_values_and_gradients() -> Result<()> {
        // Windows that overlap, with and without padding; beside each other, up to the edge and not.
        for (kernel, stride, padding, size) in [
            (3, 2, 1, (7, 5)),
            (3, 2, 0, (7, 5)),
            (2, 1, 0, (7, 5)),
            (2, 2, 0, (7, 5)),
            (2, 2, 0, (6, 4)),
            (3, 3, 1, (7, 5)),
        ] {
            let x = normal(&[2, 2, size.0, size.1], 1)?;
            let fused = max_pool2d(&x, kernel, stride, padding)?;
            let wide = x.to_dtype(DType::F64)?;
            let composed = max_pool2d(&wide, kernel, stride, padding)?.to_dtype(DType::F32)?;
            assert_eq!(
                fused.flatten_all()?.to_vec1::<f32>()?,
                composed.flatten_all()?.to_vec1::<f32>()?
            );
            let gradient = |y: &Tensor| -> Result<Vec<f32>> {
                let grads = y.tanh()?.sum_all()?.backward()?;
                grads.get(&x).expect("a gradient").flatten_all()?.to_vec1()
            };
            for (ours, theirs) in gradient(&composed)?.iter().zip(gradient(&fused)?) {
                assert!((ours - theirs).abs() < 1e-6, "{kernel} {stride} {padding}");
            }
        }
        Ok(())
    }
}
