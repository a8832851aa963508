//! What windows see of a dimension that they move along: [`Windows::seen`], [`every`].

use candle_core::{Result, Tensor};

/// Windows over a dimension with zeros around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Windows {
    /// From a window's first place to behind its last.
    pub(crate) reach: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
}

impl Windows {
    /// The padded dimension up to the last window's end. The backward pass of candle's convolution takes as
    /// many columns as lines to be left out by strides (0.11), so here are none.
    pub(crate) fn seen(self, x: &Tensor, dim: usize) -> Result<Tensor> {
        let padded = x.pad_with_zeros(dim, self.padding, self.padding)?;
        let left = padded.dim(dim)?.checked_sub(self.reach).filter(|_| self.stride > 0);
        let Some(left) = left else { candle_core::bail!("{self:?} over {:?}", x.shape()) };
        padded.narrow(dim, 0, left / self.stride * self.stride + self.reach)
    }
}

/// `count` places of a dimension: the one at `offset` and then each `stride`th.
pub(super) fn every(
    x: &Tensor,
    dim: usize,
    offset: usize,
    stride: usize,
    count: usize,
) -> Result<Tensor> {
    let places = (0..count).filter_map(|place| u32::try_from(place * stride + offset).ok());
    let places = Tensor::from_vec(places.collect::<Vec<u32>>(), count, x.device())?;
    // Metal selects from contiguous tensors only.
    x.contiguous()?.index_select(&places, dim)
}
