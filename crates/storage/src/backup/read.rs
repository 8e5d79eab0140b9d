//! The lines of a file, restored into a database.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde::Serialize;
use tandem_protocol::ItemId;

use super::{BackupError, BackupSummary, DeletedItem, Disagreement, Line, PAGE, VERSION};
use crate::{
    StorageError, StoredEvent, StoredItem, StoredKey,
    database::{Database, with_writer},
    items::{NewItem, text_of},
    keys::{ADD_KEYS_POSTGRES, ADD_KEYS_SQLITE, KEYS_CHANGE},
};

/// The lines of a backup.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    number: u64,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, BackupError> {
        let failed = |source| BackupError::Io { path: path.to_owned(), source };
        let decoder = zstd::Decoder::new(File::open(path).map_err(failed)?).map_err(failed)?;
        let mut lines = Self { path: path.to_owned(), reader: BufReader::new(decoder), number: 0 };
        match lines.next()? {
            Line::TandemBackup { version: 1..=VERSION } => Ok(lines),
            Line::TandemBackup { version } => Err(lines.invalid(&format!(
                "expected at most version {VERSION}, found {version}; use a newer program"
            ))),
            _ => Err(lines.invalid("expected a header")),
        }
    }

    fn next(&mut self) -> Result<Line, BackupError> {
        let mut line = String::new();
        self.number += 1;
        match self.reader.read_line(&mut line) {
            Ok(0) => Err(self.invalid("the end is missing")),
            Ok(_) => serde_json::from_str(&line).map_err(|error| self.invalid(&error.to_string())),
            Err(error) if self.number == 1 => Err(self.invalid(&format!(
                "expected a file of `cloud-server backup`, compressed with Zstandard: {error}"
            ))),
            Err(error) => Err(self.invalid(&error.to_string())),
        }
    }

    /// Fails if something follows the last line.
    fn check_end(&mut self) -> Result<(), BackupError> {
        match self.reader.fill_buf() {
            Ok([]) => Ok(()),
            Ok(_) | Err(_) => Err(self.invalid("expected the end of the file, found more")),
        }
    }

    fn invalid(&self, reason: &str) -> BackupError {
        BackupError::Invalid {
            path: self.path.clone(),
            reason: format!("line {}: {reason}", self.number),
        }
    }
}

/// An item with its searched text, as the query reads it.
#[derive(Serialize)]
struct ItemLine {
    #[serde(flatten)]
    item: StoredItem,
    search_text: String,
}

/// Rows that are written together.
#[derive(Default)]
struct Page {
    items: Vec<ItemLine>,
    deleted: Vec<DeletedItem>,
    events: Vec<StoredEvent>,
    disagreements: Vec<Disagreement>,
    keys: Vec<StoredKey>,
}

impl Page {
    fn is_full(&self) -> bool {
        let rows = self.items.len() + self.deleted.len() + self.events.len();
        rows + self.disagreements.len() + self.keys.len() >= PAGE as usize
    }

    /// Its rows as JSON: items, the ids of those that are not available, deleted items, events,
    /// disagreements, keys.
    fn to_json(&self) -> [String; 6] {
        let hidden = self.items.iter().map(|line| &line.item).filter(|it| !it.available);
        let hidden: Vec<&ItemId> = hidden.map(|it| &it.id).collect();
        [
            to_json(&self.items),
            to_json(&hidden),
            to_json(&self.deleted),
            to_json(&self.events),
            to_json(&self.disagreements),
            to_json(&self.keys),
        ]
    }
}

const ITEMS_SQLITE: &str = "INSERT INTO items (id, title, categories, brand, description, \
    year, price, attributes, created, updated, revision, search_text) SELECT value ->> 'id', \
    value ->> 'title', value -> 'categories', COALESCE(value ->> 'brand', ''), COALESCE(value \
    ->> 'description', ''), value ->> 'year', value ->> 'price', COALESCE(value -> 'attributes', \
    '{}'), value ->> 'created', value ->> 'updated', 1, value ->> 'search_text' FROM \
    json_each($1)";
const ITEMS_POSTGRES: &str = "INSERT INTO items (id, title, categories, brand, description, \
    year, price, attributes, created, updated, revision, search_text) SELECT id, title, \
    categories, COALESCE(brand, ''), COALESCE(description, ''), year, price, \
    COALESCE(attributes, '{}'), created, updated, 1, search_text FROM \
    json_to_recordset($1::json) AS x (id text, title text, categories jsonb, brand text, \
    description text, year bigint, price double precision, attributes jsonb, created bigint, \
    updated bigint, search_text text)";

/// Ids of deleted items, which have no other fields.
const DELETED_SQLITE: &str = "INSERT INTO items (id, title, categories, brand, description, \
    attributes, created, updated, deleted, revision, search_text) SELECT value ->> 'id', '', \
    '[]', '', '', '{}', value ->> 'at', value ->> 'at', value ->> 'at', 1, '' FROM json_each($1)";
const DELETED_POSTGRES: &str = "INSERT INTO items (id, title, categories, brand, description, \
    attributes, created, updated, deleted, revision, search_text) SELECT id, '', '[]', '', '', \
    '{}', at, at, at, 1, '' FROM json_to_recordset($1::json) AS x (id text, at bigint)";

