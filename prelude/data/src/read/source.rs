//! What a path, pattern, folder or URL stands for: which files, in which format.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use polars::prelude::*;
use regex::Regex;
use tempfile::TempPath;

use crate::error::{DataError, Result};

/// Bytes looked at to tell a format.
const HEAD: usize = 1 << 16;

/// Bytes looked at in zstd, whose first block may have up to 128 KiB and is read whole or not at all.
const HEAD_OF_ZSTD: usize = 1 << 18;

/// How a zstd stream begins.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The formats of tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Json,
    Ndjson,
    Parquet,
    Ipc,
    Excel,
}

/// What was found.
#[derive(Debug)]
pub(super) enum Source {
    /// Files of one format; `root` is the folder of a partitioned data set.
    Files { name: String, files: Vec<PathBuf>, format: Format, root: Option<PathBuf> },
    /// A file that came from the network, deleted when dropped.
    Downloaded { name: String, files: Vec<PathBuf>, format: Format, _guard: TempPath },
    /// A folder of pictures.
    Images(PathBuf),
    /// A database file.
    Sqlite(String),
}

impl Source {
    /// As the user wrote it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Files { name, .. } | Self::Downloaded { name, .. } | Self::Sqlite(name) => {
                name.clone()
            }
            Self::Images(folder) => folder.to_string_lossy().into_owned(),
        }
    }

    /// The activity, for errors.
    pub(super) fn doing(&self) -> String {
        format!("reading {:?}", self.name())
    }

    /// The files.
    pub(super) fn files(&self) -> &[PathBuf] {
        match self {
            Self::Files { files, .. } | Self::Downloaded { files, .. } => files,
            Self::Images(_) | Self::Sqlite(_) => &[],
        }
    }

    /// The files as polars wants them.
    pub(super) fn paths(&self) -> impl Iterator<Item = PlRefPath> {
        self.files().iter().map(|path| PlRefPath::from(path.to_string_lossy().as_ref()))
    }

    /// The format of the files.
    pub(super) fn format(&self) -> Format {
        match self {
            Self::Files { format, .. } | Self::Downloaded { format, .. } => *format,
            Self::Images(_) | Self::Sqlite(_) => Format::Csv,
        }
    }

    /// The folder of a partitioned data set.
    pub(super) fn root(&self) -> Option<&Path> {
        match self {
            Self::Files { root, .. } => root.as_deref(),
            _ => None,
        }
    }

    /// One of the files alone.
    pub(super) fn only(&self, file: &Path) -> Self {
        Self::Files {
            name: file.to_string_lossy().into_owned(),
            files: vec![file.to_owned()],
            format: self.format(),
            root: None,
        }
    }

    /// Whether folder names like `year=2024` become columns.
    pub(super) fn hive(&self) -> HiveOptions {
        match self {
            Self::Files { root: Some(root), .. } => HiveOptions {
                hive_start_idx: root.to_string_lossy().len(),
                ..HiveOptions::new_enabled()
            },
            _ => HiveOptions::new_disabled(),
        }
    }

    /// Sizes and times of change, to notice a file that changes while it is read.
    pub(super) fn stamp(&self) -> Result<Vec<(u64, Option<SystemTime>)>> {
        let stamp = |path: &PathBuf| {
            let data = fs::metadata(path)
                .map_err(|e| DataError::io("reading", path.to_string_lossy(), e))?;
            Ok((data.len(), data.modified().ok()))
        };
        self.files().iter().map(stamp).collect()
    }
}

/// Finds what `name` stands for.
pub(super) fn find(name: &str) -> Result<Source> {
    if name.starts_with("http://") || name.starts_with("https://") {
        return download(name);
    }
    if name.starts_with("postgres://")
        || name.starts_with("postgresql://")
        || name.starts_with("sqlite:")
    {
        return Err(DataError::invalid(
            "reading a database",
            "say which rows: data::read_sql(url, \"select …\")",
        ));
    }
    let path = Path::new(name.strip_prefix("file://").unwrap_or(name));
    if path.is_dir() {
        return folder(name, path);
    }
    if path.exists() {
        return one(name, path);
    }
    if name.contains(['*', '?', '[']) {
        let files = glob(name)?;
        let format = common(name, &files)?;
        return Ok(Source::Files { name: name.to_owned(), files, format, root: None });
    }
    Err(DataError::NotFound {
        path: name.to_owned(),
        problem: "there is no such file".to_owned(),
        hint: hint(path),
    })
}

