//! Predictions of several requests at once: [`Batcher`].
//!
//! Requests wait in one queue; a few threads take from it, each all that waits for the same version of a
//! model. While one batch is computed the next one gathers, so batches grow with the load and a lone
//! request does not wait. A lone request for a model that is quick is answered where it is
//! ([`Batcher::at_once`]): waking another thread and being woken by it takes longer than its answer. So does
//! waking the thread that listens, which stays awake for a moment ([`Batcher::look_out`]).

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use oxilab_serve::{Predictions, Predictor, ServeError};
use polars::prelude::DataFrame;
use tokio::sync::oneshot;

use crate::args::Args;
use crate::memory;
use crate::monitoring::ledger::Answered;
use crate::slot::Slot;

/// Most rows of a request that may be answered where it is.
const FEW: usize = 16;

/// So long after two requests came together more of them are expected to: a batch costs less than they do
/// one by one.
const CROWD: Duration = Duration::from_millis(20);

/// So long after a lone request the next one of its client is looked out for.
const LOOKOUT: Duration = Duration::from_micros(100);

/// What a request wants to know.
pub(crate) struct Job {
    pub(crate) slot: Arc<Slot>,
    /// The version that read the request.
    pub(crate) predictor: Arc<Predictor>,
    pub(crate) frame: DataFrame,
    pub(crate) id: String,
    pub(crate) reply: oneshot::Sender<Result<Predictions, ServeError>>,
}

/// A queue of [`Job`]s and the threads that do them.
pub(crate) struct Batcher {
    queue: Mutex<VecDeque<Job>>,
    arrived: Condvar,
    /// Requests that are being read and will ask.
    coming: AtomicUsize,
    /// Requests so far.
    came: AtomicU64,
    started: Instant,
    /// Microseconds from the start until two requests last came together; 0 is never.
    crowded: AtomicU64,
    rows: usize,
    wait: Duration,
}

