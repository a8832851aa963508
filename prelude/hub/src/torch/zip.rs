//! The entries of a zip archive whose files are stored, not compressed, as PyTorch writes it.

use std::io::SeekFrom;

use super::{Plain, Source, part, text};

/// A stored file.
pub(super) struct Entry {
    pub(super) name: String,
    /// The place of its first byte in the archive.
    pub(super) start: u64,
    pub(super) size: u64,
}

/// The directory of an archive of `length` bytes. Every entry lies inside it.
pub(super) fn entries(source: &mut dyn Source, length: u64) -> Plain<Vec<Entry>> {
    let (count, size, start) = directory(source, length)?;
    let inside = start.checked_add(size).is_some_and(|end| end <= length);
    // An entry of the directory takes 46 bytes and its name.
    if !inside || count > size / 46 {
        return Err(format!("its directory of {count} entries does not fit into {length} bytes"));
    }
    let bytes = part(source, start, size)?;
    let mut entries = Vec::new();
    let mut rest = &bytes[..];
    for _ in 0..count {
        let (entry, after) = entry(rest)?;
        rest = after;
        if let Some(entry) = entry {
            entries.push(placed(source, entry, length)?);
        }
    }
    Ok(entries)
}

/// Number of entries, size and place of the directory.
fn directory(source: &mut dyn Source, length: u64) -> Plain<(u64, u64, u64)> {
    const END: usize = 22;
    let tail = length.min(END as u64 + 0xffff);
    let bytes = part(source, length - tail, tail)?;
    let last = bytes.len().checked_sub(END).ok_or("it is too short for a zip archive")?;
    let at = (0..=last).rev().find(|at| bytes[*at..].starts_with(b"PK\x05\x06"));
    let at = at.ok_or("the directory at its end is missing; the file is cut off")?;
    let end = &bytes[at..];
    let (count, size, start) = (short(end, 10), long(end, 12), long(end, 16));
    if count != 0xffff && size != 0xffff_ffff && start != 0xffff_ffff {
        return Ok((count, size, start));
    }
    let locator = at.checked_sub(20).map(|at| &bytes[at..]);
    let locator = locator.filter(|locator| locator.starts_with(b"PK\x06\x07"));
    let place = wide(locator.ok_or("its 64-bit directory is missing")?, 8);
    if place.checked_add(56).is_none_or(|end| end > length) {
        return Err("its 64-bit directory lies outside the file".to_owned());
    }
    let end = part(source, place, 56)?;
    if !end.starts_with(b"PK\x06\x06") {
        return Err("its 64-bit directory is damaged".to_owned());
    }
    Ok((wide(&end, 32), wide(&end, 40), wide(&end, 48)))
}

/// An entry of the directory, and what stands behind it; `start` is still that of its own header.
fn entry(bytes: &[u8]) -> Plain<(Option<Entry>, &[u8])> {
    if bytes.len() < 46 || !bytes.starts_with(b"PK\x01\x02") {
        return Err("an entry of its directory is damaged".to_owned());
    }
    let lengths = [28, 30, 32].map(|at| usize::try_from(short(bytes, at)).unwrap_or(usize::MAX));
    let end = lengths.iter().sum::<usize>() + 46;
    let (Some(extra), Some(after)) =
        (bytes.get(46 + lengths[0]..46 + lengths[0] + lengths[1]), bytes.get(end..))
    else {
        return Err("an entry of its directory is cut off".to_owned());
    };
    let name = String::from_utf8_lossy(&bytes[46..46 + lengths[0]]).into_owned();
    let (method, flags) = (short(bytes, 10), short(bytes, 8));
    let (mut packed, mut size, mut start) = (long(bytes, 20), long(bytes, 24), long(bytes, 42));
    widen(extra, [&mut size, &mut packed, &mut start])?;
    if name.ends_with('/') {
        return Ok((None, after));
    }
    if method != 0 || flags & 1 != 0 || packed != size {
        return Err(format!("{name:?} is compressed or encrypted, which PyTorch does not write"));
    }
    Ok((Some(Entry { name, start, size }), after))
}

/// Fields of 32 bits that are full stand in the extra field with 64, in this order.
fn widen(mut extra: &[u8], fields: [&mut u64; 3]) -> Plain<()> {
    while extra.len() >= 4 {
        let size = usize::try_from(short(extra, 2)).unwrap_or(usize::MAX);
        let Some(body) = extra.get(4..4 + size) else { break };
        if short(extra, 0) == 1 {
            let mut at = 0;
            for field in fields {
                if *field == 0xffff_ffff {
                    if body.len() < at + 8 {
                        return Err("a 64-bit size of its directory is cut off".to_owned());
                    }
                    *field = wide(body, at);
                    at += 8;
                }
            }
            return Ok(());
        }
        extra = &extra[4 + size..];
    }
    Ok(())
}

/// Moves `start` from the file's own header to its first byte.
fn placed(source: &mut dyn Source, mut entry: Entry, length: u64) -> Plain<Entry> {
    let outside = || format!("{:?} lies outside the archive", entry.name);
    if entry.start.checked_add(30).is_none_or(|end| end > length) {
        return Err(outside());
    }
    let mut header = [0u8; 30];
    source.seek(SeekFrom::Start(entry.start)).map_err(text)?;
    source.read_exact(&mut header).map_err(text)?;
    if !header.starts_with(b"PK\x03\x04") {
        return Err(format!("the header of {:?} is damaged", entry.name));
    }
    let start = entry.start + 30 + short(&header, 26) + short(&header, 28);
    if start.checked_add(entry.size).is_none_or(|end| end > length) {
        return Err(outside());
    }
    entry.start = start;
    Ok(entry)
}

fn short(bytes: &[u8], at: usize) -> u64 {
    u64::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 4].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn wide(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + 8].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}
