//! Tensors of PyTorch's files: `.pt`, `.pth`, `.bin`.
//!
//! A pickle is a program, and Python runs it; here it is only read. Names that it would call are looked
//! at, the few that rebuild tensors are understood, all others are left alone. Sizes are checked
//! against the file before anything is allocated.
//!
//! Both forms are read: the zip archive that `torch.save` writes since 1.6, and the stream before it,
//! in which many older `pytorch_model.bin` are kept.

mod pickle;
mod state;
mod zip;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

pub use state::{Dtype, TensorInfo};

use crate::error::{HubError, Result};
use pickle::{Machine, Node};
use state::{Storage, tensors_of};

/// The pickle of a file: names, shapes and code, never the values. Larger is not believed.
const PICKLE_LIMIT: u64 = 64 << 20;
/// How the older form starts: a pickled number.
const LEGACY: [u8; 14] =
    [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

trait Source: Read + Seek + Send {}
impl<T: Read + Seek + Send> Source for T {}

/// An open file of tensors. Names are in file order; values are read when asked for.
///
/// ```no_run
/// let mut file = oxilab_hub::torch::TorchFile::open("pytorch_model.bin")?;
/// for info in file.tensors() {
///     println!("{} {:?} {:?}", info.name, info.dtype, info.shape);
/// }
/// # Ok::<(), oxilab_hub::HubError>(())
/// ```
pub struct TorchFile {
    name: String,
    source: Box<dyn Source>,
    tensors: Vec<TensorInfo>,
}

impl TorchFile {
    /// Opens a file and reads its names and shapes.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or holds no tensors under names (for example a whole pickled
    /// module instead of its `state_dict()`).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|e| HubError::file("read", path, e))?;
        Self::read(file, &path.display().to_string())
    }

    /// As [`TorchFile::open`], for anything that can be read from; `name` is for messages.
    ///
    /// # Errors
    /// As [`TorchFile::open`].
    pub fn read(source: impl Read + Seek + Send + 'static, name: &str) -> Result<Self> {
        let mut source: Box<dyn Source> = Box::new(source);
        let tensors = scan(&mut *source)
            .map_err(|reason| HubError::Torch { file: name.to_owned(), reason })?;
        Ok(Self { name: name.to_owned(), source, tensors })
    }

    /// Names, types and shapes.
    #[must_use]
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The values of a tensor, row after row, little-endian.
    ///
    /// # Errors
    /// When there is no such tensor or the file cannot be read.
    pub fn bytes(&mut self, name: &str) -> Result<Vec<u8>> {
        let damaged = |reason: String| HubError::Torch { file: self.name.clone(), reason };
        let info = self.tensors.iter().find(|info| info.name == name);
        let info = info.ok_or_else(|| damaged(format!("it holds no tensor {name:?}")))?;
        // `state` has checked that all of this lies inside the file.
        let (start, length) = info.extent();
        let mut bytes = vec![0u8; length];
        let read = self.source.seek(SeekFrom::Start(start));
        read.and_then(|_| self.source.read_exact(&mut bytes))
            .map_err(|e| damaged(format!("the values of {name} cannot be read: {e}")))?;
        Ok(info.gather(bytes))
    }
}

impl std::fmt::Debug for TorchFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TorchFile({}, {} tensors)", self.name, self.tensors.len())
    }
}

type Plain<T> = Result<T, String>;

fn scan(source: &mut dyn Source) -> Plain<Vec<TensorInfo>> {
    let length = source.seek(SeekFrom::End(0)).map_err(text)?;
    source.rewind().map_err(text)?;
    let mut start = Vec::new();
    source.take(14).read_to_end(&mut start).map_err(text)?;
    if start.starts_with(b"PK") {
        return archive(source, length);
    }
    if start == LEGACY {
        return stream(source, length);
    }
    Err("it is neither a zip archive nor PyTorch's older form".to_owned())
}

