//! Optimisers with PyTorch's formulas: SGD with momentum and Nesterov, Adam, AdamW, RMSprop.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Tensor, Var};
use rayon::prelude::*;

use crate::check;
use crate::error::{NnError, Result};

/// Gradients by parameter name, flattened.
///
/// ```
/// use oxilab_nn::optim::{self, Gradients};
/// let mut grads = Gradients::from([("weight".to_owned(), vec![3.0, 4.0])]);
/// assert_eq!(optim::norm(&grads), 5.0);
/// optim::scale(&mut grads, 0.2);
/// assert!((optim::norm(&grads) - 1.0).abs() < 1e-6);
/// ```
pub type Gradients = BTreeMap<String, Vec<f32>>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Sgd { momentum: f64, nesterov: bool },
    Adam { betas: (f64, f64), eps: f64, decoupled: bool },
    RmsProp { alpha: f64, eps: f64, momentum: f64 },
}

#[derive(Clone, Debug, Default)]
struct Slot {
    first: Vec<f32>,
    second: Vec<f32>,
    steps: u32,
}

/// An optimiser and its state, by parameter name.
///
/// ```
/// use oxilab_nn::Optimizer;
/// let optimizer = Optimizer::adamw(1e-3).with_weight_decay(0.01).without_decay_for(&["bias", "norm"]);
/// assert_eq!(optimizer.learning_rate(), 1e-3);
/// ```
#[derive(Clone, Debug)]
pub struct Optimizer {
    kind: Kind,
    learning_rate: f64,
    weight_decay: f64,
    no_decay: Vec<String>,
    slots: BTreeMap<String, Slot>,
}

