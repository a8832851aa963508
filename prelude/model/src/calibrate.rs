//! Probabilities that mean what they say: [`calibrate`], [`reliability`], [`best_threshold`].

use oxilab_display::Render;
use oxilab_display::table::{Heading, Table};
use oxilab_model_format::Task;
use oxilab_plot::Chart;
use oxilab_runtime::MimeBundle;
use polars::prelude::DataFrame;
use std::sync::Arc;

use crate::error::{ModelError, Result, check_interrupt, require};
use crate::evaluate::figure;
use crate::fitted::FittedModel;
use crate::logistic::{sigmoid, softplus};
use crate::matrix::{Matrix, float};
use crate::metrics::probability;
use crate::predictor::{self, Output, Predictor, Reader, Sections, consistent};
use crate::show::table_and_chart;
use crate::target::Target;

/// Rows of each class below which a correction follows single rows.
const FEWEST_ROWS: usize = 5;

/// How probabilities are corrected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calibration {
    /// A sigmoid of the log-odds with two parameters (Platt, 1999): for few rows.
    Platt,
    /// Any rising step function (isotonic regression by pooling adjacent violators): for about a
    /// thousand rows and more.
    Isotonic,
}

/// A model of two classes whose probabilities are corrected on a frame that it has not seen.
///
/// # Errors
/// If the model does not have two classes, or the frame cannot be used or holds fewer than five rows
/// of a class.
pub fn calibrate(model: &FittedModel, df: &DataFrame, how: Calibration) -> Result<FittedModel> {
    let (truth, scores) = truth_and_scores(model, df)?;
    if truth.iter().all(|t| *t == truth[0]) {
        return Err(ModelError::data(
            "the frame holds rows of one class only",
            "calibrate on rows of both classes",
        ));
    }
    let positive = truth.iter().filter(|t| **t).count();
    let fewest = positive.min(truth.len() - positive);
    if fewest < FEWEST_ROWS {
        return Err(ModelError::data(
            format!("{fewest} rows of one of the classes are too few to correct probabilities by"),
            format!("calibrate on at least {FEWEST_ROWS} rows of each, better hundreds"),
        ));
    }
    let (x, y) = match how {
        Calibration::Platt => platt(&truth, &scores)?,
        Calibration::Isotonic => isotonic(&truth, &scores),
    };
    let inner = Arc::clone(model.predictor());
    let predictor = CalibratedPredictor { inner, platt: how == Calibration::Platt, x, y };
    Ok(model.with_predictor(format!("{} (calibrated)", model.learner()), predictor))
}

fn truth_and_scores(model: &FittedModel, df: &DataFrame) -> Result<(Vec<bool>, Vec<f64>)> {
    if model.task() != Task::Binary {
        return Err(model.unsupported("be calibrated", "calibration is for two classes"));
    }
    let Target::Classes(codes, _) = model.target(df)? else {
        return Err(model.unsupported("be calibrated", "calibration is for two classes"));
    };
    if codes.is_empty() {
        return Err(ModelError::data("the frame has no rows", "give at least one"));
    }
    let p = model.probabilities(df)?;
    Ok((
        codes.iter().map(|code| *code == 1).collect(),
        p.iter().skip(1).step_by(2).copied().collect(),
    ))
}

fn log_odds(p: f64) -> f64 {
    let p = p.clamp(1e-12, 1.0 - 1e-12);
    (p / (1.0 - p)).ln()
}

