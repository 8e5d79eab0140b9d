//! The order without a history: what is chosen most.

use tandem_dataset::{Catalogue, ItemIndex};

use crate::{
    Ranked,
    trie::{Mask, NodeId, Trie},
};

/// The `k` most popular items that the mask leaves, with
/// `ln((count + 1) / sum of (count + 1) over what remains)`; ties by [`ItemIndex`].
#[must_use]
pub fn most_popular(trie: &Trie, mask: &Mask, k: usize) -> Vec<Ranked> {
    ordered(trie.leaves(NodeId::ROOT, mask).collect(), k)
}

/// [`most_popular`] of a catalogue without its tree.
#[must_use]
pub fn most_popular_items(catalogue: &Catalogue, removed: &[ItemIndex], k: usize) -> Vec<Ranked> {
    let mut left = vec![true; catalogue.len()];
    for item in removed {
        left[item.position()] = false;
    }
    let weights = catalogue
        .indices()
        .filter(|item| left[item.position()])
        .map(|item| (item, u64::from(catalogue.get(item).count) + 1));
    ordered(weights.collect(), k)
}

/// The `k` items of the largest weights with the logarithms of their shares of the sum.
fn ordered(mut items: Vec<(ItemIndex, u64)>, k: usize) -> Vec<Ranked> {
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
    fn counts_decide_and_sum_to_one() {
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
        assert_eq!(most_popular_items(&catalogue, &[ItemIndex(3)], 10), ranked);
    }
}
