//! Pairs of columns: heat map, correlation matrix, pair plot.

use polars::prelude::*;

use crate::chart::{Axis, Chart, Kind, LIMIT, Layer, Panel};
use crate::error::{PlotError, Result};
use crate::frame::{Plot, pick};
use crate::palette::{DIVERGING, SEQUENTIAL, between};
use crate::smooth::{bin_count, extent, float, histogram};

/// Points per panel of a pair plot at most.
const POINTS: usize = 2000;

impl Plot<'_> {
    /// A cell per pair of classes of `x` and `y`, coloured by the mean of `value`.
    ///
    /// # Errors
    /// When a column is not there, `value` holds no numbers, or there are more than 200 classes.
    pub fn heatmap(&self, x: &str, y: &str, value: &str) -> Result<Chart> {
        let (x_codes, x_names) = self.classes(x)?;
        let (y_codes, y_names) = self.classes(y)?;
        if x_names.len().max(y_names.len()) > 200 {
            return Err(PlotError::Empty {
                plot: "heatmap".to_owned(),
                problem: "more than 200 classes on an axis; bin the columns first".to_owned(),
            });
        }
        let values = self.numeric(value, "heatmap")?;
        let mut chart = self.panels("heatmap", |rows, _| {
            let mut sums = vec![(0.0, 0.0); x_names.len() * y_names.len()];
            for row in rows.iter().filter(|row| values[**row].is_finite()) {
                if let (Some(x), Some(y)) = (x_codes[*row], y_codes[*row]) {
                    let cell = &mut sums[y * x_names.len() + x];
                    *cell = (cell.0 + values[*row], cell.1 + 1.0);
                }
            }
            let means: Vec<f64> = sums.iter().map(|(sum, count)| sum / count).collect();
            Ok(matrix(x, y, &x_names, &y_names, &means, value, false))
        })?;
        chart.groups.clear();
        Ok(chart)
    }

    /// Pearson's correlation of all columns of numbers.
    ///
    /// # Errors
    /// When there are fewer than two such columns.
    pub fn correlation(&self) -> Result<Chart> {
        let numeric = |column: &&Column| column.dtype().is_primitive_numeric();
        let names: Vec<String> = self
            .df
            .columns()
            .iter()
            .filter(numeric)
            .take(60)
            .map(|c| c.name().to_string())
            .collect();
        if names.len() < 2 {
            return Err(PlotError::Empty {
                plot: "correlation".to_owned(),
                problem: format!("{} columns of numbers; two are needed", names.len()),
            });
        }
        let columns = names
            .iter()
            .map(|name| self.numeric(name, "correlation"))
            .collect::<Result<Vec<_>>>()?;
        let mut values = vec![1.0; names.len() * names.len()];
        for a in 0..names.len() {
            for b in a + 1..names.len() {
                let strength = pearson(&columns[a], &columns[b]);
                values[a * names.len() + b] = strength;
                values[b * names.len() + a] = strength;
            }
        }
        let panel = matrix("", "", &names, &names, &values, "correlation", true);
        let side = 60 + 34 * u32::try_from(names.len()).unwrap_or(60).min(20);
        let mut chart = self.finish(vec![panel], String::new(), vec![]);
        if chart.size == (480, 300) {
            chart.size = (side.max(240), side.max(240));
        }
        Ok(chart)
    }

    /// Every pair of columns as a scatter plot, each alone as a histogram on the diagonal; at most
    /// 2,000 rows, evenly spread, are drawn, fewer beyond five columns.
    ///
    /// # Errors
    /// When a column is not there or holds no numbers, or there are fewer than 2 or more than 8.
    pub fn pair<'n>(&self, columns: impl AsRef<[&'n str]>) -> Result<Chart> {
        let names = columns.as_ref();
        if !(2..=8).contains(&names.len()) {
            return Err(PlotError::Empty {
                plot: "pair".to_owned(),
                problem: format!("{} columns; give 2 to 8", names.len()),
            });
        }
        let values =
            names.iter().map(|name| self.numeric(name, "pair")).collect::<Result<Vec<_>>>()?;
        let (groups, group_names) = self.groups()?;
        // All panels together stay below the limit.
        let points = (LIMIT / (names.len() * (names.len() - 1))).min(POINTS);
        let step = self.df.height().div_ceil(points).max(1);
        let rows: Vec<usize> = (0..self.df.height()).step_by(step).collect();
        let note = if step > 1 {
            format!("every {step}th of {} rows is drawn", self.df.height())
        } else {
            String::new()
        };
        let mut panels = Vec::new();
        for (row, y) in names.iter().enumerate() {
            for (column, x) in names.iter().enumerate() {
                panels.push(if row == column {
                    alone(x, &values[column], &groups, group_names.len())
                } else {
                    let known = |at: &usize| {
                        values[column][*at].is_finite() && values[row][*at].is_finite()
                    };
                    let rows: Vec<usize> = rows.iter().copied().filter(known).collect();
                    let points = Layer::Points {
                        x: pick(&values[column], &rows),
                        y: pick(&values[row], &rows),
                        group: pick(&groups, &rows),
                        opacity: self.opacity.unwrap_or(0.6),
                    };
                    Panel {
                        title: String::new(),
                        x: Axis::number(*x),
                        y: Axis::number(*y),
                        layers: vec![points],
                    }
                });
            }
        }
        let mut chart = self.finish(panels, note, group_names);
        chart.columns = names.len();
        if chart.size == (240, 180) {
            chart.size = (130, 110);
        }
        Ok(chart)
    }
}

