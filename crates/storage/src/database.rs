//! Connections, transactions and migrations of both databases.

use std::{
    path::Path,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::de::DeserializeOwned;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqlSafeStr, SqlStr, Sqlite, SqlitePool, Transaction,
    postgres::PgConnectOptions,
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode,
        SqlitePoolOptions, SqliteSynchronous,
    },
};

use crate::{
    Location, StorageError,
    error::{is_about_tables, is_damage},
    listener::listen,
    migrations::{KNOWN_POSTGRES, KNOWN_SQLITE, migrate_postgres, migrate_sqlite},
    postgres::{PostgresServer, connect, is_outage, reason_of},
    sqlite_file::SqliteFile,
};

/// Maximum time to wait for a lock of SQLite that another process holds.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Maximum time to wait for a connection that reads a file of SQLite.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(5);
/// Maximum time of a change of items to wait for its turn.
pub(crate) const TURN: Duration = Duration::from_mins(1);
/// Number of connections that read a file of SQLite.
const READERS: u32 = 4;
/// Begins a transaction of PostgreSQL that sees one state of the database.
pub(crate) const SNAPSHOT: &str = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Pages of SQLite's write-ahead log after which it is moved to the file (4 KiB each).
const CHECKPOINT_PAGES: &str = "4000";

/// The open connections.
#[derive(Clone, Debug)]
pub(crate) enum Database {
    /// SQLite has one writer at a time; readers do not wait for it.
    Sqlite {
        /// One connection.
        writer: SqlitePool,
        readers: SqlitePool,
        /// The file that was opened.
        file: Arc<SqliteFile>,
    },
    Postgres(Arc<PostgresServer>),
}

/// Runs `$body` with a connection that only reads, of either database. The body is compiled for
/// both, so that queries which both understand are written once.
macro_rules! with_reader {
    ($database:expr, $connection:ident => $body:expr) => {
        match $database {
            $crate::database::Database::Sqlite { readers, .. } => {
                let mut connection = readers.acquire().await?;
                let $connection = &mut *connection;
                $body
            }
            $crate::database::Database::Postgres(server) => {
                let mut connection = server.acquire().await?;
                let $connection = &mut *connection;
                $body
            }
        }
    };
}

/// As `with_reader`, in one transaction that writes. It is committed after the body.
macro_rules! with_writer {
    ($database:expr, $connection:ident => $body:expr) => {
        $crate::database::with_writer!($database, std::time::Duration::ZERO, $connection => $body)
    };
    ($database:expr, $patience:expr, $connection:ident => $body:expr) => {
        match $database {
            $crate::database::Database::Sqlite { writer, file, .. } => {
                let mut transaction = $crate::database::begin(writer, $patience).await?;
                let $connection = &mut *transaction;
                let result = $body;
                transaction.commit().await?;
                // What was written to a file that is gone must not be acknowledged.
                file.check()?;
                result
            }
            $crate::database::Database::Postgres(server) => {
                let mut connection = server.acquire().await?;
                let mut transaction = sqlx::Connection::begin(&mut *connection).await?;
                let $connection = &mut *transaction;
                let result = $body;
                transaction.commit().await?;
                result
            }
        }
    };
}

/// As `with_writer`, and announces a `Change` to other servers.
macro_rules! with_announcing_writer {
    ($database:expr, $change:ident, $connection:ident => $body:expr) => {
        $crate::database::with_announcing_writer!(
            $database, $change, std::time::Duration::ZERO, $connection => $body
        )
    };
    ($database:expr, $change:ident, $patience:expr, $connection:ident => $body:expr) => {
        $crate::database::with_writer!($database, $patience, $connection => {
            let result = $body;
            let change = $crate::announcements::Change::$change;
            $crate::announcements::Announce::announce($connection, change).await?;
            result
        })
    };
}

/// As `with_announcing_writer` for a change of items, and waits longer for a lock that another process holds.
macro_rules! with_item_writer {
    ($database:expr, $connection:ident => $body:expr) => {
        $crate::database::with_announcing_writer!(
            $database, Items, $crate::database::TURN, $connection => $body
        )
    };
}

