//! Recurrent nets as fitted models: what the deep-learning crate trains on series becomes a
//! [`FittedModel`], which predicts, evaluates, saves and serves without tensors.

use polars::prelude::DataFrame;
use rayon::prelude::*;

use crate::error::Result;
use crate::fitted::FittedModel;
use crate::learner::{Learned, supervised};
use crate::matrix::Matrix;
use crate::net::{self, NetTarget};
use crate::observed;
use crate::predictor::{Output, Predictor, Reader, Sections, consistent, expect_features};
use crate::series::{self, Shape};
use crate::target::{Goal, TargetReader};

/// A training frame as a recurrent net takes it.
#[derive(Clone, Debug)]
pub struct SeriesProblem {
    /// Series.
    pub rows: usize,
    /// Steps of each.
    pub time: usize,
    /// Values of a step.
    pub channels: usize,
    /// Series after series, step after step, a value for each channel: channels have mean 0 and
    /// deviation 1, and 0 stands where a value is missing or a shorter series has not begun.
    pub values: Vec<f32>,
    /// What is to be learned.
    pub target: NetTarget,
}

/// A layer of a recurrent net, laid out as PyTorch's `LSTM` (gates `i f g o`) and `GRU` (`r z n`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecurrentLayer {
    /// `weight_ih`, `(gates · hidden, inputs)`, row after row.
    pub from_input: Vec<f32>,
    /// `weight_hh`, `(gates · hidden, hidden)`.
    pub from_state: Vec<f32>,
    /// `bias_ih`, `(gates · hidden)`.
    pub input_bias: Vec<f32>,
    /// `bias_hh`, `(gates · hidden)`.
    pub state_bias: Vec<f32>,
}

/// A trained recurrent net: its layers, and a linear one on the last state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecurrentWeights {
    /// GRU, or else LSTM.
    pub gru: bool,
    /// Values of a state.
    pub hidden: usize,
    /// The layers, the lowest first.
    pub layers: Vec<RecurrentLayer>,
    /// Weight `(outputs, hidden)` row after row, and bias `(outputs)`.
    pub head: (Vec<f32>, Vec<f32>),
    /// Named series over the epochs.
    pub history: Vec<(String, Vec<f64>)>,
}

