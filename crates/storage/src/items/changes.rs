use std::collections::BTreeMap;

use serde::Deserialize;
use tandem_protocol::ItemId;

use super::AttributeValue;
use crate::{Storage, StorageError, database::with_reader};

/// Number of rows that the database packs into one answer: a message for each row would take
/// longer than the row.
const PACK: i64 = 5_000;

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

/// Items that were changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// The items as they are now.
    pub items: Vec<ChangedItem>,
    /// Where to continue: the revision, and the number of the last row within it.
    pub next: (i64, i64),
}

/// The row of an item in the answer of the database.
#[derive(Deserialize)]
struct Row {
    revision: i64,
    number: i64,
    #[serde(flatten)]
    item: ChangedItem,
}

impl Storage {
    /// Items that were changed after `after`, also deleted ones. Begin with `(0, 0)` and continue
    /// with [`Changes::next`]. An item that changes meanwhile may come twice; none is left out.
    ///
    /// # Errors
    /// See [`StorageError`].
    pub async fn item_changes(&self, after: (i64, i64)) -> Result<Changes, StorageError> {
        const SQLITE: &str = "SELECT json_group_array(json_object('revision', revision, \
            'number', number, 'id', id, 'categories', json(categories), 'brand', brand, \
            'price', price, 'attributes', json(attributes), \
            'available', json(CASE available WHEN 1 THEN 'true' ELSE 'false' END), \
            'deleted', json(CASE WHEN deleted IS NULL THEN 'false' ELSE 'true' END))) \
            FROM (SELECT * FROM items WHERE (revision, number) > ($1, $2) \
            ORDER BY revision, number LIMIT $3)";
        const POSTGRES: &str = "SELECT COALESCE(json_agg(json_build_object('revision', revision, \
            'number', number, 'id', id, 'categories', categories, 'brand', brand, \
            'price', price, 'attributes', attributes, 'available', available, \
            'deleted', deleted IS NOT NULL)), '[]')::text \
            FROM (SELECT * FROM items WHERE (revision, number) > ($1, $2) \
            ORDER BY revision, number LIMIT $3) AS changed";
        self.short(move |database| async move {
            let query = database.sql(SQLITE, POSTGRES);
            let json: String = with_reader!(&database, connection => {
                sqlx::query_scalar(query)
                    .bind(after.0)
                    .bind(after.1)
                    .bind(PACK)
                    .fetch_one(connection)
                    .await?
            });
            let rows: Vec<Row> = serde_json::from_str(&json)
                .map_err(|error| StorageError::Query(sqlx::Error::Decode(Box::new(error))))?;
            let next = rows.last().map_or(after, |row| (row.revision, row.number));
            Ok(Changes { items: rows.into_iter().map(|row| row.item).collect(), next })
        })
        .await
    }
}
