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

/// Time between two lines of the log about failures of the storage.
const BETWEEN_LINES: Duration = Duration::from_secs(1);
/// The same, if the reason is that of the line before.
const BETWEEN_REPEATED: Duration = Duration::from_secs(30);

/// Failures that repeat, as in an outage: the log names them from time to time.
#[derive(Debug)]
pub(crate) struct RepeatedErrors {
    /// The last line.
    reason: String,
    at: Instant,
    /// Number of failures since then.
    since: u64,
}

impl RepeatedErrors {
    /// Counts a failure, and returns the number of those that a line of the log is due for.
    pub(crate) fn line(log: &mut Option<Self>, reason: &str, now: Instant) -> Option<u64> {
        let before = log.as_ref().map_or(0, |last| last.since);
        if let Some(last) = log {
            let pause = if last.reason == reason { BETWEEN_REPEATED } else { BETWEEN_LINES };
            if now.duration_since(last.at) < pause {
                last.since += 1;
                return None;
            }
        }
        *log = Some(Self { reason: reason.to_owned(), at: now, since: 0 });
        Some(before + 1)
    }
}

/// The answer to a request that the storage could not serve; its reason goes to the log.
pub(crate) fn refusal(error: &StorageError) -> ApiError {
    // During an outage every request fails at once: the log says it from time to time.
    static LOG: Mutex<Option<RepeatedErrors>> = Mutex::new(None);
    let reason = error.to_string();
    let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let line = RepeatedErrors::line(&mut log, &reason, Instant::now());
    drop(log);
    if let Some(requests) = line {
        tracing::error!(error = reason, requests, "the storage refused requests");
    }
    match error {
        StorageError::Lost { .. } | StorageError::Newer { .. } => ApiError::StorageLost,
        StorageError::Full { .. } => ApiError::StorageFull,
        StorageError::Locked { .. } | StorageError::Unavailable { .. } | StorageError::Closed => {
            ApiError::StorageTimeout
        }
        _ => ApiError::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_in_the_log_at_once_and_then_every_half_minute() {
        let (mut log, start) = (None, Instant::now());
        let mut line = |reason: &str, ms| {
            RepeatedErrors::line(&mut log, reason, start + Duration::from_millis(ms))
        };
        assert_eq!(line("gone", 0), Some(1));
        assert_eq!(line("gone", 10), None);
        assert_eq!(line("full", 20), None, "another reason within the second");
        assert_eq!(line("full", 1_000), Some(3));
        let repeated: Vec<_> = (1..=60).filter_map(|s| line("full", 1_000 + s * 1_000)).collect();
        assert_eq!(repeated, [30, 30]);
    }
}
