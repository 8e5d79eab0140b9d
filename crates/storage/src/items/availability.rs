use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::sqlite::SqliteConnection;
use tandem_protocol::ItemId;
use tokio::task::spawn_blocking;

use super::revision::REVISION;
use crate::{Storage, StorageError, clock::now, database::with_item_writer};

/// What became of a batch of availabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Availability {
    /// Number of items whose availability has changed.
    pub changed: u64,
    /// Number of items that had this availability, and repetitions of an id.
    pub unchanged: u64,
    /// Number of ids that are not stored.
    pub unknown: u64,
}

/// Number of the ids `$1` that are stored. Only indices are read, not the items with their texts.
const KNOWN: &str = "SELECT COUNT(*) FROM json_each($1) AS sent CROSS JOIN items \
    ON items.id = sent.value WHERE NOT EXISTS \
    (SELECT 1 FROM items AS gone INDEXED BY items_deleted WHERE gone.id = sent.value AND gone.deleted IS NOT NULL)";

/// Sets the availability `$2` of the ids `$1` that have another one. `$3`: now, `$4`: the revision.
/// The ids are sorted, so that neighbours in the index are read together.
const SET: &str = "INSERT INTO item_availability (item, available, changed, revision) \
    SELECT number, $2, $3, $4 FROM json_each($1) AS sent \
    CROSS JOIN items ON items.id = sent.value LEFT JOIN item_availability AS told \
    ON told.item = number WHERE COALESCE(told.available, 1) <> $2 AND NOT EXISTS \
    (SELECT 1 FROM items AS gone INDEXED BY items_deleted WHERE gone.id = sent.value AND gone.deleted IS NOT NULL) \
    ON CONFLICT (item) DO UPDATE SET available = excluded.available, \
    changed = excluded.changed, revision = excluded.revision";

/// Ids that were sent with the same availability, sorted and each once.
#[derive(Debug)]
pub(super) struct SentIds {
    pub(super) available: bool,
    pub(super) ids: Vec<String>,
}

/// Ids by the availability that was sent for them.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Number of different ids.
    distinct: u64,
    /// Without empty lists.
    lists: Vec<SentIds>,
}

impl Sent {
    /// Of a repeated id the last availability counts.
    pub(super) fn new<'a>(sent: impl Iterator<Item = (&'a str, bool)>) -> Self {
        let last: BTreeMap<&str, bool> = sent.collect();
        let list = |available: bool| {
            let ids = last.iter().filter(|(_, value)| **value == available);
            let ids: Vec<String> = ids.map(|(id, _)| (*id).to_owned()).collect();
            (!ids.is_empty()).then_some(SentIds { available, ids })
        };
        let lists = [false, true].into_iter().filter_map(list).collect();
        Self { distinct: last.len() as u64, lists }
    }

    pub(super) fn lists(&self) -> &[SentIds] {
        &self.lists
    }
}

/// Numbers of ids that are stored, and of items whose availability has changed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Written {
    pub(super) known: u64,
    pub(super) changed: u64,
}

/// Changes availabilities, in a transaction that has the lock of writers.
pub(super) trait WriteAvailability {
    /// Sets the availability of the ids that have another one.
    async fn set_availability(
        &mut self,
        sent: &SentIds,
        revision: i64,
    ) -> Result<Written, StorageError>;
}

impl WriteAvailability for SqliteConnection {
    async fn set_availability(
        &mut self,
        sent: &SentIds,
        revision: i64,
    ) -> Result<Written, StorageError> {
        // Plain data: this does not fail.
        let json = serde_json::to_string(&sent.ids).unwrap_or_default();
        let known: i64 = sqlx::query_scalar(KNOWN).bind(&json).fetch_one(&mut *self).await?;
        let set = sqlx::query(SET).bind(&json).bind(sent.available).bind(now()).bind(revision);
        let changed = set.execute(self).await?.rows_affected();
        Ok(Written { known: known.cast_unsigned(), changed })
    }
}

impl Storage {
    /// Sets the availability of items: of all or of none. Of a repeated id the last one counts.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn set_availability(
        &self,
        items: Vec<(ItemId, bool)>,
    ) -> Result<Availability, StorageError> {
        let count = items.len() as u64;
        self.change(move |database| async move {
            let prepare = move || Sent::new(items.iter().map(|(id, it)| (id.as_str(), *it)));
            let sent = spawn_blocking(prepare).await.map_err(|_| StorageError::Closed)?;
            let Written { known, changed } = with_item_writer!(&database, connection => {
                let revision: i64 =
                    sqlx::query_scalar(REVISION).fetch_one(&mut *connection).await?;
                let mut sum = Written::default();
                for list in sent.lists() {
                    let written = connection.set_availability(list, revision).await?;
                    sum.known += written.known;
                    sum.changed += written.changed;
                }
                sum
            });
            let unknown = sent.distinct - known;
            Ok(Availability { changed, unchanged: count - changed - unknown, unknown })
        })
        .await
    }
}
