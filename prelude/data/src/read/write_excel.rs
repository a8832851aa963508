//! Frames to a spreadsheet's first sheet, through `rust_xlsxwriter`.
//!
//! A cell of a spreadsheet holds a float, a truth value or text; dates are floats with a format. What
//! would not come back as it was (infinite values, whole numbers beyond 2^53, dates before 1900, lists)
//! is an error that names column and row instead of another value in the file.

use std::fs::File;

use polars::prelude::*;
use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};

use crate::columns;
use crate::error::{DataError, Result, While};

/// Rows and columns of a sheet.
const MOST_ROWS: usize = 1_048_576;
const MOST_COLUMNS: usize = 16_384;
/// The largest whole number below which a float holds all.
const MOST_WHOLE: f64 = 9_007_199_254_740_991.0;
/// Spreadsheets count days from 1899-12-30; polars from 1970-01-01.
const EPOCH: f64 = 25_569.0;
/// 1900-03-01 and 10000-01-01. Spreadsheets know a 29 February 1900, so days before it are one less.
const AFTER_NO_DAY: f64 = 61.0;
const AFTER_LAST_DAY: f64 = 2_958_466.0;

/// Writes the names as a first row and the frame below it.
pub(super) fn write(df: &DataFrame, file: &mut File, doing: &str) -> Result<()> {
    if df.height() >= MOST_ROWS || df.width() > MOST_COLUMNS {
        return Err(DataError::invalid(
            doing,
            format!(
                "{} rows and {} columns; a sheet holds {} rows below the names and {MOST_COLUMNS} \
                 columns: write slices of the frame, or parquet or csv",
                df.height(),
                df.width(),
                MOST_ROWS - 1
            ),
        ));
    }
    let mut book = Workbook::new();
    let sheet = book.add_worksheet();
    let bold = Format::new().set_bold();
    for (place, column) in (0_u16..).zip(df.columns()) {
        oxilab_runtime::cancel::poll();
        let mut cells = Cells { sheet: &mut *sheet, place, column, doing };
        let name = column.name().as_str();
        let named = cells.sheet.write_string_with_format(0, place, name, &bold).map(|_| ());
        if let Err(error) = named {
            return Err(cells.refused("its name", &error));
        }
        cells.write()?;
    }
    sheet.set_freeze_panes(1, 0).map_err(|e| DataError::invalid(doing, e.to_string()))?;
    book.save_to_writer(file).map_err(|e| DataError::invalid(doing, e.to_string()))
}

/// A column on its way to the sheet.
struct Cells<'a> {
    sheet: &'a mut Worksheet,
    place: u16,
    column: &'a Column,
    doing: &'a str,
}

