//! What the routes share: [`App`].

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use oxilab_serve::{Located, Monitor, Predictor};
use tokio::sync::{Notify, Semaphore};

use crate::args::Args;
use crate::batch::Batcher;
use crate::last::Last;
use crate::limits::Rates;
use crate::llm::{Engine, LlmSlot, Model};
use crate::monitoring::metrics::{Refused, Samples};
use crate::reload::Source;
use crate::slot::Slot;
use crate::{pushed, slot};

pub(crate) struct App {
    pub(crate) args: Args,
    pub(crate) name: String,
    pub(crate) started: Instant,
    /// In the order of the command line.
    slots: RwLock<Vec<Arc<Slot>>>,
    /// Language models.
    pub(crate) llms: Vec<Arc<LlmSlot>>,
    /// Seconds since 1970 at the start.
    pub(crate) born: u64,
    /// SHA-256 of the token that stops the server.
    pub(crate) admin: Option<[u8; 32]>,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) rates: Rates,
    pub(crate) batcher: Arc<Batcher>,
    pub(crate) stop: Notify,
    /// Held while a pushed model is taken.
    pub(crate) pushes: Mutex<()>,
    pub(crate) refused: Refused,
    ids: AtomicU64,
    /// Makes ids of this process unlike those of others.
    epoch: u64,
}

impl App {
    /// Loads all models, of each the version that was loaded `last` where there is one.
    pub(crate) fn load(args: Args, admin: Option<[u8; 32]>, last: &Last) -> Result<Self> {
        let mut known: BTreeMap<String, usize> = BTreeMap::new();
        let (mut slots, mut llms) = (Vec::new(), Vec::new());
        let pushed = pushed::known(&args)?;
        for (name, uri) in args.models().into_iter().chain(pushed) {
            let count = known.get(&name).map_or(1, |count| count + 1);
            let label = if count == 1 { name.clone() } else { format!("{name}#{count}") };
            let before = last.of(&label, &uri);
            let load = |place: &Located| Loaded::open(place, args.engine);
            let (source, loaded) = Source::open(&name, &label, &uri, before, load)?;
            match loaded {
                Loaded::Language(model) => {
                    tracing::info!(model = %name, "loaded, a language model");
                    llms.push(Arc::new(LlmSlot::new(source, model, args.engine)));
                }
                Loaded::Rows(predictor) => {
                    known.insert(name, count);
                    slots.push(Arc::new(Slot::new(source, *predictor, &args)?));
                }
            }
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Ok(Self {
            name: args.server_name(),
            started: Instant::now(),
            slots: RwLock::new(slots),
            llms,
            born: now.as_ref().map_or(0, Duration::as_secs),
            admin,
            room: Arc::new(Semaphore::new(args.queue.max(1))),
            rates: Rates::new(args.rate_limit),
            batcher: Batcher::start(&args),
            stop: Notify::new(),
            pushes: Mutex::default(),
            refused: Refused::default(),
            ids: AtomicU64::new(0),
            epoch: now.map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0)),
            args,
        })
    }

    /// All models.
    pub(crate) fn slots(&self) -> Vec<Arc<Slot>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The model of that name, the first of several; without a name the first.
    pub(crate) fn slot(&self, name: Option<&str>) -> Option<Arc<Slot>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        match name {
            None => slots.first().cloned(),
            Some(name) => slots.iter().find(|slot| slot.name == name).cloned(),
        }
    }

    /// The model of that name whose version answers now.
    pub(crate) fn version(&self, name: &str, version: &str) -> Option<Arc<Slot>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        let fits = |slot: &&Arc<Slot>| slot.name == name && slot.current().version() == version;
        slots.iter().find(fits).cloned()
    }

    /// All versions of a name.
    pub(crate) fn of_name(&self, name: &str) -> Vec<Arc<Slot>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.iter().filter(|slot| slot.name == name).cloned().collect()
    }

    /// The versions of a name that answer now.
    pub(crate) fn versions(&self, name: &str) -> Vec<String> {
        let of_name = self.of_name(name);
        of_name.iter().map(|slot| slot.current().version().to_owned()).collect()
    }

    /// The language model of that name.
    pub(crate) fn llm(&self, name: &str) -> Option<Arc<LlmSlot>> {
        self.llms.iter().find(|slot| slot.name == name).cloned()
    }

    /// A seed for a request that brought none.
    pub(crate) fn new_seed(&self) -> u64 {
        let odd = 0x9e37_79b9_7f4a_7c15;
        (self.epoch ^ self.ids.fetch_add(1, Ordering::Relaxed)).wrapping_mul(odd)
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.born + self.started.elapsed().as_secs()
    }

    /// One more model.
    pub(crate) fn add(&self, slot: Arc<Slot>) {
        self.slots.write().unwrap_or_else(PoisonError::into_inner).push(slot);
    }

    /// An id for a request that brought none.
    pub(crate) fn new_id(&self) -> String {
        format!("{:x}-{:x}", self.epoch, self.ids.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn monitor(&self) -> Monitor {
        Monitor {
            name: self.name.clone(),
            uptime: self.started.elapsed().as_secs_f64(),
            models: self
                .slots()
                .iter()
                .map(|slot| slot.status())
                .chain(self.llms.iter().map(|slot| slot.status()))
                .collect(),
        }
    }

    /// Prometheus' text format.
    pub(crate) fn metrics(&self) -> String {
        let mut out = Samples::default();
        for slot in self.slots() {
            slot.write_metrics(&mut out);
        }
        for slot in &self.llms {
            slot.write_metrics(&mut out);
        }
        self.refused.write(&mut out);
        let busy = self.args.queue.max(1) - self.room.available_permits();
        out.add("oxilab_requests_in_flight", "", busy);
        out.add("oxilab_queue_length", "", self.batcher.waiting());
        out.add("oxilab_uptime_seconds", "", self.started.elapsed().as_secs_f64());
        out.into_text()
    }

    /// Writes captured rows that no file holds yet. Nothing is captured from then on.
    pub(crate) fn finish(&self) {
        for slot in self.slots() {
            slot.ledger.finish();
        }
    }
}

/// A version of a model, of either kind.
enum Loaded {
    Language(Model),
    Rows(Box<Predictor>),
}

impl Loaded {
    fn open(place: &Located, engine: Engine) -> Result<Self> {
        match Model::load(&place.path, engine)? {
            Some(model) => Ok(Self::Language(model)),
            None => Ok(Self::Rows(Box::new(slot::open(place)?))),
        }
    }
}
