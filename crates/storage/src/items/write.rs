use std::collections::HashMap;

use serde::Serialize;
use tandem_protocol::ItemId;
use tokio::task::spawn_blocking;

use super::{
    NewItem,
    availability::{Sent, WriteAvailability},
    revision::REVISION,
    search::text_of,
};
use crate::{
    Storage, StorageError,
    clock::now,
    database::{Database, with_item_writer, with_reader, with_writer},
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
    search_text: String,
}

const COLUMNS: &str = "id, title, categories, brand, description, year, price, attributes, \
                       created, updated, deleted, revision, search_text, of_release";

/// `$1`: the items, `$2`: now, `$3`: the revision, `$4`: whether they are of a release.
const SELECT_SQLITE: &str = "SELECT value ->> 'id', value ->> 'title', value -> 'categories', \
    value ->> 'brand', value ->> 'description', value ->> 'year', value ->> 'price', \
    value -> 'attributes', $2, $2, NULL, $3, value ->> 'search_text', $4 FROM json_each($1) WHERE true";

const SELECT_POSTGRES: &str = "SELECT id, title, categories, brand, description, year, price, \
    attributes, $2, $2, NULL, $3, search_text, $4::boolean FROM json_to_recordset($1::json) AS x (id text, title text, \
    categories jsonb, brand text, description text, year bigint, price double precision, \
    attributes jsonb, search_text text)";

const UPDATE: &str = "ON CONFLICT (id) DO UPDATE SET title = excluded.title, \
    categories = excluded.categories, brand = excluded.brand, \
    description = excluded.description, year = excluded.year, price = excluded.price, \
    attributes = excluded.attributes, \
    created = CASE WHEN items.deleted IS NULL THEN items.created ELSE excluded.created END, \
    updated = excluded.updated, deleted = NULL, revision = excluded.revision, \
    search_text = excluded.search_text, of_release = excluded.of_release \
    WHERE items.deleted IS NOT NULL OR items.title <> excluded.title \
    OR items.categories <> excluded.categories OR items.brand <> excluded.brand \
    OR items.description <> excluded.description \
    OR items.year IS DISTINCT FROM excluded.year \
    OR items.price IS DISTINCT FROM excluded.price \
    OR items.attributes <> excluded.attributes";

/// As [`UPDATE`], of the texts of items that the shop has not sent.
const UPDATE_OF_RELEASE: &str = "ON CONFLICT (id) DO UPDATE SET title = excluded.title, \
    categories = excluded.categories, brand = excluded.brand, \
    description = excluded.description, year = excluded.year, updated = excluded.updated, \
    revision = excluded.revision, search_text = excluded.search_text \
    WHERE items.of_release AND items.deleted IS NULL AND (items.title <> excluded.title \
    OR items.categories <> excluded.categories OR items.brand <> excluded.brand \
    OR items.description <> excluded.description OR items.year IS DISTINCT FROM excluded.year)";

/// Items that the shop sends as they are stored are its own from then on, too.
const TAKE_OVER_SQLITE: &str = "UPDATE items SET of_release = 0 WHERE of_release \
    AND id IN (SELECT value ->> 'id' FROM json_each($1))";
const TAKE_OVER_POSTGRES: &str = "UPDATE items SET of_release = false WHERE of_release \
    AND id IN (SELECT id FROM json_to_recordset($1::json) AS x (id text))";

/// Number of items that exist, but have been written by no statement of this transaction, among
/// those whose availability has changed in it.
const ONLY_AVAILABILITY_SQLITE: &str = "SELECT COUNT(*) FROM item_availability AS told \
    JOIN items ON number = told.item WHERE told.revision = $1 AND items.revision <> $1";
const ONLY_AVAILABILITY_POSTGRES: &str = "SELECT COUNT(*) FROM availability_changes AS log, \
    unnest(log.items) AS item JOIN items ON number = item \
    WHERE log.revision = $1 AND items.revision <> $1";

impl Storage {
    /// Stores items: all of the batch or none. Each replaces what is stored under its id; an item
    /// that was deleted exists again. Of a repeated id the last one counts.
    ///
    /// The items must have passed [`NewItem::check`].
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn upsert_items(&self, items: Vec<NewItem>) -> Result<Upserted, StorageError> {
        let sent = items.len() as u64;
        self.change(move |database| async move {
            let written = insert(&database, items, Sender::Shop).await?;
            let changed = written.items - written.added + written.only_availability;
            Ok(Upserted {
                added: written.added,
                changed,
                unchanged: sent - written.added - changed,
            })
        })
        .await
    }

