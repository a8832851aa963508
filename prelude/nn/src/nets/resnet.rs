//! Residual nets (He et al., 2015), trainable, with torchvision's names.

use candle_core::{Device, Result, Tensor, Var};
use rand::{Rng, SeedableRng as _, rngs::StdRng};

use super::moved;
use crate::device::DeviceExt as _;
use crate::layers::{BatchNorm, Conv2d, Linear, global_mean, max_pool2d};
use crate::model::{Mode, Trainable};

/// A residual net of basic blocks for `(rows, channels, height, width)`, made on
/// [`Device::best()`](crate::DeviceExt::best). Weights of torchvision's
/// `resnet18` and `resnet34` fit by name and shape; see [`assign`](crate::assign).
///
/// ```
/// use oxilab_nn::{ResNet, Trainable as _};
/// let net = ResNet::resnet18(10, 0)?;
/// let parameters: usize = net.vars().iter().map(|(_, var)| var.elem_count()).sum();
/// assert_eq!(parameters, 11_181_642, "torchvision's resnet18 with ten classes");
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ResNet {
    stem: Conv2d,
    stem_norm: BatchNorm,
    pool: bool,
    stages: Vec<Vec<Block>>,
    head: Linear,
}

#[derive(Clone, Debug)]
struct Block {
    first: Conv2d,
    first_norm: BatchNorm,
    second: Conv2d,
    second_norm: BatchNorm,
    shortcut: Option<(Conv2d, BatchNorm)>,
}

impl Block {
    fn new(inputs: usize, width: usize, stride: usize, rng: &mut impl Rng) -> Result<Self> {
        let shortcut = if stride != 1 || inputs != width {
            Some((Conv2d::new(inputs, width, 1, stride, 0, rng)?, BatchNorm::new(width)?))
        } else {
            None
        };
        Ok(Self {
            first: Conv2d::new(inputs, width, 3, stride, 1, rng)?,
            first_norm: BatchNorm::new(width)?,
            second: Conv2d::new(width, width, 3, 1, 1, rng)?,
            second_norm: BatchNorm::new(width)?,
            shortcut,
        })
    }

    fn to_device(&self, device: &Device) -> Result<Self> {
        let shortcut = self.shortcut.as_ref();
        Ok(Self {
            first: self.first.to_device(device)?,
            first_norm: self.first_norm.to_device(device)?,
            second: self.second.to_device(device)?,
            second_norm: self.second_norm.to_device(device)?,
            shortcut: shortcut.map(|pair| moved(pair, device)).transpose()?,
        })
    }

    fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let y = self.first_norm.forward_relu(&self.first.forward(x)?, mode)?;
        let y = self.second_norm.forward(&self.second.forward(&y)?, mode)?;
        let x = match &self.shortcut {
            Some((conv, norm)) => norm.forward(&conv.forward(x)?, mode)?,
            None => x.clone(),
        };
        (x + y)?.relu()
    }

    fn convolutions(&self) -> impl Iterator<Item = (&'static str, &Conv2d)> {
        let shortcut = self.shortcut.iter().map(|(conv, _)| ("downsample.0", conv));
        [("conv1", &self.first), ("conv2", &self.second)].into_iter().chain(shortcut)
    }

    fn norms(&self) -> impl Iterator<Item = (&'static str, &BatchNorm)> {
        let shortcut = self.shortcut.iter().map(|(_, norm)| ("downsample.1", norm));
        [("bn1", &self.first_norm), ("bn2", &self.second_norm)].into_iter().chain(shortcut)
    }
}

