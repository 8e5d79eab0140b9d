use tandem_protocol::ItemId;

use super::{
    StoredItem,
    search::{postgres_query, sqlite_query},
};
use crate::{
    Storage, StorageError,
    database::{Database, constant, with_reader},
};

/// Columns of an item, in the order of [`ItemRow`], of items and [`AVAILABILITY`].
pub(crate) const COLUMNS_SQLITE: &str = "items.id, title, categories, brand, description, year, \
                                         price, attributes, COALESCE(available, 1), created, \
                                         MAX(updated, COALESCE(changed, 0))";
pub(crate) const COLUMNS_POSTGRES: &str = "items.id, title, categories::text, brand, description, \
                                           year, price, attributes::text, \
                                           COALESCE(available, true), created, \
                                           GREATEST(updated, changed)";
/// Joins the availability of items.
pub(crate) const AVAILABILITY: &str = "LEFT JOIN item_availability ON item = number";

/// The row of an item.
pub(crate) type ItemRow =
    (String, String, String, String, String, Option<i64>, Option<f64>, String, bool, i64, i64);

/// Conditions of `$1` (category) and `$2` (availability), each `NULL` for any.
const FILTER_SQLITE: &str = "deleted IS NULL \
    AND ($1 IS NULL OR EXISTS (SELECT 1 FROM json_each(categories) WHERE value = $1)) \
    AND ($2 IS NULL OR COALESCE(available, 1) = $2)";
const FILTER_POSTGRES: &str = "deleted IS NULL \
    AND ($1::text IS NULL OR jsonb_exists(categories, $1)) \
    AND ($2::boolean IS NULL OR COALESCE(available, true) = $2)";

/// Which items are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemQuery {
    /// Words that the item must have, in id, title, brand, categories or description. The last one
    /// may be the beginning of a word. `None` for all items.
    pub text: Option<String>,
    /// Category that the item must have.
    pub category: Option<String>,
    /// Whether the item must be available, or must not be.
    pub available: Option<bool>,
    /// Maximum number of items.
    pub limit: u32,
    /// For lists without text: the last id of the page before.
    pub after: Option<String>,
}

impl Storage {
    /// The items of these ids that are stored, in the order of the ids.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn items_by_id(&self, ids: &[ItemId]) -> Result<Vec<StoredItem>, StorageError> {
        let json = serde_json::to_string(ids).unwrap_or_default();
        self.short(move |database| async move {
            let query = match &database {
                Database::Sqlite { .. } => format!(
                    "SELECT {COLUMNS_SQLITE} FROM json_each($1) AS wanted \
                     JOIN items ON items.id = wanted.value {AVAILABILITY} WHERE deleted IS NULL \
                     ORDER BY wanted.key"
                ),
                Database::Postgres(_) => format!(
                    "SELECT {COLUMNS_POSTGRES} FROM json_array_elements_text($1::json) \
                     WITH ORDINALITY AS wanted (id, position) \
                     JOIN items ON items.id = wanted.id {AVAILABILITY} WHERE deleted IS NULL \
                     ORDER BY wanted.position"
                ),
            };
            let rows: Vec<ItemRow> = with_reader!(&database, connection => {
                sqlx::query_as(constant(query)).bind(json).fetch_all(connection).await?
            });
            Ok(rows.into_iter().map(item).collect())
        })
        .await
    }

    /// Lists or searches items. Without a text they are ordered by id (by bytes). With one, the item
    /// with this id comes first, then the others by how well they match; the order of matches
    /// differs between the databases.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn find_items(&self, query: ItemQuery) -> Result<Vec<StoredItem>, StorageError> {
        self.short(move |database| async move {
            let ItemQuery { text, category, available, limit, after } = query;
            let Some((statement, value)) = find(&database, text.as_deref(), after) else {
                return Ok(Vec::new());
            };
            let id = text.as_deref().map(|text| text.trim().to_owned());
            let rows: Vec<ItemRow> = with_reader!(&database, connection => {
                let query = sqlx::query_as(constant(statement))
                    .bind(category)
                    .bind(available)
                    .bind(value)
                    .bind(i64::from(limit));
                let query = match id {
                    Some(id) => query.bind(id),
                    None => query,
                };
                query.fetch_all(connection).await?
            });
            Ok(rows.into_iter().map(item).collect())
        })
        .await
    }

    /// The ids of all items that [`find_items`](Self::find_items) finds with a text, in no order.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn matching_ids(&self, text: &str) -> Result<Vec<ItemId>, StorageError> {
        const SQLITE: &str = "SELECT id FROM item_search JOIN items ON number = item_search.rowid \
            WHERE item_search MATCH $1 AND deleted IS NULL";
        const POSTGRES: &str = "SELECT id FROM items WHERE search @@ to_tsquery('simple', $1) \
            AND deleted IS NULL";
        let text = text.to_owned();
        self.short(move |database| async move {
            let words = match &database {
                Database::Sqlite { .. } => sqlite_query(&text),
                Database::Postgres(_) => postgres_query(&text),
            };
            let Some(words) = words else { return Ok(Vec::new()) };
            let query = database.sql(SQLITE, POSTGRES);
            let ids: Vec<String> = with_reader!(&database, connection => {
                sqlx::query_scalar(query).bind(words).fetch_all(connection).await?
            });
            Ok(ids.into_iter().map(ItemId::new).collect())
        })
        .await
    }

    /// The newest available items, newest first.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn latest_items(
        &self,
        category: Option<String>,
        limit: u32,
    ) -> Result<Vec<StoredItem>, StorageError> {
        self.short(move |database| async move {
            let (columns, filter) = match &database {
                Database::Sqlite { .. } => (COLUMNS_SQLITE, FILTER_SQLITE),
                Database::Postgres(_) => (COLUMNS_POSTGRES, FILTER_POSTGRES),
            };
            let query = format!(
                "SELECT {columns} FROM items {AVAILABILITY} WHERE {filter} ORDER BY created DESC, id LIMIT $3"
            );
            let rows: Vec<ItemRow> = with_reader!(&database, connection => {
                sqlx::query_as(constant(query))
                    .bind(category)
                    .bind(true)
                    .bind(i64::from(limit))
                    .fetch_all(connection)
                    .await?
            });
            Ok(rows.into_iter().map(item).collect())
        })
        .await
    }
}

