//! Databases: `SQLite` and `PostgreSQL`.

use std::time::Duration;

use polars::prelude::*;
use rusqlite::types::ValueRef;

use super::infer;
use crate::error::{DataError, Result, While};

/// How long a server may take to answer at all.
const CONNECT: Duration = Duration::from_secs(10);

/// The rows of a query.
///
/// `url` is `sqlite:path`, `sqlite://path`, a path to a `SQLite` file,
/// `postgres://user:password@host:port/database`, or `$NAME` for the environment variable that holds
/// one of these, so that a notebook need not hold a password. Column types follow the values: integers,
/// numbers, truth, dates, times (UTC), text. A statement without rows gives one column,
/// `rows_affected`. Connecting takes ten seconds at most unless the URL says `connect_timeout`.
///
/// # Errors
/// When the database cannot be reached or refuses the query: the message names the query's line and
/// column where the database does; passwords are left out.
pub fn read_sql(url: &str, query: &str) -> Result<DataFrame> {
    if let Some(name) = url.strip_prefix('$') {
        let value = std::env::var(name).map_err(|_| DataError::Database {
            url: url.to_owned(),
            problem: format!(
                "there is no environment variable {name}; set it to the database's URL with %env {name}=…"
            ),
        })?;
        return read_sql(&value, query);
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return postgres(url, query);
    }
    let path = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")).unwrap_or(url);
    sqlite(path, query)
}

fn sqlite(path: &str, query: &str) -> Result<DataFrame> {
    let fail = |e: rusqlite::Error| {
        let problem = match &e {
            rusqlite::Error::SqlInputError { msg, offset, .. } => {
                let before = usize::try_from(*offset).ok().and_then(|offset| query.get(..offset));
                before.map_or_else(|| msg.clone(), |before| format!("{msg}{}", place(before)))
            }
            other => other.to_string(),
        };
        DataError::Database { url: path.to_owned(), problem }
    };
    if !std::path::Path::new(path).exists() {
        return Err(DataError::Database {
            url: path.to_owned(),
            problem: format!("there is no such file; {}", super::source::hint(path.as_ref())),
        });
    }
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
            Some(db) => {
                let place = match db.position() {
                    Some(postgres::error::ErrorPosition::Original(at)) => place(
                        &query.chars().take((*at as usize).saturating_sub(1)).collect::<String>(),
                    ),
                    _ => String::new(),
                };
                let hint = db.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                format!("{}: {}{place}{hint}", db.severity(), db.message())
            }
            None => std::error::Error::source(&e)
                .map_or_else(|| e.to_string(), |cause| format!("{e}: {cause}")),
        };
        DataError::Database { url: shown.clone(), problem }
    };
    let mut config: postgres::Config = url.parse().map_err(fail)?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    let mut client = config.connect(postgres::NoTls).map_err(fail)?;
    let statement = client.prepare(query).map_err(fail)?;
    let columns: Vec<(String, Type)> =
        statement.columns().iter().map(|c| (c.name().to_owned(), c.type_().clone())).collect();
    let mut texts: Vec<Vec<Option<String>>> = vec![Vec::new(); columns.len()];
    let mut affected = 0;
    // Values come as text, which every type has; the types are those of the statement.
    for message in client.simple_query(query).map_err(fail)? {
        oxilab_runtime::cancel::poll();
        match message {
            postgres::SimpleQueryMessage::Row(row) => {
                for (index, column) in texts.iter_mut().enumerate() {
                    column.push(row.get(index).map(str::to_owned));
                }
            }
            postgres::SimpleQueryMessage::CommandComplete(rows) => affected = rows,
            _ => {}
        }
    }
    if columns.is_empty() {
        return df!("rows_affected" => [affected]).doing(format!("asking {shown}"));
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

/// ` (line 3, column 5)`, for an error behind this much of the query.
fn place(before: &str) -> String {
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |start| start.chars().count()) + 1;
    format!(" (line {line}, column {column})")
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
