//! The index: every item of some crates in one file, of which only the list of paths is in memory.
//!
//! A record is read when it is asked for and a bounded number of them is kept. Layout of the file:
//! a line that names the format, the records as JSON back to back, the directory (one line for each
//! path: path, kind, offset, length), and last the directory's offset in sixteen hexadecimal digits.
//! Two paths of the same item share a record. The record of the empty path holds the [`Facts`].

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::page::Item;

/// First line of the file; another line is another format, and the index is made again.
const MAGIC: &str = "oxilab index 1\n";
/// Bytes of the last line.
const TRAILER: usize = 17;
/// Bytes of records, as they stand in the file, that are kept in memory.
const KEPT: u64 = 16 << 20;

/// What an index knows besides items.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Names that a cell has in scope, each with the path of what it names.
    pub(crate) in_scope: BTreeMap<String, String>,
    /// Last segments of the traits that a cell has in scope, those without a name included.
    pub(crate) traits: Vec<String>,
}

/// A path in the directory.
#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    length: u32,
    kind: u32,
    offset: u64,
    size: u32,
}

/// An open index.
#[derive(Debug)]
pub(crate) struct Index {
    file: File,
    /// The directory as it stands in the file.
    text: String,
    /// Sorted by path.
    entries: Vec<Entry>,
    /// Indices of `entries`, sorted by last segment.
    by_name: Vec<u32>,
    kept: Mutex<Kept>,
    facts: Facts,
}

#[derive(Debug, Default)]
struct Kept {
    items: HashMap<u64, Arc<Item>>,
    /// Offset and size of each, the oldest first.
    order: VecDeque<(u64, u32)>,
    bytes: u64,
}

impl Index {
    /// Opens an index.
    ///
    /// # Errors
    /// When the file cannot be read or is no index of this format.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        let mut magic = [0; MAGIC.len()];
        file.read_exact_at(&mut magic, 0)?;
        if magic != *MAGIC.as_bytes() || size < (MAGIC.len() + TRAILER) as u64 {
            return Err(broken("no index of this version"));
        }
        let mut trailer = [0; TRAILER];
        file.read_exact_at(&mut trailer, size - TRAILER as u64)?;
        let digits = std::str::from_utf8(&trailer).map_err(|_| broken("cut off"))?;
        let start = u64::from_str_radix(digits.trim_end(), 16).map_err(|_| broken("cut off"))?;
        let length = (size - TRAILER as u64).checked_sub(start).ok_or_else(|| broken("cut off"))?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| broken("too large"))?];
        file.read_exact_at(&mut bytes, start)?;
        let text = String::from_utf8(bytes).map_err(|_| broken("the directory is not text"))?;
        let entries = entries(&text).ok_or_else(|| broken("the directory is damaged"))?;
        let mut by_name: Vec<u32> = (0..u32::try_from(entries.len()).unwrap_or(0)).collect();
        by_name.sort_by_key(|index| last(path_of(&text, &entries[*index as usize])));
        let mut index =
            Self { file, text, entries, by_name, kept: Mutex::default(), facts: Facts::default() };
        if let Ok(at) = index.position("") {
            let entry = index.entries[at];
            index.facts = serde_json::from_slice(&index.bytes(&entry)?)?;
        }
        Ok(index)
    }

    /// What it knows besides items.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// How many paths it holds.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes that stay in memory, the kept records aside.
    pub(crate) fn memory(&self) -> usize {
        self.text.len() + self.entries.len() * (size_of::<Entry>() + size_of::<u32>())
    }

    /// The most bytes of records, as they stand in the file, that are kept in memory.
    pub(crate) fn most_kept(&self) -> u64 {
        let records: BTreeMap<u64, u32> =
            self.entries.iter().map(|entry| (entry.offset, entry.size)).collect();
        records.values().map(|size| u64::from(*size)).sum::<u64>().min(KEPT)
    }

    /// The item at a path.
    pub(crate) fn get(&self, path: &str) -> Option<Arc<Item>> {
        let at = self.position(path).ok()?;
        self.item(&self.entries[at])
    }

    /// rustdoc's word for what stands at a path.
    pub(crate) fn kind(&self, path: &str) -> Option<&str> {
        let at = self.position(path).ok()?;
        Some(self.kind_of(&self.entries[at]))
    }

    /// All paths with this last segment, with their kinds; of paths to one item only the shortest.
    pub(crate) fn named(&self, name: &str) -> Vec<(&str, &str)> {
        let key = |index: &u32| last(path_of(&self.text, &self.entries[*index as usize]));
        let first = self.by_name.partition_point(|index| key(index) < name);
        let mut found: Vec<&Entry> = self.by_name[first..]
            .iter()
            .take_while(|index| key(index) == name)
            .map(|index| &self.entries[*index as usize])
            .collect();
        found.sort_by_key(|entry| (entry.offset, entry.length));
        found.dedup_by_key(|entry| entry.offset);
        found.iter().map(|entry| (path_of(&self.text, entry), self.kind_of(entry))).collect()
    }

    /// What stands directly in a module: names and kinds.
    pub(crate) fn children<'a>(
        &'a self,
        path: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let prefix = format!("{path}::");
        let first =
            self.entries.partition_point(|entry| path_of(&self.text, entry) < prefix.as_str());
        self.entries[first..]
            .iter()
            .map_while(move |entry| {
                let rest = path_of(&self.text, entry).strip_prefix(&prefix)?;
                Some((rest, self.kind_of(entry)))
            })
            .filter(|(rest, _)| !rest.contains("::"))
    }

    fn position(&self, path: &str) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| path_of(&self.text, entry).cmp(path))
    }

    fn kind_of(&self, entry: &Entry) -> &str {
        let start = (entry.start + entry.length + 1) as usize;
        &self.text[start..start + entry.kind as usize]
    }

    fn bytes(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; entry.size as usize];
        self.file.read_exact_at(&mut bytes, entry.offset)?;
        Ok(bytes)
    }

    fn item(&self, entry: &Entry) -> Option<Arc<Item>> {
        let lock = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().items.get(&entry.offset) {
            return Some(Arc::clone(found));
        }
        let read = self.bytes(entry).and_then(|bytes| Ok(serde_json::from_slice::<Item>(&bytes)?));
        let item = match read {
            Ok(item) => Arc::new(item),
            Err(error) => {
                tracing::warn!(%error, "a record of the completion index could not be read");
                return None;
            }
        };
        let mut kept = lock();
        if kept.items.insert(entry.offset, Arc::clone(&item)).is_none() {
            kept.order.push_back((entry.offset, entry.size));
            kept.bytes += u64::from(entry.size);
        }
        while kept.bytes > KEPT
            && let Some((oldest, size)) = kept.order.pop_front()
        {
            kept.items.remove(&oldest);
            kept.bytes -= u64::from(size);
        }
        Some(item)
    }
}

