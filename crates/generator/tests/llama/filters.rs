//! Lists of the items that a filter allows.

use std::cell::RefCell;

use proptest::prelude::*;
use tandem_dataset::ItemIndex;
use tandem_generator::{
    Generation, Model, Query, Ranked, gguf::Encoding, item_tokens::DecoderConfig,
    testing::random_item_tokens,
};

use crate::support::{assert_same, catalogue, items, load, options};

const ITEMS: u32 = 300;

fn item_tokens() -> Model {
    let titles: Vec<String> = (0..ITEMS).map(|i| format!("Title {i}")).collect();
    let catalogue = catalogue(&titles, &[]);
    let shape = DecoderConfig { kv_heads: 2, ..DecoderConfig::usual(32, 1, 2, 16) };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.gguf");
    random_item_tokens(&catalogue, shape, true, 3).write(&path, Encoding::F32).unwrap();
    Model::load(&path, catalogue, &options()).unwrap()
}

/// The first `k` items of a list that are in `only`, with their share of what these have.
fn restricted(list: &[Ranked], only: &[u32], k: usize) -> Vec<Ranked> {
    let left: Vec<&Ranked> = list.iter().filter(|it| only.contains(&it.item.0)).collect();
    let sum: f64 = left.iter().map(|it| f64::from(it.logprob).exp()).sum();
    let share = |it: &&Ranked| Ranked { item: it.item, logprob: it.logprob - sum.ln() as f32 };
    left.iter().take(k).map(share).collect()
}

fn assert_close(found: &Generation, expected: &[Ranked]) {
    assert_eq!(found.candidates.len(), expected.len());
    for (found, expected) in found.candidates.iter().zip(expected) {
        assert!((found.logprob - expected.logprob).abs() < 1e-4, "{found:?} {expected:?}");
    }
    let items = |list: &[Ranked]| list.iter().map(|it| it.item).collect::<Vec<_>>();
    assert_eq!(items(&found.candidates), items(expected));
}

#[test]
fn a_list_of_item_tokens_is_the_long_list_without_the_others() {
    let model = item_tokens();
    let generator = RefCell::new(model.generator().unwrap());
    // An empty history is ranked by popularity.
    proptest!(|(
        history in prop::collection::hash_set(0..ITEMS, 0..8),
        exclude in prop::collection::vec(0..ITEMS, 0..8),
        only in prop::collection::hash_set(0..ITEMS + 5, 0..60),
        k in 1_usize..80,
    )| {
        let mut generator = generator.borrow_mut();
        let (history, exclude) = (items(history), items(exclude));
        let whole = Query { history: &history, exclude: &exclude, only: None, added: None, k: ITEMS as usize };
        let long = generator.generate(&whole).unwrap();
        let (allowed, only): (_, Vec<u32>) = (only.iter().collect(), only.into_iter().collect());
        let found = generator.generate(&Query { only: Some(&allowed), k, ..whole }).unwrap();
        assert_close(&found, &restricted(&long.candidates, &only, k));
        assert_eq!(found.ranking, long.ranking);
    });
}

/// The probability of a title depends on which titles remain at each branch, so the list is that
/// of a catalogue without the others, not a share of the long one.
#[test]
fn a_list_of_titles_is_that_without_the_others() {
    let titles: Vec<String> =
        (0..60).map(|i| format!("Film {} of {}", i * 7 % 60, i % 3)).collect();
    let catalogue = catalogue(&titles, &[]);
    let model = load(1, &catalogue, &options());
    let mut generator = model.generator().unwrap();
    for history in [items([]), items([3, 8])] {
        for only in [vec![], vec![5], vec![3, 8], (10..40).collect::<Vec<u32>>()] {
            let allowed = only.iter().collect();
            let query =
                Query { history: &history, exclude: &[], only: Some(&allowed), added: None, k: 20 };
            let found = generator.generate(&query).unwrap();
            let others: Vec<ItemIndex> =
                catalogue.indices().filter(|item| !only.contains(&item.0)).collect();
            let query = Query { exclude: &others, only: None, ..query };
            let expected = generator.generate(&query).unwrap();
            assert_same(&found, &expected);
            assert_eq!(found.ranking, expected.ranking);
            assert!(found.candidates.iter().all(|it| only.contains(&it.item.0)));
        }
    }
}

#[test]
fn a_filter_that_allows_nothing_costs_no_evaluation() {
    let model = item_tokens();
    let mut generator = model.generator().unwrap();
    let (history, none) = (items([1, 2]), [].into());
    let query = Query { history: &history, exclude: &[], only: Some(&none), added: None, k: 5 };
    let found = generator.generate_batch(&[query]).remove(0).unwrap();
    assert_eq!((found.candidates.len(), found.prompt_tokens), (0, 0));
}
