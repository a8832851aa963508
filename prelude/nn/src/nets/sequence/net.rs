//! The net: recurrent layers and a linear one.

use candle_core::{Device, Result as TensorResult, Tensor, Var};
use oxilab_model::recurrent::{RecurrentLayer, RecurrentWeights};
use rand::{SeedableRng as _, rngs::StdRng};

use super::settings::Settings;
use crate::device::DeviceExt as _;
use crate::layers::{Cell, Linear, Recurrent, dropout};
use crate::model::{Mode, Trainable};

/// Recurrent layers over `(rows, time, channels)`, and a linear layer on the last state; on
/// `Device::best()`.
pub(super) struct RecurrentNet {
    layers: Vec<Recurrent>,
    head: Linear,
    gru: bool,
    hidden: usize,
    dropout: f64,
}

impl RecurrentNet {
    pub(super) fn new(settings: &Settings, channels: usize, outputs: usize) -> TensorResult<Self> {
        let mut rng = StdRng::seed_from_u64(settings.seed);
        let Settings { gru, hidden, dropout, .. } = *settings;
        let device = Device::best();
        let cell = if gru { Cell::Gru } else { Cell::Lstm };
        let mut layers = Vec::new();
        for number in 0..settings.layers {
            let inputs = if number == 0 { channels } else { hidden };
            layers.push(Recurrent::new(cell, inputs, hidden, &mut rng, &device)?);
        }
        let head = Linear::new(hidden, outputs, &mut rng)?.to_device(&device)?;
        Ok(Self { layers, head, gru, hidden, dropout })
    }

    /// The weights as the modelling crate holds them.
    pub(super) fn weights(&self) -> TensorResult<RecurrentWeights> {
        let flat = |var: &Var| var.flatten_all()?.to_vec1::<f32>();
        let layer = |layer: &Recurrent| -> TensorResult<RecurrentLayer> {
            let [from_input, from_state, input_bias, state_bias] = layer.parts().map(flat);
            Ok(RecurrentLayer {
                from_input: from_input?,
                from_state: from_state?,
                input_bias: input_bias?,
                state_bias: state_bias?,
            })
        };
        Ok(RecurrentWeights {
            gru: self.gru,
            hidden: self.hidden,
            layers: self.layers.iter().map(layer).collect::<TensorResult<_>>()?,
            head: (flat(self.head.weight())?, flat(self.head.bias())?),
            history: Vec::new(),
        })
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
