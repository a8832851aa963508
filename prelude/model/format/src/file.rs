//! Reading and writing: [`ModelFile`], [`Section`], [`FormatError`].

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::schema::Header;

const MAGIC: &[u8; 8] = b"OXIMODEL";
const PREFIX: usize = MAGIC.len() + 4 + 8;
const CHECKSUM: usize = 32;

/// The version of the format that this library writes, and the only one it reads.
pub const VERSION: u32 = 1;

/// Why a file is not a model, or could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// The file does not begin as a model file does.
    #[error(
        "this is not an oxilab model file: it does not begin with OXIMODEL; pass a file that `save` wrote"
    )]
    NotAModel,
    /// The file was written by another version.
    #[error(
        "the model file has format version {found}, this library reads {expected}; save it again with a library of this version, or load it with the one that wrote it"
    )]
    Version {
        /// The file's version.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// The checksum is wrong.
    #[error(
        "the model file is corrupted: its checksum does not match; copy it again from where it was saved"
    )]
    Checksum,
    /// The file ends early, or lengths in it contradict each other.
    #[error("the model file is damaged: {problem}; copy it again from where it was saved")]
    Damaged {
        /// What does not fit.
        problem: String,
    },
    /// The header is not what this version expects.
    #[error("reading the header of the model file: {source}")]
    Header {
        /// The cause.
        #[from]
        source: serde_json::Error,
    },
    /// A section is missing or has another type.
    #[error(
        "the model file has no section `{name}` of type {expected}; it was written by a library with other learners"
    )]
    Section {
        /// Its name.
        name: String,
        /// What was asked for.
        expected: &'static str,
    },
    /// The file system refused.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// Reading or writing.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

