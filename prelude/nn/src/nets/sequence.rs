//! Nets for series: [`SequenceClassifier`] and [`Forecaster`], on LSTM or GRU.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{D, Device, Result as TensorResult, Tensor, Var};
use oxilab_display::{MimeBundle, Render};
use polars::prelude::{Column, DataFrame, DataType, NamedFrom as _, Series};
use rand::{SeedableRng as _, rngs::StdRng};
use serde::{Deserialize, Serialize};

use crate::check;
use crate::error::{NnError, Result};
use crate::history::History;
use crate::layers::{Cell, Linear, Recurrent, dropout};
use crate::loader::{DataLoader, TensorDataset};
use crate::loss::Loss;
use crate::model::{Mode, Trainable};
use crate::optim::Optimizer;
use crate::schedule::Schedule;
use crate::trainer::Trainer;
use crate::weights::{assign, load_tensors};

/// Recurrent layers over `(rows, time, channels)`, and a linear layer on the last state.
struct RecurrentNet {
    layers: Vec<Recurrent>,
    head: Linear,
    dropout: f64,
}

impl RecurrentNet {
    fn new(settings: &Settings, channels: usize, outputs: usize) -> TensorResult<Self> {
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

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Settings {
    gru: bool,
    hidden: usize,
    layers: usize,
    epochs: usize,
    batch_size: usize,
    learning_rate: f64,
    dropout: f64,
    seed: u64,
    #[serde(skip)]
    quiet: bool,
}

impl Settings {
    fn new(gru: bool) -> Self {
        Self {
            gru,
            hidden: 32,
            layers: 1,
            epochs: 30,
            batch_size: 32,
            learning_rate: 0.01,
            dropout: 0.0,
            seed: 0,
            quiet: false,
        }
    }

    /// Refuses what no net can be built with; the trainer looks at the rest.
    fn check(&self) -> Result<()> {
        check::at_least_one("the number of hidden values", self.hidden)?;
        check::at_least_one("the number of recurrent layers", self.layers)?;
        check::share("the dropout", self.dropout)
    }

    fn train(
        &self,
        net: RecurrentNet,
        data: TensorDataset,
        loss: Loss,
    ) -> Result<(RecurrentNet, History)> {
        let loader =
            DataLoader::new(data, self.batch_size).with_shuffle(self.seed).with_prefetch(0);
        let mut trainer = Trainer::new(net, Optimizer::adam(self.learning_rate), loss)
            .with_epochs(self.epochs)
            .with_schedule(Schedule::Cosine { warmup: 0 })
            .with_clip_norm(1.0)
            .with_seed(self.seed);
        if self.quiet {
            trainer = trainer.quiet();
        }
        let history = trainer.fit(&loader)?;
        Ok((trainer.into_model(), history))
    }
}

macro_rules! settings {
    ($net:ident) => {
        impl $net {
            /// Sets the values of the state; 32 unless set.
            #[must_use]
            pub fn with_hidden(mut self, hidden: usize) -> Self {
                self.settings.hidden = hidden;
                self
            }

            /// Sets the number of recurrent layers; 1 unless set.
            #[must_use]
            pub fn with_layers(mut self, layers: usize) -> Self {
                self.settings.layers = layers;
                self
            }

            /// Sets the number of epochs; 30 unless set.
            #[must_use]
            pub fn with_epochs(mut self, epochs: usize) -> Self {
                self.settings.epochs = epochs;
                self
            }

            /// Sets the rows of a batch; 32 unless set.
            #[must_use]
            pub fn with_batch_size(mut self, rows: usize) -> Self {
                self.settings.batch_size = rows;
                self
            }

            /// Sets Adam's learning rate; 0.01 unless set.
            #[must_use]
            pub fn with_learning_rate(mut self, rate: f64) -> Self {
                self.settings.learning_rate = rate;
                self
            }

            /// Sets the dropout before the last layer; none unless set.
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

            /// The losses of the training.
            #[must_use]
            pub fn history(&self) -> &History {
                &self.history
            }

            /// Writes the trained net to a safetensors file, aside and then renamed.
            ///
            /// # Errors
            /// When it is not trained or the file cannot be written.
            pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
                let (Some(net), Some(fitted)) = (&self.net, &self.fitted) else {
                    return Err(NnError::NotTrained);
                };
                let about = serde_json::to_string(&(&self.settings, fitted)).unwrap_or_default();
                save(net, about, path.as_ref())
            }

            /// Reads what `save` wrote.
            ///
            /// # Errors
            /// When the file cannot be read, is damaged or holds another net.
            pub fn load(path: impl AsRef<Path>) -> Result<Self> {
                let path = path.as_ref();
                let fail = |reason: String| NnError::Weights { path: path.to_owned(), reason };
                let about = about(path)?;
                let (settings, fitted): (Settings, _) =
                    serde_json::from_str(&about).map_err(|e| {
                        fail(format!("it was not written by {}: {e}", stringify!($net)))
                    })?;
                let mut this = Self::with_settings(settings);
                let tensors = load_tensors(path)?;
                let net = this.blank(&fitted)?;
                assign(&net, &tensors, &[])?;
                (this.net, this.fitted) = (Some(net), Some(fitted));
                Ok(this)
            }
        }

        impl std::fmt::Debug for $net {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let cell = if self.settings.gru { "GRU" } else { "LSTM" };
                let state = if self.net.is_some() { "trained" } else { "not trained" };
                write!(f, "{}({cell}, {} values, {state})", stringify!($net), self.settings.hidden)
            }
        }

        impl Render for $net {
            fn render(&self) -> MimeBundle {
                MimeBundle::text(format!("{self:?}"))
            }
        }
    };
}

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

