//! Attention over several texts whose tokens stand one behind the other, without padding.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::kernel::{fused, slice, with_slice};
use super::math;
use super::product::{Fill, Matrix, product};
use super::softmax::softmax;

/// Attention inside each text: `q`, `k` and `v` are `(tokens, heads · dim)`, and `lengths` are the
/// tokens of each text. No token sees another text. For `f32` on the CPU in one operation that computes
/// nothing for padding; elsewhere texts are filled up to the longest.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use oxilab_nn::layers::attention_by_text;
/// // Texts of two tokens and of one: the last token sees nothing but itself.
/// let q = Tensor::ones((3, 4), DType::F32, &Device::Cpu)?;
/// let v = Tensor::arange(0f32, 12.0, &Device::Cpu)?.reshape((3, 4))?;
/// let y = attention_by_text(&q, &q, &v, &[2, 1], 2)?.to_vec2::<f32>()?;
/// assert_eq!(y[0], [2.0, 3.0, 4.0, 5.0], "the mean of the first two");
/// assert_eq!(y[2], [8.0, 9.0, 10.0, 11.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// When the shapes differ, the lengths do not add up, or the heads do not divide the width.
pub fn attention_by_text(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    lengths: &[usize],
    heads: usize,
) -> Result<Tensor> {
    let (tokens, width) = q.dims2()?;
    let total: usize = lengths.iter().sum();
    if k.dims() != q.dims() || v.dims() != q.dims() || total != tokens {
        candle_core::bail!(
            "attention_by_text: {:?}, {:?} and {:?} for texts of {total} tokens",
            q.shape(),
            k.shape(),
            v.shape()
        );
    }
    if heads == 0 || !width.is_multiple_of(heads) {
        candle_core::bail!("attention_by_text: {heads} heads over a width of {width}");
    }
    if ![q, k, v].into_iter().all(fused) {
        return composed([q, k, v], lengths, heads);
    }
    let op = TextsOp { lengths: lengths.to_vec(), heads, width };
    q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, op)
}

