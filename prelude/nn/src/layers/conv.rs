//! Convolutions whose gradients are matrix products as well. candle's own backward pass goes through a
//! transposed convolution value by value.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Device, Layout, Result, Shape, Tensor, Var};
use rand::Rng;
use rayon::prelude::*;

use super::given::given_of_two;
use super::kernel::{fused, slice, with_slice};
use super::product::{Fill, Matrix, product, threads};
use super::windows::Windows;
use crate::device::moved;
use crate::init;

/// Convolution of `x` `(rows, channels, height, width)` with `weight`
/// `(outputs, channels, kernel, kernel)` and a bias `(outputs)`, if any; zeros around the picture.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use oxilab_nn::layers::conv2d;
/// let picture = Tensor::ones((1, 1, 3, 3), DType::F32, &Device::Cpu)?;
/// let sum = Tensor::ones((1, 1, 3, 3), DType::F32, &Device::Cpu)?;
/// let y = conv2d(&picture, &sum, None, 1, 1)?.flatten_all()?.to_vec1::<f32>()?;
/// assert_eq!(y, [4.0, 6.0, 4.0, 6.0, 9.0, 6.0, 4.0, 6.0, 4.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes do not fit.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let geometry = Geometry::of(x.dims(), weight.dims(), stride, padding)?;
    if bias.is_some_and(|bias| bias.dims() != [geometry.outputs]) {
        candle_core::bail!("conv2d: a bias {:?} for {} outputs", bias, geometry.outputs);
    }
    if fused(x) && fused(weight) {
        let (x, weight, op) = (x.contiguous()?, weight.contiguous()?, ConvOp(geometry));
        return match bias {
            Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, op),
            None => x.apply_op2(&weight, op),
        };
    }
    let y = composed(x, &weight.to_dtype(x.dtype())?, geometry)?;
    match bias {
        Some(bias) => {
            let bias = bias.to_dtype(x.dtype())?.reshape((1, geometry.outputs, 1, 1))?;
            y.broadcast_add(&bias)
        }
        None => Ok(y),
    }
}

/// The convolution by candle's operations. On Metal candle's own backward pass multiplies by a kernel in the
/// wrong order (0.11).
fn composed(x: &Tensor, weight: &Tensor, geometry: Geometry) -> Result<Tensor> {
    let Geometry { kernel, stride, padding, .. } = geometry;
    let windows = |reach| Windows { reach, stride, padding };
    let (x, padding) = match stride {
        1 => (x.contiguous()?, padding),
        _ => (windows(kernel.1).seen(&windows(kernel.0).seen(x, 2)?, 3)?.contiguous()?, 0),
    };
    let y = x.detach().conv2d(&weight.detach(), padding, stride, 1, 1)?;
    given_of_two(&x, weight, y, move |x, weight, grad| {
        let grad = grad.contiguous()?;
        let to_x = || grad.conv_transpose2d(&weight.contiguous()?, padding, 0, stride, 1);
        let to_weight = || {
            let swapped = |tensor: &Tensor| tensor.transpose(0, 1)?.contiguous();
            // The gradient's places lie as far apart as the windows.
            swapped(x)?.conv2d(&swapped(&grad)?, padding, 1, stride, 1)?.transpose(0, 1)
        };
        let if_followed =
            |of: &Tensor, make: &dyn Fn() -> Result<Tensor>| of.track_op().then(make).transpose();
        Ok((if_followed(x, &to_x)?, if_followed(weight, &to_weight)?))
    })
}

#[derive(Clone, Copy, Debug)]
struct Geometry {
    rows: usize,
    channels: usize,
    height: usize,
    width: usize,
    outputs: usize,
    kernel: (usize, usize),
    stride: usize,
    padding: usize,
    out: (usize, usize),
}

