//! A drawing backend of plotters that draws into a bitmap and an SVG at the same time, so that the
//! user's drawing code runs once.

use std::fmt;

use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind,
};

/// Both drawings; [`figure`](crate::figure) hands it to the drawing code as its root area.
pub struct Canvas<'a> {
    bitmap: BitMapBackend<'a>,
    vector: SVGBackend<'a>,
}

impl<'a> Canvas<'a> {
    /// A canvas on `pixels` (RGB, `3 × width × height` bytes) and `svg` (empty).
    pub(crate) fn new(pixels: &'a mut [u8], svg: &'a mut String, size: (u32, u32)) -> Self {
        Self {
            bitmap: BitMapBackend::with_buffer(pixels, size),
            vector: SVGBackend::with_string(svg, size),
        }
    }
}

/// Why drawing on a [`Canvas`] failed: the message of the bitmap or the SVG backend.
#[derive(Debug)]
pub struct CanvasError(String);

impl fmt::Display for CanvasError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for CanvasError {}

type Drawn = Result<(), DrawingErrorKind<CanvasError>>;

fn own<E: std::error::Error + Send + Sync>(
    error: DrawingErrorKind<E>,
) -> DrawingErrorKind<CanvasError> {
    match error {
        DrawingErrorKind::DrawingError(error) => {
            DrawingErrorKind::DrawingError(CanvasError(error.to_string()))
        }
        DrawingErrorKind::FontError(error) => DrawingErrorKind::FontError(error),
    }
}

impl DrawingBackend for Canvas<'_> {
    type ErrorType = CanvasError;

    fn get_size(&self) -> (u32, u32) {
        self.bitmap.get_size()
    }

    fn ensure_prepared(&mut self) -> Drawn {
        self.bitmap.ensure_prepared().map_err(own)?;
        self.vector.ensure_prepared().map_err(own)
    }

    /// Nothing to do: both drawings are finished when the canvas is dropped, so that drawing may go
    /// on after `present()`, as it may on a bitmap.
    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        self.bitmap.draw_pixel(point, color).map_err(own)?;
        self.vector.draw_pixel(point, color).map_err(own)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        self.bitmap.draw_line(from, to, style).map_err(own)?;
        self.vector.draw_line(from, to, style).map_err(own)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        self.bitmap.draw_rect(upper_left, bottom_right, style, fill).map_err(own)?;
        self.vector.draw_rect(upper_left, bottom_right, style, fill).map_err(own)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let path: Vec<_> = path.into_iter().collect();
        self.bitmap.draw_path(path.iter().copied(), style).map_err(own)?;
        self.vector.draw_path(path, style).map_err(own)
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        self.bitmap.draw_circle(center, radius, style, fill).map_err(own)?;
        self.vector.draw_circle(center, radius, style, fill).map_err(own)
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vert: I,
        style: &S,
    ) -> Drawn {
        let vert: Vec<_> = vert.into_iter().collect();
        self.bitmap.fill_polygon(vert.iter().copied(), style).map_err(own)?;
        self.vector.fill_polygon(vert, style).map_err(own)
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        pos: BackendCoord,
    ) -> Drawn {
        self.bitmap.draw_text(text, style, pos).map_err(own)?;
        self.vector.draw_text(text, style, pos).map_err(own)
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<CanvasError>> {
        self.bitmap.estimate_text_size(text, style).map_err(own)
    }

    fn blit_bitmap(&mut self, pos: BackendCoord, size: (u32, u32), source: &[u8]) -> Drawn {
        self.bitmap.blit_bitmap(pos, size, source).map_err(own)?;
        self.vector.blit_bitmap(pos, size, source).map_err(own)
    }
}
