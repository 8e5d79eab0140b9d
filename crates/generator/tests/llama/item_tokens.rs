//! The item-token engine: written files against the reference implementation, and the
//! properties of its lists.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use tandem_dataset::{Catalogue, ItemIndex};
use tandem_generator::{
    Generation, Generator, GeneratorError, LoadOptions, Model, Query, Ranked,
    gguf::{Encoding, GgufError, Writer},
    item_tokens::{DecoderConfig, ItemTokenModel},
    testing::random_item_tokens,
};
use tandem_protocol::Ranking;

use crate::{
    reference::logits,
    support::{ask, catalogue, items, options},
};

const ITEMS: u32 = 700;

struct Case {
    folder: tempfile::TempDir,
    catalogue: Arc<Catalogue>,
    weights: ItemTokenModel,
}

impl Case {
    fn new(tied: bool) -> Self {
        let titles: Vec<String> = (0..ITEMS).map(|i| format!("Title {i}")).collect();
        let catalogue = catalogue(&titles, &[]);
        let shape = DecoderConfig {
            dims: 64,
            blocks: 2,
            heads: 4,
            kv_heads: 2,
            feed_forward: 96,
            max_length: 20,
            rope_base: 10_000.0,
            norm_epsilon: 1e-5,
        };
        let weights = random_item_tokens(&catalogue, shape, tied, 11);
        Self { folder: tempfile::tempdir().unwrap(), catalogue, weights }
    }

    fn write(&self, encoding: Encoding) -> PathBuf {
        let path = self.folder.path().join("items.gguf");
        self.weights.write(&path, encoding).unwrap();
        path
    }

    fn load(&self, encoding: Encoding, options: &LoadOptions) -> Model {
        Model::load(&self.write(encoding), self.catalogue.clone(), options).unwrap()
    }

    /// Reference: the remaining items with their log-probabilities, best first.
    fn expected(&self, history: &[ItemIndex], exclude: &[ItemIndex]) -> Vec<(ItemIndex, f64)> {
        let removed: HashSet<_> = history.iter().chain(exclude).copied().collect();
        let scores = logits(&self.weights, history);
        let mut left: Vec<(ItemIndex, f64)> = scores
            .into_iter()
            .zip(0..)
            .map(|(score, position)| (ItemIndex(position), score))
            .filter(|(item, _)| !removed.contains(item))
            .collect();
        let sum: f64 = left.iter().map(|(_, score)| score.exp()).sum();
        for (_, score) in &mut left {
            *score -= sum.ln();
        }
        left.sort_by(|a, b| b.1.total_cmp(&a.1));
        left
    }
}

/// A history of distinct items.
fn history(length: u32, seed: u32) -> Vec<ItemIndex> {
    items((0..length).map(|i| (i * 37 + seed * 101) % ITEMS))
}

/// The largest difference of log-probabilities, item by item.
fn largest_difference(found: &[Ranked], expected: &[(ItemIndex, f64)]) -> f64 {
    let mut by_item = vec![f64::NAN; ITEMS as usize];
    for (item, logprob) in expected {
        by_item[item.position()] = *logprob;
    }
    found
        .iter()
        .map(|ranked| (f64::from(ranked.logprob) - by_item[ranked.item.position()]).abs())
        .fold(0.0, f64::max)
}

fn overlap(found: &[Ranked], expected: &[(ItemIndex, f64)], k: usize) -> f64 {
    let expected: HashSet<_> = expected.iter().take(k).map(|(item, _)| *item).collect();
    let common = found.iter().take(k).filter(|ranked| expected.contains(&ranked.item)).count();
    common as f64 / k as f64
}

fn assert_close(a: &Generation, b: &Generation) {
    assert_eq!(a.candidates.len(), b.candidates.len());
    assert_eq!((a.ranking, a.truncated), (b.ranking, b.truncated));
    for (a, b) in a.candidates.iter().zip(&b.candidates) {
        assert!((a.logprob - b.logprob).abs() < 1e-4, "{a:?} {b:?}");
    }
}

#[test]
fn a_written_file_gives_the_log_probabilities_of_the_reference() {
    for tied in [true, false] {
        let case = Case::new(tied);
        let model = case.load(Encoding::F32, &options());
        let mut generator = model.generator().unwrap();
        for length in [1, 2, 7, 20] {
            let history = history(length, length);
            let found = ask(generator.as_mut(), &case.catalogue, &history, &[], ITEMS as usize);
            let expected = case.expected(&history, &[]);
            let difference = largest_difference(&found.candidates, &expected);
            eprintln!("{length} items, tied {tied}: largest difference {difference:.1e}");
            assert!(difference < 1e-4, "{length} items, tied {tied}: {difference}");
            assert_eq!(found.candidates[0].item, expected[0].0);
            let spread = expected[0].1 - expected[expected.len() - 1].1;
            assert!(spread > 1.0, "the reference is too flat to test anything: {spread}");
        }
    }
}