fn path_of<'a>(text: &'a str, entry: &Entry) -> &'a str {
    &text[entry.start as usize..(entry.start + entry.length) as usize]
}

/// The last segment of a path.
pub(crate) fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

fn entries(text: &str) -> Option<Vec<Entry>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.lines() {
        let mut fields = line.split('\t');
        let (path, kind) = (fields.next()?, fields.next()?);
        found.push(Entry {
            start,
            length: u32::try_from(path.len()).ok()?,
            kind: u32::try_from(kind.len()).ok()?,
            offset: fields.next()?.parse().ok()?,
            size: fields.next()?.parse().ok()?,
        });
        start += u32::try_from(line.len()).ok()? + 1;
    }
    Some(found)
}

/// Writes an index, record by record.
#[derive(Debug)]
pub(super) struct IndexWriter<W> {
    out: W,
    at: u64,
    /// Record by the hash and length of its content.
    known: HashMap<(u64, usize), (u64, u32)>,
    directory: BTreeMap<String, (String, u64, u32)>,
    /// Path → the path that it leads to.
    aliases: Vec<(String, String)>,
}

impl<W: Write> IndexWriter<W> {
    /// Starts an index.
    ///
    /// # Errors
    /// When nothing can be written.
    pub(super) fn new(mut out: W) -> io::Result<Self> {
        out.write_all(MAGIC.as_bytes())?;
        Ok(Self {
            out,
            at: MAGIC.len() as u64,
            known: HashMap::new(),
            directory: BTreeMap::new(),
            aliases: Vec::new(),
        })
    }

    /// Adds an item under a path.
    ///
    /// # Errors
    /// When nothing can be written.
    pub(super) fn add(&mut self, path: &str, item: &Item) -> io::Result<()> {
        self.record(path, &item.kind, &serde_json::to_vec(item)?)
    }

    /// Another path of an item that is added before or afterwards.
    pub(super) fn alias(&mut self, path: String, target: String) {
        self.aliases.push((path, target));
    }

    fn record(&mut self, path: &str, kind: &str, json: &[u8]) -> io::Result<()> {
        let mut hasher = DefaultHasher::new();
        json.hash(&mut hasher);
        let content = (hasher.finish(), json.len());
        let (offset, size) = if let Some(place) = self.known.get(&content) {
            *place
        } else {
            let size = u32::try_from(json.len()).map_err(io::Error::other)?;
            self.out.write_all(json)?;
            let place = (self.at, size);
            self.at += json.len() as u64;
            self.known.insert(content, place);
            place
        };
        self.directory.insert(path.to_owned(), (kind.to_owned(), offset, size));
        Ok(())
    }

