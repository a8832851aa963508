//! Ingest: [`read`] turns a path, glob, folder or URL into a frame, by content first and extension
//! second; [`scan`] does the same lazily; [`read_sql`] asks a database.
//!
//! | source | recognised by |
//! |---|---|
//! | CSV, TSV and relatives | text; separator, quotes, header, encoding and dates are detected |
//! | JSON, NDJSON | first character `[` or `{` |
//! | Parquet, Arrow IPC | magic bytes |
//! | Excel (xlsx, xls, xlsb, ods) | magic bytes |
//! | any of them in gzip, zlib or zstd | magic bytes |
//! | partitioned folder (`year=2024/…`), folder of files | a folder |
//! | folder of pictures | a folder with nothing else ([`read_images`]) |
//! | `https://…`, `http://…` | downloaded first |
//!
//! ```
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("a.csv");
//! std::fs::write(&path, "day;value\n2024-01-31;1,5\n2024-02-01;NA\n")?;
//! let df = oxilab_data::read(&path)?;
//! assert_eq!(df.column("value")?.f64()?.get(0), Some(1.5));
//! assert_eq!(df.column("value")?.null_count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blocks;
mod csv;
mod excel;
mod images;
mod infer;
mod iso;
mod missing;
mod partition;
mod plain;
mod sniff;
mod source;
mod sql;
pub(crate) mod write;
mod write_excel;

use std::io::Cursor;
use std::num::NonZeroUsize;

use polars::prelude::*;
use serde::de::IgnoredAny;

pub use images::read_images;
pub use sql::read_sql;
pub use write::write;

use crate::error::{DataError, Result, While};
use source::{Format, Source};

/// How to read where detection is not wanted; everything unset is detected.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    pub(crate) separator: Option<u8>,
    pub(crate) header: Option<bool>,
    pub(crate) encoding: Option<String>,
    pub(crate) keep_dates_as_text: bool,
    pub(crate) null_values: Option<Vec<String>>,
    pub(crate) decimal_comma: Option<bool>,
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) rows: Option<usize>,
    pub(crate) sheet: Option<String>,
}

impl ReadOptions {
    /// Detects everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// CSV: what separates fields, for example `b';'`.
    #[must_use]
    pub fn with_separator(mut self, separator: u8) -> Self {
        self.separator = Some(separator);
        self
    }

    /// CSV and Excel: whether the first row holds the names.
    #[must_use]
    pub fn with_header(mut self, header: bool) -> Self {
        self.header = Some(header);
        self
    }

    /// CSV: the encoding by its WHATWG label, for example `"windows-1252"`.
    #[must_use]
    pub fn with_encoding(mut self, label: impl Into<String>) -> Self {
        self.encoding = Some(label.into());
        self
    }

    /// CSV: whether dates are recognised; true unless said otherwise.
    #[must_use]
    pub fn with_dates(mut self, parse: bool) -> Self {
        self.keep_dates_as_text = !parse;
        self
    }

    /// CSV: what stands for missing, instead of `NA`, `N/A`, `n/a`, `null`, `NULL`, `#N/A` and nothing.
    #[must_use]
    pub fn with_null_values<S: Into<String>>(
        mut self,
        values: impl IntoIterator<Item = S>,
    ) -> Self {
        self.null_values = Some(values.into_iter().map(Into::into).collect());
        self
    }

    /// CSV: whether `1,5` is a number.
    #[must_use]
    pub fn with_decimal_comma(mut self, comma: bool) -> Self {
        self.decimal_comma = Some(comma);
        self
    }

    /// Only these columns.
    #[must_use]
    pub fn with_columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Only the first `rows` rows.
    #[must_use]
    pub fn with_rows(mut self, rows: usize) -> Self {
        self.rows = Some(rows);
        self
    }

    /// Excel: the sheet, instead of the first.
    #[must_use]
    pub fn with_sheet(mut self, sheet: impl Into<String>) -> Self {
        self.sheet = Some(sheet.into());
        self
    }
}

/// Reads a path, glob (`data/*.csv`), folder or URL into a frame; see the [module](self) for formats.
///
/// # Errors
/// When nothing is there, or the content cannot be understood: the message names file and line,
/// column or sheet.
pub fn read(source: impl AsRef<std::path::Path>) -> Result<DataFrame> {
    read_path(source.as_ref(), None)
}

/// [`read`] with some choices made by the caller.
///
/// # Errors
/// As [`read`]; and for a column, sheet or encoding that is not there.
pub fn read_with(source: impl AsRef<std::path::Path>, options: &ReadOptions) -> Result<DataFrame> {
    read_path(source.as_ref(), Some(options))
}

/// Not generic, so that it is compiled here and not in the cell that calls; the same goes for the
/// options of [`read`] and what drops them.
#[inline(never)]
fn read_path(source: &std::path::Path, options: Option<&ReadOptions>) -> Result<DataFrame> {
    let defaults = ReadOptions::new();
    let options = options.unwrap_or(&defaults);
    let name = source.to_string_lossy().into_owned();
    match source::find(&name)? {
        Source::Images(folder) => read_images(folder),
        Source::Sqlite(path) => Err(DataError::invalid(
            format!("reading {path:?}"),
            format!(
                "it is a SQLite database; say which rows: data::read_sql({path:?}, \"select …\")"
            ),
        )),
        found => {
            let stamp = found.stamp()?;
            let df = match blocks::read(&found, options)? {
                Some(df) => Ok(df),
                None => plan(&found, options).and_then(|plan| collect(plan, &found)),
            };
            // Whatever came of it, the change is what to tell.
            if found.stamp()? != stamp {
                return Err(DataError::read(
                    found.name(),
                    "the file changed while it was read; read it again when its writer is done",
                ));
            }
            df
        }
    }
}

