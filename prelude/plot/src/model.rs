//! Plots of a model's parts and of a search for parameters, on slices.
//!
//! ```
//! let values = [0.2, 0.5, 0.4];
//! let chart = oxilab_plot::model::history(&values, &[0.2, 0.5, 0.5])?;
//! assert!(chart.to_png()?.starts_with(b"\x89PNG"));
//! # Ok::<(), oxilab_plot::PlotError>(())
//! ```

use crate::chart::{Axis, Chart, Kind, Layer, Panel};
use crate::error::{PlotError, Result};
use crate::smooth::{extent, float};

/// The values of a search's trials in order, and the best value up to each.
///
/// # Errors
/// When the two differ in length, or no value is finite.
pub fn history(values: &[f64], best: &[f64]) -> Result<Chart> {
    if values.len() != best.len() {
        return Err(empty("history", "the best values are not as many as the trials"));
    }
    let known: Vec<usize> = (0..values.len()).filter(|i| values[*i].is_finite()).collect();
    if known.is_empty() {
        return Err(empty("history", "no trial has a value"));
    }
    let points = Layer::Points {
        x: known.iter().map(|place| float(*place)).collect(),
        y: known.iter().map(|place| values[*place]).collect(),
        group: vec![0; known.len()],
        opacity: 0.6,
    };
    // A step at every trial that is better than all before it.
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for place in (0..best.len()).filter(|place| best[*place].is_finite()) {
        if let Some(last) =
            y.last().copied().filter(|last: &f64| last.total_cmp(&best[place]).is_ne())
        {
            x.push(float(place));
            y.push(last);
        }
        x.push(float(place));
        y.push(best[place]);
    }
    let line = Layer::Line { x, y, group: 1, dashed: false };
    let mut chart =
        Chart::new(panel(Axis::number("trial"), Axis::number("value"), vec![points, line]));
    chart.groups = vec!["trials".to_owned(), "best so far".to_owned()];
    Ok(chart.with_title("History"))
}

/// A bar to the right per name, the first on top.
///
/// # Errors
/// When there are not as many names as values, or none.
pub fn ranking<S: AsRef<str>>(names: &[S], values: &[f64], title: &str) -> Result<Chart> {
    if names.len() != values.len() || names.is_empty() {
        return Err(empty("ranking", "it needs one value per name, and at least one"));
    }
    let bar = |(place, value): (usize, &f64)| [0.0, float(place) - 0.4, *value, float(place) + 0.4];
    let boxes: Vec<[f64; 4]> = values.iter().enumerate().map(bar).collect();
    let bars = Layer::Bars { group: vec![0; boxes.len()], boxes, opacity: 0.85 };
    let labels = names.iter().map(|name| name.as_ref().to_owned()).collect();
    let rows = u32::try_from(names.len()).unwrap_or(u32::MAX);
    let height = rows.saturating_mul(24).saturating_add(40).min(1200);
    let y = Axis::new("", Kind::Classes(labels, true));
    let chart = Chart::new(panel(Axis::number(title).with_zero(), y, vec![bars]));
    Ok(chart.with_size(420, height))
}

/// One upright axis of [`parallel`].
#[derive(Clone, Debug)]
pub struct ParallelAxis {
    /// The name under it.
    pub name: String,
    /// Where each line crosses it.
    pub values: Vec<f64>,
    /// What stands at its lower and its upper end.
    pub ends: (String, String),
}

/// Lines across upright axes, one per trial, coloured by the fifth that its score falls into; the lines
/// of the highest scores lie on top.
///
/// # Errors
/// When there is no axis, an axis has not one value per score, or no score is finite.
pub fn parallel(axes: &[ParallelAxis], scores: &[f64]) -> Result<Chart> {
    let mut order: Vec<usize> =
        (0..scores.len()).filter(|line| scores[*line].is_finite()).collect();
    if axes.is_empty() || order.is_empty() {
        return Err(empty("parallel", "it needs an axis and a finite score"));
    }
    if axes.iter().any(|axis| axis.values.len() != scores.len()) {
        return Err(empty("parallel", "every axis needs one value per score"));
    }
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let places: Vec<Vec<f64>> = axes.iter().map(|axis| to_unit(&axis.values)).collect();
    let mut layers: Vec<Layer> = order
        .iter()
        .enumerate()
        .map(|(rank, line)| Layer::Line {
            x: (0..axes.len()).map(float).collect(),
            y: places.iter().map(|axis| axis[*line]).collect(),
            group: 4 - (rank * 5 / order.len()).min(4),
            dashed: false,
        })
        .collect();
    let ends = axes.iter().map(|axis| axis.ends.clone());
    layers.push(Layer::Segments {
        ends: (0..axes.len()).map(|axis| [float(axis), 0.0, float(axis), 1.0]).collect(),
    });
    let (low, high): (Vec<String>, Vec<String>) = ends.unzip();
    for (y, text) in [(-0.05, low), (1.05, high)] {
        let x: Vec<f64> = (0..axes.len()).map(float).collect();
        let (y, bright) = (vec![y; x.len()], vec![false; x.len()]);
        layers.push(Layer::Text { x, y, text, bright });
    }
    let names = axes.iter().map(|axis| axis.name.clone()).collect();
    let x = Axis::new("", Kind::Classes(names, false));
    let mut chart =
        Chart::new(panel(x, Axis::number("share of the range").with_range(-0.1, 1.1), layers));
    chart.groups =
        ["best fifth", "second", "third", "fourth", "last fifth"].map(str::to_owned).to_vec();
    "score".clone_into(&mut chart.legend);
    let width = u32::try_from(axes.len()).unwrap_or(u32::MAX).saturating_mul(110).clamp(360, 1600);
    Ok(chart.with_size(width, 300).with_title("Parallel coordinates"))
}

