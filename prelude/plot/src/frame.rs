//! `df.plot()`: options, and columns as places on axes.

use polars::prelude::*;

use crate::chart::{Axis, Chart, Kind, Panel};
use crate::error::{PlotError, Result};
use crate::smooth::float;

/// Classes beyond this many do not fit on an axis.
const CLASSES: usize = 200;
/// Groups beyond this many share the colour "other".
const GROUPS: usize = 20;

/// `df.plot()`.
pub trait PlotExt {
    /// Starts a plot of the frame: options, then a verb.
    fn plot(&self) -> Plot<'_>;
}

impl PlotExt for DataFrame {
    fn plot(&self) -> Plot<'_> {
        Plot {
            df: self,
            color: None,
            facet: None,
            columns: 3,
            title: None,
            x_title: None,
            y_title: None,
            log: (false, false),
            bins: None,
            size: None,
            opacity: None,
        }
    }
}

/// A plot in the making: options first, then a verb that gives a [`Chart`].
#[derive(Clone, Debug)]
#[must_use = "a verb such as scatter draws the plot"]
pub struct Plot<'a> {
    pub(crate) df: &'a DataFrame,
    pub(crate) color: Option<String>,
    pub(crate) facet: Option<String>,
    columns: usize,
    title: Option<String>,
    x_title: Option<String>,
    y_title: Option<String>,
    log: (bool, bool),
    pub(crate) bins: Option<usize>,
    size: Option<(u32, u32)>,
    pub(crate) opacity: Option<f64>,
}

