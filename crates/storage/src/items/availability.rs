use std::collections::BTreeMap;

use serde::Serialize;
use tandem_protocol::ItemId;
use tokio::task::spawn_blocking;

use super::revision::REVISION;
use crate::{Storage, StorageError, database::with_writer};

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
const KNOWN_SQLITE: &str = "SELECT COUNT(*) FROM json_each($1) AS sent CROSS JOIN items \
    ON items.id = sent.value WHERE NOT EXISTS \
    (SELECT 1 FROM items AS gone INDEXED BY items_deleted WHERE gone.id = sent.value AND gone.deleted IS NOT NULL)";
const KNOWN_POSTGRES: &str = "SELECT COUNT(*) FROM json_array_elements_text($1::json) \
    AS sent (id) JOIN items ON items.id = sent.id WHERE deleted IS NULL";

/// Sets the availability `$2` of the ids `$1` that have another one. `$3`: now, `$4`: the revision.
/// The ids are sorted, so that neighbours in the index are read together.
const SET_SQLITE: &str = "INSERT INTO item_availability (item, available, changed, revision) \
    SELECT number, $2, $3, $4 FROM json_each($1) AS sent \
    CROSS JOIN items ON items.id = sent.value LEFT JOIN item_availability AS told \
    ON told.item = number WHERE COALESCE(told.available, 1) <> $2 AND NOT EXISTS \
    (SELECT 1 FROM items AS gone INDEXED BY items_deleted WHERE gone.id = sent.value AND gone.deleted IS NOT NULL) \
    ON CONFLICT (item) DO UPDATE SET available = excluded.available, \
    changed = excluded.changed, revision = excluded.revision";
const SET_POSTGRES: &str = "INSERT INTO item_availability (item, available, changed, revision) \
    SELECT number, $2, $3, $4 FROM json_array_elements_text($1::json) AS sent (id) \
    JOIN items ON items.id = sent.id LEFT JOIN item_availability AS told \
    ON told.item = number WHERE deleted IS NULL AND COALESCE(told.available, true) <> $2 \
    ON CONFLICT (item) DO UPDATE SET available = excluded.available, \
    changed = excluded.changed, revision = excluded.revision";

/// Ids by the availability that was sent for them.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Number of different ids.
    distinct: u64,
    /// Availability, and the ids as a JSON array; without empty ones.
    lists: Vec<(bool, String)>,
}

impl Sent {
    /// Of a repeated id the last availability counts.
    pub(super) fn new<'a>(sent: impl Iterator<Item = (&'a str, bool)>) -> Self {
        let last: BTreeMap<&str, bool> = sent.collect();
        let list = |available: bool| {
            let ids = last.iter().filter(|(_, value)| **value == available);
            let ids: Vec<&str> = ids.map(|(id, _)| *id).collect();
            // Plain data: this does not fail.
            let json = serde_json::to_string(&ids).unwrap_or_default();
            (!ids.is_empty()).then_some((available, json))
        };
        let lists = [false, true].into_iter().filter_map(list).collect();
        Self { distinct: last.len() as u64, lists }
    }

    pub(super) fn lists(&self) -> &[(bool, String)] {
        &self.lists
    }
}

/// Sets the availability of the ids of a JSON array, with a connection of either database, and
/// returns how many have changed.
macro_rules! set_availability {
    ($database:expr, $connection:expr, $list:expr, $revision:expr) => {{
        let (available, ids) = $list;
        sqlx::query($crate::items::availability::set_statement($database))
            .bind(ids)
            .bind(*available)
            .bind($crate::clock::now())
            .bind($revision)
            .execute(&mut *$connection)
            .await?
            .rows_affected()
    }};
}
pub(super) use set_availability;

pub(super) fn set_statement(database: &crate::database::Database) -> &'static str {
    database.sql(SET_SQLITE, SET_POSTGRES)
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
        let sent = items.len() as u64;
        self.long(move |database| async move {
            let prepare = move || Sent::new(items.iter().map(|(id, it)| (id.as_str(), *it)));
            let ids = spawn_blocking(prepare).await.map_err(|_| StorageError::Closed)?;
            let count = database.sql(KNOWN_SQLITE, KNOWN_POSTGRES);
            let (known, changed) = with_writer!(&database, connection => {
                let revision: i64 =
                    sqlx::query_scalar(REVISION).fetch_one(&mut *connection).await?;
                let (mut known, mut changed) = (0, 0);
                for list in ids.lists() {
                    let found: i64 = sqlx::query_scalar(count)
                        .bind(&list.1)
                        .fetch_one(&mut *connection)
                        .await?;
                    known += found.cast_unsigned();
                    changed += set_availability!(&database, connection, list, revision);
                }
                (known, changed)
            });
            let unknown = ids.distinct - known;
            Ok(Availability { changed, unchanged: sent - changed - unknown, unknown })
        })
        .await
    }
}
