use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tandem_dataset::ItemIndex;
use tandem_generator::{Generation, Generator, GeneratorError, Model, Query};
use tandem_protocol::{EngineKind, LanguageModelInfo};
use tokio::sync::{oneshot, watch};

/// A generation's time while none has been measured, in milliseconds.
const FIRST_GUESS_MS: u64 = 1000;

/// A loaded language model: what the worker's thread makes its generators of.
///
/// Lives on that one thread from loading to the end; it need not be `Send`.
pub trait Engine {
    /// What the model is.
    fn info(&self) -> &LanguageModelInfo;
    /// How its vocabulary stands for items.
    fn kind(&self) -> EngineKind;
    /// A fresh generator, made at the start and again after a panic.
    fn generator(&self) -> Result<Box<dyn Generator + '_>, GeneratorError>;
}

impl Engine for Model {
    fn info(&self) -> &LanguageModelInfo {
        Model::info(self)
    }

    fn kind(&self) -> EngineKind {
        Model::kind(self)
    }

    fn generator(&self) -> Result<Box<dyn Generator + '_>, GeneratorError> {
        Model::generator(self)
    }
}

/// A request for candidates in plain types; see [`Query`], which borrows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The visitor's items, oldest first, distinct.
    pub history: Vec<ItemIndex>,
    /// Items that must not be candidates either.
    pub exclude: Vec<ItemIndex>,
    /// How many candidates are wanted.
    pub k: usize,
}

impl Job {
    fn query(&self) -> Query<'_> {
        Query { history: &self.history, exclude: &self.exclude, k: self.k }
    }
}

/// A finished [`Job`].
#[derive(Debug)]
pub struct Answer {
    /// What the generator made.
    pub generation: Generation,
    /// Time the job waited for its turn, in milliseconds.
    pub queue_ms: f64,
}

/// Why a [`Job`] has no [`Answer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The model is still being loaded.
    #[error("the language model is not loaded yet")]
    NotReady,
    /// Every place in the queue is taken.
    #[error("the queue is full; a place should be free in {retry_after_s} s")]
    Full {
        /// Estimate from the latest generations.
        retry_after_s: u64,
    },
    /// The deadline passed before the answer came.
    #[error("the deadline passed")]
    Timeout,
    /// The generator failed or panicked; the log says how. The worker lives on.
    #[error("the generator failed")]
    Failed,
}

/// Where the worker stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The model is being loaded.
    Loading,
    /// Jobs are taken.
    Ready {
        /// What the model is.
        info: LanguageModelInfo,
        /// How its vocabulary stands for items.
        kind: EngineKind,
    },
    /// Loading failed, for the reason given; nothing will ever be answered.
    Failed(String),
}

/// The one thread that owns a language model, and the bounded queue before it.
///
/// [`Worker::generate`] may be called from any thread and any number of tasks. Jobs are
/// begun in the order they came. Whatever waits when the thread is free is evaluated
/// together, as far as the engine gains by it ([`Generator::together`]); nothing waits for
/// company. A job whose caller has gone, or whose deadline has passed, is dropped before it
/// is decoded.
pub struct Worker {
    /// Gone once the worker is told to stop.
    queue: Mutex<Option<SyncSender<QueuedJob>>>,
    readiness: watch::Receiver<Readiness>,
    load: Arc<Load>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct QueuedJob {
    job: Job,
    queued: Instant,
    deadline: Instant,
    reply: oneshot::Sender<Result<Answer, WorkerError>>,
}

/// What the estimate of waiting time is made of.
#[derive(Default)]
struct Load {
    queued: AtomicUsize,
    /// Moving average of a job's time; of one done together with others, its share.
    generation_ms: AtomicU64,
}

impl Worker {
    /// Starts the thread, which loads the model by `load` and then takes jobs, at most
    /// `places` waiting.
    pub fn start<E, F>(load: F, places: usize) -> io::Result<Self>
    where
        E: Engine,
        F: FnOnce() -> Result<E, GeneratorError> + Send + 'static,
    {
        let (queue, jobs) = sync_channel(places);
        let (ready, readiness) = watch::channel(Readiness::Loading);
        let shared = Arc::new(Load::default());
        let thread = thread::Builder::new().name("language-model".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || load_and_serve(load, &jobs, &ready, &shared)
        })?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            readiness,
            load: shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Where the worker stands now.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.borrow().clone()
    }

