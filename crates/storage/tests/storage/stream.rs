//! Events of a stream: each once, and none of a visitor who was removed.

use std::{thread, time::Duration};

use tandem_storage::{Storage, StreamPosition, StreamedCounts, StreamedEvents};

use crate::{databases::on_each, events::clicks};

const STREAM: i64 = 1_800_000_000_000_000_000;

fn batch(session: &str, sequence: u64, ids: &[&str]) -> StreamedEvents {
    StreamedEvents { session: session.to_owned(), events: clicks(ids), sequence }
}

fn append(storage: &Storage, batches: Vec<StreamedEvents>) -> u64 {
    counts(storage, batches).stored
}

fn counts(storage: &Storage, batches: Vec<StreamedEvents>) -> StreamedCounts {
    storage.block_on(storage.append_streamed(STREAM, batches)).unwrap()
}

fn forget(storage: &Storage, session: &str, stream: i64, sequence: u64) -> u64 {
    let end = StreamPosition { stream, sequence };
    storage.block_on(storage.forget_streamed_user(session, end)).unwrap()
}

fn stored(storage: &Storage) -> Vec<String> {
    let page = storage.block_on(storage.events_since(0, 0, 1000)).unwrap();
    let mut all: Vec<String> =
        page.events.iter().map(|event| format!("{} {}", event.session, event.id)).collect();
    all.sort();
    all
}

#[test]
fn messages_that_come_again_are_stored_once() {
    on_each(|database| {
        let storage = database.open();
        assert_eq!(append(&storage, Vec::new()), 0);
        let messages = vec![batch("ann", 1, &["1", "2", "1"]), batch("bob", 2, &["1"])];
        assert_eq!(append(&storage, messages.clone()), 3);
        assert_eq!(append(&storage, messages), 0);
        assert_eq!(append(&storage, vec![batch("ann", 3, &["2", "3"])]), 1);
        // Beside those that a server stores itself.
        storage.block_on(storage.append_events("ann", clicks(&["4"]))).unwrap();
        assert_eq!(append(&storage, vec![batch("ann", 4, &["4"])]), 0);
        assert_eq!(stored(&storage), ["ann 1", "ann 2", "ann 3", "ann 4", "bob 1"]);
    });
}

#[test]
fn messages_of_before_the_removal_of_their_visitor_are_left_out() {
    on_each(|database| {
        let storage = database.open();
        append(&storage, vec![batch("ann", 1, &["1"]), batch("bob", 2, &["1"])]);
        let before = storage.block_on(storage.erasures()).unwrap();
        assert_eq!(forget(&storage, "ann", STREAM, 5), 1);
        assert_eq!(storage.block_on(storage.erasures()).unwrap(), before + 1);
        let late = vec![
            batch("ann", 4, &["2"]),
            batch("bob", 4, &["2"]),
            batch("ann", 5, &["3"]),
            batch("ann", 6, &["4"]),
        ];
        assert_eq!(counts(&storage, late), StreamedCounts { stored: 2, forgotten: 2 });
        assert_eq!(stored(&storage), ["ann 4", "bob 1", "bob 2"]);
        // Another stream of the same name counts from one again.
        forget(&storage, "ann", STREAM + 1, 100);
        assert_eq!(append(&storage, vec![batch("ann", 7, &["5"])]), 1);
        assert_eq!(append(&storage, vec![batch("ann", 5, &["6"])]), 0);
    });
}

/// A consumer and a removal at the same moment: one is after the other.
#[test]
fn a_removal_beside_a_consumer_leaves_nothing() {
    on_each(|database| {
        let storage = database.open();
        let consumer = database.open();
        for round in 0..20 {
            let session = format!("visitor-{round}");
            let ids: Vec<String> = (0..500).map(|id| id.to_string()).collect();
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            let message = batch(&session, 1, &ids);
            thread::scope(|scope| {
                scope.spawn(|| append(&consumer, vec![message]));
                thread::sleep(Duration::from_micros(300 * round));
                forget(&storage, &session, STREAM, 1);
            });
            assert!(stored(&storage).is_empty(), "round {round}");
        }
    });
}
