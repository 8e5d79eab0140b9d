use std::collections::HashMap;

use tandem_protocol::ItemId;

use crate::RowStore;

/// A sample of the items outside a list with their rows. It stays the same from click to
/// click, so that the list's advantages can be compared.
#[derive(Clone, Debug)]
pub(crate) struct NegativeSample {
    positions: HashMap<ItemId, usize>,
    rows: Vec<f32>, // [positions, dims]
}

impl NegativeSample {
    /// Samples items of `store` for which `is_listed` is false.
    pub(crate) fn new(store: &RowStore, is_listed: impl Fn(&ItemId) -> bool) -> Self {
        let mut negatives = Self { positions: HashMap::new(), rows: Vec::new() };
        let mut items = store.sample();
        items.retain(|item| !is_listed(item));
        for item in items {
            if store.gather(&item, &mut negatives.rows) {
                negatives.positions.insert(item, negatives.positions.len());
            }
        }
        negatives
    }

    /// The position of an item in [`NegativeSample::rows`].
    pub(crate) fn position(&self, item: &ItemId) -> Option<usize> {
        self.positions.get(item).copied()
    }

    /// The items with their positions in [`NegativeSample::rows`], in no order.
    pub(crate) fn items(&self) -> impl Iterator<Item = (&ItemId, usize)> {
        self.positions.iter().map(|(item, position)| (item, *position))
    }

    /// The rows, `[positions, dims]`.
    pub(crate) fn rows(&self) -> &[f32] {
        &self.rows
    }
}
