//! Popularity ranking, the answer to an empty history.

use tandem_dataset::{Catalogue, ItemIndex};

use crate::{
    Ranked,
    added_items::prior_count,
    trie::{Mask, NodeId, Trie},
};

/// The `k` most popular items that the mask does not remove, with
/// `ln((count + 1) / Σ (count + 1))` over the remaining items; ties by [`ItemIndex`].
#[must_use]
pub fn most_popular(trie: &Trie, mask: &Mask, k: usize) -> Vec<Ranked> {
    top_shares(trie.items_below(NodeId::ROOT, mask).collect(), k)
}

/// [`most_popular`] for a catalogue without a trie, and `added` items after it, which have the
/// [`prior_count`].
#[must_use]
pub fn most_popular_items(
    catalogue: &Catalogue,
    added: usize,
    removed: impl IntoIterator<Item = ItemIndex>,
    k: usize,
) -> Vec<Ranked> {
    let mut counts: Vec<u32> = catalogue.items().iter().map(|item| item.count).collect();
    if added > 0 {
        counts.resize(counts.len() + added, prior_count(&counts));
    }
    let mut remaining = vec![true; counts.len()];
    for item in removed {
        remaining[item.position()] = false;
    }
    let weights = (0_u32..).map(ItemIndex).zip(counts);
    let weights = weights
        .filter(|(item, _)| remaining[item.position()])
        .map(|(item, count)| (item, u64::from(count) + 1));
    top_shares(weights.collect(), k)
}

/// `ln(count + 1)` of each item of a catalogue.
#[must_use]
pub fn log_counts(catalogue: &Catalogue) -> Vec<f32> {
    catalogue.items().iter().map(|item| (item.count as f32).ln_1p()).collect()
}

/// The `k` items with the largest weights, each with the logarithm of its share of the sum.
fn top_shares(mut items: Vec<(ItemIndex, u64)>, k: usize) -> Vec<Ranked> {
    let total = items.iter().map(|&(_, weight)| weight).sum::<u64>() as f64;
    items.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    items.truncate(k);
    items
        .into_iter()
        .map(|(item, weight)| Ranked { item, logprob: (weight as f64 / total).ln() as f32 })
        .collect()
}

#[cfg(test)]
mod tests {
    use tandem_dataset::Item;

    use super::*;

    #[test]
    fn items_are_ranked_by_count_with_normalised_probabilities() {
        let trie = Trie::new(&[vec![1], vec![2], vec![3], vec![4]], &[1, 5, 1, 90], 0);
        let mask = trie.mask([ItemIndex(3)]);
        let ranked = most_popular(&trie, &mask, 10);
        let order: Vec<u32> = ranked.iter().map(|ranked| ranked.item.0).collect();
        assert_eq!(order, [1, 0, 2]);
        assert!((ranked[0].logprob - 0.6_f32.ln()).abs() < 1e-6);
        assert_eq!(most_popular(&trie, &mask, 1).len(), 1);
        let items = [1, 5, 1, 90]
            .iter()
            .enumerate()
            .map(|(i, &count)| Item { count, ..Item::untitled(format!("i{i}").as_str().into()) });
        let catalogue = Catalogue::new(items.collect()).unwrap();
        assert_eq!(most_popular_items(&catalogue, 0, [ItemIndex(3)], 10), ranked);
        // Counts 1, 5, 1, 90: an added item has 5, the upper median.
        let with_added = most_popular_items(&catalogue, 1, [ItemIndex(3)], 2);
        let order: Vec<u32> = with_added.iter().map(|ranked| ranked.item.0).collect();
        assert_eq!(order, [1, 4]);
        assert!((with_added[1].logprob - (6.0_f32 / 16.0).ln()).abs() < 1e-6);
    }
}
