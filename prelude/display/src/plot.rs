//! Drawings of plotters: [`figure`] draws PNG and SVG in one go, `evcxr_figure` keeps working.
//!
//! plotters is built without system fonts; [`register_fonts`] gives it bundled fonts under
//! the names that drawing code usually asks for.

use std::error::Error;
use std::path::Path;
use std::sync::Once;

use image::{DynamicImage, RgbImage};
use oxilab_runtime::MimeBundle;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::evcxr::SVGWrapper;
use plotters::style::{FontStyle, register_font};
use serde_json::json;

use crate::canvas::Canvas;
use crate::error::DisplayError;
use crate::image::png;
use crate::render::Render;

/// Names of sans-serif fonts that plotters programs ask for.
const SANS: [&str; 10] = [
    "sans-serif",
    "sans",
    "sans serif",
    "Sans",
    "Arial",
    "Helvetica",
    "Calibri",
    "Verdana",
    "DejaVu Sans",
    "Roboto",
];
const SERIF: [&str; 5] = ["serif", "Serif", "Times New Roman", "Times", "DejaVu Serif"];
const MONO: [&str; 6] =
    ["monospace", "mono", "Courier New", "Courier", "Consolas", "DejaVu Sans Mono"];

/// A finished drawing: shows as SVG and PNG.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a figure shows itself at the end of a cell or with `display(&figure)`"]
pub struct Figure {
    size: (u32, u32),
    svg: String,
    png: Vec<u8>,
}

/// Draws with plotters on a canvas of `(width, height)` pixels.
///
/// ```
/// use oxilab_display::figure;
/// use plotters::prelude::*;
///
/// let drawing = figure((320, 240), |root| {
///     root.fill(&WHITE)?;
///     let mut chart = ChartBuilder::on(&root)
///         .caption("y = x²", ("sans-serif", 20))
///         .x_label_area_size(30)
///         .y_label_area_size(30)
///         .build_cartesian_2d(0f64..1.0, 0f64..1.0)?;
///     chart.configure_mesh().draw()?;
///     chart.draw_series(LineSeries::new((0..=10).map(|i| f64::from(i) / 10.0).map(|x| (x, x * x)), &RED))?;
///     Ok(())
/// })?;
/// assert!(drawing.svg().contains("y = x²"));
/// assert_eq!(&drawing.png()[1..4], b"PNG");
/// # Ok::<(), oxilab_display::DisplayError>(())
/// ```
///
/// # Errors
/// When the drawing code returns an error or the picture cannot be encoded.
pub fn figure<D>(size: (u32, u32), draw: D) -> Result<Figure, DisplayError>
where
    D: FnOnce(DrawingArea<Canvas<'_>, Shift>) -> Result<(), Box<dyn Error>>,
{
    register_fonts();
    let (width, height) = size;
    let mut pixels = vec![255; width as usize * height as usize * 3];
    let mut svg = String::new();
    draw(Canvas::new(&mut pixels, &mut svg, size).into_drawing_area())
        .map_err(|error| DisplayError::Drawing { message: error.to_string() })?;
    let bitmap = RgbImage::from_raw(width, height, pixels)
        .ok_or_else(|| DisplayError::Drawing { message: format!("no size: {width}×{height}") })?;
    Ok(Figure { size, svg, png: png(&DynamicImage::ImageRgb8(bitmap))? })
}

impl Figure {
    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// The drawing as SVG.
    #[must_use]
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// The drawing as the bytes of a PNG file.
    #[must_use]
    pub fn png(&self) -> &[u8] {
        &self.png
    }

    /// Saves the drawing; the ending `.png` or `.svg` chooses the format.
    ///
    /// # Errors
    /// When the ending is another one or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), DisplayError> {
        let path = path.as_ref();
        let content = match path.extension().and_then(|ending| ending.to_str()) {
            Some("png") => self.png.as_slice(),
            Some("svg") => self.svg.as_bytes(),
            _ => return Err(DisplayError::UnknownEnding { path: path.to_owned() }),
        };
        let aside = path.with_extension("part");
        std::fs::write(&aside, content)
            .and_then(|()| std::fs::rename(&aside, path))
            .map_err(|source| DisplayError::Write { path: path.to_owned(), source })
    }
}

impl Render for Figure {
    fn render(&self) -> MimeBundle {
        let (width, height) = self.size;
        MimeBundle::text(format!("Figure {width}×{height}"))
            .with_svg(self.svg.clone())
            .with_png(&self.png)
            .with_metadata("image/png", json!({ "width": width, "height": height }))
    }
}

