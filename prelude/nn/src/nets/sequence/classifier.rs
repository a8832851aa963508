//! [`SequenceClassifier`].

use candle_core::{Device, Tensor};
use oxilab_display::{MimeBundle, Render};
use oxilab_model::net::NetTarget;
use oxilab_model::recurrent::{RecurrentWeights, SeriesProblem, fit_recurrent};
use oxilab_model::{Estimator, FittedModel, ModelError};
use polars::prelude::DataFrame;

use super::net::RecurrentNet;
use super::settings::{Settings, settings};
use crate::error::Result;
use crate::loader::TensorDataset;
use crate::loss::Loss;
use crate::nets::failure;

const NAME: &str = "SequenceClassifier";

/// Tells series apart. A row is a series: either the input columns are lists (one for each channel, of
/// any length), or they are numbers, which are then the steps of one channel in the order of the columns.
/// Channels are standardised; what is missing, and what lies before the start of a shorter series, is the
/// mean. The result is a [`FittedModel`] as that of any other learner; a series that is longer than those
/// of the training frame is predicted from its end.
///
/// ```
/// use oxilab_nn::SequenceClassifier;
/// use polars::prelude::df;
/// let df = df!(
///     "t0" => [0.0, 1.0, 0.1, 0.9], "t1" => [0.5, 0.5, 0.5, 0.5], "t2" => [1.0, 0.0, 0.9, 0.1],
///     "course" => ["up", "down", "up", "down"],
/// )?;
/// let model = SequenceClassifier::gru().with_epochs(40).quiet().fit(&df, "course")?;
/// assert_eq!(model.predict(&df)?.str()?.get(0), Some("up"));
/// assert_eq!(model.evaluate(&df)?.get("accuracy"), Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct SequenceClassifier {
    settings: Settings,
}

settings!(SequenceClassifier);

impl SequenceClassifier {
    /// On long short-term memory: one layer of 32 values, 30 epochs of 32 rows, Adam at 0.01 falling
    /// along a cosine.
    #[must_use]
    pub fn lstm() -> Self {
        Self { settings: Settings::new(false) }
    }

    /// On gated recurrent units; otherwise as [`SequenceClassifier::lstm`].
    #[must_use]
    pub fn gru() -> Self {
        Self { settings: Settings::new(true) }
    }

    /// Trains on all columns but `target`.
    ///
    /// # Errors
    /// If a column holds neither numbers nor lists of numbers, the target cannot be used, the loss is not
    /// finite, or the user interrupts.
    pub fn fit(&self, train: &DataFrame, target: &str) -> oxilab_model::Result<FittedModel> {
        fit_recurrent(NAME, &self.params(), true, train, target, |problem| {
            train_on(&self.settings, problem).map_err(|error| failure(NAME, error))
        })
    }
}

fn train_on(settings: &Settings, problem: &SeriesProblem) -> Result<RecurrentWeights> {
    settings.check()?;
    let device = &Device::Cpu;
    let shape = (problem.rows, problem.time, problem.channels);
    let input = Tensor::from_slice(&problem.values, shape, device)?;
    let (target, outputs, loss) = match &problem.target {
        NetTarget::Classes(codes, count) => {
            (Tensor::from_slice(codes, problem.rows, device)?, *count, Loss::CrossEntropy)
        }
        NetTarget::Values(values) => {
            (Tensor::from_slice(values, (problem.rows, 1), device)?, 1, Loss::Mse)
        }
    };
    let net = RecurrentNet::new(settings, problem.channels, outputs)?;
    let (net, history) = settings.train(net, TensorDataset::new(input, target)?, loss)?;
    let history = vec![("train_loss".to_owned(), history.metric("train_loss"))];
    Ok(RecurrentWeights { history, ..net.weights()? })
}

impl Estimator for SequenceClassifier {
    fn name(&self) -> &str {
        NAME
    }

    fn params(&self) -> serde_json::Value {
        serde_json::to_value(&self.settings).unwrap_or_default()
    }

    fn fit(&self, train: &DataFrame, target: &str) -> Result<FittedModel, ModelError> {
        self.fit(train, target)
    }

    fn parallel(&self) -> bool {
        false
    }
}
