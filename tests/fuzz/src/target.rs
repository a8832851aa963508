//! A parser and what it is fed: [`Target`].

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::answer::{Answer, kind};
use crate::clock::processor_time;
use crate::files;
use crate::mutate::mutated;
use crate::random::Random;
use crate::report::Report;

/// Most inputs that a run adds to a corpus: answers that repeat what was sent are of endless kinds.
const NEW: usize = 40;
/// Bytes of an input that joins a corpus, at most.
const SMALL: usize = 8 << 10;
/// Bad inputs that end a run.
const BAD: usize = 5;
const SLOW: Duration = Duration::from_secs(1);

/// A parser and what it is fed.
///
/// ```
/// use std::time::Duration;
///
/// use oxilab_fuzz::Target;
///
/// let folder = std::env::temp_dir().join("oxilab-fuzz-example");
/// let numbers = Target::new("numbers", &folder, |bytes| {
///     let text = String::from_utf8_lossy(bytes);
///     Ok(text.parse::<u8>().map_or_else(|error| error.to_string(), |_| "read".to_owned()))
/// });
/// let report = numbers.with_seeds([b"12".to_vec()]).run(Duration::from_millis(20))?;
/// assert!(report.is_clean());
/// assert!(report.to_string().contains("number too large"));
/// # std::fs::remove_dir_all(folder)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Target<'a> {
    name: &'a str,
    folder: PathBuf,
    parser: Box<Parser<'a>>,
    seeds: Vec<Vec<u8>>,
    words: Vec<Vec<u8>>,
    seal: Option<fn(&mut Vec<u8>)>,
}

type Parser<'a> = dyn Fn(&[u8]) -> Answer + 'a;

impl fmt::Debug for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<'a> Target<'a> {
    /// A parser whose corpus is `corpus/NAME/` of a folder; what is bad is left in `crashes/NAME/`.
    pub fn new(
        name: &'a str,
        folder: impl Into<PathBuf>,
        parser: impl Fn(&[u8]) -> Answer + 'a,
    ) -> Self {
        Self {
            name,
            folder: folder.into(),
            parser: Box::new(parser),
            seeds: Vec::new(),
            words: Vec::new(),
            seal: None,
        }
    }

    /// Inputs beside those of the corpus.
    #[must_use]
    pub fn with_seeds(mut self, seeds: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.seeds.extend(seeds);
        self
    }

    /// What the parser's inputs are made of, and what it may trip over.
    #[must_use]
    pub fn with_words<W: AsRef<[u8]>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(|word| word.as_ref().to_vec()));
        self
    }

    /// What is done to three of four inputs last: a checksum without which the parser would not look at
    /// the rest.
    #[must_use]
    pub fn with_seal(mut self, seal: fn(&mut Vec<u8>)) -> Self {
        self.seal = Some(seal);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// Feeds the parser for some time of processor, or until it has failed a few times.
    ///
    /// # Errors
    /// If the folder cannot be read or written, if there is no input to begin with, or if the system does
    /// not tell the time of processor.
    pub fn run(&self, time: Duration) -> io::Result<Report> {
        let home = self.folder.join("corpus").join(self.name);
        let crashes = self.folder.join("crashes").join(self.name);
        let mut inputs = self.seeds.clone();
        inputs.extend(files::read(&home)?);
        if inputs.is_empty() {
            return Err(io::Error::other(format!("{} has no inputs", home.display())));
        }
        let clock = || processor_time().ok_or_else(|| io::Error::other("no /proc/…/schedstat"));
        let quiet = Quiet::new();
        let mut kinds: BTreeMap<String, u64> =
            inputs.iter().map(|input| (kind(&self.answer(input).0), 0)).collect();
        let (begun, most) = (clock()?, inputs.len() + NEW);
        let mut random = Random(inputs.len() as u64);
        let (mut count, mut bad, mut slowest) = (0_u64, 0, Duration::ZERO);
        while bad < BAD && (!count.is_multiple_of(64) || clock()? < begun + time) {
            let mut input = mutated(&inputs, &self.words, &mut random);
            if let Some(seal) = self.seal
                && random.below(4) > 0
            {
                seal(&mut input);
            }
            let (answer, took) = self.answer(&input);
            count += 1;
            slowest = slowest.max(took);
            if answer.is_err() || took > SLOW {
                bad += 1;
                files::keep(&crashes, &input)?;
            }
            let kind = kind(&answer);
            let is_new = !kinds.contains_key(&kind);
            *kinds.entry(kind).or_default() += 1;
            if is_new && inputs.len() < most && input.len() < SMALL {
                files::keep(&home, &input)?;
                inputs.push(input);
            }
        }
        drop(quiet);
        let time = clock()?.saturating_sub(begun);
        Ok(Report { name: self.name.to_owned(), inputs: count, time, slowest, kinds, bad, crashes })
    }

    /// What came of an input, and in which time: the shorter of two if it was long, since the machine may
    /// have been busy with something else.
    fn answer(&self, input: &[u8]) -> (Answer, Duration) {
        let (answer, took) = self.answer_once(input);
        if took > SLOW { (answer, took.min(self.answer_once(input).1)) } else { (answer, took) }
    }

    fn answer_once(&self, input: &[u8]) -> (Answer, Duration) {
        let begun = Instant::now();
        let answer = catch_unwind(AssertUnwindSafe(|| (self.parser)(input)));
        (answer.unwrap_or_else(|_| Err("a panic".to_owned())), begun.elapsed())
    }
}