/// Predicts the next values of a column from the last `window` rows of all columns, in the order of the
/// frame.
pub struct Forecaster {
    settings: Settings,
    window: usize,
    horizon: usize,
    net: Option<RecurrentNet>,
    fitted: Option<FittedForecast>,
    history: History,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct FittedForecast {
    /// The target first.
    columns: Vec<String>,
    scale: Vec<(f32, f32)>,
    window: usize,
    horizon: usize,
}

settings!(Forecaster);

impl Forecaster {
    /// On long short-term memory over so many rows.
    #[must_use]
    pub fn lstm(window: usize) -> Self {
        Self { window, ..Self::with_settings(Settings::new(false)) }
    }

    /// On gated recurrent units over so many rows.
    #[must_use]
    pub fn gru(window: usize) -> Self {
        Self { window, ..Self::with_settings(Settings::new(true)) }
    }

    /// Sets how many rows ahead are predicted; 1 unless set.
    #[must_use]
    pub fn with_horizon(mut self, rows: usize) -> Self {
        self.horizon = rows;
        self
    }

    fn with_settings(settings: Settings) -> Self {
        let history = History::default();
        Self { settings, window: 1, horizon: 1, net: None, fitted: None, history }
    }

    fn blank(&self, fitted: &FittedForecast) -> Result<RecurrentNet> {
        Ok(RecurrentNet::new(&self.settings, fitted.columns.len(), fitted.horizon)?)
    }

    /// Trains on all windows of a frame whose rows are in the order of time.
    ///
    /// # Errors
    /// When a column holds no numbers, has missing values, or there are fewer than
    /// `window + horizon` rows.
    pub fn fit(mut self, df: &DataFrame, target: &str) -> Result<Self> {
        self.settings.check()?;
        check::at_least_one("the window", self.window)?;
        check::at_least_one("the horizon", self.horizon)?;
        let mut columns = vec![target.to_owned()];
        let names = df.get_column_names().into_iter().map(|name| name.to_string());
        columns.extend(names.filter(|name| name != target));
        let rows = rows_of(df, &columns)?;
        let count = columns.len();
        let scale: Vec<(f32, f32)> =
            (0..count).map(|column| moments(rows.iter().skip(column).step_by(count))).collect();
        let fitted = FittedForecast { columns, scale, window: self.window, horizon: self.horizon };
        let (input, target) = windows(rows, &fitted, df.height())?;
        let net = self.blank(&fitted)?;
        let data = TensorDataset::new(input, target)?;
        let (net, history) = self.settings.train(net, data, Loss::Mse)?;
        (self.net, self.fitted, self.history) = (Some(net), Some(fitted), history);
        Ok(self)
    }