impl Geometry {
    fn of(x: &[usize], weight: &[usize], stride: usize, padding: usize) -> Result<Self> {
        let (&[rows, channels, height, width], &[outputs, inputs, kh, kw]) = (x, weight) else {
            candle_core::bail!("conv2d: {x:?} with a weight {weight:?}; both have four dimensions");
        };
        let size = |size: usize, kernel: usize| {
            (size + 2 * padding).checked_sub(kernel).map(|left| left / stride.max(1) + 1)
        };
        let (Some(out_h), Some(out_w)) = (size(height, kh), size(width, kw)) else {
            candle_core::bail!("conv2d: a kernel {kh} × {kw} on pictures of {height} × {width}");
        };
        if inputs != channels || stride == 0 || kh == 0 || kw == 0 {
            candle_core::bail!("conv2d: {x:?} with a weight {weight:?} and stride {stride}");
        }
        Ok(Self {
            rows,
            channels,
            height,
            width,
            outputs,
            kernel: (kh, kw),
            stride,
            padding,
            out: (out_h, out_w),
        })
    }

    fn picture(&self) -> usize {
        self.channels * self.height * self.width
    }

    fn places(&self) -> usize {
        self.out.0 * self.out.1
    }

    /// Values under the kernel.
    fn patch(&self) -> usize {
        self.channels * self.kernel.0 * self.kernel.1
    }

    /// Whether the patches are the picture itself.
    fn plain(&self) -> bool {
        self.kernel == (1, 1) && self.stride == 1 && self.padding == 0
    }

    /// For output column 0.., the input columns of kernel column `kx` that are inside: output range
    /// and the first input column.
    fn inside(&self, kx: usize, size: usize, out: usize) -> (usize, usize, usize) {
        let first = self.padding.saturating_sub(kx).div_ceil(self.stride);
        let end = (size + self.padding).saturating_sub(kx).div_ceil(self.stride).min(out);
        let first = first.min(end);
        (first, end, (first * self.stride + kx).saturating_sub(self.padding))
    }

    /// Calls `f(row of patches, place, input place, count)` for every run of values.
    fn runs(&self, mut f: impl FnMut(usize, usize, usize, usize)) {
        let (kh, kw) = self.kernel;
        for channel in 0..self.channels {
            for ky in 0..kh {
                let (top, bottom, first_y) = self.inside(ky, self.height, self.out.0);
                for kx in 0..kw {
                    let (left, right, first_x) = self.inside(kx, self.width, self.out.1);
                    if left == right {
                        continue;
                    }
                    let row = (channel * kh + ky) * kw + kx;
                    for oy in top..bottom {
                        let y = first_y + (oy - top) * self.stride;
                        let from = (channel * self.height + y) * self.width + first_x;
                        f(row, oy * self.out.1 + left, from, right - left);
                    }
                }
            }
        }
    }

    /// The patches of a picture as a matrix `(patch, places)`.
    fn spread(&self, picture: &[f32], patches: &mut [f32]) {
        if self.padding > 0 {
            patches.fill(0.0);
        }
        let places = self.places();
        self.runs(|row, place, from, count| {
            let to = &mut patches[row * places + place..][..count];
            if self.stride == 1 {
                to.copy_from_slice(&picture[from..from + count]);
            } else {
                let steps = picture[from..].iter().step_by(self.stride);
                to.iter_mut().zip(steps).for_each(|(to, value)| *to = *value);
            }
        });
    }

    /// Adds patches up to a picture: what [`Geometry::spread`] is the transpose of.
    fn gather(&self, patches: &[f32], picture: &mut [f32]) {
        let places = self.places();
        self.runs(|row, place, to, count| {
            let from = &patches[row * places + place..][..count];
            let steps = picture[to..].iter_mut().step_by(self.stride);
            steps.zip(from).for_each(|(sum, value)| *sum += value);
        });
    }
}

struct ConvOp(Geometry);

/// Groups of rows with a sum of their own, whatever the number of threads: the result is the same bits.
const GROUPS: usize = 8;

