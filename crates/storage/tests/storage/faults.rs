//! Faults: a locked file, a full disk, a database that is cut off, two starts at once.

use std::{
    thread,
    time::{Duration, Instant},
};

use sqlx::{Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};
use tandem_storage::{Location, Storage, StorageError};

use crate::{
    databases::{TestDatabase, on_each},
    events::clicks,
    items::item,
    outage::behind_a_proxy,
};

fn path(database: &TestDatabase) -> std::path::PathBuf {
    match &database.location {
        Location::Sqlite(path) => path.clone(),
        Location::Postgres(_) => panic!("not a file"),
    }
}

/// A connection of another program.
pub(crate) fn other_program(
    database: &TestDatabase,
) -> (tokio::runtime::Runtime, SqliteConnection) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = SqliteConnectOptions::new().filename(path(database));
    let connection = runtime.block_on(SqliteConnection::connect_with(&options)).unwrap();
    (runtime, connection)
}

#[test]
fn several_processes_can_start_at_once() {
    on_each(|database| {
        thread::scope(|scope| {
            for number in 0..6 {
                scope.spawn(move || {
                    let storage = database.open();
                    let session = number.to_string();
                    storage.block_on(storage.append_events(&session, clicks(&["1"]))).unwrap();
                });
            }
        });
        let storage = database.open();
        assert_eq!(storage.block_on(storage.sizes()).unwrap().events, 6);
    });
}

#[test]
fn a_file_that_another_program_locks_is_refused_and_waited_for() {
    let database = TestDatabase::sqlite();
    let storage = database.open();
    let (runtime, mut other) = other_program(&database);
    runtime.block_on(other.execute("BEGIN IMMEDIATE")).unwrap();
    let refused = storage.block_on(storage.append_events("s", clicks(&["1"]))).unwrap_err();
    assert!(matches!(refused, StorageError::Locked { .. }), "{refused:?}");
    // Readers do not wait.
    assert_eq!(storage.block_on(storage.sizes()).unwrap().events, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(300));
            runtime.block_on(other.execute("ROLLBACK")).unwrap();
        });
        let stored = storage.block_on(storage.append_events("s", clicks(&["1"]))).unwrap();
        assert_eq!(stored.new, [0]);
    });
}

#[test]
fn a_full_disk_has_its_own_reason_and_no_half_batch_stays() {
    let database = TestDatabase::sqlite();
    // A limit of pages is reported as a full disk is; it holds for the connection that sets it,
    // so a file system that is full is tried by the script of `docs/reliability.md`.
    let storage = database.open();
    let items: Vec<_> = (0..100).map(|n| item(&n.to_string(), "Thing", "A")).collect();
    storage.block_on(storage.upsert_items(items.clone())).unwrap();
    storage.block_on(storage.limit_pages_for_tests(200)).unwrap();
    let many: Vec<_> = (0..20_000).map(|n| item(&format!("x{n}"), "Thing", "A")).collect();
    let full = storage.block_on(storage.upsert_items(many)).unwrap_err();
    assert!(matches!(full, StorageError::Full { .. }), "{full:?}");
    let ids: Vec<String> = (0..9_000).map(|n| format!("event-with-a-long-name-{n}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let full = storage.block_on(storage.append_events("s", clicks(&ids))).unwrap_err();
    assert!(matches!(full, StorageError::Full { .. }), "{full:?}");
    let sizes = storage.block_on(storage.sizes()).unwrap();
    assert_eq!((sizes.items, sizes.events), (100, 0), "nothing of a refused batch stays");
    storage.block_on(storage.limit_pages_for_tests(1_000_000)).unwrap();
    let stored = storage.block_on(storage.append_events("s", clicks(&ids))).unwrap();
    assert_eq!(stored.new.len(), 9_000, "with space it continues");
}

/// As SQLite does when the disk becomes full within a transaction.
#[test]
fn after_a_transaction_that_the_database_takes_back_itself_the_next_one_is_stored() {
    let database = TestDatabase::sqlite();
    let storage = database.open();
    let (runtime, mut other) = other_program(&database);
    let fault = "CREATE TRIGGER fault BEFORE INSERT ON events WHEN new.id = 'fault' \
                 BEGIN SELECT RAISE(ROLLBACK, 'the disk is full'); END";
    runtime.block_on(other.execute(fault)).unwrap();
    for _ in 0..3 {
        let append = |ids: &[&str]| storage.block_on(storage.append_events("s", clicks(ids)));
        append(&["1", "fault"]).unwrap_err();
        assert_eq!(storage.block_on(storage.user_events("s")).unwrap(), []);
    }
    let stored = storage.block_on(storage.append_events("s", clicks(&["1"]))).unwrap();
    assert_eq!(stored.new, [0]);
}

#[test]
fn tables_of_a_newer_program_are_refused() {
    let database = TestDatabase::sqlite();
    drop(database.open());
    let (runtime, mut other) = other_program(&database);
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                 execution_time) VALUES (99, 'newer', 1, x'00', 0)";
    runtime.block_on(other.execute(newer)).unwrap();
    let error = Storage::open(&database.location).unwrap_err();
    assert!(matches!(error, StorageError::Newer { found: 99, known: 4 }), "{error:?}");
}

#[test]
fn what_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for location in [
        Location::Sqlite(folder.path().join("missing/storage.db")),
        "postgres://ann:secret@127.0.0.1:1/shop".parse().unwrap(),
    ] {
        let error = Storage::open(&location).unwrap_err();
        assert!(matches!(error, StorageError::Open { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&location.to_string()) && !text.contains("secret"), "{text}");
    }
}

#[test]
fn a_database_that_is_gone_for_a_while_loses_and_doubles_nothing() {
    let Some((database, proxy, location)) = behind_a_proxy() else { return };
    let storage = Storage::open(&location).unwrap();
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    let begin = Instant::now();
    for number in 0.. {
        let seconds = begin.elapsed().as_secs_f64();
        proxy.cut((0.5..2.5).contains(&seconds));
        if seconds > 3.5 && refused > 0 {
            break;
        }
        let id = number.to_string();
        let sent = || storage.block_on(storage.append_events("s", clicks(&[&id])));
        // A refused event is sent again, as a device does.
        loop {
            match sent() {
                Ok(_) => break,
                Err(StorageError::Unavailable { .. }) => refused += 1,
                Err(error) => panic!("{error:?}"),
            }
            let seconds = begin.elapsed().as_secs_f64();
            proxy.cut((0.5..2.5).contains(&seconds));
        }
        acknowledged.push(id);
    }
    assert!(refused > 0, "the database was never gone");
    let direct = database.open();
    let events = direct.block_on(direct.user_events("s")).unwrap();
    let stored: Vec<String> = events.into_iter().map(|event| event.id).collect();
    assert_eq!(stored, acknowledged, "each acknowledged event once");
}
