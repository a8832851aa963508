//! Frames to numbers: [`Encoder`] learns from the training frame how, and repeats it for others.
//!
//! Two encodings serve all learners of rows: [`Encoding::Codes`] for trees (numbers as they are, NaN
//! for missing, category numbers) and [`Encoding::Dense`] for the rest (missing numbers filled with the
//! mean, categories one-hot, optionally all standardised). Nets of series have [`Encoding::Series`].

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use oxilab_model_format::{Column as SchemaColumn, ColumnKind};
use polars::prelude::*;
use rayon::prelude::*;

use crate::error::{ModelError, Result, While};
use crate::linalg::sum_of;
use crate::matrix::{Matrix, float};
use crate::series;
use crate::target::column_of;

/// One-hot columns beyond this are a sign of an identifier.
const MOST_ONE_HOT: usize = 1000;

/// Frames up to this are encoded on the calling thread: waking others takes longer.
const FEW_ROWS: usize = 64;

/// How a learner wants frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// One feature per column; NaN for missing, a category as its number.
    Codes,
    /// No missing values; one feature per category. A missing category is all zeros.
    Dense {
        /// Whether features get mean zero and variance one.
        standardize: bool,
    },
    /// Rows are series, see [`crate::series`]: steps as numbers, NaN for missing.
    Series {
        /// Steps of a row.
        time: usize,
    },
}

/// What to do with a category that was not in the training frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unseen {
    /// Say so.
    Error,
    /// Treat it as missing.
    Missing,
}

/// The way from a frame to a [`Matrix`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Encoder {
    pub(crate) columns: Vec<SchemaColumn>,
    pub(crate) encoding: Encoding,
    /// Per column, what replaces a missing number (dense only).
    pub(crate) fill: Vec<f64>,
    /// Per feature (dense and standardised only).
    pub(crate) mean: Vec<f64>,
    /// Per feature (dense and standardised only).
    pub(crate) scale: Vec<f64>,
}

impl Encoder {
    /// Learns from a training frame and encodes it. All columns but `target` are input.
    pub(crate) fn fit(
        df: &DataFrame,
        target: Option<&str>,
        encoding: Encoding,
    ) -> Result<(Self, Matrix)> {
        let inputs = inputs_of(df, target)?;
        let columns: Vec<SchemaColumn> =
            inputs.par_iter().map(|column| describe(column)).collect::<Result<_>>()?;
        let mut encoder =
            Self { columns, encoding, fill: Vec::new(), mean: Vec::new(), scale: Vec::new() };
        let Encoding::Dense { standardize } = encoding else {
            let matrix = encoder.encode(df, Unseen::Error)?;
            return Ok((encoder, matrix));
        };
        for (column, schema) in inputs.iter().zip(&encoder.columns) {
            if schema.categories.len() > MOST_ONE_HOT {
                return Err(ModelError::column(
                    &schema.name,
                    format!("{} different texts are too many to one-hot", schema.categories.len()),
                    "drop the column if it is an identifier, or use a tree-based learner",
                ));
            }
            let fill = if schema.kind == ColumnKind::Categorical || !schema.nullable {
                0.0
            } else {
                mean_of_present(&numbers(column)?)
            };
            encoder.fill.push(fill);
        }
        let mut values = encoder.values(df, Unseen::Error)?;
        if standardize {
            let moments = values.par_chunks_exact(df.height()).map(mean_and_scale);
            (encoder.mean, encoder.scale) = moments.unzip();
            encoder.standardize(&mut values, df.height());
        }
        let features = encoder.features();
        Ok((encoder, Matrix::new(df.height(), features, values)))
    }

    /// Encodes a frame that has the training frame's input columns, in any order.
    pub(crate) fn encode(&self, df: &DataFrame, unseen: Unseen) -> Result<Matrix> {
        if let Encoding::Series { time } = self.encoding {
            return series::encode(&self.columns, time, df);
        }
        let mut values = self.values(df, unseen)?;
        if !self.mean.is_empty() {
            self.standardize(&mut values, df.height());
        }
        Ok(Matrix::new(df.height(), self.features(), values))
    }

    /// The features as they are before they are standardised, one after another.
    fn values(&self, df: &DataFrame, unseen: Unseen) -> Result<Vec<f64>> {
        let rows = df.height();
        let mut values = vec![0.0; rows * self.features()];
        let mut rest = values.as_mut_slice();
        let mut places = Vec::with_capacity(self.columns.len());
        for schema in &self.columns {
            let width = if self.one_hot(schema) { schema.categories.len() } else { 1 };
            let (place, after) = rest.split_at_mut(rows * width);
            places.push(place);
            rest = after;
        }
        let encode = |(index, place)| self.encode_column(df, index, unseen, place);
        if few(rows) && self.columns.len() <= 1000 {
            places.into_iter().enumerate().try_for_each(encode)?;
        } else {
            places.into_par_iter().enumerate().try_for_each(encode)?;
        }
        Ok(values)
    }