/// As `with_reader`, in one transaction that sees one state of the database.
macro_rules! with_snapshot {
    ($database:expr, $connection:ident => $body:expr) => {
        match $database {
            $crate::database::Database::Sqlite { readers, .. } => {
                let mut transaction = readers.begin().await?;
                let $connection = &mut *transaction;
                $body
            }
            $crate::database::Database::Postgres(server) => {
                let mut connection = server.acquire().await?;
                let snapshot = $crate::database::SNAPSHOT;
                let mut transaction =
                    sqlx::Connection::begin_with(&mut *connection, snapshot).await?;
                let $connection = &mut *transaction;
                $body
            }
        }
    };
}

pub(crate) use {
    with_announcing_writer, with_item_writer, with_reader, with_snapshot, with_writer,
};

impl Database {
    /// Opens the database, creates a file of SQLite, and brings the tables to the newest version.
    pub(crate) async fn open(location: &Location) -> Result<Self, StorageError> {
        let opened = match location {
            Location::Sqlite(path) => open_sqlite(path).await,
            Location::Postgres(url) => open_postgres(url).await,
        };
        opened.map_err(|error| match error {
            OpenError::Connect(error) => StorageError::Open {
                location: location.clone(),
                reason: reason_of(&error),
                is_temporary: is_outage(&error),
            },
            OpenError::Storage(StorageError::Query(error)) => StorageError::Open {
                location: location.clone(),
                reason: if is_damage(&error) {
                    format!(
                        "expected a file of SQLite, found another one or a damaged one: {error}"
                    )
                } else {
                    error.to_string()
                },
                is_temporary: false,
            },
            OpenError::Storage(StorageError::Unavailable { reason }) => {
                StorageError::Open { location: location.clone(), reason, is_temporary: true }
            }
            OpenError::Storage(error) => error,
        })
    }

    /// Fails at once if it is known that the database cannot be used.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        match self {
            Self::Sqlite { file, .. } => file.check(),
            Self::Postgres(server) => server.check(),
        }
    }

    /// Waits until it is known that PostgreSQL does not answer, and returns the error.
    pub(crate) async fn failure(&self) -> StorageError {
        match self {
            Self::Sqlite { .. } => std::future::pending().await,
            Self::Postgres(server) => server.failure().await,
        }
    }

    /// The cause of an error: the database may be gone, or its tables may be those of a newer
    /// program.
    pub(crate) async fn explain(&self, error: StorageError) -> StorageError {
        match (&error, self) {
            (StorageError::Unavailable { .. }, Self::Postgres(server)) => {
                server.suspect();
                error
            }
            (StorageError::Query(cause), _) if is_about_tables(cause) => self.tables(cause).await,
            (StorageError::Query(cause), Self::Sqlite { .. }) if is_damage(cause) => {
                StorageError::Lost {
                    reason: format!(
                        "its file is damaged ({cause}); restore a backup into a new file"
                    ),
                }
            }
            (_, Self::Sqlite { file, .. }) => file.check().err().unwrap_or(error),
            _ => error,
        }
    }

    /// Why a query does not fit the tables.
    async fn tables(&self, cause: &sqlx::Error) -> StorageError {
        const NEWEST: &str = "SELECT MAX(version) FROM _sqlx_migrations";
        let (newest, known) = match self {
            Self::Sqlite { readers, file, .. } => {
                if let Err(lost) = file.check() {
                    return lost;
                }
                (sqlx::query_scalar(NEWEST).fetch_one(readers).await, KNOWN_SQLITE)
            }
            Self::Postgres(server) => {
                // All further requests have the same answer, if the tables are gone.
                server.suspect();
                let newest = match server.acquire().await {
                    Ok(mut connection) => {
                        sqlx::query_scalar(NEWEST).fetch_one(&mut *connection).await
                    }
                    Err(error) => return error,
                };
                (newest, KNOWN_POSTGRES)
            }
        };
        match newest {
            Ok(Some(found)) if found > known => StorageError::Newer { found, known },
            _ => StorageError::Lost {
                reason: format!(
                    "tables are missing or were changed ({cause}); restart the server, which makes \
                     missing tables"
                ),
            },
        }
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(server) => server.close().await,
        }
    }

    /// The text of a query of this database.
    pub(crate) fn sql(&self, sqlite: &'static str, postgres: &'static str) -> &'static str {
        match self {
            Self::Sqlite { .. } => sqlite,
            Self::Postgres(_) => postgres,
        }
    }
}

