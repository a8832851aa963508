//! Charts as pixels or SVG: own layout and axes, drawn by plotters' backends.

mod marks;
mod panel;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::chart::{Chart, Kind, Layer};
use crate::error::{PlotError, Result};
use crate::palette;
use crate::smooth::extent;
use crate::ticks::number;

/// Pixels of the PNG per pixel of the chart.
const SCALE: u32 = 2;
/// Room beside the panels for the legend or the colour bar.
const LEGEND: u32 = 120;
/// Room around the axes of a panel.
const BOTTOM: u32 = 48;
const TOP: u32 = 26;
const RIGHT: u32 = 14;
/// Room for the title.
const TITLE: u32 = 24;

/// What drawing needs everywhere: the area, and how many of its pixels are one of the chart's.
pub(crate) struct Canvas<'a, DB: DrawingBackend> {
    area: &'a DrawingArea<DB, Shift>,
    scale: f64,
}

/// Width and height of the whole chart in its own pixels.
pub(crate) fn size(chart: &Chart) -> (u32, u32) {
    let count = u32::try_from(chart.panels.len()).unwrap_or(1);
    let columns = u32::try_from(chart.columns).unwrap_or(1).clamp(1, count.max(1));
    let rows = count.div_ceil(columns);
    let side = if has_side(chart) { LEGEND } else { 0 };
    let width = columns * (chart.size.0 + left(chart) + RIGHT) + side;
    (width, rows * (chart.size.1 + TOP + BOTTOM) + head(chart))
}

/// Room left of a panel, for the names on its axis.
pub(super) fn left(chart: &Chart) -> u32 {
    let longest = |kind: &Kind| match kind {
        Kind::Classes(names, _) => {
            names.iter().map(|name| name.chars().count().min(16)).max().unwrap_or(0)
        }
        _ => 0,
    };
    let letters = chart.panels.iter().map(|panel| longest(&panel.y.kind)).max().unwrap_or(0);
    (30 + 7 * u32::try_from(letters).unwrap_or(16)).max(64)
}

fn head(chart: &Chart) -> u32 {
    TITLE * (u32::from(!chart.title.is_empty()) + u32::from(!chart.note.is_empty()))
}

fn cells(chart: &Chart) -> Option<(&[f64], &str, bool)> {
    chart.panels.iter().flat_map(|panel| &panel.layers).find_map(|layer| match layer {
        Layer::Cells { values, title, diverging, .. } => {
            Some((values.as_slice(), title.as_str(), *diverging))
        }
        _ => None,
    })
}

fn has_side(chart: &Chart) -> bool {
    chart.groups.len() > 1 || cells(chart).is_some()
}

/// The chart as a PNG file.
pub(crate) fn png(chart: &Chart) -> Result<Vec<u8>> {
    let (width, height) = size(chart);
    let (width, height) = (width * SCALE, height * SCALE);
    if u64::from(width) * u64::from(height) > 100_000_000 {
        return Err(PlotError::Draw(format!(
            "{width} × {height} pixels are too many; plot fewer panels"
        )));
    }
    let mut pixels = vec![0; width as usize * height as usize * 3];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        draw(chart, &Canvas { area: &area, scale: f64::from(SCALE) })?;
        area.present().map_err(failed)?;
    }
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    image::ImageEncoder::write_image(
        encoder,
        &pixels,
        width,
        height,
        image::ExtendedColorType::Rgb8,
    )
    .map_err(|e| PlotError::Draw(e.to_string()))?;
    Ok(png)
}

/// The chart as an SVG file.
pub(crate) fn svg(chart: &Chart) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, size(chart)).into_drawing_area();
        draw(chart, &Canvas { area: &area, scale: 1.0 })?;
        area.present().map_err(failed)?;
    }
    Ok(text)
}

/// Any error of a backend.
pub(super) fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError::Draw(error.to_string())
}

fn draw<DB: DrawingBackend>(chart: &Chart, canvas: &Canvas<'_, DB>) -> Result<()> {
    register_fonts();
    canvas.area.fill(&WHITE).map_err(failed)?;
    let mut top = 4.0;
    for (text, size, colour) in [(&chart.title, 15.0, BLACK), (&chart.note, 11.0, grey())] {
        if !text.is_empty() {
            canvas.text(text, (10.0, top), size, colour, (HPos::Left, VPos::Top), false)?;
            top += f64::from(TITLE);
        }
    }
    let columns = chart.columns.max(1);
    let margin = left(chart);
    let (width, height) = (f64::from(chart.size.0), f64::from(chart.size.1));
    for (index, panel) in chart.panels.iter().enumerate() {
        let column = crate::smooth::float(index % columns);
        let row = crate::smooth::float(index / columns);
        let left = column * (width + f64::from(margin + RIGHT)) + f64::from(margin);
        let top = row * (height + f64::from(TOP + BOTTOM)) + f64::from(TOP + head(chart));
        panel::draw(canvas, panel, [left, top, left + width, top + height], f64::from(margin))?;
    }
    if has_side(chart) {
        let (whole, _) = size(chart);
        side(canvas, chart, f64::from(whole - LEGEND) + 8.0, f64::from(head(chart) + TOP))?;
    }
    Ok(())
}

