//! Changes that other servers of a PostgreSQL hear of at once.

use std::{thread, time::Duration};

use tandem_protocol::ItemId;
use tandem_storage::{Announcements, Change, Storage};

use crate::{
    databases::TestDatabase,
    events::{activation, clicks},
    items::item,
    keys::stored_key,
    outage::behind_a_proxy,
};

/// Long enough for a busy machine. A test that passes waits a small part of it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time in which an announcement that must not come would come.
const SILENCE: Duration = Duration::from_millis(300);

/// Whether something is announced within `time`.
fn hears(storage: &Storage, announcements: &mut Announcements, time: Duration) -> bool {
    storage.block_on(async { tokio::time::timeout(time, announcements.next()).await.is_ok() })
}

/// Waits until changes of another connection are heard, and returns when all of them are.
fn connect(writer: &Storage, listener: &Storage) -> Announcements {
    let mut announcements = listener.announcements(Change::Items);
    for _ in 0..100 {
        let items = vec![item("first", "A shoe", "Shoes")];
        writer.block_on(writer.upsert_items(items)).unwrap();
        if hears(listener, &mut announcements, Duration::from_millis(200)) {
            while hears(listener, &mut announcements, SILENCE) {}
            return announcements;
        }
    }
    panic!("nothing is announced");
}

#[test]
fn each_change_is_announced_to_those_who_wait_for_its_kind() {
    let Some(database) = TestDatabase::postgres() else { return };
    let (writer, listener) = (database.open(), database.open());
    let mut items = connect(&writer, &listener);
    let mut activations = listener.announcements(Change::Activations);
    let mut keys = listener.announcements(Change::Keys);
    let id = ItemId::new("first");
    writer.block_on(writer.upsert_items(vec![item("second", "A hat", "Hats")])).unwrap();
    assert!(hears(&listener, &mut items, PATIENCE), "items");
    writer.block_on(writer.set_availability(vec![(id.clone(), false)])).unwrap();
    assert!(hears(&listener, &mut items, PATIENCE), "availability");
    writer.block_on(writer.delete_items(&[id])).unwrap();
    assert!(hears(&listener, &mut items, PATIENCE), "a deletion");
    assert!(!hears(&listener, &mut activations, SILENCE) && !hears(&listener, &mut keys, SILENCE));
    writer.block_on(writer.record_activation(&activation("b", Some("a"), "local"))).unwrap();
    assert!(hears(&listener, &mut activations, PATIENCE), "an activation");
    writer.block_on(writer.add_keys(vec![stored_key("1", "shop")])).unwrap();
    assert!(hears(&listener, &mut keys, PATIENCE), "a key");
    assert!(writer.block_on(writer.revoke_key("1")).unwrap());
    assert!(hears(&listener, &mut keys, PATIENCE), "a revoked key");
    for announcements in [&mut items, &mut activations, &mut keys] {
        assert!(!hears(&listener, announcements, SILENCE), "each once");
    }
}

#[test]
fn a_change_is_visible_when_it_is_announced() {
    let Some(database) = TestDatabase::postgres() else { return };
    let (writer, listener) = (database.open(), database.open());
    let mut announcements = connect(&writer, &listener);
    for number in 0..20 {
        let name = number.to_string();
        writer.block_on(writer.upsert_items(vec![item(&name, "A shoe", "Shoes")])).unwrap();
        assert!(hears(&listener, &mut announcements, PATIENCE));
        let id = ItemId::new(name);
        assert!(!listener.block_on(listener.items_by_id(&[id])).unwrap().is_empty());
    }
}

#[test]
fn neither_events_nor_other_schemas_are_announced() {
    let Some(database) = TestDatabase::postgres() else { return };
    let Some(other) = TestDatabase::postgres() else { return };
    let (writer, listener) = (database.open(), database.open());
    let mut announcements = connect(&writer, &listener);
    let stranger = other.open();
    stranger.block_on(stranger.upsert_items(vec![item("1", "A shoe", "Shoes")])).unwrap();
    writer.block_on(writer.append_events("ann", clicks(&["a"]))).unwrap();
    assert!(!hears(&listener, &mut announcements, SILENCE));
}

#[test]
fn after_an_outage_something_is_announced_and_then_each_change() {
    let Some((database, proxy, location)) = behind_a_proxy() else { return };
    let (writer, listener) = (database.open(), Storage::open(&location).unwrap());
    let mut announcements = connect(&writer, &listener);
    proxy.cut(true);
    // Until the threads of the proxy have seen it.
    thread::sleep(SILENCE);
    writer.block_on(writer.upsert_items(vec![item("missed", "A hat", "Hats")])).unwrap();
    assert!(!hears(&listener, &mut announcements, SILENCE), "the connection is cut");
    proxy.cut(false);
    assert!(hears(&listener, &mut announcements, PATIENCE), "what was missed");
    connect(&writer, &listener);
}

#[test]
fn a_file_announces_nothing() {
    let database = TestDatabase::sqlite();
    let storage = database.open();
    let mut announcements = storage.announcements(Change::Items);
    storage.block_on(storage.upsert_items(vec![item("1", "A shoe", "Shoes")])).unwrap();
    assert!(!hears(&storage, &mut announcements, SILENCE));
}