/// Plans to read; the file is read when the plan is collected, and only what the plan needs of it
/// where the format allows (CSV, NDJSON, Parquet, Arrow IPC). Other formats are read at once.
///
/// # Errors
/// As [`read`], for what is seen before reading.
pub fn scan(source: impl AsRef<std::path::Path>) -> Result<LazyFrame> {
    scan_path(source.as_ref())
}

#[inline(never)]
fn scan_path(source: &std::path::Path) -> Result<LazyFrame> {
    let name = source.to_string_lossy().into_owned();
    let found = source::find(&name)?;
    match &found {
        Source::Images(_) | Source::Sqlite(_) | Source::Downloaded { .. } => {
            Ok(read(source)?.lazy())
        }
        Source::Files { .. } => Ok(plan(&found, &ReadOptions::new())?.frame),
    }
}

/// A lazy frame, with a second try that infers types from every row.
struct Plan {
    frame: LazyFrame,
    careful: Option<LazyFrame>,
    explain: Option<csv::Dialect>,
}

impl From<LazyFrame> for Plan {
    fn from(frame: LazyFrame) -> Self {
        Self { frame, careful: None, explain: None }
    }
}

fn plan(found: &Source, options: &ReadOptions) -> Result<Plan> {
    let mut plan = match (found.root(), found.format()) {
        (None, _) | (_, Format::Parquet | Format::Ipc) => plan_files(found, options)?,
        (Some(root), _) => partition::plan(found, root, options)?,
    };
    if let Some(columns) = &options.columns {
        let schema = plan.frame.collect_schema().doing(found.doing())?;
        if let Some(column) = columns.iter().find(|column| !schema.contains(column)) {
            return Err(DataError::no_column(column, schema.iter_names().map(PlSmallStr::as_str)));
        }
    }
    for frame in [Some(&mut plan.frame), plan.careful.as_mut()].into_iter().flatten() {
        if let Some(columns) = &options.columns {
            *frame = frame.clone().select(columns.iter().map(col).collect::<Vec<_>>());
        }
        if let Some(rows) = options.rows {
            *frame = frame.clone().slice(0, IdxSize::try_from(rows).unwrap_or(IdxSize::MAX));
        }
    }
    Ok(plan)
}

/// The files, whatever their folders are called.
fn plan_files(found: &Source, options: &ReadOptions) -> Result<Plan> {
    Ok(match found.format() {
        Format::Csv => csv::plan(found, options)?,
        Format::Parquet => {
            let args = ScanArgsParquet { hive_options: found.hive(), ..ScanArgsParquet::default() };
            LazyFrame::scan_parquet_files(found.paths().collect(), args)
                .doing(found.doing())?
                .into()
        }
        Format::Ipc => {
            let args = UnifiedScanArgs { hive_options: found.hive(), ..UnifiedScanArgs::default() };
            LazyFrame::scan_ipc_sources(
                ScanSources::Paths(found.paths().collect()),
                IpcScanOptions::default(),
                args,
            )
            .doing(found.doing())?
            .into()
        }
        Format::Ndjson => {
            let lines = LazyJsonLineReader::new_paths(found.paths().collect());
            let careful = lines.clone().with_infer_schema_length(None);
            let quick = lines.with_infer_schema_length(NonZeroUsize::new(1000));
            Plan {
                frame: quick.finish().doing(found.doing())?,
                careful: Some(careful.finish().doing(found.doing())?),
                explain: None,
            }
        }
        Format::Json => each(found, |path, bytes| {
            let bytes = source::utf8(bytes, options.encoding.as_deref(), &found.name())?;
            let read = JsonReader::new(Cursor::new(&bytes)).infer_schema_len(None).finish();
            // polars counts bytes and names states of its parser; serde_json has words and lines.
            read.map_err(|error| match serde_json::from_slice::<IgnoredAny>(&bytes) {
                Err(wrong) => DataError::read(path, format!("not JSON: {wrong}")),
                Ok(_) => DataError::Polars { doing: found.doing(), source: error },
            })
        })?,
        Format::Excel => each(found, |path, bytes| excel::parse(path, bytes, options))?,
    })
}

/// Reads whole files into memory and stacks them.
fn each(found: &Source, parse: impl Fn(&str, Vec<u8>) -> Result<DataFrame>) -> Result<Plan> {
    let mut frames = Vec::new();
    for path in found.files() {
        oxilab_runtime::cancel::poll();
        let path = path.to_string_lossy();
        frames.push(parse(&path, source::bytes(&path)?)?.lazy());
    }
    let args = UnionArgs { diagonal: true, to_supertypes: true, ..UnionArgs::default() };
    Ok(concat(frames, args).doing(found.doing())?.into())
}

fn collect(plan: Plan, found: &Source) -> Result<DataFrame> {
    let first = match plan.frame.collect() {
        Ok(df) => return Ok(df),
        Err(error) => error,
    };
    // A type guessed from the first rows may not fit a later one.
    if let Some(careful) = plan.careful
        && let Ok(df) = careful.collect()
    {
        return Ok(df);
    }
    if let Some(dialect) = plan.explain {
        return csv::last_resort(found, &dialect, &first);
    }
    Err(first).doing(found.doing())
}
