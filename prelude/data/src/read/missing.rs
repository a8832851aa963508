//! Whether a file spells out missing values (`NA`, `null`, …) at all.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rayon::prelude::*;

use super::infer::MISSING;

/// Bytes searched at a time.
const CHUNK: usize = 1 << 21;
/// Bytes looked at on both sides of a chunk: more than a spelling and what stands beside it.
const MARGIN: usize = 16;

/// Whether some field of a file may be one of the spellings. True where that is not known cheaply:
/// for compressed files and files that cannot be read.
pub(super) fn mentioned(path: &Path, separator: u8) -> bool {
    let Ok(file) = File::open(path) else { return true };
    let Ok(size) =
        file.metadata().and_then(|data| usize::try_from(data.len()).map_err(std::io::Error::other))
    else {
        return true;
    };
    let mut start = [0; 4];
    let read = file.read_at(&mut start, 0).unwrap_or(0);
    if compressed(&start[..read]) {
        return true;
    }
    (0..size.div_ceil(CHUNK)).into_par_iter().any(|index| {
        part(&file, index * CHUNK, size).map_or(true, |text| has_field(&text, separator))
    })
}

/// Whether some field of a text, which starts with a line break and ends with a line, may be one of the
/// spellings.
pub(super) fn in_text(text: &[u8], separator: u8) -> bool {
    (0..text.len().div_ceil(CHUNK)).into_par_iter().any(|index| {
        let from = (index * CHUNK).saturating_sub(MARGIN);
        has_field(&text[from..text.len().min((index + 1) * CHUNK + MARGIN)], separator)
    })
}

/// A chunk with its margins; a line break stands before the start and behind the end of the file.
fn part(file: &File, start: usize, size: usize) -> std::io::Result<Vec<u8>> {
    let from = start.saturating_sub(MARGIN);
    let to = (start + CHUNK + MARGIN).min(size);
    let mut text = vec![b'\n'; usize::from(from == 0)];
    let before = text.len();
    text.resize(before + to - from, 0);
    file.read_exact_at(&mut text[before..], from as u64)?;
    if to == size {
        text.push(b'\n');
    }
    Ok(text)
}

/// Whether a whole field of the text is one of the spellings. What starts at its first byte is another
/// chunk's.
fn has_field(text: &[u8], separator: u8) -> bool {
    let bounds = |byte: u8| byte == separator || bounds(byte);
    // Blocks in which no two bytes begin a spelling are passed over at the speed of memory.
    #[expect(
        clippy::needless_bitwise_bool,
        reason = "without branches the compiler takes many bytes at once"
    )]
    let starts = |(this, next): (&u8, &u8)| {
        let upper = (*this == b'N') & ((*next == b'A') | (*next == b'/') | (*next == b'U'));
        let lower = (*this == b'n') & ((*next == b'/') | (*next == b'u'));
        upper | lower | (*this == b'#')
    };
    let after = text.get(1..).unwrap_or_default();
    text.chunks(64).zip(after.chunks(64)).enumerate().any(|(block, (these, next))| {
        let hit = these.iter().zip(next).fold(false, |hit, pair| hit | starts(pair));
        hit && (block * 64..block * 64 + these.len()).any(|at| {
            let own = MISSING.iter().any(|spelling| {
                let end = at + spelling.len();
                text[at..].starts_with(spelling.as_bytes())
                    && text.get(end).copied().is_some_and(&bounds)
            });
            own && at.checked_sub(1).is_some_and(|before| bounds(text[before]))
        })
    })
}

/// Whether a byte can stand beside a field.
fn bounds(byte: u8) -> bool {
    matches!(byte, b',' | b';' | b'\t' | b'|' | b'"' | b'\n' | b'\r' | b' ')
}

pub(super) fn compressed(start: &[u8]) -> bool {
    matches!(
        start,
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd] | [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: impl AsRef<[u8]>) -> bool {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        mentioned(file.path(), b',')
    }

    #[test]
    fn fields_count_and_parts_of_words_do_not() {
        assert!(search("a,b\n1,NA\n") && search("NA") && search("x\n\"null\",2\n"));
        assert!(!search("a,b\nNATIONAL,annulled\nANNA,nullable\n"));
        assert!(!search("") && search("NA,1\n") && search("1,2\n3,NULL"));
        assert!(search(b"\x1f\x8b...."));
        assert!(!search("1:NA:2"));
        // Across the edge of two chunks, at every offset.
        for shift in 0..12 {
            let mut text = vec![b'x'; CHUNK - 8 + shift];
            text.extend(b",N/A,1\n");
            text.extend(vec![b'y'; 100]);
            assert!(search(&text), "{shift}");
        }
        assert!(mentioned(Path::new("/nowhere"), b','));
    }

    #[test]
    fn an_unusual_separator_bounds_a_field() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "1:NA:2").unwrap();
        assert!(mentioned(file.path(), b':'));
    }
}