/// [`attention_by_text`] by candle's operations.
#[expect(clippy::cast_precision_loss, reason = "dimensions are far below 2^52")]
fn composed(qkv: [&Tensor; 3], lengths: &[usize], heads: usize) -> Result<Tensor> {
    let (q, width) = (qkv[0], qkv[0].dim(1)?);
    // A text without tokens would have nothing but hidden keys, whose softmax is no number.
    let lengths: Vec<usize> = lengths.iter().copied().filter(|length| *length > 0).collect();
    let Some(longest) = lengths.iter().copied().max() else { return Ok(q.clone()) };
    let (mut rows, mut mask, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let mut place = 0u32;
    for length in &lengths {
        let start = u32::try_from(places.len())?;
        for (at, offset) in (0..longest).zip(0u32..) {
            let filler = at >= *length;
            rows.push(if filler { start } else { start + offset });
            mask.push(if filler { f32::NEG_INFINITY } else { 0.0 });
            places.extend((!filler).then_some(place));
            place += 1;
        }
    }
    let (texts, dim, device) = (lengths.len(), width / heads, q.device());
    let rows = Tensor::new(rows, device)?;
    let mask = Tensor::from_vec(mask, (texts, 1, 1, longest), device)?.to_dtype(q.dtype())?;
    let [q, k, v] = qkv.map(|x| {
        // Metal selects from contiguous tensors only.
        let filled =
            x.contiguous()?.index_select(&rows, 0)?.reshape((texts, longest, heads, dim))?;
        filled.transpose(1, 2)?.contiguous()
    });
    let scores = (q?.matmul(&k?.t()?)? * (dim as f64).sqrt().recip())?.broadcast_add(&mask)?;
    let y = softmax(&scores)?.matmul(&v?)?.transpose(1, 2)?.reshape((texts * longest, width))?;
    y.index_select(&Tensor::new(places, device)?, 0)
}

struct TextsOp {
    lengths: Vec<usize>,
    heads: usize,
    width: usize,
}

impl TextsOp {
    fn dim(&self) -> usize {
        self.width / self.heads
    }

    #[expect(clippy::cast_precision_loss, reason = "dimensions are far below 2^24")]
    fn scale(&self) -> f32 {
        (self.dim() as f32).sqrt().recip()
    }

    /// Places of the texts' first values.
    fn starts(&self) -> Vec<usize> {
        let places = self.lengths.iter().scan(0, |at, length| {
            let start = *at;
            *at += length * self.width;
            Some(start)
        });
        places.collect()
    }

    /// A slice's part for each text.
    fn split<'a>(&self, mut values: &'a mut [f32]) -> Vec<&'a mut [f32]> {
        let part = |length: &usize| {
            let (part, rest) = std::mem::take(&mut values).split_at_mut(length * self.width);
            values = rest;
            part
        };
        self.lengths.iter().map(part).collect()
    }

    /// The columns of a head.
    fn head<'a>(&self, values: &'a [f32], length: usize, head: usize) -> Matrix<'a> {
        Matrix::with_step(&values[head * self.dim()..], length, self.dim(), self.width)
    }

    /// The weights of a head `(length, length)`.
    fn weights(&self, q: Matrix<'_>, k: Matrix<'_>, length: usize, out: &mut Vec<f32>) {
        out.resize(length * length, 0.0);
        product(q, k.t(), out, length, Fill::Replace, 1);
        let scale = self.scale();
        for row in out.chunks_exact_mut(length.max(1)) {
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for value in row.iter_mut() {
                *value = math::exp((*value - max) * scale);
            }
            let sum: f32 = row.iter().sum();
            let factor = sum.recip();
            row.iter_mut().for_each(|value| *value *= factor);
        }
    }

    /// The gradients of one text, head by head.
    fn backward(&self, [q, k, v, grad]: [&[f32]; 4], [dq, dk, dv]: [&mut [f32]; 3], length: usize) {
        let (dim, scale) = (self.dim(), self.scale());
        let mut weights = Vec::new();
        let mut dots = vec![0f32; length * length];
        for head in 0..if length > 0 { self.heads } else { 0 } {
            let [q, k, v, grad] = [q, k, v, grad].map(|values| self.head(values, length, head));
            self.weights(q, k, length, &mut weights);
            product(grad, v.t(), &mut dots, length, Fill::Replace, 1);
            let columns = head * dim;
            let shares = Matrix::new(&weights, length, length);
            product(shares.t(), grad, &mut dv[columns..], self.width, Fill::Replace, 1);
            let rows =
                dots.chunks_exact_mut(length.max(1)).zip(weights.chunks_exact(length.max(1)));
            for (dots, weights) in rows {
                let dot: f32 = dots.iter().zip(weights).map(|(d, w)| d * w).sum();
                dots.iter_mut().zip(weights).for_each(|(d, w)| *d = (*d - dot) * w * scale);
            }
            let slopes = Matrix::new(&dots, length, length);
            product(slopes, k, &mut dq[columns..], self.width, Fill::Replace, 1);
            product(slopes.t(), q, &mut dk[columns..], self.width, Fill::Replace, 1);
        }
    }
}