/// Slope and intercept, with Platt's targets that keep away from 0 and 1, by Newton's method with halved
/// steps (Lin, Lin and Weng, 2007): two parameters of a convex loss, to the last digits.
fn platt(truth: &[bool], scores: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
    let positive = float(truth.iter().filter(|t| **t).count());
    let negative = float(truth.len()) - positive;
    let (high, low) = ((positive + 1.0) / (positive + 2.0), 1.0 / (negative + 2.0));
    let goal = |t: &bool| if *t { high } else { low };
    let z: Vec<f64> = scores.iter().map(|p| log_odds(*p)).collect();
    let loss = |slope: f64, intercept: f64| -> f64 {
        let of = |(z, t): (&f64, &bool)| {
            let s = slope * z + intercept;
            softplus(s) - goal(t) * s
        };
        z.iter().zip(truth).map(of).sum()
    };
    let (mut slope, mut intercept) = (0.0, ((positive + 1.0) / (negative + 1.0)).ln());
    let mut value = loss(slope, intercept);
    for _ in 0..100 {
        check_interrupt()?;
        let (mut g, mut h) = ([0.0; 2], [1e-12, 0.0, 1e-12]);
        for (z, t) in z.iter().zip(truth) {
            let p = sigmoid(slope * z + intercept);
            let (away, bend) = (p - goal(t), p * (1.0 - p));
            g = [g[0] + away * z, g[1] + away];
            h = [h[0] + bend * z * z, h[1] + bend * z, h[2] + bend];
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        let step =
            [(h[2] * g[0] - h[1] * g[1]) / determinant, (h[0] * g[1] - h[1] * g[0]) / determinant];
        let halves = std::iter::successors(Some(1.0), |share| Some(share / 2.0)).take(30);
        let mut tried = halves.map(|share| {
            let (slope, intercept) = (slope - share * step[0], intercept - share * step[1]);
            (slope, intercept, loss(slope, intercept))
        });
        let Some(better) = tried.find(|(_, _, new)| *new < value) else { break };
        (slope, intercept, value) = better;
    }
    Ok((vec![slope], vec![intercept]))
}

/// The rising step function closest to the truth, as points between which lines run.
fn isotonic(truth: &[bool], scores: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    // Blocks of lowest and highest score, sum of truth, rows.
    let mut blocks: Vec<(f64, f64, f64, f64)> = Vec::new();
    for row in order {
        let (score, t) = (scores[row], f64::from(u8::from(truth[row])));
        match blocks.last_mut() {
            #[expect(clippy::float_cmp, reason = "equal scores share a block")]
            Some(last) if last.1 == score && last.0 == score => {
                last.2 += t;
                last.3 += 1.0;
            }
            _ => blocks.push((score, score, t, 1.0)),
        }
    }
    let mut pooled: Vec<(f64, f64, f64, f64)> = Vec::new();
    for block in blocks {
        pooled.push(block);
        while let [.., a, b] = pooled.as_slice()
            && a.2 / a.3 >= b.2 / b.3
        {
            let merged = (a.0, b.1, a.2 + b.2, a.3 + b.3);
            pooled.truncate(pooled.len() - 2);
            pooled.push(merged);
        }
    }
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (low, high, sum, rows) in pooled {
        x.push(low);
        y.push(sum / rows);
        if high > low {
            x.push(high);
            y.push(sum / rows);
        }
    }
    (x, y)
}

/// A predictor and the correction of its probabilities.
#[derive(Debug)]
pub(crate) struct CalibratedPredictor {
    inner: Arc<dyn Predictor>,
    platt: bool,
    /// The slope, or the points' scores.
    x: Vec<f64>,
    /// The intercept, or the points' probabilities.
    y: Vec<f64>,
}

impl CalibratedPredictor {
    pub(crate) fn read(from: &Reader<'_>) -> Result<Self> {
        let kind = from.text("kind")?;
        // A calibrated model of a calibrated model of … would be read by recursion.
        consistent(from.prefix.len() < 200)?;
        let inner = Arc::from(predictor::read(&kind, &from.inner("inner"))?);
        let (x, y) = (from.f64("x")?, from.f64("y")?);
        consistent(!x.is_empty() && x.len() == y.len())?;
        Ok(Self { inner, platt: from.size("platt", 0)? == 1, x, y })
    }

    fn correct(&self, p: f64) -> f64 {
        if self.platt {
            return sigmoid(self.x[0] * log_odds(p) + self.y[0]);
        }
        let above = self.x.partition_point(|x| *x < p);
        if above == 0 {
            return self.y[0];
        }
        let Some(x) = self.x.get(above) else { return self.y[self.y.len() - 1] };
        let (x0, y0) = (self.x[above - 1], self.y[above - 1]);
        y0 + (self.y[above] - y0) * (p - x0) / (x - x0)
    }
}

impl Predictor for CalibratedPredictor {
    fn kind(&self) -> &'static str {
        "calibrated"
    }

    fn predict(&self, x: &Matrix) -> Result<Output> {
        let Output::Probabilities(p) = self.inner.predict(x)? else {
            return Err(predictor::damaged("its inner model gives no probabilities"));
        };
        let corrected = p.iter().skip(1).step_by(2).map(|p| self.correct(*p));
        Ok(Output::Probabilities(corrected.flat_map(|p| [1.0 - p, p]).collect()))
    }

    fn write(&self, out: &mut Sections<'_>) {
        out.text("kind", self.inner.kind());
        out.u32("platt", &[u32::from(self.platt)]);
        out.f64("x", &self.x);
        out.f64("y", &self.y);
        self.inner.write(&mut out.inner("inner"));
    }

    fn importance(&self) -> Option<Vec<f64>> {
        self.inner.importance()
    }

    fn library(&self) -> Option<(&'static str, String)> {
        self.inner.library()
    }
}