/// A request on its way to the queue; batches may wait for it.
pub(crate) struct Coming(Arc<Batcher>);

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.coming.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Batcher {
    /// Starts the threads; they end with the process.
    pub(crate) fn start(args: &Args) -> Arc<Self> {
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if args.threads == 0 { (all - 1).max(1) } else { args.threads };
        let wait = Duration::from_secs_f64(args.batch_wait / 1e3);
        let batcher = Arc::new(Self::new(args.batch_rows, wait));
        for number in 0..threads {
            let batcher = Arc::clone(&batcher);
            let builder = std::thread::Builder::new().name(format!("predict-{number}"));
            if let Err(error) = builder.spawn(move || batcher.work()) {
                tracing::error!(%error, "cannot start a thread");
            }
        }
        batcher
    }

    fn new(rows: usize, wait: Duration) -> Self {
        Self {
            queue: Mutex::default(),
            arrived: Condvar::new(),
            coming: AtomicUsize::new(0),
            came: AtomicU64::new(0),
            started: Instant::now(),
            crowded: AtomicU64::new(0),
            rows: rows.max(1),
            wait,
        }
    }

    /// Says that a job will follow.
    pub(crate) fn coming(self: &Arc<Self>) -> Coming {
        self.came.fetch_add(1, Ordering::Relaxed);
        if self.coming.fetch_add(1, Ordering::Relaxed) > 0 {
            self.crowded.store(self.now(), Ordering::Relaxed);
        }
        Coming(Arc::clone(self))
    }

    pub(crate) fn push(&self, job: Job) {
        self.locked().push_back(job);
        self.arrived.notify_one();
    }

    /// The answer, if nobody else asks or did a moment ago, there are few rows and the model is known to be
    /// quick. It is the caller's to [note](crate::monitoring::ledger::Ledger::note) it.
    pub(crate) fn at_once(
        &self,
        slot: &Slot,
        predictor: &Predictor,
        frame: &DataFrame,
    ) -> Option<Result<Predictions, ServeError>> {
        let lone = frame.height() <= FEW
            && self.coming.load(Ordering::Relaxed) == 1
            && slot.is_quick()
            && !self.is_crowded()
            && self.queue.try_lock().is_ok_and(|queue| queue.is_empty());
        lone.then(|| {
            slot.metrics().batch(frame.height());
            predict(slot, predictor, frame)
        })
    }

    /// Keeps the thread that listens awake for a moment, or until the next request.
    pub(crate) async fn look_out(&self) {
        let (came, begun) = (self.came.load(Ordering::Relaxed), Instant::now());
        while self.came.load(Ordering::Relaxed) == came
            && begun.elapsed() < LOOKOUT
            && !self.is_crowded()
        {
            // The client may be waiting for this very processor.
            std::thread::yield_now();
            tokio::task::yield_now().await;
        }
    }

    fn is_crowded(&self) -> bool {
        let last = self.crowded.load(Ordering::Relaxed);
        last > 0 && u128::from(self.now().saturating_sub(last)) < CROWD.as_micros()
    }

    /// Microseconds since the start, at least 1.
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).map_or(u64::MAX, |now| now.max(1))
    }

    /// Jobs that nobody has begun.
    pub(crate) fn waiting(&self) -> usize {
        self.locked().len()
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<Job>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut given = Instant::now();
        loop {
            if given.elapsed() >= memory::EVERY {
                memory::give_back();
                given = Instant::now();
            }
            let jobs = self.gather();
            // What a model does to its thread ends with the batch.
            if std::panic::catch_unwind(AssertUnwindSafe(|| answer(jobs))).is_err() {
                tracing::error!("a thread failed after its answers were sent");
            }
        }
    }

    /// The next job and all others of its model that wait or, within the budget, arrive.
    fn gather(&self) -> Vec<Job> {
        let mut queue = self.locked();
        let first = loop {
            match queue.pop_front() {
                Some(job) => break job,
                None => queue = self.arrived.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        };
        let mut rows = first.frame.height();
        let mut jobs = vec![first];
        let until = Instant::now() + self.wait;
        loop {
            self.take_like(&mut queue, &mut jobs, &mut rows);
            let left = until.saturating_duration_since(Instant::now());
            let others = self.coming.load(Ordering::Relaxed) > 0;
            if rows >= self.rows || left.is_zero() || !others || !queue.is_empty() {
                return jobs;
            }
            let waited = self.arrived.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn take_like(&self, queue: &mut VecDeque<Job>, jobs: &mut Vec<Job>, rows: &mut usize) {
        let mut at = 0;
        while at < queue.len() && *rows < self.rows {
            let job = &queue[at];
            let like = Arc::ptr_eq(&job.predictor, &jobs[0].predictor)
                && *rows + job.frame.height() <= self.rows;
            match like.then(|| queue.remove(at)).flatten() {
                Some(job) => {
                    *rows += job.frame.height();
                    jobs.push(job);
                }
                None => at += 1,
            }
        }
    }
}

/// Predicts all at once; if that fails, each alone, so that only those at fault are told.
fn answer(mut jobs: Vec<Job>) {
    jobs.retain(|job| !job.reply.is_closed());
    let Some(first) = jobs.first() else { return };
    let (slot, predictor) = (Arc::clone(&first.slot), Arc::clone(&first.predictor));
    let rows = jobs.iter().map(|job| job.frame.height()).sum();
    slot.metrics().batch(rows);
    if jobs.len() > 1
        && let Some(frame) = joined(&jobs)
        && let Ok(all) = predict(&slot, &predictor, &frame)
    {
        let (mut parts, mut answers) = (Vec::new(), Vec::new());
        let mut from = 0;
        for Job { frame, id, reply, .. } in jobs {
            let part = all.slice(from, frame.height());
            from += frame.height();
            parts.push((id, frame.height(), part.clone()));
            answers.push((reply, part));
        }
        slot.ledger.note(Answered { input: frame, said: all, parts });
        for (reply, part) in answers {
            // Whoever asked may be gone.
            let _ = reply.send(Ok(part));
        }
        slot.ledger.keep();
        return;
    }
    for Job { frame, id, reply, .. } in jobs {
        let said = predict(&slot, &predictor, &frame);
        if let Ok(said) = &said {
            let parts = vec![(id, frame.height(), said.clone())];
            slot.ledger.note(Answered { input: frame, said: said.clone(), parts });
        }
        let _ = reply.send(said);
        slot.ledger.keep();
    }
}

fn joined(jobs: &[Job]) -> Option<DataFrame> {
    let mut all = jobs.first()?.frame.clone();
    for job in &jobs[1..] {
        all.vstack_mut(&job.frame).ok()?;
    }
    all.rechunk_mut();
    Some(all)
}

fn predict(
    slot: &Slot,
    predictor: &Predictor,
    frame: &DataFrame,
) -> Result<Predictions, ServeError> {
    let begun = Instant::now();
    let said = caught(|| predictor.predict(frame));
    if frame.height() <= FEW {
        slot.took(begun.elapsed());
    }
    said
}

/// A model that panics answers with an error; the log has the panic's own words.
fn caught(
    work: impl FnOnce() -> Result<Predictions, ServeError>,
) -> Result<Predictions, ServeError> {
    std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(ServeError::Panicked))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use polars::df;
    use serde_json::Value;

    use super::*;
    use crate::monitoring::labels::Fit;
    use crate::testing::MODEL;

    const BUDGET: Duration = Duration::from_millis(250);
    /// Far beyond the budget, for busy machines.
    const LONG: Duration = Duration::from_secs(20);

    struct Given {
        batcher: Arc<Batcher>,
        slot: Arc<Slot>,
    }

    impl Given {
        fn new(rows: usize, wait: Duration) -> Self {
            let args = Args::parse_from(["oxilab-server", "--model", &format!("iris={MODEL}")]);
            let slot = Slot::load("iris", "iris", MODEL, &args).expect("a model");
            Self { batcher: Arc::new(Batcher::new(rows, wait)), slot: Arc::new(slot) }
        }

        /// Some rows of the model's.
        fn frame(rows: usize) -> DataFrame {
            let frame = df!(
                "sepal_length" => vec![6.5; rows], "sepal_width" => vec![3.0; rows],
                "petal_length" => vec![5.5; rows], "petal_width" => vec![2.0; rows]
            );
            frame.expect("a frame")
        }

        fn is_answered_at_once(&self, rows: usize) -> bool {
            let _coming = self.batcher.coming();
            let (predictor, frame) = (self.slot.current(), Self::frame(rows));
            let said = self.batcher.at_once(&self.slot, &predictor, &frame);
            said.is_some_and(|said| said.expect("an answer").values().len() == rows)
        }

        fn push(&self, id: &str) {
            let frame = Self::frame(1);
            let (reply, _) = oneshot::channel();
            let (slot, predictor) = (Arc::clone(&self.slot), self.slot.current());
            self.batcher.push(Job { slot, predictor, frame, id: id.to_owned(), reply });
        }

        /// What each gets of whoever asks with these in one batch; their ids are 0, 1, ….
        fn answer(&self, frames: &[DataFrame]) -> Vec<Result<Vec<Value>, ServeError>> {
            let mut said = Vec::new();
            let ask = |(id, frame): (usize, &DataFrame)| {
                let (reply, answer) = oneshot::channel();
                said.push(answer);
                let (slot, predictor) = (Arc::clone(&self.slot), self.slot.current());
                Job { slot, predictor, frame: frame.clone(), id: id.to_string(), reply }
            };
            let jobs = frames.iter().enumerate().map(ask).collect();
            answer(jobs);
            let answers = said.into_iter().map(|mut said| said.try_recv().expect("an answer"));
            answers.map(|said| said.map(|said| said.json_values())).collect()
        }

        /// The next batch, and how long it was waited for.
        fn gather(&self) -> (Vec<String>, Duration) {
            let begun = Instant::now();
            let jobs = self.batcher.gather();
            (jobs.into_iter().map(|job| job.id).collect(), begun.elapsed())
        }
    }

    /// Irises by the length of their petals, which tells their kind.
    fn irises(petals: &[f64]) -> DataFrame {
        let mut frame = Given::frame(petals.len());
        let column = polars::prelude::Column::new("petal_length".into(), petals);
        frame.with_column(column).expect("as many rows");
        frame
    }

    #[test]
    fn each_request_of_a_batch_gets_the_answers_to_its_own_rows() {
        let given = Given::new(100, Duration::ZERO);
        let mut frames =
            vec![irises(&[1.4]), irises(&[6.0, 1.5, 5.9]), irises(&[5.8]), irises(&[1.3])];
        let predictor = given.slot.current();
        let alone = |frame: &DataFrame| predictor.predict(frame).expect("an answer").json_values();
        let expected: Vec<Vec<Value>> = frames.iter().map(alone).collect();
        assert_ne!(expected[0], expected[2], "the rows are told apart");
        let said = given.answer(&frames).into_iter().map(|said| said.expect("an answer"));
        assert_eq!(said.collect::<Vec<_>>(), expected);
        let task = predictor.model().task();
        let fit = |id: &str, rows: usize| given.slot.ledger.fit(task, id, &vec![Value::Null; rows]);
        assert_eq!((fit("1", 3), fit("2", 1)), (Fit::Fits, Fit::Fits));

        // One that cannot be answered: all are asked alone, and it alone is told.
        frames.insert(1, irises(&[5.7]).drop("petal_length").expect("a column"));
        let mut said = given.answer(&frames);
        let error = said.remove(1).expect_err("a column is missing");
        assert_eq!((error.status(), error.blamed()), (422, Some("petal_length")), "{error}");
        let said = said.into_iter().map(|said| said.expect("the others are answered"));
        assert_eq!(said.collect::<Vec<_>>(), expected);
        assert_eq!((fit("1", 3), fit("2", 3)), (Fit::Fits, Fit::Fits), "each is noted as its own");
    }

    #[tokio::test]
    async fn a_lookout_ends_with_the_next_request() {
        let given = Given::new(1, BUDGET);
        drop(given.batcher.coming());
        let alone = Instant::now();
        given.batcher.look_out().await;
        assert!(alone.elapsed() >= LOOKOUT, "{:?}", alone.elapsed());

        let mut ended = false;
        for _ in 0..100 {
            let begun = Instant::now();
            let next = async { drop(given.batcher.coming()) };
            let ((), ()) = tokio::join!(given.batcher.look_out(), next);
            ended |= begun.elapsed() < LOOKOUT;
        }
        assert!(ended, "it is looked out for what has come");
    }

    #[test]
    fn a_model_that_panics_is_an_error_that_tells_nothing() {
        let error = caught(|| panic!("/home/ann/secret.txt")).expect_err("a panic");
        assert!(matches!(error, ServeError::Panicked), "{error}");
        assert_eq!(error.status(), 500);
        assert!(!error.public().contains("ann"), "{}", error.public());
        let given = Given::new(1, Duration::ZERO);
        let said = predict(&given.slot, &given.slot.current(), &Given::frame(1));
        assert_eq!(said.expect("it answers on").values().len(), 1);
    }

    #[test]
    fn a_batch_waits_for_those_on_their_way_as_long_as_its_budget_lasts() {
        let given = Given::new(100, BUDGET);
        // One comes while the batch waits, another one never does.
        let (second, _never) = (given.batcher.coming(), given.batcher.coming());
        given.push("first");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(BUDGET / 5);
                given.push("second");
                drop(second);
            });
            let (jobs, waited) = given.gather();
            assert_eq!(jobs, ["first", "second"]);
            assert!(waited >= BUDGET && waited < LONG, "{waited:?}");
        });
    }

    #[test]
    fn a_batch_does_not_wait_when_nobody_comes_or_it_is_full_or_there_is_no_budget() {
        let given = Given::new(100, LONG);
        given.push("lone");
        let (jobs, waited) = given.gather();
        assert_eq!(jobs, ["lone"]);
        assert!(waited < LONG / 2, "{waited:?}");
        // The last one that was on its way has come.
        let coming = given.batcher.coming();
        given.push("a");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(BUDGET / 5);
                drop(coming);
                given.push("b");
            });
            let (jobs, waited) = given.gather();
            assert_eq!(jobs, ["a", "b"]);
            assert!(waited < LONG / 2, "{waited:?}");
        });

        let full = Given::new(2, LONG);
        let _coming = full.batcher.coming();
        ["a", "b", "c"].into_iter().for_each(|id| full.push(id));
        assert_eq!(full.gather().0, ["a", "b"]);
        assert_eq!(full.batcher.waiting(), 1);

        let none = Given::new(100, Duration::ZERO);
        let _coming = none.batcher.coming();
        none.push("a");
        assert_eq!(none.gather().0, ["a"]);
    }

    #[test]
    fn a_lone_request_is_answered_at_once_if_its_model_is_known_to_be_quick() {
        let given = Given::new(100, Duration::ZERO);
        assert!(!given.is_answered_at_once(1), "nothing is known of the model");
        given.slot.took(Duration::from_micros(40));
        assert!(given.is_answered_at_once(1));

        given.slot.took(Duration::from_micros(40));
        assert!(!given.is_answered_at_once(FEW + 1), "many rows take longer");
        let other = given.batcher.coming();
        assert!(!given.is_answered_at_once(1), "another request comes: they are a batch");
        drop(other);
        assert!(!given.is_answered_at_once(1), "two came together a moment ago");
        std::thread::sleep(CROWD * 2);
        given.push("waits");
        assert!(!given.is_answered_at_once(1), "another request waits");
        given.gather();
        assert!(given.is_answered_at_once(FEW));
        given.slot.took(Duration::from_millis(2));
        assert!(!given.is_answered_at_once(1), "the model is slow");
    }
}
