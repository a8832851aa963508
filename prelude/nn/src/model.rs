//! What the trainer trains: anything with a forward pass and named variables.

use candle_core::{Device, Result, Tensor, Var};
use candle_nn::VarMap;
use rand::{SeedableRng as _, rngs::StdRng};

/// Whether a forward pass is one of training, and the seed of its dropout.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use oxilab_nn::{Mode, layers::dropout};
/// let x = Tensor::ones(1000, DType::F32, &Device::Cpu)?;
/// // The same seed and layer: the same values are dropped.
/// let dropped = |mode: Mode| dropout(&x, 0.5, &mut mode.rng(3))?.to_vec1::<f32>();
/// assert_eq!(dropped(Mode::train(7))?, dropped(Mode::train(7))?);
/// assert_ne!(dropped(Mode::train(7))?, dropped(Mode::train(8))?);
/// assert!(!Mode::eval().train);
/// # Ok::<(), candle_core::Error>(())
/// ```
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
///
/// ```
/// use candle_core::{Tensor, Var};
/// use oxilab_nn::{Mode, Trainable};
///
/// struct Scale(Var);
///
/// impl Trainable for Scale {
///     fn forward(&self, input: &Tensor, _mode: Mode) -> oxilab_nn::Result<Tensor> {
///         input.broadcast_mul(&self.0)
///     }
///
///     fn vars(&self) -> Vec<(String, Var)> {
///         vec![("scale".to_owned(), self.0.clone())]
///     }
/// }
/// ```
pub trait Trainable {
    /// The result for a batch of inputs.
    ///
    /// # Errors
    /// When the shapes do not fit.
    fn forward(&self, input: &Tensor, mode: Mode) -> Result<Tensor>;

    /// The trainable variables by name; names are those of checkpoints and must not change.
    fn vars(&self) -> Vec<(String, Var)>;

    /// Where its variables are, and where its inputs have to be; a [`Trainer`](crate::Trainer) moves its
    /// batches there.
    fn device(&self) -> Device {
        self.vars().first().map_or(Device::Cpu, |(_, var)| var.device().clone())
    }

    /// What a forward pass in training changes but no gradient moves, for example the running
    /// statistics of a [`BatchNorm`](crate::layers::BatchNorm); part of checkpoints.
    fn buffers(&self) -> Vec<(String, Var)> {
        Vec::new()
    }
}

/// A forward pass whose type has a name.
pub type Forward = Box<dyn Fn(&Tensor, Mode) -> Result<Tensor>>;

/// A closure over candle layers as a [`Trainable`]. Its type has a name, `Net`, so that a net and its
/// trainer live on in later cells.
///
/// ```
/// use candle_core::{DType, Device};
/// use candle_nn::{Module as _, VarBuilder, VarMap};
/// use oxilab_nn::{Loss, Net, Optimizer, Trainer};
///
/// let vars = VarMap::new();
/// let layer = candle_nn::linear(2, 1, VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu))?;
/// let net: Net = Net::new(&vars, move |x, _mode| layer.forward(x));
/// let trainer: Trainer<Net> = Trainer::new(net, Optimizer::adam(0.01), Loss::Mse);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub struct Net<F = Forward> {
    vars: Vec<(String, Var)>,
    forward: F,
}

impl Net {
    /// A net whose variables are those of `varmap`, sorted by name. The closure owns what it uses
    /// (`move`).
    pub fn new(
        varmap: &VarMap,
        forward: impl Fn(&Tensor, Mode) -> Result<Tensor> + 'static,
    ) -> Self {
        // Not `Send`: `candle_nn::Sequential` is not, and closures over it are common. A net for
        // another thread is one of `Net::of`.
        Self::of(varmap, Box::new(forward))
    }
}

impl<F: Fn(&Tensor, Mode) -> Result<Tensor>> Net<F> {
    /// As [`Net::new`], with the closure's own type: it may borrow, and a net of it can go to another
    /// thread if it can.
    pub fn of(varmap: &VarMap, forward: F) -> Self {
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
