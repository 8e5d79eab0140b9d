//! Items that were added after the models were trained, in both engines.

use std::{collections::HashSet, sync::Arc};

use tandem_dataset::{
    Catalogue, Item, ItemIndex,
    counts::{CountOptions, CountTable},
    text_vectors::{TextSource, TextVectors},
};
use tandem_generator::{
    AddedItems, Generator, Model, Query,
    added_items::{AddedItem, NeighbourOptions},
    gguf::Encoding,
    item_tokens::DecoderConfig,
    ranking_signals::{RankingSignals, SignalWeights, TextTable},
    testing::random_item_tokens,
};
use tandem_protocol::Ranking;

use crate::support::{assert_same, catalogue, items, load, options};

const ITEMS: u32 = 40;

fn added_item(id: &str, title: &str) -> AddedItem {
    let item = Item { title: title.to_owned(), ..Item::untitled(id.into()) };
    AddedItem { item, text: None }
}

/// The text vector of a known item: every item has a direction of its own.
fn vector(at: u32) -> Vec<f32> {
    (0..ITEMS).map(|axis| if axis == at { 1.0 } else { 0.1 }).collect()
}

fn signals(catalogue: &Catalogue, weights: SignalWeights) -> (RankingSignals, TextTable) {
    let source = TextSource {
        model: String::new(),
        model_sha256: String::new(),
        pooling: String::new(),
        template: String::new(),
    };
    let values: Vec<f32> = (0..ITEMS).flat_map(vector).collect();
    let texts: Vec<String> = (0..ITEMS).map(|at| at.to_string()).collect();
    let vectors = TextVectors::new(source, catalogue, &texts, ITEMS as usize, &values).unwrap();
    let counts = CountTable::new(catalogue.len(), CountOptions::default());
    (RankingSignals::new(weights, Some(&vectors), Some(counts)), TextTable::new(&vectors))
}

const TEXT_ONLY: SignalWeights = SignalWeights {
    language_model: 0.01,
    counts: 0.0,
    text: 1.0,
    small_model: 0.0,
    temperature: 1.0,
};

struct Shop {
    _folder: tempfile::TempDir,
    catalogue: Arc<Catalogue>,
    model: Model,
    table: TextTable,
}

