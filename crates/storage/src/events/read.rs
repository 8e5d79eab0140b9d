use serde::{Deserialize, Serialize};
use tandem_protocol::{EventKind, ItemId};

use crate::{
    Storage, StorageError,
    database::{constant, with_reader},
};

/// Columns of an event, in the order of [`EventRow`].
pub(crate) const COLUMNS: &str = "number, session, id, kind, item, at, received, recommendation";

/// The row of an event.
pub(crate) type EventRow = (i64, String, String, String, String, i64, i64, Option<String>);

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Name of the visit or visitor.
    pub session: String,
    /// Name of the event within its session.
    pub id: String,
    /// The action.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// The item.
    pub item: ItemId,
    /// Time by the device's clock, in milliseconds since 1970.
    pub at: u64,
    /// Time by the server's clock, in milliseconds since 1970.
    pub received: u64,
    /// Id of the recommendations that led to the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendation: Option<String>,
}

/// A part of the events, in the order in which they were stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPage {
    /// The events.
    pub events: Vec<StoredEvent>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<i64>,
}

/// Number of events of one kind in one interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventCounts {
    /// Start of the interval, in milliseconds since 1970.
    pub start: u64,
    /// The action.
    pub kind: EventKind,
    /// Number of events that were received in the interval.
    pub events: u64,
}

impl Storage {
    /// At most `limit` events that were received at `since` (milliseconds since 1970) or later.
    /// Begin with `after` 0 and continue with [`EventPage::next`].
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn events_since(
        &self,
        since: u64,
        after: i64,
        limit: u32,
    ) -> Result<EventPage, StorageError> {
        let query = format!(
            "SELECT {COLUMNS} FROM events WHERE number > $1 AND received >= $2 \
             ORDER BY number LIMIT $3"
        );
        self.short(move |database| async move {
            let rows: Vec<EventRow> = with_reader!(&database, connection => {
                sqlx::query_as(constant(query))
                    .bind(after)
                    .bind(signed(since))
                    .bind(i64::from(limit))
                    .fetch_all(connection)
                    .await?
            });
            let last = rows.last().map(|row| row.0);
            let next = last.filter(|_| rows.len() == limit as usize);
            Ok(EventPage { events: rows.into_iter().filter_map(event).collect(), next })
        })
        .await
    }

    /// Numbers of events by kind and by interval of `interval_ms`, of those that were received at
    /// `since` (milliseconds since 1970) or later; oldest first.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn event_counts(
        &self,
        since: u64,
        interval_ms: u32,
    ) -> Result<Vec<EventCounts>, StorageError> {
        const QUERY: &str = "SELECT received / $2 * $2 AS start, kind, COUNT(*) FROM events \
                             WHERE received >= $1 GROUP BY 1, 2 ORDER BY 1, 2";
        let interval = i64::from(interval_ms.max(1));
        self.short(move |database| async move {
            let rows: Vec<(i64, String, i64)> = with_reader!(&database, connection => {
                sqlx::query_as(QUERY).bind(signed(since)).bind(interval).fetch_all(connection).await?
            });
            let counts = rows.into_iter().filter_map(|(start, kind, events)| {
                Some(EventCounts {
                    start: start.cast_unsigned(),
                    kind: parse_kind(&kind)?,
                    events: events.cast_unsigned(),
                })
            });
            Ok(counts.collect())
        })
        .await
    }
}

/// The event of a row; `None` for a kind that this version does not know.
pub(crate) fn event(row: EventRow) -> Option<StoredEvent> {
    let (_, session, id, kind, item, at, received, recommendation) = row;
    Some(StoredEvent {
        session,
        id,
        kind: parse_kind(&kind)?,
        item: ItemId::new(item),
        at: at.max(0).cast_unsigned(),
        received: received.max(0).cast_unsigned(),
        recommendation,
    })
}

fn parse_kind(name: &str) -> Option<EventKind> {
    serde_json::from_value(serde_json::Value::from(name)).ok()
}

/// A time as the database stores it.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
