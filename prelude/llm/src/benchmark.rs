//! How fast a model is and what it holds.

use std::time::{Duration, Instant};

use oxilab_display::table::{Heading, Table};
use oxilab_display::{MimeBundle, Render};
use oxilab_nn::memory::{megabytes, peak_resident};

use crate::bar::Bar;
use crate::error::Result;
use crate::llm::Llm;
use crate::sampling::Sampling;

/// What [`benchmark`] measured; medians of three runs.
///
/// ```
/// # let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/goldens/tiny/llama");
/// use oxilab_llm::{Llm, benchmark};
/// let measured = benchmark(&mut Llm::load(folder)?)?;
/// assert!(measured.speed > 0.0, "tokens a second");
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Benchmark {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens that were generated.
    pub tokens: usize,
    /// From the question to the first token.
    pub first_token: Duration,
    /// Tokens of the prompt read in a second.
    pub prompt_speed: f64,
    /// Tokens generated in a second.
    pub speed: f64,
    /// Bytes of the weights.
    pub weights: usize,
    /// The most memory the process has held so far, in bytes; `None` where the system does not say.
    pub peak: Option<usize>,
}

const RUNS: usize = 3;

/// Measures latency, throughput and memory: a prompt of 256 tokens, 64 tokens generated, three times.
/// The conversation in the model's cache is forgotten.
///
/// ```no_run
/// use oxilab_llm::{Llm, benchmark, models};
/// let mut llm = Llm::load(models::smollm2()?)?;
/// println!("{:.0} tokens/s", benchmark(&mut llm)?.speed);
/// # Ok::<(), oxilab_llm::LlmError>(())
/// ```
///
/// # Errors
/// When the user interrupts.
pub fn benchmark(llm: &mut Llm) -> Result<Benchmark> {
    let room = llm.config().context / 2;
    let (length, tokens) = (256.min(room), 64.min(room));
    let vocabulary = u32::try_from(llm.config().vocabulary).unwrap_or(u32::MAX);
    // Any tokens cost the same.
    let prompt: Vec<u32> = (0..256u32).map(|n| (n * 31 + 7) % vocabulary).take(length).collect();
    let bar = Bar::new("benchmark", RUNS * (tokens + 1));
    let mut runs = Vec::new();
    for run in 0..RUNS {
        llm.reset();
        runs.push(llm.measure(&prompt, tokens, &|done| bar.set(run * (tokens + 1) + done))?);
    }
    drop(bar);
    let median = |f: &dyn Fn(&(Duration, Duration)) -> Duration| {
        let mut times: Vec<Duration> = runs.iter().map(f).collect();
        times.sort_unstable();
        times[RUNS / 2]
    };
    let (first, rest) = (median(&|run| run.0), median(&|run| run.1));
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let speed = |count: usize, time: Duration| count as f64 / time.as_secs_f64().max(1e-9);
    Ok(Benchmark {
        prompt_tokens: length,
        tokens,
        first_token: first,
        prompt_speed: speed(length, first),
        speed: speed(tokens, rest),
        weights: llm.model().bytes(),
        peak: peak_resident(),
    })
}

impl Llm {
    /// The times of a prompt and of `count` tokens behind it, whether or not the model wants to end. `told`
    /// hears of each, outside of what is measured.
    fn measure(
        &mut self,
        prompt: &[u32],
        count: usize,
        told: &dyn Fn(usize) -> Result<()>,
    ) -> Result<(Duration, Duration)> {
        told(0)?;
        let started = Instant::now();
        let greedy = Sampling::greedy().with_max_tokens(1);
        let first = self.generate_tokens(prompt, &greedy)?;
        let prompt_time = started.elapsed();
        let mut time = Duration::ZERO;
        let mut id = first.tokens.first().copied().unwrap_or(0);
        for done in 1..=count {
            told(done)?;
            let started = Instant::now();
            let logits = self.step(&[id])?;
            id = u32::try_from(crate::sampling::best(&logits)).unwrap_or(0);
            time += started.elapsed();
        }
        told(count + 1)?;
        Ok((prompt_time, time))
    }
}

impl Render for Benchmark {
    fn render(&self) -> MimeBundle {
        let mut table = Table::new(vec![Heading::new("measured"), Heading::new("value").numeric()]);
        let first = self.first_token.as_secs_f64() * 1e3;
        for (name, value) in [
            (format!("first token after {} tokens", self.prompt_tokens), format!("{first:.1} ms")),
            ("prompt".to_owned(), format!("{:.1} tokens/s", self.prompt_speed)),
            ("generation".to_owned(), format!("{:.1} tokens/s", self.speed)),
            ("a token".to_owned(), format!("{:.2} ms", 1e3 / self.speed.max(1e-9))),
            ("weights".to_owned(), format!("{} MB", megabytes(self.weights))),
            (
                "most memory held".to_owned(),
                self.peak.map_or_else(|| "unknown".to_owned(), |n| format!("{} MB", megabytes(n))),
            ),
        ] {
            table.push(vec![Some(name), Some(value)]);
        }
        table.render()
    }
}
