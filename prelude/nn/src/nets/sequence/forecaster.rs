//! [`Forecaster`], and what it becomes when it is fitted: [`FittedForecaster`].

use std::path::Path;

use candle_core::{Device, Tensor};
use oxilab_display::{MimeBundle, Render};
use oxilab_model::metrics::regression;
use oxilab_model::{Evaluation, Task};
use polars::prelude::{Column, DataFrame};
use serde::{Deserialize, Serialize};

use super::file;
use super::net::RecurrentNet;
use super::scale::{moments, scale_rows};
use super::settings::{Settings, settings};
use crate::check;
use crate::error::{NnError, Result};
use crate::history::History;
use crate::loader::TensorDataset;
use crate::loss::Loss;
use crate::model::{Mode, Trainable as _};
use crate::weights::assign;

const LEARNER: &str = "Forecaster";

/// Predicts the next values of a column from the last `window` rows of all columns, in the order of the
/// frame.
///
/// ```
/// use oxilab_nn::Forecaster;
/// use polars::prelude::df;
/// let df = df!("y" => (0..60).map(|t| (f64::from(t) * 0.3).sin()).collect::<Vec<f64>>())?;
/// let model = Forecaster::gru(12).with_horizon(3).with_epochs(5).quiet().fit(&df, "y")?;
/// assert_eq!(model.predict(&df)?.shape(), (3, 2), "step and prediction");
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
#[derive(Clone)]
pub struct Forecaster {
    settings: Settings,
    window: usize,
    horizon: usize,
}

settings!(Forecaster);

impl Forecaster {
    /// On long short-term memory over so many rows: one layer of 32 values, 30 epochs of 32 windows, Adam
    /// at 0.01 falling along a cosine.
    #[must_use]
    pub fn lstm(window: usize) -> Self {
        Self { settings: Settings::new(false), window, horizon: 1 }
    }

    /// On gated recurrent units; otherwise as [`Forecaster::lstm`].
    #[must_use]
    pub fn gru(window: usize) -> Self {
        Self { settings: Settings::new(true), window, horizon: 1 }
    }

    /// Sets how many rows ahead are predicted; 1 unless set.
    #[must_use]
    pub fn with_horizon(mut self, rows: usize) -> Self {
        self.horizon = rows;
        self
    }

    /// Trains on all windows of a frame whose rows are in the order of time.
    ///
    /// # Errors
    /// When a column holds no numbers, has missing values, there are fewer than `window + horizon` rows,
    /// the loss is not finite, or the user interrupts.
    pub fn fit(&self, df: &DataFrame, target: &str) -> Result<FittedForecaster> {
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
        let made = Made {
            settings: self.settings.clone(),
            columns,
            scale,
            window: self.window,
            horizon: self.horizon,
        };
        let (input, target) = windows(rows, &made, df.height())?;
        let data = TensorDataset::new(input, target)?;
        let (net, history) = self.settings.train(made.blank()?, data, Loss::Mse)?;
        Ok(FittedForecaster { made, net, history })
    }
}

/// What was fitted, beside the net's weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Made {
    settings: Settings,
    /// The target first.
    columns: Vec<String>,
    scale: Vec<(f32, f32)>,
    window: usize,
    horizon: usize,
}

impl Made {
    fn blank(&self) -> Result<RecurrentNet> {
        Ok(RecurrentNet::new(&self.settings, self.columns.len(), self.horizon)?)
    }
}

