//! [`Sender`]: the thread that sends to a server what the journal has.
//!
//! It sends when there is something new, and again, at growing intervals, as long as the server does not
//! answer. Whoever waits for it waits as long as something gets through.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use oxilab_runtime::cancel;

use crate::journal::Journal;
use crate::mlflow::Mlflow;
use crate::sync;
use crate::tracker::Tracker;
use crate::{Result, TrackError};

/// The first and the longest interval between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long records are gathered before they are sent.
const MOMENT: Duration = Duration::from_millis(150);
/// How long somebody waits while nothing gets through, unless `OXILAB_TRACK_PATIENCE` says so in seconds.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the start of a run waits for the server.
const START: Duration = Duration::from_secs(4);

fn patience() -> Duration {
    let set = std::env::var("OXILAB_TRACK_PATIENCE").ok().and_then(|text| text.parse().ok());
    set.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).unwrap_or(PATIENCE)
}

enum Order {
    Wake,
    Flush(mpsc::Sender<Result<()>>),
    Make(String, mpsc::Sender<Result<String>>),
}

/// Sends on a thread of its own.
pub(crate) struct Sender {
    orders: mpsc::Sender<Order>,
    journal: Arc<Journal>,
    server: Arc<Mlflow>,
    /// Whether it was said that the server does not answer; once is enough until it does.
    told: AtomicBool,
    problem: Problem,
}

/// What was wrong when the sending thread last tried.
type Problem = Arc<Mutex<Option<String>>>;

impl Sender {
    pub(crate) fn start(journal: Arc<Journal>, server: Arc<Mlflow>) -> Result<Self> {
        let (orders, received) = channel();
        let problem = Problem::default();
        let worker = Worker {
            journal: Arc::clone(&journal),
            server: Arc::clone(&server),
            problem: Arc::clone(&problem),
        };
        std::thread::Builder::new()
            .name("oxilab-track-send".to_owned())
            .spawn(move || worker.serve(&received))
            .map_err(|error| TrackError::file("start the thread of", "oxilab-track", error))?;
        Ok(Self { orders, journal, server, told: AtomicBool::new(false), problem })
    }