    /// Jobs that wait for their turn.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.load.queued.load(Ordering::Relaxed)
    }

    /// Waits until loading has failed, and says why; never ends if it succeeds.
    pub async fn failure(&self) -> String {
        let mut readiness = self.readiness.clone();
        loop {
            if let Readiness::Failed(reason) = &*readiness.borrow_and_update() {
                return reason.clone();
            }
            if readiness.changed().await.is_err() {
                // The thread has ended by order: nothing will fail any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Queues a job and waits for its answer until the deadline. Dropping the future
    /// takes the job back, unless it is being decoded already.
    pub async fn generate(&self, job: Job, deadline: Instant) -> Result<Answer, WorkerError> {
        if !matches!(*self.readiness.borrow(), Readiness::Ready { .. }) {
            return Err(WorkerError::NotReady);
        }
        let (reply, answer) = oneshot::channel();
        self.enqueue(QueuedJob { job, queued: Instant::now(), deadline, reply })?;
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, answer).await {
            Ok(Ok(result)) => result,
            // The worker dropped the job because its deadline had passed.
            Ok(Err(_)) if Instant::now() >= deadline => Err(WorkerError::Timeout),
            Ok(Err(_)) => Err(WorkerError::Failed),
            Err(_) => Err(WorkerError::Timeout),
        }
    }

    fn enqueue(&self, job: QueuedJob) -> Result<(), WorkerError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = &*queue else { return Err(WorkerError::NotReady) };
        // Counted first: the worker may take the job before this thread goes on.
        self.load.queued.fetch_add(1, Ordering::Relaxed);
        queue.try_send(job).map_err(|refused| {
            let waiting = self.load.queued.fetch_sub(1, Ordering::Relaxed) as u64;
            match refused {
                TrySendError::Full(_) => {
                    let each = match self.load.generation_ms.load(Ordering::Relaxed) {
                        0 => FIRST_GUESS_MS,
                        measured => measured,
                    };
                    // By when half of the queue will be done, at the latest pace: asking
                    // at the first free place would only meet everybody else there.
                    let retry_after_s = (each * waiting / 2).div_ceil(1000).max(1);
                    WorkerError::Full { retry_after_s }
                }
                TrySendError::Disconnected(_) => WorkerError::Failed,
            }
        })
    }

    /// Takes no more jobs.
    pub fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Takes no more jobs and waits at most `patience` for the thread to end. Returns
    /// whether it has; a generation under way cannot be interrupted.
    pub fn stop(&self, patience: Duration) -> bool {
        self.close();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + patience;
        while thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            if Instant::now() >= until {
                return false;
            }
            thread::sleep(Duration::from_millis(5));
        }
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the language model's thread ended by a panic");
        }
        true
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("readiness", &self.readiness()).finish_non_exhaustive()
    }
}

fn load_and_serve<E: Engine>(
    load: impl FnOnce() -> Result<E, GeneratorError>,
    jobs: &Receiver<QueuedJob>,
    ready: &watch::Sender<Readiness>,
    shared: &Load,
) {
    let started = Instant::now();
    let engine = match guarded(load) {
        Ok(Ok(engine)) => engine,
        Ok(Err(error)) => {
            ready.send_replace(Readiness::Failed(error.to_string()));
            return;
        }
        Err(Panicked) => {
            ready.send_replace(Readiness::Failed(
                "the language model could not be loaded: its loader panicked".to_owned(),
            ));
            return;
        }
    };
    // A context that cannot be made (too little memory) is a failure to start, not a
    // failure of the first visitor's request.
    let first = match guarded(|| engine.generator()) {
        Ok(Ok(generator)) => generator,
        Ok(Err(error)) => {
            ready.send_replace(Readiness::Failed(error.to_string()));
            return;
        }
        Err(Panicked) => {
            ready.send_replace(Readiness::Failed(
                "the language model's context could not be made: it panicked".to_owned(),
            ));
            return;
        }
    };
    let (info, kind) = (engine.info().clone(), engine.kind());
    tracing::info!(
        model = info.name,
        ms = started.elapsed().as_millis() as u64,
        "the language model is ready"
    );
    ready.send_replace(Readiness::Ready { info, kind });
    serve(&engine, first, jobs, shared);
}