/// A trained [`Forecaster`].
///
/// It has the verbs of a [`FittedModel`](oxilab_model::FittedModel) under their names, but is none. A fitted
/// model says of each row what that row alone tells, so that it can be given any rows in any order, be it
/// by folds, a server or a study. A forecaster looks back over the rows before, in their order: it
/// predicts not the rows that it is given but those that follow, and is evaluated on windows.
///
/// ```
/// use oxilab_nn::{FittedForecaster, Forecaster};
/// use polars::prelude::df;
/// let wave = |from: i32| (from..from + 80).map(|t| (f64::from(t) * 0.3).sin()).collect::<Vec<_>>();
/// let df = df!("y" => wave(0))?;
/// let model = Forecaster::gru(12).with_epochs(20).quiet().fit(&df, "y")?;
/// assert!(model.evaluate(&df!("y" => wave(80))?)?.score() > 0.9, "the part explained, R²");
///
/// let folder = tempfile::tempdir()?;
/// model.save(folder.path().join("wave.safetensors"))?;
/// let again = FittedForecaster::load(folder.path().join("wave.safetensors"))?;
/// assert!(again.predict(&df)?.equals(&model.predict(&df)?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FittedForecaster {
    made: Made,
    net: RecurrentNet,
    history: History,
}

impl FittedForecaster {
    /// The values that follow the last row of the frame: columns `step` (from 1) and `prediction`.
    ///
    /// # Errors
    /// When a column is missing, or there are fewer rows than the window.
    pub fn predict(&self, df: &DataFrame) -> Result<DataFrame> {
        let made = &self.made;
        if df.height() < made.window {
            return Err(too_short(df.height(), "it must be at least the window"));
        }
        let last = df.tail(Some(made.window));
        let mut rows = rows_of(&last, &made.columns)?;
        scale_rows(&mut rows, &made.scale);
        let shape = (1, made.window, made.columns.len());
        let values = self.forward(&Tensor::from_vec(rows, shape, &Device::Cpu)?)?;
        let steps: Vec<u32> = (1..).take(values.len()).collect();
        let columns =
            vec![Column::new("step".into(), steps), Column::new("prediction".into(), values)];
        Ok(DataFrame::new(made.horizon, columns)?)
    }

    /// The metrics of a regression over all windows of a frame and all steps ahead: R², errors, and where
    /// the horizon has several steps the root mean squared error of each, `rmse_1`, `rmse_2`, ….
    ///
    /// # Errors
    /// When a column is missing, or there are fewer rows than `window + horizon`.
    pub fn evaluate(&self, df: &DataFrame) -> Result<Evaluation> {
        let made = &self.made;
        let (input, target) = windows(rows_of(df, &made.columns)?, made, df.height())?;
        let (truth, said) = (self.unscaled(&target)?, self.forward(&input)?);
        let rmse =
            |truth: &[f64], said: &[f64]| regression::root_mean_squared_error(truth, said, None);
        let mut found = vec![
            ("r2".to_owned(), regression::r2(&truth, &said, None)),
            ("rmse".to_owned(), rmse(&truth, &said)),
            ("mae".to_owned(), regression::mean_absolute_error(&truth, &said, None)),
            ("max_error".to_owned(), regression::max_error(&truth, &said)),
        ];
        for step in (0..made.horizon).filter(|_| made.horizon > 1) {
            let of_step = |values: &[f64]| -> Vec<f64> {
                values.iter().skip(step).step_by(made.horizon).copied().collect()
            };
            found.push((format!("rmse_{}", step + 1), rmse(&of_step(&truth), &of_step(&said))));
        }
        let metrics = found.into_iter().filter_map(|(name, value)| Some((name, value.ok()?)));
        Ok(Evaluation {
            learner: LEARNER.to_owned(),
            task: self.task(),
            rows: input.dim(0)?,
            metrics: metrics.filter(|(_, value)| value.is_finite()).collect(),
            confusion: None,
            main: "r2".to_owned(),
        })
    }

