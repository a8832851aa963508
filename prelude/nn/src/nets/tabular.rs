//! Nets for frames with the verbs of the modelling crate: [`MlpClassifier`] and [`MlpRegressor`].

use candle_core::{Device, Result as TensorResult, Tensor, Var};
use oxilab_display::{MimeBundle, Render};
use oxilab_model::net::{NetProblem, NetTarget, NetWeights, fit_net};
use oxilab_model::{Estimator, FittedModel};
use polars::prelude::DataFrame;
use rand::{SeedableRng as _, rngs::StdRng};
use serde::Serialize;

use super::mlp::Mlp;
use crate::check;
use crate::device::DeviceExt as _;
use crate::error::Result;
use crate::init;
use crate::loader::{DataLoader, TensorDataset};
use crate::loss::Loss;
use crate::model::{Mode, Trainable};
use crate::optim::Optimizer;
use crate::schedule::Schedule;
use crate::trainer::Trainer;

/// Settings that both nets share.
#[derive(Clone, Debug, Serialize)]
struct Settings {
    hidden: Vec<usize>,
    embedding: Option<usize>,
    epochs: usize,
    batch_size: usize,
    learning_rate: f64,
    weight_decay: f64,
    dropout: f64,
    seed: u64,
    #[serde(skip)]
    quiet: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hidden: vec![64, 64],
            embedding: None,
            epochs: 30,
            batch_size: 64,
            learning_rate: 3e-3,
            weight_decay: 1e-4,
            dropout: 0.0,
            seed: 0,
            quiet: false,
        }
    }
}

/// Embeddings of categorical columns beside the numbers, and a perceptron on both; on `Device::best()`.
struct TabularNet {
    embeddings: Vec<Var>,
    numbers: usize,
    mlp: Mlp,
}

impl TabularNet {
    fn new(settings: &Settings, problem: &NetProblem, outputs: usize) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(settings.seed ^ 0x00e3_bedd);
        let mut width = problem.numbers_width;
        let mut embeddings = Vec::new();
        for count in &problem.categories {
            let dim = settings.embedding.unwrap_or_else(|| default_width(*count));
            check::at_least_one("the width of a category's vector", dim)?;
            let values = init::normal(&[*count, dim], 0.1, &mut rng, &Device::best())?;
            embeddings.push(Var::from_tensor(&values)?);
            width += dim;
        }
        let mlp = Mlp::new(width, &settings.hidden, outputs, settings.seed)?;
        let mlp = mlp.with_dropout(settings.dropout);
        Ok(Self { embeddings, numbers: problem.numbers_width, mlp })
    }

    fn weights(&self) -> TensorResult<NetWeights> {
        let flat = |var: &Var| var.flatten_all()?.to_vec1::<f32>();
        let layer = |layer: &crate::layers::Linear| -> TensorResult<_> {
            Ok((flat(layer.weight())?, flat(layer.bias())?))
        };
        Ok(NetWeights {
            embeddings: self.embeddings.iter().map(flat).collect::<TensorResult<_>>()?,
            layers: self.mlp.layers().iter().map(layer).collect::<TensorResult<_>>()?,
            history: Vec::new(),
        })
    }
}

/// Values of a category's vector: about the square root of the number of categories, at most 32.
fn default_width(categories: usize) -> usize {
    (1..32).find(|width| width * width >= categories * 2).unwrap_or(32)
}

impl Trainable for TabularNet {
    fn forward(&self, input: &Tensor, mode: Mode) -> TensorResult<Tensor> {
        let mut parts = vec![input.narrow(1, 0, self.numbers)?];
        for (number, vectors) in self.embeddings.iter().enumerate() {
            let codes = input.narrow(1, self.numbers + number, 1)?.flatten_all()?;
            let codes = codes.to_dtype(candle_core::DType::U32)?;
            parts.push(vectors.index_select(&codes, 0)?);
        }
        self.mlp.forward(&Tensor::cat(&parts, 1)?, mode)
    }

    fn vars(&self) -> Vec<(String, Var)> {
        let embeddings = self.embeddings.iter().enumerate();
        let mut vars: Vec<(String, Var)> =
            embeddings.map(|(number, var)| (format!("embedding.{number}"), var.clone())).collect();
        vars.extend(self.mlp.vars());
        vars
    }
}

