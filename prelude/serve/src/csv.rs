//! CSV to the columns that a model reads: [`table`].
//!
//! A reader of our own: whoever sends a wide header and short rows must not have cells made up for them that
//! nobody reads. No more is kept than the model's columns of as many rows as are allowed.

use std::borrow::Cow;
use std::collections::HashMap;

use oxilab_model::schema::{ColumnKind, Schema};
use serde_json::Value;

use crate::cells::{Table, missing};
use crate::error::{Result, ServeError};

/// Reads a body whose first line names the columns. Rows may be short: what they lack is missing.
pub(crate) fn table(bytes: &[u8], schema: &Schema, limit: usize) -> Result<Table> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| ServeError::body(format!("it is not UTF-8: {error}")))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start_matches(['\r', '\n']);
    let mut fields = Fields { rest: text };
    let header = fields.header()?;
    let places = places(&header, schema)?;
    let mut columns: Vec<Vec<Value>> = vec![Vec::new(); schema.columns.len()];
    let mut rows = 0;
    while !fields.rest.is_empty() {
        // Of a single column an empty line is a value that is missing.
        if header.len() > 1 && fields.skip_blank() {
            continue;
        }
        rows += 1;
        // Those above the limit are only counted.
        let kept: &mut [Vec<Value>] = if rows > limit { &mut [] } else { &mut columns };
        fields.row(rows - 1, &places, schema, kept)?;
        for column in kept {
            column.resize(rows, Value::Null);
        }
    }
    if rows > limit {
        return Err(ServeError::TooManyRows { rows, limit });
    }
    Ok(Table::Positional(columns))
}

/// For each column of the header its place in the schema, if the model reads it. Of columns of one name the
/// first counts.
fn places(header: &[Cow<'_, str>], schema: &Schema) -> Result<Vec<Option<usize>>> {
    let known = schema.columns.iter().enumerate();
    let mut known: HashMap<&str, usize> =
        known.map(|(place, field)| (field.name.as_str(), place)).collect();
    let places = header.iter().map(|name| known.remove(&**name)).collect();
    match known.into_values().min() {
        Some(place) => {
            let names = header.iter().map(|name| &**name);
            Err(missing(&schema.columns[place].name, names))
        }
        None => Ok(places),
    }
}

/// What is not read yet.
struct Fields<'a> {
    rest: &'a str,
}

/// What ends a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Comma,
    Line,
}

impl<'a> Fields<'a> {
    fn header(&mut self) -> Result<Vec<Cow<'a, str>>> {
        if self.rest.is_empty() {
            return Err(ServeError::body("not CSV: it is empty, and a line of names is needed"));
        }
        let mut names = Vec::new();
        loop {
            let (name, end) = self.field()?;
            names.push(name);
            if end == End::Line {
                return Ok(names);
            }
        }
    }

    /// Reads a row; what the model reads of it goes into `columns`.
    fn row(
        &mut self,
        row: usize,
        places: &[Option<usize>],
        schema: &Schema,
        columns: &mut [Vec<Value>],
    ) -> Result<()> {
        let mut places = places.iter();
        loop {
            let (text, end) = self.field()?;
            let Some(place) = places.next() else {
                let problem = format!("not CSV: row {row} has more values than the header names");
                return Err(ServeError::body(problem));
            };
            if let Some(place) = *place
                && let Some(column) = columns.get_mut(place)
            {
                column.push(typed(&text, schema.columns[place].kind));
            }
            if end == End::Line {
                return Ok(());
            }
        }
    }

    fn skip_blank(&mut self) -> bool {
        let line = self.rest.strip_prefix('\r').unwrap_or(self.rest);
        match line.strip_prefix('\n') {
            Some(rest) => self.rest = rest,
            None if line.is_empty() => self.rest = line,
            None => return false,
        }
        true
    }

    fn field(&mut self) -> Result<(Cow<'a, str>, End)> {
        let Some(mut rest) = self.rest.strip_prefix('"') else {
            let (text, end) = self.plain(self.rest);
            return Ok((Cow::Borrowed(text), end));
        };
        let mut text = String::new();
        loop {
            let Some((part, behind)) = rest.split_once('"') else {
                return Err(ServeError::body("not CSV: a quote is not closed"));
            };
            text.push_str(part);
            // Two quotes are one that is meant.
            let Some(more) = behind.strip_prefix('"') else {
                rest = behind;
                break;
            };
            text.push('"');
            rest = more;
        }
        let (tail, end) = self.plain(rest);
        text.push_str(tail);
        Ok((Cow::Owned(text), end))
    }

    /// Up to the next comma or the end of the line.
    fn plain(&mut self, text: &'a str) -> (&'a str, End) {
        let (field, rest, end) = match text.split_once([',', '\n']) {
            Some((field, rest)) if text[field.len()..].starts_with(',') => {
                (field, rest, End::Comma)
            }
            Some((field, rest)) => (field.strip_suffix('\r').unwrap_or(field), rest, End::Line),
            None => (text.strip_suffix('\r').unwrap_or(text), "", End::Line),
        };
        self.rest = rest;
        (field, end)
    }
}

/// A cell as JSON has it. What is no value of its column stays text, which is refused with its column and
/// row; so are infinite numbers, for which JSON has no word.
fn typed(text: &str, kind: ColumnKind) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    let read = match kind {
        ColumnKind::Numeric => match text.trim().parse::<f64>() {
            Ok(number) if number.is_nan() => Some(Value::Null),
            Ok(number) if number.is_finite() => Some(Value::from(number)),
            _ => None,
        },
        ColumnKind::Boolean => {
            text.trim().to_ascii_lowercase().parse::<bool>().ok().map(Value::from)
        }
        ColumnKind::Categorical => None,
    };
    read.unwrap_or_else(|| Value::String(text.to_owned()))
}