/// Does jobs until the queue is closed.
fn serve<'e>(
    engine: &'e dyn Engine,
    first: Box<dyn Generator + 'e>,
    jobs: &Receiver<QueuedJob>,
    shared: &Load,
) {
    let together = first.together().max(1);
    let mut generator = Some(first);
    while let Ok(next) = jobs.recv() {
        let mut batch = vec![next];
        batch.extend(jobs.try_iter().take(together - 1));
        shared.queued.fetch_sub(batch.len(), Ordering::Relaxed);
        let started = Instant::now();
        batch.retain(|waiting| !waiting.reply.is_closed() && started < waiting.deadline);
        if batch.is_empty() {
            tracing::debug!("jobs that nobody waits for are skipped");
            continue;
        }
        let results = generate(engine, &mut generator, &batch);
        shared.record(started.elapsed() / u32::try_from(batch.len()).unwrap_or(u32::MAX));
        for (QueuedJob { queued, reply, .. }, result) in batch.into_iter().zip(results) {
            let queue_ms = (started - queued).as_secs_f64() * 1e3;
            // Whoever has gone meanwhile does not want the answer.
            let _ = reply.send(result.map(|generation| Answer { generation, queue_ms }));
        }
    }
}

/// One result for each job of the batch.
fn generate<'e>(
    engine: &'e dyn Engine,
    slot: &mut Option<Box<dyn Generator + 'e>>,
    batch: &[QueuedJob],
) -> Vec<Result<Generation, WorkerError>> {
    let attempt = guarded(|| {
        let generator = match slot {
            Some(generator) => generator,
            None => slot.insert(engine.generator()?),
        };
        let queries: Vec<Query<'_>> = batch.iter().map(|waiting| waiting.job.query()).collect();
        Ok::<_, GeneratorError>(generator.generate_batch(&queries))
    });
    let results = match attempt {
        Ok(Ok(results)) => results,
        Ok(Err(error)) => {
            tracing::error!(%error, "the generator could not be made anew");
            Vec::new()
        }
        Err(Panicked) => {
            tracing::error!(jobs = batch.len(), "the generator panicked and is made anew");
            let broken = slot.take();
            // Its destructor may stumble over the same state.
            let _ = guarded(move || drop(broken));
            Vec::new()
        }
    };
    let mut results = results.into_iter();
    let mut next = || match results.next() {
        Some(Ok(generation)) => Ok(generation),
        Some(Err(error)) => {
            tracing::error!(%error, "the generator failed");
            Err(WorkerError::Failed)
        }
        // None was made, for the reason logged above.
        None => Err(WorkerError::Failed),
    };
    batch.iter().map(|_| next()).collect()
}

struct Panicked;

/// Calls `task` and turns a panic into an error. What `task` leaves behind in a broken
/// state is thrown away by the callers, hence the assertion of unwind safety.
fn guarded<T>(task: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(task)).map_err(|_| Panicked)
}

impl Load {
    fn record(&self, elapsed: Duration) {
        let ms = elapsed.as_millis() as u64;
        // Only the worker writes, so there is no race between load and store.
        let average = match self.generation_ms.load(Ordering::Relaxed) {
            0 => ms,
            average => (3 * average + ms) / 4,
        };
        self.generation_ms.store(average, Ordering::Relaxed);
    }
}
