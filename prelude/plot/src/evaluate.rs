//! Plots that judge models, on slices; the verbs of [`Plot`] of the same names take columns.
//!
//! ```
//! let truth = [0.0, 0.0, 1.0, 1.0];
//! let chart = oxilab_plot::evaluate::roc(&[("model", &truth, &[0.1, 0.4, 0.35, 0.8])])?;
//! assert!(chart.describe().contains("AUC 0.750"));
//! # Ok::<(), oxilab_plot::PlotError>(())
//! ```

use crate::basic::{Room, thin, thousands};
use crate::chart::{Axis, Chart, Layer, Panel};
use crate::error::{PlotError, Result};
use crate::frame::Plot;
use crate::matrix::matrix;
use crate::smooth::float;

/// A curve's name, the truth (1 positive, 0 negative) and the score of each row.
pub type Scored<'a> = (&'a str, &'a [f64], &'a [f64]);

/// True against false positives at every threshold; the legend names the area under each curve.
///
/// # Errors
/// When lengths differ, or a curve has no positive or no negative rows.
pub fn roc(curves: &[Scored<'_>]) -> Result<Chart> {
    let layers = |scored: &Scored<'_>, group: usize| {
        let steps = thresholds("roc", scored)?;
        let (negatives, positives) = steps.last().copied().unwrap_or_default();
        let x: Vec<f64> = steps.iter().map(|(wrong, _)| wrong / negatives).collect();
        let y: Vec<f64> = steps.iter().map(|(_, right)| right / positives).collect();
        let area: f64 =
            (1..x.len()).map(|i| (x[i] - x[i - 1]) * f64::midpoint(y[i], y[i - 1])).sum();
        Ok((format!("{} (AUC {area:.3})", scored.0), Layer::Line { x, y, group, dashed: false }))
    };
    let chance = Layer::Line { x: vec![0.0, 1.0], y: vec![0.0, 1.0], group: 0, dashed: true };
    curve_chart(curves, "false positive rate", "true positive rate", layers, Some(chance))
}

/// Precision against recall at every threshold; the legend names the average precision.
///
/// # Errors
/// As [`roc`].
pub fn pr(curves: &[Scored<'_>]) -> Result<Chart> {
    let layers = |scored: &Scored<'_>, group: usize| {
        let steps = thresholds("pr", scored)?;
        let positives = steps.last().map_or(1.0, |(_, right)| *right);
        let mut x = vec![0.0];
        let mut y = vec![1.0];
        let mut average = 0.0;
        for (wrong, right) in &steps[1..] {
            let (recall, precision) = (right / positives, right / (right + wrong));
            average += (recall - x[x.len() - 1]) * precision;
            x.push(recall);
            y.push(precision);
        }
        Ok((format!("{} (AP {average:.3})", scored.0), Layer::Line { x, y, group, dashed: false }))
    };
    curve_chart(curves, "recall", "precision", layers, None)
}

/// How often rows are positive against how often the score says so, in ten bins of the score.
///
/// # Errors
/// As [`roc`]; and for scores outside 0 to 1.
pub fn calibration(curves: &[Scored<'_>]) -> Result<Chart> {
    let layers = |scored: &Scored<'_>, group: usize| {
        let (name, truth, scores) = scored;
        check("calibration", scored)?;
        if let Some(score) = scores.iter().find(|score| !(0.0..=1.0).contains(*score)) {
            return Err(empty(
                "calibration",
                format!("score {score} is no probability from 0 to 1"),
            ));
        }
        let mut bins = [(0.0, 0.0, 0.0); 10];
        for (truth, score) in truth.iter().zip(*scores) {
            let bin = &mut bins[crate::smooth::bin_of(*score, 0.0, 1.0, 10)];
            *bin = (bin.0 + score, bin.1 + truth, bin.2 + 1.0);
        }
        let used = || bins.iter().filter(|(_, _, count)| *count > 0.0);
        let x = used().map(|(score, _, count)| score / count).collect();
        let y = used().map(|(_, truth, count)| truth / count).collect();
        Ok(((*name).to_owned(), Layer::Line { x, y, group, dashed: false }))
    };
    let exact = Layer::Line { x: vec![0.0, 1.0], y: vec![0.0, 1.0], group: 0, dashed: true };
    curve_chart(curves, "mean predicted probability", "share of positives", layers, Some(exact))
}

