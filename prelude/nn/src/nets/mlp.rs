//! A stack of linear layers with ReLU and dropout between them.

use candle_core::{DType, Device, Result as TensorResult, Tensor, Var};
use oxilab_display::{MimeBundle, Render};
use rand::{SeedableRng as _, rngs::StdRng};

use super::summary::summary;
use crate::check;
use crate::device::DeviceExt as _;
use crate::error::Result;
use crate::layers::{Linear, dropout};
use crate::model::{Mode, Trainable};

/// A multi-layer perceptron on `(rows, inputs)`.
///
/// ```
/// use candle_core::{DType, Tensor};
/// use oxilab_nn::{Mlp, Mode, Trainable as _};
/// let net = Mlp::new(4, &[32, 16], 3, 0)?.with_dropout(0.1);
/// let x = Tensor::zeros((5, 4), DType::F32, &net.device())?;
/// assert_eq!(net.forward(&x, Mode::eval())?.dims(), [5, 3]);
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Mlp {
    layers: Vec<Linear>,
    dropout: f64,
}

impl Mlp {
    /// Linear layers from `inputs` over the `hidden` widths to `outputs`, with PyTorch's initial weights
    /// from a seed, on [`Device::best()`](crate::DeviceExt::best): the same weights on every device.
    ///
    /// # Errors
    /// When a width is 0 or the weights cannot be allocated.
    pub fn new(inputs: usize, hidden: &[usize], outputs: usize, seed: u64) -> Result<Self> {
        check::at_least_one("the number of inputs", inputs)?;
        hidden.iter().try_for_each(|width| check::at_least_one("a hidden width", *width))?;
        check::at_least_one("the number of outputs", outputs)?;
        let mut rng = StdRng::seed_from_u64(seed);
        let widths: Vec<usize> = [&[inputs], hidden, &[outputs]].concat();
        let layers = widths.windows(2).map(|pair| Linear::new(pair[0], pair[1], &mut rng));
        let net = Self { layers: layers.collect::<TensorResult<_>>()?, dropout: 0.0 };
        Ok(net.to_device(&Device::best())?)
    }

    /// The net on a device, for example the CPU: this one's variables where they are there, else copies.
    ///
    /// # Errors
    /// When the device refuses the allocation.
    pub fn to_device(&self, device: &Device) -> TensorResult<Self> {
        let layers = self.layers.iter().map(|layer| layer.to_device(device));
        Ok(Self { layers: layers.collect::<TensorResult<_>>()?, ..*self })
    }

    /// Drops hidden values with this probability while training.
    #[must_use]
    pub fn with_dropout(mut self, p: f64) -> Self {
        self.dropout = p;
        self
    }

    /// Its layers, the first one first.
    #[must_use]
    pub fn layers(&self) -> &[Linear] {
        &self.layers
    }
}

impl Render for Mlp {
    fn render(&self) -> MimeBundle {
        let mut layers = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let dims = layer.weight().dims();
            let shape = format!("{} → {}", dims[1], dims[0]);
            layers.push(("linear", shape, format!("layers.{number}.")));
            if number + 1 < self.layers.len() {
                let dropout = self.dropout > 0.0;
                let after =
                    if dropout { format!("dropout {}", self.dropout) } else { String::new() };
                layers.push(("ReLU", after, String::new()));
            }
        }
        summary("Mlp", self, &layers)
    }
}

impl Trainable for Mlp {
    fn forward(&self, input: &Tensor, mode: Mode) -> TensorResult<Tensor> {
        let mut x = input.flatten_from(1)?;
        if !x.dtype().is_float() {
            x = x.to_dtype(DType::F32)?;
        }
        for (number, layer) in self.layers.iter().enumerate() {
            if number + 1 == self.layers.len() {
                return layer.forward(&x);
            }
            x = layer.forward_relu(&x)?;
            if mode.train && self.dropout > 0.0 {
                x = dropout(&x, self.dropout, &mut mode.rng(number as u64))?;
            }
        }
        Ok(x)
    }

    fn vars(&self) -> Vec<(String, Var)> {
        let named = |(number, layer): (usize, &Linear)| layer.vars(&format!("layers.{number}"));
        self.layers.iter().enumerate().flat_map(named).collect()
    }
}