#[test]
fn smaller_encodings_keep_most_of_the_top_50() {
    let case = Case::new(true);
    for (encoding, least, most) in [(Encoding::F16, 0.95, 0.02), (Encoding::Q8_0, 0.9, 0.3)] {
        let model = case.load(encoding, &options());
        let mut generator = model.generator().unwrap();
        let (mut agreement, mut difference) = (0.0, 0.0_f64);
        for seed in 0..10 {
            let history = history(15, seed);
            let found = ask(generator.as_mut(), &case.catalogue, &history, &[], 50).candidates;
            let expected = case.expected(&history, &[]);
            agreement += overlap(&found, &expected, 50) / 10.0;
            difference = difference.max(largest_difference(&found, &expected));
        }
        eprintln!(
            "{encoding:?}: top-50 overlap {agreement:.3}, largest difference {difference:.4}"
        );
        assert!(agreement >= least, "{encoding:?}: {agreement}");
        assert!(difference < most, "{encoding:?}: {difference}");
    }
}

#[test]
fn scale_logits_scales_all_logits() {
    let mut case = Case::new(true);
    let history = history(6, 1);
    let before = logits(&case.weights, &history);
    case.weights.scale_logits(0.5);
    for (before, after) in before.iter().zip(logits(&case.weights, &history)) {
        assert!((before * 0.5 - after).abs() < 1e-6);
    }
    let model = case.load(Encoding::F32, &options());
    let found = ask(model.generator().unwrap().as_mut(), &case.catalogue, &history, &[], 50);
    assert!(largest_difference(&found.candidates, &case.expected(&history, &[])) < 1e-4);
}

#[test]
fn removed_items_are_masked_before_normalisation() {
    let case = Case::new(true);
    let model = case.load(Encoding::F32, &options());
    let mut generator = model.generator().unwrap();
    let history = history(8, 3);
    let exclude: Vec<ItemIndex> =
        case.expected(&history, &[]).iter().take(30).map(|(item, _)| *item).collect();
    let found = ask(generator.as_mut(), &case.catalogue, &history, &exclude, ITEMS as usize);
    let expected = case.expected(&history, &exclude);
    assert!(largest_difference(&found.candidates, &expected) < 1e-4);
    let sum: f64 = found.candidates.iter().map(|r| f64::from(r.logprob).exp()).sum();
    assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    assert_eq!(found.ranking, Ranking::LanguageModel);
    let all = items(0..ITEMS);
    assert!(ask(generator.as_mut(), &case.catalogue, &history, &all, 5).candidates.is_empty());
    assert!(ask(generator.as_mut(), &case.catalogue, &history, &[], 0).candidates.is_empty());
}

#[test]
fn long_histories_are_truncated_to_the_newest_items() {
    let case = Case::new(true);
    let model = case.load(Encoding::F32, &options());
    let mut generator = model.generator().unwrap();
    let history = history(33, 5);
    let found = ask(generator.as_mut(), &case.catalogue, &history, &[], 100);
    assert_eq!((found.truncated, found.prompt_tokens), (13, 20));
    assert!(largest_difference(&found.candidates, &case.expected(&history, &[])) < 1e-4);
}

#[test]
fn an_empty_history_is_ranked_by_popularity() {
    let case = Case::new(true);
    let model = case.load(Encoding::F32, &options());
    let mut generator = model.generator().unwrap();
    let found = ask(generator.as_mut(), &case.catalogue, &[], &items([4]), 3);
    assert_eq!(found.ranking, Ranking::Popularity);
    // Counts are position mod 5: 4 is the highest.
    let order: Vec<u32> = found.candidates.iter().map(|ranked| ranked.item.0).collect();
    assert_eq!(order, [9, 14, 19]);
    let error = generator
        .generate(&Query { history: &items([ITEMS]), exclude: &[], only: None, added: None, k: 1 })
        .unwrap_err();
    assert!(matches!(error, GeneratorError::UnknownItem { index: ITEMS, .. }), "{error}");
}

#[test]
fn a_batch_gives_the_same_lists_as_single_queries() {
    let case = Case::new(false);
    let few = LoadOptions { sequences: 20, ..options() };
    let model = case.load(Encoding::F32, &few);
    // Different lengths, a duplicate, an extension of another, an empty one, an unknown item.
    let mut histories: Vec<Vec<ItemIndex>> = (1..=40).map(|i| history(i % 23 + 1, i)).collect();
    histories.push(histories[3].clone());
    histories.push(histories[3].iter().copied().chain(items([699])).collect());
    histories.push(Vec::new());
    histories.push(items([1, ITEMS]));
    let exclude = items([0, 1, 2]);
    let queries: Vec<Query<'_>> = histories
        .iter()
        .map(|history| Query { history, exclude: &exclude, only: None, added: None, k: 40 })
        .collect();
    let mut batching = model.item_tokens().unwrap();
    assert_eq!(batching.sequences(), 20);
    // The second pass finds the histories of the first one in the prefix cache.
    for _ in 0..2 {
        let answers = batching.generate_batch(&queries);
        assert_eq!(answers.len(), queries.len());
        for (query, answer) in queries.iter().zip(&answers) {
            let alone = model.item_tokens().unwrap().generate(query);
            match (answer, alone) {
                (Ok(answer), Ok(alone)) => assert_close(answer, &alone),
                (Err(answer), Err(alone)) => assert_eq!(answer.to_string(), alone.to_string()),
                (answer, alone) => panic!("{answer:?} {alone:?}"),
            }
        }
        assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 1);
    }
    assert!(batching.generate_batch(&[]).is_empty());
}

