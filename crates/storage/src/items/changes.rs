use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};
use tandem_protocol::ItemId;

use super::AttributeValue;
use crate::{
    Storage, StorageError,
    database::{Database, with_reader},
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
    'price', price, 'attributes', json(attributes), \
    'available', json(CASE COALESCE(available, 1) WHEN 1 THEN 'true' ELSE 'false' END), \
    'deleted', json(CASE WHEN deleted IS NULL THEN 'false' ELSE 'true' END))) \
    FROM (SELECT items.revision, number, id, categories, brand, price, attributes, available, \
    deleted FROM items LEFT JOIN item_availability ON item = number \
    WHERE (items.revision, number) > ($1, $2) ORDER BY items.revision, number LIMIT $3)";
const ITEMS_POSTGRES: &str = "SELECT COALESCE(json_agg(json_build_object('revision', revision, \
    'number', number, 'id', id, 'categories', categories, 'brand', brand, \
    'price', price, 'attributes', attributes, 'available', COALESCE(available, true), \
    'deleted', deleted IS NOT NULL)), '[]')::text \
    FROM (SELECT items.revision, number, id, categories, brand, price, attributes, available, \
    deleted FROM items LEFT JOIN item_availability ON item = number \
    WHERE (items.revision, number) > ($1, $2) ORDER BY items.revision, number LIMIT $3) AS changed";

/// Deleted items have no availability.
const AVAILABILITY_SQLITE: &str = "SELECT json_group_array(json_array(revision, item, id, \
    json(CASE available WHEN 1 THEN 'true' ELSE 'false' END))) \
    FROM (SELECT told.revision, item, id, available FROM item_availability AS told \
    CROSS JOIN items ON number = item WHERE (told.revision, item) > ($1, $2) \
    ORDER BY told.revision, item LIMIT $3)";
const AVAILABILITY_POSTGRES: &str = "SELECT COALESCE(json_agg(json_build_array(revision, item, id, \
    available)), '[]')::text \
    FROM (SELECT told.revision, item, id, available FROM item_availability AS told \
    JOIN items ON number = item WHERE (told.revision, item) > ($1, $2) \
    ORDER BY told.revision, item LIMIT $3) AS changed";

impl Storage {
    /// Items and availabilities that were changed after `after`. Begin with the default and
    /// continue with [`Changes::next`] until nothing is left. A change that happens meanwhile may
    /// come twice; none is left out, if items are used before availabilities.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn item_changes(&self, after: ChangesRead) -> Result<Changes, StorageError> {
        self.short(move |database| async move {
            let rows = read(&database, (ITEMS_SQLITE, ITEMS_POSTGRES), after.items, PACK).await?;
            let items: Vec<Row> = decode(&rows)?;
            // Availabilities that were already read with their items come again, once.
            let sql = (AVAILABILITY_SQLITE, AVAILABILITY_POSTGRES);
            let rows = read(&database, sql, after.availability, SMALL_PACK).await?;
            let availability: Vec<AvailabilityRow> = decode(&rows)?;
            let next = ChangesRead {
                items: items.last().map_or(after.items, |row| (row.revision, row.number)),
                availability: availability.last().map_or(after.availability, |row| (row.0, row.1)),
            };
            Ok(Changes {
                items: items.into_iter().map(|row| row.item).collect(),
                availability: availability.into_iter().map(|row| (row.2, row.3)).collect(),
                next,
            })
        })
        .await
    }
}

/// The rows after `after`, as JSON.
async fn read(
    database: &Database,
    (sqlite, postgres): (&'static str, &'static str),
    after: (i64, i64),
    limit: i64,
) -> Result<String, StorageError> {
    let query = database.sql(sqlite, postgres);
    Ok(with_reader!(database, connection => {
        sqlx::query_scalar(query)
            .bind(after.0)
            .bind(after.1)
            .bind(limit)
            .fetch_one(connection)
            .await?
    }))
}

fn decode<T: DeserializeOwned>(json: &str) -> Result<Vec<T>, StorageError> {
    serde_json::from_str(json)
        .map_err(|error| StorageError::Query(sqlx::Error::Decode(Box::new(error))))
}
