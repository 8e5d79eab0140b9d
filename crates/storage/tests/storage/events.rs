//! Events: each once, whole requests, in order, also across restarts and processes.

use tandem_protocol::{EventKind, ItemId, LoggedEvent};
use tandem_storage::{Activation, AppendedEvents, EventPosition, Storage};

use crate::databases::{TestDatabase, on_each};

pub(crate) fn event(id: &str, kind: EventKind, item: &str) -> LoggedEvent {
    LoggedEvent {
        id: id.to_owned(),
        kind,
        item: ItemId::new(item),
        at: 1_700_000_000_000,
        recommendation: None,
    }
}

pub(crate) fn clicks(ids: &[&str]) -> Vec<LoggedEvent> {
    ids.iter().map(|id| event(id, EventKind::Click, "1")).collect()
}

pub(crate) fn activation(release: &str, previous: Option<&str>, caller: &str) -> Activation {
    let (release, caller) = (release.to_owned(), caller.to_owned());
    Activation { at: 1_700_000_000_000, release, previous: previous.map(str::to_owned), caller }
}

fn append(storage: &Storage, session: &str, events: Vec<LoggedEvent>) -> Vec<usize> {
    let AppendedEvents { new, .. } =
        storage.block_on(storage.append_events(session, events)).unwrap();
    new
}

fn ids(storage: &Storage) -> Vec<String> {
    let page = storage.block_on(storage.events_since(0, 0, 1000)).unwrap();
    page.events.iter().map(|event| format!("{} {}", event.session, event.id)).collect()
}

#[test]
fn an_event_is_stored_once_per_session_also_after_a_restart_and_beside_another_process() {
    on_each(|database| {
        let first = database.open();
        assert_eq!(append(&first, "ann", clicks(&["1", "2", "1"])), [0, 1]);
        assert_eq!(append(&first, "bob", clicks(&["1"])), [0]);
        assert_eq!(append(&first, "ann", Vec::new()), [0; 0]);
        let second = database.open();
        assert_eq!(append(&second, "ann", clicks(&["2", "3"])), [1]);
        assert_eq!(append(&first, "ann", clicks(&["3", "4"])), [1]);
        drop((first, second));
        let third = database.open();
        assert_eq!(append(&third, "ann", clicks(&["1", "2", "3", "4"])), [0; 0]);
        assert_eq!(ids(&third), ["ann 1", "ann 2", "bob 1", "ann 3", "ann 4"]);
    });
}

#[test]
fn all_fields_are_kept() {
    on_each(|database| {
        let storage = database.open();
        let mut sent = event("a-1", EventKind::Dislike, "Ü \"1\"");
        sent.recommendation = Some("list-7".to_owned());
        append(&storage, "s", vec![sent.clone(), event("a-2", EventKind::View, "2")]);
        let page = storage.block_on(storage.events_since(0, 0, 10)).unwrap();
        let stored = &page.events[0];
        assert_eq!((&stored.id, stored.kind, &stored.item), (&sent.id, sent.kind, &sent.item));
        assert_eq!((stored.at, &stored.recommendation), (sent.at, &sent.recommendation));
        assert_eq!(page.events[1].recommendation, None);
        let since = stored.received;
        let later = storage.block_on(storage.events_since(since + 60_000, 0, 10)).unwrap();
        assert_eq!(later.events, []);
        let counts = storage.block_on(storage.event_counts(since, 60_000)).unwrap();
        let counts: Vec<_> = counts.iter().map(|it| (it.kind, it.events)).collect();
        assert_eq!(counts, [(EventKind::Dislike, 1), (EventKind::View, 1)]);
    });
}

#[test]
fn pages_continue_where_the_last_one_ended() {
    on_each(|database| {
        let storage = database.open();
        append(&storage, "s", clicks(&["1", "2", "3", "4", "5"]));
        let (mut found, mut after) = (Vec::new(), Some(0));
        while let Some(start) = after {
            let page = storage.block_on(storage.events_since(0, start, 2)).unwrap();
            found.extend(page.events.into_iter().map(|event| event.id));
            after = page.next;
        }
        assert_eq!(found, ["1", "2", "3", "4", "5"]);
    });
}

#[test]
fn new_events_are_read_once_in_pages() {
    on_each(|database| {
        let (reader, writer) = (database.open(), database.open());
        let mut position = EventPosition::default();
        let mut read = || {
            let (mut found, mut has_more) = (Vec::new(), true);
            while has_more {
                let new = reader.block_on(reader.new_events(0, &position, 2)).unwrap();
                found.extend(new.events.into_iter().map(|event| event.id));
                (position, has_more) = (new.next, new.has_more);
            }
            found
        };
        append(&writer, "s", clicks(&["1", "2", "3"]));
        assert_eq!(read(), ["1", "2", "3"]);
        assert!(read().is_empty());
        append(&writer, "s", clicks(&["2", "4"]));
        append(&reader, "s", clicks(&["4", "5"]));
        assert_eq!(read(), ["4", "5"]);
        let stored = writer.append_events("s", clicks(&["6"]));
        let last = writer.block_on(stored).unwrap().last.unwrap();
        assert!(!position.includes(last) && position.includes(last - 3));
    });
}