impl ResNet {
    /// A small net for small pictures: a 3 × 3 stem without pooling, and for each width a stage of
    /// `blocks` blocks, halved from the second on. `small(3, &[16, 32, 64], 3, 10, 0)` is the 20-layer net
    /// of the paper.
    ///
    /// # Errors
    /// When the weights cannot be allocated.
    pub fn small(
        channels: usize,
        widths: &[usize],
        blocks: usize,
        classes: usize,
        seed: u64,
    ) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let first = widths.first().copied().unwrap_or(16);
        let stem = Conv2d::new(channels, first, 3, 1, 1, &mut rng)?;
        let counts = vec![blocks; widths.len()];
        Self::build(stem, first, false, widths, &counts, classes, &mut rng)
    }

    /// torchvision's `resnet18`, 11.7 million parameters with 1,000 classes.
    ///
    /// # Errors
    /// When the weights cannot be allocated.
    pub fn resnet18(classes: usize, seed: u64) -> Result<Self> {
        Self::large(&[2, 2, 2, 2], classes, seed)
    }

    /// torchvision's `resnet34`, 21.8 million parameters with 1,000 classes.
    ///
    /// # Errors
    /// When the weights cannot be allocated.
    pub fn resnet34(classes: usize, seed: u64) -> Result<Self> {
        Self::large(&[3, 4, 6, 3], classes, seed)
    }

    fn large(counts: &[usize], classes: usize, seed: u64) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let stem = Conv2d::new(3, 64, 7, 2, 3, &mut rng)?;
        Self::build(stem, 64, true, &[64, 128, 256, 512], counts, classes, &mut rng)
    }

    fn build(
        stem: Conv2d,
        first: usize,
        pool: bool,
        widths: &[usize],
        counts: &[usize],
        classes: usize,
        rng: &mut impl Rng,
    ) -> Result<Self> {
        let mut inputs = first;
        let mut stages = Vec::new();
        for (stage, (width, count)) in widths.iter().zip(counts).enumerate() {
            let mut blocks = Vec::new();
            for number in 0..*count {
                let stride = if stage > 0 && number == 0 { 2 } else { 1 };
                blocks.push(Block::new(inputs, *width, stride, rng)?);
                inputs = *width;
            }
            stages.push(blocks);
        }
        let head = Linear::new(inputs, classes, rng)?;
        let net = Self { stem, stem_norm: BatchNorm::new(first)?, pool, stages, head };
        net.to_device(&Device::best())
    }

    /// The net on a device, for example the CPU: this one's variables where they are there, else copies.
    ///
    /// # Errors
    /// When the device refuses the allocation.
    pub fn to_device(&self, device: &Device) -> Result<Self> {
        let stages = self.stages.iter().map(|blocks| {
            blocks.iter().map(|block| block.to_device(device)).collect::<Result<Vec<Block>>>()
        });
        Ok(Self {
            stem: self.stem.to_device(device)?,
            stem_norm: self.stem_norm.to_device(device)?,
            pool: self.pool,
            stages: stages.collect::<Result<_>>()?,
            head: self.head.to_device(device)?,
        })
    }

    fn blocks(&self) -> impl Iterator<Item = (String, &Block)> {
        self.stages.iter().enumerate().flat_map(|(stage, blocks)| {
            let name = move |(number, block)| (format!("layer{}.{number}", stage + 1), block);
            blocks.iter().enumerate().map(name)
        })
    }
}

impl Trainable for ResNet {
    fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = self.stem_norm.forward_relu(&self.stem.forward(input)?, mode)?;
        if self.pool {
            x = max_pool2d(&x, 3, 2, 1)?;
        }
        for block in self.stages.iter().flatten() {
            x = block.forward(&x, mode)?;
        }
        self.head.forward(&global_mean(&x)?)
    }

    fn vars(&self) -> Vec<(String, Var)> {
        let mut vars = self.stem.vars("conv1");
        vars.extend(self.stem_norm.vars("bn1"));
        for (name, block) in self.blocks() {
            block.convolutions().for_each(|(part, conv)| {
                vars.extend(conv.vars(&format!("{name}.{part}")));
            });
            block.norms().for_each(|(part, norm)| {
                vars.extend(norm.vars(&format!("{name}.{part}")));
            });
        }
        vars.extend(self.head.vars("fc"));
        vars
    }

    fn buffers(&self) -> Vec<(String, Var)> {
        let mut buffers = self.stem_norm.buffers("bn1");
        for (name, block) in self.blocks() {
            block.norms().for_each(|(part, norm)| {
                buffers.extend(norm.buffers(&format!("{name}.{part}")));
            });
        }
        buffers
    }
}