/// What to do about a path with nothing there.
pub(super) fn hint(path: &Path) -> String {
    if path.is_absolute() {
        return "check the spelling of each folder".to_owned();
    }
    let folder = std::env::current_dir().unwrap_or_default();
    format!("relative paths start at {}", folder.display())
}

fn one(name: &str, path: &Path) -> Result<Source> {
    match detect(path)? {
        Detected::Sqlite => Ok(Source::Sqlite(name.to_owned())),
        Detected::Table(format) => Ok(Source::Files {
            name: name.to_owned(),
            files: vec![path.to_owned()],
            format,
            root: None,
        }),
    }
}

fn folder(name: &str, path: &Path) -> Result<Source> {
    let mut files = Vec::new();
    walk(path, Hidden::Skipped, &mut files)?;
    let (images, tables): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| super::images::is_image(file));
    if tables.is_empty() && !images.is_empty() {
        return Ok(Source::Images(path.to_owned()));
    }
    if tables.is_empty() {
        return Err(DataError::NotFound {
            path: name.to_owned(),
            problem: "the folder holds no files".to_owned(),
            hint: "give a file or another folder".to_owned(),
        });
    }
    let format = common(name, &tables)?;
    let partitioned = tables[0]
        .strip_prefix(path)
        .is_ok_and(|rest| rest.parent().is_some_and(|rest| rest.to_string_lossy().contains('=')));
    let root = partitioned.then(|| path.to_owned());
    Ok(Source::Files { name: name.to_owned(), files: tables, format, root })
}

/// What becomes of entries that are not meant as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hidden {
    /// Left out, as every reader of data lakes does.
    Skipped,
    /// Kept: a pattern may name them.
    Kept,
}

/// `.git`, `.ipynb_checkpoints`, `_SUCCESS`, `_delta_log`; but `_day=1` is a partition.
fn is_hidden(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    name.starts_with('.') || name.starts_with('_') && !name.contains('=')
}

/// All files below a folder, sorted by path.
pub(super) fn walk(folder: &Path, hidden: Hidden, files: &mut Vec<PathBuf>) -> Result<()> {
    let fail = |e| DataError::io("reading", folder.to_string_lossy(), e);
    let mut entries =
        fs::read_dir(folder).map_err(fail)?.collect::<Result<Vec<_>, _>>().map_err(fail)?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        if hidden == Hidden::Skipped && is_hidden(&entry) {
            continue;
        }
        let path = entry.path();
        if path.is_dir() { walk(&path, hidden, files)? } else { files.push(path) }
    }
    Ok(())
}

/// The one format of several files.
fn common(name: &str, files: &[PathBuf]) -> Result<Format> {
    let mut common: Option<(Format, &PathBuf)> = None;
    for file in files {
        let Detected::Table(format) = detect(file)? else {
            return Err(DataError::read(
                file.to_string_lossy(),
                "is a database; use data::read_sql",
            ));
        };
        match common {
            None => common = Some((format, file)),
            Some((first, _)) if first == format => {}
            Some((first, other)) => {
                return Err(DataError::read(
                    name,
                    format!(
                        "mixed formats: {} is {first:?}, {} is {format:?}; give a narrower pattern",
                        other.display(),
                        file.display()
                    ),
                ));
            }
        }
    }
    common.map(|(format, _)| format).ok_or_else(|| DataError::NotFound {
        path: name.to_owned(),
        problem: "no file matches".to_owned(),
        hint: "* stands for anything but /, ** for any folders, ? for one character".to_owned(),
    })
}

