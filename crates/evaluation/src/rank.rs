use std::cmp::Ordering;

use tandem_dataset::ItemIndex;

/// Rank of `target` among the scores of a whole catalogue, from 0; `None` if the target is
/// excluded, which counts as a miss.
///
/// `scores` is `[items]`, higher is better. Ties are broken by the lower [`ItemIndex`]. Scores
/// that are `NaN` or infinite rank after all others, by index. `excluded` items are not
/// ranked; they may be repeated and in any order.
///
/// # Panics
/// If `target` or an excluded item lies outside `scores`.
#[must_use]
pub fn rank_of(target: ItemIndex, scores: &[f32], excluded: &[ItemIndex]) -> Option<usize> {
    if excluded.contains(&target) {
        return None;
    }
    let own = scores[target.position()];
    let precedes = |index: usize| {
        precedence(scores[index], own).then_with(|| index.cmp(&target.position())).is_lt()
    };
    let before = (0..scores.len()).filter(|&index| precedes(index)).count();
    // Few items are excluded: sorting them is cheaper than marking the catalogue.
    let mut taken: Vec<usize> = excluded.iter().map(|item| item.position()).collect();
    taken.sort_unstable();
    taken.dedup();
    Some(before - taken.into_iter().filter(|&index| precedes(index)).count())
}

/// Order of two scores, best first. All scores that are not finite are equal and last.
fn precedence(left: f32, right: f32) -> Ordering {
    match (left.is_finite(), right.is_finite()) {
        // Both are finite, hence comparable.
        (true, true) => right.partial_cmp(&left).unwrap_or(Ordering::Equal),
        (left, right) => right.cmp(&left),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rank(target: u32, scores: &[f32], excluded: &[u32]) -> Option<usize> {
        let excluded: Vec<ItemIndex> = excluded.iter().copied().map(ItemIndex).collect();
        rank_of(ItemIndex(target), scores, &excluded)
    }

    #[test]
    fn the_best_score_has_rank_zero() {
        let scores = [0.5, 2.0, -1.0, 1.0];
        assert_eq!(rank(1, &scores, &[]), Some(0));
        assert_eq!(rank(2, &scores, &[]), Some(3));
    }

    #[test]
    fn ties_are_broken_by_the_lower_index() {
        let scores = [1.0, 1.0, 1.0];
        assert_eq!([0, 1, 2].map(|item| rank(item, &scores, &[])), [Some(0), Some(1), Some(2)]);
        assert_eq!([0, 1].map(|item| rank(item, &[0.0, -0.0], &[])), [Some(0), Some(1)]);
    }

    #[test]
    fn excluded_items_are_not_ranked() {
        let scores = [4.0, 3.0, 2.0, 1.0];
        assert_eq!(rank(2, &scores, &[0, 0, 3]), Some(1));
        assert_eq!(rank(2, &scores, &[1, 0]), Some(0));
        assert_eq!(rank(2, &scores, &[2]), None);
    }

    #[test]
    fn scores_that_are_not_finite_rank_last() {
        let scores = [f32::NAN, 1.0, f32::INFINITY, -5.0, f32::NEG_INFINITY];
        let ranks = [1, 3, 0, 2, 4].map(|item| rank(item, &scores, &[]));
        assert_eq!(ranks, [0, 1, 2, 3, 4].map(Some));
    }

    proptest! {
        #[test]
        fn ranks_are_a_permutation(
            scores in prop::collection::vec(
                prop_oneof![(-2_i8..3).prop_map(f32::from), Just(f32::NAN), Just(f32::INFINITY)],
                1..12,
            ),
            excluded in prop::collection::vec(0_u32..12, 0..6),
        ) {
            let excluded: Vec<u32> =
                excluded.into_iter().map(|item| item % scores.len() as u32).collect();
            let mut ranks: Vec<usize> = (0..scores.len() as u32)
                .filter_map(|item| rank(item, &scores, &excluded))
                .collect();
            ranks.sort_unstable();
            prop_assert_eq!(&ranks, &(0..ranks.len()).collect::<Vec<_>>());
            let distinct: std::collections::BTreeSet<u32> = excluded.into_iter().collect();
            prop_assert_eq!(ranks.len(), scores.len() - distinct.len());
        }
    }
}
