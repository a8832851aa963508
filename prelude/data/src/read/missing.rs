//! Whether a file spells out missing values (`NA`, `null`, …) at all.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::infer::MISSING;

/// Bytes searched at a time.
const CHUNK: usize = 1 << 20;
/// Bytes kept from one chunk to the next: more than a spelling and what stands beside it.
const KEEP: usize = 16;

/// Whether some field of a file may be one of the spellings. True where that is not known cheaply:
/// for compressed files and files that cannot be read.
pub(super) fn mentioned(path: &Path) -> bool {
    File::open(path).map_or(true, search)
}

fn search(mut file: impl Read) -> bool {
    let mut buffer = vec![b'\n'; CHUNK];
    // The last bytes of a chunk stay before the next one, so that no field is cut.
    let mut kept = 1;
    let mut first = true;
    loop {
        let Ok(read) = file.read(&mut buffer[kept..]) else { return true };
        let mut end = kept + read;
        if read == 0 {
            // The end of the file ends a field.
            buffer[end] = b'\n';
            end += 1;
        }
        let text = &buffer[..end];
        if (first && text.get(1..5).is_some_and(compressed)) || has_field(text) {
            return true;
        }
        if read == 0 {
            return false;
        }
        first = false;
        let keep = end.min(KEEP);
        buffer.copy_within(end - keep..end, 0);
        kept = keep;
    }
}

/// Whether a whole field of the text is one of the spellings.
fn has_field(text: &[u8]) -> bool {
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
                    && text.get(end).copied().is_some_and(bounds)
            });
            own && at.checked_sub(1).is_none_or(|before| bounds(text[before]))
        })
    })
}

/// Whether a byte can stand beside a field.
fn bounds(byte: u8) -> bool {
    matches!(byte, b',' | b';' | b'\t' | b'|' | b'"' | b'\n' | b'\r' | b' ')
}

fn compressed(start: &[u8]) -> bool {
    matches!(
        start,
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd] | [0x78, 0x01 | 0x5e | 0x9c | 0xda, ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_count_and_parts_of_words_do_not() {
        assert!(
            search(&b"a,b\n1,NA\n"[..]) && search(&b"NA"[..]) && search(&b"x\n\"null\",2\n"[..])
        );
        assert!(!search(&b"a,b\nNATIONAL,annulled\nANNA,nullable\n"[..]));
        assert!(search(&b"\x1f\x8b...."[..]));
        // Across the edge of two chunks, at every offset.
        for shift in 0..6 {
            let mut text = vec![b'x'; CHUNK - 4 + shift];
            text.extend(b",N/A,1\n");
            assert!(search(text.as_slice()), "{shift}");
        }
    }
}