/// Thin curves of single rows and a thick one of their mean, over the same `x`; dashes mark the mean.
///
/// # Errors
/// When a curve is not as long as `x`, or there is none.
pub fn dependence(x: &Axes<'_>, mean: &[f64], curves: &[Vec<f64>]) -> Result<Chart> {
    let places: Vec<f64> = match x {
        Axes::Numbers(_, values) => values.to_vec(),
        Axes::Classes(_, names) => (0..names.len()).map(float).collect(),
    };
    if places.is_empty()
        || curves.iter().any(|y| y.len() != places.len())
        || mean.len() != places.len()
    {
        return Err(empty("dependence", "every curve needs one value per place"));
    }
    let line =
        |y: &[f64], group| Layer::Line { x: places.clone(), y: y.to_vec(), group, dashed: false };
    let mut layers: Vec<Layer> = curves.iter().map(|y| line(y, 1)).collect();
    layers.push(line(mean, 0));
    let axis = match x {
        Axes::Numbers(title, _) => Axis::number(*title),
        Axes::Classes(title, names) => Axis::new(*title, Kind::Classes(names.to_vec(), false)),
    };
    let mut chart = Chart::new(panel(axis, Axis::number("prediction"), layers));
    if !curves.is_empty() {
        chart.groups = vec!["mean".to_owned(), "single rows".to_owned()];
    }
    Ok(chart)
}

/// The horizontal axis of [`dependence`]: a title, and its places.
#[derive(Clone, Copy, Debug)]
pub enum Axes<'a> {
    /// Numbers.
    Numbers(&'a str, &'a [f64]),
    /// Named classes.
    Classes(&'a str, &'a [String]),
}

/// What one feature adds to predictions, for [`effects`].
#[derive(Clone, Debug)]
pub struct Effects {
    /// The feature.
    pub name: String,
    /// What it adds, per row.
    pub effects: Vec<f64>,
    /// Its values, per row; NaN is missing.
    pub values: Vec<f64>,
}

/// A point per row and feature, at what the feature adds to the prediction, coloured by the fifth that
/// the feature's value falls into; where many points lie, they spread upwards and downwards. The first
/// feature stands on top; at most 2000 rows are shown.
///
/// # Errors
/// When there is no feature or no row, or a feature has not as many values as effects.
pub fn effects(features: &[Effects]) -> Result<Chart> {
    let rows = features.first().map_or(0, |feature| feature.effects.len());
    if rows == 0 || features.iter().any(|f| f.effects.len() != rows || f.values.len() != rows) {
        return Err(empty("effects", "every feature needs one value and one effect per row"));
    }
    let step = rows.div_ceil(2000);
    let all = features.iter().flat_map(|feature| feature.effects.iter().copied());
    let (low, high) = extent(all).unwrap_or((0.0, 1.0));
    let (mut x, mut y, mut group) = (Vec::new(), Vec::new(), Vec::new());
    for (place, feature) in features.iter().enumerate() {
        let mut taken = vec![0_usize; SLOTS + 1];
        let fifths = fifths(&feature.values);
        for row in (0..rows).step_by(step).filter(|row| feature.effects[*row].is_finite()) {
            let effect = feature.effects[row];
            let share = if high > low { (effect - low) / (high - low) } else { 0.5 };
            let slot = crate::smooth::bin_of(share, 0.0, 1.0, SLOTS);
            let layer = float(taken[slot].div_ceil(2)) * 0.03;
            let side = if taken[slot].is_multiple_of(2) { 1.0 } else { -1.0 };
            taken[slot] += 1;
            x.push(effect);
            y.push(float(place) + (side * layer).clamp(-0.4, 0.4));
            group.push(fifths[row]);
        }
    }
    let points = Layer::Points { x, y, group, opacity: 0.7 };
    let zero = Layer::Segments { ends: vec![[0.0, -0.5, 0.0, float(features.len()) - 0.5]] };
    let names = features.iter().map(|feature| feature.name.clone()).collect();
    let axis = Axis::new("", Kind::Classes(names, true));
    let mut chart = Chart::new(panel(Axis::number("effect"), axis, vec![zero, points]));
    chart.groups = ["lowest values", "low", "middle", "high", "highest values", "missing"]
        .map(str::to_owned)
        .to_vec();
    "feature".clone_into(&mut chart.legend);
    let height = u32::try_from(features.len()).unwrap_or(u32::MAX).saturating_mul(34);
    if step > 1 {
        chart.note = format!("every {step}th of {rows} rows");
    }
    Ok(chart.with_size(460, height.saturating_add(40).min(1200)))
}

