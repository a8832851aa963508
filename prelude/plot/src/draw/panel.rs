//! One panel: axes, grid, titles, and the marks inside.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Canvas, grey, marks};
use crate::chart::{Kind, Panel};
use crate::error::Result;
use crate::ticks::ticks;

/// From places on the axes to pixels of the chart.
pub(super) struct Mapping {
    x: (f64, f64),
    y: (f64, f64),
    log: (bool, bool),
    down: bool,
    frame: [f64; 4],
}

impl Mapping {
    fn part(value: f64, (low, high): (f64, f64), log: bool) -> f64 {
        if log { (value / low).ln() / (high / low).ln() } else { (value - low) / (high - low) }
    }

    pub(super) fn x(&self, value: f64) -> f64 {
        let [left, _, right, _] = self.frame;
        left + (right - left) * Self::part(value, self.x, self.log.0)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        let [_, top, _, bottom] = self.frame;
        let part = Self::part(value, self.y, self.log.1);
        if self.down { top + (bottom - top) * part } else { bottom - (bottom - top) * part }
    }

    /// Whether a place is inside the panel.
    pub(super) fn holds(&self, x: f64, y: f64) -> bool {
        let inside = |value: f64, (low, high): (f64, f64)| {
            let slack = (high - low) * 1e-9;
            value >= low - slack && value <= high + slack
        };
        inside(x, self.x) && inside(y, self.y)
    }

    /// A place moved to the edge if it is outside.
    pub(super) fn clamp(&self, x: f64, y: f64) -> (f64, f64) {
        (self.x(x.clamp(self.x.0, self.x.1)), self.y(y.clamp(self.y.0, self.y.1)))
    }
}

pub(super) fn draw<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    panel: &Panel,
    frame: [f64; 4],
    margin: f64,
) -> Result<()> {
    let (x, y) = (panel.range(true), panel.range(false));
    let map = Mapping {
        x,
        y,
        log: (panel.x.kind == Kind::Log, panel.y.kind == Kind::Log),
        down: matches!(&panel.y.kind, Kind::Classes(_, true)),
        frame,
    };
    let [left, top, right, bottom] = frame;
    let grid = grey().mix(0.2);
    let classes = |kind: &Kind| matches!(kind, Kind::Classes(..));
    let wide = crate::smooth::floor((right - left) / 75.0).max(2);
    for (place, name) in ticks(&panel.x, x.0, x.1, wide) {
        let at = map.x(place);
        if !classes(&panel.x.kind) {
            canvas.line(&[(at, top), (at, bottom)], grid, 0.5)?;
        }
        canvas.line(&[(at, bottom), (at, bottom + 4.0)], grey().mix(1.0), 1.0)?;
        canvas.text(&name, (at, bottom + 6.0), 11.0, grey(), (HPos::Center, VPos::Top), false)?;
    }
    let tall = crate::smooth::floor((bottom - top) / 45.0).max(2);
    for (place, name) in ticks(&panel.y, y.0, y.1, tall) {
        let at = map.y(place);
        if !classes(&panel.y.kind) {
            canvas.line(&[(left, at), (right, at)], grid, 0.5)?;
        }
        canvas.line(&[(left - 4.0, at), (left, at)], grey().mix(1.0), 1.0)?;
        canvas.text(&name, (left - 6.0, at), 11.0, grey(), (HPos::Right, VPos::Center), false)?;
    }
    for layer in &panel.layers {
        marks::draw(canvas, layer, &map)?;
    }
    canvas.line(&[(left, top), (left, bottom), (right, bottom)], grey().mix(1.0), 1.0)?;
    let middle = (f64::midpoint(left, right), f64::midpoint(top, bottom));
    let below = (middle.0, bottom + 26.0);
    canvas.text(&panel.x.title, below, 12.0, grey(), (HPos::Center, VPos::Top), false)?;
    let beside = (left - margin + 6.0, middle.1);
    canvas.text(&panel.y.title, beside, 12.0, grey(), (HPos::Center, VPos::Top), true)?;
    canvas.text(
        &panel.title,
        (middle.0, top - 6.0),
        12.0,
        BLACK,
        (HPos::Center, VPos::Bottom),
        false,
    )
}
