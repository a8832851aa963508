//! LSTM and GRU layers, trained through time by candle's own differentiation.

use candle_core::{Device, Result, Tensor, Var};
use rand::Rng;

use crate::init;

/// Which recurrent cell.
///
/// ```
/// use candle_core::Device;
/// use oxilab_nn::layers::{Cell, Recurrent};
/// use rand::{SeedableRng as _, rngs::StdRng};
/// let layer = Recurrent::new(Cell::Lstm, 3, 5, &mut StdRng::seed_from_u64(0), &Device::Cpu)?;
/// assert_eq!(layer.vars()[0].1.dims(), [4 * 5, 3], "four gates; a GRU has three");
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Long short-term memory (Hochreiter and Schmidhuber, 1997); four gates in PyTorch's order.
    Lstm,
    /// Gated recurrent unit (Cho et al., 2014) in PyTorch's form.
    Gru,
}

/// A recurrent layer over `(batch, time, inputs)`; weights and gates are laid out as PyTorch's.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use oxilab_nn::layers::{Cell, Recurrent};
/// use rand::{SeedableRng as _, rngs::StdRng};
/// let layer = Recurrent::new(Cell::Gru, 3, 5, &mut StdRng::seed_from_u64(0), &Device::Cpu)?;
/// let series = Tensor::zeros((2, 7, 3), DType::F32, &Device::Cpu)?;
/// assert_eq!(layer.forward(&series)?.dims(), [2, 7, 5], "the state after every step");
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Recurrent {
    cell: Cell,
    hidden: usize,
    w_ih: Var,
    w_hh: Var,
    b_ih: Var,
    b_hh: Var,
}

impl Recurrent {
    /// A layer with weights uniform within `1 / sqrt(hidden)`.
    ///
    /// # Errors
    /// When the device refuses the allocation.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 units")]
    pub fn new(
        cell: Cell,
        inputs: usize,
        hidden: usize,
        rng: &mut impl Rng,
        device: &Device,
    ) -> Result<Self> {
        if inputs == 0 || hidden == 0 {
            candle_core::bail!(
                "a recurrent layer needs inputs and hidden values, but was given {inputs} and {hidden}"
            );
        }
        let gates = hidden * if cell == Cell::Lstm { 4 } else { 3 };
        let bound = (hidden.max(1) as f64).sqrt().recip();
        let mut var =
            |shape: &[usize]| Var::from_tensor(&init::uniform(shape, bound, rng, device)?);
        Ok(Self {
            cell,
            hidden,
            w_ih: var(&[gates, inputs])?,
            w_hh: var(&[gates, hidden])?,
            b_ih: var(&[gates])?,
            b_hh: var(&[gates])?,
        })
    }

    /// Its variables under PyTorch's names.
    #[must_use]
    pub fn vars(&self) -> Vec<(String, Var)> {
        [
            ("weight_ih_l0", &self.w_ih),
            ("weight_hh_l0", &self.w_hh),
            ("bias_ih_l0", &self.b_ih),
            ("bias_hh_l0", &self.b_hh),
        ]
        .into_iter()
        .map(|(name, var)| (name.to_owned(), var.clone()))
        .collect()
    }

    /// Its weights of input and state, then its biases of input and state.
    pub(crate) fn parts(&self) -> [&Var; 4] {
        [&self.w_ih, &self.w_hh, &self.b_ih, &self.b_hh]
    }

    /// The hidden states `(batch, time, hidden)` of `x` `(batch, time, inputs)`, from zeros.
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, time, _) = x.dims3()?;
        // In mixed precision the parameters follow the values.
        let follow = |var: &Var| var.to_dtype(x.dtype());
        let projected = project(x, &follow(&self.w_ih)?, &follow(&self.b_ih)?)?;
        let (weights, bias) = (follow(&self.w_hh)?, follow(&self.b_hh)?);
        let mut hidden = Tensor::zeros((batch, self.hidden), x.dtype(), x.device())?;
        let mut memory = hidden.clone();
        let mut states = Vec::with_capacity(time);
        for step in 0..time {
            let from_input = projected.narrow(1, step, 1)?.squeeze(1)?;
            let from_hidden = hidden.matmul(&weights.t()?)?.broadcast_add(&bias)?;
            hidden = match self.cell {
                Cell::Lstm => {
                    let gates = (from_input + from_hidden)?.chunk(4, 1)?;
                    let kept = (sigmoid(&gates[1])? * &memory)?;
                    memory = (kept + (sigmoid(&gates[0])? * gates[2].tanh()?)?)?;
                    (sigmoid(&gates[3])? * memory.tanh()?)?
                }
                Cell::Gru => {
                    let (input, state) = (from_input.chunk(3, 1)?, from_hidden.chunk(3, 1)?);
                    let reset = sigmoid(&(&input[0] + &state[0])?)?;
                    let update = sigmoid(&(&input[1] + &state[1])?)?;
                    let new = (&input[2] + (reset * &state[2])?)?.tanh()?;
                    (&new + (update * (&hidden - &new)?)?)?
                }
            };
            states.push(hidden.unsqueeze(1)?);
        }
        Tensor::cat(&states, 1)
    }
}

fn project(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (batch, time, inputs) = x.dims3()?;
    let flat = x.reshape((batch * time, inputs))?.matmul(&weight.t()?)?.broadcast_add(bias)?;
    flat.reshape((batch, time, ()))
}

fn sigmoid(x: &Tensor) -> Result<Tensor> {
    (x.neg()?.exp()? + 1.0)?.recip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;

    use crate::gradcheck::{check, normal};
    use rand::{SeedableRng as _, rngs::StdRng};

    #[test]
    fn parameters_follow_values_of_another_precision() -> Result<()> {
        let x = normal(&[2, 5, 3], 4)?;
        for cell in [Cell::Lstm, Cell::Gru] {
            let layer = Recurrent::new(cell, 3, 4, &mut StdRng::seed_from_u64(1), &Device::Cpu)?;
            let half = layer.forward(&x.to_dtype(DType::F16)?)?;
            assert_eq!(half.dtype(), DType::F16);
            let apart = (half.to_dtype(DType::F32)? - layer.forward(&x)?)?.abs()?.max_all()?;
            assert!(apart.to_scalar::<f32>()? < 0.01, "{cell:?}: {apart}");
        }
        Ok(())
    }

    #[test]
    fn both_cells_have_the_right_gradient_through_time() -> Result<()> {
        for cell in [Cell::Lstm, Cell::Gru] {
            let layer = Recurrent::new(cell, 2, 3, &mut StdRng::seed_from_u64(1), &Device::Cpu)?;
            let mut inputs = vec![normal(&[2, 3, 2], 2)?];
            inputs.extend(layer.vars().into_iter().map(|(_, var)| var));
            check(&inputs, |t| {
                // The layer reads its variables; `check` moves copies of them.
                let moved = Recurrent {
                    w_ih: Var::from_tensor(&t[1])?,
                    w_hh: Var::from_tensor(&t[2])?,
                    b_ih: Var::from_tensor(&t[3])?,
                    b_hh: Var::from_tensor(&t[4])?,
                    ..layer.clone()
                };
                let unmoved = t[1].is_variable();
                if unmoved { layer.forward(&t[0]) } else { moved.forward(&t[0]) }
            })?;
        }
        Ok(())
    }
}
