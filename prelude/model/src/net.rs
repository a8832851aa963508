//! Neural nets as fitted models: what the deep-learning crate trains becomes a [`FittedModel`], which
//! predicts, evaluates, saves and serves without tensors.

use std::collections::BTreeMap;

use oxilab_model_format::ColumnKind;
use polars::prelude::DataFrame;
use rayon::prelude::*;

use crate::encode::{Encoder, Encoding};
use crate::error::{ModelError, Result};
use crate::fitted::FittedModel;
use crate::learner::{Learned, supervised};
use crate::matrix::{Matrix, float};
use crate::observed;
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};
use crate::target::{Goal, Target, TargetReader};

/// A training frame as a net takes it.
#[derive(Clone, Debug)]
pub struct NetProblem {
    /// Rows.
    pub rows: usize,
    /// Row after row, `numbers_width` values each: numeric columns with mean 0 and deviation 1, missing
    /// ones 0, and for each column that has missing values one more that is 1 where it is missing.
    pub numbers: Vec<f32>,
    /// Numbers of a row.
    pub numbers_width: usize,
    /// Row after row, one for each categorical column: its category from 1, 0 for missing.
    pub codes: Vec<u32>,
    /// Categories of each categorical column, that for missing values included.
    pub categories: Vec<usize>,
    /// What is to be learned.
    pub target: NetTarget,
}

/// What a net is to learn.
#[derive(Clone, Debug)]
pub enum NetTarget {
    /// Class numbers, and how many classes there are.
    Classes(Vec<u32>, usize),
    /// Numbers with mean 0 and deviation 1.
    Values(Vec<f32>),
}

/// A trained net: embeddings of the categorical columns behind the numbers, then linear layers with
/// `ReLU` between them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetWeights {
    /// For each categorical column its vectors, one for each category, end to end.
    pub embeddings: Vec<Vec<f32>>,
    /// Weight `(outputs, inputs)` row after row, and bias `(outputs)`.
    pub layers: Vec<(Vec<f32>, Vec<f32>)>,
    /// Named series over the epochs.
    pub history: Vec<(String, Vec<f64>)>,
}

/// Fits a net to all columns of `train` but `target`: `learn` is given the frame as numbers. With
/// `classify` the target is classes, else numbers.
///
/// # Errors
/// If a column or the target cannot be used, or `learn` fails.
pub fn fit_net(
    name: &'static str,
    params: &serde_json::Value,
    classify: bool,
    train: &DataFrame,
    target: &str,
    learn: impl FnOnce(&NetProblem) -> Result<NetWeights>,
) -> Result<FittedModel> {
    let fit = || fit_untold(name, params.clone(), classify, train, target, learn);
    observed::fit(name, || params.clone(), train, fit)
}

fn fit_untold(
    name: &'static str,
    params: serde_json::Value,
    classify: bool,
    train: &DataFrame,
    target: &str,
    learn: impl FnOnce(&NetProblem) -> Result<NetWeights>,
) -> Result<FittedModel> {
    let goal = if classify { Goal::Classification } else { Goal::Regression };
    let (reader, y) = TargetReader::of(train, target, goal)?;
    let (encoder, x) = Encoder::fit(train, Some(target), Encoding::Codes)?;
    let (mut net, problem) = NetPredictor::prepare(&encoder, &x, &y);
    let weights = learn(&problem)?;
    net.embeddings = weights.embeddings;
    net.layers = weights.layers;
    if !net.fits() {
        return Err(contradiction(name));
    }
    let metrics = last_values(&weights.history);
    let learned = Learned { metrics, history: weights.history, ..Learned::new(net) };
    supervised(name, params, (train, target), encoder, reader, learned)
}