/// The zip form: `NAME/data.pkl`, and `NAME/data/KEY` for each storage.
fn archive(source: &mut dyn Source, length: u64) -> Plain<Vec<TensorInfo>> {
    let entries = zip::entries(source, length)?;
    let main = entries.iter().find(|entry| entry.name.ends_with("/data.pkl"));
    let main =
        main.ok_or("the archive has no data.pkl; is it a TorchScript or another zip file?")?;
    let folder = main.name.trim_end_matches("data.pkl");
    if let Some(order) = entries.iter().find(|entry| entry.name == format!("{folder}byteorder"))
        && part(source, order.start, order.size)? != b"little"
    {
        return Err("its values are big-endian".to_owned());
    }
    if main.size > PICKLE_LIMIT {
        return Err(format!("its pickle of {} bytes is over {PICKLE_LIMIT}", main.size));
    }
    let bytes = part(source, main.start, main.size)?;
    let mut machine = Machine::new(&bytes);
    let root = machine.run()?;
    let data = format!("{folder}data/");
    let storages: std::collections::HashMap<&str, (u64, u64)> = entries
        .iter()
        .filter_map(|entry| Some((entry.name.strip_prefix(&data)?, (entry.start, entry.size))))
        .collect();
    tensors_of(&machine.nodes, root, &|storage: &Storage| {
        let (start, size) = storages
            .get(storage.key.as_str())
            .ok_or_else(|| format!("the archive has no storage {:?}", storage.key))?;
        Ok((*start, *size))
    })
}

/// The older form: four pickles (magic, version, machine, content), a pickle of storage keys, and the
/// storages, each a count and its values.
fn stream(source: &mut dyn Source, length: u64) -> Plain<Vec<TensorInfo>> {
    // All pickles stand at the start; the storages' sizes follow from the pickles.
    let head = length.min(PICKLE_LIMIT);
    let bytes = part(source, 0, head)?;
    let mut at = 0;
    let mut next = || -> Plain<(Vec<Node>, u32, usize)> {
        let mut machine = Machine::new(&bytes[at..]);
        let root = machine.run()?;
        at += machine.position();
        Ok((machine.nodes, root, at))
    };
    for _ in 0..3 {
        next()?;
    }
    let (nodes, root, _) = next()?;
    let (key_nodes, key_root, end) = next()?;
    let Some(Node::List(keys)) = key_nodes.get(key_root as usize) else {
        return Err("its list of storages is not a list".to_owned());
    };
    let widths = state::storage_widths(&nodes);
    let mut place = end as u64;
    let mut storages = std::collections::HashMap::new();
    for key in keys {
        let Some(Node::Text(key)) = key_nodes.get(*key as usize) else {
            return Err("a storage's key is not text".to_owned());
        };
        let Some(width) = widths.get(key.as_str()) else {
            return Err(format!("storage {key:?} has no type"));
        };
        if place.checked_add(8).is_none_or(|end| end > length) {
            return Err(format!("it ends before storage {key:?}"));
        }
        let count = part(source, place, 8)?;
        let count = u64::from_le_bytes(count.try_into().unwrap_or_default());
        let size = count.checked_mul(*width).filter(|size| *size <= length - place - 8);
        let Some(size) = size else {
            return Err(format!("storage {key:?} of {count} values is larger than the file"));
        };
        storages.insert(key.as_str(), (place + 8, size));
        place += 8 + size;
    }
    tensors_of(&nodes, root, &|storage: &Storage| {
        let found = storages.get(storage.key.as_str()).copied();
        found.ok_or_else(|| format!("the file has no storage {:?}", storage.key))
    })
}

/// Some bytes; the caller has checked that they are in the file.
fn part(source: &mut dyn Source, start: u64, size: u64) -> Plain<Vec<u8>> {
    source.seek(SeekFrom::Start(start)).map_err(text)?;
    let mut bytes = Vec::new();
    source.take(size).read_to_end(&mut bytes).map_err(text)?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err("it ends early".to_owned()) }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
fn text(error: std::io::Error) -> String {
    error.to_string()
}
