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

use tandem_storage::StorageError;

use crate::error::ApiError;

/// The answer to a request that the storage could not serve; its reason goes to the log.
pub(crate) fn refusal(error: &StorageError) -> ApiError {
    tracing::error!(%error, "the storage refused a request");
    match error {
        StorageError::Full { .. } => ApiError::StorageFull,
        StorageError::Locked { .. } | StorageError::Unavailable { .. } | StorageError::Closed => {
            ApiError::StorageTimeout
        }
        _ => ApiError::Internal,
    }
}
