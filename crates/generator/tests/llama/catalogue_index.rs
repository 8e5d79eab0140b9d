//! The index of a large catalogue against the exact lists of the same model.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use roaring::RoaringBitmap;
use tandem_dataset::{
    Catalogue, Item, ItemIndex,
    counts::{CountOptions, CountTable},
    text_vectors::{TextSource, TextVectors},
};
use tandem_generator::{
    AddedItems, Generation, GeneratorError, LoadOptions, Model, Query,
    added_items::{AddedItem, NeighbourOptions},
    catalogue_index::IndexOptions,
    gguf::Encoding,
    item_tokens::DecoderConfig,
    ranking_signals::{RankingSignals, SignalWeights, TextTable},
    testing::random_item_tokens,
};

use crate::support::{catalogue, items, load, options};

const ITEMS: u32 = 3000;
/// Every row is visited, so that the lists are exact.
const EXHAUSTIVE: IndexOptions =
    IndexOptions { visited: 1 << 20, cell_items: 40, sample: 3000, seed: 3 };

struct Case {
    _folder: tempfile::TempDir,
    path: PathBuf,
    catalogue: Arc<Catalogue>,
}

impl Case {
    fn new(tied: bool, encoding: Encoding) -> Self {
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("items.gguf");
        random_item_tokens(&catalogue, shape, tied, 11).write(&path, encoding).unwrap();
        Self { _folder: folder, path, catalogue }
    }

    fn model(&self, signals: Option<Arc<RankingSignals>>) -> Model {
        self.model_with(signals, &options())
    }

    fn model_with(&self, signals: Option<Arc<RankingSignals>>, options: &LoadOptions) -> Model {
        let model = Model::load(&self.path, self.catalogue.clone(), options).unwrap();
        match signals {
            Some(signals) => model.with_signals(signals).unwrap(),
            None => model,
        }
    }

    fn indexed(&self, signals: Option<Arc<RankingSignals>>, index: IndexOptions) -> Model {
        let mut model = self.model(signals);
        model.build_index(&self.path, index).unwrap();
        model
    }

    /// Text vectors of 16 numbers; every fiftieth item has none.
    fn text(&self) -> TextVectors {
        let source = TextSource {
            model: String::new(),
            model_sha256: String::new(),
            pooling: String::new(),
            template: String::new(),
        };
        let texts: Vec<String> =
            self.catalogue.items().iter().map(|item| item.title.clone()).collect();
        let value = |at: usize| {
            if (at / 16).is_multiple_of(50) { 0.0 } else { (at as f32 * 0.37).sin() }
        };
        let values: Vec<f32> = (0..texts.len() * 16).map(value).collect();
        TextVectors::new(source, &self.catalogue, &texts, 16, &values).unwrap()
    }

    /// Counts of neighbouring positions, and texts.
    fn signals(&self) -> Arc<RankingSignals> {
        self.signals_with_text(0.5)
    }

    fn signals_with_text(&self, text: f32) -> Arc<RankingSignals> {
        let mut counts = CountTable::new(ITEMS as usize, CountOptions::default());
        for at in 1..ITEMS {
            counts.add(&[ItemIndex(at - 1)], ItemIndex(at), 0);
            counts.add(&[ItemIndex(at - 1)], ItemIndex(at * 7 % ITEMS), 0);
        }
        let weights = SignalWeights {
            language_model: 1.0,
            counts: 0.2,
            text,
            small_model: 0.0,
            temperature: 1.3,
        };
        Arc::new(RankingSignals::new(weights, Some(&self.text()), Some(counts)))
    }
}

fn history(length: u32, seed: u32) -> Vec<ItemIndex> {
    items((0..length).map(|i| (i * 37 + seed * 101) % ITEMS))
}

fn query(history: &[ItemIndex]) -> Query<'_> {
    Query { history, exclude: &[], only: None, added: None, k: 50 }
}

/// llama.cpp rounds the activations before it multiplies them with rows of 8 bits.
const EIGHT_BITS: f32 = 0.15;

/// The same items in nearly the same order with nearly the same log-probabilities.
fn assert_alike(exact: &Generation, found: &Generation, tolerance: f32) {
    assert_eq!(exact.candidates.len(), found.candidates.len());
    for (rank, (exact, found)) in exact.candidates.iter().zip(&found.candidates).enumerate() {
        assert!((exact.logprob - found.logprob).abs() < tolerance, "{rank}: {exact:?} {found:?}");
    }
    let set = |generation: &Generation| -> HashSet<ItemIndex> {
        generation.candidates.iter().map(|ranked| ranked.item).collect()
    };
    let missing = set(exact).difference(&set(found)).count();
    assert!(missing <= exact.candidates.len() / 25, "{missing} of the best are missing");
}

