//! Counts and times of one model's requests: [`Metrics`].

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use oxilab_serve::Generated;

/// Upper bounds of the latency histogram, in seconds.
const BOUNDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Upper bounds of the histogram of rows predicted at once.
const BATCHES: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// Latencies that quantiles are taken of.
const KEPT: usize = 1_000;

/// Seconds that the history covers.
const HISTORY: usize = 120;

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: BTreeMap<(&'static str, u16), u64>,
    buckets: [u64; BOUNDS.len()],
    seconds: f64,
    rows: u64,
    latest: VecDeque<f64>,
    batches: [u64; BATCHES.len()],
    batch_count: u64,
    batch_rows: u64,
    capture_failures: u64,
    tokens: u64,
    token_seconds: f64,
    /// Second since `born`, requests in it and the slowest of them.
    seconds_seen: VecDeque<(u64, u32, f64)>,
    born: Option<Instant>,
}

impl Metrics {
    pub(crate) fn record(&mut self, route: &'static str, status: u16, rows: usize, took: Duration) {
        *self.requests.entry((route, status)).or_default() += 1;
        let seconds = took.as_secs_f64();
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(seconds <= bound);
        }
        self.seconds += seconds;
        self.rows += rows as u64;
        if self.latest.len() == KEPT {
            self.latest.pop_front();
        }
        self.latest.push_back(seconds);
        let second = self.born.get_or_insert_with(Instant::now).elapsed().as_secs();
        match self.seconds_seen.back_mut() {
            Some((last, count, slowest)) if *last == second => {
                *count += 1;
                *slowest = slowest.max(seconds);
            }
            _ => self.seconds_seen.push_back((second, 1, seconds)),
        }
        if self.seconds_seen.len() > HISTORY {
            self.seconds_seen.pop_front();
        }
    }

    /// Rows that were predicted at once.
    pub(crate) fn batch(&mut self, rows: usize) {
        for (bucket, bound) in self.batches.iter_mut().zip(BATCHES) {
            *bucket += u64::from(rows <= bound);
        }
        self.batch_count += 1;
        self.batch_rows += rows as u64;
    }

    /// Tokens that a language model made, and the time it took.
    pub(crate) fn generated(&mut self, tokens: usize, took: Duration) {
        self.tokens += tokens as u64;
        self.token_seconds += took.as_secs_f64();
    }

    /// What [`Metrics::generated`] was told so far.
    pub(crate) fn all_generated(&self) -> Generated {
        Generated { tokens: self.tokens, seconds: self.token_seconds }
    }

    pub(crate) fn capture_failed(&mut self) {
        self.capture_failures += 1;
    }

    /// Requests and slowest answer in milliseconds, second by second, of the last two minutes.
    pub(crate) fn history(&self) -> Vec<(u32, f64)> {
        let Some(born) = self.born else { return Vec::new() };
        let now = born.elapsed().as_secs();
        let first = now.saturating_sub(HISTORY as u64 - 1);
        let mut out = vec![(0, 0.0); usize::try_from(now - first + 1).unwrap_or(1)];
        for (second, count, slowest) in &self.seconds_seen {
            let at = second.checked_sub(first).and_then(|at| usize::try_from(at).ok());
            if let Some(place) = at.and_then(|at| out.get_mut(at)) {
                *place = (*count, slowest * 1e3);
            }
        }
        out
    }

    /// Requests so far that failed on our side. One whose time was over had its body read by then.
    pub(crate) fn failures(&self) -> u64 {
        let ours = |status: u16| status >= 500 || status == 408;
        self.requests.iter().filter(|((_, status), _)| ours(*status)).map(|(_, count)| count).sum()
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.values().sum()
    }

    pub(crate) fn errors(&self) -> u64 {
        self.requests.iter().filter(|((_, status), _)| *status >= 400).map(|(_, count)| count).sum()
    }

    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// A quantile of the latest latencies, in milliseconds.
    pub(crate) fn quantile_ms(&self, hundredths: usize) -> Option<f64> {
        let mut sorted: Vec<f64> = self.latest.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        sorted.get(last * hundredths / 100).map(|seconds| seconds * 1e3)
    }

    /// Writes the samples in Prometheus' text format.
    pub(crate) fn write(&self, out: &mut Samples, model: &str) {
        for ((route, status), count) in &self.requests {
            let labels = format!("model=\"{model}\",route=\"{route}\",status=\"{status}\"");
            out.add("oxilab_requests_total", &labels, *count);
            if *status >= 400 {
                out.add("oxilab_errors_total", &labels, *count);
            }
        }
        let model = format!("model=\"{model}\"");
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS) {
            let labels = format!("{model},le=\"{bound}\"");
            out.sample("oxilab_request_seconds", "_bucket", &labels, *bucket);
        }
        let count = self.requests();
        out.sample("oxilab_request_seconds", "_bucket", &format!("{model},le=\"+Inf\""), count);
        out.sample("oxilab_request_seconds", "_sum", &model, self.seconds);
        out.sample("oxilab_request_seconds", "_count", &model, count);
        out.add("oxilab_rows_total", &model, self.rows);
        if self.batch_count > 0 {
            for (bucket, bound) in self.batches.iter().zip(BATCHES) {
                let labels = format!("{model},le=\"{bound}\"");
                out.sample("oxilab_batch_rows", "_bucket", &labels, *bucket);
            }
            let all = format!("{model},le=\"+Inf\"");
            out.sample("oxilab_batch_rows", "_bucket", &all, self.batch_count);
            out.sample("oxilab_batch_rows", "_sum", &model, self.batch_rows);
            out.sample("oxilab_batch_rows", "_count", &model, self.batch_count);
        }
        if let Some(speed) = self.all_generated().tokens_per_second() {
            out.add("oxilab_tokens_total", &model, self.tokens);
            out.add("oxilab_token_seconds_total", &model, self.token_seconds);
            out.add("oxilab_tokens_per_second", &model, speed);
        }
        out.add("oxilab_capture_failures_total", &model, self.capture_failures);
    }
}