/// What a trained net is told that cannot be taken over.
pub(crate) fn contradiction(library: &'static str) -> ModelError {
    ModelError::Library {
        library,
        doing: "taking over the trained net",
        message: "the sizes of its layers contradict each other".to_owned(),
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct NetPredictor {
    /// Features that are numbers, and those that are categories.
    numeric: Vec<u32>,
    categorical: Vec<u32>,
    /// Numeric features that had missing values, by place in `numeric`.
    nullable: Vec<u32>,
    mean: Vec<f64>,
    scale: Vec<f64>,
    categories: Vec<u32>,
    embeddings: Vec<Vec<f32>>,
    layers: Vec<(Vec<f32>, Vec<f32>)>,
    /// 0 for regression.
    classes: usize,
    target_mean: f64,
    target_scale: f64,
}

impl NetPredictor {
    fn prepare(encoder: &Encoder, x: &Matrix, y: &Target) -> (Self, NetProblem) {
        let of_kind = |categorical: bool| {
            let columns = (0u32..).zip(&encoder.columns);
            let kind = columns
                .filter(move |(_, column)| (column.kind == ColumnKind::Categorical) == categorical);
            kind.map(|(index, _)| index).collect::<Vec<u32>>()
        };
        let (numeric, categorical) = (of_kind(false), of_kind(true));
        let (mean, scale) = numeric.iter().map(|index| moments(x.col(*index as usize))).unzip();
        let nullable = (0u32..)
            .zip(&numeric)
            .filter(|(_, index)| x.col(**index as usize).iter().any(|v| v.is_nan()))
            .map(|(place, _)| place)
            .collect();
        let categories = categorical
            .iter()
            .map(|index| {
                let count = encoder.columns[*index as usize].categories.len() + 1;
                u32::try_from(count).unwrap_or(u32::MAX)
            })
            .collect();
        let ((target_mean, target_scale), target) = scaled_target(y);
        let classes = if let NetTarget::Classes(_, count) = &target { *count } else { 0 };
        let net = Self {
            numeric,
            categorical,
            nullable,
            mean,
            scale,
            categories,
            embeddings: Vec::new(),
            layers: Vec::new(),
            classes,
            target_mean,
            target_scale,
        };
        let (numbers, codes) = net.inputs(x);
        let problem = NetProblem {
            rows: x.rows(),
            numbers,
            numbers_width: net.numbers_width(),
            codes,
            categories: net.categories.iter().map(|count| *count as usize).collect(),
            target,
        };
        (net, problem)
    }

    fn numbers_width(&self) -> usize {
        self.numeric.len() + self.nullable.len()
    }

    /// Numbers and codes, row after row.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "nets compute in f32, codes are small whole numbers"
    )]
    fn inputs(&self, x: &Matrix) -> (Vec<f32>, Vec<u32>) {
        let rows = x.rows();
        let mut numbers = Vec::with_capacity(rows * self.numbers_width());
        let mut codes = Vec::with_capacity(rows * self.categorical.len());
        for row in 0..rows {
            let value = |index: u32| x.col(index as usize)[row];
            for ((index, mean), scale) in self.numeric.iter().zip(&self.mean).zip(&self.scale) {
                let value = value(*index);
                numbers.push(if value.is_nan() { 0.0 } else { ((value - mean) / scale) as f32 });
            }
            for place in &self.nullable {
                let missing = value(self.numeric[*place as usize]).is_nan();
                numbers.push(f32::from(u8::from(missing)));
            }
            for index in &self.categorical {
                let value = value(*index);
                codes.push(if value.is_nan() { 0 } else { value as u32 + 1 });
            }
        }
        (numbers, codes)
    }

    /// Whether layers and embeddings fit each other.
    fn fits(&self) -> bool {
        let mut width = self.numbers_width();
        for (vectors, count) in self.embeddings.iter().zip(&self.categories) {
            let count = *count as usize;
            if count == 0 || vectors.len() % count != 0 {
                return false;
            }
            width += vectors.len() / count;
        }
        for (weight, bias) in &self.layers {
            if bias.len().checked_mul(width) != Some(weight.len()) {
                return false;
            }
            width = bias.len();
        }
        let lengths = self.mean.len() == self.numeric.len()
            && self.scale.len() == self.numeric.len()
            && self.categories.len() == self.categorical.len()
            && self.embeddings.len() == self.categorical.len()
            && self.nullable.iter().all(|place| (*place as usize) < self.numeric.len());
        lengths && !self.layers.is_empty() && width == self.classes.max(1)
    }

    /// The result of one row.
    fn forward(&self, numbers: &[f32], codes: &[u32]) -> Vec<f32> {
        let mut x = numbers.to_vec();
        let columns = codes.iter().zip(&self.embeddings).zip(&self.categories);
        for ((code, vectors), count) in columns {
            let width = vectors.len() / (*count as usize).max(1);
            // A category beyond the known ones is missing.
            let code = if code < count { *code as usize } else { 0 };
            x.extend_from_slice(&vectors[code * width..(code + 1) * width]);
        }
        for (number, (weight, bias)) in self.layers.iter().enumerate() {
            let last = number + 1 == self.layers.len();
            let rows = weight.chunks_exact(x.len().max(1)).zip(bias);
            let y = rows.map(|(weight, bias)| {
                let sum = weight.iter().zip(&x).map(|(w, x)| w * x).sum::<f32>() + bias;
                if last { sum } else { sum.max(0.0) }
            });
            x = y.collect();
        }
        x
    }

    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        let floats = |name: &str| floats(from, name);
        let categorical = from.u32("categorical")?;
        let layers = from.size("sizes", 1)?;
        let target = from.f64("target")?;
        consistent(target.len() == 2 && layers <= 1000)?;
        let net = Self {
            numeric: from.u32("numeric")?,
            nullable: from.u32("nullable")?,
            mean: from.f64("mean")?,
            scale: from.f64("scale")?,
            categories: from.u32("categories")?,
            embeddings: (0..categorical.len())
                .map(|number| floats(&format!("embedding{number}")))
                .collect::<Result<_>>()?,
            layers: (0..layers)
                .map(|number| {
                    Ok((floats(&format!("weight{number}"))?, floats(&format!("bias{number}"))?))
                })
                .collect::<Result<_>>()?,
            categorical,
            classes: from.size("sizes", 0)?,
            target_mean: target[0],
            target_scale: target[1],
        };
        consistent(net.fits())?;
        let features = net.numeric.len() + net.categorical.len();
        let known = |index: &u32| (*index as usize) < features;
        consistent(net.numeric.iter().chain(&net.categorical).all(known))?;
        Ok(net)
    }
}