/// The files that match a pattern, sorted.
fn glob(pattern: &str) -> Result<Vec<PathBuf>> {
    let fixed = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    let root = pattern[..fixed].rfind('/').map_or("", |slash| &pattern[..=slash]);
    let mut expression = String::from("^");
    let mut rest = pattern[root.len()..].chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                rest.next_if_eq(&'/');
                expression.push_str("(?:.*/)?");
            }
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            '[' => expression.push('['),
            ']' => expression.push(']'),
            '!' if expression.ends_with('[') => expression.push('^'),
            '-' => expression.push('-'),
            other => expression.push_str(&regex::escape(&other.to_string())),
        }
    }
    expression.push('$');
    let matcher = Regex::new(&expression).map_err(|e| {
        DataError::invalid(format!("reading {pattern:?}"), format!("bad pattern: {e}"))
    })?;
    let start = if root.is_empty() { Path::new(".") } else { Path::new(root) };
    let mut files = Vec::new();
    if start.is_dir() {
        walk(start, Hidden::Kept, &mut files)?;
    }
    files.retain(|file| {
        file.strip_prefix(start).is_ok_and(|rest| matcher.is_match(&rest.to_string_lossy()))
    });
    Ok(files)
}

/// What the first bytes say.
enum Detected {
    Table(Format),
    Sqlite,
}

fn detect(path: &Path) -> Result<Detected> {
    let name = path.to_string_lossy();
    let mut head = self::head(path, HEAD)?;
    if head.is_empty() {
        return Err(DataError::read(name, "the file is empty"));
    }
    if head.starts_with(&ZSTD) {
        head = self::head(path, HEAD_OF_ZSTD)?;
    }
    let extension = extension(path);
    Ok(Detected::Table(match head.as_slice() {
        [b'P', b'A', b'R', b'1', ..] => Format::Parquet,
        [b'A', b'R', b'R', b'O', b'W', b'1', ..] => Format::Ipc,
        [b'P', b'K', 3, 4, ..] | [0xd0, 0xcf, 0x11, 0xe0, ..] => Format::Excel,
        bytes if bytes.starts_with(b"SQLite format 3\0") => return Ok(Detected::Sqlite),
        bytes if bytes.starts_with(b"BZh") => {
            return Err(DataError::read(
                name,
                "bzip2 is not read; decompress it or use gzip or zstd",
            ));
        }
        bytes => {
            let bytes = decompress_head(bytes);
            let text = bytes.trim_ascii_start();
            let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii_start();
            match text.first() {
                Some(b'[') if !matches!(extension.as_str(), "csv" | "tsv" | "txt") => Format::Json,
                Some(b'{') if extension == "json" && !many_objects(text) => Format::Json,
                Some(b'{') => Format::Ndjson,
                _ => {
                    promised(&name, &extension)?;
                    Format::Csv
                }
            }
        }
    }))
}

/// What a file is called at its end, in small letters: `json` for `a.json` and for `a.json.gz`.
fn extension(path: &Path) -> String {
    let of = |path: &Path| path.extension().map(|e| e.to_string_lossy().to_lowercase());
    let outer = of(path).unwrap_or_default();
    let compressed = matches!(outer.as_str(), "gz" | "gzip" | "zz" | "zlib" | "zst" | "zstd");
    let inner = path.file_stem().filter(|_| compressed).and_then(|stem| of(Path::new(stem)));
    inner.unwrap_or(outer)
}

/// Whether a file without the mark of a binary format may be text, for what it is called.
fn promised(name: &str, extension: &str) -> Result<()> {
    let promised = match extension {
        "parquet" | "pq" => "Parquet",
        "arrow" | "ipc" | "feather" => "Arrow IPC",
        "xlsx" | "xlsm" | "xls" | "xlsb" | "ods" => "a spreadsheet",
        _ => return Ok(()),
    };
    Err(DataError::read(
        name,
        format!(
            "the name says {promised}, the content is not; if it is text, call it .csv, if not, it \
             is damaged or its download was cut off"
        ),
    ))
}

