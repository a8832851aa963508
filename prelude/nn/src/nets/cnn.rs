//! A plain convolutional net for small pictures.

use candle_core::{Device, Result as TensorResult, Tensor, Var};
use oxilab_display::{MimeBundle, Render};
use rand::{SeedableRng as _, rngs::StdRng};

use super::moved;
use super::summary::summary;
use crate::check;
use crate::device::DeviceExt as _;
use crate::error::Result;
use crate::layers::{BatchNorm, Conv2d, Linear, dropout, global_mean, max_pool2d};
use crate::model::{Mode, Trainable};

/// Blocks of convolution, batch norm and ReLU, each two followed by pooling while the picture allows
/// it, then the mean of each channel and a linear layer.
///
/// ```
/// use candle_core::{DType, Tensor};
/// use oxilab_nn::{Cnn, Mode, Trainable as _};
/// // Grey pictures of 8 × 8, two stages, ten classes.
/// let net = Cnn::new(1, 8, &[16, 32], 10, 0)?.with_dropout(0.1);
/// let pictures = Tensor::zeros((5, 1, 8, 8), DType::F32, &net.device())?;
/// assert_eq!(net.forward(&pictures, Mode::eval())?.dims(), [5, 10]);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cnn {
    blocks: Vec<(Conv2d, BatchNorm)>,
    pools: Vec<bool>,
    head: Linear,
    dropout: f64,
}

impl Cnn {
    /// A net for `(rows, channels, height, width)` of at least `side` pixels a side. `widths` are the
    /// channels of the stages, of two convolutions each; behind every stage but the last the picture is
    /// halved if it has four pixels a side or more. It is made on
    /// [`Device::best()`](crate::DeviceExt::best).
    ///
    /// # Errors
    /// When a width is 0 or the weights cannot be allocated.
    pub fn new(
        channels: usize,
        side: usize,
        widths: &[usize],
        classes: usize,
        seed: u64,
    ) -> Result<Self> {
        check::at_least_one("the number of channels", channels)?;
        check::at_least_one("the side of the pictures", side)?;
        widths.iter().try_for_each(|width| check::at_least_one("the width of a stage", *width))?;
        check::at_least_one("the number of classes", classes)?;
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut blocks, mut pools) = (Vec::new(), Vec::new());
        let (mut inputs, mut side) = (channels, side);
        for (stage, width) in widths.iter().enumerate() {
            for half in 0..2 {
                blocks.push((
                    Conv2d::new(inputs, *width, 3, 1, 1, &mut rng)?,
                    BatchNorm::new(*width)?,
                ));
                let pool = half == 1 && stage + 1 < widths.len() && side >= 4;
                pools.push(pool);
                side = if pool { side / 2 } else { side };
                inputs = *width;
            }
        }
        let head = Linear::new(inputs, classes, &mut rng)?;
        Ok(Self { blocks, pools, head, dropout: 0.0 }.to_device(&Device::best())?)
    }

    /// The net on a device, for example the CPU: this one's variables where they are there, else copies.
    ///
    /// # Errors
    /// When the device refuses the allocation.
    pub fn to_device(&self, device: &Device) -> TensorResult<Self> {
        let moved = |pair| moved(pair, device);
        Ok(Self {
            blocks: self.blocks.iter().map(moved).collect::<TensorResult<_>>()?,
            pools: self.pools.clone(),
            head: self.head.to_device(device)?,
            dropout: self.dropout,
        })
    }

    /// Drops values before the last layer with this probability while training.
    #[must_use]
    pub fn with_dropout(mut self, p: f64) -> Self {
        self.dropout = p;
        self
    }
}

impl Render for Cnn {
    fn render(&self) -> MimeBundle {
        let mut layers = Vec::new();
        for (number, (conv, pool)) in self.blocks.iter().zip(&self.pools).enumerate() {
            let block = format!("blocks.{number}.");
            let convolution = conv.0.vars("").swap_remove(0).1;
            let dims = convolution.dims();
            let shape = format!("{} → {}, {} × {}", dims[1], dims[0], dims[2], dims[3]);
            layers.push(("convolution, batch norm, ReLU", shape, block));
            if *pool {
                layers.push(("maximum pool", "2 × 2".to_owned(), String::new()));
            }
        }
        layers.push(("mean of each channel", String::new(), String::new()));
        if self.dropout > 0.0 {
            layers.push(("dropout", self.dropout.to_string(), String::new()));
        }
        let dims = self.head.weight().dims();
        layers.push(("linear", format!("{} → {}", dims[1], dims[0]), "head".to_owned()));
        summary("Cnn", self, &layers)
    }
}

impl Trainable for Cnn {
    fn forward(&self, input: &Tensor, mode: Mode) -> TensorResult<Tensor> {
        let mut x = input.clone();
        for ((conv, norm), pool) in self.blocks.iter().zip(&self.pools) {
            x = norm.forward_relu(&conv.forward(&x)?, mode)?;
            if *pool {
                x = max_pool2d(&x, 2, 2, 0)?;
            }
        }
        let mut x = global_mean(&x)?;
        if mode.train && self.dropout > 0.0 {
            x = dropout(&x, self.dropout, &mut mode.rng(0))?;
        }
        self.head.forward(&x)
    }

    fn vars(&self) -> Vec<(String, Var)> {
        let mut vars = Vec::new();
        for (number, (conv, norm)) in self.blocks.iter().enumerate() {
            vars.extend(conv.vars(&format!("blocks.{number}.conv")));
            vars.extend(norm.vars(&format!("blocks.{number}.norm")));
        }
        vars.extend(self.head.vars("head"));
        vars
    }

    fn buffers(&self) -> Vec<(String, Var)> {
        let norms = self.blocks.iter().enumerate();
        norms
            .flat_map(|(number, (_, norm))| norm.buffers(&format!("blocks.{number}.norm")))
            .collect()
    }
}
