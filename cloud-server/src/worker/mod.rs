//! One thread per language model, with a bounded queue in front of it.

mod inference;
mod job;
mod queue;
mod queue_stats;

use std::{
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tandem_generator::GeneratorError;
use tandem_protocol::EngineKind;
use tokio::sync::{oneshot, watch};

use self::{
    job::QueuedJob,
    queue::{JobQueue, PushError},
    queue_stats::QueueStats,
};
use crate::client::Client;
pub use inference::{GeneratorFactory, Readiness};
pub use job::{Job, JobOutput, WorkerError};

/// The handle of the one thread that owns a language model, and of its bounded queue.
///
/// [`Worker::generate`] may be called from any thread and any number of tasks. Clients take
/// turns, and the jobs of a client start in the order of their arrival. When the thread becomes
/// free, it takes half of the waiting jobs, up to
/// [`Generator::max_batch`](tandem_generator::Generator::max_batch), as one batch; it never
/// waits for a batch to fill. A job whose client has disconnected or whose deadline has
/// passed leaves the queue at once.
pub struct Worker {
    queue: Arc<JobQueue>,
    readiness: watch::Receiver<Readiness>,
    stats: Arc<QueueStats>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    /// Starts the thread, which calls `load` and then takes jobs. At most `capacity` jobs
    /// wait in the queue.
    ///
    /// # Errors
    /// If the system cannot create a thread. A failure of `load` is reported by
    /// [`Worker::readiness`].
    pub fn start<F, L>(load: L, capacity: usize) -> io::Result<Self>
    where
        F: GeneratorFactory,
        L: FnOnce() -> Result<F, GeneratorError> + Send + 'static,
    {
        let queue = Arc::new(JobQueue::new(capacity));
        let (ready, readiness) = watch::channel(Readiness::Loading);
        let stats = Arc::new(QueueStats::default());
        let thread = thread::Builder::new().name("language-model".to_owned()).spawn({
            let (queue, stats) = (Arc::clone(&queue), Arc::clone(&stats));
            move || inference::run(load, &queue, &ready, &stats)
        })?;
        Ok(Self { queue, readiness, stats, thread: Mutex::new(Some(thread)) })
    }

    /// The current state of the worker.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.borrow().clone()
    }

    /// How the model represents items; `None` until it is loaded.
    #[must_use]
    pub fn engine(&self) -> Option<EngineKind> {
        match &*self.readiness.borrow() {
            Readiness::Ready { kind, .. } => Some(*kind),
            Readiness::Loading | Readiness::Failed(_) => None,
        }
    }

    /// Number of jobs waiting in the queue.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Waits until loading has failed and returns the reason; never returns if loading
    /// succeeds.
    pub async fn failure(&self) -> String {
        let mut readiness = self.readiness.clone();
        loop {
            if let Readiness::Failed(reason) = &*readiness.borrow_and_update() {
                return reason.clone();
            }
            if readiness.changed().await.is_err() {
                // The thread has been stopped: it cannot fail any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until jobs are accepted; never returns if loading fails.
    pub async fn ready(&self) {
        let mut readiness = self.readiness.clone();
        let ready = |readiness: &Readiness| matches!(readiness, Readiness::Ready { .. });
        if readiness.wait_for(ready).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Queues a job of `client` and waits for its result until the deadline. Dropping the future
    /// cancels the job, unless it is being decoded already, and frees its place in the queue.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub async fn generate(
        &self,
        client: Client,
        job: Job,
        deadline: Instant,
    ) -> Result<JobOutput, WorkerError> {
        if !matches!(*self.readiness.borrow(), Readiness::Ready { .. }) {
            return Err(WorkerError::NotReady);
        }
        let (reply, output) = oneshot::channel();
        let job = QueuedJob { job, queued: Instant::now(), deadline, reply };
        let full = WorkerError::Full { retry_after_s: self.stats.retry_after_s(self.queued() + 1) };
        let id = self.queue.push(client, job, full).map_err(|refused| match refused {
            PushError::Full => full,
            PushError::Closed => WorkerError::Stopping,
        })?;
        let mut place = QueuePlace { queue: &self.queue, client, id: Some(id) };
        let remaining = deadline.saturating_duration_since(Instant::now());
        let answer = tokio::time::timeout(remaining, output).await;
        if answer.is_ok() {
            place.id = None;
        }
        match answer {
            Ok(Ok(result)) => result,
            // The worker dropped the job because its deadline had passed.
            Ok(Err(_)) if Instant::now() >= deadline => Err(WorkerError::Timeout),
            Ok(Err(_)) => Err(WorkerError::Failed),
            Err(_) => Err(WorkerError::Timeout),
        }
    }

    /// Closes the queue: no more jobs are accepted.
    pub fn close(&self) {
        self.queue.close();
    }

    /// Answers every waiting job with [`WorkerError::Stopping`] and closes the queue.
    pub fn refuse_waiting(&self) {
        self.queue.refuse_all(WorkerError::Stopping);
    }

    /// Closes the queue and waits at most `patience` for the thread to end. Returns whether it
    /// has ended; a running generation cannot be interrupted.
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
            tracing::error!("the language model's thread panicked");
        }
        true
    }
}

/// Removes a job from the queue when its request is dropped.
struct QueuePlace<'q> {
    queue: &'q JobQueue,
    client: Client,
    /// `None` once the job has an answer.
    id: Option<u64>,
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.queue.remove(self.client, id);
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("readiness", &self.readiness()).finish_non_exhaustive()
    }
}
