//! A fuzzer of parsers of untrusted bytes: [`main`] runs [`Target`]s.
//!
//! Inputs are seeds and those of a corpus, mutated: cut, doubled, spliced with each other, and
//! salted with numbers and words that parsers trip over. What panics, takes longer than a second, or is a
//! fault by the parser's own judgement is kept in `crashes/`. Inputs that gave a new kind of answer
//! join the corpus, which the tests of the parsers' crates read.

mod answer;
mod clock;
mod files;
mod mutate;
mod random;
mod report;
mod target;

use std::process::exit;
use std::time::Duration;

pub use answer::Answer;
pub use report::Report;
pub use target::Target;

/// What readers of JSON may trip over, for [`Target::with_words`].
///
/// ```
/// assert!(oxilab_fuzz::JSON.contains(&"null"));
/// ```
pub const JSON: [&str; 19] = [
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
    "0.1",
    "18446744073709551616",
    "\\u0000",
    "\\ud800",
    "é",
    "\r\n",
    "[[[[[[[[",
];

/// Runs the targets as the command line says, `SECONDS [TARGET]`: each, or the one that it names, for so
/// many seconds of processor (10). Ends the process, with status 1 if anything bad was found.
///
/// ```no_run
/// use oxilab_fuzz::{Target, main};
///
/// main(&[Target::new("text", "fuzz", |bytes| {
///     Ok(std::str::from_utf8(bytes).map_or_else(|error| error.to_string(), |_| "text".to_owned()))
/// })])
/// ```
pub fn main(targets: &[Target<'_>]) -> ! {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let seconds = words.first().map_or(Ok(10), |word| word.parse());
    let asked = words.get(1);
    let chosen: Vec<&Target<'_>> =
        targets.iter().filter(|target| asked.is_none_or(|name| name == target.name())).collect();
    let Ok(seconds) = seconds else { exit(usage(targets)) };
    if chosen.is_empty() {
        exit(usage(targets));
    }
    let mut clean = true;
    for target in chosen {
        match target.run(Duration::from_secs(seconds)) {
            Ok(report) => {
                println!("{report}");
                clean &= report.is_clean();
            }
            Err(error) => {
                eprintln!("{}: {error}", target.name());
                clean = false;
            }
        }
    }
    exit(i32::from(!clean));
}

fn usage(targets: &[Target<'_>]) -> i32 {
    let names: Vec<&str> = targets.iter().map(Target::name).collect();
    eprintln!("usage: [SECONDS] [{}]", names.join("|"));
    2
}
