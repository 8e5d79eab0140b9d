//! A portable copy of all tables in one file, and its restoration into an empty storage of either
//! kind: a backup of `SQLite` can be restored into `PostgreSQL`.
//!
//! The file has JSON lines, compressed with Zstandard: a header, one line per row, and a last line
//! with the number of rows, without which the file is not complete.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tandem_dataset::files::FileDraft;
use tandem_protocol::ItemId;

use crate::{
    Storage, StorageError, StoredEvent, StoredItem,
    database::{Database, constant, with_snapshot, with_writer},
    events::{COLUMNS, EventRow, event},
    items::{AVAILABILITY, COLUMNS_POSTGRES, COLUMNS_SQLITE, ItemRow, NewItem, item, text_of},
};

/// Version of the format. Version 1 had no deleted items.
const VERSION: u32 = 2;
/// Number of rows that are read or written at a time.
const PAGE: i64 = 5_000;
const LEVEL: i32 = 3;

/// Number of rows of a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSummary {
    /// Items, without deleted ones.
    pub items: u64,
    /// Deleted items, so that a release does not bring them back.
    #[serde(default)]
    pub deleted: u64,
    /// Events.
    pub events: u64,
    /// Forgotten visitors.
    pub forgotten: u64,
    /// Activations of releases.
    pub activations: u64,
}

/// Why a backup could not be made or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file cannot be read or written.
    #[error("cannot use the backup {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is no backup, or is not complete.
    #[error("{} is not a complete backup: {reason}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        reason: String,
    },
    /// There is a file already.
    #[error(
        "{} exists already; give another file, or replace it with --overwrite", path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The storage has items or events.
    #[error(
        "the storage is not empty: it has {items} items and {events} events; restore into a new one"
    )]
    NotEmpty {
        /// Number of items.
        items: u64,
        /// Number of events.
        events: u64,
    },
    /// The storage failed. Nothing was restored.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A line of a backup.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    TandemBackup { version: u32 },
    Item(StoredItem),
    Deleted(DeletedItem),
    Event(StoredEvent),
    Forgotten { name_sha256: String, at: i64 },
    Activation { at: i64, release: String, previous: Option<String>, caller: String },
    End(BackupSummary),
}

/// An item that was deleted.
#[derive(Serialize, Deserialize)]
struct DeletedItem {
    id: ItemId,
    /// When, in milliseconds since 1970.
    at: i64,
}

/// Whether a file begins as a backup that this program can read.
///
/// # Errors
/// [`BackupError::Io`] and [`BackupError::Invalid`].
pub fn check_backup(path: &Path) -> Result<(), BackupError> {
    Lines::open(path).map(drop)
}

impl Storage {
    /// Writes all rows, as they are at one moment, to a file. Other programs read and write
    /// meanwhile. The file appears under its name when it is complete. Of deleted
    /// items it has the id; disagreements are left out. An existing file is replaced only if
    /// `overwrite` says so.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn back_up(
        &self,
        path: &Path,
        overwrite: bool,
    ) -> Result<BackupSummary, BackupError> {
        let exists = || BackupError::Exists { path: path.to_owned() };
        // Before the work, and again when the file is put in place.
        if !overwrite && path.symlink_metadata().is_ok() {
            return Err(exists());
        }
        let failed = |source| BackupError::Io { path: path.to_owned(), source };
        let draft = FileDraft::new(path).map_err(failed)?;
        let encoder = zstd::Encoder::new(draft, LEVEL).map_err(failed)?;
        let written = self.long(move |database| write_all(database, encoder)).await?;
        let (draft, summary) = written.map_err(failed)?;
        if overwrite {
            draft.publish().map_err(failed)?;
        } else {
            draft.publish_new().map_err(|source| match source.kind() {
                io::ErrorKind::AlreadyExists => exists(),
                _ => failed(source),
            })?;
        }
        Ok(summary)
    }

    /// Reads a backup into this storage, which must have no items and no events: everything or
    /// nothing.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn restore(&self, path: &Path) -> Result<BackupSummary, BackupError> {
        // The cheaper question first.
        let reader = Lines::open(path)?;
        let sizes = self.sizes().await?;
        if sizes.items > 0 || sizes.events > 0 {
            return Err(BackupError::NotEmpty { items: sizes.items, events: sizes.events });
        }
        self.long(move |database| async move { read_all(&database, reader).await }).await?
    }
}

type Draft = zstd::Encoder<'static, FileDraft>;

fn put(draft: &mut Draft, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *draft, line)?;
    draft.write_all(b"\n")
}

