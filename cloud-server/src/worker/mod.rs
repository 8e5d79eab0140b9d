//! One thread per language model, with a bounded queue in front of it.

mod inference;
mod job;
mod queue_stats;

use std::{
    fmt, io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tandem_generator::GeneratorError;
use tokio::sync::{oneshot, watch};

use self::{job::QueuedJob, queue_stats::QueueStats};
pub use inference::{GeneratorFactory, Readiness};
pub use job::{Job, JobOutput, WorkerError};

/// The handle of the one thread that owns a language model, and of its bounded queue.
///
/// [`Worker::generate`] may be called from any thread and any number of tasks. Jobs start in
/// the order of their arrival. When the thread becomes free, it takes all waiting jobs up to
/// [`Generator::max_batch`](tandem_generator::Generator::max_batch) as one batch; it never
/// waits for a batch to fill. A job whose client has disconnected or whose deadline has
/// passed is dropped before it is decoded.
pub struct Worker {
    /// `None` once the worker is closed.
    queue: Mutex<Option<SyncSender<QueuedJob>>>,
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
        let (queue, jobs) = sync_channel(capacity);
        let (ready, readiness) = watch::channel(Readiness::Loading);
        let stats = Arc::new(QueueStats::default());
        let thread = thread::Builder::new().name("language-model".to_owned()).spawn({
            let stats = Arc::clone(&stats);
            move || inference::run(load, &jobs, &ready, &stats)
        })?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            readiness,
            stats,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// The current state of the worker.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.readiness.borrow().clone()
    }

    /// Number of jobs waiting in the queue.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.stats.queued()
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

    /// Queues a job and waits for its result until the deadline. Dropping the future cancels
    /// the job, unless it is being decoded already.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub async fn generate(&self, job: Job, deadline: Instant) -> Result<JobOutput, WorkerError> {
        if !matches!(*self.readiness.borrow(), Readiness::Ready { .. }) {
            return Err(WorkerError::NotReady);
        }
        let (reply, output) = oneshot::channel();
        self.enqueue(QueuedJob { job, queued: Instant::now(), deadline, reply })?;
        let remaining = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(remaining, output).await {
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
        // Counted before sending, because the worker may take the job at once.
        self.stats.add();
        queue.try_send(job).map_err(|refused| {
            let waiting = self.stats.queued();
            self.stats.remove(1);
            match refused {
                TrySendError::Full(_) => {
                    WorkerError::Full { retry_after_s: self.stats.retry_after_s(waiting) }
                }
                TrySendError::Disconnected(_) => WorkerError::Failed,
            }
        })
    }

    /// Closes the queue: no more jobs are accepted.
    pub fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
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

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("readiness", &self.readiness()).finish_non_exhaustive()
    }
}