    /// The learner: `Forecaster`.
    #[must_use]
    pub fn learner(&self) -> &'static str {
        LEARNER
    }

    /// What it does: it predicts numbers.
    #[must_use]
    pub fn task(&self) -> Task {
        Task::Regression
    }

    /// The settings it was trained with, the window and the horizon among them.
    #[must_use]
    pub fn params(&self) -> serde_json::Value {
        let Made { settings, window, horizon, .. } = &self.made;
        let mut params = serde_json::to_value(settings).unwrap_or_default();
        params["window"] = (*window).into();
        params["horizon"] = (*horizon).into();
        params
    }

    /// The columns that it reads, the one that it predicts first.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.made.columns
    }

    /// The losses of the training; empty for a model from a file.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Writes the model to a safetensors file, aside and then renamed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        file::save(&self.net, self.about(), path.as_ref())
    }

    /// What [`FittedForecaster::save`] writes.
    ///
    /// # Errors
    /// When a tensor cannot be read from its device.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        file::to_bytes(&self.net, self.about())
    }

    fn about(&self) -> String {
        serde_json::to_string(&self.made).unwrap_or_default()
    }

    /// Reads what [`FittedForecaster::save`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged or holds something else.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::read(&file::read(path)?, path)
    }

    /// Reads what [`FittedForecaster::to_bytes`] gave.
    ///
    /// # Errors
    /// As [`FittedForecaster::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes, "memory".as_ref())
    }

    fn read(bytes: &[u8], path: &Path) -> Result<Self> {
        let fail = |reason: String| NnError::Weights { path: path.to_owned(), reason };
        let (about, tensors) = file::from_bytes(bytes, path)?;
        let made: Made = serde_json::from_str(&about)
            .map_err(|e| fail(format!("it was not written by a forecaster: {e}")))?;
        // Settings that contradict the file's tensors must not decide how much is allocated.
        let held: usize = tensors.values().map(Tensor::elem_count).sum();
        let Settings { hidden, layers, .. } = made.settings;
        let sizes = [hidden, layers, made.columns.len(), made.horizon];
        if sizes.iter().any(|size| *size == 0 || *size > held)
            || made.scale.len() != made.columns.len()
            || hidden.saturating_mul(hidden).saturating_mul(layers) > held
            || hidden.saturating_mul(made.columns.len().max(made.horizon)) > held
        {
            return Err(fail("its settings do not fit its weights".to_owned()));
        }
        let net = made.blank()?;
        assign(&net, &tensors, &[])?;
        Ok(Self { made, net, history: History::default() })
    }

    /// Predictions for windows, in the target's units, window after window.
    fn forward(&self, input: &Tensor) -> Result<Vec<f64>> {
        let input = input.to_device(&self.net.device())?;
        self.unscaled(&self.net.forward(&input, Mode::eval())?)
    }

    fn unscaled(&self, values: &Tensor) -> Result<Vec<f64>> {
        let (mean, std) = self.made.scale[0];
        let values = values.flatten_all()?.to_vec1::<f32>()?;
        Ok(values.into_iter().map(|v| f64::from(v) * f64::from(std) + f64::from(mean)).collect())
    }
}

impl std::fmt::Debug for FittedForecaster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Made { settings, columns, window, horizon, .. } = &self.made;
        write!(
            f,
            "FittedForecaster({}, the next {horizon} of {:?} from {window} rows of {} columns)",
            settings.cell(),
            columns[0],
            columns.len()
        )
    }
}

impl Render for FittedForecaster {
    fn render(&self) -> MimeBundle {
        MimeBundle::text(format!("{self:?}"))
    }
}

fn too_short(rows: usize, expected: &'static str) -> NnError {
    NnError::Setting { setting: "the number of rows", value: rows.to_string(), expected }
}

/// Columns of numbers, row by row.
fn rows_of(df: &DataFrame, columns: &[String]) -> Result<Vec<f32>> {
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    Ok(crate::loader::frame_to_tensor(df, &names)?.flatten_all()?.to_vec1()?)
}

/// Inputs `(windows, window, columns)` and the target's values behind each, scaled.
fn windows(mut rows: Vec<f32>, made: &Made, height: usize) -> Result<(Tensor, Tensor)> {
    let (window, horizon, count) = (made.window, made.horizon, made.columns.len());
    let Some(number) =
        (height + 1).checked_sub(window.saturating_add(horizon)).filter(|number| *number > 0)
    else {
        return Err(too_short(height, "it must be at least window + horizon"));
    };
    scale_rows(&mut rows, &made.scale);
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