impl Cells<'_> {
    fn write(&mut self) -> Result<()> {
        match self.column.dtype() {
            DataType::Null => Ok(()),
            DataType::Boolean => {
                let values = self.column.bool().doing(self.doing)?.clone();
                self.each(values.iter(), |cells, row, value| {
                    cells.sheet.write_boolean(row, cells.place, value).map(|_| ())
                })
            }
            DataType::Date => self.times("yyyy-mm-dd", 11.0, |days| days + EPOCH),
            DataType::Datetime(unit, zone) => {
                let day = ticks(*unit) * 86_400.0;
                let zoned = zone.is_some();
                let column = if zoned { self.wall_clock()? } else { self.column.clone() };
                Cells {
                    sheet: &mut *self.sheet,
                    place: self.place,
                    column: &column,
                    doing: self.doing,
                }
                .times("yyyy-mm-dd hh:mm:ss", 20.0, |time| time / day + EPOCH)
            }
            DataType::Time => self.spans("hh:mm:ss", 86_400e9),
            DataType::Duration(unit) => self.spans("[hh]:mm:ss", ticks(*unit) * 86_400.0),
            dtype if columns::is_number(dtype) => self.numbers(dtype.is_integer()),
            dtype if dtype.is_string() || columns::is_class(dtype) => {
                let values = columns::texts(self.column, self.doing)?;
                self.each(values.iter(), |cells, row, value| {
                    cells.sheet.write_string(row, cells.place, value).map(|_| ())
                })
            }
            other => Err(self.wrong(&format!("no cell holds {other}; make text of it first"))),
        }
    }

    fn numbers(&mut self, whole: bool) -> Result<()> {
        let values = columns::floats(self.column, self.doing)?;
        for (row, value) in values.iter().enumerate() {
            let problem = match value {
                Some(value) if value.is_infinite() => "replace infinite values with null first",
                Some(value) if whole && value.abs() > MOST_WHOLE => {
                    "cells keep 15 digits: cast the column to text first"
                }
                _ => continue,
            };
            let value = self.column.get(row).doing(self.doing)?.to_string();
            return Err(self.wrong(&format!("row {row} is {value}; {problem}")));
        }
        // NaN is missing, as in every other spreadsheet.
        self.each(values.iter().map(|v| v.filter(|v| !v.is_nan())), |cells, row, value| {
            cells.sheet.write_number(row, cells.place, value).map(|_| ())
        })
    }

    /// Points in time; `serial` makes days since 1899-12-30 of them.
    fn times(&mut self, format: &str, width: f64, serial: impl Fn(f64) -> f64) -> Result<()> {
        let values = columns::floats(self.column, self.doing)?;
        let serials = || values.iter().map(|value| value.map(&serial));
        let known = |serial: Option<f64>| serial.is_none_or(|s| (2.0..AFTER_LAST_DAY).contains(&s));
        if let Some(row) = serials().position(|serial| !known(serial)) {
            let value = self.column.get(row).doing(self.doing)?;
            return Err(self.wrong(&format!(
                "row {row} is {value}; a spreadsheet's dates go from 1900 to 9999: cast the column \
                 to text first"
            )));
        }
        let gap = |serial: f64| if serial < AFTER_NO_DAY { serial - 1.0 } else { serial };
        self.formatted(serials().map(|serial| serial.map(gap)), format, width)
    }

    /// Times of day and spans; a cell counts days.
    fn spans(&mut self, format: &str, day: f64) -> Result<()> {
        let values = columns::floats(self.column, self.doing)?;
        self.formatted(values.iter().map(|value| value.map(|v| v / day)), format, 11.0)
    }

    fn formatted(
        &mut self,
        values: impl Iterator<Item = Option<f64>>,
        format: &str,
        width: f64,
    ) -> Result<()> {
        // In columns of the usual width, dates are shown as `####`.
        if let Err(error) = self.sheet.set_column_width(self.place, width) {
            return Err(self.refused("its width", &error));
        }
        let format = Format::new().set_num_format(format);
        self.each(values, |cells, row, value| {
            cells.sheet.write_number_with_format(row, cells.place, value, &format).map(|_| ())
        })
    }

    /// Puts the values that are there below the name.
    fn each<T>(
        &mut self,
        values: impl Iterator<Item = Option<T>>,
        put: impl Fn(&mut Self, u32, T) -> std::result::Result<(), XlsxError>,
    ) -> Result<()> {
        for (row, value) in (1_u32..).zip(values) {
            if row % 65_536 == 0 {
                oxilab_runtime::cancel::poll();
            }
            let Some(value) = value else { continue };
            if let Err(error) = put(self, row, value) {
                return Err(self.refused(&format!("row {}", row - 1), &error));
            }
        }
        Ok(())
    }

    /// Points in time of a zone as its clocks show them: cells know no zones.
    fn wall_clock(&self) -> Result<Column> {
        let name = self.column.name().as_str();
        let local = col(name).dt().replace_time_zone(None, lit("raise"), NonExistent::Raise);
        let frame = self.column.clone().into_frame().lazy().select([local]).collect();
        let frame = frame.doing(self.doing)?;
        Ok(columns::column(&frame, name)?.clone())
    }

    fn wrong(&self, problem: &str) -> DataError {
        DataError::invalid(
            self.doing,
            format!("column {:?}: {problem}", self.column.name().as_str()),
        )
    }

    fn refused(&self, place: &str, error: &XlsxError) -> DataError {
        self.wrong(&format!("{place}: {error}"))
    }
}

/// Ticks of a second.
fn ticks(unit: TimeUnit) -> f64 {
    match unit {
        TimeUnit::Nanoseconds => 1e9,
        TimeUnit::Microseconds => 1e6,
        TimeUnit::Milliseconds => 1e3,
    }
}
