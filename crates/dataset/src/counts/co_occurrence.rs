use tandem_protocol::Counts;

use super::Popularity;
use crate::ItemIndex;

/// Sequential co-occurrence: items that often occur shortly before or after the newest items
/// of the history, relative to their popularity.
///
/// Two items at distance `k ≤ 5` in a user's sequence add `1/k` from the earlier to the
/// later and `0.5/k` back. An item's score is the sum, over the last 10 items of the
/// history, of their weight towards it times `0.8^age` (the newest has age 0), divided by
/// `sqrt(popularity + 1)`.
#[derive(Clone, Debug)]
pub struct CoOccurrence {
    // Compressed rows: the weights from item `i` are `weights[starts[i]..starts[i + 1]]`,
    // by ascending target.
    starts: Vec<usize>,
    weights: Vec<(ItemIndex, f32)>,
    // 1 / sqrt(popularity + 1)
    rarity: Vec<f32>,
}

impl CoOccurrence {
    /// Largest distance of a pair, in positions of the sequence.
    pub(super) const MAX_DISTANCE: usize = 5;
    /// Weight of a pair from the later to the earlier item.
    pub(super) const BACKWARDS: f32 = 0.5;
    /// Number of newest items of a history that are read.
    pub(super) const MAX_AGE: usize = Counts::NEWEST;
    /// Weight of an item of the history relative to the next newer one.
    pub(super) const DECAY: f32 = Counts::DECAY;

