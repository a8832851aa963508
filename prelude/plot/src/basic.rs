//! Values over something: scatter, line, area, band.

use crate::chart::{Axis, Box4, Chart, LIMIT, Layer, Panel};
use crate::error::Result;
use crate::frame::{Plot, pick};
use crate::smooth::{bin_of, extent, float};

impl Plot<'_> {
    /// A point per row. Beyond 50,000 points (or with missing room) the plane is cut into 60 × 40
    /// bins whose colour is the number of points.
    ///
    /// # Errors
    /// When a column is not there or has no place on an axis.
    pub fn scatter(&self, x: &str, y: &str) -> Result<Chart> {
        let (xs, x_axis) = self.places(x, "scatter")?;
        let (ys, y_axis) = self.places(y, "scatter")?;
        let (groups, _) = self.groups()?;
        let binned = self.df.height() > LIMIT;
        let mut chart = self.panels("scatter", |rows, note| {
            let rows: Vec<usize> = rows
                .iter()
                .copied()
                .filter(|row| xs[*row].is_finite() && ys[*row].is_finite())
                .collect();
            let (px, py) = (pick(&xs, &rows), pick(&ys, &rows));
            let layer = if binned {
                binned_points(&px, &py, note)
            } else {
                let opacity = self.opacity.unwrap_or(if rows.len() > 2000 { 0.4 } else { 0.75 });
                (!rows.is_empty()).then(|| Layer::Points {
                    x: px,
                    y: py,
                    group: pick(&groups, &rows),
                    opacity,
                })
            };
            Ok(Panel {
                title: String::new(),
                x: x_axis.clone(),
                y: y_axis.clone(),
                layers: layer.into_iter().collect(),
            })
        })?;
        if binned {
            chart.groups.clear();
        }
        Ok(chart)
    }

    /// A line through the rows in order of `x`; one per class of `color`.
    ///
    /// # Errors
    /// When a column is not there or `y` holds no numbers.
    pub fn line(&self, x: &str, y: &str) -> Result<Chart> {
        let (xs, x_axis) = self.places(x, "line")?;
        let ys = self.numeric(y, "line")?;
        let (groups, names) = self.groups()?;
        self.panels("line", |rows, note| {
            let layers = runs(rows, &xs, &groups, names.len()).into_iter().map(|(group, rows)| {
                let (x, y) = thin(pick(&xs, &rows), pick(&ys, &rows), note);
                Layer::Line { x, y, group, dashed: false }
            });
            Ok(Panel {
                title: String::new(),
                x: x_axis.clone(),
                y: Axis::number(y),
                layers: layers.collect(),
            })
        })
    }

    /// A line per column over the same `x`.
    ///
    /// # Errors
    /// When a column is not there or holds no numbers.
    pub fn lines<'n>(&self, x: &str, ys: impl AsRef<[&'n str]>) -> Result<Chart> {
        let (xs, x_axis) = self.places(x, "lines")?;
        let names: Vec<String> = ys.as_ref().iter().map(|name| (*name).to_owned()).collect();
        let columns =
            names.iter().map(|name| self.numeric(name, "lines")).collect::<Result<Vec<_>>>()?;
        let title = if let [only] = names.as_slice() { only.clone() } else { "value".to_owned() };
        let mut chart = self.panels("lines", |rows, note| {
            let sorted = runs(rows, &xs, &[], 0);
            let rows: &[usize] = sorted.first().map_or(&[], |(_, rows)| rows.as_slice());
            let layers = columns.iter().enumerate().map(|(group, ys)| {
                let (x, y) = thin(pick(&xs, rows), pick(ys, rows), note);
                Layer::Line { x, y, group, dashed: false }
            });
            Ok(Panel {
                title: String::new(),
                x: x_axis.clone(),
                y: Axis::number(&title),
                layers: layers.collect(),
            })
        })?;
        chart.groups = if names.len() > 1 { names } else { vec![] };
        "column".clone_into(&mut chart.legend);
        Ok(chart)
    }

    /// The area between a line and 0; one per class of `color`, one before the other.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub fn area(&self, x: &str, y: &str) -> Result<Chart> {
        let (xs, x_axis) = self.places(x, "area")?;
        let ys = self.numeric(y, "area")?;
        let (groups, names) = self.groups()?;
        self.panels("area", |rows, note| {
            let layers = runs(rows, &xs, &groups, names.len()).into_iter().map(|(group, rows)| {
                let rows: Vec<usize> =
                    rows.into_iter().filter(|row| ys[*row].is_finite()).collect();
                let (along, high) = thin(pick(&xs, &rows), pick(&ys, &rows), note);
                let low = vec![0.0; along.len()];
                Layer::Area {
                    along,
                    low,
                    high,
                    group,
                    opacity: self.opacity.unwrap_or(0.6),
                    upright: true,
                }
            });
            let y = Axis::number(y).with_zero();
            Ok(Panel { title: String::new(), x: x_axis.clone(), y, layers: layers.collect() })
        })
    }

    /// A line with a band of confidence from column `low` to column `high`.
    ///
    /// # Errors
    /// As [`line`](Self::line).
    pub fn band(&self, x: &str, y: &str, low: &str, high: &str) -> Result<Chart> {
        let (xs, x_axis) = self.places(x, "band")?;
        let ys = self.numeric(y, "band")?;
        let (lows, highs) = (self.numeric(low, "band")?, self.numeric(high, "band")?);
        let (groups, names) = self.groups()?;
        self.panels("band", |rows, _| {
            let mut layers = Vec::new();
            for (group, rows) in runs(rows, &xs, &groups, names.len()) {
                let known: Vec<usize> = rows
                    .iter()
                    .copied()
                    .filter(|row| lows[*row].is_finite() && highs[*row].is_finite())
                    .collect();
                layers.push(Layer::Area {
                    along: pick(&xs, &known),
                    low: pick(&lows, &known),
                    high: pick(&highs, &known),
                    group,
                    opacity: self.opacity.unwrap_or(0.25),
                    upright: true,
                });
                layers.push(Layer::Line {
                    x: pick(&xs, &rows),
                    y: pick(&ys, &rows),
                    group,
                    dashed: false,
                });
            }
            Ok(Panel { title: String::new(), x: x_axis.clone(), y: Axis::number(y), layers })
        })
    }
}