impl Predictor for NetPredictor {
    fn kind(&self) -> &'static str {
        "net"
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        expect_features(x, self.numeric.len() + self.categorical.len())?;
        let (numbers, codes) = self.inputs(x);
        let (width, columns) = (self.numbers_width(), self.categorical.len());
        let one = |row: usize| {
            self.forward(&numbers[row * width..][..width], &codes[row * columns..][..columns])
        };
        let results: Vec<Vec<f32>> =
            (0..x.rows()).into_par_iter().with_min_len(64).map(one).collect();
        Ok(output(results, self.classes, (self.target_mean, self.target_scale)))
    }

    fn write(&self, out: &mut Sections<'_>) {
        let floats = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
        let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        out.u32("sizes", &[size(self.classes), size(self.layers.len())]);
        out.u32("numeric", &self.numeric);
        out.u32("categorical", &self.categorical);
        out.u32("nullable", &self.nullable);
        out.u32("categories", &self.categories);
        out.f64("mean", &self.mean);
        out.f64("scale", &self.scale);
        out.f64("target", &[self.target_mean, self.target_scale]);
        for (number, vectors) in self.embeddings.iter().enumerate() {
            out.f64(&format!("embedding{number}"), &floats(vectors));
        }
        for (number, (weight, bias)) in self.layers.iter().enumerate() {
            out.f64(&format!("weight{number}"), &floats(weight));
            out.f64(&format!("bias{number}"), &floats(bias));
        }
    }
}

/// Mean and deviation of the values that are there; a deviation of nothing counts as 1.
pub(crate) fn moments(values: &[f64]) -> (f64, f64) {
    let present: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    let count = float(present.len().max(1));
    let mean = present.iter().sum::<f64>() / count;
    let variance = present.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count;
    (mean, if variance > 1e-24 { variance.sqrt() } else { 1.0 })
}

