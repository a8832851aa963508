//! What is drawn: panels of layers in numbers, before it becomes Vega-Lite or pixels.

use std::fmt::Write as _;
use std::path::Path;

use oxilab_display::{MimeBundle, Render};
use serde_json::Value;

use crate::error::{PlotError, Result};
use crate::smooth::{extent, float};
use crate::{draw, vega};

/// Points or marks beyond which a plot is binned or thinned out.
pub(crate) const LIMIT: usize = 50_000;

/// A drawn plot. As the last expression of a cell it shows itself; [`save`](Self::save) writes it.
#[derive(Clone, Debug)]
pub struct Chart {
    pub(crate) title: String,
    /// What was left out or gathered.
    pub(crate) note: String,
    pub(crate) panels: Vec<Panel>,
    /// Panels side by side.
    pub(crate) columns: usize,
    /// Names of the groups that colours stand for.
    pub(crate) groups: Vec<String>,
    pub(crate) legend: String,
    /// Width and height of a panel in pixels.
    pub(crate) size: (u32, u32),
}

/// One pair of axes.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) layers: Vec<Layer>,
}

/// One axis.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub(crate) title: String,
    pub(crate) kind: Kind,
    /// From low to high; from the data if not set.
    pub(crate) range: Option<(f64, f64)>,
    /// Whether 0 belongs to the range.
    pub(crate) zero: bool,
}

/// What the numbers of an axis stand for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Number,
    Log,
    /// Milliseconds since 1970 in UTC.
    Time,
    /// Places from 0 of named classes; `true` from top to bottom.
    Classes(Vec<String>, bool),
}

/// Marks of one kind.
#[derive(Clone, Debug)]
pub(crate) enum Layer {
    Points {
        x: Vec<f64>,
        y: Vec<f64>,
        group: Vec<usize>,
        opacity: f64,
    },
    Line {
        x: Vec<f64>,
        y: Vec<f64>,
        group: usize,
        dashed: bool,
    },
    /// Between `low` and `high`: of y over x, or of x over y.
    Area {
        along: Vec<f64>,
        low: Vec<f64>,
        high: Vec<f64>,
        group: usize,
        opacity: f64,
        upright: bool,
    },
    Bars {
        boxes: Vec<Box4>,
        group: Vec<usize>,
        opacity: f64,
    },
    /// Coloured by value on a scale.
    Cells {
        boxes: Vec<Box4>,
        values: Vec<f64>,
        title: String,
        diverging: bool,
    },
    /// Straight pieces in grey.
    Segments {
        ends: Vec<Box4>,
    },
    /// `bright` text is for dark ground.
    Text {
        x: Vec<f64>,
        y: Vec<f64>,
        text: Vec<String>,
        bright: Vec<bool>,
    },
}

/// `x0, y0, x1, y1`.
pub(crate) type Box4 = [f64; 4];

impl Axis {
    pub(crate) fn new(title: impl Into<String>, kind: Kind) -> Self {
        Self { title: title.into(), kind, range: None, zero: false }
    }

    pub(crate) fn number(title: impl Into<String>) -> Self {
        Self::new(title, Kind::Number)
    }

    pub(crate) fn with_zero(mut self) -> Self {
        self.zero = true;
        self
    }

    pub(crate) fn with_range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }
}

impl Layer {
    /// All places on the axis.
    fn places(&self, horizontal: bool) -> Vec<f64> {
        let corners = |boxes: &[Box4]| -> Vec<f64> {
            let (a, b) = if horizontal { (0, 2) } else { (1, 3) };
            boxes.iter().flat_map(|corner| [corner[a], corner[b]]).collect()
        };
        match self {
            Self::Points { x, y, .. } | Self::Line { x, y, .. } | Self::Text { x, y, .. } => {
                if horizontal {
                    x.clone()
                } else {
                    y.clone()
                }
            }
            Self::Area { along, low, high, upright, .. } => {
                if horizontal == *upright {
                    along.clone()
                } else {
                    [low.as_slice(), high].concat()
                }
            }
            Self::Bars { boxes, .. }
            | Self::Cells { boxes, .. }
            | Self::Segments { ends: boxes } => corners(boxes),
        }
    }

    /// Whether marks reach to the very edge and no margin is wanted.
    fn flush(&self) -> bool {
        matches!(self, Self::Bars { .. } | Self::Cells { .. })
    }
}

