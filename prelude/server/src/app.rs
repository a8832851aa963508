//! What the routes share: [`App`], and one [`Slot`] per model.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use oxilab_serve::{Drift, DriftReport, ModelStatus, Monitor, Predictions, Predictor, resolve};
use polars::prelude::DataFrame;
use tokio::sync::{Notify, Semaphore};

use crate::args::Args;
use crate::metrics::{Metrics, Samples};
use crate::watch::Watch;

pub(crate) struct App {
    pub(crate) args: Args,
    pub(crate) started: Instant,
    /// In the order of the command line.
    pub(crate) slots: Vec<Arc<Slot>>,
    /// SHA-256 of the token that stops the server.
    pub(crate) admin: Option<[u8; 32]>,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) stop: Notify,
}

/// A model under its name; which version answers may change.
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) uri: String,
    current: RwLock<Arc<Predictor>>,
    metrics: Mutex<Metrics>,
    watch: Mutex<Watch>,
    swaps: AtomicU64,
    failures: AtomicU64,
}

impl App {
    /// Loads all models.
    pub(crate) fn load(args: Args, admin: Option<[u8; 32]>) -> Result<Self> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
        let mut names = std::collections::BTreeSet::new();
        let mut loaded = Vec::new();
        for (name, uri) in &args.models {
            anyhow::ensure!(names.insert(name.as_str()), "two models are named {name}");
            let path = resolve(uri)?;
            let predictor =
                Predictor::open(&path).with_context(|| format!("cannot load model {name}"))?;
            let prefix = match &args.capture {
                None => None,
                Some(folder) => {
                    std::fs::create_dir_all(folder)
                        .with_context(|| format!("cannot make {}", folder.display()))?;
                    Some(folder.join(format!("{name}-{started}")))
                }
            };
            loaded.push(Arc::new(Slot {
                name: name.clone(),
                uri: uri.clone(),
                current: RwLock::new(Arc::new(predictor)),
                metrics: Mutex::default(),
                watch: Mutex::new(Watch::new(args.window, prefix, args.capture_sample)),
                swaps: AtomicU64::new(0),
                failures: AtomicU64::new(0),
            }));
        }
        let room = Arc::new(Semaphore::new(args.queue.max(1)));
        let started = Instant::now();
        Ok(Self { args, started, slots: loaded, admin, room, stop: Notify::new() })
    }

    /// The model of that name; without a name the first.
    pub(crate) fn slot(&self, name: Option<&str>) -> Option<Arc<Slot>> {
        match name {
            None => self.slots.first().cloned(),
            Some(name) => self.slots.iter().find(|slot| slot.name == name).cloned(),
        }
    }

    pub(crate) fn monitor(&self) -> Monitor {
        Monitor {
            name: self.args.name.clone(),
            uptime: self.started.elapsed().as_secs_f64(),
            models: self.slots.iter().map(|slot| slot.status()).collect(),
        }
    }

    /// Prometheus' text format.
    pub(crate) fn metrics(&self) -> String {
        let mut out = Samples::default();
        for slot in &self.slots {
            slot.write_metrics(&mut out);
        }
        out.into_text()
    }

    /// Writes captured rows that no file holds yet.
    pub(crate) fn flush(&self) {
        for slot in &self.slots {
            let rest = locked(&slot.watch).flush();
            slot.write(rest);
        }
    }
}

impl Slot {
    /// The version that answers now; it stays whole for whoever holds it.
    pub(crate) fn current(&self) -> Arc<Predictor> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another version in its place.
    pub(crate) fn swap(&self, predictor: Predictor) {
        let version = predictor.version().to_owned();
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(predictor);
        self.swaps.fetch_add(1, Ordering::Relaxed);
        locked(&self.watch).clear();
        tracing::info!(model = %self.name, %version, "took a new version");
    }

    pub(crate) fn reload_failed(&self, error: &dyn std::fmt::Display) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        tracing::error!(model = %self.name, %error, "cannot load the new version; the old one answers");
    }

    pub(crate) fn metrics(&self) -> MutexGuard<'_, Metrics> {
        locked(&self.metrics)
    }

    /// Takes note of an answer for drift and capture.
    pub(crate) fn note(&self, input: &DataFrame, predictions: &Predictions) {
        let full = locked(&self.watch).note(input, predictions);
        match full {
            Ok(rows) => self.write(rows),
            Err(error) => tracing::error!(model = %self.name, %error, "cannot keep a request"),
        }
    }

    fn write(&self, rows: Option<(PathBuf, DataFrame)>) {
        if let Some((path, frame)) = rows
            && let Err(error) = oxilab_serve::write_parquet(&path, &frame)
        {
            tracing::error!(model = %self.name, %error, "cannot write captured requests");
        }
    }

    fn drift(&self) -> Option<DriftReport> {
        let window = locked(&self.watch).window()?;
        match self.current().drift(&window, Drift::new()) {
            Ok(report) => report,
            Err(error) => {
                tracing::error!(model = %self.name, %error, "cannot measure drift");
                None
            }
        }
    }

    fn status(&self) -> ModelStatus {
        let drift = self.drift();
        let metrics = self.metrics();
        ModelStatus {
            model: self.name.clone(),
            version: self.current().version().to_owned(),
            requests: metrics.requests(),
            errors: metrics.errors(),
            rows: metrics.rows(),
            swaps: self.swaps.load(Ordering::Relaxed),
            p50_ms: metrics.quantile_ms(50),
            p99_ms: metrics.quantile_ms(99),
            drift,
        }
    }

    fn write_metrics(&self, out: &mut Samples) {
        let drift = self.drift();
        self.metrics().write(out, &self.name);
        let model = format!("model=\"{}\"", self.name);
        out.add("oxilab_model_swaps_total", &model, self.swaps.load(Ordering::Relaxed));
        out.add(
            "oxilab_model_reload_failures_total",
            &model,
            self.failures.load(Ordering::Relaxed),
        );
        for column in drift.iter().flat_map(|report| &report.columns) {
            let name =
                column.column.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let labels = format!("{model},column=\"{name}\"");
            out.add("oxilab_drift_psi", &labels, column.psi.unwrap_or(f64::NAN));
            out.add("oxilab_drift_p", &labels, column.p_adjusted.unwrap_or(f64::NAN));
            out.add("oxilab_drift_detected", &labels, u8::from(column.drifted));
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