/// How many rows of each true class were predicted as which.
///
/// # Errors
/// When lengths differ or are 0, or there are more than 100 classes.
pub fn confusion<S: AsRef<str>>(truth: &[S], predicted: &[S]) -> Result<Chart> {
    if truth.len() != predicted.len() || truth.is_empty() {
        return Err(empty(
            "confusion",
            format!("{} true and {} predicted classes", truth.len(), predicted.len()),
        ));
    }
    let all = truth.iter().chain(predicted).map(|class| class.as_ref().to_owned());
    let mut names: Vec<String> =
        all.collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    if names.iter().all(|name| name.parse::<f64>().is_ok()) {
        names.sort_by(|a, b| {
            a.parse::<f64>().unwrap_or(0.0).total_cmp(&b.parse::<f64>().unwrap_or(0.0))
        });
    }
    if names.len() > 100 {
        return Err(empty("confusion", format!("{} classes, more than 100", names.len())));
    }
    let place: std::collections::HashMap<&str, usize> =
        names.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    let mut counts = vec![0.0; names.len() * names.len()];
    for (truth, predicted) in truth.iter().zip(predicted) {
        counts[place[truth.as_ref()] * names.len() + place[predicted.as_ref()]] += 1.0;
    }
    let panel = matrix("predicted", "true", &names, &names, &counts, "rows", false);
    let side = 60 + 40 * u32::try_from(names.len()).unwrap_or(20).min(20);
    Ok(Chart::new(panel).with_title("Confusion").with_size(side.max(220), side.max(200)))
}

/// What a regression got wrong against what it said.
///
/// # Errors
/// When lengths differ or are 0.
pub fn residuals(truth: &[f64], predicted: &[f64]) -> Result<Chart> {
    if truth.len() != predicted.len() || truth.is_empty() {
        return Err(empty(
            "residuals",
            format!("{} true and {} predicted values", truth.len(), predicted.len()),
        ));
    }
    let (x, y): (Vec<f64>, Vec<f64>) = predicted
        .iter()
        .zip(truth)
        .map(|(predicted, truth)| (*predicted, truth - predicted))
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .unzip();
    let (low, high) = crate::smooth::extent(x.iter().copied())
        .ok_or_else(|| empty("residuals", "no finite values".to_owned()))?;
    let mut note = String::new();
    let points = if x.len() > crate::chart::LIMIT {
        crate::basic::binned_points(&x, &y, &mut note)
    } else {
        Some(Layer::Points { group: vec![0; x.len()], x, y, opacity: 0.6 })
    };
    let zero = Layer::Line { x: vec![low, high], y: vec![0.0, 0.0], group: 0, dashed: true };
    let mut chart = Chart::new(Panel {
        title: String::new(),
        x: Axis::number("predicted"),
        y: Axis::number("true − predicted"),
        layers: points.into_iter().chain([zero]).collect(),
    });
    chart.note = note;
    Ok(chart.with_title("Residuals"))
}

/// Scores over rounds or sizes of training: one line per name.
///
/// # Errors
/// When a line is as long as `x` nowhere or there are none.
pub fn learning_curve(x: &[f64], lines: &[(&str, &[f64])]) -> Result<Chart> {
    if lines.is_empty() || lines.iter().any(|(_, y)| y.len() != x.len()) {
        return Err(empty("learning curve", format!("every line needs {} values", x.len())));
    }
    let room = Room::of(x.len() * lines.len(), lines.len());
    let mut note = String::new();
    let layers: Vec<Layer> = lines
        .iter()
        .enumerate()
        .map(|(group, (_, y))| {
            let (x, y) = thin(x.to_vec(), y.to_vec(), room, &mut note);
            Layer::Line { x, y, group, dashed: false }
        })
        .collect();
    let mut chart = Chart::new(Panel {
        title: String::new(),
        x: Axis::number("round"),
        y: Axis::number("score"),
        layers,
    });
    chart.note = note;
    chart.groups = lines.iter().map(|(name, _)| (*name).to_owned()).collect();
    "part".clone_into(&mut chart.legend);
    Ok(chart.with_title("Learning curve"))
}

