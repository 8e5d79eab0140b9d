use std::collections::BTreeMap;

use serde::Deserialize;
use sqlx::{Connection, SqlitePool};
use tandem_protocol::ItemId;

use super::{AttributeValue, availability_log};
use crate::{
    Storage, StorageError,
    database::{Database, SNAPSHOT, decode},
    postgres::PostgresServer,
};

/// Number of rows that the database packs into one answer: a message for each row would take
/// longer than the row.
const PACK: i64 = 5_000;
/// The same of rows of a few bytes.
const SMALL_PACK: i64 = 20_000;

/// What a filter needs to know of an item.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ChangedItem {
    /// The shop's id.
    pub id: ItemId,
    /// Categories.
    pub categories: Vec<String>,
    /// Brand or maker.
    pub brand: String,
    /// Price in the shop's currency.
    pub price: Option<f64>,
    /// Further properties, by name.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// Whether it can be bought.
    pub available: bool,
    /// Whether it was deleted.
    pub deleted: bool,
    /// When it was stored first, or again after its deletion, in milliseconds since 1970.
    pub created: u64,
}

/// How far changes have been read. Begin with the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangesRead {
    /// Revision of the last item, and its number within the revision.
    items: (i64, i64),
    /// The same of the last availability.
    availability: (i64, i64),
}

/// What was changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Items as they are now: those that were added, changed or deleted.
    pub items: Vec<ChangedItem>,
    /// Availability of items of which nothing else needs to have changed, as it is now.
    pub availability: Vec<(ItemId, bool)>,
    /// Where to continue.
    pub next: ChangesRead,
}

impl Changes {
    /// Whether everything has been read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.availability.is_empty()
    }
}

/// The row of an item in the answer of the database.
#[derive(Deserialize)]
struct Row {
    revision: i64,
    number: i64,
    #[serde(flatten)]
    item: ChangedItem,
}

/// Revision, number, id and availability of an item.
type AvailabilityRow = (i64, i64, ItemId, bool);

const ITEMS_SQLITE: &str = "SELECT json_group_array(json_object('revision', revision, \
    'number', number, 'id', id, 'categories', json(categories), 'brand', brand, \
    'price', json(CASE WHEN price IS NULL THEN 'null' ELSE printf('%!.17g', price) END), \
    'attributes', json(attributes), \
    'available', json(CASE COALESCE(available, 1) WHEN 1 THEN 'true' ELSE 'false' END), \
    'deleted', json(CASE WHEN deleted IS NULL THEN 'false' ELSE 'true' END), \
    'created', MAX(created, 0))) \
    FROM (SELECT items.revision, number, id, categories, brand, price, attributes, available, \
    deleted, created FROM items LEFT JOIN item_availability ON item = number \
    WHERE (items.revision, number) > ($1, $2) ORDER BY items.revision, number LIMIT $3)";
const ITEMS_POSTGRES: &str = "SELECT COALESCE(json_agg(json_build_object('revision', revision, \
    'number', number, 'id', id, 'categories', categories, 'brand', brand, \
    'price', price, 'attributes', attributes, 'available', COALESCE(available, true), \
    'deleted', deleted IS NOT NULL, 'created', GREATEST(created, 0))), '[]')::text \
    FROM (SELECT items.revision, number, id, categories, brand, price, attributes, available, \
    deleted, created FROM items LEFT JOIN item_availability ON item = number \
    WHERE (items.revision, number) > ($1, $2) ORDER BY items.revision, number LIMIT $3) AS changed";

/// Deleted items have no availability.
const AVAILABILITY: &str = "SELECT json_group_array(json_array(revision, item, id, \
    json(CASE available WHEN 1 THEN 'true' ELSE 'false' END))) \
    FROM (SELECT told.revision, item, id, available FROM item_availability AS told \
    CROSS JOIN items ON number = item WHERE (told.revision, item) > ($1, $2) \
    ORDER BY told.revision, item LIMIT $3)";

impl Storage {
    /// Items and availabilities that were changed after `after`. Begin with the default and
    /// continue with [`Changes::next`], also after an answer without changes. A change that happens
    /// meanwhile may come twice; none is left out, if items are used before availabilities.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn item_changes(&self, after: ChangesRead) -> Result<Changes, StorageError> {
        self.short(move |database| async move {
            match &database {
                Database::Sqlite { readers, .. } => read_sqlite(readers, after).await,
                Database::Postgres(server) => read_postgres(server, after).await,
            }
        })
        .await
    }
}

async fn read_sqlite(readers: &SqlitePool, after: ChangesRead) -> Result<Changes, StorageError> {
    let mut connection = readers.acquire().await?;
    let mut read = async |query: &'static str, after: (i64, i64), limit: i64| {
        let query = sqlx::query_scalar(query).bind(after.0).bind(after.1).bind(limit);
        query.fetch_one(&mut *connection).await
    };
    let items: String = read(ITEMS_SQLITE, after.items, PACK).await?;
    // Availabilities that were already read with their items come again, once.
    let availability: String = read(AVAILABILITY, after.availability, SMALL_PACK).await?;
    let items: Vec<Row> = decode(&items)?;
    let availability: Vec<AvailabilityRow> = decode(&availability)?;
    let next = ChangesRead {
        items: end_of(&items, after.items),
        availability: availability.last().map_or(after.availability, |row| (row.0, row.1)),
    };
    let availability = availability.into_iter().map(|row| (row.2, row.3)).collect();
    Ok(Changes { items: items.into_iter().map(|row| row.item).collect(), availability, next })
}

async fn read_postgres(
    server: &PostgresServer,
    after: ChangesRead,
) -> Result<Changes, StorageError> {
    let mut connection = server.acquire().await?;
    let mut transaction = connection.begin_with(SNAPSHOT).await?;
    let log = availability_log::read(&mut transaction, after.availability).await?;
    let after = if log.needs_all_items { (0, 0) } else { after.items };
    let query = sqlx::query_scalar(ITEMS_POSTGRES).bind(after.0).bind(after.1).bind(PACK);
    let items: String = query.fetch_one(&mut *transaction).await?;
    transaction.commit().await?;
    let items: Vec<Row> = decode(&items)?;
    let next = ChangesRead { items: end_of(&items, after), availability: log.next };
    let items = items.into_iter().map(|row| row.item).collect();
    Ok(Changes { items, availability: log.availability, next })
}

fn end_of(items: &[Row], after: (i64, i64)) -> (i64, i64) {
    items.last().map_or(after, |row| (row.revision, row.number))
}