    /// How many features a row becomes.
    pub(crate) fn features(&self) -> usize {
        match self.encoding {
            Encoding::Series { time } if series::holds_lists(&self.columns) => {
                self.columns.len() * time
            }
            _ => self.feature_columns().len(),
        }
    }

    /// For every feature, the number of its column and, if one-hot, of its category.
    pub(crate) fn feature_columns(&self) -> Vec<(usize, Option<usize>)> {
        let mut out = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            if self.one_hot(column) {
                out.extend((0..column.categories.len()).map(|category| (index, Some(category))));
            } else {
                out.push((index, None));
            }
        }
        out
    }

    /// The names of the features: `column`, or `column=category`.
    pub(crate) fn feature_names(&self) -> Vec<String> {
        if let Encoding::Series { time } = self.encoding
            && series::holds_lists(&self.columns)
        {
            return series::names(&self.columns, time);
        }
        self.feature_columns()
            .into_iter()
            .map(|(column, category)| {
                let column = &self.columns[column];
                match category {
                    Some(category) => format!("{}={}", column.name, column.categories[category]),
                    None => column.name.clone(),
                }
            })
            .collect()
    }

    fn one_hot(&self, column: &SchemaColumn) -> bool {
        column.kind == ColumnKind::Categorical && matches!(self.encoding, Encoding::Dense { .. })
    }

    fn standardize(&self, values: &mut [f64], rows: usize) {
        let one = |(feature, chunk): (usize, &mut [f64])| {
            let (mean, scale) = (self.mean[feature], self.scale[feature]);
            for value in chunk {
                *value = (*value - mean) / scale;
            }
        };
        if few(rows) {
            values.chunks_exact_mut(rows.max(1)).enumerate().for_each(one);
        } else {
            values.par_chunks_exact_mut(rows).enumerate().for_each(one);
        }
    }

    /// Writes the features of a column over zeros.
    fn encode_column(
        &self,
        df: &DataFrame,
        index: usize,
        unseen: Unseen,
        out: &mut [f64],
    ) -> Result<()> {
        let schema = &self.columns[index];
        // Mostly in the training frame's order: a name is looked up in a schema, which is made for that.
        let column = match df.columns().get(index).filter(|column| *column.name() == schema.name) {
            Some(column) => column,
            None => column_of(df, &schema.name)?,
        };
        if schema.kind != ColumnKind::Categorical {
            out.copy_from_slice(&plain_numbers(column, schema)?);
            if matches!(self.encoding, Encoding::Dense { .. }) {
                let fill = self.fill.get(index).copied().unwrap_or(0.0);
                for value in out.iter_mut().filter(|value| value.is_nan()) {
                    *value = fill;
                }
            }
            return Ok(());
        }
        let codes = codes_of(column, schema, unseen)?;
        if self.one_hot(schema) {
            for (row, code) in codes.iter().enumerate() {
                if let Some(code) = code {
                    out[*code as usize * codes.len() + row] = 1.0;
                }
            }
        } else {
            for (value, code) in out.iter_mut().zip(codes) {
                *value = code.map_or(f64::NAN, f64::from);
            }
        }
        Ok(())
    }
}

/// Whether other threads are not worth waking.
fn few(rows: usize) -> bool {
    rows <= FEW_ROWS
}

/// The mean and the standard deviation of a feature; 1 for that of a constant, as in scikit-learn.
fn mean_and_scale(values: &[f64]) -> (f64, f64) {
    let mean = sum_of(values, |v| v) / float(values.len());
    let variance = sum_of(values, |v| (v - mean) * (v - mean)) / float(values.len());
    let constant = variance <= 1e-30 + (1e-15 * mean).powi(2);
    (mean, if constant { 1.0 } else { variance.sqrt() })
}

/// The input columns of a training frame: all but `target`.
pub(crate) fn inputs_of<'a>(df: &'a DataFrame, target: Option<&str>) -> Result<Vec<&'a Column>> {
    let inputs: Vec<&Column> =
        df.columns().iter().filter(|c| Some(c.name().as_str()) != target).collect();
    if inputs.is_empty() {
        return Err(ModelError::data(
            "the frame has no input columns",
            "it needs at least one column beside the target",
        ));
    }
    if df.height() == 0 {
        return Err(ModelError::data("the frame has no rows", "load some data first"));
    }
    Ok(inputs)
}