impl ConvOp {
    fn forward(&self, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let g = &self.0;
        let (places, patch) = (g.places(), g.patch());
        let mut out = vec![0f32; g.rows * g.outputs * places];
        if out.is_empty() {
            return out;
        }
        // Few pictures: the threads share each product.
        let inner = if g.rows < threads() { threads() } else { 1 };
        let weight = Matrix::new(weight, g.outputs, patch);
        let one = |buffer: &mut Vec<f32>, picture: &[f32], out: &mut [f32]| {
            if let Some(bias) = bias {
                out.chunks_exact_mut(places).zip(bias).for_each(|(out, bias)| out.fill(*bias));
            }
            let into = if bias.is_some() { Fill::Add } else { Fill::Replace };
            let patches = if g.plain() {
                picture
            } else {
                buffer.resize(patch * places, 0.0);
                g.spread(picture, buffer);
                buffer
            };
            product(weight, Matrix::new(patches, patch, places), out, places, into, inner);
        };
        let pictures = x.chunks_exact(g.picture());
        if inner > 1 || threads() == 1 {
            let mut buffer = Vec::new();
            let pairs = pictures.zip(out.chunks_exact_mut(g.outputs * places));
            pairs.for_each(|(picture, out)| one(&mut buffer, picture, out));
        } else {
            x.par_chunks_exact(g.picture())
                .zip(out.par_chunks_exact_mut(g.outputs * places))
                .for_each_init(Vec::new, |buffer, (picture, out)| one(buffer, picture, out));
        }
        out
    }

    /// The gradients of picture (if wanted), weight and bias.
    fn backward(
        &self,
        x: &[f32],
        weight: &[f32],
        grad: &[f32],
        to_picture: bool,
    ) -> (Option<Vec<f32>>, Vec<f32>, Vec<f32>) {
        let g = &self.0;
        let (places, patch) = (g.places(), g.patch());
        let mut dx = vec![0f32; if to_picture { x.len() } else { 0 }];
        let (mut dw, mut db) = (vec![0f32; weight.len()], vec![0f32; g.outputs]);
        if grad.is_empty() || x.is_empty() {
            return (to_picture.then_some(dx), dw, db);
        }
        let weight = Matrix::new(weight, g.outputs, patch);
        let group = g.rows.div_ceil(GROUPS);
        let picture_size = if to_picture { g.picture() } else { 0 };
        // With no gradient for pictures every group gets an empty part.
        let mut rest = &mut dx[..];
        let parts: Vec<&mut [f32]> = (0..g.rows.div_ceil(group))
            .map(|number| {
                let rows = group.min(g.rows - number * group);
                let (part, after) = std::mem::take(&mut rest).split_at_mut(rows * picture_size);
                rest = after;
                part
            })
            .collect();
        let sums: Vec<(Vec<f32>, Vec<f32>)> = parts
            .into_par_iter()
            .enumerate()
            .map(|(number, dx)| {
                let mut dw = vec![0f32; g.outputs * patch];
                let mut db = vec![0f32; g.outputs];
                let mut patches = vec![0f32; if g.plain() { 0 } else { patch * places }];
                let rows = number * group..(number * group + group).min(g.rows);
                for (at, row) in rows.enumerate() {
                    let picture = &x[row * g.picture()..][..g.picture()];
                    let grad = &grad[row * g.outputs * places..][..g.outputs * places];
                    let grad_matrix = Matrix::new(grad, g.outputs, places);
                    let seen = if g.plain() {
                        picture
                    } else {
                        g.spread(picture, &mut patches);
                        &patches
                    };
                    let seen = Matrix::new(seen, patch, places).t();
                    product(grad_matrix, seen, &mut dw, patch, Fill::Add, 1);
                    for (sum, grad) in db.iter_mut().zip(grad.chunks_exact(places)) {
                        *sum += grad.iter().sum::<f32>();
                    }
                    if to_picture {
                        let dx = &mut dx[at * g.picture()..][..g.picture()];
                        if g.plain() {
                            product(weight.t(), grad_matrix, dx, places, Fill::Replace, 1);
                        } else {
                            let into = Fill::Replace;
                            product(weight.t(), grad_matrix, &mut patches, places, into, 1);
                            g.gather(&patches, dx);
                        }
                    }
                }
                (dw, db)
            })
            .collect();
        for (part_w, part_b) in sums {
            dw.iter_mut().zip(part_w).for_each(|(sum, part)| *sum += part);
            db.iter_mut().zip(part_b).for_each(|(sum, part)| *sum += part);
        }
        (to_picture.then_some(dx), dw, db)
    }

