//! A model under its name; which version answers may change: [`Slot`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result};
use oxilab_serve::{Drift, DriftReport, ModelStatus, Predictions, Predictor, locate};
use polars::prelude::DataFrame;
use serde_json::Value;

use crate::app::App;
use crate::args::Args;
use crate::monitoring::labels::Labels;
use crate::monitoring::metrics::{Metrics, Samples};
use crate::monitoring::watch::{Captured, Watch};
use crate::monitoring::window::joined;
use crate::reload::{self, Mark};

/// A model that answers a few rows within this time may do so on a thread that listens.
const QUICK: Duration = Duration::from_micros(250);

/// What it took is not known yet.
const UNKNOWN: u64 = u64::MAX;

pub(crate) struct Slot {
    pub(crate) name: String,
    /// Tells it from others of its name in metrics.
    pub(crate) label: String,
    pub(crate) uri: String,
    current: RwLock<Arc<Predictor>>,
    seen: Mutex<Option<Mark>>,
    metrics: Mutex<Metrics>,
    watch: Mutex<Watch>,
    labels: Mutex<Labels>,
    drift: Mutex<Option<(u64, Option<DriftReport>)>>,
    swaps: AtomicU64,
    failures: AtomicU64,
    /// Nanoseconds that the latest prediction of a few rows took.
    pace: AtomicU64,
}

