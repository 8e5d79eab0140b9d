use std::{sync::Arc, time::Instant};

use roaring::RoaringBitmap;
use tandem_dataset::ItemIndex;
use tandem_generator::{AddedItems, Generation, Query};
use tokio::sync::oneshot;

/// A request for candidates in plain types; see [`Query`], which borrows from it.
#[derive(Clone, Debug)]
pub struct Job {
    /// The visitor's items, oldest first, distinct.
    pub history: Vec<ItemIndex>,
    /// Further items that must not be candidates.
    pub exclude: Vec<ItemIndex>,
    /// Positions of the items that may be candidates; `None` for all.
    pub only: Option<RoaringBitmap>,
    /// Items beside those of the catalogue.
    pub added: Option<Arc<AddedItems>>,
    /// Number of candidates wanted.
    pub k: usize,
    /// Whether the parts of the candidates' scores are wanted.
    pub explain: bool,
}

impl Job {
    pub(super) fn query(&self) -> Query<'_> {
        Query {
            history: &self.history,
            exclude: &self.exclude,
            only: self.only.as_ref(),
            added: self.added.as_deref(),
            k: self.k,
        }
    }
}

/// The result of a [`Job`].
#[derive(Debug)]
pub struct JobOutput {
    /// The candidate list.
    pub generation: Generation,
    /// Time in the queue, in milliseconds.
    pub queue_ms: f64,
    /// Number of jobs that were decoded together.
    pub batch: usize,
}

/// Why a [`Job`] has no [`JobOutput`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// The model is still loading.
    #[error("the language model is still loading")]
    NotReady,
    /// The queue is full.
    #[error("the queue is full; retry in {retry_after_s} s")]
    Full {
        /// Estimated wait in seconds, from the latest generations.
        retry_after_s: u64,
    },
    /// The deadline passed before the result was ready.
    #[error("the deadline passed")]
    Timeout,
    /// The server is shutting down.
    #[error("the server is shutting down")]
    Stopping,
    /// The generator failed or panicked; the log has the reason. The worker keeps running.
    #[error("the generator failed")]
    Failed,
}

/// A job in the queue.
pub(super) struct QueuedJob {
    pub(super) job: Job,
    pub(super) queued: Instant,
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<JobOutput, WorkerError>>,
}
