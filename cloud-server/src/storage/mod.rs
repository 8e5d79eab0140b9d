//! The database of `--storage`: events and items, and the commands on it.

mod catalogue;
mod commands;
mod export;
mod lines;
mod maintenance;
mod sink;

pub(crate) use catalogue::copy_catalogue;
pub use commands::{StorageCommand, StorageCommandError};
pub(crate) use lines::{AvailabilityLine, Format, Line, LineError, Lines, Refusal};
pub(crate) use maintenance::Maintenance;
pub(crate) use sink::{EventSink, ReplayError};

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tandem_storage::StorageError;

use crate::error::ApiError;

/// Time between two lines of the log about refused requests.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// The answer to a request that the storage could not serve; its reason goes to the log.
pub(crate) fn refusal(error: &StorageError) -> ApiError {
    // During an outage every request fails at once: the log has one line a second of them.
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if last.is_none_or(|last| last.elapsed() >= BETWEEN_LINES) {
        *last = Some(Instant::now());
        tracing::error!(%error, "the storage refused a request");
    }
    drop(last);
    match error {
        StorageError::Lost { .. } | StorageError::Newer { .. } => ApiError::StorageLost,
        StorageError::Full { .. } => ApiError::StorageFull,
        StorageError::Locked { .. } | StorageError::Unavailable { .. } | StorageError::Closed => {
            ApiError::StorageTimeout
        }
        _ => ApiError::Internal,
    }
}