impl Optimizer {
    /// What it is called, for a record of the run.
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Sgd { .. } => "SGD",
            Kind::Adam { decoupled: true, .. } => "AdamW",
            Kind::Adam { .. } => "Adam",
            Kind::RmsProp { .. } => "RMSprop",
        }
    }

    /// Refuses what no step can be made with.
    pub(crate) fn check(&self) -> Result<()> {
        check::not_negative("the learning rate", self.learning_rate)?;
        check::not_negative("the weight decay", self.weight_decay)?;
        match self.kind {
            Kind::Sgd { momentum, .. } | Kind::RmsProp { momentum, .. } => {
                check::share("the momentum", momentum)
            }
            Kind::Adam { betas, .. } => {
                check::share("the first beta", betas.0)?;
                check::share("the second beta", betas.1)
            }
        }
    }

    /// Stochastic gradient descent.
    #[must_use]
    pub fn sgd(learning_rate: f64) -> Self {
        Self::with_kind(Kind::Sgd { momentum: 0.0, nesterov: false }, learning_rate, 0.0)
    }

    /// Adam (Kingma and Ba, 2015) with betas 0.9 and 0.999; weight decay, if set, is added to the
    /// gradient.
    #[must_use]
    pub fn adam(learning_rate: f64) -> Self {
        let kind = Kind::Adam { betas: (0.9, 0.999), eps: 1e-8, decoupled: false };
        Self::with_kind(kind, learning_rate, 0.0)
    }

    /// AdamW (Loshchilov and Hutter, 2019): decoupled weight decay, 0.01 unless set.
    #[must_use]
    pub fn adamw(learning_rate: f64) -> Self {
        let kind = Kind::Adam { betas: (0.9, 0.999), eps: 1e-8, decoupled: true };
        Self::with_kind(kind, learning_rate, 0.01)
    }

    /// RMSprop (Hinton, 2012) with a smoothing of 0.99.
    #[must_use]
    pub fn rmsprop(learning_rate: f64) -> Self {
        let kind = Kind::RmsProp { alpha: 0.99, eps: 1e-8, momentum: 0.0 };
        Self::with_kind(kind, learning_rate, 0.0)
    }

    fn with_kind(kind: Kind, learning_rate: f64, weight_decay: f64) -> Self {
        Self { kind, learning_rate, weight_decay, no_decay: Vec::new(), slots: BTreeMap::new() }
    }

    /// Sets the momentum of SGD and RMSprop; for Adam it is the first beta.
    #[must_use]
    pub fn with_momentum(mut self, value: f64) -> Self {
        match &mut self.kind {
            Kind::Sgd { momentum, .. } | Kind::RmsProp { momentum, .. } => *momentum = value,
            Kind::Adam { betas, .. } => betas.0 = value,
        }
        self
    }

    /// Switches SGD to Nesterov's momentum; other optimisers have none.
    #[must_use]
    pub fn with_nesterov(mut self) -> Self {
        if let Kind::Sgd { nesterov, .. } = &mut self.kind {
            *nesterov = true;
        }
        self
    }

    /// Sets Adam's betas.
    #[must_use]
    pub fn with_betas(mut self, first: f64, second: f64) -> Self {
        if let Kind::Adam { betas, .. } = &mut self.kind {
            *betas = (first, second);
        }
        self
    }

    /// Sets the weight decay.
    #[must_use]
    pub fn with_weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Parameters whose name contains one of these words are not decayed.
    #[must_use]
    pub fn without_decay_for(mut self, words: &[&str]) -> Self {
        self.no_decay = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The base learning rate, which a schedule scales.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Sets the base learning rate.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.learning_rate = learning_rate;
    }

    /// Bytes of state per byte of parameters: 2 for Adam.
    #[must_use]
    pub fn state_factor(&self) -> usize {
        match self.kind {
            Kind::Sgd { momentum, .. } => usize::from(momentum > 0.0),
            Kind::Adam { .. } => 2,
            Kind::RmsProp { momentum, .. } => 1 + usize::from(momentum > 0.0),
        }
    }

    /// Moves the parameters that have a gradient, at the learning rate `rate`.
    ///
    /// # Errors
    /// When a gradient's length is not that of its parameter.
    pub fn step(&mut self, vars: &[(String, Var)], grads: &Gradients, rate: f64) -> Result<()> {
        for (name, var) in vars {
            let Some(grad) = grads.get(name) else { continue };
            if var.elem_count() != grad.len() {
                return Err(NnError::Tensor(candle_core::Error::Msg(format!(
                    "the gradient of {name} has {} values, the parameter {}",
                    grad.len(),
                    var.elem_count()
                ))));
            }
            let decays = !self.no_decay.iter().any(|word| name.contains(word.as_str()));
            let decay = if decays { self.weight_decay } else { 0.0 };
            let slot = self.slots.entry(name.clone()).or_default();
            slot.steps += 1;
            if var.device().is_cpu() && var.dtype() == DType::F32 && var.is_contiguous() {
                let slot = Mutex::new(slot);
                var.inplace_op1(&InPlace { kind: self.kind, grad, slot, rate, decay })?;
            } else {
                let mut values = var.flatten_all()?.to_vec1::<f32>()?;
                update(self.kind, &mut values, grad, slot, rate, decay);
                var.set(&Tensor::from_vec(values, var.shape(), var.device())?)?;
            }
        }
        Ok(())
    }

    /// The state as tensors, for a checkpoint.
    ///
    /// # Errors
    /// When a tensor cannot be made.
    pub fn state(&self) -> Result<HashMap<String, Tensor>> {
        let mut state = HashMap::new();
        for (name, slot) in &self.slots {
            for (part, values) in [("first", &slot.first), ("second", &slot.second)] {
                state.insert(
                    format!("{part}.{name}"),
                    Tensor::new(values.as_slice(), &Device::Cpu)?,
                );
            }
            state.insert(format!("steps.{name}"), Tensor::new(&[slot.steps], &Device::Cpu)?);
        }
        Ok(state)
    }

    /// Takes over a state that [`Optimizer::state`] gave for these parameters.
    ///
    /// # Errors
    /// When a tensor has another type, or not as many values as its parameter; the state is as before then.
    pub fn load_state(
        &mut self,
        vars: &[(String, Var)],
        state: &HashMap<String, Tensor>,
    ) -> Result<()> {
        let mut slots: BTreeMap<String, Slot> = BTreeMap::new();
        for (key, tensor) in state {
            let Some((part, name)) = key.split_once('.') else { continue };
            let slot = slots.entry(name.to_owned()).or_default();
            match part {
                "first" => slot.first = tensor.to_vec1()?,
                "second" => slot.second = tensor.to_vec1()?,
                "steps" => slot.steps = tensor.to_vec1::<u32>()?.first().copied().unwrap_or(0),
                _ => {}
            }
        }
        for (name, var) in vars {
            let Some(slot) = slots.get(name) else { continue };
            let expected = var.elem_count();
            for held in [slot.first.len(), slot.second.len()] {
                if held != 0 && held != expected {
                    return Err(NnError::OptimizerState { name: name.clone(), held, expected });
                }
            }
        }
        self.slots = slots;
        Ok(())
    }
}

/// Changes a parameter where it lies.
struct InPlace<'a> {
    kind: Kind,
    grad: &'a [f32],
    slot: Mutex<&'a mut Slot>,
    rate: f64,
    decay: f64,
}