const EVENTS_SQLITE: &str = "INSERT INTO events (session, id, kind, item, at, received, \
    recommendation) SELECT value ->> 'session', value ->> 'id', value ->> 'type', \
    value ->> 'item', value ->> 'at', value ->> 'received', value ->> 'recommendation' FROM \
    json_each($1)";
const EVENTS_POSTGRES: &str = "INSERT INTO events (session, id, kind, item, at, received, \
    recommendation) SELECT session, id, type, item, at, received, recommendation FROM \
    json_to_recordset($1::json) AS x (session text, id text, type text, item text, at bigint, \
    received bigint, recommendation text)";

const DISAGREEMENTS_SQLITE: &str = "INSERT INTO disagreements (received, disagreement) SELECT \
    value ->> 'received', value ->> 'disagreement' FROM json_each($1)";
const DISAGREEMENTS_POSTGRES: &str = "INSERT INTO disagreements (received, disagreement) SELECT \
    received, disagreement FROM json_to_recordset($1::json) AS x (received bigint, disagreement \
    double precision)";

/// What the backup says of the time of a change is of the item and its availability together.
const UNAVAILABLE_SQLITE: &str = "INSERT INTO item_availability (item, available, changed, \
    revision) SELECT number, 0, updated, 1 FROM json_each($1) AS x JOIN items ON items.id = \
    x.value";
const UNAVAILABLE_POSTGRES: &str = "INSERT INTO item_availability (item, available, changed) \
    SELECT number, false, updated FROM json_array_elements_text($1::json) AS x (id) JOIN items \
    ON items.id = x.id";

/// Writes all rows in one transaction. The outer error is of the database and rolls back.
pub(super) async fn read_all(
    database: &Database,
    mut lines: Lines,
) -> Result<Result<BackupSummary, BackupError>, StorageError> {
    // In the order of `Page::to_json`.
    let statements = [
        database.sql(ITEMS_SQLITE, ITEMS_POSTGRES),
        database.sql(UNAVAILABLE_SQLITE, UNAVAILABLE_POSTGRES),
        database.sql(DELETED_SQLITE, DELETED_POSTGRES),
        database.sql(EVENTS_SQLITE, EVENTS_POSTGRES),
        database.sql(DISAGREEMENTS_SQLITE, DISAGREEMENTS_POSTGRES),
        database.sql(ADD_KEYS_SQLITE, ADD_KEYS_POSTGRES),
    ];
    let mut summary = BackupSummary::default();
    with_writer!(database, connection => {
        sqlx::query("UPDATE counters SET value = value + 1 WHERE name = 'items'")
            .execute(&mut *connection)
            .await?;
        sqlx::query(KEYS_CHANGE).execute(&mut *connection).await?;
        let mut page = Page::default();
        loop {
            let line = match lines.next() {
                Ok(line) => line,
                // Dropping the transaction takes everything back.
                Err(error) => return Ok(Err(error)),
            };
            let is_end = matches!(line, Line::End(_));
            match line {
                Line::TandemBackup { .. } => return Ok(Err(lines.invalid("a second header"))),
                Line::Item(item) => {
                    summary.items += 1;
                    let search_text = text_of(&to_new(&item));
                    page.items.push(ItemLine { item, search_text });
                }
                Line::Deleted(item) => {
                    summary.deleted += 1;
                    page.deleted.push(item);
                }
                Line::Event(event) => {
                    summary.events += 1;
                    page.events.push(event);
                }
                Line::Disagreement(disagreement) => {
                    summary.disagreements += 1;
                    page.disagreements.push(disagreement);
                }
                Line::Key(key) => {
                    summary.keys += 1;
                    page.keys.push(key);
                }
                Line::Forgotten { name_sha256, at } => {
                    summary.forgotten += 1;
                    sqlx::query("INSERT INTO forgotten_users (name_sha256, at) VALUES ($1, $2)")
                        .bind(name_sha256)
                        .bind(at)
                        .execute(&mut *connection)
                        .await?;
                }
                Line::Activation { at, release, previous, caller } => {
                    summary.activations += 1;
                    sqlx::query(
                        "INSERT INTO activations (at, release, previous, caller) \
                         VALUES ($1, $2, $3, $4)",
                    )
                    .bind(at)
                    .bind(release)
                    .bind(previous)
                    .bind(caller)
                    .execute(&mut *connection)
                    .await?;
                }
                Line::End(expected) if expected == summary => {}
                Line::End(_) => return Ok(Err(lines.invalid("rows are missing"))),
            }
            if is_end || page.is_full() {
                let page = std::mem::take(&mut page).to_json();
                for (statement, json) in statements.into_iter().zip(page) {
                    if json.len() > 2 {
                        sqlx::query(statement).bind(json).execute(&mut *connection).await?;
                    }
                }
            }
            if is_end {
                match lines.check_end() {
                    Ok(()) => break,
                    Err(error) => return Ok(Err(error)),
                }
            }
        }
    });
    Ok(Ok(summary))
}

fn to_json<T: Serialize>(rows: &[T]) -> String {
    // Plain data: this does not fail.
    serde_json::to_string(rows).unwrap_or_default()
}

fn to_new(item: &StoredItem) -> NewItem {
    NewItem {
        title: item.title.clone(),
        categories: item.categories.clone(),
        brand: item.brand.clone(),
        description: item.description.clone(),
        ..NewItem::new(item.id.clone())
    }
}
