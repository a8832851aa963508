//! Text tables: detection of encoding and dialect, reading through polars, and errors that name the
//! line.

use std::io::Cursor;

use polars::prelude::*;

use super::infer::MISSING;
use super::missing;
use super::sniff::{self, Records};
use super::source::{self, Source};
use super::{Plan, ReadOptions};
use crate::error::{DataError, Result, While};

/// How to read this file, and again if polars fails.
#[derive(Clone, Debug)]
pub(super) struct Dialect {
    found: sniff::Dialect,
    nulls: Vec<PlSmallStr>,
    dates: bool,
    encoding: Option<String>,
}

impl Dialect {
    pub(super) fn separator(&self) -> u8 {
        self.found.separator
    }

    pub(super) fn decimal_comma(&self) -> bool {
        self.found.decimal_comma
    }

    pub(super) fn header(&self) -> bool {
        self.found.header
    }

    /// How polars reads text in memory; with `nulls`, what stands for a missing value is looked for.
    pub(super) fn options(&self, nulls: bool) -> CsvReadOptions {
        CsvReadOptions::default().with_has_header(self.found.header).map_parse_options(|parse| {
            parse
                .with_separator(self.found.separator)
                .with_decimal_comma(self.found.decimal_comma)
                .with_try_parse_dates(self.dates)
                .with_null_values(self.spelled(nulls))
        })
    }

    fn spelled(&self, nulls: bool) -> Option<NullValues> {
        nulls.then(|| NullValues::AllColumns(self.nulls.clone()))
    }
}

/// What the start of the first file tells.
pub(super) struct Found {
    pub(super) dialect: Dialect,
    /// The text is not UTF-8, or the caller says what it is.
    pub(super) foreign: bool,
}

/// Looks at the start of the first file.
pub(super) fn look(found: &Source, options: &ReadOptions) -> Result<Found> {
    let first = &found.files()[0];
    let path = first.to_string_lossy();
    let head = source::head(first, 1 << 18)?;
    let text = source::decompress_head(&head);
    let foreign = options.encoding.is_some() || !is_utf8(&text);
    let sample = sample(&text, options.encoding.as_deref(), &path)?;
    if sample.trim().is_empty() {
        return Err(DataError::read(path, "there is nothing in it but white space"));
    }
    let mut dialect = sniff::sniff(&sample, options.separator, options.header);
    dialect.decimal_comma = options.decimal_comma.unwrap_or(dialect.decimal_comma);
    let nulls: Vec<PlSmallStr> = match &options.null_values {
        Some(values) => values.iter().map(|value| value.as_str().into()).collect(),
        None => MISSING.iter().map(|value| (*value).into()).collect(),
    };
    let dialect = Dialect {
        found: dialect,
        nulls,
        dates: !options.keep_dates_as_text,
        encoding: options.encoding.clone(),
    };
    Ok(Found { dialect, foreign })
}

/// polars' reader of the files.
pub(super) fn reader(found: &Source, dialect: &Dialect, nulls: bool) -> LazyCsvReader {
    LazyCsvReader::new_paths(found.paths().collect())
        .with_glob(false)
        .with_separator(dialect.found.separator)
        .with_has_header(dialect.found.header)
        .with_decimal_comma(dialect.found.decimal_comma)
        .with_try_parse_dates(dialect.dates)
        .with_null_values(dialect.spelled(nulls))
}

/// Plans to read text tables of one dialect, that of the first file.
pub(super) fn plan(found: &Source, options: &ReadOptions) -> Result<Plan> {
    let Found { dialect, foreign } = look(found, options)?;
    if foreign {
        return super::each(found, |path, bytes| whole(path, bytes, &dialect));
    }
    // Comparing every field with every spelling costs a sixth of the time; a search first, far less.
    let nulls = options.null_values.is_some()
        || found.files().iter().any(|file| missing::mentioned(file, dialect.separator()));
    let reader = || reader(found, &dialect, nulls);
    Ok(Plan {
        frame: reader().with_infer_schema_length(Some(1000)).finish().doing(found.doing())?,
        careful: Some(reader().with_infer_schema_length(None).finish().doing(found.doing())?),
        explain: Some(dialect),
    })
}

/// Reads the files whole, in another encoding if need be, or says what is wrong in which line.
pub(super) fn last_resort(
    found: &Source,
    dialect: &Dialect,
    error: &PolarsError,
) -> Result<DataFrame> {
    let mut frames = Vec::new();
    for path in found.files() {
        let path = path.to_string_lossy();
        let bytes = source::bytes(&path)?;
        if std::str::from_utf8(&bytes).is_ok() {
            return Err(match ragged(&bytes, dialect) {
                Some(problem) => DataError::read(path, problem),
                None => DataError::read(path, error.to_string()),
            });
        }
        frames.push(whole(&path, bytes, dialect)?.lazy());
    }
    concat(frames, UnionArgs::default()).and_then(LazyFrame::collect).doing(found.doing())
}

fn whole(path: &str, bytes: Vec<u8>, dialect: &Dialect) -> Result<DataFrame> {
    let bytes = source::utf8(bytes, dialect.encoding.as_deref(), path)?;
    let read = |rows| {
        let options = dialect.options(true).with_infer_schema_length(rows);
        options.into_reader_with_file_handle(Cursor::new(bytes.as_slice())).finish()
    };
    read(Some(1000)).or_else(|_| read(None)).map_err(|error| {
        ragged(&bytes, dialect).map_or_else(
            || DataError::read(path, error.to_string()),
            |problem| DataError::read(path, problem),
        )
    })
}

/// The first record with more fields than the first one.
fn ragged(bytes: &[u8], dialect: &Dialect) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut records = Records::new(text, dialect.found.separator);
    let width = records.next()?.1.len();
    records.find(|(_, fields)| fields.len() > width).map(|(line, fields)| {
        format!(
            "line {line}: {} fields where the first line has {width} (separator {:?}); first field {:?}. \
             Quote fields that hold the separator, or say which it is with \
             ReadOptions::new().with_separator(…)",
            fields.len(),
            char::from(dialect.found.separator),
            fields[0],
        )
    })
}

/// Whether a sample, perhaps cut within a character, is UTF-8.
fn is_utf8(bytes: &[u8]) -> bool {
    let marked = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    !marked
        && match std::str::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none() && bytes.len() - error.valid_up_to() < 4,
        }
}

/// Whole lines of the sample as text.
fn sample(bytes: &[u8], encoding: Option<&str>, path: &str) -> Result<String> {
    let text = if is_utf8(bytes) && encoding.is_none() {
        String::from_utf8_lossy(bytes).into_owned()
    } else {
        let text = source::utf8(bytes.to_vec(), encoding, path)?;
        String::from_utf8_lossy(&text).into_owned()
    };
    let text = text.trim_start_matches('\u{feff}');
    Ok(match text.rfind('\n') {
        Some(end) if bytes.len() >= 1 << 16 => text[..=end].to_owned(),
        _ => text.to_owned(),
    })
}