/// A column as floats, null as NaN; borrowed where they lie in one piece.
pub(crate) fn numbers(column: &Column) -> Result<Cow<'_, [f64]>> {
    const DOING: &str = "reading a column as numbers";
    if column.dtype() == &DataType::Float64
        && let Ok(slice) = column.f64().doing(DOING)?.cont_slice()
    {
        return Ok(Cow::Borrowed(slice));
    }
    let cast = column.cast(&DataType::Float64).doing(DOING)?;
    let values = cast.f64().doing(DOING)?;
    if let Ok(slice) = values.cont_slice() {
        return Ok(Cow::Owned(slice.to_vec()));
    }
    Ok(Cow::Owned(values.iter().map(|value| value.unwrap_or(f64::NAN)).collect()))
}

pub(crate) fn plain_numbers<'a>(
    column: &'a Column,
    schema: &SchemaColumn,
) -> Result<Cow<'a, [f64]>> {
    let dtype = column.dtype();
    let all_null = matches!(dtype, DataType::Null);
    if !dtype.is_numeric() && !dtype.is_bool() && !all_null {
        return Err(ModelError::column(
            &schema.name,
            format!("its type is {dtype}, the model was fitted to {}", schema.dtype),
            "cast it to the type of the training frame",
        ));
    }
    let values = numbers(column)?;
    match values.iter().position(|value| value.is_infinite()) {
        None => Ok(values),
        Some(row) => Err(ModelError::column(
            &schema.name,
            format!("row {row} is infinite"),
            "filter such rows, or replace infinite values with null",
        )),
    }
}

fn codes_of(column: &Column, schema: &SchemaColumn, unseen: Unseen) -> Result<Vec<Option<u32>>> {
    let text = column.cast(&DataType::String).doing("reading a column as categories")?;
    let text = text.str().doing("reading a column as categories")?;
    let named = || schema.categories.iter().map(String::as_str).zip(0_u32..);
    // Categories are sorted; a table of them pays only for many rows.
    let table: Option<HashMap<&str, u32>> = (text.len() > FEW_ROWS).then(|| named().collect());
    let code_of = |value: &str| {
        if let Some(table) = &table {
            table.get(value).copied()
        } else {
            let place = schema.categories.binary_search_by(|known| known.as_str().cmp(value));
            place.ok().and_then(|place| u32::try_from(place).ok())
        }
    };
    let mut codes = Vec::with_capacity(text.len());
    for (row, value) in text.iter().enumerate() {
        let code = value.and_then(code_of);
        if let (Some(value), None, Unseen::Error) = (value, code, unseen) {
            let first: Vec<&str> = schema.categories.iter().take(10).map(String::as_str).collect();
            return Err(ModelError::column(
                &schema.name,
                format!(
                    "row {row} has category `{value}`, which was not in the training frame ({})",
                    first.join(", ")
                ),
                "check the spelling, or use `model.with_unseen_as_missing(true)`",
            ));
        }
        codes.push(code);
    }
    Ok(codes)
}

pub(crate) fn describe(column: &Column) -> Result<SchemaColumn> {
    let name = column.name().as_str();
    let dtype = column.dtype();
    let refuse = |hint: &str| {
        Err(ModelError::column(name, format!("models cannot read the type {dtype}"), hint))
    };
    if dtype.is_temporal() {
        return refuse("make numbers of it first, for example `col(name).dt().year()`, or drop it");
    }
    let text = dtype.is_string() || dtype.is_categorical() || dtype.is_enum();
    if !text && !dtype.is_numeric() && !dtype.is_bool() && !matches!(dtype, DataType::Null) {
        return refuse("make numbers or text of it first, or drop it");
    }
    let mut missing = column.null_count();
    if dtype.is_float() {
        missing = numbers(column)?.iter().filter(|value| value.is_nan()).count();
    }
    if missing == column.len() {
        return Err(ModelError::column(
            name,
            "all its values are missing",
            "drop the column before fitting",
        ));
    }
    let (kind, categories) = if text {
        let text = column.cast(&DataType::String).doing("reading a column as categories")?;
        let text = text.str().doing("reading a column as categories")?;
        let distinct: BTreeSet<&str> = text.iter().flatten().collect();
        (ColumnKind::Categorical, distinct.into_iter().map(str::to_owned).collect())
    } else if dtype.is_bool() {
        (ColumnKind::Boolean, Vec::new())
    } else {
        (ColumnKind::Numeric, Vec::new())
    };
    let nullable = missing > 0;
    Ok(SchemaColumn { name: name.to_owned(), dtype: dtype.to_string(), kind, categories, nullable })
}

fn mean_of_present(values: &[f64]) -> f64 {
    let (mut sum, mut count) = (0.0, 0_usize);
    for value in values.iter().filter(|value| value.is_finite()) {
        sum += value;
        count += 1;
    }
    if count == 0 { 0.0 } else { sum / float(count) }
}
