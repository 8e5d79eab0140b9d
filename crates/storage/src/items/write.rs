use std::collections::HashMap;

use serde::Serialize;
use tandem_protocol::ItemId;

use super::{NewItem, search::text_of};
use crate::{
    Storage, StorageError,
    clock::now,
    database::{Database, with_writer},
};

/// What became of a batch of items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Upserted {
    /// Number of items that were not stored before.
    pub added: u64,
    /// Number of items that were stored and have changed.
    pub changed: u64,
    /// Number of items that are stored as they were sent, and repetitions of an id in the batch,
    /// of which the last one counts.
    pub unchanged: u64,
}

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

/// An item as the query reads it.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    title: &'a str,
    categories: &'a [String],
    brand: &'a str,
    description: &'a str,
    year: Option<i64>,
    price: Option<f64>,
    attributes: &'a std::collections::BTreeMap<String, super::AttributeValue>,
    available: Option<bool>,
    search_text: String,
}

/// Takes the lock of writers of items until the transaction ends, and the number of its changes:
/// changes become visible in the order of their revisions.
const REVISION: &str = "UPDATE counters SET value = value + 1 WHERE name = 'items' RETURNING value";

const COLUMNS: &str = "id, title, categories, brand, description, year, price, attributes, \
                       available, created, updated, deleted, revision, search_text";

/// `$1`: the items, `$2`: now, `$3`: the revision.
const SELECT_SQLITE: &str = "SELECT value ->> 'id', value ->> 'title', value -> 'categories', \
    value ->> 'brand', value ->> 'description', value ->> 'year', value ->> 'price', \
    value -> 'attributes', COALESCE(value ->> 'available', \
    (SELECT available FROM items WHERE id = value ->> 'id' AND deleted IS NULL), 1), \
    $2, $2, NULL, $3, value ->> 'search_text' FROM json_each($1) WHERE true";

const SELECT_POSTGRES: &str = "SELECT id, title, categories, brand, description, year, price, \
    attributes, COALESCE(available, \
    (SELECT available FROM items WHERE items.id = x.id AND deleted IS NULL), true), \
    $2, $2, NULL, $3, search_text FROM json_to_recordset($1::json) AS x (id text, title text, \
    categories jsonb, brand text, description text, year bigint, price double precision, \
    attributes jsonb, available boolean, search_text text)";

const UPDATE: &str = "ON CONFLICT (id) DO UPDATE SET title = excluded.title, \
    categories = excluded.categories, brand = excluded.brand, \
    description = excluded.description, year = excluded.year, price = excluded.price, \
    attributes = excluded.attributes, available = excluded.available, \
    created = CASE WHEN items.deleted IS NULL THEN items.created ELSE excluded.created END, \
    updated = excluded.updated, deleted = NULL, revision = excluded.revision, \
    search_text = excluded.search_text \
    WHERE items.deleted IS NOT NULL OR items.title <> excluded.title \
    OR items.categories <> excluded.categories OR items.brand <> excluded.brand \
    OR items.description <> excluded.description \
    OR items.year IS DISTINCT FROM excluded.year \
    OR items.price IS DISTINCT FROM excluded.price \
    OR items.attributes <> excluded.attributes OR items.available <> excluded.available";

impl Storage {
    /// Stores items: all of the batch or none. Each replaces what is stored under its id; an item
    /// that was deleted exists again. Of a repeated id the last one counts.
    ///
    /// The items must have passed [`NewItem::check`].
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn upsert_items(&self, items: &[NewItem]) -> Result<Upserted, StorageError> {
        let sent = items.len() as u64;
        let json = to_json(items);
        self.long(move |database| async move {
            let (added, written) = insert(&database, &json, UPDATE).await?;
            let changed = written - added;
            Ok(Upserted { added, changed, unchanged: sent - written })
        })
        .await
    }