/// While this lives, panics are not printed: they are counted.
struct Quiet(Option<PanicHook>);

type PanicHook = Box<dyn Fn(&std::panic::PanicHookInfo<'_>) + Sync + Send>;

impl Quiet {
    fn new() -> Self {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        Self(Some(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        if let Some(before) = self.0.take() {
            std::panic::set_hook(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(
        parser: impl Fn(&[u8]) -> Answer,
        seal: Option<fn(&mut Vec<u8>)>,
    ) -> (Report, Vec<Vec<u8>>) {
        let folder = tempfile::tempdir().unwrap();
        let mut target = Target::new("it", folder.path(), parser).with_seeds([b"ab12".to_vec()]);
        target.seal = seal;
        let report = target.run(Duration::from_millis(50)).unwrap();
        let corpus = files::read(&folder.path().join("corpus/it")).unwrap();
        let kept = files::read(&report.crashes).unwrap().len();
        assert_eq!(kept, report.bad);
        (report, corpus)
    }

    #[test]
    fn panics_are_found_and_kept() {
        let (report, _) = run(
            |bytes| {
                assert_ne!(bytes.first(), Some(&b'b'), "a byte too few");
                Ok("read".to_owned())
            },
            None,
        );
        assert_eq!(report.bad, BAD);
        assert!(report.to_string().contains("a panic"), "{report}");
    }

    #[test]
    fn new_kinds_of_answers_join_the_corpus() {
        let kinds = |bytes: &[u8]| {
            let letters = bytes.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
            Ok("more ".repeat(letters.min(5)))
        };
        let (report, corpus) = run(kinds, None);
        assert!(report.is_clean() && report.inputs > 100, "{report}");
        assert_eq!(report.kinds.len(), 6, "{report}");
        // All but that of the seed.
        assert_eq!(corpus.len(), 5);
    }

    #[test]
    fn most_inputs_are_sealed() {
        let sealed =
            |bytes: &[u8]| Ok(if bytes.ends_with(b"seal") { "whole" } else { "broken" }.to_owned());
        let (report, _) = run(sealed, Some(|bytes| bytes.extend_from_slice(b"seal")));
        assert!(report.kinds["whole"] > 2 * report.kinds["broken"], "{report}");
    }

    #[test]
    fn a_parser_without_inputs_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::new("it", folder.path(), |_| Ok(String::new()));
        let error = target.run(Duration::ZERO).unwrap_err().to_string();
        assert!(error.ends_with("corpus/it has no inputs"), "{error}");
    }
}
