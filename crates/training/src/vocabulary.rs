use std::collections::HashMap;

/// The distinct items of one batch: those read as inputs and those scored. A tied model
/// reads and scores with the same rows, so both share one list.
pub(crate) struct BatchVocabulary {
    read: DistinctItems,
    /// Only for an untied model.
    scored: Option<DistinctItems>,
}

impl BatchVocabulary {
    /// An empty vocabulary.
    pub(crate) fn new(tied: bool) -> Self {
        Self { read: DistinctItems::default(), scored: (!tied).then(DistinctItems::default) }
    }

    /// Adds items that are read; returns their indices in [`read`](Self::read).
    pub(crate) fn add_read(&mut self, items: &[u32]) -> Vec<u32> {
        self.read.add(items)
    }

    /// Adds items that are scored; returns their indices in [`scored`](Self::scored).
    pub(crate) fn add_scored(&mut self, items: &[u32]) -> Vec<u32> {
        self.scored.as_mut().unwrap_or(&mut self.read).add(items)
    }

    /// Distinct items that are read.
    pub(crate) fn read(&self) -> &[u32] {
        &self.read.items
    }

    /// Distinct items that are scored.
    pub(crate) fn scored(&self) -> &[u32] {
        &self.scored.as_ref().unwrap_or(&self.read).items
    }
}

/// Distinct items in order of first appearance.
#[derive(Default)]
struct DistinctItems {
    items: Vec<u32>,
    index: HashMap<u32, u32>,
}

impl DistinctItems {
    /// The index of each of `items`; new items are appended.
    fn add(&mut self, items: &[u32]) -> Vec<u32> {
        let index_of = |item: &u32| {
            *self.index.entry(*item).or_insert_with(|| {
                self.items.push(*item);
                self.items.len() as u32 - 1
            })
        };
        items.iter().map(index_of).collect()
    }
}
