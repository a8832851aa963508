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
        let room = self.stretches(1, names.len())?;
        self.panels("line", |rows, note| {
            let layers = runs(rows, &xs, &groups, names.len()).into_iter().map(|(group, rows)| {
                let (x, y) = thin(pick(&xs, &rows), pick(&ys, &rows), room, note);
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
        let room = self.stretches(columns.len(), 1)?;
        let mut chart = self.panels("lines", |rows, note| {
            let sorted = runs(rows, &xs, &[], 0);
            let rows: &[usize] = sorted.first().map_or(&[], |(_, rows)| rows.as_slice());
            let layers = columns.iter().enumerate().map(|(group, ys)| {
                let (x, y) = thin(pick(&xs, rows), pick(ys, rows), room, note);
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
        let room = self.stretches(1, names.len())?;
        self.panels("area", |rows, note| {
            let layers = runs(rows, &xs, &groups, names.len()).into_iter().map(|(group, rows)| {
                let rows: Vec<usize> =
                    rows.into_iter().filter(|row| ys[*row].is_finite()).collect();
                let (along, high) = thin(pick(&xs, &rows), pick(&ys, &rows), room, note);
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
        let room = self.stretches(2, names.len())?;
        self.panels("band", |rows, note| {
            let mut layers = Vec::new();
            for (group, rows) in runs(rows, &xs, &groups, names.len()) {
                let known: Vec<usize> = rows
                    .iter()
                    .copied()
                    .filter(|row| lows[*row].is_finite() && highs[*row].is_finite())
                    .collect();
                let band = (pick(&xs, &known), pick(&lows, &known), pick(&highs, &known));
                let (along, low, high) = thin_band(band, room);
                layers.push(Layer::Area {
                    along,
                    low,
                    high,
                    group,
                    opacity: self.opacity.unwrap_or(0.25),
                    upright: true,
                });
                let (x, y) = thin(pick(&xs, &rows), pick(&ys, &rows), room, note);
                layers.push(Layer::Line { x, y, group, dashed: false });
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

/// Room for the lines of a chart with too many points.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    /// Points there are.
    points: usize,
    /// Stretches a line may have; each is drawn as two points.
    stretches: usize,
}

impl Room {
    /// Room for `points` on so many lines; `None` if they all fit.
    pub(crate) fn of(points: usize, lines: usize) -> Option<Self> {
        let stretches = (LIMIT / 2 / lines.max(1)).clamp(1, 2000);
        (points > LIMIT).then_some(Self { points, stretches })
    }
}

impl Plot<'_> {
    /// Room per line where each row is a point on `columns` lines of `groups` colours.
    fn stretches(&self, columns: usize, groups: usize) -> Result<Option<Room>> {
        let facets = if self.facet.is_some() { self.facets()?.len() } else { 1 };
        Ok(Room::of(self.df.height() * columns, columns * groups.max(1) * facets))
    }
}

/// A long line as the lowest and highest value of each of some stretches: looks the same.
pub(crate) fn thin(
    x: Vec<f64>,
    y: Vec<f64>,
    room: Option<Room>,
    note: &mut String,
) -> (Vec<f64>, Vec<f64>) {
    let Some(room) = room.filter(|room| x.len() > 2 * room.stretches) else { return (x, y) };
    *note = format!(
        "{} points, drawn as lowest and highest of {} stretches",
        thousands(room.points),
        thousands(room.stretches)
    );
    let size = x.len().div_ceil(room.stretches);
    let mut kept = (Vec::new(), Vec::new());
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

/// A long band as the widest range of each of some stretches.
fn thin_band(
    (along, low, high): (Vec<f64>, Vec<f64>, Vec<f64>),
    room: Option<Room>,
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let Some(room) = room.filter(|room| along.len() > 2 * room.stretches) else {
        return (along, low, high);
    };
    let size = along.len().div_ceil(room.stretches);
    let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (
        along.chunks(size).map(|part| part[0]).collect(),
        low.chunks(size).map(least).collect(),
        high.chunks(size).map(most).collect(),
    )
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
