//! Counts and times of one model's requests: [`Metrics`].

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::time::Duration;

/// Upper bounds of the latency histogram, in seconds.
const BOUNDS: [f64; 12] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

/// Latencies that quantiles are taken of.
const KEPT: usize = 1_000;

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: BTreeMap<(&'static str, u16), u64>,
    buckets: [u64; BOUNDS.len()],
    seconds: f64,
    rows: u64,
    latest: VecDeque<f64>,
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
    }

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
        let _ = writeln!(text, "{family}{suffix}{{{labels}}} {value}");
    }

    pub(crate) fn into_text(self) -> String {
        let mut out = String::new();
        for (family, samples) in self.0 {
            let kind = match family {
                "oxilab_request_seconds" => "histogram",
                _ if family.ends_with("_total") => "counter",
                _ => "gauge",
            };
            let _ = write!(out, "# TYPE {family} {kind}\n{samples}");
        }
        out
    }
}