fn empty(plot: &str, problem: String) -> PlotError {
    PlotError::Empty { plot: plot.to_owned(), problem }
}

#[expect(clippy::float_cmp, reason = "classes are exactly 0 and 1")]
fn check(plot: &str, (name, truth, scores): &Scored<'_>) -> Result<()> {
    if truth.len() != scores.len() {
        return Err(empty(
            plot,
            format!("{name}: {} true values and {} scores", truth.len(), scores.len()),
        ));
    }
    if let Some(value) = truth.iter().find(|value| **value != 0.0 && **value != 1.0) {
        return Err(empty(plot, format!("{name}: true value {value} is neither 0 nor 1")));
    }
    if let Some(row) = scores.iter().position(|score| score.is_nan()) {
        return Err(empty(plot, format!("{name}: the score of row {row} is NaN")));
    }
    let positives: f64 = truth.iter().sum();
    if positives == 0.0 || positives == float(truth.len()) {
        return Err(empty(plot, format!("{name}: all {} rows are of one class", truth.len())));
    }
    Ok(())
}

/// False and true positives as the threshold falls, from (0, 0); equal scores fall together.
#[expect(clippy::float_cmp, reason = "only equal scores fall together")]
fn thresholds(plot: &str, scored: &Scored<'_>) -> Result<Vec<(f64, f64)>> {
    check(plot, scored)?;
    let (_, truth, score) = scored;
    let mut order: Vec<usize> = (0..score.len()).collect();
    order.sort_unstable_by(|a, b| score[*b].total_cmp(&score[*a]));
    let mut steps = vec![(0.0, 0.0)];
    let (mut wrong, mut right) = (0.0, 0.0);
    for tie in order.chunk_by(|a, b| score[*a] == score[*b]) {
        let hits: f64 = tie.iter().map(|row| truth[*row]).sum();
        right += hits;
        wrong += float(tie.len()) - hits;
        steps.push((wrong, right));
    }
    Ok(steps)
}