    fn gradients(&self, x: &Tensor, weight: &Tensor, grad: &Tensor) -> Result<Gradients> {
        let (dx, dw, db) = with_slice(x, |x_values| {
            with_slice(weight, |weight| {
                with_slice(grad, |grad| Ok(self.backward(x_values, weight, grad, x.track_op())))
            })
        })?;
        let device = x.device();
        let dx = dx.map(|dx| Tensor::from_vec(dx, x.shape(), device)).transpose()?;
        let dw = Tensor::from_vec(dw, weight.shape(), device)?;
        Ok((dx, Some(dw), Some(Tensor::from_vec(db, self.0.outputs, device)?)))
    }

    fn shape(&self) -> Shape {
        Shape::from((self.0.rows, self.0.outputs, self.0.out.0, self.0.out.1))
    }
}

type Gradients = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl CustomOp2 for ConvOp {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let out = self.forward(slice(x, x_layout)?, slice(weight, weight_layout)?, None);
        Ok((CpuStorage::F32(out), self.shape()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dw, _) = self.gradients(x, weight, grad)?;
        Ok((dx, dw))
    }
}

impl CustomOp3 for ConvOp {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight) = (slice(x, x_layout)?, slice(weight, weight_layout)?);
        let out = self.forward(x, weight, Some(slice(bias, bias_layout)?));
        Ok((CpuStorage::F32(out), self.shape()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<Gradients> {
        self.gradients(x, weight, grad)
    }
}

/// A trainable convolution with a square kernel.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use oxilab_nn::layers::Conv2d;
/// use rand::{SeedableRng as _, rngs::StdRng};
/// // From 3 channels to 16, a kernel of 3 × 3, every second pixel, one zero around.
/// let conv = Conv2d::new(3, 16, 3, 2, 1, &mut StdRng::seed_from_u64(0))?.with_bias()?;
/// let pictures = Tensor::zeros((4, 3, 32, 32), DType::F32, &Device::Cpu)?;
/// assert_eq!(conv.forward(&pictures)?.dims(), [4, 16, 16, 16]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Conv2d {
    weight: Var,
    bias: Option<Var>,
    stride: usize,
    padding: usize,
}

impl Conv2d {
    /// Weights of He et al. (2015) for ReLU behind it, no bias: for a layer before a batch norm. On the
    /// CPU.
    ///
    /// # Errors
    /// When the weights cannot be allocated.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 values")]
    pub fn new(
        channels: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        rng: &mut impl Rng,
    ) -> Result<Self> {
        if [channels, outputs, kernel, stride].contains(&0) {
            candle_core::bail!(
                "a convolution needs channels, outputs, kernel and stride of at least 1, but was \
                 given {channels}, {outputs}, {kernel} and {stride}"
            );
        }
        let std = (2.0 / (outputs * kernel * kernel).max(1) as f64).sqrt();
        let shape = [outputs, channels, kernel, kernel];
        let weight = Var::from_tensor(&init::normal(&shape, std, rng, &Device::Cpu)?)?;
        Ok(Self { weight, bias: None, stride, padding })
    }

    /// Adds a bias of zeros.
    ///
    /// # Errors
    /// When it cannot be allocated.
    pub fn with_bias(mut self) -> Result<Self> {
        let outputs = self.weight.dim(0)?;
        self.bias = Some(Var::zeros(outputs, candle_core::DType::F32, self.weight.device())?);
        Ok(self)
    }