/// Fits a recurrent net to all columns of `train` but `target`: lists of numbers, one column for each
/// channel, or numbers, which are the steps of one channel. `learn` is given them as numbers. With
/// `classify` the target is classes, else numbers.
///
/// # Errors
/// If a column or the target cannot be used, or `learn` fails.
pub fn fit_recurrent(
    name: &'static str,
    params: &serde_json::Value,
    classify: bool,
    train: &DataFrame,
    target: &str,
    learn: impl FnOnce(&SeriesProblem) -> Result<RecurrentWeights>,
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
    learn: impl FnOnce(&SeriesProblem) -> Result<RecurrentWeights>,
) -> Result<FittedModel> {
    let goal = if classify { Goal::Classification } else { Goal::Regression };
    let (reader, y) = TargetReader::of(train, target, goal)?;
    let (encoder, x, shape) = series::fit(train, target)?;
    let (target_scale, y) = net::scaled_target(&y);
    let classes = if let NetTarget::Classes(_, count) = &y { *count } else { 0 };
    let mut net = RecurrentPredictor::prepare(shape, &x, classes, target_scale);
    let problem = SeriesProblem {
        rows: x.rows(),
        time: shape.time,
        channels: shape.channels,
        values: net.inputs(&x),
        target: y,
    };
    let weights = learn(&problem)?;
    (net.gru, net.hidden) = (weights.gru, weights.hidden);
    (net.layers, net.head) = (weights.layers, weights.head);
    if !net.fits() {
        return Err(net::contradiction(name));
    }
    let metrics = net::last_values(&weights.history);
    let learned = Learned { metrics, history: weights.history, ..Learned::new(net) };
    supervised(name, params, (train, target), encoder, reader, learned)
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecurrentPredictor {
    gru: bool,
    hidden: usize,
    shape: Shape,
    /// For each channel.
    mean: Vec<f64>,
    scale: Vec<f64>,
    layers: Vec<RecurrentLayer>,
    head: (Vec<f32>, Vec<f32>),
    /// 0 for regression.
    classes: usize,
    /// Mean and deviation.
    target: (f64, f64),
}

impl RecurrentPredictor {
    fn prepare(shape: Shape, x: &Matrix, classes: usize, target: (f64, f64)) -> Self {
        let of_channel = |channel: usize| {
            let rows = x.rows() * shape.time;
            net::moments(&x.as_slice()[channel * rows..(channel + 1) * rows])
        };
        let (mean, scale) = (0..shape.channels).map(of_channel).unzip();
        let (layers, head) = (Vec::new(), (Vec::new(), Vec::new()));
        Self { gru: false, hidden: 0, shape, mean, scale, layers, head, classes, target }
    }

    /// Series after series, step after step, channel after channel.
    #[expect(clippy::cast_possible_truncation, reason = "nets compute in f32")]
    fn inputs(&self, x: &Matrix) -> Vec<f32> {
        let Shape { time, channels } = self.shape;
        let mut values = Vec::with_capacity(x.rows() * time * channels);
        for row in 0..x.rows() {
            for step in 0..time {
                for channel in 0..channels {
                    let value = x.col(channel * time + step)[row];
                    let scaled = (value - self.mean[channel]) / self.scale[channel];
                    values.push(if value.is_nan() { 0.0 } else { scaled as f32 });
                }
            }
        }
        values
    }

    fn gates(&self) -> usize {
        if self.gru { 3 } else { 4 }
    }

    /// Whether layers and head fit each other.
    fn fits(&self) -> bool {
        let outputs = self.classes.max(1);
        let Some(gates) = self.hidden.checked_mul(self.gates()) else { return false };
        let mut inputs = self.shape.channels;
        for layer in &self.layers {
            let fits = gates.checked_mul(inputs) == Some(layer.from_input.len())
                && gates.checked_mul(self.hidden) == Some(layer.from_state.len())
                && layer.input_bias.len() == gates
                && layer.state_bias.len() == gates;
            if !fits {
                return false;
            }
            inputs = self.hidden;
        }
        let (weight, bias) = &self.head;
        self.hidden > 0
            && !self.layers.is_empty()
            && self.mean.len() == self.shape.channels
            && self.scale.len() == self.shape.channels
            && bias.len() == outputs
            && outputs.checked_mul(self.hidden) == Some(weight.len())
    }

    /// The result of one series.
    fn forward(&self, values: &[f32]) -> Vec<f32> {
        let mut below = values.to_vec();
        let mut width = self.shape.channels;
        for layer in &self.layers {
            let mut cell = Cell::new(layer, self.hidden, self.gates());
            let mut states = Vec::with_capacity(self.shape.time * self.hidden);
            for x in below.chunks_exact(width) {
                if self.gru {
                    cell.gru(x);
                } else {
                    cell.lstm(x);
                }
                states.extend_from_slice(&cell.state);
            }
            below = states;
            width = self.hidden;
        }
        let last = &below[below.len() - width..];
        let (weight, bias) = &self.head;
        weight
            .chunks_exact(width)
            .zip(bias)
            .map(|(weight, bias)| dot(weight, last) + bias)
            .collect()
    }

    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        let sizes = from.u32("sizes")?;
        let &[classes, layers, gru, hidden, time, channels] = &sizes[..] else {
            return Err(crate::predictor::damaged("a size is missing"));
        };
        let target = from.f64("target")?;
        consistent(target.len() == 2 && layers <= 1000 && gru <= 1)?;
        let layer = |number: u32| -> Result<RecurrentLayer> {
            let part = |name: &str| net::floats(from, &format!("{name}{number}"));
            Ok(RecurrentLayer {
                from_input: part("from_input")?,
                from_state: part("from_state")?,
                input_bias: part("input_bias")?,
                state_bias: part("state_bias")?,
            })
        };
        let net = Self {
            gru: gru == 1,
            hidden: hidden as usize,
            shape: Shape { time: time as usize, channels: channels as usize },
            mean: from.f64("mean")?,
            scale: from.f64("scale")?,
            layers: (0..layers).map(layer).collect::<Result<_>>()?,
            head: (net::floats(from, "head")?, net::floats(from, "head_bias")?),
            classes: classes as usize,
            target: (target[0], target[1]),
        };
        consistent(net.fits())?;
        Ok(net)
    }
}

