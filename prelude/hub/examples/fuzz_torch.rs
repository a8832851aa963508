//! Fuzzes the reader of PyTorch's files: `cargo run --release -p oxilab-hub --example fuzz_torch -- 600`
//! runs for 600 seconds of processor on changed files from `tests/goldens/` and `corpus/`, and adds a file to the
//! corpus for every outcome not seen before. A panic, or an allocation of more than 64 MB for files of
//! some kilobytes, ends it and leaves the input in `crash.pt`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use oxilab_hub::torch::TorchFile;

/// Refuses what no small file may ask for.
struct Limited;

#[expect(unsafe_code, reason = "an allocator is unsafe by its trait")]
// SAFETY: all calls go to the system's allocator unchanged, or give null, which is allowed.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > 64 << 20 {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Limited = Limited;

fn main() -> std::io::Result<()> {
    let seconds = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(10);
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = home.join("corpus");
    std::fs::create_dir_all(&folder)?;
    let mut corpus = Vec::new();
    for from in [home.join("tests/goldens"), folder.clone()] {
        let mut files: Vec<PathBuf> = std::fs::read_dir(from)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<_>>()?;
        files.retain(|path| path.extension().is_some_and(|end| end == "pt" || end == "bin"));
        files.sort();
        for file in files {
            corpus.push(std::fs::read(file)?);
        }
    }
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for bytes in &corpus {
        *seen.entry(outcome(bytes)).or_default() += 1;
    }
    let mut random = Random(7);
    let mut runs = 0_u64;
    while !runs.is_multiple_of(64) || processor_seconds() < seconds {
        let mut bytes = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(4) {
            change(&mut bytes, &mut random);
        }
        let input = bytes.clone();
        let Ok(key) = std::panic::catch_unwind(move || outcome(&input)) else {
            std::fs::write(home.join("crash.pt"), &bytes)?;
            panic!("the reader panicked; the input is in crash.pt");
        };
        runs += 1;
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        if *count == 1 && bytes.len() < 8192 && corpus.len() < 100 {
            let name: String = key.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
            std::fs::write(folder.join(format!("{name}.pt")), &bytes)?;
            corpus.push(bytes);
        }
    }
    println!("{runs} inputs, {} outcomes, no panic", seen.len());
    for (key, count) in seen {
        println!("{count:>12} {key}");
    }
    Ok(())
}

/// Seconds that this thread has had a processor: the machine may be busy with something else.
fn processor_seconds() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
    nanoseconds.unwrap_or(u64::MAX) / 1_000_000_000
}

/// What came of an input, without numbers and without texts of the input.
fn outcome(bytes: &[u8]) -> String {
    match TorchFile::read(Cursor::new(bytes.to_vec()), "input") {
        Ok(mut file) => {
            for info in file.tensors().to_vec() {
                if let Ok(values) = file.bytes(&info.name) {
                    assert_eq!(values.len(), info.count() * info.dtype.width());
                }
            }
            "read".to_owned()
        }
        Err(error) => {
            let text = error.to_string();
            let text = text.split_once(": ").map_or(text.as_str(), |(_, reason)| reason);
            // One outcome for all codes of a pickle.
            let text = match text.split_once(", code ") {
                Some((start, rest)) => {
                    format!("{start}{}", rest.split_once(": ").map_or("", |(_, reason)| reason))
                }
                None => text.to_owned(),
            };
            // Names out of the input stand in quotes, or behind these words.
            let plain = match (text.find('"'), text.rfind('"')) {
                (Some(start), Some(end)) => format!("{}{}", &text[..start], &text[end..]),
                _ => text.to_owned(),
            };
            let plain = [" class ", " type ", "shape "]
                .iter()
                .fold(plain, |text, word| text.split(word).next().unwrap_or_default().to_owned());
            plain.chars().filter(|c| c.is_ascii_alphabetic() || *c == ' ').take(60).collect()
        }
    }
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        bytes.push(0);
    }
    let place = random.below(bytes.len());
    match random.below(7) {
        0 => bytes[place] ^= 1 << random.below(8),
        1 => {
            const CODES: &[u8] =
                b"\0\x01\x7f\x80\xff()]}.tlduaesqhRQbcXKMJ\x85\x86\x87\x8a\x94\x93\x95";
            bytes[place] = CODES[random.below(CODES.len())];
        }
        2 => bytes.truncate(place),
        3 => bytes.insert(place, random.next().to_le_bytes()[0]),
        4 => {
            let end = (place + random.below(64)).min(bytes.len());
            bytes.drain(place..end);
        }
        5 => {
            let end = (place + random.below(64)).min(bytes.len());
            let part = bytes[place..end].to_vec();
            bytes.splice(place..place, part);
        }
        _ => {
            // The directory of an archive stands in its last bytes.
            let at = bytes.len() - 1 - random.below(bytes.len().min(400));
            bytes[at] = random.next().to_le_bytes()[0];
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }
}