/// Trains a net on a prepared frame.
fn train(settings: &Settings, problem: &NetProblem) -> Result<NetWeights> {
    check::share("the dropout", settings.dropout)?;
    let device = &Device::Cpu;
    let numbers = (problem.rows, problem.numbers_width);
    let mut parts = vec![Tensor::from_slice(&problem.numbers, numbers, device)?];
    if !problem.categories.is_empty() {
        let codes = (problem.rows, problem.categories.len());
        let codes = Tensor::from_slice(&problem.codes, codes, device)?;
        parts.push(codes.to_dtype(candle_core::DType::F32)?);
    }
    let input = Tensor::cat(&parts, 1)?;
    let (target, outputs, loss) = match &problem.target {
        NetTarget::Classes(codes, count) => {
            (Tensor::from_slice(codes, problem.rows, device)?, *count, Loss::CrossEntropy)
        }
        NetTarget::Values(values) => {
            (Tensor::from_slice(values, (problem.rows, 1), device)?, 1, Loss::Mse)
        }
    };
    let net = TabularNet::new(settings, problem, outputs)?;
    let loader = DataLoader::new(TensorDataset::new(input, target)?, settings.batch_size)
        .with_shuffle(settings.seed)
        .with_prefetch(0);
    let optimizer = Optimizer::adamw(settings.learning_rate)
        .with_weight_decay(settings.weight_decay)
        .without_decay_for(&["bias", "embedding"]);
    let mut trainer = Trainer::new(net, optimizer, loss)
        .with_epochs(settings.epochs)
        .with_schedule(Schedule::Cosine { warmup: 0 })
        .with_clip_norm(10.0)
        .with_seed(settings.seed);
    if settings.quiet {
        trainer = trainer.quiet();
    }
    let history = trainer.fit(&loader)?;
    let series = vec![("train_loss".to_owned(), history.metric("train_loss"))];
    Ok(NetWeights { history: series, ..trainer.into_model().weights()? })
}