/// A named part of the payload.
#[derive(Clone, Debug, PartialEq)]
pub enum Section {
    /// 64-bit floats.
    F64(Vec<f64>),
    /// Unsigned 32-bit integers.
    U32(Vec<u32>),
    /// Anything else: text, nested files.
    Bytes(Vec<u8>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum SectionType {
    F64,
    U32,
    Bytes,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    name: String,
    #[serde(rename = "type")]
    section_type: SectionType,
    bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct FullHeader {
    #[serde(flatten)]
    header: Header,
    sections: Vec<Entry>,
}

/// A model as it stands in a file.
///
/// ```
/// use std::collections::BTreeMap;
/// use oxilab_model_format::{Header, ModelFile, Schema, Section, Task};
///
/// let schema = Schema { task: Task::Regression, columns: vec![], target: Some("y".into()),
///     target_dtype: Some("f64".into()), classes: vec![] };
/// let header = Header { learner: "Dummy".into(), kind: "dummy".into(), schema,
///     params: serde_json::json!({}), metrics: BTreeMap::new(), libraries: BTreeMap::new(),
///     training_rows: 1, training_data: String::new() };
/// let mut file = ModelFile::new(header);
/// file.put("mean", Section::F64(vec![0.1]));
/// let bytes = file.to_bytes()?;
/// assert_eq!(ModelFile::from_bytes(&bytes)?.f64("mean")?, [0.1]);
/// # Ok::<(), oxilab_model_format::FormatError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ModelFile {
    /// Everything but the numbers.
    pub header: Header,
    sections: BTreeMap<String, Section>,
}

impl ModelFile {
    /// A file without sections.
    #[must_use]
    pub fn new(header: Header) -> Self {
        Self { header, sections: BTreeMap::new() }
    }

    /// Adds or replaces a section.
    pub fn put(&mut self, name: impl Into<String>, section: Section) {
        self.sections.insert(name.into(), section);
    }

    /// The floats of a section.
    ///
    /// # Errors
    /// [`FormatError::Section`] if it is missing or of another type.
    pub fn f64(&self, name: &str) -> Result<&[f64], FormatError> {
        match self.sections.get(name) {
            Some(Section::F64(values)) => Ok(values),
            _ => Err(FormatError::Section { name: name.to_owned(), expected: "f64" }),
        }
    }

    /// The integers of a section.
    ///
    /// # Errors
    /// [`FormatError::Section`] if it is missing or of another type.
    pub fn u32(&self, name: &str) -> Result<&[u32], FormatError> {
        match self.sections.get(name) {
            Some(Section::U32(values)) => Ok(values),
            _ => Err(FormatError::Section { name: name.to_owned(), expected: "u32" }),
        }
    }

    /// The bytes of a section.
    ///
    /// # Errors
    /// [`FormatError::Section`] if it is missing or of another type.
    pub fn bytes(&self, name: &str) -> Result<&[u8], FormatError> {
        match self.sections.get(name) {
            Some(Section::Bytes(bytes)) => Ok(bytes),
            _ => Err(FormatError::Section { name: name.to_owned(), expected: "bytes" }),
        }
    }

    /// The file's bytes; the same model always gives the same bytes.
    ///
    /// # Errors
    /// If the header cannot be written as JSON (a metric that is not finite).
    pub fn to_bytes(&self) -> Result<Vec<u8>, FormatError> {
        let mut payload = Vec::new();
        let mut entries = Vec::with_capacity(self.sections.len());
        for (name, section) in &self.sections {
            let before = payload.len();
            let section_type = match section {
                Section::F64(values) => {
                    payload.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                    SectionType::F64
                }
                Section::U32(values) => {
                    payload.extend(values.iter().flat_map(|value| value.to_le_bytes()));
                    SectionType::U32
                }
                Section::Bytes(bytes) => {
                    payload.extend_from_slice(bytes);
                    SectionType::Bytes
                }
            };
            let bytes = (payload.len() - before) as u64;
            entries.push(Entry { name: name.clone(), section_type, bytes });
        }
        let full = FullHeader { header: self.header.clone(), sections: entries };
        let header = serde_json::to_vec(&full)?;
        let mut out = Vec::with_capacity(PREFIX + header.len() + payload.len() + CHECKSUM);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(header.len() as u64).to_le_bytes());
        out.extend_from_slice(&header);
        out.extend_from_slice(&payload);
        let checksum = Sha256::digest(&out);
        out.extend_from_slice(&checksum);
        Ok(out)
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// [`FormatError`] for anything that is not a whole, untouched file of this version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        let Some(rest) = bytes.strip_prefix(MAGIC) else { return Err(FormatError::NotAModel) };
        let Some((version, rest)) = rest.split_first_chunk::<4>() else {
            return Err(damaged("it ends within its first 20 bytes"));
        };
        let found = u32::from_le_bytes(*version);
        if found != VERSION {
            return Err(FormatError::Version { found, expected: VERSION });
        }
        let Some((length, rest)) = rest.split_first_chunk::<8>() else {
            return Err(damaged("it ends within its first 20 bytes"));
        };
        let Some((body, checksum)) = rest.split_last_chunk::<CHECKSUM>() else {
            return Err(damaged("it is too short to hold a checksum"));
        };
        if Sha256::digest(&bytes[..bytes.len() - CHECKSUM]).as_slice() != checksum {
            return Err(FormatError::Checksum);
        }
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > body.len() {
            return Err(damaged("its header is longer than the file"));
        }
        let (header, mut payload) = body.split_at(length);
        let full: FullHeader = serde_json::from_slice(header)?;
        let mut sections = BTreeMap::new();
        for entry in full.sections {
            let length = usize::try_from(entry.bytes).unwrap_or(usize::MAX);
            if length > payload.len() {
                return Err(damaged(format!("section `{}` is longer than the file", entry.name)));
            }
            let (part, after) = payload.split_at(length);
            payload = after;
            let section = read_section(entry.section_type, part)
                .ok_or_else(|| damaged(format!("section `{}` ends within a number", entry.name)))?;
            if sections.insert(entry.name.clone(), section).is_some() {
                return Err(damaged(format!("section `{}` stands in it twice", entry.name)));
            }
        }
        if !payload.is_empty() {
            return Err(damaged("it goes on after its last section"));
        }
        Ok(Self { header: full.header, sections })
    }

    /// Writes the file aside and renames it into place.
    ///
    /// # Errors
    /// If the header cannot be written or the file system refuses.
    pub fn save(&self, path: &Path) -> Result<(), FormatError> {
        let bytes = self.to_bytes()?;
        write_whole(path, &bytes).map_err(|source| FormatError::Io {
            doing: "saving the model to",
            path: path.to_owned(),
            source,
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If the file system refuses, or as [`ModelFile::from_bytes`].
    pub fn load(path: &Path) -> Result<Self, FormatError> {
        let bytes = fs::read(path).map_err(|source| FormatError::Io {
            doing: "loading the model from",
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(&bytes)
    }
}

fn read_section(section_type: SectionType, part: &[u8]) -> Option<Section> {
    Some(match section_type {
        SectionType::F64 => {
            let (numbers, rest) = part.as_chunks::<8>();
            rest.is_empty()
                .then(|| Section::F64(numbers.iter().map(|n| f64::from_le_bytes(*n)).collect()))?
        }
        SectionType::U32 => {
            let (numbers, rest) = part.as_chunks::<4>();
            rest.is_empty()
                .then(|| Section::U32(numbers.iter().map(|n| u32::from_le_bytes(*n)).collect()))?
        }
        SectionType::Bytes => Section::Bytes(part.to_vec()),
    })
}

fn damaged(problem: impl Into<String>) -> FormatError {
    FormatError::Damaged { problem: problem.into() }
}

/// Writes a file that appears whole or not at all: aside, then renamed over what was there.
///
/// ```
/// let path = std::env::temp_dir().join(format!("oxilab-whole-{}", std::process::id()));
/// oxilab_model_format::write_whole(&path, b"text")?;
/// assert_eq!(std::fs::read(&path)?, b"text");
/// std::fs::remove_file(path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// If the file system refuses; what was there stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".{}.part", std::process::id()));
    let aside = PathBuf::from(aside);
    let write = || {
        let mut file = fs::File::create(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    write().inspect_err(|_| {
        // The first error is the one to report.
        let _ = fs::remove_file(&aside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Column, ColumnKind, Schema, Task};

    fn file() -> ModelFile {
        let column = Column {
            name: "a".into(),
            dtype: "str".into(),
            kind: ColumnKind::Categorical,
            categories: vec!["x".into(), "y".into()],
            nullable: true,
        };
        let schema = Schema {
            task: Task::Binary,
            columns: vec![column],
            target: Some("t".into()),
            target_dtype: Some("str".into()),
            classes: vec!["no".into(), "yes".into()],
        };
        let mut file = ModelFile::new(Header {
            learner: "L".into(),
            kind: "k".into(),
            schema,
            params: serde_json::json!({"c": 1.0}),
            metrics: BTreeMap::from([("auc".to_owned(), 0.5)]),
            libraries: BTreeMap::new(),
            training_rows: 3,
            training_data: "00".into(),
        });
        file.put("w", Section::F64(vec![0.1, f64::NAN, -0.0]));
        file.put("n", Section::U32(vec![1, u32::MAX]));
        file.put("t", Section::Bytes(b"tree".to_vec()));
        file
    }

    /// Puts a right checksum on changed bytes, to get past it.
    fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(bytes.len() - CHECKSUM);
        let checksum = Sha256::digest(&bytes);
        bytes.extend_from_slice(&checksum);
        bytes
    }

    #[test]
    fn bytes_come_back_to_the_last_bit() {
        let bytes = file().to_bytes().unwrap();
        let back = ModelFile::from_bytes(&bytes).unwrap();
        assert_eq!(back.header, file().header);
        let bits: Vec<u64> = back.f64("w").unwrap().iter().map(|v| v.to_bits()).collect();
        assert_eq!(bits, [0.1_f64.to_bits(), f64::NAN.to_bits(), (-0.0_f64).to_bits()]);
        assert_eq!(back.u32("n").unwrap(), [1, u32::MAX]);
        assert_eq!(back.bytes("t").unwrap(), b"tree");
        assert!(matches!(back.f64("n"), Err(FormatError::Section { .. })));
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_an_error() {
        let bytes = file().to_bytes().unwrap();
        for length in 0..bytes.len() {
            assert!(ModelFile::from_bytes(&bytes[..length]).is_err(), "cut at {length}");
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert!(ModelFile::from_bytes(&changed).is_err(), "flipped at {place}");
        }
    }

    #[test]
    fn changes_behind_a_right_checksum_never_panic() {
        let bytes = file().to_bytes().unwrap();
        for place in 0..bytes.len() - CHECKSUM {
            for value in [0, 0x7f, 0xff, b'9', b'}'] {
                let mut changed = bytes.clone();
                changed[place] = value;
                let _ = ModelFile::from_bytes(&sealed(changed));
            }
        }
        let mut long = bytes.clone();
        long[12..20].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(ModelFile::from_bytes(&sealed(long)), Err(FormatError::Damaged { .. })));
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = file().to_bytes().unwrap();
        bytes[8] = 2;
        let error = ModelFile::from_bytes(&bytes).unwrap_err();
        assert!(matches!(error, FormatError::Version { found: 2, expected: 1 }), "{error}");
        assert!(matches!(ModelFile::from_bytes(b"PK..."), Err(FormatError::NotAModel)));
    }
}
