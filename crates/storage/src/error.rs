use std::io;

use crate::Location;

/// Why a storage could not do what was asked. Nothing of it was done then, unless the function
/// says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The disk, the quota or the database's limit is full.
    #[error("the disk of the storage is full: {reason}; free some space")]
    Full {
        /// What the database says.
        reason: String,
    },
    /// Another process holds the lock of the database for too long.
    #[error("the storage is locked by another process: {reason}")]
    Locked {
        /// What the database says.
        reason: String,
    },
    /// The database does not answer, or the connection was lost. What was sent may have been
    /// written nevertheless.
    #[error("the storage does not answer: {reason}")]
    Unavailable {
        /// What failed.
        reason: String,
    },
    /// The storage cannot be opened.
    #[error("cannot open the storage {location}: {reason}")]
    Open {
        /// Which one.
        location: Location,
        /// What failed.
        reason: String,
        /// Whether it may succeed later: the database does not answer, or is starting.
        is_temporary: bool,
    },
    /// The file was removed, or the database was dropped or made again. What was acknowledged
    /// before may be lost; nothing is acknowledged now.
    #[error("the storage cannot be used: {reason}")]
    Lost {
        /// What happened, and what the operator has to do.
        reason: String,
    },
    /// The tables were made by a newer version.
    #[error(
        "the storage has tables of version {found}, this program knows version {known}; use a newer program"
    )]
    Newer {
        /// Version of the tables.
        found: i64,
        /// Newest version that this program knows.
        known: i64,
    },
    /// The storage has been closed.
    #[error("the storage is closed")]
    Closed,
    /// The database refused a query.
    #[error("the storage failed: {0}")]
    Query(#[source] sqlx::Error),
}

/// Result codes of SQLite and `SQLSTATE` codes of PostgreSQL.
mod codes {
    /// `SQLITE_FULL`, and `SQLITE_IOERR_SHMSIZE`: the shared memory file cannot grow. `53100`:
    /// `disk_full`.
    pub(super) const FULL: [&str; 3] = ["13", "4874", "53100"];
    /// `SQLITE_BUSY` and `SQLITE_LOCKED`. `55P03`: `lock_not_available`.
    pub(super) const LOCKED: [&str; 6] = ["5", "6", "261", "517", "262", "55P03"];
    /// Classes of PostgreSQL: connection exception, operator intervention, insufficient resources,
    /// and for new connections no such database and no such user or another password; and the code
    /// of a database that accepts no connections.
    pub(super) const UNAVAILABLE: [&str; 6] = ["08", "57", "53", "3D", "28", "55000"];
}

/// Whether a query names a table or a column that the database does not have.
pub(crate) fn is_about_tables(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else { return false };
    let message = database.message();
    // Undefined table, column, function and schema. SQLite has one code for all wrong queries.
    matches!(database.code().as_deref(), Some("42P01" | "42703" | "42883" | "3F000"))
        || ["no such table", "no such column", "has no column named"]
            .iter()
            .any(|text| message.contains(text))
}

/// Whether a file of SQLite has a content that is none.
pub(crate) fn is_damage(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(database) = error else { return false };
    // `SQLITE_CORRUPT`, `SQLITE_CORRUPT_INDEX`, `SQLITE_NOTADB`, `SQLITE_IOERR_SHORT_READ`.
    matches!(database.code().as_deref(), Some("11" | "779" | "26" | "522"))
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        let reason = error.to_string();
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                let code = code.as_ref();
                if codes::FULL.contains(&code) {
                    Self::Full { reason: database.message().to_owned() }
                } else if codes::LOCKED.contains(&code) {
                    Self::Locked { reason: database.message().to_owned() }
                } else if code.len() == 5
                    && codes::UNAVAILABLE.iter().any(|class| code.starts_with(class))
                {
                    Self::Unavailable { reason: database.message().to_owned() }
                } else {
                    Self::Query(error)
                }
            }
            sqlx::Error::Io(source)
                if matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                Self::Full { reason }
            }
            sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => Self::Closed,
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => {
                Self::Unavailable { reason }
            }
            _ => Self::Query(error),
        }
    }
}

impl StorageError {
    /// The same error for another request of the same transaction.
    pub(crate) fn for_another(&self) -> Self {
        match self {
            Self::Full { reason } => Self::Full { reason: reason.clone() },
            Self::Locked { reason } => Self::Locked { reason: reason.clone() },
            Self::Closed => Self::Closed,
            Self::Lost { reason } => Self::Lost { reason: reason.clone() },
            Self::Newer { found, known } => Self::Newer { found: *found, known: *known },
            Self::Unavailable { reason } => Self::Unavailable { reason: reason.clone() },
            other => Self::Unavailable { reason: other.to_string() },
        }
    }
}