/// What `evcxr_figure` returns. Its SVG can be had only through its `Debug` text.
impl Render for SVGWrapper {
    fn render(&self) -> MimeBundle {
        let shown = format!("{self:?}");
        let html = shown.split_once('\n').map_or(shown.as_str(), |(_, content)| content);
        let html = html.trim_end_matches("EVCXR_END_CONTENT").trim_end();
        let text = MimeBundle::text("plotters drawing").with_html(html);
        match (html.find("<svg"), html.rfind("</svg>")) {
            (Some(start), Some(end)) => text.with_svg(&html[start..end + "</svg>".len()]),
            _ => text,
        }
    }
}

/// Registers the bundled fonts with plotters; once, further calls cost nothing.
pub fn register_fonts() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        register(&SANS, [dejavu::sans::regular(), dejavu::sans::bold(), dejavu::sans::oblique()]);
        register(
            &SERIF,
            [dejavu::serif::regular(), dejavu::serif::bold(), dejavu::serif::italic()],
        );
        register(
            &MONO,
            [dejavu::sans_mono::regular(), dejavu::sans_mono::bold(), dejavu::sans_mono::oblique()],
        );
    });
}

fn register(names: &[&str], [regular, bold, slanted]: [&'static [u8]; 3]) {
    for name in names {
        for (style, font) in [
            (FontStyle::Normal, regular),
            (FontStyle::Bold, bold),
            (FontStyle::Oblique, slanted),
            (FontStyle::Italic, slanted),
        ] {
            // The fonts are part of the program and parse; a name without a font would only make
            // plotters return its own error.
            let _ = register_font(name, style, font);
        }
    }
}

#[cfg(test)]
mod tests {
    use plotters::prelude::*;

    use super::*;

    #[test]
    fn text_is_drawn_into_the_png_and_written_into_the_svg() {
        let drawing = figure((200, 50), |root| {
            root.fill(&WHITE)?;
            root.draw_text("Héllo", &("sans-serif", 30).into_text_style(&root), (5, 5))?;
            root.present()?;
            root.draw(&Rectangle::new([(190, 0), (199, 9)], RED.filled()))?;
            Ok(())
        })
        .expect("draws");
        let picture = ::image::load_from_memory(drawing.png()).expect("decodes").to_rgb8();
        assert_eq!(picture.dimensions(), (200, 50));
        let dark = picture.pixels().filter(|pixel| pixel.0.iter().all(|level| *level < 100));
        assert!(dark.count() > 50, "no text in the bitmap");
        assert_eq!(picture.get_pixel(195, 5).0, [255, 0, 0]);
        assert!(drawing.svg().contains("Héllo") && drawing.svg().trim_end().ends_with("</svg>"));
        let bundle = drawing.render();
        assert!(bundle.data.contains_key("image/png") && bundle.data.contains_key("image/svg+xml"));
    }

    #[test]
    fn bold_italic_and_usual_font_names_are_there() {
        register_fonts();
        for name in ["Arial", "serif", "monospace"] {
            for style in [FontStyle::Normal, FontStyle::Bold, FontStyle::Italic] {
                let font = FontDesc::new(FontFamily::Name(name), 12.0, style);
                assert!(font.layout_box("x").is_ok(), "{name} {}", style.as_str());
            }
        }
    }

    #[test]
    fn errors_of_the_drawing_code_come_back() {
        let error = figure((10, 10), |_| Err("no data".into())).expect_err("fails");
        assert_eq!(error.to_string(), "drawing the figure failed: no data");
    }

    #[test]
    fn an_evcxr_figure_shows_as_html_and_svg() {
        register_fonts();
        let bundle =
            evcxr_figure((40, 30), |root| Ok(root.fill(&BLUE)?)).style("width:50%").render();
        let html = bundle.data["text/html"].as_str().expect("html");
        assert!(html.starts_with("<div style=\"width:50%\"><svg"), "{html}");
        assert!(html.ends_with("</div>"), "{html}");
        assert!(bundle.data["image/svg+xml"].as_str().expect("svg").ends_with("</svg>"));
    }

    #[test]
    fn a_figure_saves_by_ending() {
        let folder = std::env::temp_dir().join(format!("oxilab-figure-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("folder");
        let drawing = figure((10, 10), |root| Ok(root.fill(&GREEN)?)).expect("draws");
        drawing.save(folder.join("f.svg")).expect("saves");
        drawing.save(folder.join("f.png")).expect("saves");
        assert_eq!(std::fs::read(folder.join("f.png")).expect("file"), drawing.png());
        assert!(
            drawing.save(folder.join("f.bmp")).expect_err("refused").to_string().contains(".png")
        );
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
