//! Removal of old events, and compaction.

use tandem_storage::{Removed, Retention};

use crate::{databases::on_each, events::clicks, items::item};

#[test]
fn events_beyond_the_size_are_removed_oldest_first() {
    on_each(|database| {
        let storage = database.open();
        let append = |session: &str, ids: &[&str]| {
            storage.block_on(storage.append_events(session, clicks(ids))).unwrap()
        };
        let ids: Vec<String> = (0..500).map(|number| number.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        append("old", &ids);
        append("new", &ids[..10]);
        let keep_all = Retention { days: Some(1), bytes: Some(1 << 20) };
        assert_eq!(storage.block_on(storage.retain(keep_all)).unwrap(), Removed::default());
        let small = Retention { days: None, bytes: Some(4_000) };
        let removed = storage.block_on(storage.retain(small)).unwrap();
        assert!(removed.events > 400, "{removed:?}");
        let new = storage.block_on(storage.user_events("new")).unwrap();
        assert_eq!(new.len(), 10, "the newest stay");
        let none = Retention { days: Some(0), bytes: None };
        std::thread::sleep(std::time::Duration::from_millis(5));
        storage.block_on(storage.retain(none)).unwrap();
        assert_eq!(storage.block_on(storage.sizes()).unwrap().events, 0);
        storage.block_on(storage.compact()).unwrap();
    });
}

#[test]
fn compaction_returns_space() {
    let database = crate::databases::TestDatabase::sqlite();
    let storage = database.open();
    let items: Vec<_> = (0..3000).map(|n| item(&n.to_string(), &"word ".repeat(50), "A")).collect();
    storage.block_on(storage.upsert_items(items.clone())).unwrap();
    let ids: Vec<String> = (0..20_000).map(|number| format!("event-{number}")).collect();
    for part in ids.chunks(5000) {
        let events = part.iter().map(String::as_str).collect::<Vec<_>>();
        storage.block_on(storage.append_events("s", clicks(&events))).unwrap();
    }
    let before = storage.block_on(storage.sizes()).unwrap().bytes;
    std::thread::sleep(std::time::Duration::from_millis(5));
    storage.block_on(storage.retain(Retention { days: Some(0), bytes: None })).unwrap();
    storage.block_on(storage.compact()).unwrap();
    let after = storage.block_on(storage.sizes()).unwrap().bytes;
    assert!(after < before - 1_000_000, "{before} bytes became {after}");
}