    fn parts(&self) -> Result<(&RecurrentNet, &FittedForecast)> {
        self.net.as_ref().zip(self.fitted.as_ref()).ok_or(NnError::NotTrained)
    }

    /// The values that follow the last row of the frame: columns `step` (from 1) and `prediction`.
    ///
    /// # Errors
    /// When the net is not trained, a column is missing, or there are fewer rows than the window.
    pub fn predict(&self, df: &DataFrame) -> Result<DataFrame> {
        let (net, fitted) = self.parts()?;
        if df.height() < fitted.window {
            return Err(too_short(df.height(), "it must be at least the window"));
        }
        let last = df.tail(Some(fitted.window));
        let mut rows = rows_of(&last, &fitted.columns)?;
        scale_rows(&mut rows, &fitted.scale);
        let shape = (1, fitted.window, fitted.columns.len());
        let input = Tensor::from_vec(rows, shape, &Device::Cpu)?;
        let (mean, std) = fitted.scale[0];
        let values = net.forward(&input, Mode::eval())?.flatten_all()?.to_vec1::<f32>()?;
        let values: Vec<f64> =
            values.into_iter().map(|v| f64::from(v) * f64::from(std) + f64::from(mean)).collect();
        let steps: Vec<u32> = (1..).take(values.len()).collect();
        let columns =
            vec![Column::new("step".into(), steps), Column::new("prediction".into(), values)];
        Ok(DataFrame::new(fitted.horizon, columns)?)
    }

    /// The share of the variance explained (R²) over all windows and steps of a frame.
    ///
    /// # Errors
    /// As [`Forecaster::predict`].
    pub fn score(&self, df: &DataFrame) -> Result<f64> {
        let (net, fitted) = self.parts()?;
        let rows = rows_of(df, &fitted.columns)?;
        let (input, target) = windows(rows, fitted, df.height())?;
        let said = net.forward(&input, Mode::eval())?;
        let rest = (&said - &target)?.sqr()?.sum_all()?.to_scalar::<f32>()?;
        let all =
            target.broadcast_sub(&target.mean_all()?)?.sqr()?.sum_all()?.to_scalar::<f32>()?;
        Ok(1.0 - f64::from(rest) / f64::from(all).max(1e-12))
    }
}

fn too_short(rows: usize, expected: &'static str) -> NnError {
    NnError::Setting { setting: "the number of rows", value: rows.to_string(), expected }
}

/// Inputs `(windows, window, columns)` and the target's values behind each, scaled.
fn windows(mut rows: Vec<f32>, fitted: &FittedForecast, height: usize) -> Result<(Tensor, Tensor)> {
    let (window, horizon, count) = (fitted.window, fitted.horizon, fitted.columns.len());
    let Some(number) = (height + 1).checked_sub(window + horizon).filter(|number| *number > 0)
    else {
        return Err(too_short(height, "it must be at least window + horizon"));
    };
    scale_rows(&mut rows, &fitted.scale);
    let (mut inputs, mut targets) = (Vec::new(), Vec::new());
    for start in 0..number {
        inputs.extend_from_slice(&rows[start * count..(start + window) * count]);
        targets.extend((0..horizon).map(|step| rows[(start + window + step) * count]));
    }
    Ok((
        Tensor::from_vec(inputs, (number, window, count), &Device::Cpu)?,
        Tensor::from_vec(targets, (number, horizon), &Device::Cpu)?,
    ))
}

fn scale_rows(rows: &mut [f32], scale: &[(f32, f32)]) {
    for row in rows.chunks_exact_mut(scale.len().max(1)) {
        row.iter_mut().zip(scale).for_each(|(value, (mean, std))| *value = (*value - mean) / std);
    }
}

fn rows_of(df: &DataFrame, columns: &[String]) -> Result<Vec<f32>> {
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    Ok(crate::loader::frame_to_tensor(df, &names)?.flatten_all()?.to_vec1()?)
}

#[expect(clippy::cast_possible_truncation, reason = "scales are f32")]
#[expect(clippy::cast_precision_loss, reason = "far below 2^52 values")]
fn moments<'a>(values: impl Iterator<Item = &'a f32> + Clone) -> (f32, f32) {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().map(|v| f64::from(*v)).sum::<f64>() / count;
    let variance = values.map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
    (mean as f32, if variance > 1e-24 { variance.sqrt() as f32 } else { 1.0 })
}