/// The histogram on the diagonal of a pair plot.
fn alone(name: &str, values: &[f64], groups: &[usize], count: usize) -> Panel {
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let (low, high) = extent(finite.iter().copied()).unwrap_or((0.0, 1.0));
    let bins = bin_count(&finite).min(20);
    let width = (high - low) / float(bins);
    let layers = (0..count.max(1)).map(|group| {
        let own: Vec<f64> = values
            .iter()
            .zip(groups)
            .filter(|(_, of)| **of == group)
            .map(|(value, _)| *value)
            .collect();
        let counts =
            histogram(&own, low, high, bins).into_iter().enumerate().filter(|(_, n)| *n > 0.0);
        let boxes: Vec<_> = counts
            .map(|(bin, n)| [low + width * float(bin), 0.0, low + width * float(bin + 1), n])
            .collect();
        Layer::Bars { group: vec![group; boxes.len()], boxes, opacity: 0.6 }
    });
    Panel {
        title: String::new(),
        x: Axis::number(name),
        y: Axis::number("rows").with_zero(),
        layers: layers.collect(),
    }
}

/// Cells from top to bottom, with their values written in where there is room.
pub(crate) fn matrix(
    x: &str,
    y: &str,
    x_names: &[String],
    y_names: &[String],
    values: &[f64],
    title: &str,
    diverging: bool,
) -> Panel {
    let wide = x_names.len();
    let place = |index: usize| (float(index % wide), float(index / wide));
    let known = || values.iter().enumerate().filter(|(_, value)| value.is_finite());
    let boxes = known().map(|(index, _)| {
        let (x, y) = place(index);
        [x - 0.5, y - 0.5, x + 0.5, y + 0.5]
    });
    let cells = Layer::Cells {
        boxes: boxes.collect(),
        values: known().map(|(_, value)| *value).collect(),
        title: title.to_owned(),
        diverging,
    };
    let mut layers = vec![cells];
    if wide <= 12 && y_names.len() <= 20 {
        let whole = values.iter().all(|value| value.is_nan() || value.fract() == 0.0);
        let text = known().map(|(_, value)| match (diverging, whole) {
            (true, _) => format!("{value:.2}"),
            (false, true) => crate::ticks::number(*value, 1.0),
            (false, false) => crate::ticks::number((value * 100.0).round() / 100.0, 0.01),
        });
        layers.push(Layer::Text {
            x: known().map(|(index, _)| place(index).0).collect(),
            y: known().map(|(index, _)| place(index).1).collect(),
            text: text.collect(),
            bright: known().map(|(_, value)| is_dark(*value, values, diverging)).collect(),
        });
    }
    Panel {
        title: String::new(),
        x: Axis::new(x, Kind::Classes(x_names.to_vec(), false)),
        y: Axis::new(y, Kind::Classes(y_names.to_vec(), true)),
        layers,
    }
}

/// Whether a cell of this value is too dark for dark text.
fn is_dark(value: f64, values: &[f64], diverging: bool) -> bool {
    let stops: &[&str] = if diverging { &DIVERGING } else { &SEQUENTIAL };
    let (low, high) =
        if diverging { (-1.0, 1.0) } else { extent(values.iter().copied()).unwrap_or((0.0, 1.0)) };
    let place = if high > low { (value - low) / (high - low) } else { 0.5 };
    let (red, green, blue) = between(stops, place);
    0.299 * f64::from(red) + 0.587 * f64::from(green) + 0.114 * f64::from(blue) < 140.0
}

/// Pearson's correlation of complete pairs.
fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let pairs: Vec<(f64, f64)> = x
        .iter()
        .copied()
        .zip(y.iter().copied())
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .collect();
    let n = float(pairs.len());
    let (mx, my) = pairs.iter().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let (xx, yy, xy) = pairs.iter().fold((0.0, 0.0, 0.0), |(xx, yy, xy), (x, y)| {
        let (dx, dy) = (x - mx, y - my);
        (xx + dx * dx, yy + dy * dy, xy + dx * dy)
    });
    xy / (xx * yy).sqrt()
}
