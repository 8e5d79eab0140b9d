//! Events that come from a stream some time after they were acknowledged, perhaps several times, and
//! the removal of visitors whose events are still in it.

use std::collections::HashMap;

use tandem_dataset::files::sha256_hex;
use tandem_protocol::LoggedEvent;

use crate::{
    Storage, StorageError,
    clock::now,
    database::with_writer,
    event_queue::{NewEvent, Row, insert, json},
};

/// Events of a visit in a message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamedEvents {
    /// Name of the visit or visitor.
    pub session: String,
    /// The events.
    pub events: Vec<LoggedEvent>,
    /// Number of the message in the stream.
    pub sequence: u64,
}

/// A place in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPosition {
    /// A number that a stream keeps, and another one of its name does not have.
    pub stream: i64,
    /// Number of a message.
    pub sequence: u64,
}

/// What became of the events of messages. The others were stored before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamedCounts {
    /// Number of events that are new.
    pub stored: u64,
    /// Number of events that were left out because their visitor was removed afterwards.
    pub forgotten: u64,
}

/// Held by transactions that store events of a stream (shared) or remove a visitor: a visitor is removed
/// before or after events are stored, not meanwhile. SQLite has one writer at a time anyway.
pub(crate) const LOCK_SHARED: &str = "SELECT pg_advisory_xact_lock_shared(7406110351)";
pub(crate) const LOCK: &str = "SELECT pg_advisory_xact_lock(7406110351)";

/// The counter with the last message that may have events of a visitor who was removed.
pub(crate) fn erased(stream: i64, session: &str) -> String {
    format!("erased:{stream}:{}", sha256_hex(session))
}

impl Storage {
    /// Stores the events of messages of a stream that are new, all of them or none. Messages that were acknowledged before their visitor was removed
    /// ([`Storage::forget_streamed_user`]) are left out.
    ///
    /// # Errors
    /// See [`StorageError`]. After [`StorageError::Unavailable`] the events may have been stored;
    /// sent again, each is stored once.
    pub async fn append_streamed(
        &self,
        stream: i64,
        batches: Vec<StreamedEvents>,
    ) -> Result<StreamedCounts, StorageError> {
        if batches.is_empty() {
            return Ok(StreamedCounts::default());
        }
        self.short(move |database| async move {
            let names: HashMap<&str, String> = batches
                .iter()
                .map(|batch| (batch.session.as_str(), erased(stream, &batch.session)))
                .collect();
            let listed = json(&names.values().collect::<Vec<_>>())?;
            let lock = database.sql("SELECT 1", LOCK_SHARED);
            let removed = database.sql(
                "SELECT name, value FROM counters \
                 WHERE name IN (SELECT value FROM json_each($1))",
                "SELECT name, value FROM counters \
                 WHERE name IN (SELECT json_array_elements_text($1::json))",
            );
            let stored = with_writer!(&database, connection => {
                sqlx::query(lock).execute(&mut *connection).await?;
                let removed: Vec<(String, i64)> =
                    sqlx::query_as(removed).bind(&listed).fetch_all(&mut *connection).await?;
                let rows = rows_of(&batches, &names, &removed.into_iter().collect());
                let sent: usize = batches.iter().map(|batch| batch.events.len()).sum();
                let new: Vec<NewEvent> = sqlx::query_as(insert(&database))
                    .bind(json(&rows)?)
                    .bind(now())
                    .fetch_all(&mut *connection)
                    .await?;
                let forgotten = (sent - rows.len()) as u64;
                StreamedCounts { stored: new.len() as u64, forgotten }
            });
            Ok(stored)
        })
        .await
    }

    /// As [`Storage::forget_user`], also for events that are still in a stream: `end` is its last
    /// message now.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn forget_streamed_user(
        &self,
        session: &str,
        end: StreamPosition,
    ) -> Result<u64, StorageError> {
        self.forget(session.to_owned(), Some(end)).await
    }
}

/// The events of messages whose visitor was not removed afterwards.
fn rows_of<'b>(
    batches: &'b [StreamedEvents],
    names: &HashMap<&str, String>,
    removed: &HashMap<String, i64>,
) -> Vec<Row<'b>> {
    let is_removed = |batch: &StreamedEvents| {
        let until = names.get(batch.session.as_str()).and_then(|name| removed.get(name));
        until.is_some_and(|until| i64::try_from(batch.sequence).is_ok_and(|it| it <= *until))
    };
    let kept = batches.iter().filter(|batch| !is_removed(batch));
    kept.flat_map(|batch| batch.events.iter().map(|event| Row::new(&batch.session, event)))
        .collect()
}
