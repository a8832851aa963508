//! A small fuzzer of parsers: [`main`].
//!
//! Inputs come from `corpus/PARSER/` of a folder and are cut, doubled, spliced with each other and salted
//! with words that parsers trip over. What panics, takes longer than a second, or is an error by the
//! parser's own judgement is written to `crashes/PARSER/` and ends the run with status 1. Inputs that gave a
//! new kind of answer join the corpus.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Most inputs that a run adds to a corpus: answers that repeat what was sent are of endless kinds.
const NEW: usize = 40;

/// Runs each parser, or the one that the command line names, for as many seconds of processor as it says (10). A parser
/// gives a short text of its answer; an error is a fault of ours.
pub(crate) fn main<const N: usize>(
    folder: &Path,
    salt: &[&str],
    parsers: [(&str, impl Fn(&[u8]) -> Result<String, String>); N],
) -> ! {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let seconds = words.first().and_then(|word| word.parse().ok()).unwrap_or(10);
    let mut failed = false;
    for (name, parser) in parsers {
        if words.get(1).is_none_or(|only| only == name) {
            failed |= !run(name, parser, salt, folder, seconds);
        }
    }
    std::process::exit(i32::from(failed));
}

fn outcome(
    parser: &impl Fn(&[u8]) -> Result<String, String>,
    input: &[u8],
) -> Result<String, String> {
    catch_unwind(AssertUnwindSafe(|| parser(input))).unwrap_or_else(|_| Err("a panic".to_owned()))
}

fn run(
    name: &str,
    parser: impl Fn(&[u8]) -> Result<String, String>,
    salt: &[&str],
    folder: &Path,
    seconds: u64,
) -> bool {
    let home = folder.join("corpus").join(name);
    let mut corpus: Vec<Vec<u8>> = read(&home);
    assert!(!corpus.is_empty(), "{} has no inputs", home.display());
    let mut random = Random(0x5eed ^ corpus.len() as u64);
    let mut kinds = BTreeSet::new();
    for input in &corpus {
        kinds.insert(kind(&outcome(&parser, input)));
    }
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (begun, mut count, mut bad) = (processor_seconds(), 0_u64, Vec::new());
    let most = corpus.len() + NEW;
    let has_time = |count: u64| !count.is_multiple_of(64) || processor_seconds() < begun + seconds;
    while has_time(count) && bad.len() < 5 {
        let input = mutated(&corpus, salt, &mut random);
        let started = Instant::now();
        let found = outcome(&parser, &input);
        count += 1;
        // Twice: the machine may have been busy with something else.
        let mut slow = started.elapsed() > Duration::from_secs(1);
        if slow {
            let again = Instant::now();
            let _ = outcome(&parser, &input);
            slow = again.elapsed() > Duration::from_secs(1);
        }
        if slow || found.is_err() {
            bad.push(input.clone());
        }
        if corpus.len() < most && kinds.insert(kind(&found)) && input.len() < 4_096 {
            keep(&home, &input);
            corpus.push(input);
        }
    }
    std::panic::set_hook(quiet);
    for input in &bad {
        keep(&folder.join("crashes").join(name), input);
    }
    println!(
        "{name}: {count} inputs in {} s of processor, {} kinds of answers, {} bad",
        processor_seconds() - begun,
        kinds.len(),
        bad.len()
    );
    bad.is_empty()
}

/// Seconds that this thread has had a processor: the machine may be busy with something else.
fn processor_seconds() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse::<u64>().ok());
    nanoseconds.unwrap_or(u64::MAX) / 1_000_000_000
}

/// Messages without their numbers and values.
fn kind(found: &Result<String, String>) -> String {
    let text = match found {
        Ok(text) | Err(text) => text,
    };
    text.split_whitespace()
        .filter(|word| word.chars().all(|c| c.is_ascii_alphabetic()))
        .take(9)
        .collect::<Vec<_>>()
        .join(" ")
}

fn mutated(corpus: &[Vec<u8>], salt: &[&str], random: &mut Random) -> Vec<u8> {
    let mut out = corpus[random.below(corpus.len())].clone();
    for _ in 0..1 + random.below(6) {
        let at = random.below(out.len() + 1);
        match random.below(7) {
            0 => out.truncate(at),
            1 if !out.is_empty() => {
                let end = (at + random.below(20)).min(out.len());
                out.drain(at.min(end)..end);
            }
            2 => {
                let word = salt[random.below(salt.len())].as_bytes();
                out.splice(at..at, word.iter().copied());
            }
            3 if at < out.len() => out[at] = u8::try_from(random.below(256)).unwrap_or(0),
            4 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                out.splice(at.., other[from..].iter().copied());
            }
            5 if at < out.len() => {
                let end = (at + 1 + random.below(40)).min(out.len());
                let part = out[at..end].to_vec();
                for _ in 0..1 + random.below(30) {
                    out.splice(at..at, part.iter().copied());
                }
            }
            _ if at < out.len() => out[at] ^= 1 << random.below(8),
            _ => {}
        }
    }
    out
}

fn read(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

fn keep(folder: &Path, input: &[u8]) {
    let name = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    fs::create_dir_all(folder).expect("the folder can be made");
    fs::write(folder.join(format!("{name:016x}")), input).expect("the input can be written");
}

struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end.max(1) as u64).unwrap_or(0)
    }
}