/// Why a database cannot be opened.
enum OpenError {
    /// There is no connection.
    Connect(sqlx::Error),
    Storage(StorageError),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<StorageError> for OpenError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// What is wrong with the path of a file of SQLite, which the database itself does not say.
fn check_path(path: &Path) -> Result<(), StorageError> {
    let reason = match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if !folder.is_dir() => {
            format!("there is no folder {}; make it", folder.display())
        }
        _ if path.is_dir() => "expected a file, found a folder".to_owned(),
        _ => return Ok(()),
    };
    let location = Location::Sqlite(path.to_owned());
    Err(StorageError::Open { location, reason, is_temporary: false })
}

async fn open_sqlite(path: &Path) -> Result<Database, OpenError> {
    check_path(path)?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(LOCK_PATIENCE)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        // Each commit is on the disk before it returns.
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("journal_size_limit", "67108864")
        // 32 MiB.
        .pragma("cache_size", "-32768")
        .disable_statement_logging();
    let is_new = !path.exists();
    let creating = options.clone().create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&creating).await?;
    migrate_sqlite(&mut connection).await?;
    connection.close().await?;
    if is_new {
        // The name may be a wrong one.
        tracing::info!(file = %path.display(), "there was no such database; an empty one was made");
    }
    let file = Arc::new(SqliteFile::new(path));
    // The connections stay open, so that the write-ahead log stays the same file.
    let pool = || SqlitePoolOptions::new().max_lifetime(None).idle_timeout(None);
    // A disk that becomes full within a transaction makes SQLite take it back by itself; the
    // rollback of the pool then fails, and the connection would refuse every later transaction.
    // Another one is opened in its place.
    let writer = pool().max_connections(1).before_acquire(|connection, _| {
        let is_usable = !connection.is_in_transaction();
        Box::pin(async move { Ok(is_usable) })
    });
    let opened = Arc::clone(&file);
    let writer = writer.after_connect(move |_, _| {
        opened.reopened();
        Box::pin(async { Ok(()) })
    });
    // Those who wait for their turn have limits of their own.
    let writer = writer.acquire_timeout(TURN).connect_with(options).await?;
    let reading = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(LOCK_PATIENCE)
        .pragma("query_only", "ON")
        .disable_statement_logging();
    let readers = pool().acquire_timeout(CONNECTION_PATIENCE).max_connections(READERS);
    let readers = readers.connect_with(reading).await?;
    Ok(Database::Sqlite { writer, readers, file })
}

async fn open_postgres(url: &str) -> Result<Database, OpenError> {
    let options =
        PgConnectOptions::from_str(url)?.application_name("tandem").disable_statement_logging();
    let mut connection = connect(&options).await.map_err(OpenError::Connect)?;
    migrate_postgres(&mut connection).await?;
    let server = Arc::new(PostgresServer::new(connection, options).await?);
    listen(&server);
    Ok(Database::Postgres(server))
}

/// Begins a transaction that writes to a file of SQLite. After `LOCK_PATIENCE`, for which SQLite
/// itself waits for the lock, it is tried again until `patience` has passed.
pub(crate) async fn begin(
    writer: &SqlitePool,
    patience: Duration,
) -> Result<Transaction<'static, Sqlite>, StorageError> {
    let until = Instant::now() + patience;
    loop {
        match writer.begin_with("BEGIN IMMEDIATE").await.map_err(StorageError::from) {
            Err(StorageError::Locked { .. }) if Instant::now() < until => {}
            begun => return begun,
        }
    }
}

/// A query that was put together from constant texts.
pub(crate) fn constant(text: String) -> SqlStr {
    AssertSqlSafe(text).into_sql_str()
}

/// The rows that the database has packed into one array of JSON.
pub(crate) fn decode<T: DeserializeOwned>(json: &str) -> Result<Vec<T>, StorageError> {
    serde_json::from_str(json)
        .map_err(|error| StorageError::Query(sqlx::Error::Decode(Box::new(error))))
}