/// A chart of one line per curve from 0 to 1.
fn curve_chart(
    curves: &[Scored<'_>],
    x: &str,
    y: &str,
    layer: impl Fn(&Scored<'_>, usize) -> Result<(String, Layer)>,
    reference: Option<Layer>,
) -> Result<Chart> {
    if curves.is_empty() {
        return Err(empty(y, "no curves were given".to_owned()));
    }
    let (mut names, mut layers, mut note) = (Vec::new(), Vec::new(), String::new());
    for (group, curve) in curves.iter().enumerate() {
        let (name, line) = layer(curve, group)?;
        names.push(name);
        layers.push(thin_line(line, &mut note));
    }
    layers.extend(reference);
    let mut chart = Chart::new(Panel {
        title: String::new(),
        x: Axis::number(x).with_range(0.0, 1.0),
        y: Axis::number(y).with_range(0.0, 1.02),
        layers,
    });
    chart.note = note;
    if let [only] = names.as_slice() {
        chart.title.clone_from(only);
    } else {
        chart.groups = names;
        "model".clone_into(&mut chart.legend);
    }
    Ok(chart.with_size(340, 320))
}

/// At most 2,000 points of a curve: more cannot be seen.
fn thin_line(layer: Layer, note: &mut String) -> Layer {
    match layer {
        Layer::Line { x, y, group, dashed } if x.len() > 2000 => {
            let step = x.len().div_ceil(2000);
            *note = format!("{} thresholds, every {step}th drawn", thousands(x.len()));
            let kept = |values: Vec<f64>| {
                let last = values.len() - 1;
                let keep = |index: &usize| index.is_multiple_of(step) || *index == last;
                (0..values.len()).filter(keep).map(|index| values[index]).collect::<Vec<f64>>()
            };
            Layer::Line { x: kept(x), y: kept(y), group, dashed }
        }
        other => other,
    }
}

impl Plot<'_> {
    /// [`roc`] of a column of truth (two classes, the last in order is positive) and a column of
    /// scores; one curve per class of `color`.
    ///
    /// # Errors
    /// When a column is not there, or as [`roc`].
    pub fn roc(&self, truth: &str, score: &str) -> Result<Chart> {
        self.scored(truth, score, roc)
    }

    /// [`pr`] of a column of truth and a column of scores.
    ///
    /// # Errors
    /// As [`roc`](Self::roc).
    pub fn pr(&self, truth: &str, score: &str) -> Result<Chart> {
        self.scored(truth, score, pr)
    }

    /// [`calibration`] of a column of truth and a column of probabilities.
    ///
    /// # Errors
    /// As [`roc`](Self::roc).
    pub fn calibration(&self, truth: &str, score: &str) -> Result<Chart> {
        self.scored(truth, score, calibration)
    }

    /// [`confusion`] of two columns of classes.
    ///
    /// # Errors
    /// When a column is not there, or as [`confusion`].
    pub fn confusion(&self, truth: &str, predicted: &str) -> Result<Chart> {
        let named = |column: &str| -> Result<Vec<String>> {
            let (codes, names) = self.classes(column)?;
            Ok(codes
                .into_iter()
                .map(|code| code.map_or_else(|| "missing".to_owned(), |code| names[code].clone()))
                .collect())
        };
        Ok(self.titled(confusion(&named(truth)?, &named(predicted)?)?))
    }

    /// [`residuals`] of a column of true and one of predicted numbers.
    ///
    /// # Errors
    /// When a column is not there, or as [`residuals`].
    pub fn residuals(&self, truth: &str, predicted: &str) -> Result<Chart> {
        let (truth, predicted) =
            (self.numeric(truth, "residuals")?, self.numeric(predicted, "residuals")?);
        Ok(self.titled(residuals(&truth, &predicted)?))
    }

    /// [`learning_curve`] of columns of scores over a column of rounds.
    ///
    /// # Errors
    /// When a column is not there, or as [`learning_curve`].
    pub fn learning_curve<'n>(&self, round: &str, scores: impl AsRef<[&'n str]>) -> Result<Chart> {
        let mut chart = self.lines(round, scores)?.with_y_title("score");
        "part".clone_into(&mut chart.legend);
        Ok(chart)
    }

    fn scored(
        &self,
        truth: &str,
        score: &str,
        draw: impl Fn(&[Scored<'_>]) -> Result<Chart>,
    ) -> Result<Chart> {
        let (codes, classes) = self.classes(truth)?;
        if classes.len() != 2 {
            return Err(PlotError::WrongType {
                column: truth.to_owned(),
                found: format!("of {} classes", classes.len()),
                plot: "this curve".to_owned(),
                expected: "two classes".to_owned(),
            });
        }
        let scores = self.numeric(score, "this curve")?;
        let (groups, names) = self.groups()?;
        let mut parts = vec![(vec![], vec![]); names.len().max(1)];
        for (row, code) in codes.into_iter().enumerate() {
            if let Some(code) = code {
                parts[groups[row]].0.push(float(code));
                parts[groups[row]].1.push(scores[row]);
            }
        }
        let name = |index: usize| names.get(index).map_or(score, String::as_str);
        let curves: Vec<Scored<'_>> = parts
            .iter()
            .enumerate()
            .filter(|(_, (truth, _))| !truth.is_empty())
            .map(|(index, (truth, scores))| (name(index), truth.as_slice(), scores.as_slice()))
            .collect();
        Ok(self.titled(draw(&curves)?))
    }

    /// The options for titles and size on a chart made from slices.
    fn titled(&self, chart: Chart) -> Chart {
        let (title, note, groups, legend, size) = (
            chart.title.clone(),
            chart.note.clone(),
            chart.groups.clone(),
            chart.legend.clone(),
            chart.size,
        );
        let mut own = self.finish(chart.panels, note, groups);
        own.legend = legend;
        if own.title.is_empty() {
            own.title = title;
        }
        if own.size == (480, 300) {
            own.size = size;
        }
        own
    }
}
