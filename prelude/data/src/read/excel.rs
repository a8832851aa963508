//! Spreadsheets through calamine.

use std::io::Cursor;

use calamine::{Data, DataType as _, ExcelDateTime, Reader as _};
use polars::prelude::*;

use super::{ReadOptions, infer};
use crate::error::{DataError, Result, While};

/// One sheet as a frame: the first row names the columns, each column has one type.
pub(super) fn parse(path: &str, bytes: Vec<u8>, options: &ReadOptions) -> Result<DataFrame> {
    let fail = |problem: String| DataError::read(path, problem);
    let mut book = calamine::open_workbook_auto_from_rs(Cursor::new(bytes))
        .map_err(|e| fail(format!("not a spreadsheet that can be read: {e}")))?;
    let sheets = book.sheet_names();
    let sheet = match &options.sheet {
        Some(sheet) if sheets.contains(sheet) => sheet.clone(),
        Some(sheet) => {
            return Err(fail(format!(
                "there is no sheet {sheet:?}; sheets are {}",
                sheets.join(", ")
            )));
        }
        None => {
            sheets.first().cloned().ok_or_else(|| fail("the workbook has no sheets".to_owned()))?
        }
    };
    let range = book.worksheet_range(&sheet).map_err(|e| fail(format!("sheet {sheet:?}: {e}")))?;
    if range.is_empty() {
        return Err(fail(format!("sheet {sheet:?} is empty")));
    }
    let header = options.header.unwrap_or(true);
    let mut names: Vec<String> = Vec::new();
    for (index, cell) in range.rows().next().unwrap_or_default().iter().enumerate() {
        let name = if header { cell.to_string() } else { String::new() };
        let name = if name.is_empty() { format!("column_{}", index + 1) } else { name };
        let copies = names.iter().filter(|other| **other == name).count();
        names.push(if copies == 0 { name } else { format!("{name}_duplicated_{}", copies - 1) });
    }
    let columns = names.iter().enumerate().map(|(index, name)| {
        let cells: Vec<&Data> =
            range.rows().skip(usize::from(header)).filter_map(|row| row.get(index)).collect();
        column(name, &cells)
    });
    DataFrame::new_infer_height(columns.collect())
        .doing(format!("reading sheet {sheet:?} of {path:?}"))
}

fn column(name: &str, cells: &[&Data]) -> Column {
    let present = || cells.iter().filter(|cell| !cell.is_empty() && !cell.is_error());
    let value = |cell: &Data| -> Option<f64> {
        match cell {
            Data::Int(value) => value.to_string().parse().ok(),
            Data::Float(value) => Some(*value),
            _ => None,
        }
    };
    if present().next().is_none() {
        return Column::new(name.into(), vec![None::<&str>; cells.len()]);
    }
    if present().all(|cell| cell.is_bool()) {
        return Column::new(
            name.into(),
            cells.iter().map(|cell| cell.get_bool()).collect::<Vec<_>>(),
        );
    }
    if present().all(|cell| value(cell).is_some()) {
        let values: Vec<Option<f64>> = cells.iter().map(|cell| value(cell)).collect();
        // Spreadsheets have no integers; whole numbers are shown as such.
        let whole = |value: &f64| value.fract() == 0.0 && value.abs() < 9e15;
        if values.iter().flatten().all(whole) {
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 9e15")]
            let values: Vec<Option<i64>> = values.iter().map(|v| v.map(|v| v as i64)).collect();
            return Column::new(name.into(), values);
        }
        return Column::new(name.into(), values);
    }
    if present().all(|cell| matches!(cell, Data::DateTime(_))) {
        if let Some(column) = without_date(name, cells) {
            return column;
        }
        let times: Vec<_> = cells.iter().map(|cell| cell.as_datetime()).collect();
        let midnight = |time: &chrono::NaiveDateTime| time.time() == chrono::NaiveTime::MIN;
        if times.iter().flatten().all(midnight) {
            let days = times.iter().map(|time| time.map(|time| time.date()));
            return DateChunked::from_naive_date_options(name.into(), days)
                .into_series()
                .into_column();
        }
        return DatetimeChunked::from_naive_datetime_options(
            name.into(),
            times,
            TimeUnit::Microseconds,
        )
        .into_series()
        .into_column();
    }
    let texts: Vec<Option<String>> = cells
        .iter()
        .map(|cell| (!cell.is_empty() && !cell.is_error()).then(|| cell.to_string()))
        .collect();
    if present().any(|cell| matches!(cell, Data::DateTimeIso(_))) {
        return infer::column(name, &texts);
    }
    Column::new(name.into(), texts)
}

/// Times of day, or spans of time: cells of a time format that stand for no day.
fn without_date(name: &str, cells: &[&Data]) -> Option<Column> {
    const DAY: i64 = 86_400_000;
    let times: Vec<Option<&ExcelDateTime>> = cells
        .iter()
        .map(|cell| if let Data::DateTime(time) = cell { Some(time) } else { None })
        .collect();
    let all = |test: &dyn Fn(&ExcelDateTime) -> bool| times.iter().flatten().all(|time| test(time));
    let millis =
        || times.iter().map(|time| time.and_then(|t| Some(t.as_duration()?.num_milliseconds())));
    let (values, dtype): (Vec<Option<i64>>, DataType) = if all(&|time| time.is_duration()) {
        (millis().collect(), DataType::Duration(TimeUnit::Milliseconds))
    } else if all(&|time| time.is_datetime() && (0.0..1.0).contains(&time.as_f64())) {
        let nanos = |millis: i64| millis.min(DAY - 1) * 1_000_000;
        (millis().map(|value| value.map(nanos)).collect(), DataType::Time)
    } else {
        return None;
    };
    Column::new(name.into(), values).cast(&dtype).ok()
}
