//! Export and removal of a visitor.

use tandem_dataset::files::sha256_hex;

use crate::{
    Storage, StorageError, StoredEvent, StreamPosition,
    clock::now,
    database::{constant, with_reader, with_writer},
    events::{COLUMNS, EventRow, LOCK, erased, event, signed},
};

impl Storage {
    /// All events of a visitor, in the order in which they were stored.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn user_events(&self, session: &str) -> Result<Vec<StoredEvent>, StorageError> {
        let session = session.to_owned();
        let query = format!("SELECT {COLUMNS} FROM events WHERE session = $1 ORDER BY number");
        self.short(move |database| async move {
            let rows: Vec<EventRow> = with_reader!(&database, connection => {
                sqlx::query_as(constant(query)).bind(&session).fetch_all(connection).await?
            });
            Ok(rows.into_iter().filter_map(event).collect())
        })
        .await
    }

    /// Removes all events of a visitor and returns their number. The hash of the name is kept, so
    /// that the next import removes the visitor from what was exported before.
    /// [`Storage::erasures`] grows in the same transaction.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn forget_user(&self, session: &str) -> Result<u64, StorageError> {
        self.forget(session.to_owned(), None).await
    }

    /// `stream` is the place up to which a stream may have events of the visitor.
    pub(crate) async fn forget(
        &self,
        session: String,
        stream: Option<StreamPosition>,
    ) -> Result<u64, StorageError> {
        self.short(move |database| async move {
            let lock = database.sql("SELECT 1", LOCK);
            let removed = with_writer!(&database, connection => {
                sqlx::query(lock).execute(&mut *connection).await?;
                if let Some(StreamPosition { stream, sequence }) = stream {
                    sqlx::query(
                        "INSERT INTO counters (name, value) VALUES ($1, $2) \
                         ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                    )
                    .bind(erased(stream, &session))
                    .bind(signed(sequence))
                    .execute(&mut *connection)
                    .await?;
                }
                let removed = sqlx::query("DELETE FROM events WHERE session = $1")
                    .bind(&session)
                    .execute(&mut *connection)
                    .await?
                    .rows_affected();
                // Also without events: those that retention has removed may have been exported.
                sqlx::query(
                    "INSERT INTO forgotten_users (name_sha256, at) VALUES ($1, $2) \
                     ON CONFLICT (name_sha256) DO UPDATE SET at = excluded.at",
                )
                .bind(sha256_hex(&session))
                .bind(now())
                .execute(&mut *connection)
                .await?;
                // Not a time: the clocks of servers differ.
                sqlx::query(
                    "INSERT INTO counters (name, value) VALUES ('erasures', 1) \
                     ON CONFLICT (name) DO UPDATE SET value = counters.value + 1",
                )
                .execute(&mut *connection)
                .await?;
                removed
            });
            Ok(removed)
        })
        .await
    }

    /// How often a visitor was removed. Who counts events reads this first: a number that has grown
    /// says that events which were counted may be gone.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn erasures(&self) -> Result<i64, StorageError> {
        const QUERY: &str = "SELECT value FROM counters WHERE name = 'erasures'";
        self.short(|database| async move {
            let value: Option<i64> = with_reader!(&database, connection => {
                sqlx::query_scalar(QUERY).fetch_optional(connection).await?
            });
            Ok(value.unwrap_or(0))
        })
        .await
    }

    /// SHA-256 hashes (hexadecimal) of the names of forgotten visitors, sorted.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn forgotten_users(&self) -> Result<Vec<String>, StorageError> {
        const QUERY: &str = "SELECT name_sha256 FROM forgotten_users ORDER BY name_sha256";
        self.short(|database| async move {
            Ok(with_reader!(&database, connection => {
                sqlx::query_scalar(QUERY).fetch_all(connection).await?
            }))
        })
        .await
    }
}
