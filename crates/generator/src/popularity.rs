//! Popularity ranking, the answer to an empty history.

use tandem_dataset::{Catalogue, ItemIndex};

use crate::{
    Ranked,
    trie::{Mask, NodeId, Trie},
};

/// The `k` most popular items that the mask does not remove, with
/// `ln((count + 1) / Σ (count + 1))` over the remaining items; ties by [`ItemIndex`].
#[must_use]
pub fn most_popular(trie: &Trie, mask: &Mask, k: usize) -> Vec<Ranked> {
    top_shares(trie.items_below(NodeId::ROOT, mask).collect(), k)
}

/// [`most_popular`] for a catalogue without a trie.
#[must_use]
pub fn most_popular_items(
    catalogue: &Catalogue,
    removed: impl IntoIterator<Item = ItemIndex>,
    k: usize,
) -> Vec<Ranked> {
    let mut remaining = vec![true; catalogue.len()];
    for item in removed {
        remaining[item.position()] = false;
    }
    let weights = catalogue
        .indices()
        .filter(|item| remaining[item.position()])
        .map(|item| (item, u64::from(catalogue.get(item).count) + 1));
    top_shares(weights.collect(), k)
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
        assert_eq!(most_popular_items(&catalogue, [ItemIndex(3)], 10), ranked);
    }
}