/// The rows of each group in order of `x`.
fn runs(rows: &[usize], xs: &[f64], groups: &[usize], count: usize) -> Vec<(usize, Vec<usize>)> {
    let mut runs: Vec<(usize, Vec<usize>)> =
        (0..count.max(1)).map(|group| (group, vec![])).collect();
    for row in rows.iter().copied().filter(|row| xs[*row].is_finite()) {
        runs[groups.get(row).copied().unwrap_or(0)].1.push(row);
    }
    for (_, rows) in &mut runs {
        rows.sort_by(|a, b| xs[*a].total_cmp(&xs[*b]));
    }
    runs.retain(|(_, rows)| !rows.is_empty());
    runs
}

/// A long line as the lowest and highest value of each of 2,000 stretches: looks the same.
fn thin(x: Vec<f64>, y: Vec<f64>, note: &mut String) -> (Vec<f64>, Vec<f64>) {
    if x.len() <= LIMIT {
        return (x, y);
    }
    *note =
        format!("{} points, drawn as lowest and highest of 2,000 stretches", thousands(x.len()));
    let size = x.len().div_ceil(2000);
    let mut kept = (Vec::with_capacity(4000), Vec::with_capacity(4000));
    for (x, y) in x.chunks(size).zip(y.chunks(size)) {
        let order = |a: &usize, b: &usize| y[*a].total_cmp(&y[*b]);
        let finite = || (0..y.len()).filter(|index| y[*index].is_finite());
        let (Some(low), Some(high)) = (finite().min_by(order), finite().max_by(order)) else {
            continue;
        };
        for index in if low <= high { [low, high] } else { [high, low] } {
            kept.0.push(x[index]);
            kept.1.push(y[index]);
        }
    }
    kept
}

/// Too many points as counts in bins.
pub(crate) fn binned_points(x: &[f64], y: &[f64], note: &mut String) -> Option<Layer> {
    const ACROSS: usize = 60;
    const UP: usize = 40;
    let (x0, x1) = extent(x.iter().copied())?;
    let (y0, y1) = extent(y.iter().copied())?;
    let mut counts = vec![0.0; ACROSS * UP];
    for (x, y) in x.iter().zip(y) {
        counts[bin_of(*y, y0, y1, UP) * ACROSS + bin_of(*x, x0, x1, ACROSS)] += 1.0;
    }
    *note = format!("{} points, counted in {ACROSS} × {UP} bins", thousands(x.len()));
    let (dx, dy) = ((x1 - x0) / float(ACROSS), (y1 - y0) / float(UP));
    let (mut boxes, mut values): (Vec<Box4>, Vec<f64>) = (vec![], vec![]);
    for (index, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0.0) {
        let (left, low) = (x0 + dx * float(index % ACROSS), y0 + dy * float(index / ACROSS));
        boxes.push([left, low, left + dx, low + dy]);
        values.push(count);
    }
    Some(Layer::Cells { boxes, values, title: "points".to_owned(), diverging: false })
}

/// A count with commas.
pub(crate) fn thousands(count: usize) -> String {
    crate::ticks::number(float(count), 1.0)
}
