//! A file that is removed, a database that is dropped, tables that another program has changed: nothing
//! is acknowledged, with a reason that says what to do.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use sqlx::{Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};
use tandem_storage::{Location, Storage, StorageError};

use crate::{
    databases::{TestDatabase, on_each},
    events::clicks,
    items::item,
};

fn path(database: &TestDatabase) -> PathBuf {
    match &database.location {
        Location::Sqlite(path) => path.clone(),
        Location::Postgres(_) => panic!("not a file"),
    }
}

fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// The error of each kind of operation: of events, of items and of reading.
fn failures(storage: &Storage) -> [Result<(), StorageError>; 4] {
    storage.block_on(async {
        [
            storage.append_events("s", clicks(&["new"])).await.map(drop),
            storage.upsert_items(vec![item("new", "Thing", "A")]).await.map(drop),
            storage.user_events("s").await.map(drop),
            storage.check(),
        ]
    })
}

fn assert_lost(storage: &Storage, words: &str) {
    for failure in failures(storage) {
        let error = failure.unwrap_err();
        assert!(matches!(error, StorageError::Lost { .. }), "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// Runs statements of another program.
fn execute(database: &TestDatabase, statements: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let statements = sqlx::raw_sql(statements);
        match &database.location {
            Location::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                connection.execute(statements).await.unwrap();
                connection.close().await.unwrap();
            }
            Location::Postgres(_) => {
                let mut connection = database.connect().await;
                connection.execute(statements).await.unwrap();
            }
        }
    });
}

#[test]
#[cfg(unix)]
fn nothing_is_acknowledged_while_the_file_is_gone_or_another_one() {
    let database = TestDatabase::sqlite();
    let storage = database.open();
    let append = |id: &str| storage.block_on(storage.append_events("s", clicks(&[id])));
    append("1").unwrap();
    let path = path(&database);
    let moved = path.with_extension("moved");
    fs::rename(&path, &moved).unwrap();
    assert_lost(&storage, "was removed or renamed; put it back");
    fs::write(&path, "").unwrap();
    assert_lost(&storage, "another file has the name");
    fs::rename(&moved, &path).unwrap();
    append("2").unwrap();

    // The write-ahead log has what was acknowledged and is not in the file yet.
    let log = with_end(&path, "-wal");
    fs::rename(&log, &moved).unwrap();
    assert_lost(&storage, "write-ahead log");
    fs::rename(&moved, &log).unwrap();
    append("3").unwrap();
    let events = storage.block_on(storage.user_events("s")).unwrap();
    let ids: Vec<String> = events.into_iter().map(|event| event.id).collect();
    assert_eq!(ids, ["1", "2", "3"]);

    fs::remove_file(&path).unwrap();
    assert_lost(&storage, "was removed");
    assert!(!path.exists(), "an empty database was made in its place");
}

#[test]
#[cfg(unix)]
fn a_file_that_is_emptied_is_reported() {
    let database = TestDatabase::sqlite();
    let storage = database.open();
    storage.block_on(storage.append_events("s", clicks(&["1"]))).unwrap();
    fs::write(path(&database), "").unwrap();
    assert_lost(&storage, "was emptied");
}

#[test]
fn a_database_that_is_made_again_is_refused_until_a_restart() {
    let Some(database) = TestDatabase::own_postgres() else { return };
    let storage = database.open();
    storage.block_on(storage.append_events("s", clicks(&["1"]))).unwrap();
    database.drop_it();
    // Until the outage is known, connections fail in several ways.
    let is_known = |storage: &Storage| {
        failures(storage).map(|failure| {
            let error = failure.err()?;
            assert!(!matches!(error, StorageError::Query(_)), "{error:?}");
            Some(error.to_string())
        })
    };
    let wait_until = |words: &str| {
        for _ in 0..600 {
            let said = is_known(&storage);
            if said.iter().flatten().filter(|said| said.contains(words)).count() == said.len() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("{:?}", is_known(&storage));
    };
    wait_until("does not exist; create it");
    database.make_again();
    wait_until("restart the server, which makes missing tables");
    assert_lost(&storage, "restart the server");
    // Another server has started on it: these are not the tables that were read.
    let restarted = database.open();
    restarted.block_on(restarted.append_events("s", clicks(&["2"]))).unwrap();
    wait_until("the database was made again");
    assert_eq!(restarted.block_on(restarted.user_events("s")).unwrap().len(), 1);
}

#[test]
fn missing_tables_and_those_of_a_newer_program_are_told_apart() {
    on_each(|database| {
        let storage = database.open();
        let set = || {
            let set = storage.set_availability(vec![("a".into(), false)]);
            storage.block_on(set).unwrap_err()
        };
        execute(database, "ALTER TABLE item_availability RENAME TO renamed");
        let missing = set();
        assert!(matches!(missing, StorageError::Lost { .. }), "{missing:?}");
        assert!(missing.to_string().contains("tables are missing or were changed"), "{missing}");
        execute(
            database,
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
             execution_time) VALUES (99, 'newer', true, '0', 0)",
        );
        let newer = set();
        assert!(matches!(newer, StorageError::Newer { found: 99, .. }), "{newer:?}");
        // What does not need the table goes on.
        storage.block_on(storage.append_events("s", clicks(&["1"]))).unwrap();
    });
}