/// The target as a net learns it, and the mean and deviation that were taken from it.
#[expect(clippy::cast_possible_truncation, reason = "nets compute in f32")]
pub(crate) fn scaled_target(y: &Target) -> ((f64, f64), NetTarget) {
    match y {
        Target::Classes(codes, count) => ((0.0, 1.0), NetTarget::Classes(codes.clone(), *count)),
        Target::Values(values) => {
            let (mean, scale) = moments(values);
            let scaled = values.iter().map(|v| ((v - mean) / scale) as f32).collect();
            ((mean, scale), NetTarget::Values(scaled))
        }
    }
}

/// The last value of each series of a history.
pub(crate) fn last_values(history: &[(String, Vec<f64>)]) -> BTreeMap<String, f64> {
    history.iter().filter_map(|(name, values)| Some((name.clone(), *values.last()?))).collect()
}

/// What a net's last layer gave for each row, as predictions: `classes` is 0 for regression, `target` the
/// mean and deviation of its target.
pub(crate) fn output(rows: Vec<Vec<f32>>, classes: usize, target: (f64, f64)) -> Output {
    if classes == 0 {
        let value = |row: Vec<f32>| f64::from(row[0]) * target.1 + target.0;
        return Output::Values(rows.into_iter().map(value).collect());
    }
    let probabilities = rows.into_iter().flat_map(|row| {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let shares: Vec<f64> = row.iter().map(|x| f64::from(x - max).exp()).collect();
        let sum: f64 = shares.iter().sum();
        shares.into_iter().map(move |share| share / sum)
    });
    Output::Probabilities(probabilities.collect())
}

/// Numbers that were written from `f32`.
pub(crate) fn floats(from: &Reader<'_>, name: &str) -> Result<Vec<f32>> {
    #[expect(clippy::cast_possible_truncation, reason = "they were written from f32")]
    Ok(from.f64(name)?.into_iter().map(|v| v as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::*;

    #[test]
    fn a_net_is_saved_and_predicts_as_its_layers_say() {
        let train = df!(
            "x" => [Some(1.0), None, Some(3.0)], "kind" => ["a", "b", "a"], "y" => [10.0, 20.0, 30.0]
        )
        .unwrap();
        let model = fit_net("Net", &serde_json::json!({}), false, &train, "y", |problem| {
            // x, whether x is missing, and one number for the kind: missing, a, b.
            assert_eq!((problem.numbers_width, problem.categories.as_slice()), (2, &[3][..]));
            assert_eq!(problem.numbers, [-1.0, 0.0, 0.0, 1.0, 1.0, 0.0]);
            assert_eq!(problem.codes, [1, 2, 1]);
            Ok(NetWeights {
                embeddings: vec![vec![0.0, 5.0, 7.0]],
                layers: vec![(vec![1.0, 2.0, 1.0], vec![0.5])],
                history: vec![("train_loss".to_owned(), vec![0.5, 0.25])],
            })
        })
        .unwrap();
        let deviation = (200.0_f64 / 3.0).sqrt();
        let expected = [4.5, 9.5, 6.5].map(|value| value * deviation + 20.0);
        let loaded = FittedModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
        for model in [model, loaded] {
            let said = model.predict(&train).unwrap();
            for (said, expected) in said.f64().unwrap().into_no_null_iter().zip(expected) {
                assert!((said - expected).abs() < 1e-4, "{said} {expected}");
            }
            assert_eq!(model.metrics()["train_loss"], 0.25);
        }
    }

    #[test]
    fn layers_that_do_not_fit_are_refused() {
        let train = df!("x" => [1.0, 2.0], "y" => [1.0, 2.0]).unwrap();
        let error = fit_net("Net", &serde_json::json!({}), false, &train, "y", |_| {
            Ok(NetWeights { layers: vec![(vec![1.0; 3], vec![0.0])], ..NetWeights::default() })
        });
        assert!(error.unwrap_err().to_string().contains("contradict"));
    }
}
