//! Items: upsert, availability, deletion, lists, text search and changes.

use std::collections::BTreeMap;

use tandem_protocol::ItemId;
use tandem_storage::{
    AttributeValue, Availability, ChangedItem, ChangesRead, ItemQuery, NewItem, Storage,
    StoredItem, Upserted,
};

use crate::databases::{TestDatabase, on_each};

pub(crate) fn item(id: &str, title: &str, category: &str) -> NewItem {
    NewItem {
        title: title.to_owned(),
        categories: vec![category.to_owned()],
        price: Some(9.5),
        ..NewItem::new(id.into())
    }
}

fn upsert(storage: &Storage, items: &[NewItem]) -> Upserted {
    storage.block_on(storage.upsert_items(items.to_vec())).unwrap()
}

fn get(storage: &Storage, id: &str) -> Option<StoredItem> {
    storage.block_on(storage.items_by_id(&[id.into()])).unwrap().pop()
}

fn find(storage: &Storage, query: ItemQuery) -> Vec<String> {
    let found = storage.block_on(storage.find_items(query)).unwrap();
    found.into_iter().map(|item| item.id.to_string()).collect()
}

fn search(storage: &Storage, text: &str) -> Vec<String> {
    let mut found =
        find(storage, ItemQuery { text: Some(text.to_owned()), limit: 10, ..ItemQuery::default() });
    found.sort();
    found
}

/// Changed items and changed availabilities.
fn changes(
    storage: &Storage,
    mut after: ChangesRead,
) -> (Vec<ChangedItem>, Vec<(ItemId, bool)>, ChangesRead) {
    let (mut items, mut availability) = (Vec::new(), Vec::new());
    loop {
        let changes = storage.block_on(storage.item_changes(after)).unwrap();
        if changes.is_empty() {
            return (items, availability, changes.next);
        }
        items.extend(changes.items);
        availability.extend(changes.availability);
        after = changes.next;
    }
}

fn result(added: u64, changed: u64, unchanged: u64) -> Upserted {
    Upserted { added, changed, unchanged }
}

#[test]
fn an_upsert_adds_changes_and_leaves_what_is_the_same() {
    on_each(|database| {
        let storage = database.open();
        let mut shoe = item("1", "Red shoe", "Shoes");
        shoe.attributes.insert("size".to_owned(), AttributeValue::Texts(vec!["40".to_owned()]));
        shoe.attributes.insert("new".to_owned(), AttributeValue::Flag(true));
        shoe.attributes.insert("weight".to_owned(), AttributeValue::Number(0.5));
        shoe.year = Some(2024);
        shoe.brand = "Ünique".to_owned();
        let hat = item("2", "Hat", "Hats");
        assert_eq!(upsert(&storage, &[shoe.clone(), hat.clone()]), result(2, 0, 0));
        assert_eq!(upsert(&storage, &[shoe.clone(), hat.clone()]), result(0, 0, 2));
        let stored = get(&storage, "1").unwrap();
        assert_eq!((&stored.title, &stored.brand), (&shoe.title, &shoe.brand));
        assert_eq!((stored.year, stored.price, stored.available), (Some(2024), Some(9.5), true));
        assert_eq!(stored.attributes, shoe.attributes);
        assert_eq!(stored.categories, shoe.categories);

        // The last of a repeated id counts.
        let cheaper = NewItem { price: Some(1.0), ..shoe.clone() };
        let free = NewItem { price: Some(0.0), ..shoe.clone() };
        let added = item("3", "Sock", "Shoes");
        assert_eq!(upsert(&storage, &[cheaper, free, added]), result(1, 1, 1));
        let changed = get(&storage, "1").unwrap();
        assert_eq!((changed.price, changed.created), (Some(0.0), stored.created));
        assert_eq!(get(&storage, "9"), None);
        let sizes = storage.block_on(storage.sizes()).unwrap();
        assert_eq!((sizes.items, sizes.events), (3, 0));
        assert!(sizes.bytes > 1000);
    });
}

#[test]
fn the_item_with_the_searched_id_is_found_first() {
    on_each(|database| {
        let storage = database.open();
        let items: Vec<NewItem> =
            (1..200).map(|number| item(&format!("g{number}"), "Shoe", "Shoes")).collect();
        upsert(&storage, &items);
        for id in ["g1", "g19"] {
            let text = Some(format!(" {id} "));
            let found = find(&storage, ItemQuery { text, limit: 3, ..ItemQuery::default() });
            assert_eq!((found.len(), found[0].as_str()), (3, id), "{found:?}");
        }
    });
}