impl Plot<'_> {
    /// Colours by the classes of a column.
    pub fn color(mut self, column: impl Into<String>) -> Self {
        self.color = Some(column.into());
        self
    }

    /// One panel per class of a column.
    pub fn facet(mut self, column: impl Into<String>) -> Self {
        self.facet = Some(column.into());
        self
    }

    /// How many panels stand side by side; 3 unless said otherwise.
    pub fn columns(mut self, columns: usize) -> Self {
        self.columns = columns.max(1);
        self
    }

    /// The title above the chart.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// The title of the horizontal axis, instead of the column's name.
    pub fn x_title(mut self, title: impl Into<String>) -> Self {
        self.x_title = Some(title.into());
        self
    }

    /// The title of the vertical axis, instead of the column's name.
    pub fn y_title(mut self, title: impl Into<String>) -> Self {
        self.y_title = Some(title.into());
        self
    }

    /// A logarithmic horizontal axis; values up to 0 are left out.
    pub fn log_x(mut self) -> Self {
        self.log.0 = true;
        self
    }

    /// A logarithmic vertical axis; values up to 0 are left out.
    pub fn log_y(mut self) -> Self {
        self.log.1 = true;
        self
    }

    /// How many bins a histogram has, instead of a number that fits the values.
    pub fn bins(mut self, bins: usize) -> Self {
        self.bins = Some(bins.clamp(1, 1000));
        self
    }

    /// Width and height of a panel in pixels; 480 × 300 unless said otherwise.
    pub fn size(mut self, width: u32, height: u32) -> Self {
        self.size = Some((width, height));
        self
    }

    /// How opaque marks are, from 0 to 1.
    pub fn opacity(mut self, opacity: f64) -> Self {
        self.opacity = Some(opacity.clamp(0.02, 1.0));
        self
    }

    /// The column of this name.
    pub(crate) fn column(&self, name: &str) -> Result<&Column> {
        self.df.column(name).map_err(|_| PlotError::NoColumn {
            column: name.to_owned(),
            available: self
                .df
                .get_column_names()
                .iter()
                .map(|n| n.as_str())
                .take(60)
                .collect::<Vec<_>>()
                .join(", "),
        })
    }

    /// A column as places on an axis: numbers, times, or the numbers of classes in alphabetical order.
    pub(crate) fn places(&self, name: &str, plot: &str) -> Result<(Vec<f64>, Axis)> {
        let column = self.column(name)?;
        let dtype = column.dtype();
        if dtype.is_primitive_numeric() || matches!(dtype, DataType::Decimal(..)) {
            return Ok((numbers(column)?, Axis::number(name)));
        }
        if matches!(dtype, DataType::Date | DataType::Datetime(..)) {
            let times = column.cast(&DataType::Datetime(TimeUnit::Milliseconds, None))?;
            let times =
                times.as_materialized_series().to_physical_repr().into_owned().into_column();
            return Ok((numbers(&times)?, Axis::new(name, Kind::Time)));
        }
        let (codes, names) = self.classes(name)?;
        if names.len() > CLASSES {
            return Err(PlotError::Empty {
                plot: plot.to_owned(),
                problem: format!(
                    "column {name:?} has {} classes, more than fit on an axis; keep the most frequent",
                    names.len()
                ),
            });
        }
        let codes = codes.into_iter().map(|code| code.map_or(f64::NAN, float)).collect();
        Ok((codes, Axis::new(name, Kind::Classes(names, false))))
    }

    /// A column of numbers.
    pub(crate) fn numeric(&self, name: &str, plot: &str) -> Result<Vec<f64>> {
        let column = self.column(name)?;
        let dtype = column.dtype();
        if !(dtype.is_primitive_numeric()
            || dtype.is_bool()
            || matches!(dtype, DataType::Decimal(..)))
        {
            return Err(PlotError::WrongType {
                column: name.to_owned(),
                found: dtype.to_string(),
                plot: plot.to_owned(),
                expected: "numbers".to_owned(),
            });
        }
        numbers(column)
    }

    /// The class of each row as its number, and the names of classes in order; null has none.
    pub(crate) fn classes(&self, name: &str) -> Result<(Vec<Option<usize>>, Vec<String>)> {
        let column = self.column(name)?;
        let texts = column.cast(&DataType::String)?;
        let texts = texts.str()?;
        let mut names: Vec<&str> =
            texts.iter().flatten().collect::<PlHashSet<_>>().into_iter().collect();
        if column.dtype().is_primitive_numeric() {
            let value = |name: &&str| name.parse::<f64>().unwrap_or(f64::NAN);
            names.sort_by(|a, b| value(a).total_cmp(&value(b)));
        } else {
            names.sort_unstable();
        }
        let place: PlHashMap<&str, usize> =
            names.iter().enumerate().map(|(index, name)| (*name, index)).collect();
        let codes =
            texts.iter().map(|text| text.and_then(|text| place.get(text).copied())).collect();
        Ok((codes, names.into_iter().map(str::to_owned).collect()))
    }

    /// The colour group of each row and the names of groups; one nameless group without `color`.
    pub(crate) fn groups(&self) -> Result<(Vec<usize>, Vec<String>)> {
        let Some(column) = &self.color else { return Ok((vec![0; self.df.height()], vec![])) };
        let (codes, mut names) = self.classes(column)?;
        if codes.iter().any(Option::is_none) {
            names.push("missing".to_owned());
        }
        let last = names.len().saturating_sub(1);
        let mut groups: Vec<usize> = codes.into_iter().map(|code| code.unwrap_or(last)).collect();
        if names.len() > GROUPS {
            names.truncate(GROUPS - 1);
            names.push("other".to_owned());
            for group in &mut groups {
                *group = (*group).min(GROUPS - 1);
            }
        }
        Ok((groups, names))
    }

    /// The rows of each panel with its title.
    pub(crate) fn facets(&self) -> Result<Vec<(String, Vec<usize>)>> {
        let Some(column) = &self.facet else {
            return Ok(vec![(String::new(), (0..self.df.height()).collect())]);
        };
        let (codes, names) = self.classes(column)?;
        if names.len() > 60 {
            return Err(PlotError::Empty {
                plot: "facet".to_owned(),
                problem: format!(
                    "column {column:?} has {} classes, more than 60 panels",
                    names.len()
                ),
            });
        }
        let mut facets: Vec<(String, Vec<usize>)> =
            names.into_iter().map(|name| (format!("{column}: {name}"), vec![])).collect();
        for (row, code) in codes.into_iter().enumerate() {
            if let Some(code) = code {
                facets[code].1.push(row);
            }
        }
        Ok(facets)
    }

    /// Builds a panel per facet and puts titles and legend; panels share their ranges.
    pub(crate) fn panels(
        &self,
        plot: &str,
        mut build: impl FnMut(&[usize], &mut String) -> Result<Panel>,
    ) -> Result<Chart> {
        if self.df.height() == 0 {
            return Err(PlotError::Empty {
                plot: plot.to_owned(),
                problem: "the frame has no rows".to_owned(),
            });
        }
        let mut note = String::new();
        let mut panels = Vec::new();
        for (title, rows) in self.facets()? {
            let mut panel = build(&rows, &mut note)?;
            panel.title = title;
            panels.push(panel);
        }
        if panels.iter().all(|panel| panel.layers.is_empty()) {
            return Err(PlotError::Empty {
                plot: plot.to_owned(),
                problem: "there are no values to draw".to_owned(),
            });
        }
        for panel in &mut panels {
            for (axis, log) in [(&mut panel.x, self.log.0), (&mut panel.y, self.log.1)] {
                if log && axis.kind == Kind::Number {
                    axis.kind = Kind::Log;
                    axis.zero = false;
                }
            }
        }
        if panels.len() > 1 {
            for horizontal in [true, false] {
                let ranges = panels.iter().map(|panel| panel.range(horizontal));
                let shared = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
                for panel in &mut panels {
                    if horizontal { panel.x.range = shared } else { panel.y.range = shared }
                }
            }
        }
        Ok(self.finish(panels, note, self.groups()?.1))
    }

    /// A chart of these panels with the options applied.
    pub(crate) fn finish(&self, panels: Vec<Panel>, note: String, groups: Vec<String>) -> Chart {
        let many = panels.len() > 1;
        let mut chart = Chart {
            title: self.title.clone().unwrap_or_default(),
            note,
            columns: if many { self.columns.min(panels.len()) } else { 1 },
            size: self.size.unwrap_or(if many { (240, 180) } else { (480, 300) }),
            panels,
            groups,
            legend: self.color.clone().unwrap_or_default(),
        };
        if let Some(title) = &self.x_title {
            chart = chart.with_x_title(title);
        }
        if let Some(title) = &self.y_title {
            chart = chart.with_y_title(title);
        }
        chart
    }
}

/// Numbers with NaN for null.
fn numbers(column: &Column) -> Result<Vec<f64>> {
    let floats = column.cast(&DataType::Float64)?;
    Ok(floats.f64()?.iter().map(|value| value.unwrap_or(f64::NAN)).collect())
}

/// The values of some rows.
pub(crate) fn pick<T: Copy>(values: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|row| values[*row]).collect()
}