#[test]
fn an_index_that_visits_every_row_makes_the_exact_lists() {
    for (tied, encoding) in [(false, Encoding::Q8_0), (true, Encoding::F32), (false, Encoding::F16)]
    {
        let case = Case::new(tied, encoding);
        let tolerance = if encoding == Encoding::Q8_0 { EIGHT_BITS } else { 0.01 };
        for signals in [None, Some(case.signals())] {
            let exact = case.model(signals.clone());
            let indexed = case.indexed(signals, EXHAUSTIVE);
            assert_eq!(indexed.index().unwrap().items(), ITEMS as usize);
            assert!(indexed.index().unwrap().cells() > 10);
            let (mut exact, mut indexed) =
                (exact.generator().unwrap(), indexed.generator().unwrap());
            // The last history is longer than the model reads.
            for (length, seed) in [(1, 1), (2, 1), (7, 2), (19, 3), (30, 4)] {
                let history = history(length, seed);
                let exact = exact.generate(&query(&history)).unwrap();
                let found = indexed.generate(&query(&history)).unwrap();
                assert_alike(&exact, &found, tolerance);
                assert_eq!(exact.truncated, found.truncated);
            }
        }
    }
}

#[test]
fn a_cached_history_gives_the_same_list_as_a_new_one() {
    let case = Case::new(false, Encoding::Q8_0);
    let model = case.indexed(None, EXHAUSTIVE);
    let mut used = model.generator().unwrap();
    let long = history(9, 5);
    used.generate(&query(&long[..6])).unwrap();
    used.generate(&query(&history(8, 6))).unwrap();
    let continued = used.generate(&query(&long)).unwrap();
    assert_eq!((continued.cached_tokens, continued.prompt_tokens), (6, 3));
    let new = model.generator().unwrap().generate(&query(&long)).unwrap();
    assert_eq!((new.cached_tokens, new.prompt_tokens), (0, 9));
    assert_alike(&new, &continued, 1e-4);
}

#[test]
fn filters_exclusions_and_repeats_hold() {
    let case = Case::new(false, Encoding::Q8_0);
    // Few rows are visited.
    let narrow = IndexOptions { visited: 200, ..EXHAUSTIVE };
    let model = case.indexed(Some(case.signals()), narrow);
    let exact = case.model(Some(case.signals()));
    let (mut exact, mut indexed) = (exact.generator().unwrap(), model.generator().unwrap());
    let history = history(6, 7);
    let exclude = items(0..700);
    let few: RoaringBitmap = (0..ITEMS).filter(|at| at.is_multiple_of(90)).collect();
    let many: RoaringBitmap = (0..ITEMS).filter(|at| !at.is_multiple_of(3)).collect();
    for only in [None, Some(&few), Some(&many)] {
        let query = Query { exclude: &exclude, only, k: 50, ..query(&history) };
        let found = indexed.generate(&query).unwrap();
        let expected = exact.generate(&query).unwrap();
        // A list is never shorter than it can be.
        assert_eq!(found.candidates.len(), expected.candidates.len());
        for ranked in &found.candidates {
            assert!(ranked.item.0 >= 700 && !history.contains(&ranked.item));
            assert!(only.is_none_or(|only| only.contains(ranked.item.0)));
            assert!(ranked.logprob <= 0.0);
        }
        if only == Some(&few) {
            // All of them are scored.
            assert_alike(&expected, &found, EIGHT_BITS);
        }
    }
    // A list of everything.
    let query = Query { k: ITEMS as usize, ..query(&history) };
    let all = indexed.generate(&query).unwrap().candidates;
    assert_eq!(all.len(), ITEMS as usize - history.len());
    let distinct: HashSet<ItemIndex> = all.iter().map(|ranked| ranked.item).collect();
    assert_eq!(distinct.len(), all.len());
    let repeats = LoadOptions { repeats: true, ..options() };
    let mut model = case.model_with(None, &repeats);
    model.build_index(&case.path, EXHAUSTIVE).unwrap();
    let all = model.generator().unwrap().generate(&query).unwrap().candidates;
    assert_eq!(all.len(), ITEMS as usize);
}