/// The legend, or else the colour bar.
fn side<DB: DrawingBackend>(
    canvas: &Canvas<'_, DB>,
    chart: &Chart,
    left: f64,
    top: f64,
) -> Result<()> {
    let start = (HPos::Left, VPos::Center);
    if chart.groups.len() > 1 {
        canvas.text(&chart.legend, (left, top), 12.0, grey(), start, false)?;
        for (index, group) in chart.groups.iter().take(20).enumerate() {
            let y = top + 18.0 * (crate::smooth::float(index) + 1.0);
            let square = [left, y - 5.0, left + 10.0, y + 5.0];
            canvas.rectangle(square, colour(index).filled())?;
            let name: String = group.chars().take(15).collect();
            canvas.text(&name, (left + 16.0, y), 12.0, grey(), start, false)?;
        }
        return Ok(());
    }
    let Some((values, title, diverging)) = cells(chart) else { return Ok(()) };
    let (low, high) =
        if diverging { (-1.0, 1.0) } else { extent(values.iter().copied()).unwrap_or((0.0, 1.0)) };
    canvas.text(title, (left, top), 12.0, grey(), start, false)?;
    for step in 0..50 {
        let part = f64::from(step) / 49.0;
        let y = top + 16.0 + 2.0 * f64::from(step);
        let shade = scale_colour(1.0 - part, diverging);
        canvas.rectangle([left, y, left + 12.0, y + 2.0], shade.filled())?;
    }
    // Three digits are enough beside a bar.
    let step = 10.0_f64.powf((high - low).max(1e-12).log10().floor() - 2.0).min(1.0);
    let whole = |value: f64| (value / step).round() * step;
    canvas.text(
        &number(whole(high), step),
        (left + 18.0, top + 18.0),
        11.0,
        grey(),
        start,
        false,
    )?;
    canvas.text(&number(whole(low), step), (left + 18.0, top + 114.0), 11.0, grey(), start, false)
}

/// Colour of a group.
pub(super) fn colour(group: usize) -> RGBColor {
    let (red, green, blue) = palette::rgb(palette::colour(group));
    RGBColor(red, green, blue)
}

/// Colour of a place from 0 to 1 of a scale.
pub(super) fn scale_colour(place: f64, diverging: bool) -> RGBColor {
    let stops: &[&str] = if diverging { &palette::DIVERGING } else { &palette::SEQUENTIAL };
    let (red, green, blue) = palette::between(stops, place);
    RGBColor(red, green, blue)
}

/// Colour of text and lines, a little darker than in the notebook since the page is white.
pub(super) fn grey() -> RGBColor {
    RGBColor(80, 80, 80)
}

impl<DB: DrawingBackend> Canvas<'_, DB> {
    /// A place in pixels of the area.
    #[expect(clippy::cast_possible_truncation, reason = "pixels of a picture")]
    pub(super) fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        let limit = |value: f64| (value * self.scale).round().clamp(-1e6, 1e6) as i32;
        (limit(x), limit(y))
    }

    /// A width in pixels of the area, at least one.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small and positive"
    )]
    pub(super) fn width(&self, width: f64) -> u32 {
        (width * self.scale).round().max(1.0) as u32
    }

    pub(super) fn text(
        &self,
        text: &str,
        at: (f64, f64),
        size: f64,
        colour: RGBColor,
        (horizontal, vertical): (HPos, VPos),
        turned: bool,
    ) -> Result<()> {
        let font = FontDesc::new(FontFamily::SansSerif, size * self.scale, FontStyle::Normal);
        let font = if turned { font.transform(FontTransform::Rotate270) } else { font };
        let style = TextStyle::from(font).color(&colour).pos(Pos::new(horizontal, vertical));
        self.area.draw_text(text, &style, self.at(at)).map_err(failed)
    }

    pub(super) fn line(&self, points: &[(f64, f64)], colour: RGBAColor, width: f64) -> Result<()> {
        let points: Vec<(i32, i32)> = points.iter().map(|point| self.at(*point)).collect();
        let style = ShapeStyle { color: colour, filled: false, stroke_width: self.width(width) };
        self.area.draw(&PathElement::new(points, style)).map_err(failed)
    }

    pub(super) fn polygon(&self, points: &[(f64, f64)], colour: RGBAColor) -> Result<()> {
        let points: Vec<(i32, i32)> = points.iter().map(|point| self.at(*point)).collect();
        self.area.draw(&Polygon::new(points, colour.filled())).map_err(failed)
    }

    pub(super) fn rectangle(&self, corners: [f64; 4], style: ShapeStyle) -> Result<()> {
        let [x0, y0, x1, y1] = corners;
        let corners = [self.at((x0.min(x1), y0.min(y1))), self.at((x0.max(x1), y0.max(y1)))];
        self.area.draw(&Rectangle::new(corners, style)).map_err(failed)
    }

    pub(super) fn dot(&self, at: (f64, f64), radius: f64, colour: RGBAColor) -> Result<()> {
        #[expect(clippy::cast_possible_wrap, reason = "a radius of a few pixels")]
        let radius = self.width(radius) as i32;
        self.area.draw(&Circle::new(self.at(at), radius, colour.filled())).map_err(failed)
    }
}

/// The bundled font under the name that [`FontFamily::SansSerif`] asks for.
fn register_fonts() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // The font is part of the program; should it ever not parse, drawing reports a missing font.
        let _ = plotters::style::register_font(
            "sans-serif",
            FontStyle::Normal,
            dejavu::sans::regular(),
        );
    });
}
