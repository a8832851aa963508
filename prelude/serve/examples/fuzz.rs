//! Throws broken requests at every parser of request bodies: `fuzz SECONDS [PARSER]`.
//!
//! Inputs come from `fuzz/corpus/PARSER/` and are cut, doubled, spliced with each other and salted with
//! words that parsers trip over. What panics, takes longer than a second, or is refused with a status
//! that is not the client's fault is written to `fuzz/crashes/PARSER/` and ends the run with status 1.
//! Inputs that gave a new kind of answer join the corpus.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use oxilab_model::LogisticRegression;
use oxilab_model::schema::Schema;
use oxilab_serve::{ServeError, body, infer_request, with_binary};
use polars::prelude::{DataFrame, df};

const LIMIT: usize = 1_000;

type Parser = fn(&[u8], &Schema) -> Result<DataFrame, ServeError>;

const PARSERS: [(&str, Parser); 6] = [
    ("invocations", |bytes, schema| body::invocations(body::json(bytes)?, schema, LIMIT)),
    ("predict", |bytes, schema| Ok(body::predict(body::json(bytes)?, schema, LIMIT)?.0)),
    ("rows", |bytes, schema| body::rows(body::json(bytes)?, schema, LIMIT)),
    ("csv", |bytes, schema| body::csv(bytes, schema, LIMIT)),
    ("infer", |bytes, schema| infer_request(&body::json(bytes)?, schema, LIMIT)),
    ("binary", |bytes, schema| {
        // A line of JSON, then the tensors.
        let length = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
        let rest = bytes.get(length + 1..).unwrap_or_default();
        let request = [&bytes[..length], rest].concat();
        infer_request(&with_binary(&request, length)?, schema, LIMIT)
    }),
];

const WORDS: [&str; 40] = [
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "null",
    "true",
    "false",
    "NaN",
    "1e999",
    "-0",
    "0.1",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "é",
    "\n",
    "\r\n",
    "age",
    "plan",
    "member",
    "income",
    "columns",
    "data",
    "index",
    "inputs",
    "instances",
    "dataframe_split",
    "dataframe_records",
    "features",
    "shape",
    "datatype",
    "name",
    "FP64",
    "BYTES",
    "parameters",
    "binary_data_size",
    "[[[[[[[[",
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let seconds = words.first().and_then(|word| word.parse().ok()).unwrap_or(10);
    let schema = schema();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let mut failed = false;
    for (name, parser) in PARSERS {
        if words.get(1).is_none_or(|only| only == name) {
            failed |= !run(name, parser, &schema, &folder, Duration::from_secs(seconds));
        }
    }
    std::process::exit(i32::from(failed));
}

fn schema() -> Schema {
    let rows = 0..100_i32;
    let train = df!(
        "age" => rows.clone().map(f64::from).collect::<Vec<_>>(),
        "income" => rows.clone().map(|i| (i % 10 != 0).then(|| f64::from(i * 7 % 90))).collect::<Vec<_>>(),
        "plan" => rows.clone().map(|i| if i % 3 == 0 { "basic" } else { "pro" }).collect::<Vec<_>>(),
        "member" => rows.clone().map(|i| i % 4 == 0).collect::<Vec<_>>(),
        "churn" => rows.map(|i| i % 5 < 2).collect::<Vec<_>>(),
    );
    let model = LogisticRegression::new().fit(&train.expect("a frame"), "churn");
    model.expect("a model").schema().clone()
}

fn run(name: &str, parser: Parser, schema: &Schema, folder: &Path, time: Duration) -> bool {
    let home = folder.join("corpus").join(name);
    let mut corpus: Vec<Vec<u8>> = read(&home);
    assert!(!corpus.is_empty(), "{} has no inputs", home.display());
    let mut random = Random(0x5eed ^ corpus.len() as u64);
    let mut kinds = BTreeSet::new();
    for input in &corpus {
        kinds.insert(kind(&outcome(parser, input, schema)));
    }
    let quiet = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (begun, mut count, mut bad) = (Instant::now(), 0_u64, Vec::new());
    while begun.elapsed() < time && bad.len() < 5 {
        let input = mutated(&corpus, &mut random);
        let started = Instant::now();
        let found = outcome(parser, &input, schema);
        count += 1;
        let slow = started.elapsed() > Duration::from_secs(1);
        if slow || found.is_err() {
            bad.push(input.clone());
        }
        if kinds.insert(kind(&found)) && input.len() < 4_096 {
            keep(&home, &input);
            corpus.push(input);
        }
    }
    std::panic::set_hook(quiet);
    for input in &bad {
        keep(&folder.join("crashes").join(name), input);
    }
    println!(
        "{name}: {count} inputs in {:.0} s, {} kinds of answers, {} bad",
        begun.elapsed().as_secs_f64(),
        kinds.len(),
        bad.len()
    );
    bad.is_empty()
}

/// A short text of the answer; an error is a fault of ours.
fn outcome(parser: Parser, input: &[u8], schema: &Schema) -> Result<String, String> {
    match catch_unwind(AssertUnwindSafe(|| parser(input, schema))) {
        Err(_) => Err("a panic".to_owned()),
        Ok(Ok(frame)) if frame.height() > LIMIT || frame.width() != schema.columns.len() => {
            Err(format!("a frame of shape {:?}", frame.shape()))
        }
        Ok(Ok(frame)) => Ok(format!("frame {}", frame.height().min(4))),
        Ok(Err(error)) if (400..500).contains(&error.status()) => Ok(error.to_string()),
        Ok(Err(error)) => Err(error.to_string()),
    }
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

fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
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
                let word = WORDS[random.below(WORDS.len())].as_bytes();
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
