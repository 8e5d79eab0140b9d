//! Keys: at most two of a name and kind, changes that take turns, and how a server notices them.

use std::{num::NonZeroU32, sync::Barrier, thread};

use sqlx::Executor;
use tandem_storage::{AddKeyError, Storage, StorageError, StoredKey, StoredKeys};

use crate::{
    databases::{TestDatabase, on_each},
    faults::other_program,
};

/// A key of this id, for the pages of two origins.
pub(crate) fn stored_key(id: &str, name: &str) -> StoredKey {
    StoredKey {
        id: id.to_owned(),
        name: name.to_owned(),
        kind: "public".to_owned(),
        sha256: format!("{id:0>64}"),
        origins: vec!["https://shop.example".to_owned(), "capacitor://\"quoted\"".to_owned()],
        requests_per_minute: NonZeroU32::new(u32::MAX),
        created: Some("2026-11-27".to_owned()),
    }
}

fn add(storage: &Storage, key: StoredKey) -> Result<(), AddKeyError> {
    let added = storage.block_on(storage.add_keys(vec![key]))?;
    assert_eq!(added, 1);
    Ok(())
}

fn revoke(storage: &Storage, id: &str) -> bool {
    storage.block_on(storage.revoke_key(id)).unwrap()
}

pub(crate) fn read(storage: &Storage) -> StoredKeys {
    storage.block_on(storage.keys()).unwrap()
}

fn ids(storage: &Storage) -> Vec<String> {
    read(storage).keys.into_iter().map(|key| key.id).collect()
}

#[test]
fn keys_are_listed_as_they_were_added() {
    on_each(|database| {
        let storage = database.open();
        assert_eq!(read(&storage), StoredKeys { revision: 0, keys: Vec::new() });
        // Not in the order of their ids or names.
        let (all, least) = (stored_key("b", "shop"), stored_key("a", "a shop’s ‘page’"));
        let least =
            StoredKey { origins: Vec::new(), requests_per_minute: None, created: None, ..least };
        add(&storage, all.clone()).unwrap();
        add(&storage, least.clone()).unwrap();
        assert_eq!(read(&storage).keys, [all, least]);
    });
}

#[test]
fn a_name_has_at_most_two_keys_of_a_kind() {
    on_each(|database| {
        let storage = database.open();
        add(&storage, stored_key("2", "shop")).unwrap();
        add(&storage, stored_key("1", "shop")).unwrap();
        let error = add(&storage, stored_key("3", "shop")).unwrap_err();
        let AddKeyError::TooMany { name, ids: live } = &error else { panic!("{error:?}") };
        assert_eq!((&**name, &**live), ("shop", &["2".to_owned(), "1".to_owned()][..]));
        assert!(error.to_string().contains("2 and 1"), "{error}");
        // Another name, and another kind.
        add(&storage, stored_key("3", "Shop")).unwrap();
        let admin = StoredKey { kind: "admin".to_owned(), ..stored_key("4", "shop") };
        add(&storage, admin).unwrap();
        assert!(revoke(&storage, "2"));
        assert!(!revoke(&storage, "2"), "it is gone already");
        add(&storage, stored_key("5", "shop")).unwrap();
        assert_eq!(ids(&storage), ["1", "3", "4", "5"]);
    });
}

#[test]
fn another_process_sees_that_keys_have_changed() {
    on_each(|database| {
        let (storage, other) = (database.open(), database.open());
        let revision = || other.block_on(other.keys_revision()).unwrap();
        let mut seen = revision();
        let mut has_changed = || {
            let before = std::mem::replace(&mut seen, revision());
            assert_eq!(seen, read(&other).revision);
            seen != before
        };
        assert!(!has_changed());
        add(&storage, stored_key("1", "shop")).unwrap();
        assert!(has_changed());
        add(&storage, stored_key("2", "shop")).unwrap();
        assert!(has_changed());
        // What was refused has changed nothing.
        add(&storage, stored_key("3", "shop")).unwrap_err();
        let same_id = StoredKey { sha256: "f".repeat(64), ..stored_key("1", "another") };
        add(&storage, same_id).unwrap_err();
        let known = storage.block_on(storage.add_keys(vec![stored_key("1", "shop")]));
        assert_eq!(known.unwrap(), 0);
        assert!(!revoke(&storage, "3"));
        assert!(!has_changed());
        assert!(revoke(&storage, "1"));
        assert!(has_changed());
        assert_eq!(ids(&other), ["2"]);
    });
}

#[test]
fn an_id_and_a_hash_are_those_of_one_key() {
    on_each(|database| {
        let storage = database.open();
        add(&storage, stored_key("1", "shop")).unwrap();
        let same_id = StoredKey { sha256: "f".repeat(64), ..stored_key("1", "another") };
        let same_hash = StoredKey { id: "2".to_owned(), ..stored_key("1", "another") };
        for twice in [same_id, same_hash] {
            let id = twice.id.clone();
            let error = add(&storage, twice).unwrap_err();
            assert!(matches!(&error, AddKeyError::Taken { id: it } if *it == id), "{error:?}");
        }
        assert_eq!(ids(&storage), ["1"]);
    });
}

