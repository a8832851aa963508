//! The net: recurrent layers and a linear one.

use candle_core::{Device, Result as TensorResult, Tensor, Var};
use rand::{SeedableRng as _, rngs::StdRng};

use super::settings::Settings;
use crate::layers::{Cell, Linear, Recurrent, dropout};
use crate::model::{Mode, Trainable};

/// Recurrent layers over `(rows, time, channels)`, and a linear layer on the last state.
pub(super) struct RecurrentNet {
    layers: Vec<Recurrent>,
    head: Linear,
    dropout: f64,
}

impl RecurrentNet {
    pub(super) fn new(settings: &Settings, channels: usize, outputs: usize) -> TensorResult<Self> {
        let mut rng = StdRng::seed_from_u64(settings.seed);
        let cell = if settings.gru { Cell::Gru } else { Cell::Lstm };
        let mut layers = Vec::new();
        for number in 0..settings.layers {
            let inputs = if number == 0 { channels } else { settings.hidden };
            layers.push(Recurrent::new(cell, inputs, settings.hidden, &mut rng, &Device::Cpu)?);
        }
        let head = Linear::new(settings.hidden, outputs, &mut rng)?;
        Ok(Self { layers, head, dropout: settings.dropout })
    }
}

impl Trainable for RecurrentNet {
    fn forward(&self, input: &Tensor, mode: Mode) -> TensorResult<Tensor> {
        let mut states = input.clone();
        for layer in &self.layers {
            states = layer.forward(&states)?;
        }
        let mut last = states.narrow(1, states.dim(1)? - 1, 1)?.squeeze(1)?.contiguous()?;
        if mode.train && self.dropout > 0.0 {
            last = dropout(&last, self.dropout, &mut mode.rng(0))?;
        }
        self.head.forward(&last)
    }

    fn vars(&self) -> Vec<(String, Var)> {
        let mut vars = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let named = layer.vars().into_iter();
            vars.extend(named.map(|(name, var)| (format!("layers.{number}.{name}"), var)));
        }
        vars.extend(self.head.vars("head"));
        vars
    }
}