impl InplaceOp1 for InPlace<'_> {
    fn name(&self) -> &'static str {
        "optimizer-step"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets())
        else {
            candle_core::bail!("a parameter is not a contiguous f32 tensor");
        };
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        update(self.kind, &mut values[start..end], self.grad, &mut slot, self.rate, self.decay);
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "parameters are f32")]
fn update(kind: Kind, values: &mut [f32], grad: &[f32], slot: &mut Slot, rate: f64, decay: f64) {
    let grow = |state: &mut Vec<f32>| state.resize(grad.len(), 0.0);
    let first_step = slot.steps == 1;
    let (rate32, decay32) = (rate as f32, decay as f32);
    match kind {
        Kind::Sgd { momentum, nesterov } => {
            if momentum > 0.0 {
                grow(&mut slot.first);
            }
            let momentum = momentum as f32;
            for (index, value) in values.iter_mut().enumerate() {
                let mut grad = grad[index] + decay32 * *value;
                if momentum > 0.0 {
                    let buffer = &mut slot.first[index];
                    *buffer = if first_step { grad } else { momentum * *buffer + grad };
                    grad = if nesterov { grad + momentum * *buffer } else { *buffer };
                }
                *value -= rate32 * grad;
            }
        }
        Kind::Adam { betas: (beta1, beta2), eps, decoupled } => {
            grow(&mut slot.first);
            grow(&mut slot.second);
            let steps = f64::from(slot.steps);
            let step = (rate / (1.0 - beta1.powf(steps))) as f32;
            let scale = (1.0 / (1.0 - beta2.powf(steps)).sqrt()) as f32;
            let (beta1, beta2, eps) = (beta1 as f32, beta2 as f32, eps as f32);
            let shrink = if decoupled { 1.0 - rate32 * decay32 } else { 1.0 };
            let added = if decoupled { 0.0 } else { decay32 };
            values
                .par_iter_mut()
                .zip(grad)
                .zip(slot.first.par_iter_mut().zip(&mut slot.second))
                .with_min_len(16 * 1024)
                .for_each(|((value, grad), (first, second))| {
                    let grad = grad + added * *value;
                    *first = beta1 * *first + (1.0 - beta1) * grad;
                    *second = beta2 * *second + (1.0 - beta2) * grad * grad;
                    *value = *value * shrink - step * *first / (second.sqrt() * scale + eps);
                });
        }
        Kind::RmsProp { alpha, eps, momentum } => {
            grow(&mut slot.second);
            if momentum > 0.0 {
                grow(&mut slot.first);
            }
            let (alpha, eps, momentum) = (alpha as f32, eps as f32, momentum as f32);
            for (index, value) in values.iter_mut().enumerate() {
                let grad = grad[index] + decay32 * *value;
                let second = &mut slot.second[index];
                *second = alpha * *second + (1.0 - alpha) * grad * grad;
                let mut move_by = grad / (second.sqrt() + eps);
                if momentum > 0.0 {
                    let buffer = &mut slot.first[index];
                    *buffer = momentum * *buffer + move_by;
                    move_by = *buffer;
                }
                *value -= rate32 * move_by;
            }
        }
    }
}

/// The Euclidean norm over all gradients.
#[must_use]
pub fn norm(grads: &Gradients) -> f64 {
    // Runs of 256 values in f32, their sums in f64.
    let square = |grad: &Vec<f32>| {
        let run = |run: &[f32]| {
            let mut lanes = [0f32; 8];
            let chunks = run.chunks_exact(8);
            let rest: f32 = chunks.remainder().iter().map(|g| g * g).sum();
            for chunk in chunks {
                lanes.iter_mut().zip(chunk).for_each(|(lane, g)| *lane = g.mul_add(*g, *lane));
            }
            f64::from(lanes.iter().sum::<f32>() + rest)
        };
        grad.chunks(256).map(run).sum::<f64>()
    };
    grads.values().map(square).sum::<f64>().sqrt()
}

/// Scales all gradients by a factor.
#[expect(clippy::cast_possible_truncation, reason = "gradients are f32")]
pub fn scale(grads: &mut Gradients, factor: f64) {
    let factor = factor as f32;
    grads.values_mut().flatten().for_each(|grad| *grad *= factor);
}