#[test]
fn availability_is_set_in_bulk_and_stays_when_an_item_is_sent_again() {
    on_each(|database| {
        let storage = database.open();
        let items: Vec<NewItem> =
            (0..4).map(|number| item(&number.to_string(), "Shoe", "Shoes")).collect();
        upsert(&storage, &items);
        let sent = [("0", false), ("1", true), ("x", false), ("2", true), ("2", false)];
        let sent = sent.map(|(id, available)| (ItemId::new(id), available));
        let set = storage.block_on(storage.set_availability(sent.to_vec())).unwrap();
        assert_eq!(set, Availability { changed: 2, unchanged: 2, unknown: 1 });
        upsert(&storage, &[NewItem { price: None, ..items[0].clone() }]);
        assert!(!get(&storage, "0").unwrap().available);
        upsert(&storage, &[NewItem { available: Some(true), ..items[0].clone() }]);
        assert!(get(&storage, "0").unwrap().available);
        let of = |available| {
            find(
                &storage,
                ItemQuery { available: Some(available), limit: 9, ..ItemQuery::default() },
            )
        };
        assert_eq!(of(false), ["2"]);
        assert_eq!(of(true), ["0", "1", "3"]);
    });
}

#[test]
fn text_is_found_by_words_and_the_beginning_of_the_last_one() {
    on_each(|database| {
        let storage = database.open();
        let mut maker = item("a-1", "Crème brûlée torch", "Kitchen");
        maker.brand = "Müller".to_owned();
        maker.description = "Burns with butane".to_owned();
        upsert(
            &storage,
            &[maker, item("b-2", "Torch light", "Camping"), item("c", "Lamp", "Home")],
        );
        assert_eq!(search(&storage, "torch"), ["a-1", "b-2"]);
        assert_eq!(search(&storage, "TOR"), ["a-1", "b-2"]);
        assert_eq!(search(&storage, "tor light"), [""; 0], "only the last word may be cut");
        assert_eq!(search(&storage, "light tor"), ["b-2"]);
        assert_eq!(search(&storage, "creme brulee"), ["a-1"]);
        assert_eq!(search(&storage, "muller"), ["a-1"]);
        assert_eq!(search(&storage, "butane"), ["a-1"]);
        assert_eq!(search(&storage, "camping"), ["b-2"]);
        assert_eq!(search(&storage, "b-2"), ["b-2"]);
        for nothing in ["", "!", "'", "\"", "torch AND", "zzz", "NEAR("] {
            assert_eq!(search(&storage, nothing), [""; 0], "{nothing}");
        }
        // The index follows a change and a deletion.
        upsert(&storage, &[item("c", "Torch", "Home")]);
        assert_eq!(search(&storage, "lamp"), [""; 0]);
        assert_eq!(search(&storage, "torch"), ["a-1", "b-2", "c"]);
        assert_eq!(storage.block_on(storage.delete_items(&["c".into(), "x".into()])).unwrap(), 1);
        assert_eq!(search(&storage, "torch"), ["a-1", "b-2"]);
        let query = |category: &str| ItemQuery {
            text: Some("torch".to_owned()),
            category: Some(category.to_owned()),
            limit: 10,
            ..ItemQuery::default()
        };
        assert_eq!(find(&storage, query("Camping")), ["b-2"]);
        assert_eq!(find(&storage, query("camp")), [""; 0], "a category is matched as a whole");
    });
}