impl Slot {
    /// Loads what the address means now.
    pub(crate) fn load(name: &str, label: &str, uri: &str, args: &Args) -> Result<Self> {
        let doing = || format!("cannot load model {name}");
        let mark = reload::mark(uri);
        let predictor = locate(uri)
            .and_then(|place| apart(|| Predictor::open_at(&place)))
            .with_context(doing)?;
        let prefix = match &args.capture {
            None => None,
            Some(folder) => {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("cannot make {}", folder.display()))?;
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
                Some(folder.join(format!("{name}-{}", now.map_or(0, |since| since.as_millis()))))
            }
        };
        let redact = args.redact.clone();
        Ok(Self {
            name: name.to_owned(),
            label: label.to_owned(),
            uri: uri.to_owned(),
            current: RwLock::new(Arc::new(predictor)),
            seen: Mutex::new(mark),
            metrics: Mutex::default(),
            watch: Mutex::new(Watch::new(args.window, prefix, args.capture_sample, redact)),
            labels: Mutex::new(Labels::new(args.window)),
            drift: Mutex::default(),
            swaps: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            pace: AtomicU64::new(UNKNOWN),
        })
    }

    /// Looks at where the model comes from from now on.
    pub(crate) fn follow(self: &Arc<Self>, app: &App) {
        let every = Duration::from_millis(app.args.watch.max(10));
        tokio::spawn(reload::watch(Arc::clone(self), every));
    }

    /// The version that answers now; it stays whole for whoever holds it.
    pub(crate) fn current(&self) -> Arc<Predictor> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes what the address means now, if that is new.
    pub(crate) fn look(&self) {
        // Nothing to be found, for a moment or for good: what is loaded stays.
        let Some(now) = reload::mark(&self.uri) else { return };
        let mut seen = locked(&self.seen);
        if seen.as_ref() == Some(&now) || !now.is_there() {
            return;
        }
        match apart(|| Predictor::open_at(now.place())) {
            Ok(predictor) => self.swap(predictor),
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                tracing::error!(model = %self.name, %error, "cannot load the new version; the old one answers");
            }
        }
        *seen = Some(now);
    }

    /// Puts another version in place, after it has predicted once. It counts as quick if the one before it
    /// was, until it has answered.
    fn swap(&self, predictor: Predictor) {
        let version = predictor.version().to_owned();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(predictor);
        self.swaps.fetch_add(1, Ordering::Relaxed);
        locked(&self.watch).window.clear();
        locked(&self.labels).clear();
        *locked(&self.drift) = None;
        tracing::info!(model = %self.name, %version, "took a new version");
    }

    pub(crate) fn metrics(&self) -> MutexGuard<'_, Metrics> {
        locked(&self.metrics)
    }

    /// Says how long a prediction of a few rows took.
    pub(crate) fn took(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(UNKNOWN);
        self.pace.store(nanoseconds, Ordering::Relaxed);
    }

    /// Whether the latest prediction of a few rows took next to no time.
    pub(crate) fn is_quick(&self) -> bool {
        u128::from(self.pace.load(Ordering::Relaxed)) <= QUICK.as_nanos()
    }

    /// Takes note of a batch for drift, capture and labels; `parts` are its requests: id, rows,
    /// predictions. Gives captured rows that are to be [written](Slot::write).
    pub(crate) fn note(
        &self,
        input: &DataFrame,
        predictions: &Predictions,
        parts: &[(String, usize, Predictions)],
    ) -> Option<Captured> {
        {
            let mut labels = locked(&self.labels);
            for (id, _, said) in parts {
                labels.said(id, said);
            }
        }
        let ids: Vec<&str> = parts
            .iter()
            .flat_map(|(id, rows, _)| std::iter::repeat_n(id.as_str(), *rows))
            .collect();
        locked(&self.watch).note(input, predictions, &ids).unwrap_or_else(|error| {
            tracing::error!(model = %self.name, %error, "cannot keep a request");
            None
        })
    }

    /// Writes captured rows that no file holds yet.
    pub(crate) fn flush(&self) {
        let rest = locked(&self.watch).flush();
        self.write(rest);
    }

    /// Writes captured rows, which takes a while.
    pub(crate) fn write(&self, rows: Option<Captured>) {
        if let Some((path, frame)) = rows
            && let Err(error) = oxilab_serve::write_parquet(&path, &frame)
        {
            locked(&self.metrics).capture_failed();
            tracing::error!(model = %self.name, %error, "cannot write captured requests");
        }
    }

    /// Drift of the window; measured again when rows have come.
    pub(crate) fn drift(&self) -> Option<DriftReport> {
        let (rows, window) = {
            let watch = locked(&self.watch);
            (watch.rows(), watch.window.frames())
        };
        let mut known = locked(&self.drift);
        if let Some((at, report)) = &*known
            && *at == rows
        {
            return report.clone();
        }
        let measured = apart(|| match joined(window) {
            Some(window) => self.current().drift(&window, Drift::new()),
            None => Ok(None),
        });
        let report = measured.unwrap_or_else(|error| {
            tracing::error!(model = %self.name, %error, "cannot measure drift");
            None
        });
        *known = Some((rows, report.clone()));
        report
    }

    /// Labels that came for earlier requests; how many were of known ones.
    pub(crate) fn label(&self, id: &str, labels: &[Value]) -> usize {
        locked(&self.labels).label(id, labels)
    }

    pub(crate) fn status(&self) -> ModelStatus {
        let drift = self.drift();
        let current = self.current();
        let performance = locked(&self.labels).performance(current.model().task());
        let metrics = self.metrics();
        ModelStatus {
            model: self.label.clone(),
            version: current.version().to_owned(),
            requests: metrics.requests(),
            errors: metrics.errors(),
            rows: metrics.rows(),
            swaps: self.swaps.load(Ordering::Relaxed),
            reload_failures: self.failures.load(Ordering::Relaxed),
            p50_ms: metrics.quantile_ms(50),
            p99_ms: metrics.quantile_ms(99),
            history: metrics.history(),
            drift,
            performance,
            usual: current.usual().cloned(),
        }
    }

    pub(crate) fn write_metrics(&self, out: &mut Samples) {
        let drift = self.drift();
        self.metrics().write(out, &self.label);
        let model = format!("model=\"{}\"", self.label);
        let current = self.current();
        out.add("oxilab_model_info", &format!("{model},version=\"{}\"", current.version()), 1);
        out.add("oxilab_model_swaps_total", &model, self.swaps.load(Ordering::Relaxed));
        let failures = self.failures.load(Ordering::Relaxed);
        out.add("oxilab_model_reload_failures_total", &model, failures);
        for column in drift.iter().flat_map(|report| &report.columns) {
            let name =
                column.column.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let labels = format!("{model},column=\"{name}\"");
            out.add("oxilab_drift_psi", &labels, column.psi.unwrap_or(f64::NAN));
            out.add("oxilab_drift_p", &labels, column.p_adjusted.unwrap_or(f64::NAN));
            out.add("oxilab_drift_detected", &labels, u8::from(column.drifted));
        }
        let seen = locked(&self.labels).performance(current.model().task());
        for (set, performance) in [("window", seen.as_ref()), ("reference", current.usual())] {
            if let Some(performance) = performance {
                let labels = format!("{model},metric=\"{}\",rows=\"{set}\"", performance.metric);
                out.add("oxilab_performance", &labels, performance.value);
            }
        }
    }
}

/// Work on a thread of its own: what a thread has allocated goes back to the system when it is freed after
/// the thread's end, and stays with a thread that goes on. Threads that wait for work would each keep the
/// most that some work once needed.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
