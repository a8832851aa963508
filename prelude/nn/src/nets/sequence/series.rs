//! Frames as series: numbers by row, time and channel.

use candle_core::{Device, Tensor};
use polars::prelude::{DataFrame, DataType};

use super::scale::{moments, scale_rows};
use crate::error::{NnError, Result};

/// Series of one length, `(rows, time, channels)`; shorter ones have zeros before them.
pub(super) struct Series3 {
    values: Vec<f32>,
    /// Where each row begins to hold values.
    starts: Vec<usize>,
    pub(super) time: usize,
    pub(super) channels: usize,
}

impl Series3 {
    /// With `time` series are cut at their front or filled up to that length.
    pub(super) fn read(df: &DataFrame, inputs: &[String], time: Option<usize>) -> Result<Self> {
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
    pub(super) fn moments(&self) -> Vec<(f32, f32)> {
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

    pub(super) fn standardize(&mut self, scale: &[(f32, f32)]) {
        let row = self.time * self.channels;
        for (values, start) in self.values.chunks_exact_mut(row).zip(&self.starts) {
            scale_rows(&mut values[start * self.channels..], scale);
        }
    }

    pub(super) fn tensor(self) -> Result<Tensor> {
        let shape = (self.starts.len(), self.time, self.channels);
        Ok(Tensor::from_vec(self.values, shape, &Device::Cpu)?)
    }
}

/// Columns of numbers, row by row.
pub(super) fn rows_of(df: &DataFrame, columns: &[String]) -> Result<Vec<f32>> {
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    Ok(crate::loader::frame_to_tensor(df, &names)?.flatten_all()?.to_vec1()?)
}

/// A column of lists of numbers.
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

/// A column without missing values, as text.
pub(super) fn texts(df: &DataFrame, name: &str) -> Result<Vec<String>> {
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
