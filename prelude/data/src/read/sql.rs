//! Databases: `SQLite` and `PostgreSQL`.

use polars::prelude::*;
use rusqlite::types::ValueRef;

use super::infer;
use crate::error::{DataError, Result, While};

/// The rows of a query.
///
/// `url` is `sqlite:path`, `sqlite://path`, a path to a `SQLite` file, or
/// `postgres://user:password@host:port/database`. Column types follow the values: integers, numbers,
/// truth, dates, times (UTC), text.
///
/// # Errors
/// When the database cannot be reached or refuses the query; passwords are left out of the message.
pub fn read_sql(url: &str, query: &str) -> Result<DataFrame> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return postgres(url, query);
    }
    let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).unwrap_or(url);
    sqlite(path, query)
}

fn sqlite(path: &str, query: &str) -> Result<DataFrame> {
    let fail =
        |e: rusqlite::Error| DataError::Database { url: path.to_owned(), problem: e.to_string() };
    let connection = rusqlite::Connection::open_with_flags(
        path,
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(fail)?;
    let mut statement = connection.prepare(query).map_err(fail)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut cells: Vec<Vec<Cell>> = vec![Vec::new(); names.len()];
    let mut rows = statement.query([]).map_err(fail)?;
    while let Some(row) = rows.next().map_err(fail)? {
        oxilab_runtime::cancel::poll();
        for (index, column) in cells.iter_mut().enumerate() {
            column.push(match row.get_ref(index).map_err(fail)? {
                ValueRef::Null => Cell::Null,
                ValueRef::Integer(value) => Cell::Integer(value),
                ValueRef::Real(value) => Cell::Real(value),
                ValueRef::Text(value) => Cell::Text(String::from_utf8_lossy(value).into_owned()),
                ValueRef::Blob(value) => Cell::Blob(value.to_vec()),
            });
        }
    }
    let columns = names.iter().zip(cells).map(|(name, cells)| column(name, &cells)).collect();
    DataFrame::new_infer_height(columns).doing(format!("reading rows of {path:?}"))
}

/// `SQLite` types values, not columns.
#[derive(Clone, Debug)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

fn column(name: &str, cells: &[Cell]) -> Column {
    let all =
        |test: fn(&Cell) -> bool| cells.iter().all(|cell| matches!(cell, Cell::Null) || test(cell));
    if cells.iter().all(|cell| matches!(cell, Cell::Null)) {
        return Column::new(name.into(), vec![None::<&str>; cells.len()]);
    }
    if all(|cell| matches!(cell, Cell::Integer(_))) {
        let value = |cell: &Cell| if let Cell::Integer(value) = cell { Some(*value) } else { None };
        return Column::new(name.into(), cells.iter().map(value).collect::<Vec<_>>());
    }
    if all(|cell| matches!(cell, Cell::Integer(_) | Cell::Real(_))) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "a column of numbers of which some are fractions"
        )]
        let value = |cell: &Cell| match cell {
            Cell::Integer(value) => Some(*value as f64),
            Cell::Real(value) => Some(*value),
            _ => None,
        };
        return Column::new(name.into(), cells.iter().map(value).collect::<Vec<_>>());
    }
    if all(|cell| matches!(cell, Cell::Blob(_))) {
        let value =
            |cell: &Cell| if let Cell::Blob(value) = cell { Some(value.clone()) } else { None };
        let values: BinaryChunked = cells.iter().map(value).collect();
        return values.with_name(name.into()).into_series().into_column();
    }
    let texts = cells.iter().map(|cell| match cell {
        Cell::Null => None,
        Cell::Integer(value) => Some(value.to_string()),
        Cell::Real(value) => Some(value.to_string()),
        Cell::Text(value) => Some(value.clone()),
        Cell::Blob(value) => Some(String::from_utf8_lossy(value).into_owned()),
    });
    let texts: Vec<Option<String>> = texts.collect();
    // Dates are text in SQLite; numbers written as text stay text.
    let dated = |text: &String| matches!(infer::kind(text), infer::Kind::Date);
    if texts.iter().flatten().all(dated) {
        infer::column(name, &texts)
    } else {
        Column::new(name.into(), texts)
    }
}

fn postgres(url: &str, query: &str) -> Result<DataFrame> {
    use postgres::types::Type;
    let shown = without_password(url);
    let fail = |e: postgres::Error| {
        let problem = match e.as_db_error() {
            Some(db) => format!("{}: {}", db.severity(), db.message()),
            None => std::error::Error::source(&e)
                .map_or_else(|| e.to_string(), |cause| format!("{e}: {cause}")),
        };
        DataError::Database { url: shown.clone(), problem }
    };
    let mut client = postgres::Client::connect(url, postgres::NoTls).map_err(fail)?;
    let statement = client.prepare(query).map_err(fail)?;
    let columns: Vec<(String, Type)> =
        statement.columns().iter().map(|c| (c.name().to_owned(), c.type_().clone())).collect();
    let mut texts: Vec<Vec<Option<String>>> = vec![Vec::new(); columns.len()];
    // Values come as text, which every type has; the types are those of the statement.
    for message in client.simple_query(query).map_err(fail)? {
        oxilab_runtime::cancel::poll();
        if let postgres::SimpleQueryMessage::Row(row) = message {
            for (index, column) in texts.iter_mut().enumerate() {
                column.push(row.get(index).map(str::to_owned));
            }
        }
    }
    let typed = columns.iter().zip(texts).map(|((name, kind), texts)| {
        let as_truth = |text: &Option<String>| text.as_deref().map(|text| text == "t");
        let as_integer =
            |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<i64>().ok());
        let as_number =
            |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<f64>().ok());
        match *kind {
            Type::BOOL => Column::new(name.into(), texts.iter().map(as_truth).collect::<Vec<_>>()),
            Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => {
                Column::new(name.into(), texts.iter().map(as_integer).collect::<Vec<_>>())
            }
            Type::FLOAT4 | Type::FLOAT8 | Type::NUMERIC => {
                Column::new(name.into(), texts.iter().map(as_number).collect::<Vec<_>>())
            }
            Type::DATE | Type::TIMESTAMP | Type::TIMESTAMPTZ => infer::column(name, &texts),
            _ => Column::new(name.into(), texts),
        }
    });
    DataFrame::new_infer_height(typed.collect()).doing(format!("reading rows of {shown}"))
}

/// `postgres://user:…@host` for messages.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    match rest.rsplit_once('@') {
        Some((user, host)) => {
            format!("{scheme}://{}:…@{host}", user.split(':').next().unwrap_or(""))
        }
        None => url.to_owned(),
    }
}
