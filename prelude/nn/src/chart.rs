//! Small line charts as PNG, for front ends that do not draw Vega-Lite.

use oxilab_display::{DisplayError, figure};
use plotters::coord::Shift;
use plotters::prelude::*;

/// A name and its points `(x, y)`.
pub(crate) type Series = (String, Vec<(f64, f64)>);

/// Lines that share their axes.
pub(crate) struct Panel {
    /// What the values are, on the vertical axis.
    pub(crate) value: String,
    pub(crate) series: Vec<Series>,
}

/// Panels below each other, the first one the highest, as the bytes of a PNG file.
pub(crate) fn lines(x_label: &str, panels: &[Panel]) -> Result<Vec<u8>, DisplayError> {
    const FIRST: u32 = 320;
    const OTHERS: u32 = 200;
    let others = u32::try_from(panels.len().saturating_sub(1)).unwrap_or(0);
    let figure = figure((640, FIRST + OTHERS * others), |root| {
        root.fill(&WHITE)?;
        let mut left = root;
        for (number, panel) in panels.iter().enumerate() {
            let (area, below) = left.split_vertically(if number == 0 { FIRST } else { OTHERS });
            draw(&area, x_label, panel)?;
            left = below;
        }
        Ok(())
    })?;
    Ok(figure.png().to_vec())
}

fn draw<B: DrawingBackend<ErrorType: 'static>>(
    area: &DrawingArea<B, Shift>,
    x_label: &str,
    panel: &Panel,
) -> Result<(), Box<dyn std::error::Error>> {
    let points =
        || panel.series.iter().flat_map(|(_, points)| points).filter(|(_, y)| y.is_finite());
    let bounds = |pick: fn(&(f64, f64)) -> f64| {
        points().map(pick).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        })
    };
    let (x, y) = (bounds(|point| point.0), bounds(|point| point.1));
    let widen = |(low, high): (f64, f64)| match high - low {
        span if span > 0.0 && span.is_finite() => low..high,
        // One value, as after the first epoch.
        0.0 => low - 0.5..high + 0.5,
        _ => 0.0..1.0,
    };
    let mut chart = ChartBuilder::on(area)
        .margin(10)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(widen(x), widen(y))?;
    chart.configure_mesh().x_desc(x_label).y_desc(panel.value.as_str()).draw()?;
    for (number, (name, points)) in panel.series.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        let finite = points.iter().copied().filter(|(_, y)| y.is_finite());
        chart
            .draw_series(LineSeries::new(finite, color.stroke_width(2)))?
            .label(name.as_str())
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], color));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).draw()?;
    Ok(())
}
