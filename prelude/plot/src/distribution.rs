//! Distributions: histogram, density, box plot, violin.

use crate::chart::{Axis, Chart, Kind, Layer, Panel};
use crate::error::{PlotError, Result};
use crate::frame::Plot;
use crate::smooth::{bin_count, density, extent, float, grid, histogram, quantile};

/// Points of a density.
const POINTS: usize = 200;
/// Outliers drawn per box.
const OUTLIERS: usize = 500;

impl Plot<'_> {
    /// How many values fall in each of some bins of equal width; for classes, [`count`](Self::count).
    ///
    /// # Errors
    /// When the column is not there or has no numbers.
    pub fn histogram(&self, x: &str) -> Result<Chart> {
        let (xs, x_axis) = self.places(x, "histogram")?;
        if matches!(x_axis.kind, Kind::Classes(..)) {
            return self.count(x);
        }
        let (groups, names) = self.groups()?;
        let finite: Vec<f64> = xs.iter().copied().filter(|x| x.is_finite()).collect();
        let (low, high) = extent(finite.iter().copied()).ok_or_else(|| nothing("histogram", x))?;
        let (low, high) = if high - low <= 0.0 { (low - 0.5, high + 0.5) } else { (low, high) };
        let bins = self.bins.unwrap_or_else(|| bin_count(&finite));
        let width = (high - low) / float(bins);
        let opacity = self.opacity.unwrap_or(if names.len() > 1 { 0.55 } else { 0.9 });
        self.panels("histogram", |rows, _| {
            let layers =
                split(rows, &xs, &groups, names.len()).into_iter().map(|(group, values)| {
                    let counts = histogram(&values, low, high, bins);
                    let bars = counts.iter().enumerate().filter(|(_, count)| **count > 0.0);
                    let left = |bin: usize| low + width * float(bin);
                    let boxes: Vec<_> = bars
                        .map(|(bin, count)| [left(bin), 0.0, left(bin) + width, *count])
                        .collect();
                    Layer::Bars { group: vec![group; boxes.len()], boxes, opacity }
                });
            let y = Axis::number("rows").with_zero();
            Ok(Panel { title: String::new(), x: x_axis.clone(), y, layers: layers.collect() })
        })
    }

    /// A smooth histogram: Gaussian kernels with Scott's bandwidth; the area is 1.
    ///
    /// # Errors
    /// When the column is not there or has no numbers.
    pub fn density(&self, x: &str) -> Result<Chart> {
        let xs = self.numeric(x, "density")?;
        let (groups, names) = self.groups()?;
        let (low, high) = extent(xs.iter().copied()).ok_or_else(|| nothing("density", x))?;
        let margin = (high - low) * 0.15;
        let along = grid(low - margin, high + margin, POINTS);
        self.panels("density", |rows, _| {
            let mut layers = Vec::new();
            for (group, values) in split(rows, &xs, &groups, names.len()) {
                let heights = density(&values, &along);
                layers.push(Layer::Area {
                    along: along.clone(),
                    low: vec![0.0; along.len()],
                    high: heights.clone(),
                    group,
                    opacity: self.opacity.unwrap_or(0.25),
                    upright: true,
                });
                layers.push(Layer::Line { x: along.clone(), y: heights, group, dashed: false });
            }
            Ok(Panel {
                title: String::new(),
                x: Axis::number(x),
                y: Axis::number("density").with_zero(),
                layers,
            })
        })
    }

    /// A box per class of `x`: quartiles, median, whiskers to the last value within 1.5
    /// interquartile ranges, and the values beyond.
    ///
    /// # Errors
    /// When a column is not there, `y` holds no numbers, or `x` has more than 200 classes.
    pub fn boxplot(&self, x: &str, y: &str) -> Result<Chart> {
        self.by_class("boxplot", x, y, |place, group, width, sorted, note| {
            let (q1, q2, q3) =
                (quantile(sorted, 0.25), quantile(sorted, 0.5), quantile(sorted, 0.75));
            let reach = 1.5 * (q3 - q1);
            let inside = || sorted.iter().copied().filter(|v| *v >= q1 - reach && *v <= q3 + reach);
            let (low, high) = (inside().next().unwrap_or(q1), inside().next_back().unwrap_or(q3));
            let outside: Vec<f64> =
                sorted.iter().copied().filter(|v| *v < low || *v > high).collect();
            let step = outside.len().div_ceil(OUTLIERS).max(1);
            if step > 1 {
                *note = format!("of many values beyond the whiskers, {OUTLIERS} a box are drawn");
            }
            let y: Vec<f64> = outside.into_iter().step_by(step).collect();
            let (left, right) = (place - width / 2.0, place + width / 2.0);
            let mut layers = vec![
                Layer::Bars {
                    boxes: vec![[left, q1, right, q3]],
                    group: vec![group],
                    opacity: 0.75,
                },
                Layer::Segments {
                    ends: vec![
                        [place, low, place, q1],
                        [place, q3, place, high],
                        [left, q2, right, q2],
                        [left + width / 4.0, low, right - width / 4.0, low],
                        [left + width / 4.0, high, right - width / 4.0, high],
                    ],
                },
            ];
            if !y.is_empty() {
                layers.push(Layer::Points {
                    x: vec![place; y.len()],
                    group: vec![group; y.len()],
                    y,
                    opacity: 0.6,
                });
            }
            layers
        })
    }

    /// A density per class of `x`, drawn to both sides, with the quartiles.
    ///
    /// # Errors
    /// As [`boxplot`](Self::boxplot).
    pub fn violin(&self, x: &str, y: &str) -> Result<Chart> {
        self.by_class("violin", x, y, |place, group, width, sorted, _| {
            let Some((low, high)) = extent(sorted.iter().copied()) else { return vec![] };
            let along = grid(low, high, 80);
            let heights = density(sorted, &along);
            let most = heights.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
            let half: Vec<f64> = heights.iter().map(|height| height / most * width / 2.0).collect();
            let marks = [0.25, 0.5, 0.75].map(|q| {
                let at = quantile(sorted, q);
                let reach = width / if (0.4..0.6).contains(&q) { 5.0 } else { 10.0 };
                [place - reach, at, place + reach, at]
            });
            vec![
                Layer::Area {
                    along,
                    low: half.iter().map(|half| place - half).collect(),
                    high: half.iter().map(|half| place + half).collect(),
                    group,
                    opacity: 0.7,
                    upright: false,
                },
                Layer::Segments { ends: marks.to_vec() },
            ]
        })
    }

    /// Layers per class of `x` and colour group, side by side, from sorted values.
    fn by_class(
        &self,
        plot: &str,
        x: &str,
        y: &str,
        draw: impl Fn(f64, usize, f64, &[f64], &mut String) -> Vec<Layer>,
    ) -> Result<Chart> {
        let (codes, classes) = self.classes(x)?;
        if classes.len() > 200 {
            return Err(PlotError::Empty {
                plot: plot.to_owned(),
                problem: format!(
                    "column {x:?} has {} classes, more than fit on an axis",
                    classes.len()
                ),
            });
        }
        let ys = self.numeric(y, plot)?;
        let (groups, names) = self.groups()?;
        let side = if self.color.as_deref() == Some(x) { 1 } else { names.len().max(1) };
        self.panels(plot, |rows, note| {
            let mut members = vec![vec![]; classes.len() * side];
            for row in rows.iter().filter(|row| ys[**row].is_finite()) {
                if let Some(code) = codes[*row] {
                    members[code * side + if side == 1 { 0 } else { groups[*row] }].push(ys[*row]);
                }
            }
            let room = 0.8 / float(side);
            let mut layers = Vec::new();
            for (index, mut values) in
                members.into_iter().enumerate().filter(|(_, values)| !values.is_empty())
            {
                values.sort_unstable_by(f64::total_cmp);
                let place = float(index / side) - 0.4 + room * (float(index % side) + 0.5);
                let group = if side == 1 && !names.is_empty() { index } else { index % side };
                layers.extend(draw(place, group, room * 0.8, &values, note));
            }
            let x = Axis::new(x, Kind::Classes(classes.clone(), false));
            Ok(Panel { title: String::new(), x, y: Axis::number(y), layers })
        })
    }
}

/// The finite values of each group.
fn split(rows: &[usize], xs: &[f64], groups: &[usize], count: usize) -> Vec<(usize, Vec<f64>)> {
    let mut parts: Vec<(usize, Vec<f64>)> =
        (0..count.max(1)).map(|group| (group, vec![])).collect();
    for row in rows.iter().filter(|row| xs[**row].is_finite()) {
        parts[groups[*row]].1.push(xs[*row]);
    }
    parts.retain(|(_, values)| !values.is_empty());
    parts
}

fn nothing(plot: &str, column: &str) -> PlotError {
    PlotError::Empty {
        plot: plot.to_owned(),
        problem: format!("column {column:?} has no finite values"),
    }
}