/// Series of one length, `(rows, time, channels)`; shorter ones have zeros before them.
struct Series3 {
    values: Vec<f32>,
    /// Where each row begins to hold values.
    starts: Vec<usize>,
    time: usize,
    channels: usize,
}

impl Series3 {
    /// With `time` series are cut at their front or filled up to that length.
    fn read(df: &DataFrame, inputs: &[String], time: Option<usize>) -> Result<Self> {
        let first = inputs.first().map(|name| df.column(name)).transpose()?;
        let Some(first) = first.filter(|_| df.height() > 0) else { return Err(NnError::NoData) };
        if !matches!(first.dtype(), DataType::List(_)) {
            let values = rows_of(df, inputs)?;
            let starts = vec![0; df.height()];
            return Ok(Self { values, starts, time: inputs.len(), channels: 1 });
        }
        let channels =
            inputs.iter().map(|name| lists(df, name)).collect::<Result<Vec<Vec<Vec<f32>>>>>()?;
        let longest = channels.iter().flatten().map(Vec::len).max().unwrap_or(0);
        let (time, count) = (time.unwrap_or(longest).max(1), channels.len());
        let mut values = vec![0f32; df.height() * time * count];
        let mut starts = Vec::with_capacity(df.height());
        for row in 0..df.height() {
            let length = channels[0][row].len();
            if let Some(other) = channels.iter().position(|channel| channel[row].len() != length) {
                return Err(NnError::Column {
                    column: inputs[other].clone(),
                    reason: format!("row {row} is not as long as that of {:?}", inputs[0]),
                });
            }
            let kept = length.min(time);
            starts.push(time - kept);
            for (channel, lists) in channels.iter().enumerate() {
                for (step, value) in lists[row][length - kept..].iter().enumerate() {
                    values[(row * time + time - kept + step) * count + channel] = *value;
                }
            }
        }
        Ok(Self { values, starts, time, channels: count })
    }

    /// Mean and deviation of each channel, fillers left out.
    fn moments(&self) -> Vec<(f32, f32)> {
        let row = self.time * self.channels;
        (0..self.channels)
            .map(|channel| {
                let of_row = |(values, start): (&'_ [f32], &usize)| {
                    values
                        .iter()
                        .skip(start * self.channels + channel)
                        .step_by(self.channels)
                        .copied()
                        .collect::<Vec<f32>>()
                };
                let all: Vec<f32> =
                    self.values.chunks_exact(row).zip(&self.starts).flat_map(of_row).collect();
                moments(all.iter())
            })
            .collect()
    }

    fn standardize(&mut self, scale: &[(f32, f32)]) {
        let row = self.time * self.channels;
        for (values, start) in self.values.chunks_exact_mut(row).zip(&self.starts) {
            scale_rows(&mut values[start * self.channels..], scale);
        }
    }

    fn tensor(self) -> Result<Tensor> {
        let shape = (self.starts.len(), self.time, self.channels);
        Ok(Tensor::from_vec(self.values, shape, &Device::Cpu)?)
    }
}

