//! Orders of a list.
//!
//! An *order* holds the positions of the list, best first: `order[rank] = position`. Its
//! inverse holds the rank of each position: `positions[position] = rank`.

use std::cmp::Ordering;

use crate::CollaborationError;

/// The order of a list by score, best first. Ties are broken by the lower position. Scores
/// that are not finite come last, by position.
///
/// The result is a permutation of `0..scores.len()` and the same on every machine. If the
/// slice is in the language model's order, ties are decided by the language model.
///
/// ```
/// use tandem_collaboration::{order_descending, positions};
///
/// let order = order_descending(&[0.1, 0.9, 0.5]);
/// assert_eq!(order, [1, 2, 0]);
/// assert_eq!(positions(&order)?, [2, 0, 1]);
/// # Ok::<(), tandem_collaboration::CollaborationError>(())
/// ```
#[must_use]
pub fn order_descending(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| compare_descending(scores[a], scores[b]));
    order
}

/// The inverse of an order: `result[order[rank]] = rank`.
///
/// # Errors
/// [`CollaborationError::NotAPermutation`] if a position is missing or repeated.
pub fn positions(order: &[usize]) -> Result<Vec<usize>, CollaborationError> {
    let length = order.len();
    let mut ranks = vec![usize::MAX; length];
    for (rank, &position) in order.iter().enumerate() {
        match ranks.get_mut(position) {
            Some(slot) if *slot == usize::MAX => *slot = rank,
            _ => {
                return Err(CollaborationError::NotAPermutation {
                    length,
                    entry: rank,
                    found: position,
                });
            }
        }
    }
    Ok(ranks)
}

/// Number of scores that are `NaN` or infinite.
#[must_use]
pub fn count_non_finite(scores: &[f32]) -> usize {
    scores.iter().filter(|score| !score.is_finite()).count()
}

// Used by a stable sort, so ties keep the order of their positions.
fn compare_descending(a: f32, b: f32) -> Ordering {
    match (a.is_finite(), b.is_finite()) {
        (true, true) => b.partial_cmp(&a).unwrap_or(Ordering::Equal),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => Ordering::Equal,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_best_comes_first_and_ties_are_broken_by_position() {
        assert_eq!(order_descending(&[0.1, 0.9, 0.5, 0.9]), [1, 3, 2, 0]);
        assert_eq!(order_descending(&[-0.0, 0.0]), [0, 1]);
        assert!(order_descending(&[]).is_empty());
    }

    #[test]
    fn scores_that_are_not_finite_come_last() {
        let scores = [f32::NAN, -5.0, f32::INFINITY, 2.0, f32::NEG_INFINITY];
        assert_eq!(order_descending(&scores), [3, 1, 0, 2, 4]);
        assert_eq!(count_non_finite(&scores), 3);
    }

    #[test]
    fn positions_are_the_inverse_of_an_order() {
        assert_eq!(positions(&[2, 0, 1]), Ok(vec![1, 2, 0]));
    }

    #[test]
    fn a_repeated_or_unknown_position_is_refused() {
        let repeat = CollaborationError::NotAPermutation { length: 3, entry: 2, found: 0 };
        assert_eq!(positions(&[0, 1, 0]), Err(repeat));
        let unknown = CollaborationError::NotAPermutation { length: 2, entry: 1, found: 2 };
        assert_eq!(positions(&[0, 2]), Err(unknown));
    }

    proptest! {
        #[test]
        fn an_order_is_a_permutation_sorted_by_score(
            scores in prop::collection::vec(prop::num::f32::ANY, 0..60),
        ) {
            let order = order_descending(&scores);
            let ranks = positions(&order).unwrap();
            for (rank, &position) in order.iter().enumerate() {
                prop_assert_eq!(ranks[position], rank);
            }
            for pair in order.windows(2) {
                let (better, worse) = (scores[pair[0]], scores[pair[1]]);
                if worse.is_finite() {
                    prop_assert!(better.is_finite() && better >= worse);
                }
            }
        }
    }
}