#[test]
fn added_items_and_explanations_are_those_of_the_exact_lists() {
    let case = Case::new(false, Encoding::Q8_0);
    let table = TextTable::new(&case.text());
    let mut added = AddedItems::new(&case.catalogue);
    let mut history = history(5, 9);
    for at in 0..60_u8 {
        // Texts like those of the history, so that some of them come onto the list.
        let like = history[usize::from(at) % history.len()].position() * 16;
        let value = |i: usize| ((like + i) as f32 * 0.37).sin() + f32::from(at) * 0.002;
        let vector: Vec<f32> = (0..16).map(value).collect();
        let position = added.push();
        // Every tenth has no text.
        let text = table.added(&vector, NeighbourOptions::default());
        let text = text.filter(|_| !at.is_multiple_of(10));
        let item = Item::untitled(format!("new{at}").as_str().into());
        added.set(position, Some(Arc::new(AddedItem { item, text })));
    }
    let exact = case.model(Some(case.signals_with_text(3.0)));
    let indexed = case.indexed(Some(case.signals_with_text(3.0)), EXHAUSTIVE);
    let (mut exact, mut indexed) = (exact.generator().unwrap(), indexed.generator().unwrap());
    history.push(ItemIndex(ITEMS + 4));
    let query = Query { added: Some(&added), k: 1000, ..query(&history) };
    let expected = exact.explain(&query).unwrap();
    let found = indexed.explain(&query).unwrap();
    assert_alike(&expected, &found, EIGHT_BITS);
    let new = |generation: &Generation| {
        generation.candidates.iter().filter(|it| it.item.0 >= ITEMS).count()
    };
    assert!(new(&expected) > 0, "no added item is on the list");
    assert!(new(&expected).abs_diff(new(&found)) <= 1);
    assert_eq!(found.explanations.len(), found.candidates.len());
    for (ranked, explained) in found.candidates.iter().zip(&found.explanations) {
        let parts = [explained.language_model, explained.counts, explained.text];
        let sum: f32 = parts.iter().flatten().sum();
        assert!((sum - explained.score).abs() < 1e-3, "{ranked:?} {explained:?}");
        let Some(at) = expected.candidates.iter().position(|it| it.item == ranked.item) else {
            continue;
        };
        let same = &expected.explanations[at];
        assert!((same.score - explained.score).abs() < EIGHT_BITS, "{same:?} {explained:?}");
        let text = same.text.unwrap() - explained.text.unwrap();
        assert!(text.abs() < 0.01, "{same:?} {explained:?}");
    }
}

#[test]
fn counts_alone_rank_as_in_the_exact_lists() {
    let case = Case::new(false, Encoding::Q8_0);
    let mut counts = CountTable::new(ITEMS as usize, CountOptions::default());
    counts.add(&[ItemIndex(5)], ItemIndex(40), 0);
    counts.add(&[ItemIndex(6), ItemIndex(5)], ItemIndex(41), 0);
    let weights = SignalWeights {
        language_model: 0.0,
        counts: 1.0,
        text: 0.0,
        small_model: 0.0,
        temperature: 1.0,
    };
    let signals = Arc::new(RankingSignals::new(weights, None, Some(counts)));
    let exact = case.model(Some(signals.clone()));
    let indexed = case.indexed(Some(signals), EXHAUSTIVE);
    let query = Query { k: 2, ..query(&[ItemIndex(5)]) };
    let expected = exact.generator().unwrap().generate(&query).unwrap();
    let found = indexed.generator().unwrap().generate(&query).unwrap();
    assert_alike(&expected, &found, 0.01);
}

#[test]
fn queries_without_an_answer_of_the_model_are_answered_alike() {
    let case = Case::new(false, Encoding::Q8_0);
    let model = case.indexed(None, IndexOptions::default());
    let mut generator = model.generator().unwrap();
    let popular = generator.generate(&query(&[])).unwrap();
    assert_eq!(popular.candidates.len(), 50);
    let outside = [ItemIndex(ITEMS)];
    let error = generator.generate(&query(&outside)).unwrap_err();
    assert!(matches!(error, GeneratorError::UnknownItem { index: ITEMS, .. }));
    let none = Query { k: 0, ..query(&outside[..0]) };
    assert!(generator.generate(&none).unwrap().candidates.is_empty());
}

#[test]
fn only_item_token_models_have_an_index() {
    let case = Case::new(false, Encoding::Q8_0);
    let mut titles = load(1, &catalogue(&["Heat", "Alien"], &[]), &options());
    let error = titles.build_index(&case.path, EXHAUSTIVE).unwrap_err();
    assert!(matches!(error, GeneratorError::OtherEngine { .. }));
    // A file of another catalogue.
    let other = Case::new(false, Encoding::Q8_0);
    let smaller = catalogue(&["Heat", "Alien"], &[]);
    let error = tandem_generator::catalogue_index::CatalogueIndex::build(
        &other.path,
        &smaller,
        None,
        EXHAUSTIVE,
    );
    assert!(matches!(error.unwrap_err(), GeneratorError::OtherCatalogue { .. }));
}