    /// Copies items of the catalogue of a release: adds those whose ids have never been stored, and
    /// replaces the texts of those that came from an earlier release. What the shop has sent stays
    /// as it is, and deleted items stay deleted. New ones are available. Returns the number of items
    /// that were added or changed.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn copy_items(&self, mut items: Vec<NewItem>) -> Result<u64, StorageError> {
        for item in &mut items {
            item.available = None;
        }
        self.change(move |database| async move {
            Ok(insert(&database, items, Sender::Release).await?.items)
        })
        .await
    }

    /// The mark of the catalogue that was copied last; 0 if none was.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn copied_catalogue(&self) -> Result<i64, StorageError> {
        const MARK: &str = "SELECT value FROM counters WHERE name = 'catalogue'";
        self.short(|database| async move {
            let mark: Option<i64> = with_reader!(&database, connection => {
                sqlx::query_scalar(MARK).fetch_optional(connection).await?
            });
            Ok(mark.unwrap_or_default())
        })
        .await
    }

    /// Remembers that a catalogue was copied.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn set_copied_catalogue(&self, mark: i64) -> Result<(), StorageError> {
        const SET: &str = "UPDATE counters SET value = $1 WHERE name = 'catalogue'";
        self.short(move |database| async move {
            with_writer!(&database, connection => {
                sqlx::query(SET).bind(mark).execute(connection).await?;
            });
            Ok(())
        })
        .await
    }

    /// Deletes items and returns how many were stored.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn delete_items(&self, ids: &[ItemId]) -> Result<u64, StorageError> {
        const FORGET_SQLITE: &str = "DELETE FROM item_availability WHERE item IN \
            (SELECT number FROM items WHERE id IN (SELECT value FROM json_each($1)))";
        const FORGET_POSTGRES: &str = "DELETE FROM item_availability WHERE item IN \
            (SELECT number FROM items WHERE id IN (SELECT json_array_elements_text($1::json)))";
        const DELETE_SQLITE: &str = "UPDATE items SET deleted = $2, updated = $2, revision = $3 \
            WHERE deleted IS NULL AND id IN (SELECT value FROM json_each($1))";
        const DELETE_POSTGRES: &str = "UPDATE items SET deleted = $2, updated = $2, revision = $3 \
            WHERE deleted IS NULL AND id IN (SELECT json_array_elements_text($1::json))";
        let json = serde_json::to_string(ids).unwrap_or_default();
        self.change(move |database| async move {
            let forget = database.sql(FORGET_SQLITE, FORGET_POSTGRES);
            let delete = database.sql(DELETE_SQLITE, DELETE_POSTGRES);
            Ok(with_item_writer!(&database, connection => {
                let revision: i64 =
                    sqlx::query_scalar(REVISION).fetch_one(&mut *connection).await?;
                sqlx::query(forget).bind(&json).execute(&mut *connection).await?;
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
        // Not -0, which the databases answer differently.
        price: item.price.map(|price| price + 0.0),
        attributes: &item.attributes,
        search_text: text_of(item),
    });
    // Plain data: this does not fail.
    serde_json::to_string(&rows.collect::<Vec<_>>()).unwrap_or_default()
}

/// Who sends items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Shop,
    /// The catalogue of a release.
    Release,
}

/// What [`insert`] has done.
struct Written {
    /// Number of items that did not exist before.
    added: u64,
    /// Number of items that were added or changed, without those below.
    items: u64,
    /// Number of items of which only the availability has changed.
    only_availability: u64,
}

/// Inserts items, and what they say of their availability.
async fn insert(
    database: &Database,
    items: Vec<NewItem>,
    sender: Sender,
) -> Result<Written, StorageError> {
    const EXISTING_SQLITE: &str = "SELECT COUNT(*) FROM json_each($1) AS x JOIN items \
        ON items.id = x.value ->> 'id' WHERE deleted IS NULL";
    const EXISTING_POSTGRES: &str = "SELECT COUNT(*) FROM json_to_recordset($1::json) AS x \
        (id text) JOIN items ON items.id = x.id WHERE deleted IS NULL";
    const SENT_SQLITE: &str = "SELECT json_array_length($1)";
    const SENT_POSTGRES: &str = "SELECT json_array_length($1::json)::BIGINT";
    // Folding the texts takes longer than a turn of the executor should.
    let prepare = move || {
        let told = items.iter().filter_map(|it| Some((it.id.as_str(), it.available?)));
        (to_json(&items), Sent::new(told))
    };
    let (json, told) = spawn_blocking(prepare).await.map_err(|_| StorageError::Closed)?;
    let select = database.sql(SELECT_SQLITE, SELECT_POSTGRES);
    let (conflict, is_of_release) = match sender {
        Sender::Shop => (UPDATE, false),
        Sender::Release => (UPDATE_OF_RELEASE, true),
    };
    let statement = format!("INSERT INTO items ({COLUMNS}) {select} {conflict}");
    let take_over = database.sql(TAKE_OVER_SQLITE, TAKE_OVER_POSTGRES);
    let existing = database.sql(EXISTING_SQLITE, EXISTING_POSTGRES);
    let sent = database.sql(SENT_SQLITE, SENT_POSTGRES);
    let only = database.sql(ONLY_AVAILABILITY_SQLITE, ONLY_AVAILABILITY_POSTGRES);
    Ok(with_item_writer!(database, connection => {
        let revision: i64 = sqlx::query_scalar(REVISION).fetch_one(&mut *connection).await?;
        let sent: i64 = sqlx::query_scalar(sent).bind(&json).fetch_one(&mut *connection).await?;
        let existing: i64 =
            sqlx::query_scalar(existing).bind(&json).fetch_one(&mut *connection).await?;
        let items = sqlx::query(crate::database::constant(statement))
            .bind(&json)
            .bind(now())
            .bind(revision)
            .bind(is_of_release)
            .execute(&mut *connection)
            .await?
            .rows_affected();
        if !is_of_release {
            sqlx::query(take_over).bind(&json).execute(&mut *connection).await?;
        }
        let mut only_availability: i64 = 0;
        for list in told.lists() {
            connection.set_availability(list, revision).await?;
        }
        if !told.lists().is_empty() {
            only_availability = sqlx::query_scalar(only)
                .bind(revision)
                .fetch_one(&mut *connection)
                .await?;
        }
        Written {
            added: (sent - existing).cast_unsigned(),
            items,
            only_availability: only_availability.cast_unsigned(),
        }
    }))
}
