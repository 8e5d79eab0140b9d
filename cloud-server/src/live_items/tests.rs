use tandem_dataset::Item;

use super::*;

fn catalogue(items: &[(&str, &str)]) -> Arc<Catalogue> {
    let item = |&(id, category): &(&str, &str)| Item {
        genres: vec![category.to_owned()],
        ..Item::untitled(id.into())
    };
    Arc::new(Catalogue::new(items.iter().map(item).collect()).unwrap())
}

fn changed(id: &str, category: &str) -> ChangedItem {
    ChangedItem {
        id: id.into(),
        categories: vec![category.to_owned()],
        brand: String::new(),
        price: Some(5.0),
        attributes: [].into(),
        available: true,
        deleted: false,
        created: 7,
    }
}

fn change(items: &LiveItems, changes: Vec<ChangedItem>) {
    items.change(changes.into_iter());
    items.find_hidden();
}

fn of_category(name: &str) -> ItemFilter {
    ItemFilter { categories: vec![name.to_owned()], ..ItemFilter::default() }
}

fn matching(items: &LiveItems, catalogue: &Arc<Catalogue>, filter: &ItemFilter) -> Vec<u32> {
    items.matching(catalogue, filter).0.iter().collect()
}

fn excluded(items: &LiveItems, catalogue: &Arc<Catalogue>) -> Vec<u32> {
    let mut exclude = Vec::new();
    items.exclude(catalogue, &mut exclude);
    exclude.sort();
    exclude.into_iter().map(|item| item.0).collect()
}

#[test]
fn hidden_items_are_those_of_the_catalogue_and_of_the_newest_changes() {
    let (first, second) =
        (catalogue(&[("a", "x"), ("b", "x")]), catalogue(&[("b", "x"), ("c", "x"), ("a", "x")]));
    let items = LiveItems::new(&first);
    assert!(excluded(&items, &first).is_empty());
    let sold_out = |id| ChangedItem { available: false, ..changed(id, "x") };
    change(&items, vec![sold_out("a"), sold_out("unknown")]);
    // The second catalogue is not in use yet. The unknown item follows the one in use.
    assert_eq!((excluded(&items, &first), excluded(&items, &second)), (vec![0, 2], vec![2]));
    items.follow(&second);
    assert_eq!((excluded(&items, &first), excluded(&items, &second)), (vec![0], vec![2, 3]));
    change(&items, vec![changed("a", "x"), ChangedItem { deleted: true, ..changed("b", "x") }]);
    assert_eq!(excluded(&items, &second), [0, 3]);
    assert_eq!(matching(&items, &second, &of_category("x")), [1, 2]);
    assert_eq!(matching(&items, &second, &ItemFilter::default()), [1, 2]);
}

#[test]
fn fields_of_the_database_come_before_those_of_the_catalogue() {
    let shop = catalogue(&[("a", "x"), ("b", "x"), ("c", "y")]);
    let items = LiveItems::new(&shop);
    assert_eq!(matching(&items, &shop, &of_category("x")), [0, 1]);
    assert_eq!(items.not_stored(&shop).len(), 3);
    change(&items, vec![changed("new", "x"), changed("b", "y")]);
    assert_eq!(matching(&items, &shop, &of_category("x")), [0]);
    assert_eq!(matching(&items, &shop, &of_category("y")), [1, 2]);
    assert_eq!(items.not_stored(&shop), [0, 2].map(ItemIndex));

    // `a` has another category, `c` is gone, and the database has `b` and `new`.
    let next = catalogue(&[("new", "z"), ("b", "z"), ("a", "z")]);
    items.follow(&next);
    assert_eq!(matching(&items, &next, &of_category("z")), [2]);
    assert_eq!(matching(&items, &next, &of_category("x")), [0]);
    assert_eq!(matching(&items, &next, &of_category("y")), [1]);
    assert_eq!(matching(&items, &shop, &of_category("y")), [1], "of the catalogue before");
    assert!(items.knows(&"new".into()) && !items.knows(&"other".into()));
}

#[test]
fn an_availability_hides_and_shows_an_item_with_its_fields() {
    let shop = catalogue(&[("a", "x"), ("b", "x")]);
    let items = LiveItems::new(&shop);
    let tell = |told: &[(&str, bool)]| {
        let told: Vec<_> = told.iter().map(|(id, it)| (ItemId::from(*id), *it)).collect();
        items.set_availability(&told);
        items.find_hidden();
    };
    tell(&[("a", false), ("not read yet", false)]);
    assert_eq!((excluded(&items, &shop), items.knows(&"not read yet".into())), (vec![0], false));
    assert_eq!(matching(&items, &shop, &of_category("x")), [1]);
    tell(&[("a", true), ("b", false)]);
    assert_eq!(excluded(&items, &shop), [1]);
    assert_eq!(matching(&items, &shop, &of_category("x")), [0]);
}

#[test]
fn ranked_items_are_shown_if_they_may_be_recommended() {
    let shop = catalogue(&[("a", "x"), ("b", "y"), ("c", "x"), ("d", "x")]);
    let items = LiveItems::new(&shop);
    change(&items, vec![ChangedItem { available: false, ..changed("c", "x") }]);
    let shown = |category, limit| {
        let ranked = ["d", "other", "c", "b", "a"].map(|id| (ItemId::from(id), ()));
        let shown = items.first_visible(ranked, category, limit);
        shown.into_iter().map(|(id, ())| id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(shown(None, 9), ["d", "b", "a"]);
    assert_eq!(shown(Some("x"), 9), ["d", "a"]);
    assert_eq!(shown(None, 1), ["d"]);
    assert_eq!(shown(Some("z"), 9), [""; 0]);
}

#[test]
fn the_latest_items_are_known_without_the_database() {
    let items = LiveItems::new(&catalogue(&[("a", "x"), ("never-stored", "x")]));
    let stored = |id, category, created| ChangedItem { created, ..changed(id, category) };
    let sold_out = ChangedItem { available: false, ..stored("sold-out", "x", 99) };
    let deleted = ChangedItem { deleted: true, ..stored("deleted", "x", 99) };
    let changes = [
        stored("a", "x", 5),
        stored("c", "x", 9),
        stored("b", "x", 9),
        stored("d", "y", 8),
        sold_out,
        deleted,
    ];
    change(&items, changes.into());
    let latest = |category, limit| {
        let ids = items.latest(category, limit).into_iter();
        ids.map(|id| id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(latest(None, 9), ["b", "c", "d", "a"]);
    assert_eq!(latest(None, 2), ["b", "c"]);
    assert_eq!(latest(Some("x"), 3), ["b", "c", "a"]);
    assert_eq!((items.price(&"a".into()), items.price(&"never-stored".into())), (Some(5.0), None));
}