impl CustomOp3 for TextsOp {
    fn name(&self) -> &'static str {
        "attention-by-text"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (q, k, v) = (slice(q, q_layout)?, slice(k, k_layout)?, slice(v, v_layout)?);
        let mut out = vec![0f32; q.len()];
        let texts = self.split(&mut out).into_par_iter().zip(self.starts()).zip(&self.lengths);
        texts.for_each_init(Vec::new, |weights, ((out, start), length)| {
            // A text without tokens has nothing to attend to.
            for head in 0..if *length > 0 { self.heads } else { 0 } {
                let part = |values| self.head(values, *length, head);
                self.weights(part(&q[start..]), part(&k[start..]), *length, weights);
                let shares = Matrix::new(weights, *length, *length);
                let out = &mut out[head * self.dim()..];
                product(shares, part(&v[start..]), out, self.width, Fill::Replace, 1);
            }
        });
        Ok((CpuStorage::F32(out), q_layout.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut gradients = [(); 3].map(|()| vec![0f32; q.elem_count()]);
        let [dq, dk, dv] = &mut gradients;
        with_slice(q, |q| {
            with_slice(k, |k| {
                with_slice(v, |v| {
                    with_slice(grad, |grad| {
                        let parts = self.split(dq).into_par_iter();
                        let parts = parts.zip(self.split(dk)).zip(self.split(dv));
                        let places = self.starts().into_par_iter().zip(&self.lengths);
                        parts.zip(places).for_each(|(((dq, dk), dv), (start, length))| {
                            let part = [q, k, v, grad].map(|values| &values[start..]);
                            self.backward(part, [dq, dk, dv], *length);
                        });
                        Ok(())
                    })
                })
            })
        })?;
        let [dq, dk, dv] = gradients.map(|dx| Tensor::from_vec(dx, q.shape(), q.device()));
        Ok((Some(dq?), Some(dk?), Some(dv?)))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::*;
    use crate::gradcheck::{check, normal};
    use crate::layers::attention;

    #[test]
    fn texts_are_attended_apart_as_by_the_general_attention() -> Result<()> {
        let tensors = [normal(&[7, 6], 1)?, normal(&[7, 6], 2)?, normal(&[7, 6], 3)?];
        let ours = attention_by_text(&tensors[0], &tensors[1], &tensors[2], &[3, 0, 4], 2)?;
        let part = |tensor: &Tensor, start: usize, length: usize| {
            tensor
                .narrow(0, start, length)?
                .reshape((1, length, 2, 3))?
                .transpose(1, 2)?
                .contiguous()
        };
        for (start, length) in [(0, 3), (3, 4)] {
            let [q, k, v] = tensors.each_ref().map(|tensor| part(tensor, start, length));
            let theirs = attention(&q?, &k?, &v?, None, 1.0 / 3f64.sqrt())?;
            let theirs = theirs.transpose(1, 2)?.reshape((length, 6))?;
            let apart = (ours.narrow(0, start, length)? - theirs)?.abs()?.max_all()?;
            assert!(apart.to_scalar::<f32>()? < 1e-5);
        }
        Ok(())
    }

    /// What other devices do is done on the CPU here.
    #[test]
    fn composed_attention_is_the_fused_one() -> Result<()> {
        let tensors = [normal(&[7, 6], 1)?, normal(&[7, 6], 2)?, normal(&[7, 6], 3)?];
        let [q, k, v] = tensors.each_ref().map(|tensor| tensor.as_tensor());
        let ours = attention_by_text(q, k, v, &[2, 0, 4, 1], 2)?;
        let apart = (composed([q, k, v], &[2, 0, 4, 1], 2)? - &ours)?.abs()?.max_all()?;
        assert!(apart.to_scalar::<f32>()? < 1e-5);
        let [q, k, v] = [q, k, v].map(|tensor| tensor.to_dtype(DType::F64));
        let wide = attention_by_text(&q?, &k?, &v?, &[2, 0, 4, 1], 2)?.to_dtype(DType::F32)?;
        assert!((wide - ours)?.abs()?.max_all()?.to_scalar::<f32>()? < 1e-5);
        check(&tensors, |t| composed([&t[0], &t[1], &t[2]], &[2, 0, 4, 1], 2)?.sqr())?;
        let none = tensors[0].narrow(0, 0, 0)?;
        assert_eq!(composed([&none, &none, &none], &[0], 2)?.dims(), [0, 6]);
        Ok(())
    }

    #[test]
    fn attention_by_text_has_the_right_gradients() -> Result<()> {
        let tensors = [normal(&[5, 4], 1)?, normal(&[5, 4], 2)?, normal(&[5, 4], 3)?];
        check(&tensors, |t| attention_by_text(&t[0], &t[1], &t[2], &[2, 3], 2)?.sqr())?;
        assert!(attention_by_text(&tensors[0], &tensors[1], &tensors[2], &[2, 2], 2).is_err());
        Ok(())
    }
}