#[test]
fn several_keys_are_added_all_or_none() {
    on_each(|database| {
        let storage = database.open();
        let add = |keys: &[(&str, &str)]| {
            let keys = keys.iter().map(|(id, name)| stored_key(id, name)).collect();
            storage.block_on(storage.add_keys(keys))
        };
        assert_eq!(add(&[]).unwrap(), 0);
        assert_eq!(add(&[("2", "shop"), ("1", "app")]).unwrap(), 2);
        // Those that are there stay where they are.
        assert_eq!(add(&[("1", "app"), ("3", "shop"), ("2", "shop")]).unwrap(), 1);
        let error = add(&[("4", "app"), ("5", "shop")]).unwrap_err();
        assert!(matches!(&error, AddKeyError::TooMany { name, .. } if name == "shop"), "{error:?}");
        assert_eq!(add(&[("6", "app"), ("6", "press")]).unwrap(), 1);
        let other = StoredKey { sha256: "f".repeat(64), ..stored_key("7", "press") };
        let twice = vec![other, stored_key("7", "press")];
        let error = storage.block_on(storage.add_keys(twice)).unwrap_err();
        assert!(matches!(&error, AddKeyError::Taken { id } if id == "7"), "{error:?}");
        assert_eq!(ids(&storage), ["2", "1", "3", "6"]);
    });
}

/// Another program has written it. The others can be read, and it can be revoked.
#[test]
fn a_key_with_unreadable_origins_is_listed_as_it_is() {
    let database = TestDatabase::sqlite();
    let storage = database.open();
    add(&storage, stored_key("1", "shop")).unwrap();
    add(&storage, stored_key("2", "app")).unwrap();
    let (runtime, mut other) = other_program(&database);
    runtime.block_on(other.execute("UPDATE keys SET origins = 'no list' WHERE id = '1'")).unwrap();
    let keys = read(&storage).keys;
    assert_eq!(keys[0].origins, ["no list"]);
    assert_eq!(keys[1], stored_key("2", "app"));
    assert!(revoke(&storage, "1"));
}

/// Each with connections of its own, as the commands on several machines.
#[test]
fn of_keys_that_are_added_at_once_two_are_stored() {
    const AT_ONCE: usize = 8;
    on_each(|database| {
        let storages: Vec<Storage> = (0..AT_ONCE).map(|_| database.open()).collect();
        let start = Barrier::new(AT_ONCE);
        let added: Vec<bool> = thread::scope(|scope| {
            let add = |(number, storage): (usize, &Storage)| {
                let (start, storage) = (&start, storage.clone());
                scope.spawn(move || {
                    start.wait();
                    match add(&storage, stored_key(&number.to_string(), "shop")) {
                        Ok(()) => true,
                        Err(AddKeyError::TooMany { .. }) => false,
                        Err(error) => panic!("{error:?}"),
                    }
                })
            };
            let adding: Vec<_> = storages.iter().enumerate().map(add).collect();
            adding.into_iter().map(|it| it.join().unwrap()).collect()
        });
        assert_eq!(added.iter().filter(|it| **it).count(), 2);
        let stored = ids(&storages[0]);
        assert_eq!(stored.len(), 2);
        assert!(stored.iter().all(|id| added[id.parse::<usize>().unwrap()]));
    });
}

/// A server of the version before knows nothing of keys: what it uses is as it was.
#[test]
fn keys_are_a_table_of_their_own() {
    for text in [
        include_str!("../../migrations/sqlite/4.sql"),
        include_str!("../../migrations/postgres/5.sql"),
    ] {
        let statements = text.lines().filter(|line| !line.starts_with([' ', '-', ')']));
        let begins: Vec<_> = statements.collect();
        assert_eq!(begins, ["CREATE TABLE keys (", "INSERT INTO counters VALUES ('keys', 0);"]);
    }
}

#[test]
fn a_file_that_is_gone_lists_no_keys() {
    let database = TestDatabase::sqlite();
    let storage = database.open();
    add(&storage, stored_key("1", "shop")).unwrap();
    let tandem_storage::Location::Sqlite(path) = &database.location else { panic!("not a file") };
    std::fs::rename(path, path.with_extension("moved")).unwrap();
    for refused in [
        storage.block_on(storage.keys()).map(drop),
        storage.block_on(storage.keys_revision()).map(drop),
        storage.block_on(storage.revoke_key("1")).map(drop),
    ] {
        let error = refused.unwrap_err();
        assert!(matches!(error, StorageError::Lost { .. }), "{error:?}");
    }
    std::fs::rename(path.with_extension("moved"), path).unwrap();
    assert_eq!(ids(&storage), ["1"]);
}
