//! A model under its name; which version answers may change: [`Slot`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Result;
use oxilab_serve::{Drift, DriftReport, Located, ModelStatus, Predictor};

use crate::app::App;
use crate::args::Args;
use crate::locks::locked;
use crate::monitoring::ledger::Ledger;
use crate::monitoring::metrics::{Metrics, Samples};
use crate::monitoring::window::joined;
use crate::reload::{self, Follow, Source, When, apart};

/// A model that answers a few rows within this time may do so on a thread that listens.
const QUICK: Duration = Duration::from_micros(250);

/// What it took is not known yet.
const UNKNOWN: u64 = u64::MAX;

pub(crate) struct Slot {
    pub(crate) name: String,
    /// Tells it from others of its name in metrics.
    pub(crate) label: String,
    source: Source,
    current: RwLock<Arc<Predictor>>,
    metrics: Arc<Mutex<Metrics>>,
    pub(crate) ledger: Ledger,
    drift: Mutex<Option<(u64, Option<DriftReport>)>>,
    /// Nanoseconds that the latest prediction of a few rows took.
    pace: AtomicU64,
}

impl Slot {
    /// Loads what the address means now.
    pub(crate) fn load(name: &str, label: &str, uri: &str, args: &Args) -> Result<Self> {
        let (source, predictor) = Source::open(name, label, uri, None, open)?;
        Self::new(source, predictor, args)
    }

    /// A model that is loaded.
    pub(crate) fn new(source: Source, predictor: Predictor, args: &Args) -> Result<Self> {
        let metrics = Arc::new(Mutex::default());
        let ledger = Ledger::new(source.name(), source.label(), &metrics, args)?;
        Ok(Self {
            name: source.name().to_owned(),
            label: source.label().to_owned(),
            source,
            current: RwLock::new(Arc::new(predictor)),
            metrics,
            ledger,
            drift: Mutex::default(),
            pace: AtomicU64::new(UNKNOWN),
        })
    }

    /// Looks at where the model comes from from now on, and writes what is captured.
    pub(crate) fn follow(self: &Arc<Self>, app: &App) {
        reload::follow(self, app);
        if app.args.capture.is_some() {
            let every = Duration::from_secs_f64(app.args.capture_every);
            tokio::spawn(Arc::clone(self).keep_flushing(every));
        }
    }

    /// A crash loses no more than what came since.
    async fn keep_flushing(self: Arc<Self>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            self.ledger.flush();
        }
    }

    /// Where it comes from.
    pub(crate) fn uri(&self) -> &str {
        self.source.uri()
    }

    /// The version that answers now; it stays whole for whoever holds it.
    pub(crate) fn current(&self) -> Arc<Predictor> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another version in place, after it has predicted once. It counts as quick if the one before it
    /// was, until it has answered.
    fn swap(&self, predictor: Predictor) {
        let version = predictor.version().to_owned();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(predictor);
        self.ledger.clear();
        *locked(&self.drift) = None;
        tracing::info!(model = %self.name, %version, "took a new version");
    }

    pub(crate) fn metrics(&self) -> MutexGuard<'_, Metrics> {
        locked(&self.metrics)
    }

    /// For who counts later.
    pub(crate) fn metered(&self) -> &Mutex<Metrics> {
        &self.metrics
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

    /// Drift of the window; measured again when rows have come.
    pub(crate) fn drift(&self) -> Option<DriftReport> {
        let (rows, window) = self.ledger.window();
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

    pub(crate) fn status(&self) -> ModelStatus {
        let drift = self.drift();
        let current = self.current();
        let (performance, labels) = self.ledger.performance(current.model().task());
        ModelStatus {
            drift,
            performance,
            labels,
            usual: current.usual().cloned(),
            ..self.source.status(&self.label, current.version(), &self.metrics())
        }
    }

    pub(crate) fn write_metrics(&self, out: &mut Samples) {
        let drift = self.drift();
        self.metrics().write(out, &self.label);
        let model = format!("model=\"{}\"", self.label);
        let current = self.current();
        out.add("oxilab_model_info", &format!("{model},version=\"{}\"", current.version()), 1);
        self.source.write_metrics(out);
        for column in drift.iter().flat_map(|report| &report.columns) {
            let name =
                column.column.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let labels = format!("{model},column=\"{name}\"");
            out.add("oxilab_drift_psi", &labels, column.psi.unwrap_or(f64::NAN));
            out.add("oxilab_drift_p", &labels, column.p_adjusted.unwrap_or(f64::NAN));
            out.add("oxilab_drift_missing", &labels, column.missing.unwrap_or(f64::NAN));
            out.add("oxilab_drift_detected", &labels, u8::from(column.drifted));
        }
        let (seen, _) = self.ledger.performance(current.model().task());
        for (set, performance) in [("window", seen.as_ref()), ("reference", current.usual())] {
            if let Some(performance) = performance {
                let labels = format!("{model},metric=\"{}\",rows=\"{set}\"", performance.metric);
                out.add("oxilab_performance", &labels, performance.value);
            }
        }
    }
}

impl Follow for Slot {
    fn source(&self) -> &Source {
        &self.source
    }

    fn look(&self) {
        self.source.look(When::AtOnce, |place| {
            self.swap(open(place)?);
            Ok(())
        });
    }
}

/// The version at a place, after it has predicted once.
pub(crate) fn open(place: &Located) -> Result<Predictor> {
    Ok(apart(|| Predictor::open_at(place))?)
}