#[test]
fn lists_have_pages_and_categories() {
    on_each(|database| {
        let storage = database.open();
        let ids = ["b", "a", "C", "10", "9", "ä"];
        let items = ids.map(|id| item(id, "Thing", if id == "b" { "B" } else { "Other" }));
        upsert(&storage, &items);
        let page = |after: Option<&str>| {
            let after = after.map(ToOwned::to_owned);
            find(&storage, ItemQuery { limit: 2, after, ..ItemQuery::default() })
        };
        // By bytes, in both databases.
        assert_eq!(page(None), ["10", "9"]);
        assert_eq!(page(Some("9")), ["C", "a"]);
        assert_eq!(page(Some("b")), ["ä"]);
        let b = Some("B".to_owned());
        let of_b = ItemQuery { category: b.clone(), limit: 9, ..ItemQuery::default() };
        assert_eq!(find(&storage, of_b), ["b"]);
        let latest = storage.block_on(storage.latest_items(b, 5)).unwrap();
        assert_eq!(latest.len(), 1);
        let of = |ids: &[&str]| {
            let ids: Vec<ItemId> = ids.iter().map(|id| (*id).into()).collect();
            let found = storage.block_on(storage.items_by_id(&ids)).unwrap();
            found.iter().map(|item| item.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(&["ä", "missing", "10"]), ["ä", "10"], "in the order of the ids");
    });
}

#[test]
fn the_newest_available_items_are_first() {
    on_each(|database| {
        let storage = database.open();
        for id in ["1", "2", "3"] {
            upsert(&storage, &[item(id, "Thing", "A")]);
            std::thread::sleep(std::time::Duration::from_millis(3));
        }
        let hide = [("2".into(), false)];
        storage.block_on(storage.set_availability(hide.to_vec())).unwrap();
        let latest = storage.block_on(storage.latest_items(None, 5)).unwrap();
        assert_eq!(latest.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["3", "1"]);
    });
}

#[test]
fn another_process_sees_each_change_once() {
    on_each(|database| {
        let (writer, reader) = (database.open(), database.open());
        let items: Vec<NewItem> =
            (0..7000).map(|number| item(&number.to_string(), "Thing", "A")).collect();
        upsert(&writer, &items);
        let (found, _, after) = changes(&reader, ChangesRead::default());
        assert_eq!(found.len(), 7000);
        assert!(found.iter().all(|it| it.available && !it.deleted && it.price == Some(9.5)));
        assert_eq!(changes(&reader, after), (Vec::new(), Vec::new(), after));

        upsert(&writer, &items[..2]);
        let (found, availability, after) = changes(&reader, after);
        assert!(found.is_empty() && availability.is_empty(), "nothing has changed");
        let sold_out = ["5", "6"].map(|id| (ItemId::new(id), false));
        writer.block_on(writer.set_availability(sold_out.to_vec())).unwrap();
        writer.block_on(writer.delete_items(&["6".into()])).unwrap();
        let (found, availability, after) = changes(&reader, after);
        let states: Vec<_> =
            found.iter().map(|it| (it.id.as_str(), it.available, it.deleted)).collect();
        assert_eq!(states, [("6", true, true)], "the fields of the others are not read again");
        assert_eq!(availability, [("5".into(), false)], "deleted items have none");

        // A deleted item exists again when it is sent again.
        assert_eq!(upsert(&writer, &items[6..7]), result(1, 0, 0));
        let (found, availability, _) = changes(&reader, after);
        assert_eq!((found.len(), found[0].deleted, found[0].available), (1, false, true));
        assert_eq!(availability, []);
    });
}

/// The availability of all items of a server that follows, from nothing or from `after`.
fn follow(
    storage: &Storage,
    known: &mut BTreeMap<String, bool>,
    after: ChangesRead,
) -> ChangesRead {
    let (items, availability, next) = changes(storage, after);
    let items = items.into_iter().map(|it| (it.id, it.available && !it.deleted));
    known.extend(items.chain(availability).map(|(id, it)| (id.to_string(), it)));
    next
}

#[test]
fn a_server_that_has_not_followed_for_long_reads_all_items_again() {
    let Some(database) = TestDatabase::postgres() else { return };
    let (writer, reader) = (database.open(), database.open());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let items: Vec<NewItem> = (0..5).map(|n| item(&n.to_string(), "x", "c")).collect();
    upsert(&writer, &items);
    let mut known = BTreeMap::new();
    let after = follow(&reader, &mut known, ChangesRead::default());
    let set = |id: &str, available| {
        let set = writer.set_availability(vec![(id.into(), available)]);
        writer.block_on(set).unwrap();
    };
    // Changes of more than an hour ago are removed with the next one.
    set("1", false);
    runtime.block_on(async {
        let mut other = database.connect().await;
        let age = sqlx::query("UPDATE availability_changes SET changed = 0");
        age.execute(&mut other).await.unwrap();
    });
    set("2", false);
    let left: i64 = runtime.block_on(async {
        let count = sqlx::query_scalar("SELECT COUNT(*) FROM availability_changes");
        count.fetch_one(&mut database.connect().await).await.unwrap()
    });
    assert_eq!(left, 1);
    let after = follow(&reader, &mut known, after);
    let expected = ["0", "1", "2", "3", "4"].map(|id| (id.to_owned(), id != "1" && id != "2"));
    assert_eq!(known, expected.into());
    set("1", true);
    let (items, availability, _) = changes(&reader, after);
    assert_eq!((items.len(), availability), (0, vec![("1".into(), true)]));
}

#[test]
fn items_of_a_release_follow_the_next_one_until_the_shop_sends_them() {
    on_each(|database| {
        let storage = database.open();
        upsert(&storage, &[item("1", "Own", "A"), item("2", "Own", "A")]);
        storage.block_on(storage.delete_items(&["2".into()])).unwrap();
        let copy = |title: &str| {
            let catalogue = ["1", "2", "3", "4", "5"].map(|id| item(id, title, "A"));
            storage.block_on(storage.copy_items(catalogue.to_vec())).unwrap()
        };
        let titles = || ["1", "3", "4", "5"].map(|id| get(&storage, id).unwrap().title);
        assert_eq!(copy("First"), 3);
        assert_eq!(get(&storage, "2"), None, "a deleted item comes back");
        assert_eq!(titles(), ["Own", "First", "First", "First"]);
        assert_eq!(copy("First"), 0);
        // One with other texts, and one as it is.
        upsert(&storage, &[item("4", "Own", "A"), item("5", "First", "A")]);
        storage.block_on(storage.set_availability(vec![("3".into(), false)])).unwrap();
        assert_eq!(copy("Second"), 1);
        assert_eq!(titles(), ["Own", "Second", "Own", "First"]);
        assert_eq!(get(&storage, "2"), None);
        assert!(!get(&storage, "3").unwrap().available, "the shop's availability stays");
        assert_eq!(storage.block_on(storage.copied_catalogue()).unwrap(), 0);
        storage.block_on(storage.set_copied_catalogue(-7)).unwrap();
        assert_eq!(storage.block_on(storage.copied_catalogue()).unwrap(), -7);
    });
}
