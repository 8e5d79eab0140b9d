//! Connections, transactions and migrations of both databases.

use std::{borrow::Cow, str::FromStr, time::Duration};

use serde::de::DeserializeOwned;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgPool, SqlSafeStr, SqlStr, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    postgres::{PgConnectOptions, PgConnection, PgPoolOptions},
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode,
        SqlitePoolOptions, SqliteSynchronous,
    },
};

use crate::{Location, StorageError};

/// Maximum time to wait for a lock of SQLite that another process holds.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Maximum time to wait for a connection.
const CONNECTION_PATIENCE: Duration = Duration::from_secs(5);
/// Number of connections that read a file of SQLite.
const READERS: u32 = 4;
/// Number of connections to PostgreSQL.
const CONNECTIONS: u32 = 8;
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
    },
    Postgres(PgPool),
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
            $crate::database::Database::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                let $connection = &mut *connection;
                $body
            }
        }
    };
}

/// As `with_reader`, in one transaction that writes. It is committed after the body.
macro_rules! with_writer {
    ($database:expr, $connection:ident => $body:expr) => {
        match $database {
            $crate::database::Database::Sqlite { writer, .. } => {
                let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
                let $connection = &mut *transaction;
                let result = $body;
                transaction.commit().await?;
                result
            }
            $crate::database::Database::Postgres(pool) => {
                let mut transaction = pool.begin().await?;
                let $connection = &mut *transaction;
                let result = $body;
                transaction.commit().await?;
                result
            }
        }
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
            $crate::database::Database::Postgres(pool) => {
                let mut transaction = pool.begin_with($crate::database::SNAPSHOT).await?;
                let $connection = &mut *transaction;
                $body
            }
        }
    };
}

pub(crate) use {with_reader, with_snapshot, with_writer};

impl Database {
    /// Opens the database, creates a file of SQLite, and brings the tables to the newest version.
    pub(crate) async fn open(location: &Location) -> Result<Self, StorageError> {
        let failed = |error: StorageError| match error {
            StorageError::Query(_) | StorageError::Unavailable { .. } => StorageError::Open {
                location: location.clone(),
                reason: match &error {
                    StorageError::Unavailable { reason } => reason.clone(),
                    other => other.to_string(),
                },
            },
            error => error,
        };
        match location {
            Location::Sqlite(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
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
                let open = async {
                    let mut connection = SqliteConnection::connect_with(&options).await?;
                    migrate_sqlite(&mut connection).await?;
                    connection.close().await?;
                    let pool = || SqlitePoolOptions::new().acquire_timeout(CONNECTION_PATIENCE);
                    // A disk that becomes full within a transaction makes SQLite take it back
                    // by itself; the rollback of the pool then fails, and the connection would
                    // refuse every later transaction. Another one is opened in its place.
                    let writer = pool().max_connections(1).before_acquire(|connection, _| {
                        let is_usable = !connection.is_in_transaction();
                        Box::pin(async move { Ok(is_usable) })
                    });
                    let writer = writer.connect_with(options).await?;
                    let reading = SqliteConnectOptions::new()
                        .filename(path)
                        .busy_timeout(LOCK_PATIENCE)
                        .pragma("query_only", "ON")
                        .disable_statement_logging();
                    let readers = pool().max_connections(READERS).connect_with(reading);
                    Ok(Self::Sqlite { writer, readers: readers.await? })
                };
                open.await.map_err(failed)
            }
            Location::Postgres(url) => {
                let open = async {
                    let options = PgConnectOptions::from_str(url)?
                        .application_name("tandem")
                        .disable_statement_logging();
                    let pool = PgPoolOptions::new()
                        .acquire_timeout(CONNECTION_PATIENCE)
                        .max_connections(CONNECTIONS)
                        .connect_with(options)
                        .await?;
                    let mut connection = pool.acquire().await?;
                    migrate_postgres(&mut connection).await?;
                    drop(connection);
                    Ok(Self::Postgres(pool))
                };
                open.await.map_err(failed)
            }
        }
    }

    /// Closes all connections.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
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

/// A query that was put together from constant texts.
pub(crate) fn constant(text: String) -> SqlStr {
    AssertSqlSafe(text).into_sql_str()
}

/// The migrations of one database, oldest first.
fn migrations(texts: &[&'static str]) -> Migrator {
    let names =
        ["items, events, activations", "availability apart from items", "log of availability"];
    let migration = |(version, (name, text)): (i64, (&'static str, &&'static str))| {
        let text = SqlStr::from_static(text);
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, text, false)
    };
    Migrator::with_migrations((1..).zip(names.into_iter().zip(texts)).map(migration).collect())
}

/// Two processes that start at once wait for each other: the transaction holds the write lock.
async fn migrate_sqlite(connection: &mut SqliteConnection) -> Result<(), StorageError> {
    let migrator = migrations(&[
        include_str!("../migrations/sqlite/1.sql"),
        include_str!("../migrations/sqlite/2.sql"),
    ]);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let done = migrator.run(&mut *transaction).await;
    done.map_err(|error| migration_error(error, &migrator))?;
    transaction.commit().await?;
    Ok(())
}

/// The migrator holds an advisory lock of the database.
async fn migrate_postgres(connection: &mut PgConnection) -> Result<(), StorageError> {
    let migrator = migrations(&[
        include_str!("../migrations/postgres/1.sql"),
        include_str!("../migrations/postgres/2.sql"),
        include_str!("../migrations/postgres/3.sql"),
    ]);
    let done = migrator.run(connection).await;
    done.map_err(|error| migration_error(error, &migrator))
}

fn migration_error(error: MigrateError, migrator: &Migrator) -> StorageError {
    let known = migrator.iter().map(|migration| migration.version).max().unwrap_or_default();
    match error {
        MigrateError::VersionMissing(found) | MigrateError::VersionTooNew(found, _) => {
            StorageError::Newer { found, known }
        }
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => StorageError::Query(sqlx::Error::Migrate(Box::new(other))),
    }
}

/// The rows that the database has packed into one array of JSON.
pub(crate) fn decode<T: DeserializeOwned>(json: &str) -> Result<Vec<T>, StorageError> {
    serde_json::from_str(json)
        .map_err(|error| StorageError::Query(sqlx::Error::Decode(Box::new(error))))
}
