//! Frames to files; a file appears whole or not at all.

use std::path::Path;

use polars::prelude::*;

use super::write_excel;
use crate::error::{DataError, Result, While};

/// Writes a frame by the extension of the path: `csv`, `tsv`, `json`, `ndjson`/`jsonl`, `parquet`,
/// `arrow`/`ipc`/`feather`, `xlsx`. The file is written aside and renamed.
///
/// In `xlsx`, NaN and empty text are empty cells, times are kept to the millisecond and those of a
/// time zone as its clocks show them. What a cell cannot hold is an error: infinite values, whole
/// numbers beyond 2^53, dates before 1900, lists, and more than 1,048,575 rows or 16,384 columns.
///
/// ```
/// use polars::prelude::*;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("scores.xlsx");
/// let df = df!("name" => ["Ada", "Bo"], "score" => [Some(1.5), None], "passed" => [true, false])?;
/// oxilab_data::write(&df, &path)?;
/// assert!(oxilab_data::read(&path)?.equals_missing(&df));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// For another extension, a type the format cannot hold, or a folder that cannot be written.
pub fn write(df: &DataFrame, path: impl AsRef<Path>) -> Result<()> {
    write_path(df, path.as_ref())
}

/// Not generic, so that polars' writers are compiled here and not in the cell that calls.
#[inline(never)]
fn write_path(df: &DataFrame, path: &Path) -> Result<()> {
    let name = path.to_string_lossy();
    let extension =
        path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default();
    let doing = || format!("writing {name:?}");
    replace(path, |file| {
        let mut df = df.clone();
        let written = match extension.as_str() {
            "csv" => CsvWriter::new(file).finish(&mut df),
            "tsv" => CsvWriter::new(file).with_separator(b'\t').finish(&mut df),
            "json" => JsonWriter::new(file).with_json_format(JsonFormat::Json).finish(&mut df),
            "ndjson" | "jsonl" => {
                JsonWriter::new(file).with_json_format(JsonFormat::JsonLines).finish(&mut df)
            }
            "parquet" => ParquetWriter::new(file).finish(&mut df).map(|_| ()),
            "arrow" | "ipc" | "feather" => IpcWriter::new(file).finish(&mut df),
            "xlsx" => return write_excel::write(&df, file, &doing()),
            other => {
                return Err(DataError::invalid(
                    doing(),
                    format!(
                        "unknown extension {other:?}; use csv, tsv, json, ndjson, parquet, \
                         arrow or xlsx"
                    ),
                ));
            }
        };
        written.doing(doing())
    })
}

/// Writes aside, then renames.
pub(crate) fn replace(
    path: &Path,
    fill: impl FnOnce(&mut std::fs::File) -> Result<()>,
) -> Result<()> {
    let fail = |e| DataError::io("writing", path.to_string_lossy(), e);
    let folder =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut aside =
        tempfile::Builder::new().prefix(".oxilab-").tempfile_in(folder).map_err(fail)?;
    fill(aside.as_file_mut())?;
    aside.as_file().sync_all().map_err(fail)?;
    aside.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}
