//! Catalogues, models and the checks that every list must pass.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use tandem_dataset::{Catalogue, Item, ItemIndex};
use tandem_generator::{
    Generation, Generator, LoadOptions, Model, Query, testing::write_tiny_gguf,
};

pub(crate) fn catalogue<T: AsRef<str>>(titles: &[T], counts: &[u32]) -> Arc<Catalogue> {
    let items = titles.iter().enumerate().map(|(i, title)| Item {
        title: title.as_ref().to_owned(),
        count: counts.get(i).copied().unwrap_or(i as u32 % 5),
        ..Item::untitled(format!("i{i}").as_str().into())
    });
    Arc::new(Catalogue::new(items.collect()).unwrap())
}

/// A model file in a temporary folder.
pub(crate) struct TinyFile {
    _folder: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

pub(crate) fn tiny_file(seed: u64) -> TinyFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tiny.gguf");
    write_tiny_gguf(&path, seed).unwrap();
    TinyFile { _folder: folder, path }
}

pub(crate) fn options() -> LoadOptions {
    LoadOptions { threads: 1, unconditional_histories: 0, ..LoadOptions::default() }
}

pub(crate) fn load(seed: u64, catalogue: &Arc<Catalogue>, options: &LoadOptions) -> Model {
    Model::load(&tiny_file(seed).path, catalogue.clone(), options).unwrap()
}

pub(crate) fn items(positions: impl IntoIterator<Item = u32>) -> Vec<ItemIndex> {
    positions.into_iter().map(ItemIndex).collect()
}

/// Generates a list and checks the properties that every list has.
pub(crate) fn ask(
    generator: &mut dyn Generator,
    catalogue: &Catalogue,
    history: &[ItemIndex],
    exclude: &[ItemIndex],
    k: usize,
) -> Generation {
    let generation =
        generator.generate(&Query { history, exclude, only: None, added: None, k }).unwrap();
    let removed: HashSet<_> = history.iter().chain(exclude).copied().collect();
    let candidates = &generation.candidates;
    assert_eq!(candidates.len(), k.min(catalogue.len() - removed.len()));
    let distinct: HashSet<_> = candidates.iter().map(|ranked| ranked.item).collect();
    assert_eq!(distinct.len(), candidates.len(), "an item is on the list twice");
    assert!(distinct.iter().all(|item| item.position() < catalogue.len()));
    assert!(distinct.is_disjoint(&removed), "a seen or excluded item is on the list");
    let sum: f64 = candidates.iter().map(|ranked| f64::from(ranked.logprob).exp()).sum();
    assert!(sum <= 1.0 + 1e-4, "probabilities sum to {sum}");
    assert!(candidates.iter().all(|ranked| ranked.logprob <= 0.0));
    for pair in candidates.windows(2) {
        let ordered = pair[0].logprob > pair[1].logprob
            || pair[0].logprob == pair[1].logprob && pair[0].item < pair[1].item;
        assert!(ordered, "best first, ties by item: {pair:?}");
    }
    generation
}

pub(crate) fn assert_same(a: &Generation, b: &Generation) {
    assert_eq!(a.candidates.len(), b.candidates.len());
    for (a, b) in a.candidates.iter().zip(&b.candidates) {
        assert!((a.logprob - b.logprob).abs() < 1e-3, "{a:?} {b:?}");
    }
    let set = |g: &Generation| g.candidates.iter().map(|r| r.item).collect::<HashSet<_>>();
    // Rounding may swap items at the end of the list.
    let common = set(a).intersection(&set(b)).count();
    assert!(common + 1 >= a.candidates.len());
}
