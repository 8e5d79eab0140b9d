//! A portable copy of all tables in one file, and its restoration into an empty storage of either
//! kind: a backup of `SQLite` can be restored into `PostgreSQL`.
//!
//! The file has JSON lines, compressed with Zstandard: a header, one line per row, and a last line
//! with the number of rows, without which the file is not complete.

mod read;
mod write;

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tandem_dataset::files::FileDraft;
use tandem_protocol::ItemId;

use crate::{Sizes, Storage, StorageError, StoredEvent, StoredItem, StoredKey};
use read::{Lines, read_all};
use write::write_all;

/// Version of the format. Version 1 had no deleted items, version 2 no disagreements, version 3 no
/// keys.
const VERSION: u32 = 4;
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
    /// Disagreements that devices in shadow mode reported.
    #[serde(default)]
    pub disagreements: u64,
    /// Keys, as hashes.
    #[serde(default)]
    pub keys: u64,
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
    /// The storage has items, events or keys.
    #[error(
        "the storage is not empty: it has {items} items, {events} events and {keys} keys; restore into a new one"
    )]
    NotEmpty {
        /// Number of items.
        items: u64,
        /// Number of events.
        events: u64,
        /// Number of keys.
        keys: u64,
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
    Disagreement(Disagreement),
    Key(StoredKey),
    End(BackupSummary),
}

/// An item that was deleted.
#[derive(Serialize, Deserialize)]
struct DeletedItem {
    id: ItemId,
    /// When, in milliseconds since 1970.
    at: i64,
}

/// How far a device's order was from the shop's, 0 to 1.
#[derive(Serialize, Deserialize)]
struct Disagreement {
    /// When it was received, in milliseconds since 1970.
    received: i64,
    disagreement: f64,
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
    /// meanwhile. The file appears under its name when it is complete. Of deleted items it has the
    /// id. An existing file is replaced only if `overwrite` says so.
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

    /// Reads a backup into this storage, which must have no items, no events and no keys: everything
    /// or nothing.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub async fn restore(&self, path: &Path) -> Result<BackupSummary, BackupError> {
        // The cheaper question first.
        let reader = Lines::open(path)?;
        let Sizes { items, events, .. } = self.sizes().await?;
        let keys = self.keys().await?.keys.len() as u64;
        if items > 0 || events > 0 || keys > 0 {
            return Err(BackupError::NotEmpty { items, events, keys });
        }
        self.long(move |database| async move { read_all(&database, reader).await }).await?
    }
}