/// Adds the gradients of `vars` in a candle store to `sum`, each times `factor`.
///
/// # Errors
/// When a gradient is not `f32`.
pub fn accumulate(
    sum: &mut Gradients,
    vars: &[(String, Var)],
    store: &candle_core::backprop::GradStore,
    factor: f32,
) -> Result<()> {
    for (name, var) in vars {
        let Some(grad) = store.get(var) else { continue };
        let grad = grad.flatten_all()?.to_vec1::<f32>()?;
        match sum.entry(name.clone()) {
            Entry::Occupied(mut sum) => {
                sum.get_mut().iter_mut().zip(grad).for_each(|(sum, grad)| *sum += factor * grad);
            }
            Entry::Vacant(place) => {
                let mut grad = grad;
                if (factor - 1.0).abs() > 0.0 {
                    grad.iter_mut().for_each(|grad| *grad *= factor);
                }
                place.insert(grad);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_nn::Optimizer as _;

    /// Five steps on `Σ (i + 1) x_i⁴ / 4` from the same start.
    fn run(mut optimizer: Optimizer) -> Result<Vec<f32>> {
        let var = Var::new(&[1.0f32, -0.5, 0.25], &Device::Cpu)?;
        let vars = [("w".to_owned(), var.clone())];
        for _ in 0..5 {
            let values = var.to_vec1::<f32>()?;
            let grad = values.iter().zip([1.0, 2.0, 3.0]).map(|(x, c)| c * x.powi(3)).collect();
            let rate = optimizer.learning_rate();
            optimizer.step(&vars, &Gradients::from([("w".to_owned(), grad)]), rate)?;
        }
        Ok(var.to_vec1()?)
    }

    fn close(ours: &[f32], theirs: &[f32]) {
        for (a, b) in ours.iter().zip(theirs) {
            assert!((a - b).abs() < 1e-5, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn adamw_equals_candles() -> Result<()> {
        let var = Var::new(&[1.0f32, -0.5, 0.25], &Device::Cpu)?;
        let params = candle_nn::ParamsAdamW { lr: 0.05, weight_decay: 0.1, ..Default::default() };
        let mut theirs = candle_nn::AdamW::new(vec![var.clone()], params)?;
        for _ in 0..5 {
            let weight = Tensor::new(&[0.25f32, 0.5, 0.75], &Device::Cpu)?;
            theirs.backward_step(&var.powf(4.0)?.mul(&weight)?.sum_all()?)?;
        }
        close(&run(Optimizer::adamw(0.05).with_weight_decay(0.1))?, &var.to_vec1::<f32>()?);
        Ok(())
    }

    #[test]
    fn the_others_equal_their_formulas() -> Result<()> {
        // Each formula once more in f64, on one value.
        let grad = |x: f64| x.powi(3);
        let (mut x, mut buffer) = (1.0, 0.0);
        for step in 0..5 {
            let g = grad(x);
            buffer = if step == 0 { g } else { 0.9 * buffer + g };
            x -= 0.1 * (g + 0.9 * buffer);
        }
        let ours = run(Optimizer::sgd(0.1).with_momentum(0.9).with_nesterov())?;
        assert!((f64::from(ours[0]) - x).abs() < 1e-5, "{ours:?} {x}");
        let (mut x, mut second) = (1.0, 0.0);
        for _ in 0..5 {
            let g = grad(x);
            second = 0.99 * second + 0.01 * g * g;
            x -= 0.01 * g / (second.sqrt() + 1e-8);
        }
        let ours = run(Optimizer::rmsprop(0.01))?;
        assert!((f64::from(ours[0]) - x).abs() < 1e-5, "{ours:?} {x}");
        Ok(())
    }

    #[test]
    fn decay_spares_the_named_parameters_and_state_survives() -> Result<()> {
        let vars = [
            ("a.weight".to_owned(), Var::new(&[1.0f32], &Device::Cpu)?),
            ("a.bias".to_owned(), Var::new(&[1.0f32], &Device::Cpu)?),
        ];
        let grads: Gradients = vars.iter().map(|(name, _)| (name.clone(), vec![0.0])).collect();
        let mut optimizer = Optimizer::adamw(0.1).without_decay_for(&["bias"]);
        optimizer.step(&vars, &grads, 0.1)?;
        assert_eq!(vars[0].1.to_vec1::<f32>()?, [0.999]);
        assert_eq!(vars[1].1.to_vec1::<f32>()?, [1.0]);
        let mut copy = Optimizer::adamw(0.1);
        copy.load_state(&vars, &optimizer.state()?)?;
        assert_eq!(copy.slots["a.bias"].steps, 1);
        // That of a wider layer, under the same names.
        let mut other = optimizer.state()?;
        other.insert("first.a.weight".to_owned(), Tensor::new(&[0f32, 0.0], &Device::Cpu)?);
        let error = copy.load_state(&vars, &other).expect_err("does not fit");
        assert!(error.to_string().contains("a.weight has 2 values"), "{error}");
        assert_eq!(copy.slots["a.weight"].first.len(), 1);
        Ok(())
    }
}