/// A transaction of another server that takes its numbers before, and ends after this one's.
#[test]
fn an_event_that_becomes_visible_late_is_read_once() {
    const INSERT: &str = "INSERT INTO events (session, id, kind, item, at, received) \
        VALUES ('other', $1, 'click', '1', 0, $2)";

    let Some(database) = TestDatabase::postgres() else { return };
    let storage = database.open();
    let mut position = EventPosition::default();
    let mut read = || {
        let new = storage.block_on(storage.new_events(0, &position, 100)).unwrap();
        position = new.next;
        new.events.into_iter().map(|event| event.id).collect::<Vec<_>>()
    };
    append(&storage, "s", clicks(&["1"]));
    assert_eq!(read(), ["1"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut other = runtime.block_on(database.connect());
    let received = i64::MAX / 2;
    runtime.block_on(async {
        sqlx::query("BEGIN").execute(&mut other).await.unwrap();
        for id in ["late 1", "late 2"] {
            let insert = sqlx::query(INSERT).bind(id).bind(received);
            insert.execute(&mut other).await.unwrap();
        }
    });
    append(&storage, "s", clicks(&["2"]));
    assert_eq!(read(), ["2"]);
    assert!(read().is_empty());
    runtime.block_on(async { sqlx::query("COMMIT").execute(&mut other).await.unwrap() });
    assert_eq!(read(), ["late 1", "late 2"]);
    assert!(read().is_empty());
    append(&storage, "s", clicks(&["3"]));
    assert_eq!(read(), ["3"]);
}

#[test]
fn requests_that_arrive_together_are_each_answered_with_their_own_events() {
    on_each(|database| {
        let storage = database.open();
        let tasks = (0..200).map(|number| {
            let storage = storage.clone();
            async move {
                // Every session sends its event twice, and one that all others send, too.
                let session = format!("s{}", number / 2);
                let own = storage.append_events(&session, clicks(&["own"])).await.unwrap();
                let shared = storage.append_events("all", clicks(&["shared"])).await.unwrap();
                (own.new.len(), shared.new.len())
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let results = runtime.block_on(async {
            let mut set = tokio::task::JoinSet::new();
            tasks.for_each(|task| drop(set.spawn(task)));
            set.join_all().await
        });
        let own: usize = results.iter().map(|it| it.0).sum();
        let shared: usize = results.iter().map(|it| it.1).sum();
        assert_eq!((own, shared), (100, 1));
        assert_eq!(ids(&storage).len(), 101);
    });
}

#[test]
fn a_visitor_is_exported_and_removed() {
    on_each(|database| {
        let storage = database.open();
        append(&storage, "ann", clicks(&["1", "2"]));
        append(&storage, "anna", clicks(&["1"]));
        let events = storage.block_on(storage.user_events("ann")).unwrap();
        assert_eq!(events.iter().map(|it| &it.id).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(storage.block_on(storage.forget_user("ann")).unwrap(), 2);
        assert_eq!(storage.block_on(storage.forget_user("ann")).unwrap(), 0);
        assert_eq!(storage.block_on(storage.user_events("ann")).unwrap(), []);
        assert_eq!(ids(&storage), ["anna 1"]);
        let hash = tandem_dataset::files::sha256_hex("ann");
        assert_eq!(storage.block_on(storage.forgotten_users()).unwrap(), [hash]);
        // Other servers learn that what they have counted may be gone.
        let other = database.open();
        let erasures = other.block_on(other.erasures()).unwrap();
        assert!(erasures > 0);
        storage.block_on(storage.forget_user("nobody")).unwrap();
        assert_eq!(other.block_on(other.erasures()).unwrap(), erasures + 1);
        // The visitor can come back.
        assert_eq!(append(&storage, "ann", clicks(&["1"])), [0]);
    });
}

#[test]
fn activations_are_listed_newest_first() {
    on_each(|database| {
        let storage = database.open();
        storage.block_on(storage.record_activation(&activation("a", None, "server"))).unwrap();
        storage.block_on(storage.record_activation(&activation("b", Some("a"), "key-1"))).unwrap();
        let list = storage.block_on(storage.activations(10)).unwrap();
        let list: Vec<_> = list.iter().map(|it| (&*it.release, it.previous.as_deref())).collect();
        assert_eq!(list, [("b", Some("a")), ("a", None)]);
        storage.block_on(storage.append_disagreement(0.25)).unwrap();
    });
}
