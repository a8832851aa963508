//! Rows with names to the columns that a model reads: [`table`].
//!
//! Whoever names another column in every row must not have a cell made for each pair of them: of what the
//! model does not know nothing is kept.

use std::collections::{HashMap, HashSet};

use oxilab_model::schema::Schema;
use serde_json::{Map, Value};

use crate::cells::{Table, missing};
use crate::error::{Result, ServeError};

/// Rows that columns have room for before the first is read.
const ROOM: usize = 1_024;

/// What the model reads must be in every row; what it does not know may be anywhere. `key` is where the rows
/// stand.
pub(crate) fn table(items: Vec<Value>, key: &str, schema: &Schema) -> Result<Table> {
    let Some(Value::Object(first)) = items.first() else {
        return Err(ServeError::field(key, "it has no rows"));
    };
    if schema.columns.iter().any(|field| !first.contains_key(&field.name)) {
        return Err(incomplete(&items, first, key, schema));
    }
    let order = Order::of(first, schema);
    let room = items.len().min(ROOM);
    let mut columns: Vec<Vec<Value>> = Vec::new();
    columns.resize_with(schema.columns.len(), || Vec::with_capacity(room));
    for (row, item) in items.into_iter().enumerate() {
        let Value::Object(record) = item else { return Err(no_object(key, row)) };
        let mut taken = 0;
        for (at, (name, value)) in record.into_iter().enumerate() {
            if let Some(place) = order.place(at, &name) {
                columns[place].push(value);
                taken += 1;
            }
        }
        if taken < columns.len() {
            // In the order of the first row.
            let lacks = |place: &usize| columns[*place].len() == row;
            let place = order.places().find(lacks).unwrap_or_default();
            return Err(absent(&schema.columns[place].name, row));
        }
    }
    Ok(Table::Positional(columns))
}

/// The names of the first row, each with its place in the schema if the model reads it.
struct Order<'a> {
    first: Vec<(String, Option<usize>)>,
    known: HashMap<&'a str, usize>,
}

impl<'a> Order<'a> {
    fn of(first: &Map<String, Value>, schema: &'a Schema) -> Self {
        let known = schema.columns.iter().enumerate();
        let known: HashMap<&str, usize> =
            known.map(|(place, field)| (field.name.as_str(), place)).collect();
        let first =
            first.keys().map(|name| (name.clone(), known.get(name.as_str()).copied())).collect();
        Self { first, known }
    }

    /// The place of the name that stands at `at` in its row. Rows have their names in the same order, nearly
    /// always.
    fn place(&self, at: usize, name: &str) -> Option<usize> {
        match self.first.get(at) {
            Some((same, place)) if same == name => *place,
            _ => self.known.get(name).copied(),
        }
    }

    fn places(&self) -> impl Iterator<Item = usize> {
        self.first.iter().filter_map(|(_, place)| *place)
    }
}

/// What is wrong with rows whose first lacks a column of the model.
fn incomplete(
    items: &[Value],
    first: &Map<String, Value>,
    key: &str,
    schema: &Schema,
) -> ServeError {
    let known: HashSet<&str> = schema.names().into_iter().collect();
    let (read, late): (Vec<&str>, HashSet<&str>) = {
        let read = first.keys().map(String::as_str).filter(|name| known.contains(name));
        let late = known.iter().copied().filter(|name| !first.contains_key(*name));
        (read.collect(), late.collect())
    };
    let (mut names, mut seen) = (Vec::new(), HashSet::new());
    for (row, item) in items.iter().enumerate() {
        let Value::Object(record) = item else { return no_object(key, row) };
        for name in record.keys() {
            if late.contains(name.as_str()) {
                return absent(name, 0);
            }
            if seen.insert(name.as_str()) {
                names.push(name.as_str());
            }
        }
        if let Some(name) = read.iter().find(|name| !record.contains_key(**name)) {
            return absent(name, row);
        }
    }
    let first_late = schema.names().into_iter().find(|name| late.contains(name));
    missing(first_late.unwrap_or_default(), names.into_iter())
}

fn absent(name: &str, row: usize) -> ServeError {
    ServeError::field(name, format!("row {row}: it is missing"))
}

fn no_object(key: &str, row: usize) -> ServeError {
    ServeError::field(key, format!("row {row} is not an object as row 0 is"))
}
