//! `tandem folds`.

use std::collections::BTreeSet;

use tandem_dataset::Dataset;

use crate::Bench;

#[test]
fn each_user_is_missing_from_one_dataset() {
    let bench = Bench::new();
    bench.import_sample();
    let said = bench.done("folds --data set --out folds --folds 3");
    assert_eq!(said.lines().next(), Some("folds/without-1: 2 of 4 users, 7 interactions"));
    let whole = Dataset::load(&bench.path("set")).unwrap();
    let users = |dataset: &Dataset| -> BTreeSet<String> {
        dataset.sequences.iter().map(|sequence| sequence.user.clone()).collect()
    };
    let mut missing: Vec<String> = Vec::new();
    for fold in 1..=3 {
        let part = Dataset::load(&bench.path(&format!("folds/without-{fold}"))).unwrap();
        assert_eq!(part.catalogue.hash(), whole.catalogue.hash(), "models fit all folds");
        missing.extend(users(&whole).difference(&users(&part)).cloned());
    }
    missing.sort();
    assert_eq!(missing, ["1", "2", "3", "4"]);
    // User 1 and 4 are the only ones with item 10 in the training part, and both are in fold 1.
    let first = Dataset::load(&bench.path("folds/without-1")).unwrap();
    let count = |dataset: &Dataset, id: &str| {
        let at = dataset.catalogue.index_of(&id.into()).unwrap();
        dataset.catalogue.get(at).count
    };
    assert!(count(&whole, "10") > count(&first, "10"));
}

#[test]
fn more_folds_than_users_are_refused() {
    let bench = Bench::new();
    bench.import_sample();
    let said = bench.failed(2, "folds --data set --out folds --folds 5");
    assert_eq!(said, "set: expected a user for each of 5 folds, found 4");
    assert!(!bench.path("folds").exists());
}
