//! Removal of old events and compaction.

use serde::Serialize;

use crate::{
    Storage, StorageError,
    clock::now,
    database::{Database, with_reader, with_writer},
    events::signed,
};

/// Bytes that an event takes beside its texts: numbers, the row and its places in the indices. An
/// estimate; sizes on the disk also have free space. In SQLite, `dbstat` says 75 for 20,000 events
/// with UUIDs and about 50 for short ids.
const OVERHEAD_SQLITE: i64 = 70;
const OVERHEAD_POSTGRES: i64 = 130;
/// Maximum number of events that are removed in one transaction, so that others can write.
const STEP: i64 = 20_000;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Time after which nobody needs to learn that an item was deleted.
const TOMBSTONE_DAYS: i64 = 30;

/// How long events are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Maximum age in days; `None` for no limit.
    pub days: Option<u32>,
    /// Maximum size of all events in bytes, estimated; the oldest are removed first. `None` for no
    /// limit.
    pub bytes: Option<u64>,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Number of events.
    pub events: u64,
    /// Number of deleted items whose rows are gone.
    pub items: u64,
}

impl Storage {
    /// Removes events that are older or more than `retention` allows, and what is left of items
    /// that were deleted long ago. Works in small transactions; a failure leaves the earlier ones
    /// done. An event that is sent again after its removal is stored again.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn retain(&self, retention: Retention) -> Result<Removed, StorageError> {
        self.long(move |database| async move {
            let mut removed = Removed::default();
            if let Some(days) = retention.days {
                let before = now() - i64::from(days) * DAY_MS;
                removed.events += remove_events(&database, Cut::Received(before)).await?;
            }
            if let Some(bytes) = retention.bytes
                && let Some(number) = newest_beyond(&database, bytes).await?
            {
                removed.events += remove_events(&database, Cut::Number(number)).await?;
            }
            let before = now() - TOMBSTONE_DAYS * DAY_MS;
            removed.items = with_writer!(&database, connection => {
                sqlx::query("DELETE FROM items WHERE deleted < $1")
                    .bind(before)
                    .execute(connection)
                    .await?
                    .rows_affected()
            });
            Ok(removed)
        })
        .await
    }

    /// Returns free space to the file system, as far as the database can while it is in use.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn compact(&self) -> Result<(), StorageError> {
        self.long(|database| async move {
            match database {
                Database::Sqlite { writer, .. } => {
                    // The rows of these statements are the pages that were freed.
                    sqlx::query("PRAGMA incremental_vacuum").fetch_all(&writer).await?;
                    sqlx::query("PRAGMA optimize").fetch_all(&writer).await?;
                    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&writer).await?;
                }
                Database::Postgres(server) => {
                    let mut connection = server.acquire().await?;
                    for table in ["VACUUM (ANALYZE) events", "VACUUM (ANALYZE) items"] {
                        sqlx::query(table).execute(&mut *connection).await?;
                    }
                }
            }
            Ok(())
        })
        .await
    }
}

/// Which events are too old.
#[derive(Clone, Copy)]
enum Cut {
    /// Received before this time.
    Received(i64),
    /// This one and those before it.
    Number(i64),
}

async fn remove_events(database: &Database, cut: Cut) -> Result<u64, StorageError> {
    const BY_TIME: &str = "DELETE FROM events WHERE number IN \
                           (SELECT number FROM events WHERE received < $1 LIMIT $2)";
    const BY_NUMBER: &str = "DELETE FROM events WHERE number IN \
                             (SELECT number FROM events WHERE number <= $1 LIMIT $2)";
    let (query, value) = match cut {
        Cut::Received(time) => (BY_TIME, time),
        Cut::Number(number) => (BY_NUMBER, number),
    };
    let mut removed = 0;
    loop {
        let step = with_writer!(database, connection => {
            sqlx::query(query).bind(value).bind(STEP).execute(connection).await?.rows_affected()
        });
        removed += step;
        if step < STEP.cast_unsigned() {
            return Ok(removed);
        }
    }
}

/// The newest event that does not fit into `bytes` together with those after it.
async fn newest_beyond(database: &Database, bytes: u64) -> Result<Option<i64>, StorageError> {
    const QUERY: &str = "SELECT MAX(number) FROM (SELECT number, SUM($1 + \
        2 * LENGTH(session) + 2 * LENGTH(id) + LENGTH(item) + LENGTH(kind) + \
        COALESCE(LENGTH(recommendation), 0)) OVER (ORDER BY number DESC) AS bytes FROM events) \
        AS sizes WHERE bytes > $2";
    let overhead = match database {
        Database::Sqlite { .. } => OVERHEAD_SQLITE,
        Database::Postgres(_) => OVERHEAD_POSTGRES,
    };
    Ok(with_reader!(database, connection => {
        sqlx::query_scalar(QUERY)
            .bind(overhead)
            .bind(signed(bytes))
            .fetch_one(connection)
            .await?
    }))
}