    /// Counts the pairs of `sequences`, relative to `popularity`.
    ///
    /// The two may cover different parts of a log. Published figures of this baseline count
    /// pairs without the last item of each user, and popularity without the last two.
    ///
    /// # Panics
    /// If a sequence holds an index outside the catalogue of `popularity`.
    pub fn fit<'a>(
        sequences: impl IntoIterator<Item = &'a [ItemIndex]>,
        popularity: &Popularity,
    ) -> Self {
        let items = popularity.counts().len();
        let mut pairs: Vec<(ItemIndex, ItemIndex, f32)> = Vec::new();
        for sequence in sequences {
            for (position, &later) in sequence.iter().enumerate() {
                let first = position.saturating_sub(Self::MAX_DISTANCE);
                for (offset, &earlier) in sequence[first..position].iter().enumerate() {
                    let weight = 1.0 / (position - first - offset) as f32;
                    pairs.push((earlier, later, weight));
                    pairs.push((later, earlier, Self::BACKWARDS * weight));
                }
            }
        }
        // A stable sort: equal pairs are added in the order of the log, so that the sums and
        // the ranking are the same on every run.
        pairs.sort_by_key(|&(from, to, _)| (from, to));
        let mut starts = Vec::with_capacity(items + 1);
        let mut weights: Vec<(ItemIndex, f32)> = Vec::new();
        for (from, to, weight) in pairs {
            while starts.len() <= from.position() {
                starts.push(weights.len());
            }
            let row = starts[from.position()];
            match weights[row..].last_mut() {
                Some((last, sum)) if *last == to => *sum += weight,
                _ => weights.push((to, weight)),
            }
        }
        starts.resize(items + 1, weights.len());
        let rarity = |&count: &u32| 1.0 / (count as f32 + 1.0).sqrt();
        let rarity = popularity.counts().iter().map(rarity).collect();
        Self { starts, weights, rarity }
    }

    /// All weights that are not zero, as (from, to, weight).
    pub fn weights(&self) -> impl Iterator<Item = (ItemIndex, ItemIndex, f32)> {
        self.starts.windows(2).enumerate().flat_map(|(from, row)| {
            let weights = &self.weights[row[0]..row[1]];
            weights.iter().map(move |&(to, weight)| (ItemIndex(from as u32), to, weight))
        })
    }

    /// Scores of all items, `[items]`, for a history, oldest first; zeros for an empty one.
    ///
    /// # Panics
    /// If the history holds an index outside the catalogue.
    #[must_use]
    pub fn scores(&self, history: &[ItemIndex]) -> Vec<f32> {
        let mut scores = vec![0.0; self.rarity.len()];
        let mut worth = 1.0;
        for item in history.iter().rev().take(Self::MAX_AGE) {
            let row = self.starts[item.position()]..self.starts[item.position() + 1];
            for &(to, weight) in &self.weights[row] {
                scores[to.position()] += worth * weight;
            }
            worth *= Self::DECAY;
        }
        for (score, rarity) in scores.iter_mut().zip(&self.rarity) {
            *score *= rarity;
        }
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(indices: &[u32]) -> Vec<ItemIndex> {
        indices.iter().copied().map(ItemIndex).collect()
    }

    fn fit(items: usize, log: &[Vec<ItemIndex>]) -> CoOccurrence {
        let log = || log.iter().map(Vec::as_slice);
        CoOccurrence::fit(log(), &Popularity::fit(items, log()))
    }

    fn assert_close(found: &[f32], expected: &[f32]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!((a - b).abs() < 1e-6, "{found:?} is not {expected:?}");
        }
    }

    #[test]
    fn near_and_forward_pairs_count_more() {
        // Counts: item 0 once, 1 twice, 2 once, 3 never.
        let log = [items(&[0, 1, 2]), items(&[1])];
        let model = fit(4, &log);
        // From 1: forwards to 2 at distance 1, back to 0 at distance 1.
        let (once, twice) = (1.0 / 2.0_f32.sqrt(), 1.0 / 3.0_f32.sqrt());
        assert_close(&model.scores(&items(&[1])), &[0.5 * once, 0.0, once, 0.0]);
        // From 0 then 1: 0 is one older and leads to 1 (distance 1) and 2 (distance 2).
        assert_close(
            &model.scores(&items(&[0, 1])),
            &[0.5 * once, 0.8 * twice, (1.0 + 0.8 * 0.5) * once, 0.0],
        );
        assert_close(&model.scores(&[]), &[0.0; 4]);
        let weights: Vec<(u32, u32, f32)> =
            model.weights().map(|(a, b, w)| (a.0, b.0, w)).collect();
        let pairs = [(0, 1, 1.0), (0, 2, 0.5), (1, 0, 0.5), (1, 2, 1.0), (2, 0, 0.25), (2, 1, 0.5)];
        assert_eq!(weights, pairs);
    }

    #[test]
    fn popularity_may_cover_another_part_of_the_log() {
        let (log, part) = ([items(&[0, 1])], [items(&[1, 1, 1])]);
        let popularity = Popularity::fit(2, part.iter().map(Vec::as_slice));
        let model = CoOccurrence::fit(log.iter().map(Vec::as_slice), &popularity);
        assert_close(&model.scores(&items(&[0])), &[0.0, 0.5]);
    }

    #[test]
    fn far_pairs_and_old_items_do_not_count() {
        // 0 and 6 are six apart; 0 and 5 five.
        let log = [items(&[0, 1, 2, 3, 4, 5, 6])];
        let model = fit(8, &log);
        let scores = model.scores(&items(&[0]));
        assert_close(&scores[5..], &[0.2 / 2.0_f32.sqrt(), 0.0, 0.0]);
        // The eleventh item from the end is not read.
        let mut history = items(&[0]);
        history.extend(vec![ItemIndex(7); 10]);
        assert_close(&model.scores(&history), &[0.0; 8]);
    }

    #[test]
    fn repeated_pairs_add_up() {
        let log = [items(&[0, 1]), items(&[0, 1]), items(&[1, 1])];
        let model = fit(2, &log);
        let rarity = 1.0 / 5.0_f32.sqrt();
        assert_close(&model.scores(&items(&[0])), &[0.0, 2.0 * rarity]);
        // An item beside itself: 1 forwards and 0.5 back.
        assert_close(&model.scores(&items(&[1])), &[1.0 / 3.0_f32.sqrt(), 1.5 * rarity]);
    }
}
