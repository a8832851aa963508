//! Fuzzes the parser: `cargo run --release -p oxilab-gguf --example fuzz_gguf -- 600` runs for 600 seconds of processor on
//! changed files and adds a file to `corpus/` for every outcome not seen before. A panic ends it and leaves
//! the input in `crash.gguf`; `ulimit -v 2000000` before it shows what asks for too much memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oxilab_gguf::{Gguf, Type};

fn main() -> std::io::Result<()> {
    let seconds = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(10);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    std::fs::create_dir_all(&folder)?;
    let mut corpus: Vec<Vec<u8>> = vec![whole()];
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    files.sort();
    for file in files {
        corpus.push(std::fs::read(file)?);
    }
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for bytes in &corpus {
        *seen.entry(outcome(bytes)).or_default() += 1;
    }
    let mut random = Random(42);
    let mut runs = 0_u64;
    while !runs.is_multiple_of(64) || processor_seconds() < seconds {
        let mut bytes = corpus[random.below(corpus.len())].clone();
        for _ in 0..=random.below(4) {
            change(&mut bytes, &mut random);
        }
        let Ok(key) = std::panic::catch_unwind(|| outcome(&bytes)) else {
            let crash = folder.join("../crash.gguf");
            std::fs::write(&crash, &bytes)?;
            panic!("the parser panicked; the input is in {}", crash.display());
        };
        runs += 1;
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        if *count == 1 {
            std::fs::write(folder.join(format!("{key}.gguf")), &bytes)?;
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

/// What came of an input: the words of the message up to what differs from file to file.
fn outcome(bytes: &[u8]) -> String {
    let gguf = match Gguf::parse(bytes, bytes.len() as u64, Path::new("-")) {
        Ok(gguf) => gguf,
        Err(error) => {
            let text = error.to_string().replace(r"\\", "").replace(r#"\""#, "");
            // Texts from the input, which stand in quotes, are no outcomes of their own.
            let outside: String = text.split('"').step_by(2).collect();
            let words = outside.split_whitespace();
            let plain = |word: &&str| word.chars().all(|c| c.is_ascii_alphabetic() || c == ',');
            let words: Vec<&str> = words.filter(plain).take(14).collect();
            return words.join("-").replace(',', "").replace("is-not-a-usable-GGUF-", "");
        }
    };
    // What was accepted can be asked for.
    for key in gguf.metadata().keys() {
        let _ =
            (gguf.text(key), gguf.number(key), gguf.float(key), gguf.flag(key), gguf.texts(key));
    }
    for info in gguf.tensors().values() {
        let elements: usize = info.shape.iter().product();
        assert!(elements > 0 && elements / info.kind.block().0 <= bytes.len());
    }
    "read".to_owned()
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    const NUMBERS: [u64; 8] = [0, 1, u64::MAX, 1 << 63, 1 << 31, 0xffff_ffff, 1 << 40, 7];
    if bytes.is_empty() {
        bytes.push(0);
    }
    let place = random.below(bytes.len());
    match random.below(7) {
        0 => bytes[place] ^= 1 << random.below(8),
        1 => bytes[place] = [0, 1, 0x7f, 0x80, 0xff, 8, 9, 12][random.below(8)],
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
            let number = NUMBERS[random.below(8)].to_le_bytes();
            let width = if random.below(2) == 0 { 4 } else { 8 };
            let end = bytes.len().min(place + width);
            bytes[place..end].copy_from_slice(&number[..end - place]);
        }
    }
}

/// A whole file with a value and a tensor of each type.
fn whole() -> Vec<u8> {
    fn text(bytes: &mut Vec<u8>, text: &str) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3u32.to_le_bytes());
    bytes.extend((Type::ALL.len() as u64).to_le_bytes());
    bytes.extend(15u64.to_le_bytes());
    for (kind, size) in [(0u32, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (6, 4), (7, 1), (10, 8)]
    {
        text(&mut bytes, &format!("v{kind}"));
        bytes.extend(kind.to_le_bytes());
        bytes.extend(vec![1u8; size]);
    }
    for kind in [11u32, 12] {
        text(&mut bytes, &format!("v{kind}"));
        bytes.extend(kind.to_le_bytes());
        bytes.extend([0xff; 8]);
    }
    text(&mut bytes, "general.alignment");
    bytes.extend(4u32.to_le_bytes());
    bytes.extend(32u32.to_le_bytes());
    text(&mut bytes, "name");
    bytes.extend(8u32.to_le_bytes());
    text(&mut bytes, "tiny");
    text(&mut bytes, "texts");
    bytes.extend(9u32.to_le_bytes());
    bytes.extend(8u32.to_le_bytes());
    bytes.extend(2u64.to_le_bytes());
    text(&mut bytes, "a");
    text(&mut bytes, "b");
    text(&mut bytes, "lists");
    bytes.extend(9u32.to_le_bytes());
    bytes.extend(9u32.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    bytes.extend(5u32.to_le_bytes());
    bytes.extend(1u64.to_le_bytes());
    bytes.extend((-1i32).to_le_bytes());
    let mut offset = 0u64;
    for kind in Type::ALL {
        let (values, size) = kind.block();
        text(&mut bytes, &format!("{kind:?}"));
        bytes.extend(2u32.to_le_bytes());
        bytes.extend((values as u64).to_le_bytes());
        bytes.extend(2u64.to_le_bytes());
        bytes.extend(kind.code().to_le_bytes());
        bytes.extend(offset.to_le_bytes());
        offset += (2 * size as u64).next_multiple_of(32);
    }
    let start = bytes.len().next_multiple_of(32);
    bytes.resize(start + usize::try_from(offset).unwrap_or(0), 0);
    bytes
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
