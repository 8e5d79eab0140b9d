//! Events of visitors, each once per session and id.

mod follow;
mod read;
mod stream;

use tandem_protocol::LoggedEvent;

pub use follow::{EventPosition, NewEvents};
pub(crate) use read::{COLUMNS, EventRow, event, signed};
pub use read::{EventCounts, EventPage, StoredEvent};
pub(crate) use stream::{LOCK, erased};
pub use stream::{StreamPosition, StreamedCounts, StreamedEvents};

use crate::{AppendedEvents, Storage, StorageError, clock::now, database::with_writer};

impl Storage {
    /// Stores the events of `session` that are new: all of them or none. They are on the disk when
    /// this returns. Requests that wait at the same time are written in one transaction.
    ///
    /// # Errors
    /// See [`StorageError`]. After [`StorageError::Unavailable`] the events may have been stored;
    /// sent again, each is stored once.
    pub async fn append_events(
        &self,
        session: &str,
        events: Vec<LoggedEvent>,
    ) -> Result<AppendedEvents, StorageError> {
        if events.is_empty() {
            return Ok(AppendedEvents { new: Vec::new(), last: None });
        }
        let append = self.events().append(session.to_owned(), events);
        append.await
    }

    /// Stores a disagreement that a device in shadow mode reported, 0 to 1.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn append_disagreement(&self, disagreement: f32) -> Result<(), StorageError> {
        self.short(move |database| async move {
            with_writer!(&database, connection => {
                sqlx::query("INSERT INTO disagreements (received, disagreement) VALUES ($1, $2)")
                    .bind(now())
                    .bind(f64::from(disagreement))
                    .execute(connection)
                    .await?;
            });
            Ok(())
        })
        .await
    }
}
