//! The versions of the tables.

use std::borrow::Cow;

use sqlx::{
    Connection, SqlStr,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    postgres::PgConnection,
    sqlite::SqliteConnection,
};

use crate::StorageError;

/// Newest version of the tables of SQLite that this program knows.
pub(crate) const KNOWN_SQLITE: i64 = 4;
/// The same of PostgreSQL.
pub(crate) const KNOWN_POSTGRES: i64 = 5;

/// The migrations of one database, oldest first.
fn migrations(texts: &[(&'static str, &'static str)]) -> Migrator {
    let migration = |(version, (name, text)): (i64, &(&'static str, &'static str))| {
        let text = SqlStr::from_static(text);
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, text, false)
    };
    Migrator::with_migrations((1..).zip(texts).map(migration).collect())
}

// Their names must not change: a database has them.
const FIRST: &str = "items, events, activations";
const AVAILABILITY: &str = "availability apart from items";
const AVAILABILITY_LOG: &str = "log of availability";
const OF_RELEASE: &str = "items of a release";
const KEYS: &str = "keys";

/// Two processes that start at once wait for each other: the transaction holds the write lock.
pub(crate) async fn migrate_sqlite(connection: &mut SqliteConnection) -> Result<(), StorageError> {
    let migrator = migrations(&[
        (FIRST, include_str!("../migrations/sqlite/1.sql")),
        (AVAILABILITY, include_str!("../migrations/sqlite/2.sql")),
        (OF_RELEASE, include_str!("../migrations/sqlite/3.sql")),
        (KEYS, include_str!("../migrations/sqlite/4.sql")),
    ]);
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let done = migrator.run(&mut *transaction).await;
    done.map_err(|error| migration_error(error, &migrator))?;
    transaction.commit().await?;
    Ok(())
}

/// The migrator holds an advisory lock of the database.
pub(crate) async fn migrate_postgres(connection: &mut PgConnection) -> Result<(), StorageError> {
    let migrator = migrations(&[
        (FIRST, include_str!("../migrations/postgres/1.sql")),
        (AVAILABILITY, include_str!("../migrations/postgres/2.sql")),
        (AVAILABILITY_LOG, include_str!("../migrations/postgres/3.sql")),
        (OF_RELEASE, include_str!("../migrations/postgres/4.sql")),
        (KEYS, include_str!("../migrations/postgres/5.sql")),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_versions_are_those_of_the_files() {
        let files = |folder: &str| {
            let folder = format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR"));
            i64::try_from(std::fs::read_dir(folder).unwrap().count()).unwrap()
        };
        assert_eq!((files("sqlite"), files("postgres")), (KNOWN_SQLITE, KNOWN_POSTGRES));
    }
}
