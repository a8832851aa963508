//! [`SequenceClassifier`].

use std::path::Path;

use candle_core::{D, Device, Tensor};
use oxilab_display::{MimeBundle, Render};
use polars::prelude::{DataFrame, NamedFrom as _, Series};
use serde::{Deserialize, Serialize};

use super::file;
use super::net::RecurrentNet;
use super::series::{Series3, texts};
use super::settings::{Settings, settings};
use crate::error::{NnError, Result};
use crate::history::History;
use crate::loader::TensorDataset;
use crate::loss::Loss;
use crate::model::{Mode, Trainable as _};
use crate::weights::{assign, load_tensors};

/// Tells series apart. A row is a series: either the input columns are lists (one for each channel, of
/// any length), or they are numbers, which are then the steps of one channel in the order of the columns.
///
/// ```
/// use oxilab_nn::SequenceClassifier;
/// use polars::prelude::df;
/// let df = df!(
///     "t0" => [0.0, 1.0, 0.1, 0.9], "t1" => [0.5, 0.5, 0.5, 0.5], "t2" => [1.0, 0.0, 0.9, 0.1],
///     "course" => ["up", "down", "up", "down"],
/// )?;
/// let net = SequenceClassifier::gru().with_epochs(40).quiet().fit(&df, "course")?;
/// assert_eq!(net.predict(&df)?.str()?.get(0), Some("up"));
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
pub struct SequenceClassifier {
    settings: Settings,
    net: Option<RecurrentNet>,
    fitted: Option<FittedSeries>,
    history: History,
}

/// What is known of the training frame.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct FittedSeries {
    inputs: Vec<String>,
    classes: Vec<String>,
    time: usize,
    channels: usize,
    scale: Vec<(f32, f32)>,
}

settings!(SequenceClassifier);

impl SequenceClassifier {
    /// On long short-term memory.
    #[must_use]
    pub fn lstm() -> Self {
        Self::with_settings(Settings::new(false))
    }

    /// On gated recurrent units.
    #[must_use]
    pub fn gru() -> Self {
        Self::with_settings(Settings::new(true))
    }

    fn with_settings(settings: Settings) -> Self {
        Self { settings, net: None, fitted: None, history: History::default() }
    }

    fn blank(&self, fitted: &FittedSeries) -> Result<RecurrentNet> {
        Ok(RecurrentNet::new(&self.settings, fitted.channels, fitted.classes.len())?)
    }

    /// Trains on all columns but `target`.
    ///
    /// # Errors
    /// When a column holds neither numbers nor lists of numbers, values are missing, or the loss is not
    /// finite.
    pub fn fit(mut self, df: &DataFrame, target: &str) -> Result<Self> {
        self.settings.check()?;
        let labels = texts(df, target)?;
        let mut classes = labels.clone();
        classes.sort_unstable();
        classes.dedup();
        let inputs: Vec<String> = df
            .get_column_names()
            .into_iter()
            .map(|name| name.to_string())
            .filter(|name| name != target)
            .collect();
        let mut series = Series3::read(df, &inputs, None)?;
        let scale = series.moments();
        series.standardize(&scale);
        let (time, channels) = (series.time, series.channels);
        let fitted = FittedSeries { inputs, classes, time, channels, scale };
        let number = |label: &String| fitted.classes.iter().position(|class| class == label);
        let numbers: Vec<u32> =
            labels.iter().filter_map(number).filter_map(|n| u32::try_from(n).ok()).collect();
        let target = Tensor::from_vec(numbers, labels.len(), &Device::Cpu)?;
        let data = TensorDataset::new(series.tensor()?, target)?;
        let net = self.blank(&fitted)?;
        let (net, history) = self.settings.train(net, data, Loss::CrossEntropy)?;
        (self.net, self.fitted, self.history) = (Some(net), Some(fitted), history);
        Ok(self)
    }

    fn logits(&self, df: &DataFrame) -> Result<(Tensor, &FittedSeries)> {
        let (Some(net), Some(fitted)) = (&self.net, &self.fitted) else {
            return Err(NnError::NotTrained);
        };
        let mut series = Series3::read(df, &fitted.inputs, Some(fitted.time))?;
        series.standardize(&fitted.scale);
        Ok((net.forward(&series.tensor()?, Mode::eval())?, fitted))
    }

    /// The most likely class of each row, as text, under the name `prediction`.
    ///
    /// # Errors
    /// When the net is not trained or a column does not fit.
    pub fn predict(&self, df: &DataFrame) -> Result<Series> {
        let (logits, fitted) = self.logits(df)?;
        let numbers = logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let labels: Vec<&str> =
            numbers.iter().map(|number| fitted.classes[*number as usize].as_str()).collect();
        Ok(Series::new("prediction".into(), labels))
    }

    /// The probability of each class, one column for each.
    ///
    /// # Errors
    /// As [`SequenceClassifier::predict`].
    pub fn predict_proba(&self, df: &DataFrame) -> Result<DataFrame> {
        let (logits, fitted) = self.logits(df)?;
        let columns = candle_nn::ops::softmax(&logits, 1)?.t()?.to_vec2::<f32>()?;
        let named = fitted.classes.iter().zip(columns);
        let columns = named.map(|(class, p)| Series::new(class.as_str().into(), p).into());
        Ok(DataFrame::new(df.height(), columns.collect())?)
    }

    /// The share of rows whose class is predicted.
    ///
    /// # Errors
    /// As [`SequenceClassifier::predict`].
    #[expect(clippy::cast_precision_loss, reason = "rows are far below 2^52")]
    pub fn score(&self, df: &DataFrame, target: &str) -> Result<f64> {
        let (truth, said) = (texts(df, target)?, self.predict(df)?);
        let said = said.str()?.iter().map(Option::unwrap_or_default);
        let hits = truth.iter().zip(said).filter(|(truth, said)| truth.as_str() == *said).count();
        Ok(hits as f64 / truth.len().max(1) as f64)
    }
}