/// How well probabilities fit observed shares.
#[derive(Clone, Debug, PartialEq)]
pub struct Reliability {
    /// Per bin that has rows: their number, mean probability, and observed share of the second class.
    pub bins: Vec<(f64, f64, f64)>,
    /// The mean distance of probability and share, weighted by rows.
    pub error: f64,
    /// The Brier score.
    pub brier: f64,
}

/// Compares probabilities with observed shares over ten bins.
///
/// # Errors
/// If the model does not have two classes, or the frame cannot be used.
pub fn reliability(model: &FittedModel, df: &DataFrame) -> Result<Reliability> {
    let (truth, p) = truth_and_scores(model, df)?;
    let bins = probability::reliability(&truth, &p, 10);
    let rows = float(truth.len());
    let error = bins.iter().map(|(n, mean, share)| n * (mean - share).abs()).sum::<f64>() / rows;
    let squares = truth.iter().zip(&p).map(|(t, p)| (f64::from(u8::from(*t)) - p).powi(2));
    Ok(Reliability { bins, error, brier: squares.sum::<f64>() / rows })
}

impl Reliability {
    /// Observed shares over mean probabilities, beside the diagonal.
    ///
    /// # Errors
    /// If there is no bin.
    pub fn chart(&self) -> oxilab_plot::Result<Chart> {
        let (probabilities, shares): (Vec<f64>, Vec<f64>) =
            self.bins.iter().map(|(_, mean, share)| (*mean, *share)).unzip();
        oxilab_plot::model::reliability(&probabilities, &shares)
    }
}

impl Render for Reliability {
    fn render(&self) -> MimeBundle {
        let heads = ["mean probability", "observed share", "rows"];
        let mut table = Table::new(heads.iter().map(|h| Heading::new(*h).numeric()).collect());
        table.title =
            format!("calibration error {} · Brier {}", figure(self.error), figure(self.brier));
        for (rows, mean, share) in &self.bins {
            table.push(vec![Some(figure(*mean)), Some(figure(*share)), Some(rows.to_string())]);
        }
        table_and_chart(&table, self.chart())
    }
}

/// The threshold for [`FittedModel::with_threshold`] that costs least on a frame, where a false positive
/// costs `false_positive` and a false negative `false_negative`, and that cost per row.
///
/// # Errors
/// If the model does not have two classes, the frame cannot be used, or a cost is negative.
pub fn best_threshold(
    model: &FittedModel,
    df: &DataFrame,
    false_positive: f64,
    false_negative: f64,
) -> Result<(f64, f64)> {
    let sound = |cost: f64| cost >= 0.0 && cost.is_finite();
    require(
        sound(false_positive),
        "best_threshold",
        "false_positive",
        false_positive,
        "0 or more",
    )?;
    require(
        sound(false_negative),
        "best_threshold",
        "false_negative",
        false_negative,
        "0 or more",
    )?;
    let (truth, p) = truth_and_scores(model, df)?;
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*b].total_cmp(&p[*a]));
    // Above all scores nothing is predicted positive.
    let mut cost = false_negative * float(truth.iter().filter(|t| **t).count());
    let mut best = (p[order[0]] + 1e-9, cost);
    for (place, row) in order.iter().enumerate() {
        cost += if truth[*row] { -false_negative } else { false_positive };
        let next = order.get(place + 1).map(|row| p[*row]);
        if next.is_none_or(|next| next < p[*row]) && cost < best.1 {
            best = (next.map_or(p[*row], |next| f64::midpoint(next, p[*row])), cost);
        }
    }
    Ok((best.0, best.1 / float(p.len())))
}
