//! Features of a pool: the candidate list together with the items that the device finds itself.
//!
//! They tell how much of the list the device would find without the cloud. All are between 0
//! and 1 (the drift between 0 and 2).

use crate::ranking::order_descending;

/// Number of ranks that count, as in NDCG@10.
const PLACES: usize = 10;

/// How a candidate list compares with what the device finds itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PoolFeatures {
    /// Share of the small model's best ten of the pool that are on the list.
    pub overlap: f32,
    /// Share of the first ten of the fused order that are on the list.
    pub listed_share: f32,
    /// Largest softmax probability of the small model over the pool.
    pub confidence: f32,
}

impl PoolFeatures {
    /// Features of a pool whose first `listed` items are on the list. `srm` holds the small
    /// model's scores of the pool, `order` the fused order of it
    /// ([`Fused::order`](crate::Fused::order)).
    #[must_use]
    pub fn new(listed: usize, srm: &[f32], order: &[usize]) -> Self {
        let share = |order: &[usize]| {
            let first = &order[..order.len().min(PLACES)];
            let on_list = first.iter().filter(|position| **position < listed).count();
            on_list as f32 / first.len().max(1) as f32
        };
        let mut own = order_descending(srm);
        own.retain(|position| srm[*position].is_finite());
        Self {
            overlap: share(&own),
            listed_share: share(order),
            confidence: largest_probability(srm),
        }
    }
}

/// `1 − cos(now, then)` of two user embeddings, 0 for the same direction and at most 2. 0 if
/// one of them has no direction, or if they differ in length.
#[must_use]
pub fn state_drift(now: &[f32], then: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    };
    let lengths = (dot(now, now) * dot(then, then)).sqrt();
    if now.len() != then.len() || !(lengths > 0.0 && lengths.is_finite()) {
        return 0.0;
    }
    (1.0 - dot(now, then) / lengths).clamp(0.0, 2.0) as f32
}

/// The softmax probability of the best score; 0 without a finite score.
fn largest_probability(scores: &[f32]) -> f32 {
    let finite = || scores.iter().copied().filter(|score| score.is_finite()).map(f64::from);
    let largest = finite().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = finite().map(|score| (score - largest).exp()).sum();
    if sum > 0.0 { (1.0 / sum) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(found: f32, expected: f32) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn features_match_hand_computed_values() {
        // Two listed items, two unlisted. Probabilities 1/8, 4/8, 2/8, 1/8.
        let srm = [0.0, 4f32.ln(), 2f32.ln(), 0.0];
        let features = PoolFeatures::new(2, &srm, &[0, 1, 2, 3]);
        near(features.overlap, 0.5);
        near(features.listed_share, 0.5);
        near(features.confidence, 0.5);
        // Of twelve items only ten count; the list holds the worst four.
        let srm: Vec<f32> = (0..12).map(|score| score as f32).collect();
        let fused: Vec<usize> = (0..12).collect();
        let features = PoolFeatures::new(4, &srm, &fused);
        near(features.overlap, 0.2);
        near(features.listed_share, 0.4);
    }

    #[test]
    fn scores_that_are_not_finite_do_not_count() {
        let features = PoolFeatures::new(1, &[f32::NAN, 1.0], &[1, 0]);
        near(features.overlap, 0.0);
        near(features.listed_share, 0.5);
        near(features.confidence, 1.0);
        assert_eq!(PoolFeatures::new(0, &[], &[]), PoolFeatures::default());
        near(PoolFeatures::new(1, &[f32::NAN], &[0]).confidence, 0.0);
    }

    #[test]
    fn a_drift_is_one_minus_the_cosine() {
        near(state_drift(&[1.0, 0.0], &[3.0, 0.0]), 0.0);
        near(state_drift(&[1.0, 0.0], &[0.0, 2.0]), 1.0);
        near(state_drift(&[1.0, 1.0], &[-1.0, -1.0]), 2.0);
        near(state_drift(&[1.0, 1.0], &[1.0, 0.0]), 1.0 - 0.5_f32.sqrt());
        near(state_drift(&[0.0, 0.0], &[1.0, 0.0]), 0.0);
        near(state_drift(&[], &[1.0]), 0.0);
        near(state_drift(&[f32::NAN], &[1.0]), 0.0);
    }

    proptest! {
        #[test]
        fn features_are_shares(
            srm in prop::collection::vec(prop::num::f32::ANY, 0..40), listed in 0_usize..50,
        ) {
            let features = PoolFeatures::new(listed, &srm, &order_descending(&srm));
            for value in [features.overlap, features.listed_share, features.confidence] {
                prop_assert!((0.0..=1.0).contains(&value), "{:?}", features);
            }
        }
    }
}