/// Writes all rows. The outer error is of the database, the inner one of the file.
async fn write_all(
    database: Database,
    mut draft: Draft,
) -> Result<io::Result<(FileDraft, BackupSummary)>, StorageError> {
    macro_rules! put {
        ($line:expr) => {
            if let Err(error) = put(&mut draft, &$line) {
                return Ok(Err(error));
            }
        };
    }
    let columns = database.sql(COLUMNS_SQLITE, COLUMNS_POSTGRES);
    let items = format!(
        "SELECT {columns} FROM items {AVAILABILITY} WHERE deleted IS NULL AND id > $1 \
         ORDER BY id LIMIT $2"
    );
    let events = format!("SELECT {COLUMNS} FROM events WHERE number > $1 ORDER BY number LIMIT $2");
    let mut summary = BackupSummary::default();
    put!(Line::TandemBackup { version: VERSION });
    with_snapshot!(&database, connection => {
        let mut after = String::new();
        loop {
            let rows: Vec<ItemRow> = sqlx::query_as(constant(items.clone()))
                .bind(&after)
                .bind(PAGE)
                .fetch_all(&mut *connection)
                .await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.0);
            summary.items += rows.len() as u64;
            for row in rows {
                put!(Line::Item(item(row)));
            }
        }
        let deleted: Vec<(String, i64)> =
            sqlx::query_as("SELECT id, deleted FROM items WHERE deleted IS NOT NULL ORDER BY id")
                .fetch_all(&mut *connection)
                .await?;
        for (id, at) in deleted {
            summary.deleted += 1;
            put!(Line::Deleted(DeletedItem { id: ItemId::new(id), at }));
        }
        let mut after = 0_i64;
        loop {
            let rows: Vec<EventRow> = sqlx::query_as(constant(events.clone()))
                .bind(after)
                .bind(PAGE)
                .fetch_all(&mut *connection)
                .await?;
            let Some(last) = rows.last() else { break };
            after = last.0;
            for event in rows.into_iter().filter_map(event) {
                summary.events += 1;
                put!(Line::Event(event));
            }
        }
        let forgotten: Vec<(String, i64)> =
            sqlx::query_as("SELECT name_sha256, at FROM forgotten_users ORDER BY name_sha256")
                .fetch_all(&mut *connection)
                .await?;
        for (name_sha256, at) in forgotten {
            summary.forgotten += 1;
            put!(Line::Forgotten { name_sha256, at });
        }
        let activations: Vec<(i64, String, Option<String>, String)> = sqlx::query_as(
            "SELECT at, release, previous, caller FROM activations ORDER BY number",
        )
        .fetch_all(&mut *connection)
        .await?;
        for (at, release, previous, caller) in activations {
            summary.activations += 1;
            put!(Line::Activation { at, release, previous, caller });
        }
    });
    put!(Line::End(summary));
    Ok(draft.finish().map(|draft| (draft, summary)))
}

/// The lines of a backup.
struct Lines {
    path: PathBuf,
    reader: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    number: u64,
}

impl Lines {
    fn open(path: &Path) -> Result<Self, BackupError> {
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
            Err(error) => Err(self.invalid(&error.to_string())),
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
}

impl Page {
    fn is_full(&self) -> bool {
        self.items.len() + self.deleted.len() + self.events.len() >= PAGE as usize
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

/// What the backup says of the time of a change is of the item and its availability together.
const UNAVAILABLE_SQLITE: &str = "INSERT INTO item_availability (item, available, changed, \
    revision) SELECT number, 0, updated, 1 FROM json_each($1) AS x JOIN items ON items.id = \
    x.value";
const UNAVAILABLE_POSTGRES: &str = "INSERT INTO item_availability (item, available, changed) \
    SELECT number, false, updated FROM json_array_elements_text($1::json) AS x (id) JOIN items \
    ON items.id = x.id";

/// Writes all rows in one transaction. The outer error is of the database and rolls back.
async fn read_all(
    database: &Database,
    mut lines: Lines,
) -> Result<Result<BackupSummary, BackupError>, StorageError> {
    let items = database.sql(ITEMS_SQLITE, ITEMS_POSTGRES);
    let deleted = database.sql(DELETED_SQLITE, DELETED_POSTGRES);
    let events = database.sql(
        "INSERT INTO events (session, id, kind, item, at, received, recommendation) \
         SELECT value ->> 'session', value ->> 'id', value ->> 'type', value ->> 'item', \
         value ->> 'at', value ->> 'received', value ->> 'recommendation' FROM json_each($1)",
        "INSERT INTO events (session, id, kind, item, at, received, recommendation) \
         SELECT session, id, type, item, at, received, recommendation \
         FROM json_to_recordset($1::json) AS x (session text, id text, type text, item text, \
         at bigint, received bigint, recommendation text)",
    );
    let unavailable = database.sql(UNAVAILABLE_SQLITE, UNAVAILABLE_POSTGRES);
    let mut summary = BackupSummary::default();
    with_writer!(database, connection => {
        sqlx::query("UPDATE counters SET value = value + 1 WHERE name = 'items'")
            .execute(&mut *connection)
            .await?;
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
                let Page { items: new_items, deleted: gone, events: new_events } =
                    std::mem::take(&mut page);
                let hidden = new_items.iter().map(|line| &line.item).filter(|it| !it.available);
                let hidden: Vec<&ItemId> = hidden.map(|it| &it.id).collect();
                for (statement, json) in [
                    (items, to_json(&new_items)),
                    (unavailable, to_json(&hidden)),
                    (deleted, to_json(&gone)),
                    (events, to_json(&new_events)),
                ] {
                    if json.len() > 2 {
                        sqlx::query(statement).bind(json).execute(&mut *connection).await?;
                    }
                }
            }
            if is_end {
                break;
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
