//! Fuzzes the parser: `cargo run --release -p oxilab-model-format --example fuzz -- 600` runs for 600
//! seconds of processor on changed files from `corpus/`, most of them with a right checksum, and adds a file to the
//! corpus for every outcome not seen before. A panic ends it and leaves the input in `crash.oxi`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oxilab_model_format::{Column, ColumnKind, Header, ModelFile, Schema, Section, Task};
use sha2::{Digest as _, Sha256};

fn main() -> std::io::Result<()> {
    let seconds = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(10);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
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
        if random.below(4) > 0 {
            seal(&mut bytes);
        }
        let crash = folder.join("../crash.oxi");
        let input = bytes.clone();
        let Ok(key) = std::panic::catch_unwind(move || outcome(&input)) else {
            std::fs::write(&crash, &bytes)?;
            panic!("the parser panicked; the input is in {}", crash.display());
        };
        runs += 1;
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        if *count == 1 {
            std::fs::write(folder.join(format!("{key}.oxi")), &bytes)?;
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

/// What came of an input, without the numbers in messages.
fn outcome(bytes: &[u8]) -> String {
    match ModelFile::from_bytes(bytes) {
        Ok(file) => {
            let again = file.to_bytes().and_then(|bytes| ModelFile::from_bytes(&bytes));
            assert!(again.is_ok(), "a file that was read can be written and read again");
            "read".to_owned()
        }
        Err(error) => {
            let text = error.to_string();
            // Texts from the input, which stand in quotes, are no outcomes of their own.
            let first = text.split(['`', '"']).next().unwrap_or_default();
            let last = text.rsplit(['`', '"']).next().unwrap_or_default();
            let letters = |part: &str, most: usize| -> String {
                part.chars().filter(char::is_ascii_alphabetic).take(most).collect()
            };
            if first == last { letters(first, 60) } else { letters(first, 40) + &letters(last, 20) }
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
        1 => bytes[place] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'}', b'9'][random.below(8)],
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
            // Lengths live in the first 20 bytes.
            let at = 8 + random.below(12);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.next().to_le_bytes()[0];
            }
        }
    }
}

fn seal(bytes: &mut Vec<u8>) {
    bytes.truncate(bytes.len().saturating_sub(32));
    let checksum = Sha256::digest(&*bytes);
    bytes.extend_from_slice(&checksum);
}

/// A whole file with a section of each type.
fn whole() -> Vec<u8> {
    let column = Column {
        name: "colour".into(),
        dtype: "str".into(),
        kind: ColumnKind::Categorical,
        categories: vec!["blue".into(), "red".into()],
        nullable: true,
    };
    let schema = Schema {
        task: Task::Binary,
        columns: vec![column],
        target: Some("y".into()),
        target_dtype: Some("bool".into()),
        classes: vec!["false".into(), "true".into()],
    };
    let mut file = ModelFile::new(Header {
        learner: "Dummy".into(),
        kind: "dummy".into(),
        schema,
        params: serde_json::json!({"season": null}),
        metrics: BTreeMap::from([("auc".to_owned(), 0.5)]),
        libraries: BTreeMap::from([("oxilab-model".to_owned(), "0.1.0".to_owned())]),
        training_rows: 10,
        training_data: "00ff".into(),
    });
    file.put("values", Section::F64(vec![0.25, 0.75]));
    file.put("sizes", Section::U32(vec![1, 2, 3]));
    file.put("text", Section::Bytes(b"tree".to_vec()));
    file.to_bytes().unwrap_or_default()
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