/// Whether the first line is a whole object and another one follows.
fn many_objects(text: &[u8]) -> bool {
    let mut lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let first = lines.next().is_some_and(|line| line.ends_with(b"}"));
    first && lines.next().is_some_and(|line| line.starts_with(b"{"))
}

/// The first bytes of a file.
pub(super) fn head(path: &Path, length: usize) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(length as u64).read_to_end(&mut head))
        .map_err(|e| DataError::io("reading", path.to_string_lossy(), e))?;
    Ok(head)
}

/// The start of a gzip, zlib or zstd stream; other bytes as they are.
pub(super) fn decompress_head(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let decoded = match bytes {
        [0x1f, 0x8b, ..] => flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut out),
        [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..] => {
            flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut out)
        }
        bytes if bytes.starts_with(&ZSTD) => zstd::stream::read::Decoder::with_buffer(bytes)
            .and_then(|mut decoder| decoder.read_to_end(&mut out)),
        _ => return bytes.to_vec(),
    };
    // The stream is cut off, so the error at its end is expected.
    match decoded {
        Ok(_) | Err(_) => out,
    }
}

/// The whole file, decompressed.
pub(super) fn bytes(path: &str) -> Result<Vec<u8>> {
    let raw = fs::read(path).map_err(|e| DataError::io("reading", path, e))?;
    let mut out = Vec::new();
    #[expect(
        deprecated,
        reason = "the whole text is wanted in memory; its streaming sibling is for files"
    )]
    let decoded =
        polars::io::utils::compression::maybe_decompress_bytes(&raw, &mut out).map(|_| ());
    decoded.map_err(|e| DataError::read(path, format!("decompressing failed: {e}")))?;
    Ok(if out.is_empty() { raw } else { out })
}

/// Text in any encoding as UTF-8, without a byte order mark.
pub(super) fn utf8(bytes: Vec<u8>, label: Option<&str>, path: &str) -> Result<Vec<u8>> {
    let encoding = match label {
        Some(label) => encoding_rs::Encoding::for_label(label.as_bytes()).ok_or_else(|| {
            DataError::read(
                path,
                format!("there is no encoding {label:?}; say for example windows-1252"),
            )
        })?,
        None => match encoding_rs::Encoding::for_bom(&bytes) {
            Some((encoding, _)) => encoding,
            None if std::str::from_utf8(&bytes).is_ok() => return Ok(bytes),
            None => {
                let mut detector =
                    chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Allow);
                detector.feed(&bytes, true);
                detector.guess(None, chardetng::Utf8Detection::Deny)
            }
        },
    };
    let (text, used, damaged) = encoding.decode(&bytes);
    if damaged && label.is_some() {
        let line = bytes.split(|byte| *byte == b'\n').position(|line| encoding.decode(line).2);
        return Err(DataError::read(
            path,
            format!("line {}: not valid {}", line.map_or(0, |line| line + 1), used.name()),
        ));
    }
    Ok(text.into_owned().into_bytes())
}

fn download(url: &str) -> Result<Source> {
    let fail = |problem: String| DataError::read(url, problem);
    let response = ureq::get(url).call().map_err(|e| fail(format!("downloading failed: {e}")))?;
    let file_name =
        url.split(['?', '#']).next().and_then(|path| path.rsplit('/').next()).unwrap_or("");
    let suffix = file_name.find('.').map_or("", |dot| &file_name[dot..]);
    let mut file = tempfile::Builder::new()
        .prefix("oxilab-")
        .suffix(suffix)
        .tempfile()
        .map_err(|e| DataError::io("writing", "a temporary file", e))?;
    std::io::copy(&mut response.into_body().into_reader(), file.as_file_mut())
        .map_err(|e| fail(format!("downloading failed: {e}")))?;
    let guard = file.into_temp_path();
    let path = guard.to_path_buf();
    match detect(&path)? {
        Detected::Table(format) => Ok(Source::Downloaded {
            name: url.to_owned(),
            files: vec![path],
            format,
            _guard: guard,
        }),
        Detected::Sqlite => {
            Err(fail("is a SQLite database; download it, then use data::read_sql".to_owned()))
        }
    }
}