    /// Something that says that there is something new.
    pub(crate) fn waker(&self) -> impl Fn() + Send + 'static {
        let orders = self.orders.clone();
        move || {
            // The thread is gone only when the process ends.
            let _ = orders.send(Order::Wake);
        }
    }

    /// Makes a run on the server. `None` when the server does not answer now: it is made later.
    ///
    /// # Errors
    /// What the server said against it.
    pub(crate) fn make(&self, run: &str) -> Result<Option<String>> {
        sync::await_run(&self.journal, &self.server.uri(), run)?;
        let (reply, answer) = channel();
        let order = Order::Make(run.to_owned(), reply);
        let made = self
            .orders
            .send(order)
            .ok()
            .and_then(|()| answer.recv_timeout(START.min(patience())).ok());
        match made {
            Some(Ok(remote)) => {
                self.told.store(false, Ordering::Relaxed);
                Ok(Some(remote).filter(|remote| !remote.is_empty()))
            }
            Some(Err(error)) if !error.is_transient() => Err(error),
            Some(Err(error)) => {
                self.tell(|| error.to_string());
                Ok(None)
            }
            None => {
                self.tell(|| self.later("it has not answered"));
                Ok(None)
            }
        }
    }

    /// The server hears of a run that is in the journal, later.
    pub(crate) fn tell_of(&self, run: &str) -> Result<()> {
        sync::await_run(&self.journal, &self.server.uri(), run)?;
        self.waker()();
        Ok(())
    }

    /// Says what is wrong with the server, if something is: for those who do not wait for it.
    pub(crate) fn say_problem(&self) {
        let problem = self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match problem {
            Some(problem) => self.tell(|| problem),
            None => self.told.store(false, Ordering::Relaxed),
        }
    }

    /// Gives what is on its way a moment to arrive.
    pub(crate) fn finish(&self, moment: Duration) {
        let (reply, answer) = channel();
        if self.orders.send(Order::Flush(reply)).is_ok() {
            // What is left is said by whoever calls.
            let _ = answer.recv_timeout(moment);
        }
    }

    /// Waits until the server has all that the journal has, as long as something gets through.
    /// Whatever is left is kept, which is said.
    ///
    /// # Errors
    /// What the server refused since the last call.
    pub(crate) fn flush(&self) -> Result<()> {
        let (reply, answer) = channel();
        if self.orders.send(Order::Flush(reply)).is_err() {
            return Ok(());
        }
        let patience = patience();
        let mut moved = (Instant::now(), self.server.progress());
        loop {
            match answer.recv_timeout(Duration::from_millis(50)) {
                Ok(Err(error)) if error.is_transient() => {
                    self.tell(|| error.to_string());
                    return Ok(());
                }
                Ok(done) => {
                    self.told.store(false, Ordering::Relaxed);
                    return done;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            let progress = self.server.progress();
            if progress != moved.1 {
                moved = (Instant::now(), progress);
            }
            if moved.0.elapsed() > patience || cancel::requested() {
                self.tell(|| self.later("it is slow"));
                return Ok(());
            }
        }
    }

    /// Says what stays in the journal, if anything does.
    pub(crate) fn say_what_is_left(&self) {
        if self.journal.count_awaited(&self.server.uri()).is_ok_and(|left| left > 0) {
            eprintln!("oxilab: {}", self.later("the process ends"));
        }
    }

    fn tell(&self, what: impl FnOnce() -> String) {
        if !self.told.swap(true, Ordering::Relaxed) {
            eprintln!("oxilab: {}", what());
        }
    }

    fn later(&self, why: &str) -> String {
        let uri = self.server.uri();
        let left = match self.journal.count_awaited(&uri) {
            Ok(left) => format!("{left} records"),
            Err(_) => "records".to_owned(),
        };
        format!(
            "the MLflow server at {uri} does not have everything ({why}): {left} are kept in the \
             journal and sent later, by the next run or `track::sync({uri:?})`"
        )
    }
}

struct Worker {
    journal: Arc<Journal>,
    server: Arc<Mlflow>,
    problem: Problem,
}

impl Worker {
    fn serve(&self, orders: &Receiver<Order>) {
        let mut pause = None::<Duration>;
        // What the server refused and nobody was told yet.
        let mut refused = None;
        loop {
            let first = match pause {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(pause) => orders.recv_timeout(pause),
            };
            let gone = matches!(first, Err(RecvTimeoutError::Disconnected));
            let mut flushes = Vec::new();
            for order in gather(first.ok(), orders) {
                match order {
                    Order::Wake => {}
                    Order::Flush(reply) => flushes.push(reply),
                    // Whoever asked may have stopped waiting: then the run is known from the journal.
                    Order::Make(run, reply) => {
                        let _ = reply.send(sync::send_one(&self.journal, &self.server, &run));
                    }
                }
            }
            let sent = sync::send(&self.journal, &self.server, false);
            pause = match &sent {
                Ok(_) => None,
                Err(_) => Some(pause.map_or(PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE))),
            };
            let outcome = sent.and_then(|report| match report.refused.first() {
                Some(reason) => Err(TrackError::Refused { reason: reason.clone() }),
                None => Ok(()),
            });
            let problem = outcome.as_ref().err().map(ToString::to_string);
            *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
            answer(outcome, &mut refused, flushes);
            if gone {
                return;
            }
        }
    }
}

/// The order and those that come within a moment, so that one request carries many records. Whoever
/// waits ends the moment.
fn gather(first: Option<Order>, orders: &Receiver<Order>) -> Vec<Order> {
    let until = Instant::now() + MOMENT;
    let mut gathered: Vec<Order> = first.into_iter().collect();
    while matches!(gathered.last(), Some(Order::Wake)) {
        let left = until.saturating_duration_since(Instant::now());
        match orders.recv_timeout(left) {
            // One is as good as many.
            Ok(Order::Wake) => {}
            Ok(order) => gathered.push(order),
            Err(_) => break,
        }
    }
    gathered.extend(orders.try_iter());
    gathered
}

/// Tells those who wait. A refusal that nobody waits for is told to the next.
fn answer(
    outcome: Result<()>,
    refused: &mut Option<TrackError>,
    flushes: Vec<mpsc::Sender<Result<()>>>,
) {
    let mut outcome = Some(outcome);
    let is_refusal = |outcome: &mut Result<()>| matches!(outcome, Err(e) if e.is_refusal());
    if let Some(Err(error)) = outcome.take_if(is_refusal) {
        refused.get_or_insert(error);
    }
    for reply in flushes {
        let said = match refused.take() {
            Some(error) => Err(error),
            None => outcome.take().unwrap_or(Ok(())),
        };
        // Nobody waits any more: nothing to tell.
        let _ = reply.send(said);
    }
}
