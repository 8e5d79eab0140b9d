//! PostgreSQL that does not answer, and changes that wait for each other.

use std::{thread, time::Duration};

use sqlx::{Connection, Executor, SqliteConnection, sqlite::SqliteConnectOptions};
use tandem_storage::{Location, Storage, StorageError};

use crate::{
    databases::{TestDatabase, on_each},
    events::clicks,
    items::item,
    proxy::Proxy,
};

/// A PostgreSQL behind a proxy; `None`, with a message, where there is none.
pub(crate) fn behind_a_proxy() -> Option<(TestDatabase, Proxy, Location)> {
    let database = TestDatabase::postgres()?;
    let Location::Postgres(url) = &database.location else { panic!("not PostgreSQL") };
    if !url.contains("@127.0.0.1:5432/") {
        eprintln!("skipped: the proxy forwards to 127.0.0.1:5432 only");
        return None;
    }
    let proxy = Proxy::start("127.0.0.1:5432");
    let url = url.replace("@127.0.0.1:5432/", &format!("@127.0.0.1:{}/", proxy.port));
    let location = url.parse().unwrap();
    Some((database, proxy, location))
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1_200 {
        if is_so() {
            return;
        }
        thread::sleep(Duration::from_millis(25));
    }
    panic!("waited in vain: {what}");
}

#[test]
fn while_an_outage_is_known_nothing_waits_and_afterwards_it_goes_on_by_itself() {
    let Some((_database, proxy, location)) = behind_a_proxy() else { return };
    let storage = Storage::open(&location).unwrap();
    let read = || storage.block_on(storage.user_events("s"));
    let append = |id: &str| storage.block_on(storage.append_events("s", clicks(&[id])));
    append("1").unwrap();
    assert!(storage.check().is_ok());
    proxy.cut(true);
    wait_until("the outage is noticed", || {
        if let Err(error) = read() {
            assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
        }
        storage.check().is_err()
    });
    // What is known is the answer: each of these would wait for five seconds else, and the test for
    // an hour.
    for _ in 0..1_000 {
        let error = read().unwrap_err();
        assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
        assert!(append("2").is_err());
    }
    proxy.cut(false);
    wait_until("the end is noticed without a request", || storage.check().is_ok());
    append("3").unwrap();
    let ids: Vec<String> = read().unwrap().into_iter().map(|event| event.id).collect();
    assert_eq!(ids, ["1", "3"]);
}

#[test]
fn a_database_that_accepts_no_connections_is_away_until_it_does() {
    let Some(database) = TestDatabase::own_postgres() else { return };
    let storage = database.open();
    let read = || storage.block_on(storage.user_events("s"));
    storage.block_on(storage.append_events("s", clicks(&["1"]))).unwrap();
    database.accept_connections(false);
    wait_until("the outage is noticed", || {
        if let Err(error) = read() {
            assert!(matches!(error, StorageError::Unavailable { .. }), "{error:?}");
        }
        storage.check().is_err()
    });
    let error = Storage::open_within(&database.location, Duration::from_millis(1)).unwrap_err();
    assert!(matches!(error, StorageError::Open { is_temporary: true, .. }), "{error:?}");
    database.accept_connections(true);
    wait_until("the end is noticed", || storage.check().is_ok());
    assert_eq!(read().unwrap().len(), 1);
}

#[test]
fn the_cause_of_a_connection_that_is_refused_is_named_and_a_wrong_user_is_not_waited_for() {
    // Nothing listens on port 1.
    let nobody: Location = "postgres://ann:secret@127.0.0.1:1/shop".parse().unwrap();
    let error = Storage::open(&nobody).unwrap_err();
    assert!(matches!(error, StorageError::Open { is_temporary: true, .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("refused") && !said.contains("secret"), "{said}");

    let Some(database) = TestDatabase::postgres() else { return };
    let Location::Postgres(url) = &database.location else { panic!("not PostgreSQL") };
    let (scheme, rest) = url.split_once("://").unwrap();
    let host = rest.split_once('@').map_or(rest, |(_, host)| host);
    let wrong: Location = format!("{scheme}://tandem_no_such_user@{host}").parse().unwrap();
    // An hour, if it were waited for.
    let error = Storage::open_within(&wrong, Duration::from_hours(1)).unwrap_err();
    assert!(matches!(error, StorageError::Open { is_temporary: false, .. }), "{error:?}");
}

#[test]
fn a_start_waits_for_a_database_that_does_not_answer_yet() {
    let Some((_database, proxy, location)) = behind_a_proxy() else { return };
    proxy.cut(true);
    thread::scope(|scope| {
        let opening = scope.spawn(|| Storage::open_within(&location, Duration::from_mins(5)));
        thread::sleep(Duration::from_millis(700));
        assert!(!opening.is_finished());
        proxy.cut(false);
        let storage = opening.join().unwrap().unwrap();
        storage.block_on(storage.append_events("s", clicks(&["1"]))).unwrap();
    });
    proxy.cut(true);
    let error = Storage::open_within(&location, Duration::from_millis(1)).unwrap_err();
    assert!(matches!(error, StorageError::Open { is_temporary: true, .. }), "{error:?}");
}

#[test]
fn many_changes_of_items_at_once_wait_for_each_other_and_leave_room_for_events() {
    on_each(|database| {
        let storage = database.open();
        thread::scope(|scope| {
            for client in 0..20 {
                let storage = &storage;
                scope.spawn(move || {
                    let items: Vec<_> =
                        (0..300).map(|n| item(&format!("{client}-{n}"), "Thing", "A")).collect();
                    storage.block_on(storage.upsert_items(items)).unwrap();
                    let none = (0..300).map(|n| (format!("{client}-{n}").as_str().into(), false));
                    storage.block_on(storage.set_availability(none.collect())).unwrap();
                });
                scope.spawn(move || {
                    let session = client.to_string();
                    storage.block_on(storage.append_events(&session, clicks(&["1"]))).unwrap();
                    storage.block_on(storage.user_events(&session)).unwrap();
                });
            }
        });
        let sizes = storage.block_on(storage.sizes()).unwrap();
        assert_eq!((sizes.items, sizes.events), (6_000, 20));
    });
}

/// SQLite itself waits for five seconds.
#[test]
fn a_change_of_items_waits_longer_for_a_lock_of_another_program_than_events_do() {
    let database = TestDatabase::sqlite();
    let storage = database.open();
    let Location::Sqlite(path) = &database.location else { panic!("not a file") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let options = SqliteConnectOptions::new().filename(path);
    let mut other = runtime.block_on(SqliteConnection::connect_with(&options)).unwrap();
    runtime.block_on(other.execute("BEGIN IMMEDIATE")).unwrap();
    thread::scope(|scope| {
        let upsert = || storage.block_on(storage.upsert_items(vec![item("a", "Thing", "A")]));
        let changing = scope.spawn(upsert);
        thread::sleep(Duration::from_millis(5_500));
        assert!(!changing.is_finished());
        runtime.block_on(other.execute("ROLLBACK")).unwrap();
        assert_eq!(changing.join().unwrap().unwrap().added, 1);
    });
}
