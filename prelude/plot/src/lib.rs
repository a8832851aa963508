//! Plots: `df.plot()` draws a frame as Vega-Lite for the notebook with a PNG beside it.
//!
//! ```
//! use oxilab_plot::PlotExt;
//! use polars::prelude::*;
//!
//! let df = df!("x" => [1.0, 2.0, 3.0], "y" => [2.0, 4.0, 8.0], "kind" => ["a", "b", "a"])?;
//! let chart = df.plot().color("kind").title("Growth").scatter("x", "y")?;
//! assert!(chart.to_json()["layer"].is_array());
//! assert!(chart.to_png()?.starts_with(b"\x89PNG"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | to show | verbs of [`Plot`] |
//! |---|---|
//! | values over something | [`line`](Plot::line), [`lines`](Plot::lines), [`area`](Plot::area), [`band`](Plot::band), [`scatter`](Plot::scatter) |
//! | amounts | [`bar`](Plot::bar), [`count`](Plot::count) |
//! | distributions | [`histogram`](Plot::histogram), [`density`](Plot::density), [`boxplot`](Plot::boxplot), [`violin`](Plot::violin) |
//! | pairs of columns | [`heatmap`](Plot::heatmap), [`correlation`](Plot::correlation), [`pair`](Plot::pair) |
//! | models | [`roc`](Plot::roc), [`pr`](Plot::pr), [`calibration`](Plot::calibration), [`confusion`](Plot::confusion), [`residuals`](Plot::residuals), [`learning_curve`](Plot::learning_curve); the same on slices in [`evaluate`]; parts of models and searches in [`model`] |
//!
//! Options come first (`color`, `facet`, `title`, …), the verb last. Colours are those of Okabe and
//! Ito, which colour-blind people can tell apart; the background is transparent and all text grey, so
//! that charts read in light and dark themes. More than 50,000 points are binned or thinned out, and
//! the chart says so.

mod amount;
mod basic;
mod chart;
mod distribution;
mod draw;
mod error;
pub mod evaluate;
mod frame;
mod matrix;
pub mod model;
mod palette;
mod smooth;
mod ticks;
mod vega;

pub use chart::Chart;
pub use error::{PlotError, Result};
pub use frame::{Plot, PlotExt};
pub use palette::{OKABE_ITO, colour};
