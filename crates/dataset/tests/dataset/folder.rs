//! The folder a dataset is kept in.

use std::fs;

use proptest::prelude::*;
use tandem_dataset::{Catalogue, Dataset, DatasetError, Item, ItemIndex, Sequence};

use crate::{Files, fault};

fn item(id: &str) -> Item {
    Item::untitled(id.into())
}

fn small() -> Dataset {
    let catalogue = Catalogue::new(vec![item("a"), item("b")]).unwrap();
    let items = vec![ItemIndex(1), ItemIndex(0), ItemIndex(1)];
    let sequences = vec![Sequence { user: "u".into(), items, times: Some(vec![1, 2, 2]) }];
    Dataset::new("small", catalogue, sequences, Some("cite me".into())).unwrap()
}

/// A dataset over up to 6 items with odd titles and up to 6 users.
fn any_dataset() -> impl Strategy<Value = Dataset> {
    let about =
        ("\\PC{0,12}", prop::option::of(1000_u16..3000), prop::collection::vec("\\PC{1,6}", 0..3));
    let items = prop::collection::btree_map("[a-z0-9é\" ]{1,4}", about, 1..7);
    let sequences = prop::collection::vec(
        (prop::collection::vec((any::<u32>(), any::<i64>()), 0..9), any::<bool>()),
        0..6,
    );
    (items, sequences, prop::option::of("\\PC{0,20}")).prop_map(|(items, sequences, notice)| {
        let items: Vec<Item> = items
            .into_iter()
            .map(|(id, (title, year, genres))| Item { title, year, genres, ..item(&id) })
            .collect();
        let count = items.len() as u32;
        let sequences = sequences
            .into_iter()
            .enumerate()
            .map(|(user, (rows, timed))| Sequence {
                user: format!("user {user}\n"),
                items: rows.iter().map(|(item, _)| ItemIndex(item % count)).collect(),
                times: timed.then(|| rows.iter().map(|&(_, time)| time).collect()),
            })
            .collect();
        Dataset::new("any", Catalogue::new(items).unwrap(), sequences, notice).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_saved_is_loaded(dataset in any_dataset()) {
        let files = Files::new(&[]);
        let dir = files.path("nested/set");
        dataset.save(&dir).unwrap();
        let loaded = Dataset::load(&dir).unwrap();
        prop_assert_eq!(&loaded.name, &dataset.name);
        prop_assert_eq!(&loaded.notice, &dataset.notice);
        prop_assert_eq!(loaded.catalogue.items(), dataset.catalogue.items());
        prop_assert_eq!(loaded.catalogue.hash(), dataset.catalogue.hash());
        prop_assert_eq!(&loaded.sequences, &dataset.sequences);
    }

    #[test]
    fn counts_are_of_the_training_part(dataset in any_dataset()) {
        let trained: usize = dataset.sequences.iter().map(|s| s.split().train.len()).sum();
        let counted: usize =
            dataset.catalogue.items().iter().map(|item| item.count as usize).sum();
        prop_assert_eq!(counted, trained);
    }
}

#[test]
fn saving_replaces_an_older_dataset_and_nothing_else() {
    let files = Files::new(&[]);
    let dir = files.path("set");
    fs::create_dir(&dir).unwrap();
    small().save(&dir).unwrap();
    let mut newer = small();
    newer.name = "newer".into();
    newer.save(&dir).unwrap();
    assert_eq!(Dataset::load(&dir).unwrap().name, "newer");
    assert_eq!(fs::read_dir(files.path("")).unwrap().count(), 1, "no draft is left");

    let precious = files.path("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("letter"), "dear").unwrap();
    assert!(matches!(small().save(&precious), Err(DatasetError::NotReplaceable { .. })));
    assert!(precious.join("letter").exists());
    assert!(small().save(&precious.join("letter")).is_err());
}

#[test]
fn damage_is_found() {
    let files = Files::new(&[]);
    let dir = files.path("set");
    small().save(&dir).unwrap();
    let damaged = |file: &str, from: &str, to: &str| {
        let path = dir.join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = Dataset::load(&dir).unwrap_err();
        fs::write(&path, text).unwrap();
        error
    };
    let hash = damaged("catalogue.jsonl", "\"a\"", "\"c\"");
    assert!(matches!(hash, DatasetError::Inconsistent { what: "the catalogue hash", .. }));
    let version = damaged("dataset.json", "\"version\": 1", "\"version\": 2");
    assert!(matches!(version, DatasetError::Version { expected: 1, found: 2, .. }));
    let users = damaged("dataset.json", "\"users\": 1", "\"users\": 3");
    assert!(matches!(users, DatasetError::Inconsistent { what: "the number of users", .. }));
    let duplicate = damaged("catalogue.jsonl", "\"a\"", "\"b\"");
    assert!(matches!(duplicate, DatasetError::DuplicateItem { .. }));

    let cut = damaged("catalogue.jsonl", "\"genres\":[]", "\"genres\":[");
    assert_eq!(fault(&cut).0, "catalogue.jsonl");
    assert_eq!((fault(&cut).1, fault(&cut).2), (1, "an item in JSON"));
    let range = damaged("sequences.jsonl", "[1,0,1]", "[1,0,2]");
    assert_eq!((fault(&range).1, fault(&range).2), (1, "item indices below 2"));
    let times = damaged("sequences.jsonl", "[1,2,2]", "[1,2]");
    assert_eq!((fault(&times).2, fault(&times).3), ("3 times, one for each item", "2"));
    let head = damaged("dataset.json", "\"users\"", "users");
    assert_eq!(fault(&head).0, "dataset.json");

    assert!(Dataset::load(&dir).is_ok(), "each damage was undone");
    assert!(matches!(Dataset::load(&files.path("none")), Err(DatasetError::Io { .. })));
}