/// Requests that were refused before a model was asked: by whoever has no key or comes too often, or whose
/// body did not come in time. They say nothing of a model, so they are none of its requests.
#[derive(Debug, Default)]
pub(crate) struct Refused {
    keyless: AtomicU64,
    frequent: AtomicU64,
    late: AtomicU64,
}

impl Refused {
    /// Counts an answer with this status, if it is one of those.
    pub(crate) fn count(&self, status: StatusCode) {
        let counter = match status {
            StatusCode::UNAUTHORIZED => &self.keyless,
            StatusCode::REQUEST_TIMEOUT => &self.late,
            StatusCode::TOO_MANY_REQUESTS => &self.frequent,
            _ => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Writes what was counted into the families of the models' requests, without a model.
    pub(crate) fn write(&self, out: &mut Samples) {
        for (status, counter) in [(401, &self.keyless), (408, &self.late), (429, &self.frequent)] {
            let count = counter.load(Ordering::Relaxed);
            if count > 0 {
                let labels = format!("status=\"{status}\"");
                out.add("oxilab_requests_total", &labels, count);
                out.add("oxilab_errors_total", &labels, count);
            }
        }
    }
}

/// Samples by family, because Prometheus wants those of a family together.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<&'static str, String>);

impl Samples {
    pub(crate) fn add(
        &mut self,
        family: &'static str,
        labels: &str,
        value: impl std::fmt::Display,
    ) {
        self.sample(family, "", labels, value);
    }

    fn sample(
        &mut self,
        family: &'static str,
        suffix: &str,
        labels: &str,
        value: impl std::fmt::Display,
    ) {
        let text = self.0.entry(family).or_default();
        // Writing to a string cannot fail.
        let _ = match labels {
            "" => writeln!(text, "{family}{suffix} {value}"),
            _ => writeln!(text, "{family}{suffix}{{{labels}}} {value}"),
        };
    }

    pub(crate) fn into_text(self) -> String {
        let mut out = String::new();
        for (family, samples) in self.0 {
            let kind = match family {
                "oxilab_request_seconds" | "oxilab_batch_rows" => "histogram",
                _ if family.ends_with("_total") => "counter",
                _ => "gauge",
            };
            let _ = write!(out, "# TYPE {family} {kind}\n{samples}");
        }
        out
    }
}
