//! The marks of a layer.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::panel::Mapping;
use super::{Canvas, colour, grey, scale_colour};
use crate::chart::{Box4, Layer};
use crate::error::Result;
use crate::smooth::extent;

pub(super) fn draw<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    layer: &Layer,
    map: &Mapping,
) -> Result<()> {
    match layer {
        Layer::Points { x, y, group, opacity } => {
            for ((x, y), group) in
                x.iter().zip(y).zip(group).filter(|((x, y), _)| map.holds(**x, **y))
            {
                canvas.dot((map.x(*x), map.y(*y)), 3.0, colour(*group).mix(*opacity))?;
            }
            Ok(())
        }
        Layer::Line { x, y, group, dashed } => {
            let shade = if *dashed { grey().mix(0.8) } else { colour(*group).mix(1.0) };
            // A gap in the values is a gap in the line.
            let points: Vec<(f64, f64)> = x.iter().copied().zip(y.iter().copied()).collect();
            for run in points
                .split(|(x, y)| !(x.is_finite() && y.is_finite()))
                .filter(|run| !run.is_empty())
            {
                let run: Vec<(f64, f64)> = run.iter().map(|(x, y)| map.clamp(*x, *y)).collect();
                if *dashed {
                    dashes(canvas, &run, shade)?;
                } else {
                    canvas.line(&run, shade, 1.8)?;
                }
            }
            Ok(())
        }
        Layer::Area { along, low, high, group, opacity, upright } => {
            let place = |along: f64, across: f64| {
                if *upright { map.clamp(along, across) } else { map.clamp(across, along) }
            };
            let there = along.iter().zip(high).map(|(along, high)| place(*along, *high));
            let back = along.iter().zip(low).rev().map(|(along, low)| place(*along, *low));
            let outline: Vec<(f64, f64)> = there.chain(back).collect();
            if outline.iter().any(|(x, y)| x.is_nan() || y.is_nan()) {
                return Ok(());
            }
            canvas.polygon(&outline, colour(*group).mix(*opacity))
        }
        Layer::Bars { boxes, group, opacity } => {
            for (corners, group) in boxes.iter().zip(group) {
                canvas
                    .rectangle(corners_of(map, corners), colour(*group).mix(*opacity).filled())?;
            }
            Ok(())
        }
        Layer::Cells { boxes, values, diverging, .. } => {
            let (low, high) = if *diverging {
                (-1.0, 1.0)
            } else {
                extent(values.iter().copied()).unwrap_or((0.0, 1.0))
            };
            for (corners, value) in boxes.iter().zip(values).filter(|(_, value)| !value.is_nan()) {
                let place = if high > low { (value - low) / (high - low) } else { 0.5 };
                canvas.rectangle(
                    corners_of(map, corners),
                    scale_colour(place, *diverging).filled(),
                )?;
            }
            Ok(())
        }
        Layer::Segments { ends } => {
            for [x0, y0, x1, y1] in ends {
                canvas.line(&[map.clamp(*x0, *y0), map.clamp(*x1, *y1)], grey().mix(1.0), 1.5)?;
            }
            Ok(())
        }
        Layer::Text { x, y, text, bright } => {
            for (((x, y), text), bright) in x.iter().zip(y).zip(text).zip(bright) {
                let ink = if *bright { WHITE } else { BLACK };
                let at = (map.x(*x), map.y(*y));
                canvas.text(text, at, 11.0, ink, (HPos::Center, VPos::Center), false)?;
            }
            Ok(())
        }
    }
}

fn corners_of(map: &Mapping, [x0, y0, x1, y1]: &Box4) -> [f64; 4] {
    let (a, b) = (map.clamp(*x0, *y0), map.clamp(*x1, *y1));
    [a.0, a.1, b.0, b.1]
}

/// A line of dashes of 5 pixels with gaps of 4.
fn dashes<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    points: &[(f64, f64)],
    shade: RGBAColor,
) -> Result<()> {
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |part: f64| (from.0 + (to.0 - from.0) * part, from.1 + (to.1 - from.1) * part);
        let mut start = 0.0;
        while start < length {
            canvas.line(
                &[at(start / length), at((start + 5.0).min(length) / length)],
                shade,
                1.2,
            )?;
            start += 9.0;
        }
    }
    Ok(())
}
