//! Backups are complete, can be restored into either database, and damaged ones are refused.

use std::fs;

use tandem_storage::{BackupError, BackupSummary, ItemQuery, Storage, StoredKey};

use crate::{
    databases::{TestDatabase, on_each},
    events::{activation, clicks},
    items::item,
    keys::{read, stored_key},
};

fn fill(storage: &Storage) {
    let items: Vec<_> = (0..6000).map(|n| item(&format!("{n:05}"), "Red shoe", "Shoes")).collect();
    storage.block_on(storage.upsert_items(items.clone())).unwrap();
    storage.block_on(storage.delete_items(&["00007".into()])).unwrap();
    storage.block_on(storage.set_availability(vec![("00008".into(), false)])).unwrap();
    storage.block_on(storage.append_events("ann", clicks(&["1", "2"]))).unwrap();
    storage.block_on(storage.append_events("bob", clicks(&["1"]))).unwrap();
    storage.block_on(storage.forget_user("bob")).unwrap();
    storage.block_on(storage.record_activation(&activation("r", None, "server"))).unwrap();
    storage.block_on(storage.append_disagreement(0.25)).unwrap();
    storage.block_on(storage.add_keys(vec![stored_key("b", "shop")])).unwrap();
    let admin = StoredKey { kind: "admin".to_owned(), ..stored_key("a", "reports") };
    let admin = StoredKey { origins: Vec::new(), requests_per_minute: None, ..admin };
    storage.block_on(storage.add_keys(vec![admin])).unwrap();
}

#[test]
fn a_backup_of_one_database_is_restored_into_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    on_each(|database| {
        let storage = database.open();
        fill(&storage);
        let expected = BackupSummary {
            items: 5999,
            deleted: 1,
            events: 2,
            forgotten: 1,
            activations: 1,
            disagreements: 1,
            keys: 2,
        };
        let _ = fs::remove_file(&file);
        assert_eq!(storage.block_on(storage.back_up(&file, false)).unwrap(), expected);
        let exists = storage.block_on(storage.back_up(&file, false)).unwrap_err();
        assert!(matches!(exists, BackupError::Exists { .. }), "{exists}");
        assert_eq!(storage.block_on(storage.back_up(&file, true)).unwrap(), expected);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
        let occupied = storage.block_on(storage.restore(&file)).unwrap_err();
        let has_all = matches!(occupied, BackupError::NotEmpty { items: 5999, events: 2, keys: 2 });
        assert!(has_all, "{occupied}");
        on_each(|other| {
            let restored = other.open();
            let revision = read(&restored).revision;
            assert_eq!(restored.block_on(restored.restore(&file)).unwrap(), expected);
            assert_eq!(read(&restored).keys, read(&storage).keys);
            assert_ne!(read(&restored).revision, revision, "servers notice the keys");
            let events = |storage: &Storage| storage.block_on(storage.user_events("ann")).unwrap();
            assert_eq!(events(&restored), events(&storage));
            let all = |storage: &Storage| {
                let query = ItemQuery { limit: 10_000, ..ItemQuery::default() };
                storage.block_on(storage.find_items(query)).unwrap()
            };
            assert_eq!(all(&restored), all(&storage));
            let of_release = vec![item("00007", "Red shoe", "Shoes")];
            let added = restored.block_on(restored.copy_items(of_release)).unwrap();
            assert_eq!(added, 0, "a deleted item comes back");
            let text = Some("red sho".to_owned());
            let query =
                ItemQuery { text, available: Some(false), limit: 9, ..ItemQuery::default() };
            let found = restored.block_on(restored.find_items(query)).unwrap();
            assert_eq!(found.len(), 1, "restored items can be searched");
            let copy = folder.path().join("copy");
            assert_eq!(restored.block_on(restored.back_up(&copy, true)).unwrap(), expected);
            let text = zstd::decode_all(&*fs::read(&copy).unwrap()).unwrap();
            assert!(String::from_utf8(text).unwrap().contains(r#""disagreement":0.25"#));
            fs::remove_file(&copy).unwrap();
            let again = restored.block_on(restored.append_events("ann", clicks(&["2"]))).unwrap();
            assert_eq!(again.new, [0; 0], "restored events are known");
        });
    });
}

#[test]
fn a_damaged_backup_is_refused_and_leaves_nothing() {
    let database = TestDatabase::sqlite();
    let storage = database.open();
    fill(&storage);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    storage.block_on(storage.back_up(&file, false)).unwrap();
    let whole = zstd::decode_all(&*fs::read(&file).unwrap()).unwrap();
    let text = String::from_utf8(whole).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let without_end = lines[..lines.len() - 1].join("\n");
    let without_a_row = [&lines[..5], &lines[6..]].concat().join("\n");
    let newer = text.replacen("\"version\":4", "\"version\":5", 1);
    on_each(|database| {
        for (damaged, reason) in [
            (without_end.as_str(), "the end is missing"),
            (&without_a_row, "rows are missing"),
            (&newer, "expected at most version 4, found 5"),
            (&format!("{text}{text}"), "expected the end of the file"),
            ("{}\n", "line 1"),
        ] {
            fs::write(&file, zstd::encode_all(damaged.as_bytes(), 1).unwrap()).unwrap();
            let empty = database.open();
            let error = empty.block_on(empty.restore(&file)).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            let sizes = empty.block_on(empty.sizes()).unwrap();
            assert_eq!((sizes.items, sizes.events), (0, 0));
        }
        fs::write(&file, b"no Zstandard").unwrap();
        let empty = database.open();
        let error = empty.block_on(empty.restore(&file)).unwrap_err();
        assert!(matches!(error, BackupError::Invalid { .. }), "{error:?}");
    });
}

#[test]
fn a_backup_of_the_version_before_has_no_keys_and_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    let database = TestDatabase::sqlite();
    let storage = database.open();
    storage.block_on(storage.upsert_items(vec![item("1", "Red shoe", "Shoes")])).unwrap();
    storage.block_on(storage.back_up(&file, false)).unwrap();
    let text = String::from_utf8(zstd::decode_all(&*fs::read(&file).unwrap()).unwrap()).unwrap();
    let before = text.replacen("\"version\":4", "\"version\":3", 1).replace(",\"keys\":0", "");
    assert!(before.contains("\"version\":3") && !before.contains("keys"), "{before}");
    fs::write(&file, zstd::encode_all(before.as_bytes(), 1).unwrap()).unwrap();
    on_each(|database| {
        let restored = database.open();
        let summary = restored.block_on(restored.restore(&file)).unwrap();
        assert_eq!((summary.items, summary.keys), (1, 0));
        assert_eq!(read(&restored).keys, []);
    });
}

#[test]
fn a_backup_is_not_mixed_with_the_keys_of_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    on_each(|database| {
        let storage = database.open();
        storage.block_on(storage.add_keys(vec![stored_key("1", "shop")])).unwrap();
        storage.block_on(storage.back_up(&file, true)).unwrap();
        let refused = storage.block_on(storage.restore(&file)).unwrap_err();
        let has_a_key = matches!(refused, BackupError::NotEmpty { items: 0, events: 0, keys: 1 });
        assert!(has_a_key, "{refused}");
    });
}
