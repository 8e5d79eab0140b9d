//! Recall and time of lists from the index of a large catalogue, beside the exact lists of the same
//! model:
//!
//! `index_recall GGUF DATA SIGNALS ITEMS NOISE [VISITED…]`
//!
//! `GGUF` is an item-token model, `DATA` its dataset folder and `SIGNALS` a folder of
//! `tandem fit-signals`, or `-` for none. The catalogue is enlarged to `ITEMS` by noisy copies:
//! each value of a row of the language model, of a text vector and of a row of the small model is
//! multiplied by `1 + NOISE·ε` with `ε` from `N(0, 1)`. Counts are those of the original items.
//! Queries are the histories of 200 users; exact and indexed lists take turns, on one thread. One line of JSON for
//! each number of visited rows.

use std::{collections::HashSet, error::Error, path::Path, sync::Arc, time::Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tandem_dataset::{
    Catalogue, Dataset, Item, ItemIndex,
    counts::{CountOptions, CountTable},
    text_vectors::TextVectors,
};
use tandem_generator::{
    Generation, Generator, LoadOptions, Model, Query,
    catalogue_index::{CatalogueIndex, IndexOptions},
    gguf::Encoding,
    item_tokens::ItemTokenModel,
    llama::passive_threads,
    ranking_signals::{RankingSignals, SignalsInfo, SmallModelTable, TEXT_FILE},
};
use tandem_model::{Checkpoint, ItemTable};

const QUERIES: usize = 200;
const CANDIDATES: usize = 50;
/// Items that all lists leave out: the newest two of each user.
const HOLD_OUT: usize = 2;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    passive_threads()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [gguf, data, signals, items, noise, visited @ ..] = &arguments[..] else {
        return Err("expected GGUF DATA SIGNALS ITEMS NOISE [VISITED…]".into());
    };
    let dataset = Dataset::load(Path::new(data))?;
    let enlarge =
        Enlarge { known: dataset.catalogue.len(), items: items.parse()?, noise: noise.parse()? };
    let item = |at: usize| Item {
        title: at.to_string(),
        ..Item::untitled(at.to_string().as_str().into())
    };
    let catalogue = Arc::new(Catalogue::new((0..enlarge.items).map(item).collect())?);

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("large.gguf");
    let mut model = ItemTokenModel::read(Path::new(gguf))?;
    let dims = model.shape.dims;
    model.token_embedding = enlarge.rows(&model.token_embedding, dims);
    model.output = model.output.map(|rows| enlarge.rows(&rows, dims));
    catalogue.hash().clone_into(&mut model.catalogue_hash);
    model.item_ids = catalogue.items().iter().map(|item| item.id.clone()).collect();
    model.write(&path, Encoding::Q8_0)?;
    drop(model);
    let signals = (signals != "-")
        .then(|| large_signals(Path::new(signals), &dataset, &enlarge, &catalogue))
        .transpose()?;
    let one_thread = LoadOptions { threads: 1, ..LoadOptions::default() };
    let load = || -> Result<Model, Failure> {
        let model = Model::load(&path, catalogue.clone(), &one_thread)?;
        Ok(match &signals {
            Some(signals) => model.with_signals(signals.clone())?,
            None => model,
        })
    };
    let histories: Vec<&[ItemIndex]> = dataset
        .sequences
        .iter()
        .step_by(dataset.sequences.len().div_ceil(QUERIES).max(1))
        .map(|sequence| &sequence.items[..sequence.items.len() - HOLD_OUT])
        .collect();
    let exact = load()?;
    let mut exact = exact.item_tokens()?;
    let visited = visited.iter().map(|text| text.parse());
    let mut visited = visited.collect::<Result<Vec<usize>, _>>()?;
    if visited.is_empty() {
        visited.push(IndexOptions::default().visited);
    }
    for visited in visited {
        let options = IndexOptions { visited, ..IndexOptions::default() };
        let start = Instant::now();
        let mut indexed = load()?;
        indexed.build_index(&path, options)?;
        let build_s = start.elapsed().as_secs_f64();
        let cells = indexed.index().map_or(0, CatalogueIndex::cells);
        let mut generator = indexed.generator()?;
        let figures = compare(&mut exact, generator.as_mut(), &histories)?;
        println!(
            "{}",
            json!({
                "items": enlarge.items,
                "signals": signals.is_some(),
                "visited": visited,
                "cells": cells,
                "build_s": build_s,
                "recall_10": figures.recall_10,
                "recall_50": figures.recall_50,
                "logprob_error": figures.logprob_error,
                "exact_ms": median(figures.exact_ms),
                "indexed_ms": median(figures.indexed_ms),
                "forward_ms": median(figures.forward_ms),
            })
        );
    }
    Ok(())
}

