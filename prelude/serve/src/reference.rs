//! The reference of a model: rows that drift is measured against.
//!
//! It stands beside the model as a Parquet file, `MODEL.reference.parquet`, sampled to at most
//! [`MOST_ROWS`] rows, evenly over the frame. Missing values stand in the rows, so a reference of any age
//! tells their share.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use polars::prelude::{DataFrame, IdxCa, ParquetReader, ParquetWriter, SerReader};

use crate::error::{Result, ServeError, While};

/// Rows that are kept.
const MOST_ROWS: usize = 2_000;

/// Where the reference of a model is.
#[must_use]
pub fn reference_path(model: &Path) -> PathBuf {
    let mut path = model.as_os_str().to_owned();
    path.push(".reference.parquet");
    path.into()
}

/// Stores rows, usually the training frame, as the reference of the model at `model`.
///
/// # Errors
/// If the file cannot be written.
pub fn save_reference(model: impl AsRef<Path>, df: &DataFrame) -> Result<PathBuf> {
    let path = reference_path(model.as_ref());
    write_parquet(&path, &sample(df, MOST_ROWS)?)?;
    Ok(path)
}

/// The reference of the model at `model`; `None` if none was stored.
///
/// # Errors
/// If the file is there and cannot be read.
pub fn load_reference(model: impl AsRef<Path>) -> Result<Option<DataFrame>> {
    let path = reference_path(model.as_ref());
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(ServeError::io("opening the reference", path)(error)),
    };
    ParquetReader::new(file).finish().doing("reading the reference").map(Some)
}

/// At most `most` rows, evenly over the frame.
fn sample(df: &DataFrame, most: usize) -> Result<DataFrame> {
    let rows = df.height();
    if rows <= most {
        return Ok(df.clone());
    }
    let places = (0..most).map(|at| u32::try_from(at * rows / most).unwrap_or(u32::MAX));
    let places: IdxCa = places.map(Some).collect();
    df.take(&places).doing("sampling the reference")
}

/// Writes a frame as Parquet, aside and then renamed into place.
///
/// # Errors
/// If the file system or polars refuses.
pub fn write_parquet(path: &Path, df: &DataFrame) -> Result<()> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut aside = tempfile::NamedTempFile::new_in(folder)
        .map_err(ServeError::io("writing a Parquet file in", folder))?;
    let mut df = df.clone();
    ParquetWriter::new(aside.as_file_mut()).finish(&mut df).doing("writing a Parquet file")?;
    let (_, kept) = aside.keep().map_err(|e| ServeError::io("writing", path)(e.error))?;
    fs::rename(&kept, path).map_err(ServeError::io("writing", path))
}