fn shop(weights: SignalWeights) -> Shop {
    let titles: Vec<String> = (0..ITEMS).map(|i| format!("Title {i}")).collect();
    let catalogue = catalogue(&titles, &[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.gguf");
    let shape = DecoderConfig { kv_heads: 2, ..DecoderConfig::usual(32, 1, 2, 16) };
    random_item_tokens(&catalogue, shape, true, 3).write(&path, Encoding::F32).unwrap();
    let (signals, table) = signals(&catalogue, weights);
    let model = Model::load(&path, Arc::clone(&catalogue), &options()).unwrap();
    let model = model.with_signals(Arc::new(signals)).unwrap();
    Shop { _folder: folder, catalogue, model, table }
}

/// An item whose text is that of the known item `like`.
fn like(shop: &Shop, id: &str, like: u32) -> Arc<AddedItem> {
    let text = shop.table.added(&vector(like), NeighbourOptions::default());
    Arc::new(AddedItem { text, ..added_item(id, "New") })
}

fn ids(list: &[tandem_generator::Ranked]) -> Vec<u32> {
    list.iter().map(|ranked| ranked.item.0).collect()
}

#[test]
fn added_items_without_a_text_change_no_list() {
    let shop = shop(TEXT_ONLY);
    let mut generator = shop.model.generator().unwrap();
    let mut added = AddedItems::new(&shop.catalogue);
    let positions = [added.push(), added.push(), added.push()];
    added.set(positions[0], Some(Arc::new(added_item("other", "Other"))));
    added.set(positions[1], Some(like(&shop, "gone", 7)));
    added.set(positions[1], None);
    let exclude = [items([3]), positions.to_vec()].concat();
    let only = positions.iter().map(|it| it.0).chain(0..20).collect();
    for history in [items([7]), Vec::new(), vec![positions[0], positions[1]]] {
        for (exclude, only) in [(&[][..], None), (&exclude, None), (&exclude, Some(&only))] {
            let query = Query { history: &history, exclude, only, added: Some(&added), k: 100 };
            let found = generator.generate(&query).unwrap();
            let of_known = |items: &[ItemIndex]| -> Vec<ItemIndex> {
                items.iter().copied().filter(|item| item.0 < ITEMS).collect()
            };
            let (history, exclude) = (of_known(&history), of_known(exclude));
            let known = Query { history: &history, exclude: &exclude, added: None, ..query };
            let expected = generator.generate(&known).unwrap();
            assert_eq!(found.ranking, expected.ranking);
            assert!(!found.candidates.is_empty());
            assert_same(&found, &expected);
        }
    }
}

#[test]
fn an_added_item_is_ranked_by_its_text_and_changes_no_other_score() {
    let shop = shop(TEXT_ONLY);
    let mut generator = shop.model.generator().unwrap();
    let mut added = AddedItems::new(&shop.catalogue);
    let (new, without_text) = (added.push(), added.push());
    added.set(new, Some(like(&shop, "new", 7)));
    added.set(without_text, Some(Arc::new(added_item("other", "Other"))));
    let history = items([7]);
    let query = Query { history: &history, exclude: &[], only: None, added: Some(&added), k: 100 };
    let list = generator.generate(&query).unwrap().candidates;
    // Item 7 is in the history; the item with the same text is the next best.
    assert_eq!((list[0].item, list.len()), (new, ITEMS as usize));
    assert!(!ids(&list).contains(&without_text.0), "nothing is known of it");
    let sum: f64 = list.iter().map(|it| f64::from(it.logprob).exp()).sum();
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    // The others keep their order and their distances.
    let before = generator.generate(&Query { added: None, ..query }).unwrap().candidates;
    assert_eq!(ids(&before), ids(&list[1..]));
    let distance = list[1].logprob - before[0].logprob;
    for (with, without) in list[1..].iter().zip(&before) {
        assert!((with.logprob - without.logprob - distance).abs() < 1e-4);
    }
    // Filter, exclusion and explanation.
    let only = [new.0, 3].into_iter().collect();
    let filtered = generator.generate(&Query { only: Some(&only), ..query }).unwrap().candidates;
    assert_eq!(ids(&filtered), [new.0, 3]);
    let excluded = generator.generate(&Query { exclude: &[new], ..query }).unwrap().candidates;
    assert_eq!(ids(&excluded), ids(&before));
    let explained = generator.explain(&query).unwrap();
    let parts = &explained.explanations[0];
    let sum = parts.language_model.unwrap() + parts.text.unwrap();
    assert!((sum - parts.score).abs() < 1e-4, "{parts:?}");
    let below = explained.explanations[1].score - parts.score;
    let expected = explained.candidates[1].logprob - explained.candidates[0].logprob;
    assert!((below - expected).abs() < 1e-3);
}

#[test]
fn the_logit_of_an_added_item_is_estimated_by_its_neighbours() {
    let only_model = SignalWeights { language_model: 1.0, text: 0.0, ..TEXT_ONLY };
    let shop = shop(only_model);
    let mut added = AddedItems::new(&shop.catalogue);
    let new = added.push();
    added.set(new, Some(like(&shop, "new", 5)));
    let history = items([1, 2]);
    let logits = shop.model.item_tokens().unwrap().logits(&history).unwrap();
    let neighbours = added.text(new).unwrap().neighbours().to_vec();
    assert_eq!(neighbours[0].0, ItemIndex(5));
    let mean: f32 = neighbours.iter().map(|(item, weight)| weight * logits[item.position()]).sum();
    let of_all = logits.iter().sum::<f32>() / logits.len() as f32;
    let estimate = of_all + added.text(new).unwrap().spread() * (mean - of_all);
    let mut generator = shop.model.generator().unwrap();
    let query = Query { history: &history, exclude: &[], only: None, added: Some(&added), k: 100 };
    let explained = generator.explain(&query).unwrap();
    let score = |item: ItemIndex| {
        let at = explained.candidates.iter().position(|ranked| ranked.item == item).unwrap();
        explained.explanations[at].score
    };
    // Scores are logits times one factor, plus one number.
    let factor = (score(ItemIndex(9)) - score(ItemIndex(8))) / (logits[9] - logits[8]);
    let expected = score(ItemIndex(8)) + factor * (estimate - logits[8]);
    assert!((score(new) - expected).abs() < 1e-3, "{} {expected}", score(new));
}

#[test]
fn a_history_of_added_items_is_read_as_the_most_similar_known_ones() {
    let shop = shop(TEXT_ONLY);
    let mut generator = shop.model.generator().unwrap();
    let mut added = AddedItems::new(&shop.catalogue);
    let (new, without_text) = (added.push(), added.push());
    added.set(new, Some(like(&shop, "new", 7)));
    let ask = |generator: &mut dyn Generator, history: &[ItemIndex]| {
        let query = Query { history, exclude: &[], only: None, added: Some(&added), k: 10 };
        generator.generate_batch(&[query]).remove(0).unwrap()
    };
    let list = ask(generator.as_mut(), &[new]);
    assert_eq!((list.ranking, list.candidates[0].item), (Ranking::LanguageModel, ItemIndex(7)));
    assert!(!ids(&list.candidates).contains(&new.0), "it is in the history");
    // Nothing that can be read.
    let list = ask(generator.as_mut(), &[without_text]);
    assert_eq!((list.ranking, list.candidates.len()), (Ranking::Popularity, 10));
    let outside = [ItemIndex(ITEMS + 2)];
    let query = Query { history: &outside, exclude: &[], only: None, added: Some(&added), k: 10 };
    assert!(generator.generate(&query).is_err());
}

#[test]
fn events_count_for_added_items_at_once() {
    let counts_only = SignalWeights { counts: 1.0, text: 0.0, ..TEXT_ONLY };
    let shop = shop(counts_only);
    let mut generator = shop.model.generator().unwrap();
    let mut added = AddedItems::new(&shop.catalogue);
    let new = added.push();
    added.set(new, Some(like(&shop, "new", 7)));
    // One known pair, so that counts tell known items apart.
    shop.model.signals().unwrap().count(&items([1]), ItemIndex(2), 10);
    let history = items([1]);
    let query = Query { history: &history, exclude: &[], only: None, added: Some(&added), k: 40 };
    let best = |generator: &mut dyn Generator| generator.generate(&query).unwrap().candidates[0];
    assert_eq!(best(generator.as_mut()).item, ItemIndex(2));
    for _ in 0..5 {
        shop.model.signals().unwrap().count(&items([1]), new, 20);
    }
    assert_eq!(best(generator.as_mut()).item, new);
}

#[test]
fn titles_are_added_to_the_trie_in_place() {
    let titles: Vec<String> = (0..30).map(|i| format!("Film {i}")).collect();
    let shop = catalogue(&titles, &[]);
    let options = tandem_generator::LoadOptions { unconditional_histories: 2, ..options() };
    let model = load(1, &shop, &options);
    let mut generator = model.generator().unwrap();
    let mut added = AddedItems::new(&shop);
    let (first, second) = (added.push(), added.push());
    let set = |added: &mut AddedItems, position, title: &str| {
        added.set(position, Some(Arc::new(added_item(title, title))));
    };
    set(&mut added, first, "Film 3 and a half");
    let older = added.clone();
    let history = items([4, 5]);
    let query = Query { history: &history, exclude: &[], only: None, added: Some(&added), k: 40 };
    let list = generator.generate(&query).unwrap().candidates;
    assert_eq!(list.len(), 29, "those of the catalogue without the history, and one");
    let found: HashSet<u32> = ids(&list).into_iter().collect();
    assert!(found.contains(&first.0) && !found.contains(&second.0));
    let sum: f64 = list.iter().map(|it| f64::from(it.logprob).exp()).sum();
    assert!((sum - 1.0).abs() < 1e-3, "{sum}");

    // Another title, one more item, and a history with it.
    let mut newer = added.clone();
    set(&mut newer, second, "Quite another title");
    let with_new = items([4, second.0]);
    let later = generator
        .generate(&Query { history: &with_new, added: Some(&newer), ..query })
        .unwrap()
        .candidates;
    assert!(ids(&later).contains(&first.0) && !ids(&later).contains(&second.0));
    assert_eq!(later.len(), 30);
    // A query that was made before is answered with what it knows.
    let before = generator.generate(&Query { added: Some(&older), ..query }).unwrap();
    assert_eq!(ids(&before.candidates).len(), 29);
    // An item that is gone, and a query without added items.
    newer.set(first, None);
    let gone = generator.generate(&Query { added: Some(&newer), ..query }).unwrap();
    assert!(!ids(&gone.candidates).contains(&first.0));
    let without = generator.generate(&Query { added: None, ..query }).unwrap();
    let fresh = load(1, &shop, &options);
    let expected = fresh.generator().unwrap().generate(&Query { added: None, ..query }).unwrap();
    assert_same(&without, &expected);
    // By popularity: the added items have the median.
    let popular =
        generator.generate(&Query { history: &[], added: Some(&newer), ..query }).unwrap();
    assert_eq!((popular.ranking, popular.candidates.len()), (Ranking::Popularity, 31));
}