#[test]
fn the_prefix_cache_changes_only_the_number_of_evaluated_tokens() {
    let case = Case::new(true);
    let model = case.load(Encoding::F32, &options());
    let (mut caching, mut uncached) = (model.item_tokens().unwrap(), model.item_tokens().unwrap());
    let (first, second) = (history(24, 1), history(24, 9));
    for length in 1..=24_usize {
        // Two visitors alternate, each with one more item.
        for visitor in [&first, &second] {
            let query =
                Query { history: &visitor[..length], exclude: &[], only: None, added: None, k: 60 };
            let found = caching.generate(&query).unwrap();
            uncached.clear_cache();
            let full = uncached.generate(&query).unwrap();
            assert_close(&found, &full);
            assert_eq!(full.prompt_tokens, length.min(20));
            // Beyond the maximum length positions shift, so nothing can be reused.
            let expected = if length <= 20 { 1 } else { 20 };
            assert_eq!(found.prompt_tokens, expected, "{length}");
        }
    }
}

#[test]
fn a_model_of_another_catalogue_is_refused() {
    let case = Case::new(true);
    let path = case.write(Encoding::F32);
    let other = catalogue(&["a", "b"], &[]);
    let error = Model::load(&path, other.clone(), &options()).unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, GeneratorError::OtherCatalogue { .. }), "{message}");
    assert!(message.contains(other.hash()) && message.contains(case.catalogue.hash()), "{message}");
}

#[test]
fn an_unknown_engine_and_missing_metadata_are_refused() {
    let case = Case::new(true);
    let path = case.folder.path().join("odd.gguf");
    let refused = |engine: &str, word: &str| {
        let mut writer = Writer::new("llama");
        writer.set("tokenizer.ggml.model", "none").set("tandem.engine", engine);
        writer.write(&path).unwrap();
        let error = Model::load(&path, case.catalogue.clone(), &options()).unwrap_err();
        assert!(matches!(error, GeneratorError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    };
    refused("semantic-ids", "semantic-ids");
    refused("item-tokens", "tandem.catalogue.hash");
}

#[test]
fn the_generator_of_the_other_engine_is_refused() {
    let case = Case::new(true);
    let model = case.load(Encoding::F32, &options());
    let error = model.titles().unwrap_err();
    assert!(matches!(error, GeneratorError::OtherEngine { engine: "titles", .. }), "{error}");
    assert!(model.evaluator().is_err());
    let titles = crate::support::load(1, &case.catalogue, &options());
    assert!(matches!(titles.item_tokens(), Err(GeneratorError::OtherEngine { .. })));
}

#[test]
fn overflowing_weights_are_reported() {
    let mut case = Case::new(true);
    case.weights.output_norm.fill(f32::MAX);
    let model = case.load(Encoding::F32, &options());
    let mut generator = model.generator().unwrap();
    let query = Query { history: &history(3, 1), exclude: &[], only: None, added: None, k: 5 };
    assert!(matches!(generator.generate(&query), Err(GeneratorError::NotFinite)));
    case.weights.output_norm[0] = f32::INFINITY;
    let error = case.weights.write(&case.folder.path().join("x.gguf"), Encoding::F32);
    assert!(matches!(error, Err(GeneratorError::Gguf(GgufError::Tensor { .. }))));
}

#[test]
fn items_of_the_history_are_candidates_where_they_are_repeated() {
    let case = Case::new(true);
    let (seen, exclude) = (history(12, 3), items([5, 6]));
    let model = case.load(Encoding::F32, &LoadOptions { repeats: true, ..options() });
    let mut generator = model.generator().unwrap();
    let query =
        Query { history: &seen, exclude: &exclude, only: None, added: None, k: ITEMS as usize };
    let found = generator.generate(&query).unwrap().candidates;
    assert_eq!(found.len(), ITEMS as usize - exclude.len());
    // As the reference, from which the history is not removed.
    let removed: HashSet<_> = exclude.iter().copied().collect();
    let scores = logits(&case.weights, &seen);
    let left = (0..).map(ItemIndex).zip(scores).filter(|(item, _)| !removed.contains(item));
    let mut left: Vec<(ItemIndex, f64)> = left.collect();
    let sum: f64 = left.iter().map(|(_, score)| score.exp()).sum();
    for (_, score) in &mut left {
        *score -= sum.ln();
    }
    assert!(largest_difference(&found, &left) < 1e-3);
    assert!(seen.iter().all(|item| found.iter().any(|ranked| ranked.item == *item)));
}
