//! Amounts: bars.

use crate::chart::{Axis, Chart, Kind, Layer, Panel};
use crate::error::{PlotError, Result};
use crate::frame::Plot;
use crate::smooth::float;

/// Width of the bars of a class, of 1.
const WIDTH: f64 = 0.8;

impl Plot<'_> {
    /// A bar per class of `x` as high as `y`, or as the mean of `y` where a class has several rows;
    /// side by side for the classes of `color`.
    ///
    /// # Errors
    /// When a column is not there, `y` holds no numbers, or `x` has more than 200 classes.
    pub fn bar(&self, x: &str, y: &str) -> Result<Chart> {
        let ys = self.numeric(y, "bar")?;
        self.bars("bar", x, y, &|rows| {
            let known: Vec<f64> =
                rows.iter().map(|row| ys[*row]).filter(|y| y.is_finite()).collect();
            if known.is_empty() { f64::NAN } else { known.iter().sum::<f64>() / float(known.len()) }
        })
    }

    /// A bar per class of `x` as high as it has rows.
    ///
    /// # Errors
    /// When the column is not there or has more than 200 classes.
    pub fn count(&self, x: &str) -> Result<Chart> {
        self.bars("count", x, "rows", &|rows| float(rows.len()))
    }

    fn bars(
        &self,
        plot: &str,
        x: &str,
        y: &str,
        height: &dyn Fn(&[usize]) -> f64,
    ) -> Result<Chart> {
        let (codes, classes) = self.classes(x)?;
        if classes.len() > 200 {
            return Err(PlotError::Empty {
                plot: plot.to_owned(),
                problem: format!(
                    "column {x:?} has {} classes; use histogram, or keep the most frequent",
                    classes.len()
                ),
            });
        }
        let (groups, names) = self.groups()?;
        // Colouring by the classes themselves needs no room side by side.
        let side = if self.color.as_deref() == Some(x) { 1 } else { names.len().max(1) };
        let width = WIDTH / float(side);
        let mut several = false;
        let mut chart = self.panels(plot, |rows, _| {
            let mut members = vec![vec![]; classes.len() * side];
            for row in rows {
                if let Some(code) = codes[*row] {
                    members[code * side + if side == 1 { 0 } else { groups[*row] }].push(*row);
                }
            }
            let (mut boxes, mut group) = (vec![], vec![]);
            for (index, rows) in members.iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
                several |= rows.len() > 1;
                let top = height(rows);
                if top.is_finite() {
                    let left = float(index / side) - WIDTH / 2.0 + width * float(index % side);
                    boxes.push([left, 0.0, left + width, top]);
                    group.push(if side == 1 && !names.is_empty() { index } else { index % side });
                }
            }
            let layers = if boxes.is_empty() {
                vec![]
            } else {
                vec![Layer::Bars { boxes, group, opacity: self.opacity.unwrap_or(0.9) }]
            };
            let x = Axis::new(x, Kind::Classes(classes.clone(), false));
            Ok(Panel { title: String::new(), x, y: Axis::number(y).with_zero(), layers })
        })?;
        if plot == "bar" && several && chart.panels.iter().all(|panel| panel.y.title == y) {
            chart = chart.with_y_title(&format!("mean of {y}"));
        }
        Ok(chart)
    }
}