    /// Ends the index; returns what it was written to and how many paths there are.
    ///
    /// # Errors
    /// When nothing can be written.
    pub(super) fn finish(mut self, facts: &Facts) -> io::Result<(W, usize)> {
        for (path, target) in std::mem::take(&mut self.aliases) {
            if let Some(found) = self.directory.get(&target).cloned() {
                self.directory.entry(path).or_insert(found);
            }
        }
        self.record("", "facts", &serde_json::to_vec(facts)?)?;
        for (path, (kind, offset, size)) in &self.directory {
            writeln!(self.out, "{path}\t{kind}\t{offset}\t{size}")?;
        }
        writeln!(self.out, "{:016x}", self.at)?;
        Ok((self.out, self.directory.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: &str, declaration: &str) -> Item {
        Item { kind: kind.to_owned(), declaration: declaration.to_owned(), ..Item::default() }
    }

    fn written(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("a.index");
        let mut writer = IndexWriter::new(File::create(&path).expect("made")).expect("starts");
        writer.add("std::vec::Vec", &item("struct", "struct Vec")).expect("added");
        writer.add("std::prelude::v1::Vec", &item("struct", "struct Vec")).expect("added");
        writer.add("std::vec", &item("mod", "")).expect("added");
        writer.add("std::vec::vec", &item("macro", "")).expect("added");
        writer.add("std::vec_deque", &item("mod", "")).expect("added");
        writer.alias("std::prelude::v2::Vec".to_owned(), "std::vec::Vec".to_owned());
        writer.alias("std::prelude::v2::Gone".to_owned(), "std::gone::Gone".to_owned());
        let facts = Facts { traits: vec!["Read".to_owned()], ..Facts::default() };
        let (_, count) = writer.finish(&facts).expect("ended");
        assert_eq!(count, 7);
        path
    }

    #[test]
    fn what_was_written_is_found() {
        let folder = tempfile::tempdir().expect("folder");
        let index = Index::open(&written(folder.path())).expect("opens");
        assert_eq!(index.get("std::vec::Vec").expect("is there").declaration, "struct Vec");
        assert_eq!(index.kind("std::vec"), Some("mod"));
        assert_eq!(index.kind("std::prelude::v2::Vec"), Some("struct"));
        assert!(
            index.get("std::vec::Ve").is_none() && index.kind("std::prelude::v2::Gone").is_none()
        );
        assert_eq!(index.facts().traits, ["Read"]);
        let children: Vec<_> = index.children("std::vec").collect();
        assert_eq!(children, [("Vec", "struct"), ("vec", "macro")]);
        assert_eq!(
            index.named("Vec"),
            [("std::vec::Vec", "struct")],
            "one item, its shortest path"
        );
        assert!(index.memory() > 0 && index.len() == 7);
    }

    #[test]
    fn the_records_read_last_are_kept_and_no_more_than_that() {
        const RECORD: usize = 1 << 20;
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.index");
        let mut writer = IndexWriter::new(File::create(&path).expect("made")).expect("starts");
        let declaration = |number: usize| format!("{number:08}").repeat(RECORD / 8);
        let count = 20;
        for number in 0..count {
            writer
                .add(&format!("a::N{number}"), &item("struct", &declaration(number)))
                .expect("added");
        }
        let larger = item("struct", &"x".repeat(usize::try_from(KEPT).expect("fits") + 1));
        writer.add("a::Larger", &larger).expect("added");
        writer.finish(&Facts::default()).expect("ended");
        let index = Index::open(&path).expect("opens");
        assert_eq!(index.most_kept(), KEPT);
        let kept = || {
            let kept = index.kept.lock().expect("no panic");
            assert_eq!((kept.items.len(), kept.bytes <= KEPT), (kept.order.len(), true));
            kept.items.len()
        };
        let get = |number: usize| index.get(&format!("a::N{number}")).expect("is there");
        let first = get(0);
        assert!(Arc::ptr_eq(&first, &get(0)), "it was kept");
        for number in 1..count {
            assert_eq!(get(number).declaration, declaration(number));
        }
        // Each is a little larger than a megabyte, so that fifteen fit.
        assert_eq!(kept(), 15);
        assert!(Arc::ptr_eq(&get(count - 1), &get(count - 1)));
        let again = get(0);
        assert!(!Arc::ptr_eq(&first, &again) && first.declaration == again.declaration);
        assert_eq!(index.get("a::Larger").expect("is there").declaration, larger.declaration);
        assert_eq!(kept(), 0, "what is larger than all that may be kept is not");
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let folder = tempfile::tempdir().expect("folder");
        let path = written(folder.path());
        let bytes = std::fs::read(&path).expect("read");
        for cut in [0, 5, MAGIC.len() + 3, bytes.len() - 30, bytes.len() - 3] {
            std::fs::write(&path, &bytes[..cut]).expect("written");
            assert!(Index::open(&path).is_err(), "{cut}");
        }
        let mut other = bytes.clone();
        other[13] = b'9';
        std::fs::write(&path, other).expect("written");
        assert!(Index::open(&path).is_err(), "another format");
    }
}