fn lists(df: &DataFrame, name: &str) -> Result<Vec<Vec<f32>>> {
    let bad = |reason: &str| NnError::Column { column: name.to_owned(), reason: reason.to_owned() };
    let column = df.column(name)?.cast(&DataType::List(Box::new(DataType::Float32)));
    let column = column.map_err(|_| bad("it holds no lists of numbers"))?;
    let column = column.list()?;
    (0..df.height())
        .map(|row| {
            let list = column.get_as_series(row);
            let list = list.ok_or_else(|| bad("a list is missing; drop these rows first"))?;
            let list = list.f32()?;
            list.iter().map(|v| v.ok_or_else(|| bad("a list has a missing value"))).collect()
        })
        .collect()
}

fn texts(df: &DataFrame, name: &str) -> Result<Vec<String>> {
    let column = df.column(name)?;
    if column.null_count() > 0 {
        return Err(NnError::Column {
            column: name.to_owned(),
            reason: format!("{} values are missing; drop these rows first", column.null_count()),
        });
    }
    let text = column.cast(&DataType::String)?;
    Ok(text.str()?.iter().map(|label| label.unwrap_or_default().to_owned()).collect())
}

const ABOUT: &str = "oxilab";

fn save(net: &RecurrentNet, about: String, path: &Path) -> Result<()> {
    let tensors: HashMap<String, Tensor> =
        net.vars().into_iter().map(|(name, var)| (name, var.as_detached_tensor())).collect();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let failed = |source| NnError::File { action: "write", path: path.to_owned(), source };
    let aside =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    let about = HashMap::from([(ABOUT.to_owned(), about)]);
    safetensors::serialize_to_file(tensors.iter(), Some(about), aside.path())
        .map_err(|e| failed(std::io::Error::other(e)))?;
    aside.persist(path).map_err(|e| failed(e.error))?;
    Ok(())
}

/// The text that `save` put into the file's header.
fn about(path: &Path) -> Result<String> {
    let fail = |reason: String| NnError::Weights { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(|source| NnError::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes)
        .map_err(|e| fail(format!("it is no usable safetensors file: {e}")))?;
    let about = header.metadata().as_ref().and_then(|about| about.get(ABOUT)).cloned();
    about.ok_or_else(|| fail("it does not say what net it holds".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::df;

    #[test]
    fn lists_of_any_length_are_told_apart_and_the_net_survives_a_file() -> Result<()> {
        // Rising or falling, 5 to 12 steps.
        let lists: Vec<Series> = (0..60u32)
            .map(|row| {
                let length = 5 + row % 8;
                let step = |t: u32| f64::from(if row % 2 == 0 { t } else { length - t }) + 3.0;
                Series::new("".into(), (0..length).map(step).collect::<Vec<f64>>())
            })
            .collect();
        let course: Vec<&str> = (0..60).map(|row| ["up", "down"][row % 2]).collect();
        let df = df!("series" => lists, "course" => course)?;
        let net = SequenceClassifier::lstm().with_epochs(20).quiet().fit(&df, "course")?;
        assert!(net.score(&df, "course")? > 0.95);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("net.safetensors");
        net.save(&path)?;
        let again = SequenceClassifier::load(&path)?;
        assert!(again.predict_proba(&df)?.equals(&net.predict_proba(&df)?));
        assert!(matches!(Forecaster::load(&path), Err(NnError::Weights { .. })));
        Ok(())
    }

    #[test]
    fn a_forecaster_goes_on_with_a_wave() -> Result<()> {
        let wave = |t: u32| 10.0 + 2.0 * (f64::from(t) * 0.3).sin();
        let df = df!("y" => (0..200).map(wave).collect::<Vec<f64>>())?;
        let net = Forecaster::gru(12).with_horizon(3).with_epochs(15).quiet().fit(&df, "y")?;
        assert!(net.score(&df)? > 0.97, "{}", net.score(&df)?);
        let next = net.predict(&df)?;
        for (step, said) in next.column("prediction")?.f64()?.into_no_null_iter().enumerate() {
            let truth = wave(200 + u32::try_from(step).unwrap_or(0));
            assert!((said - truth).abs() < 0.5, "{step}: {said} {truth}");
        }
        let short = net.predict(&df.head(Some(5))).expect_err("too short").to_string();
        assert!(short.contains("window"), "{short}");
        Ok(())
    }
}
