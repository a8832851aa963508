//! A small line chart as PNG, for front ends that do not draw Vega-Lite.

use oxilab_display::{DisplayError, figure};
use plotters::prelude::*;

/// Named lines over one axis, as the bytes of a PNG file.
pub(crate) fn lines(
    x_label: &str,
    y_label: &str,
    series: &[(String, Vec<(f64, f64)>)],
) -> Result<Vec<u8>, DisplayError> {
    let points = || series.iter().flat_map(|(_, points)| points).filter(|(_, y)| y.is_finite());
    let bounds = |pick: fn(&(f64, f64)) -> f64| {
        points().map(pick).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        })
    };
    let (x, y) = (bounds(|point| point.0), bounds(|point| point.1));
    let widen = |(low, high): (f64, f64)| {
        if low.is_finite() && high > low { low..high } else { 0.0..1.0 }
    };
    let figure = figure((640, 320), |root| {
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(widen(x), widen(y))?;
        chart.configure_mesh().x_desc(x_label).y_desc(y_label).draw()?;
        for (number, (name, points)) in series.iter().enumerate() {
            let color = Palette99::pick(number).to_rgba();
            let finite = points.iter().copied().filter(|(_, y)| y.is_finite());
            chart
                .draw_series(LineSeries::new(finite, color.stroke_width(2)))?
                .label(name.as_str())
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], color));
        }
        chart.configure_series_labels().background_style(WHITE.mix(0.8)).draw()?;
        Ok(())
    })?;
    Ok(figure.png().to_vec())
}