impl Panel {
    /// The range of an axis.
    #[expect(clippy::float_cmp, reason = "only an empty range is widened")]
    pub(crate) fn range(&self, horizontal: bool) -> (f64, f64) {
        let axis = if horizontal { &self.x } else { &self.y };
        if let Some(range) = axis.range {
            return range;
        }
        if let Kind::Classes(names, _) = &axis.kind {
            return (-0.5, float(names.len()) - 0.5);
        }
        let places = self.layers.iter().flat_map(|layer| layer.places(horizontal));
        let log = axis.kind == Kind::Log;
        let (mut low, mut high) =
            extent(places.filter(|place| !log || *place > 0.0)).unwrap_or((0.0, 1.0));
        if log {
            return if low == high { (low / 2.0, high * 2.0) } else { (low / 1.1, high * 1.1) };
        }
        if axis.zero {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if low == high {
            (low, high) = (low - 0.5, high + 0.5);
        }
        let margin = (high - low) * 0.04;
        let flush = horizontal && self.layers.iter().all(Layer::flush);
        let pad =
            |end: f64, by: f64| if flush || (axis.zero && end == 0.0) { end } else { end + by };
        (pad(low, -margin), pad(high, margin))
    }
}

impl Chart {
    pub(crate) fn new(panel: Panel) -> Self {
        Self {
            title: String::new(),
            note: String::new(),
            panels: vec![panel],
            columns: 1,
            groups: vec![],
            legend: String::new(),
            size: (480, 300),
        }
    }

    /// Sets the title above the chart.
    #[must_use]
    pub fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Sets the title of the horizontal axis.
    #[must_use]
    pub fn with_x_title(mut self, title: &str) -> Self {
        self.panels.iter_mut().for_each(|panel| title.clone_into(&mut panel.x.title));
        self
    }

    /// Sets the title of the vertical axis.
    #[must_use]
    pub fn with_y_title(mut self, title: &str) -> Self {
        self.panels.iter_mut().for_each(|panel| title.clone_into(&mut panel.y.title));
        self
    }

    /// Sets width and height of a panel in pixels.
    #[must_use]
    pub fn with_size(mut self, width: u32, height: u32) -> Self {
        self.size = (width.clamp(40, 4000), height.clamp(40, 4000));
        self
    }

    /// What was left out or gathered because there was too much of it; empty if nothing.
    #[must_use]
    pub fn note(&self) -> &str {
        &self.note
    }

    /// The chart as Vega-Lite (version 5).
    #[must_use]
    pub fn to_json(&self) -> Value {
        vega::spec(self)
    }

    /// The chart as a PNG file of twice its size in pixels, on white.
    ///
    /// # Errors
    /// When it is too large to draw.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        draw::png(self)
    }

    /// The chart as an SVG file.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub fn to_svg(&self) -> Result<String> {
        draw::svg(self)
    }

    /// Writes the chart by extension: `png`, `svg` or `json` (Vega-Lite). The file is written aside
    /// and renamed.
    ///
    /// # Errors
    /// For another extension, or a folder that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let name = path.to_string_lossy().into_owned();
        let bytes = match path.extension().and_then(|e| e.to_str()) {
            Some("png") => self.to_png()?,
            Some("svg") => self.to_svg()?.into_bytes(),
            Some("json") => format!("{:#}\n", self.to_json()).into_bytes(),
            _ => return Err(PlotError::Extension { path: name }),
        };
        let aside = path.with_extension(format!("{}.part", std::process::id()));
        std::fs::write(&aside, bytes)
            .and_then(|()| std::fs::rename(&aside, path))
            .map_err(|source| PlotError::Io { path: name, source })
    }

    /// The chart in words.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = if self.title.is_empty() { "chart".to_owned() } else { self.title.clone() };
        if let Some(panel) = self.panels.first() {
            let (x, y) = (&panel.x.title, &panel.y.title);
            if !(x.is_empty() && y.is_empty()) {
                let _ = write!(text, ": {y} against {x}");
            }
            if let Some(Layer::Cells { title, .. }) = panel.layers.first() {
                let _ = write!(text, ", colour {title}");
            }
        }
        if self.panels.len() > 1 {
            let _ = write!(text, ", {} panels", self.panels.len());
        }
        if self.groups.len() > 1 {
            let _ = write!(text, "; {}: {}", self.legend, self.groups.join(", "));
        }
        if !self.note.is_empty() {
            let _ = write!(text, "; {}", self.note);
        }
        text
    }
}

impl Render for Chart {
    fn render(&self) -> MimeBundle {
        let bundle = MimeBundle::text(self.describe())
            .with("application/vnd.vegalite.v5+json", self.to_json());
        match self.to_png() {
            Ok(png) => {
                let (width, height) = draw::size(self);
                let metadata = serde_json::json!({ "width": width, "height": height });
                bundle.with_png(&png).with_metadata("image/png", metadata)
            }
            Err(_) => bundle,
        }
    }
}