/// A layer as it walks over a series.
struct Cell<'a> {
    layer: &'a RecurrentLayer,
    state: Vec<f32>,
    /// What an LSTM keeps beside its state.
    memory: Vec<f32>,
    from_input: Vec<f32>,
    from_state: Vec<f32>,
}

impl<'a> Cell<'a> {
    fn new(layer: &'a RecurrentLayer, hidden: usize, gates: usize) -> Self {
        let zeros = |count: usize| vec![0.0; count];
        Self {
            layer,
            state: zeros(hidden),
            memory: zeros(hidden),
            from_input: zeros(gates * hidden),
            from_state: zeros(gates * hidden),
        }
    }

    /// What input and state say to each gate.
    fn project(&mut self, x: &[f32]) {
        let product = |out: &mut [f32], weight: &[f32], bias: &[f32], x: &[f32]| {
            for ((out, weight), bias) in out.iter_mut().zip(weight.chunks_exact(x.len())).zip(bias)
            {
                *out = dot(weight, x) + bias;
            }
        };
        product(&mut self.from_input, &self.layer.from_input, &self.layer.input_bias, x);
        product(&mut self.from_state, &self.layer.from_state, &self.layer.state_bias, &self.state);
    }

    fn lstm(&mut self, x: &[f32]) {
        self.project(x);
        let hidden = self.state.len();
        for at in 0..hidden {
            let gate = |number: usize| {
                self.from_input[number * hidden + at] + self.from_state[number * hidden + at]
            };
            let kept = sigmoid(gate(1)) * self.memory[at];
            let memory = kept + sigmoid(gate(0)) * gate(2).tanh();
            let state = sigmoid(gate(3)) * memory.tanh();
            (self.memory[at], self.state[at]) = (memory, state);
        }
    }