    /// Adds the items whose ids have never been stored, and leaves the others as they are, also
    /// deleted ones. Returns the number of added items.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn add_missing_items(&self, items: &[NewItem]) -> Result<u64, StorageError> {
        let json = to_json(items);
        self.long(move |database| async move {
            let (_, written) = insert(&database, &json, "ON CONFLICT (id) DO NOTHING").await?;
            Ok(written)
        })
        .await
    }

    /// Sets the availability of items: of all or of none. Of a repeated id the last one counts.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn set_availability(
        &self,
        items: &[(ItemId, bool)],
    ) -> Result<Availability, StorageError> {
        #[derive(Serialize)]
        struct Row<'a> {
            id: &'a str,
            available: bool,
        }

        const COUNT_SQLITE: &str = "SELECT COUNT(*) FROM json_each($1) AS x JOIN items \
            ON items.id = x.value ->> 'id' WHERE deleted IS NULL";
        const COUNT_POSTGRES: &str = "SELECT COUNT(*) FROM json_to_recordset($1::json) AS x \
            (id text) JOIN items ON items.id = x.id WHERE deleted IS NULL";
        const UPDATE_SQLITE: &str = "UPDATE items SET available = x.value ->> 'available', \
            updated = $2, revision = $3 FROM json_each($1) AS x WHERE items.id = x.value ->> 'id' \
            AND deleted IS NULL AND items.available <> x.value ->> 'available'";
        const UPDATE_POSTGRES: &str = "UPDATE items SET available = x.available, updated = $2, \
            revision = $3 FROM json_to_recordset($1::json) AS x (id text, available boolean) \
            WHERE items.id = x.id AND deleted IS NULL AND items.available <> x.available";

        let sent = items.len() as u64;
        let last: HashMap<&str, bool> =
            items.iter().map(|(id, available)| (id.as_str(), *available)).collect();
        let distinct = last.len() as u64;
        let rows: Vec<Row<'_>> =
            last.into_iter().map(|(id, available)| Row { id, available }).collect();
        let json = serde_json::to_string(&rows).unwrap_or_default();
        self.long(move |database| async move {
            let count = database.sql(COUNT_SQLITE, COUNT_POSTGRES);
            let update = database.sql(UPDATE_SQLITE, UPDATE_POSTGRES);
            let (known, changed): (i64, u64) = with_writer!(&database, connection => {
                let revision: i64 =
                    sqlx::query_scalar(REVISION).fetch_one(&mut *connection).await?;
                let known =
                    sqlx::query_scalar(count).bind(&json).fetch_one(&mut *connection).await?;
                let changed = sqlx::query(update)
                    .bind(&json)
                    .bind(now())
                    .bind(revision)
                    .execute(&mut *connection)
                    .await?
                    .rows_affected();
                (known, changed)
            });
            let unknown = distinct - known.cast_unsigned();
            Ok(Availability { changed, unchanged: sent - changed - unknown, unknown })
        })
        .await
    }

    /// Deletes items and returns how many were stored.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn delete_items(&self, ids: &[ItemId]) -> Result<u64, StorageError> {
        const DELETE_SQLITE: &str = "UPDATE items SET deleted = $2, updated = $2, revision = $3 \
            WHERE deleted IS NULL AND id IN (SELECT value FROM json_each($1))";
        const DELETE_POSTGRES: &str = "UPDATE items SET deleted = $2, updated = $2, revision = $3 \
            WHERE deleted IS NULL AND id IN (SELECT json_array_elements_text($1::json))";
        let json = serde_json::to_string(ids).unwrap_or_default();
        self.long(move |database| async move {
            let delete = database.sql(DELETE_SQLITE, DELETE_POSTGRES);
            Ok(with_writer!(&database, connection => {
                let revision: i64 =
                    sqlx::query_scalar(REVISION).fetch_one(&mut *connection).await?;
                sqlx::query(delete)
                    .bind(&json)
                    .bind(now())
                    .bind(revision)
                    .execute(&mut *connection)
                    .await?
                    .rows_affected()
            }))
        })
        .await
    }
}

/// The items as JSON, of a repeated id only the last one.
fn to_json(items: &[NewItem]) -> String {
    let last: HashMap<&ItemId, usize> =
        items.iter().enumerate().map(|(at, item)| (&item.id, at)).collect();
    let is_last = |at: usize, item: &NewItem| last.get(&item.id) == Some(&at);
    let rows = items.iter().enumerate().filter(|(at, item)| is_last(*at, item));
    let rows = rows.map(|(_, item)| Row {
        id: item.id.as_str(),
        title: &item.title,
        categories: &item.categories,
        brand: &item.brand,
        description: &item.description,
        year: item.year,
        price: item.price,
        attributes: &item.attributes,
        available: item.available,
        search_text: text_of(item),
    });
    // Plain data: this does not fail.
    serde_json::to_string(&rows.collect::<Vec<_>>()).unwrap_or_default()
}

/// Inserts items; returns how many did not exist before, and how many were written.
async fn insert(
    database: &Database,
    json: &str,
    conflict: &str,
) -> Result<(u64, u64), StorageError> {
    const EXISTING_SQLITE: &str = "SELECT COUNT(*) FROM json_each($1) AS x JOIN items \
        ON items.id = x.value ->> 'id' WHERE deleted IS NULL";
    const EXISTING_POSTGRES: &str = "SELECT COUNT(*) FROM json_to_recordset($1::json) AS x \
        (id text) JOIN items ON items.id = x.id WHERE deleted IS NULL";
    const SENT_SQLITE: &str = "SELECT json_array_length($1)";
    const SENT_POSTGRES: &str = "SELECT json_array_length($1::json)::BIGINT";
    let select = database.sql(SELECT_SQLITE, SELECT_POSTGRES);
    let statement = format!("INSERT INTO items ({COLUMNS}) {select} {conflict}");
    let existing = database.sql(EXISTING_SQLITE, EXISTING_POSTGRES);
    let sent = database.sql(SENT_SQLITE, SENT_POSTGRES);
    let (sent, existing, written): (i64, i64, u64) = with_writer!(database, connection => {
        let revision: i64 = sqlx::query_scalar(REVISION).fetch_one(&mut *connection).await?;
        let sent = sqlx::query_scalar(sent).bind(json).fetch_one(&mut *connection).await?;
        let existing = sqlx::query_scalar(existing).bind(json).fetch_one(&mut *connection).await?;
        let written = sqlx::query(crate::database::constant(statement))
            .bind(json)
            .bind(now())
            .bind(revision)
            .execute(&mut *connection)
            .await?
            .rows_affected();
        (sent, existing, written)
    });
    Ok(((sent - existing).cast_unsigned(), written))
}