macro_rules! net {
    ($(#[$about:meta])* $net:ident, $classify:literal) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default)]
        pub struct $net {
            settings: Settings,
        }

        impl $net {
            /// Two hidden layers of 64, 30 epochs of 64 rows, AdamW at 0.003 falling along a cosine.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            /// Sets the widths of the hidden layers; `[64, 64]` unless set.
            #[must_use]
            pub fn with_hidden(mut self, widths: &[usize]) -> Self {
                self.settings.hidden = widths.to_vec();
                self
            }

            /// Sets the values of a category's vector; grows with the number of categories, up to 32,
            /// unless set.
            #[must_use]
            pub fn with_embedding(mut self, width: usize) -> Self {
                self.settings.embedding = Some(width);
                self
            }

            /// Sets the number of epochs; 30 unless set.
            #[must_use]
            pub fn with_epochs(mut self, epochs: usize) -> Self {
                self.settings.epochs = epochs;
                self
            }

            /// Sets the rows of a batch; 64 unless set.
            #[must_use]
            pub fn with_batch_size(mut self, rows: usize) -> Self {
                self.settings.batch_size = rows;
                self
            }

            /// Sets AdamW's learning rate; 0.003 unless set.
            #[must_use]
            pub fn with_learning_rate(mut self, rate: f64) -> Self {
                self.settings.learning_rate = rate;
                self
            }

            /// Sets the weight decay; 0.0001 unless set.
            #[must_use]
            pub fn with_weight_decay(mut self, decay: f64) -> Self {
                self.settings.weight_decay = decay;
                self
            }

            /// Sets the dropout between hidden layers; none unless set.
            #[must_use]
            pub fn with_dropout(mut self, p: f64) -> Self {
                self.settings.dropout = p;
                self
            }

            /// Sets the seed of weights, order and dropout.
            #[must_use]
            pub fn with_seed(mut self, seed: u64) -> Self {
                self.settings.seed = seed;
                self
            }

            /// Trains without progress bar and chart.
            #[must_use]
            pub fn quiet(mut self) -> Self {
                self.settings.quiet = true;
                self
            }

            /// Trains on all columns but `target`.
            ///
            /// # Errors
            /// If a column or the target cannot be used, the loss is not finite, or the user
            /// interrupts.
            pub fn fit(&self, train: &DataFrame, target: &str) -> oxilab_model::Result<FittedModel> {
                let params = serde_json::to_value(&self.settings).unwrap_or_default();
                fit_net(stringify!($net), &params, $classify, train, target, |problem| {
                    self::train(&self.settings, problem)
                        .map_err(|error| super::failure(stringify!($net), error))
                })
            }
        }

        impl Estimator for $net {
            fn name(&self) -> &str {
                stringify!($net)
            }

            fn params(&self) -> serde_json::Value {
                serde_json::to_value(&self.settings).unwrap_or_default()
            }

            fn fit(&self, train: &DataFrame, target: &str) -> oxilab_model::Result<FittedModel> {
                self.fit(train, target)
            }

            fn parallel(&self) -> bool {
                false
            }
        }

        impl Render for $net {
            fn render(&self) -> MimeBundle {
                let Settings { hidden, epochs, .. } = &self.settings;
                MimeBundle::text(format!("{}(hidden {hidden:?}, {epochs} epochs)", stringify!($net)))
            }
        }
    };
}

net!(
    /// A perceptron that tells classes apart. Numbers are standardised, missing ones become the mean and
    /// a flag; categories become vectors that are learned with the rest (Guo and Berkhahn, 2016). The
    /// result is a [`FittedModel`] as that of any other learner.
    ///
    /// ```
    /// use oxilab_nn::nets::MlpClassifier;
    /// use polars::prelude::df;
    ///
    /// let df = df!("x" => [0.0, 0.1, 0.9, 1.0], "kind" => ["low", "low", "high", "high"])?;
    /// let model = MlpClassifier::new().with_epochs(60).quiet().fit(&df, "kind")?;
    /// assert_eq!(model.predict(&df)?.str()?.get(3), Some("high"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    MlpClassifier,
    true
);

net!(
    /// A perceptron that predicts a number; otherwise as [`MlpClassifier`]. The target is standardised.
    MlpRegressor,
    false
);

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::df;

    type Test = std::result::Result<(), Box<dyn std::error::Error>>;

    #[test]
    fn a_regressor_learns_a_curve() -> Test {
        let x: Vec<f64> = (0..200).map(|i| f64::from(i) / 100.0 - 1.0).collect();
        let y: Vec<f64> = x.iter().map(|x| 1000.0 + 50.0 * (3.0 * x).sin()).collect();
        let df = df!("x" => x, "y" => y.clone())?;
        let net = MlpRegressor::new().with_epochs(80).with_learning_rate(0.01).quiet();
        let said = net.fit(&df, "y")?.predict(&df)?;
        let square = |pairs: &mut dyn Iterator<Item = f64>| pairs.map(|d| d * d).sum::<f64>();
        let rest = square(&mut said.f64()?.into_no_null_iter().zip(&y).map(|(said, y)| said - y));
        let all = square(&mut y.iter().map(|y| y - 1000.0));
        assert!(rest / all < 0.02, "{rest} {all}");
        Ok(())
    }

    #[test]
    fn categories_become_vectors_and_missing_values_are_taken() -> Test {
        let kinds = ["a", "b", "c", "d"];
        let kind: Vec<&str> = (0..120).map(|i| kinds[i % 4]).collect();
        let x: Vec<Option<f64>> =
            (0..120u32).map(|i| if i % 10 == 3 { None } else { Some(f64::from(i % 7)) }).collect();
        // The class is the kind's alone, in an order that no line through its number has.
        let class: Vec<bool> = (0..120).map(|i| [true, false, false, true][i % 4]).collect();
        let df = df!("kind" => kind, "x" => x, "class" => class)?;
        let net = MlpClassifier::new().with_epochs(60).with_learning_rate(0.01).quiet();
        let model = net.fit(&df, "class")?;
        let truth: Vec<Option<bool>> = df.column("class")?.bool()?.iter().collect();
        assert_eq!(model.predict(&df)?.bool()?.iter().collect::<Vec<_>>(), truth);
        assert_eq!(model.predict_proba(&df)?.shape(), (120, 2));
        let again = FittedModel::from_bytes(&model.to_bytes()?)?;
        assert_eq!(again.predict(&df)?.bool()?.iter().collect::<Vec<_>>(), truth);
        assert_eq!(again.learner(), "MlpClassifier");
        Ok(())
    }

    #[test]
    fn nets_are_estimators_like_any_other() -> Test {
        let x: Vec<f64> = (0..90).map(f64::from).collect();
        let kind: Vec<i32> = (0..90).map(|i| i / 30 * 5).collect();
        let df = df!("x" => x, "kind" => kind)?;
        let net = MlpClassifier::new().with_epochs(100).with_learning_rate(0.01).quiet();
        let folds = oxilab_model::cross_validate(&net, &df, "kind", 3)?;
        assert!(folds.mean("accuracy") > 0.8);
        assert_eq!(net.fit(&df, "kind")?.classes(), ["0", "5", "10"]);
        Ok(())
    }
}