    /// The layer on a device: this one's variables where they are there, else copies.
    ///
    /// # Errors
    /// When the device refuses the allocation.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let bias = self.bias.as_ref().map(|bias| moved(bias, device)).transpose()?;
        Ok(Self { weight: moved(&self.weight, device)?, bias, ..self.clone() })
    }

    /// The result for pictures `(rows, channels, height, width)`.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(Var::as_tensor);
        conv2d(x, &self.weight, bias, self.stride, self.padding)
    }

    /// Its variables, named below `name`.
    #[must_use]
    pub fn vars(&self, name: &str) -> Vec<(String, Var)> {
        let mut vars = vec![(format!("{name}.weight"), self.weight.clone())];
        vars.extend(self.bias.iter().map(|bias| (format!("{name}.bias"), bias.clone())));
        vars
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::gradcheck::{check, normal};

    #[test]
    fn convolution_is_candles_for_all_strides_and_paddings() -> Result<()> {
        for (kernel, stride, padding, size) in [
            (3, 1, 1, 6),
            (3, 2, 1, 7),
            (1, 1, 0, 5),
            (1, 2, 0, 5),
            (5, 2, 2, 9),
            (7, 2, 3, 8),
            (2, 3, 0, 8),
        ] {
            let x = normal(&[3, 2, size, size + 1], 1)?.as_tensor().clone();
            let weight = normal(&[4, 2, kernel, kernel], 2)?.as_tensor().clone();
            let theirs = x.conv2d(&weight, padding, stride, 1, 1)?;
            let ours = conv2d(&x, &weight, None, stride, padding)?;
            assert_eq!(ours.shape(), theirs.shape());
            let apart = (ours - theirs)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(apart < 1e-4, "{kernel} {stride} {padding}: {apart}");
        }
        Ok(())
    }

    #[test]
    fn convolution_has_the_right_gradients() -> Result<()> {
        for (kernel, stride, padding) in [(3, 1, 1), (3, 2, 1), (1, 1, 0), (1, 2, 0)] {
            let x = normal(&[2, 2, 4, 5], 1)?;
            let (weight, bias) = (normal(&[2, 2, kernel, kernel], 2)?, normal(&[2], 3)?);
            check(&[x, weight, bias], |t| {
                conv2d(&t[0], &t[1], Some(&t[2]), stride, padding)?.tanh()
            })?;
        }
        Ok(())
    }

    #[test]
    fn what_is_composed_for_other_devices_has_the_same_values_and_gradients() -> Result<()> {
        for (kernel, stride, padding) in [(3, 1, 1), (3, 2, 1), (1, 2, 0), (5, 3, 2), (2, 3, 0)] {
            for size in [(7, 7), (8, 9), (9, 6)] {
                let x = normal(&[2, 2, size.0, size.1], 1)?;
                let weight = normal(&[3, 2, kernel, kernel], 2)?;
                let fused = conv2d(&x, &weight, None, stride, padding)?;
                let wide = x.to_dtype(DType::F64)?;
                let composed =
                    conv2d(&wide, &weight, None, stride, padding)?.to_dtype(DType::F32)?;
                let far = |a: &Tensor, b: &Tensor| (a - b)?.abs()?.max_all()?.to_scalar::<f32>();
                assert!(far(&fused, &composed)? < 1e-4, "{kernel} {stride} {padding} {size:?}");
                let (ours, theirs) =
                    (fused.tanh()?.sum_all()?.backward()?, composed.tanh()?.sum_all()?.backward()?);
                for var in [&x, &weight] {
                    let grads = [&ours, &theirs].map(|grads| grads.get(var).expect("a gradient"));
                    let far = far(grads[0], grads[1])?;
                    assert!(far < 1e-4, "{kernel} {stride} {padding} {size:?}: {far}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_kernel_larger_than_the_picture_is_an_error() -> Result<()> {
        let (x, weight) = (normal(&[1, 1, 2, 2], 1)?, normal(&[1, 1, 5, 5], 2)?);
        let error = conv2d(&x, &weight, None, 1, 1).expect_err("refused").to_string();
        assert!(error.contains("kernel 5 × 5"), "{error}");
        Ok(())
    }
}