/// The original rows, then noisy copies of them in turn.
struct Enlarge {
    known: usize,
    items: usize,
    noise: f32,
}

impl Enlarge {
    fn rows(&self, rows: &[f32], dims: usize) -> Vec<f32> {
        let mut large = Vec::with_capacity(self.items * dims);
        large.extend_from_slice(rows);
        let mut rng = StdRng::seed_from_u64(7);
        for at in self.known..self.items {
            let row = &rows[at % self.known * dims..][..dims];
            large.extend(row.iter().map(|value| value * (1.0 + self.noise * normal(&mut rng))));
        }
        large
    }
}

/// `N(0, 1)` by Box & Muller 1958.
fn normal(rng: &mut StdRng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f32>()).ln()).sqrt();
    radius * (std::f32::consts::TAU * rng.random::<f32>()).cos()
}

fn large_signals(
    folder: &Path,
    dataset: &Dataset,
    enlarge: &Enlarge,
    catalogue: &Catalogue,
) -> Result<Arc<RankingSignals>, Failure> {
    let info = SignalsInfo::read(folder)?;
    let text = folder.join(TEXT_FILE);
    let text = text.exists().then(|| TextVectors::read(&text)).transpose()?;
    let text = match text {
        Some(text) => {
            let values = enlarge.rows(&text.values(), text.dims());
            let texts: Vec<String> =
                catalogue.items().iter().map(|item| item.title.clone()).collect();
            let source = text.space().source;
            Some(TextVectors::new(source, catalogue, &texts, text.dims(), &values)?)
        }
        None => None,
    };
    let counts = CountTable::of_dataset(dataset, HOLD_OUT, CountOptions::default());
    let signals = RankingSignals::new(info.weights, text.as_ref(), Some(counts));
    let small_model = folder.join("small-model.safetensors");
    if !small_model.exists() {
        return Ok(Arc::new(signals));
    }
    let mut small_model = Checkpoint::from_bytes(&std::fs::read(small_model)?)?;
    let dims = small_model.items.dims();
    let rows = enlarge.rows(&small_model.items.values()?, dims);
    small_model.items = ItemTable::quantise(&rows, dims)?;
    catalogue.hash().clone_into(&mut small_model.catalogue_hash);
    Ok(Arc::new(signals.with_small_model(SmallModelTable::new(&small_model, catalogue)?)))
}

#[derive(Default)]
struct Figures {
    recall_10: f64,
    recall_50: f64,
    /// Mean difference of the log-probabilities of the best item, without sign.
    logprob_error: f64,
    exact_ms: Vec<f64>,
    indexed_ms: Vec<f64>,
    /// Of the indexed time, the forward pass.
    forward_ms: Vec<f64>,
}

fn compare(
    exact: &mut dyn Generator,
    indexed: &mut dyn Generator,
    histories: &[&[ItemIndex]],
) -> Result<Figures, Failure> {
    let mut figures = Figures::default();
    let count = histories.len() as f64;
    for history in histories {
        let query = Query { history, exclude: &[], only: None, added: None, k: CANDIDATES };
        let start = Instant::now();
        let expected = exact.generate(&query)?;
        figures.exact_ms.push(start.elapsed().as_secs_f64() * 1e3);
        let start = Instant::now();
        let found = indexed.generate(&query)?;
        figures.indexed_ms.push(start.elapsed().as_secs_f64() * 1e3);
        figures.forward_ms.push(found.prompt_ms);
        figures.recall_10 += recall(&expected, &found, 10) / count;
        figures.recall_50 += recall(&expected, &found, CANDIDATES) / count;
        let best = expected.candidates.first();
        let same = best.and_then(|best| found.candidates.iter().find(|it| it.item == best.item));
        if let (Some(best), Some(same)) = (best, same) {
            figures.logprob_error += f64::from((best.logprob - same.logprob).abs()) / count;
        }
    }
    Ok(figures)
}

/// Share of the exact best `k` that the other list has among its best `k`.
fn recall(exact: &Generation, found: &Generation, k: usize) -> f64 {
    let found: HashSet<ItemIndex> = found.candidates.iter().take(k).map(|it| it.item).collect();
    let best = exact.candidates.iter().take(k);
    best.filter(|it| found.contains(&it.item)).count() as f64 / k as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
