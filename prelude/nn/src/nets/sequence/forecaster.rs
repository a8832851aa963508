//! [`Forecaster`].

use std::path::Path;

use candle_core::{Device, Tensor};
use oxilab_display::{MimeBundle, Render};
use polars::prelude::{Column, DataFrame};
use serde::{Deserialize, Serialize};

use super::file;
use super::net::RecurrentNet;
use super::scale::{moments, scale_rows};
use super::series::rows_of;
use super::settings::{Settings, settings};
use crate::check;
use crate::error::{NnError, Result};
use crate::history::History;
use crate::loader::TensorDataset;
use crate::loss::Loss;
use crate::model::{Mode, Trainable as _};
use crate::weights::{assign, load_tensors};

/// Predicts the next values of a column from the last `window` rows of all columns, in the order of the
/// frame.
///
/// ```
/// use oxilab_nn::Forecaster;
/// use polars::prelude::df;
/// let df = df!("y" => (0..60).map(|t| (f64::from(t) * 0.3).sin()).collect::<Vec<f64>>())?;
/// let net = Forecaster::gru(12).with_horizon(3).with_epochs(5).quiet().fit(&df, "y")?;
/// assert_eq!(net.predict(&df)?.shape(), (3, 2), "step and prediction");
/// # Ok::<(), oxilab_nn::NnError>(())
/// ```
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
