//! What the trainer trains: anything with a forward pass and named variables.

use candle_core::{Result, Tensor, Var};
use candle_nn::VarMap;
use rand::{SeedableRng as _, rngs::StdRng};

/// Whether a forward pass is one of training, and the seed of its dropout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Dropout and batch statistics are on.
    pub train: bool,
    seed: u64,
}

impl Mode {
    /// Evaluation: no dropout.
    #[must_use]
    pub fn eval() -> Self {
        Self { train: false, seed: 0 }
    }

    /// Training with a seed that differs from step to step.
    #[must_use]
    pub fn train(seed: u64) -> Self {
        Self { train: true, seed }
    }

    /// Random numbers for a layer; every layer takes another number.
    #[must_use]
    pub fn rng(&self, layer: u64) -> StdRng {
        StdRng::seed_from_u64(self.seed ^ layer.wrapping_mul(0xd134_2543_de82_ef95).rotate_left(17))
    }
}

/// A model that can be trained.
pub trait Trainable {
    /// The result for a batch of inputs.
    ///
    /// # Errors
    /// When the shapes do not fit.
    fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor>;

    /// The trainable variables by name; names are those of checkpoints and must not change.
    fn vars(&self) -> Vec<(String, Var)>;

    /// What a forward pass in training changes but no gradient moves, for example the running
    /// statistics of a [`BatchNorm`](crate::layers::BatchNorm); part of checkpoints.
    fn buffers(&self) -> Vec<(String, Var)> {
        Vec::new()
    }
}

/// A closure over candle layers as a [`Trainable`]: `Net::new(&varmap, |x, mode| layer.forward(x))`.
pub struct Net<F> {
    vars: Vec<(String, Var)>,
    forward: F,
}

impl<F: Fn(&Tensor, Mode) -> Result<Tensor>> Net<F> {
    /// A net whose variables are those of `varmap`, sorted by name.
    pub fn new(varmap: &VarMap, forward: F) -> Self {
        let data = varmap.data().lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut vars: Vec<(String, Var)> =
            data.iter().map(|(name, var)| (name.clone(), var.clone())).collect();
        vars.sort_by(|a, b| a.0.cmp(&b.0));
        Self { vars, forward }
    }
}

impl<F: Fn(&Tensor, Mode) -> Result<Tensor>> Trainable for Net<F> {
    fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor> {
        (self.forward)(input, mode)
    }

    fn vars(&self) -> Vec<(String, Var)> {
        self.vars.clone()
    }
}