/// The statement of a query and its third value: the text or the last id. With a text, the
/// fifth is the text as an id. `None` if nothing can be found, because the text has no word.
fn find(
    database: &Database,
    text: Option<&str>,
    after: Option<String>,
) -> Option<(String, Option<String>)> {
    match (database, text) {
        (Database::Sqlite { .. }, None) => Some((
            format!(
                "SELECT {COLUMNS_SQLITE} FROM items {AVAILABILITY} WHERE {FILTER_SQLITE} \
                 AND ($3 IS NULL OR id > $3) ORDER BY id LIMIT $4"
            ),
            after,
        )),
        (Database::Postgres(_), None) => Some((
            format!(
                "SELECT {COLUMNS_POSTGRES} FROM items {AVAILABILITY} WHERE {FILTER_POSTGRES} \
                 AND ($3::text IS NULL OR id > $3) ORDER BY id LIMIT $4"
            ),
            after,
        )),
        (Database::Sqlite { .. }, Some(text)) => Some((
            format!(
                "SELECT {COLUMNS_SQLITE} FROM item_search JOIN items ON number = item_search.rowid \
                 {AVAILABILITY} WHERE item_search MATCH $3 AND {FILTER_SQLITE} \
                 ORDER BY id <> $5, rank, id LIMIT $4"
            ),
            Some(sqlite_query(text)?),
        )),
        (Database::Postgres(_), Some(text)) => Some((
            format!(
                "SELECT {COLUMNS_POSTGRES} FROM items {AVAILABILITY}, to_tsquery('simple', $3) AS wanted \
                 WHERE search @@ wanted AND {FILTER_POSTGRES} \
                 ORDER BY items.id <> $5, ts_rank(search, wanted) DESC, items.id LIMIT $4"
            ),
            Some(postgres_query(text)?),
        )),
    }
}

/// The item of a row.
pub(crate) fn item(row: ItemRow) -> StoredItem {
    let (id, title, categories, brand, description, year, price, attributes, ..) = row;
    StoredItem {
        id: ItemId::new(id),
        title,
        // Written by this crate from the same types.
        categories: serde_json::from_str(&categories).unwrap_or_default(),
        brand,
        description,
        year,
        price,
        attributes: serde_json::from_str(&attributes).unwrap_or_default(),
        available: row.8,
        created: row.9.max(0).cast_unsigned(),
        updated: row.10.max(0).cast_unsigned(),
    }
}