/// Places along the axis of effects within which points are spread.
const SLOTS: usize = 80;

/// The fifth that each value falls into by rank, 5 for missing ones.
fn fifths(values: &[f64]) -> Vec<usize> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let fifth = |value: &f64| match sorted.partition_point(|other| other < value) {
        _ if value.is_nan() => 5,
        below => (below * 5 / sorted.len()).min(4),
    };
    values.iter().map(fifth).collect()
}

/// Observed shares over mean probabilities, beside the diagonal of a calibrated model.
///
/// # Errors
/// When there are no points, or not as many of both.
pub fn reliability(probabilities: &[f64], shares: &[f64]) -> Result<Chart> {
    if probabilities.is_empty() || probabilities.len() != shares.len() {
        return Err(empty("reliability", "it needs as many shares as probabilities"));
    }
    let (x, y) = (probabilities.to_vec(), shares.to_vec());
    let group = vec![0; x.len()];
    let layers = vec![
        Layer::Line { x: vec![0.0, 1.0], y: vec![0.0, 1.0], group: 1, dashed: true },
        Layer::Line { x: x.clone(), y: y.clone(), group: 0, dashed: false },
        Layer::Points { x, y, group, opacity: 0.9 },
    ];
    let axis = |title: &str| Axis::number(title).with_range(0.0, 1.0);
    let mut chart = Chart::new(panel(axis("mean probability"), axis("observed share"), layers))
        .with_size(300, 300);
    chart.groups = vec!["model".to_owned(), "calibrated".to_owned()];
    Ok(chart.with_title("Reliability"))
}

fn panel(x: Axis, y: Axis, layers: Vec<Layer>) -> Panel {
    Panel { title: String::new(), x, y, layers }
}

/// Values between 0 and 1 by their range; all 0.5 if they are equal.
fn to_unit(values: &[f64]) -> Vec<f64> {
    let (low, high) = extent(values.iter().copied()).unwrap_or((0.0, 1.0));
    let unit = |value: &f64| if high > low { (value - low) / (high - low) } else { 0.5 };
    values.iter().map(unit).collect()
}

fn empty(plot: &str, problem: &str) -> PlotError {
    PlotError::Empty { plot: plot.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_line_rises_in_steps() {
        let chart = history(&[1.0, f64::NAN, 3.0], &[1.0, 1.0, 3.0]).unwrap();
        let Layer::Line { x, y, .. } = &chart.panels[0].layers[1] else { panic!("no line") };
        assert_eq!(
            (x.as_slice(), y.as_slice()),
            (&[0.0, 1.0, 2.0, 2.0][..], &[1.0, 1.0, 1.0, 3.0][..])
        );
        assert!(history(&[f64::NAN], &[f64::NAN]).is_err());
    }

    #[test]
    fn parallel_lines_lie_between_the_ends_and_the_best_on_top() {
        let axis = |values: Vec<f64>| ParallelAxis {
            name: "x".to_owned(),
            values,
            ends: ("low".to_owned(), "high".to_owned()),
        };
        let axes = [axis(vec![1.0, 3.0, 2.0]), axis(vec![5.0; 3])];
        let chart = parallel(&axes, &[0.1, 0.9, f64::NAN]).unwrap();
        let Layer::Line { y, group, .. } = &chart.panels[0].layers[1] else { panic!("no line") };
        assert_eq!((y.as_slice(), *group), (&[1.0, 0.5][..], 2));
        assert!(chart.to_png().unwrap().starts_with(b"\x89PNG"));
        assert!(parallel(&axes, &[f64::NAN; 3]).is_err());
    }

    #[test]
    fn effects_are_coloured_by_the_values_and_spread() {
        let feature = Effects {
            name: "x".to_owned(),
            effects: vec![1.0, 1.0, 1.0, -1.0, 0.0],
            values: vec![9.0, 8.0, 7.0, 1.0, f64::NAN],
        };
        let chart = effects(std::slice::from_ref(&feature)).unwrap();
        let Layer::Points { y, group, .. } = &chart.panels[0].layers[1] else {
            panic!("no points")
        };
        assert_eq!(group, &[3, 2, 1, 0, 5]);
        assert_eq!(y, &[0.0, -0.03, 0.03, 0.0, 0.0]);
        assert!(chart.to_png().is_ok());
        assert!(effects(&[]).is_err());
    }

    #[test]
    fn charts_are_refused_what_does_not_fit() {
        assert!(ranking(&["a"], &[1.0, 2.0], "gain").is_err());
        assert!(ranking(&["a", "b"], &[1.0, 2.0], "gain").unwrap().to_png().is_ok());
        assert!(reliability(&[], &[]).is_err());
        let names = ["a".to_owned(), "b".to_owned()];
        let classes = Axes::Classes("kind", &names);
        assert!(dependence(&classes, &[1.0, 2.0], &[vec![1.0]]).is_err());
        assert!(dependence(&classes, &[1.0, 2.0], &[vec![1.0, 3.0]]).unwrap().to_png().is_ok());
    }
}