    fn gru(&mut self, x: &[f32]) {
        self.project(x);
        let hidden = self.state.len();
        for at in 0..hidden {
            let input = |number: usize| self.from_input[number * hidden + at];
            let state = |number: usize| self.from_state[number * hidden + at];
            let reset = sigmoid(input(0) + state(0));
            let update = sigmoid(input(1) + state(1));
            let new = (input(2) + reset * state(2)).tanh();
            self.state[at] = new + update * (self.state[at] - new);
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// In eight sums, which the processor makes side by side.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = a8.remainder().iter().zip(b8.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0f32; 8];
    for (a, b) in a8.zip(b8) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

impl Predictor for RecurrentPredictor {
    fn kind(&self) -> &'static str {
        "recurrent"
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        let Shape { time, channels } = self.shape;
        expect_features(x, time * channels)?;
        let values = self.inputs(x);
        let row = time * channels;
        let one = |number: usize| self.forward(&values[number * row..][..row]);
        let results: Vec<Vec<f32>> =
            (0..x.rows()).into_par_iter().with_min_len(8).map(one).collect();
        Ok(net::output(results, self.classes, self.target))
    }

    fn write(&self, out: &mut Sections<'_>) {
        let floats = |values: &[f32]| values.iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
        let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let Shape { time, channels } = self.shape;
        let gru = usize::from(self.gru);
        let sizes = [self.classes, self.layers.len(), gru, self.hidden, time, channels];
        out.u32("sizes", &sizes.map(size));
        out.f64("mean", &self.mean);
        out.f64("scale", &self.scale);
        out.f64("target", &[self.target.0, self.target.1]);
        for (number, layer) in self.layers.iter().enumerate() {
            for (name, values) in [
                ("from_input", &layer.from_input),
                ("from_state", &layer.from_state),
                ("input_bias", &layer.input_bias),
                ("state_bias", &layer.state_bias),
            ] {
                out.f64(&format!("{name}{number}"), &floats(values));
            }
        }
        out.f64("head", &floats(&self.head.0));
        out.f64("head_bias", &floats(&self.head.1));
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::*;

    use super::*;

    fn one_to_one(gru: bool) -> RecurrentWeights {
        let gates = if gru { 3 } else { 4 };
        let layer = RecurrentLayer {
            from_input: vec![1.0; gates],
            from_state: vec![0.5; gates],
            input_bias: vec![0.1; gates],
            state_bias: vec![-0.2; gates],
        };
        RecurrentWeights {
            gru,
            hidden: 1,
            layers: vec![layer],
            head: (vec![2.0], vec![1.0]),
            history: vec![("train_loss".to_owned(), vec![0.5, 0.25])],
        }
    }

    /// The formulas of PyTorch's documentation, for one value of everything.
    fn by_hand(gru: bool, steps: &[f64]) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let (mut h, mut c) = (0.0, 0.0);
        for x in steps {
            let (input, state) = (x + 0.1, 0.5 * h - 0.2);
            let gate = sigmoid(input + state);
            if gru {
                let new = (input + gate * state).tanh();
                h = (1.0 - gate) * new + gate * h;
            } else {
                c = gate * c + gate * (input + state).tanh();
                h = gate * f64::tanh(c);
            }
        }
        2.0 * h + 1.0
    }

    #[test]
    fn both_cells_follow_their_formulas_and_survive_a_file() {
        let train = df!("t0" => [1.0, -1.0], "t1" => [-1.0, 1.0], "y" => [10.0, 30.0]).unwrap();
        for gru in [false, true] {
            let params = serde_json::json!({});
            let model = fit_recurrent("Net", &params, false, &train, "y", |problem| {
                assert_eq!((problem.rows, problem.time, problem.channels), (2, 2, 1));
                assert_eq!(problem.values, [1.0, -1.0, -1.0, 1.0]);
                Ok(one_to_one(gru))
            })
            .unwrap();
            let expected =
                [[1.0, -1.0], [-1.0, 1.0]].map(|steps| by_hand(gru, &steps) * 10.0 + 20.0);
            let loaded = FittedModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
            for model in [model, loaded] {
                let said = model.predict(&train).unwrap();
                for (said, expected) in said.f64().unwrap().into_no_null_iter().zip(expected) {
                    assert!((said - expected).abs() < 1e-5, "{gru}: {said} {expected}");
                }
                assert_eq!(model.metrics()["train_loss"], 0.25);
            }
        }
    }

    #[test]
    fn layers_that_do_not_fit_are_refused_and_so_are_changed_files() {
        let train = df!("t0" => [1.0, 2.0], "y" => [1.0, 2.0]).unwrap();
        let fit = |weights: RecurrentWeights| {
            fit_recurrent("Net", &serde_json::json!({}), false, &train, "y", |_| Ok(weights))
        };
        let error = fit(RecurrentWeights { hidden: 2, ..one_to_one(true) }).unwrap_err();
        assert!(error.to_string().contains("contradict"), "{error}");
        let model = fit(one_to_one(true)).unwrap();
        let file = oxilab_model_format::ModelFile::from_bytes(&model.to_bytes().unwrap()).unwrap();
        let put = |name: &str, values: Vec<u32>| {
            let mut file = file.clone();
            file.put(name, oxilab_model_format::Section::U32(values));
            FittedModel::from_bytes(&file.to_bytes().unwrap())
        };
        // As it was; then a series of four thousand million steps, in the one place and in the other.
        assert!(put("model/flags", vec![3, 0, 1]).is_ok());
        for (name, values) in [
            ("model/flags", vec![3, 0, u32::MAX]),
            ("model/flags", vec![3, 0, 0]),
            ("model/flags", vec![3, 0]),
            ("predictor/sizes", vec![0, 1, 1, 1, u32::MAX, 1]),
            ("predictor/sizes", vec![0, 1, 1, u32::MAX, 1, 1]),
            ("predictor/sizes", vec![0, 1, 1, 1, 1, u32::MAX]),
            ("predictor/sizes", vec![0, 1]),
        ] {
            assert!(put(name, values.clone()).is_err(), "{name} {values:?}");
        }
    }
}
