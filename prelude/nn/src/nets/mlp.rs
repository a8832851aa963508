//! A stack of linear layers with ReLU and dropout between them.

use candle_core::{DType, Device, Result, Tensor, Var};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::init;
use crate::layers::dropout;
use crate::model::{Mode, Trainable};

/// A multi-layer perceptron on `(rows, inputs)`.
#[derive(Clone, Debug)]
pub struct Mlp {
    layers: Vec<(Var, Var)>,
    dropout: f64,
}

impl Mlp {
    /// Linear layers from `inputs` over the `hidden` widths to `outputs`, on the CPU, with PyTorch's
    /// initial weights from a seed.
    ///
    /// # Errors
    /// When the weights cannot be allocated.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 inputs")]
    pub fn new(inputs: usize, hidden: &[usize], outputs: usize, seed: u64) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let widths: Vec<usize> = [&[inputs], hidden, &[outputs]].concat();
        let layers = widths
            .windows(2)
            .map(|pair| {
                let weight = init::linear((pair[1], pair[0]), &mut rng, &Device::Cpu)?;
                let bound = (pair[0].max(1) as f64).sqrt().recip();
                let bias = init::uniform(&[pair[1]], bound, &mut rng, &Device::Cpu)?;
                Ok((Var::from_tensor(&weight)?, Var::from_tensor(&bias)?))
            })
            .collect::<Result<_>>()?;
        Ok(Self { layers, dropout: 0.0 })
    }

    /// Drops hidden values with this probability while training.
    #[must_use]
    pub fn with_dropout(mut self, p: f64) -> Self {
        self.dropout = p;
        self
    }
}

impl Trainable for Mlp {
    fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = input.flatten_from(1)?.to_dtype(DType::F32)?;
        for (number, (weight, bias)) in self.layers.iter().enumerate() {
            x = x.matmul(&weight.t()?)?.broadcast_add(bias)?;
            if number + 1 < self.layers.len() {
                x = x.relu()?;
                if mode.train && self.dropout > 0.0 {
                    x = dropout(&x, self.dropout, &mut mode.rng(number as u64))?;
                }
            }
        }
        Ok(x)
    }

    fn vars(&self) -> Vec<(String, Var)> {
        let named = |(number, (weight, bias)): (usize, &(Var, Var))| {
            [
                (format!("layers.{number}.weight"), weight.clone()),
                (format!("layers.{number}.bias"), bias.clone()),
            ]
        };
        self.layers.iter().enumerate().flat_map(named).collect()
    }
}
