//! Availability in PostgreSQL: the rows of items have no index on the revision, which each change
//! would have to write for each item. A log names the items of each change instead.

use std::time::Duration;

use sqlx::postgres::PgConnection;
use tandem_protocol::ItemId;

use super::availability::{SentIds, WriteAvailability, Written};
use crate::{StorageError, clock::now, database::decode, events::signed};

/// Time after which a change is removed from the log. A server that has not read for so long reads
/// all items again.
const KEPT: Duration = Duration::from_hours(1);
/// Number of rows of the log that are read at a time.
const PACK: i64 = 20_000;

/// Sets the availability `$2` of the ids `$1` that have another one. `$3`: now, `$4`: the revision.
/// Returns how many are stored and how many have changed. The writer has the lock of all writers,
/// so no row appears meanwhile.
const SET: &str = "WITH sent AS MATERIALIZED (SELECT number FROM unnest($1::text[]) AS told (id) \
    JOIN items ON items.id = told.id WHERE deleted IS NULL), \
    changed AS (UPDATE item_availability SET available = $2, changed = $3 \
    FROM sent WHERE item = number AND available <> $2 RETURNING item), \
    added AS (INSERT INTO item_availability (item, available, changed) \
    SELECT number, $2, $3 FROM sent WHERE NOT $2 \
    AND NOT EXISTS (SELECT FROM item_availability WHERE item = number) RETURNING item), \
    written AS (SELECT item FROM changed UNION ALL SELECT item FROM added), \
    logged AS (INSERT INTO availability_changes (revision, available, changed, items) \
    SELECT $4, $2, $3, array_agg(item ORDER BY item) FROM written HAVING COUNT(*) > 0) \
    SELECT (SELECT COUNT(*) FROM sent), (SELECT COUNT(*) FROM written)";

/// Removes some of the oldest rows of the log, if they are from before `$1`.
const REMOVE_OLD: &str = "WITH removed AS (DELETE FROM availability_changes WHERE revision IN \
    (SELECT revision FROM availability_changes ORDER BY revision LIMIT 100) AND changed < $1 \
    RETURNING revision) UPDATE counters SET value = GREATEST(value, newest) \
    FROM (SELECT MAX(revision) AS newest FROM removed) AS last \
    WHERE name = 'availability_removed' AND newest IS NOT NULL";

/// Revision of the newest change, and of the newest one that was removed from the log.
const REVISIONS: &str = "SELECT (SELECT value FROM counters WHERE name = 'items'), \
    (SELECT value FROM counters WHERE name = 'availability_removed')";

/// Deleted items have no availability.
const READ: &str = "SELECT COALESCE(json_agg(json_build_array(log.revision, log.item, id, \
    told.available) ORDER BY log.revision, log.item), '[]')::text \
    FROM (SELECT revision, item FROM availability_changes, unnest(items) AS item \
    WHERE revision >= $1 AND (revision, item) > ($1, $2) ORDER BY revision, item LIMIT $3) AS log \
    LEFT JOIN item_availability AS told ON told.item = log.item \
    LEFT JOIN items ON number = told.item";

impl WriteAvailability for PgConnection {
    async fn set_availability(
        &mut self,
        sent: &SentIds,
        revision: i64,
    ) -> Result<Written, StorageError> {
        let set = sqlx::query_as(SET).bind(&sent.ids).bind(sent.available).bind(now());
        let (known, changed): (i64, i64) = set.bind(revision).fetch_one(&mut *self).await?;
        let before = now() - signed(KEPT.as_millis() as u64);
        sqlx::query(REMOVE_OLD).bind(before).execute(self).await?;
        Ok(Written { known: known.cast_unsigned(), changed: changed.cast_unsigned() })
    }
}

/// What the log says to a server that follows.
pub(super) struct LoggedChanges {
    /// Availabilities that have changed, as they are now.
    pub(super) availability: Vec<(ItemId, bool)>,
    /// Where to continue.
    pub(super) next: (i64, i64),
    /// Whether the log does not go back far enough, so that all items have to be read, whose rows
    /// have their availability.
    pub(super) needs_all_items: bool,
}

/// A part of the changes after a revision and the number of an item in it. The transaction sees one
/// state of the database.
pub(super) async fn read(
    connection: &mut PgConnection,
    after: (i64, i64),
) -> Result<LoggedChanges, StorageError> {
    let (newest, removed): (i64, i64) =
        sqlx::query_as(REVISIONS).fetch_one(&mut *connection).await?;
    // Nothing of the newest revision will be added: a look at its items can be saved.
    let end = (newest + 1, 0);
    if after.0 <= removed {
        return Ok(LoggedChanges { availability: Vec::new(), next: end, needs_all_items: true });
    }
    let query = sqlx::query_scalar(READ).bind(after.0).bind(after.1).bind(PACK);
    let json: String = query.fetch_one(connection).await?;
    let rows: Vec<(i64, i64, Option<ItemId>, Option<bool>)> = decode(&json)?;
    let next = match rows.last() {
        Some(last) if rows.len() == PACK as usize => (last.0, last.1),
        _ => end,
    };
    let availability = rows.into_iter().filter_map(|row| row.2.zip(row.3)).collect();
    Ok(LoggedChanges { availability, next, needs_all_items: false })
}
