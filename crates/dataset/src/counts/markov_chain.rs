use std::collections::HashMap;

use super::Popularity;
use crate::ItemIndex;

/// First-order Markov chain: what followed the newest item of the history, as often as it did.
///
/// The score of an item is the number of times that it came directly after the newest item of the
/// history. Popularity decides between items with the same number, so that a newest item that
/// nothing ever followed gives the most popular items.
#[derive(Clone, Debug)]
pub struct MarkovChain {
    /// What followed an item, with the number of times.
    next: HashMap<ItemIndex, HashMap<ItemIndex, u32>>,
    /// Popularity between 0 and 1, exclusive.
    popularity: Vec<f32>,
}

impl MarkovChain {
    /// Counts what follows what in `sequences`.
    pub fn fit<'a>(
        sequences: impl IntoIterator<Item = &'a [ItemIndex]>,
        popularity: &Popularity,
    ) -> Self {
        let mut next: HashMap<ItemIndex, HashMap<ItemIndex, u32>> = HashMap::new();
        for pair in sequences.into_iter().flat_map(|sequence| sequence.windows(2)) {
            *next.entry(pair[0]).or_default().entry(pair[1]).or_default() += 1;
        }
        let most = popularity.counts().iter().max().copied().unwrap_or(0) as f32 + 1.0;
        let popularity = popularity.counts().iter().map(|&count| count as f32 / most).collect();
        Self { next, popularity }
    }

    /// Scores of all items, `[items]`, for a history, oldest first; popularity for an empty one.
    ///
    /// # Panics
    /// If an item of the sequences was outside the catalogue of the popularity.
    #[must_use]
    pub fn scores(&self, history: &[ItemIndex]) -> Vec<f32> {
        let mut scores = self.popularity.clone();
        let newest = history.last();
        for (item, count) in newest.and_then(|item| self.next.get(item)).into_iter().flatten() {
            scores[item.position()] += *count as f32;
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_followed_the_newest_item_comes_first_then_popularity() {
        let log = [[0, 1, 2], [0, 1, 3], [2, 1, 3]].map(|items| items.map(ItemIndex));
        let log = || log.iter().map(|items| &items[..]);
        // Popularity: 2, 3, 2, 2 of at most 3.
        let chain = MarkovChain::fit(log(), &Popularity::fit(4, log()));
        assert_eq!(chain.scores(&[ItemIndex(0), ItemIndex(1)]), [0.5, 0.75, 1.5, 2.5]);
        // Nothing followed item 3.
        assert_eq!(chain.scores(&[ItemIndex(1), ItemIndex(3)]), [0.5, 0.75, 0.5, 0.5]);
        assert_eq!(chain.scores(&[]), [0.5, 0.75, 0.5, 0.5]);
    }
}
